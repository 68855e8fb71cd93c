import sys
from typing import Literal

import pytest

from kit.errors import ConfigError, DependencyError
from kit.registry import KINDS, check_options, describe, filled, find, find_model, names, options


class Plain:
    def __init__(self, given, *, rate: float = 0.1, how: Literal["a", "b"] = "a", must: int, words: list[str] = []):
        pass


class Special(Plain):
    def __init__(self, given, *, depth: int = 3, **more):
        super().__init__(given, **more)


def complaint(call, *args):
    with pytest.raises((ConfigError, DependencyError)) as error:
        call(*args)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_has_a_line_that_says_what_it_is(kind):
    assert names(kind) and [name for name in names(kind) if not describe(kind, name)] == []


def test_estimators_and_networks_share_one_namespace():
    assert not set(names("estimators")) & set(names("zoo"))


def test_unknown_part_is_answered_with_the_nearest():
    assert complaint(find, "metrics", "log_los") == 'no metric "log_los" (did you mean "log_loss"?)'
    assert complaint(find, "losses", "hubber") == 'no loss "hubber" (did you mean "huber"?)'
    assert complaint(find_model, "lightgmb") == 'no model "lightgmb" (did you mean "lightgbm"?)'


def test_nothing_near_lists_what_there_is():
    assert complaint(find, "tasks", "zzz") == f'no task "zzz" (known: {", ".join(names("tasks"))})'


def test_part_of_the_competition_is_found_in_its_folder(tmp_path):
    (tmp_path / "mine.py").write_text("needs = 'value'\ndef score(truth, predicted, *, power: int = 2): return 0.0\n")
    assert list(options(find("metrics", "./mine.py", tmp_path))) == ["power"]


@pytest.mark.parametrize("name", ["./none.py", "./../mine.py", "./sub/mine.py", "./mine.txt"])
def test_part_outside_the_competition_is_not_looked_for(tmp_path, name):
    (tmp_path / "toy").mkdir()
    (tmp_path / "mine.py").touch()
    assert (
        complaint(find, "metrics", name, tmp_path / "toy")
        == f'no file "{name}" in {tmp_path / "toy"} for a part of kind metrics: expected "./file.py" beside config.toml'
    )


@pytest.mark.parametrize(
    ("name", "library", "how"),
    [("neural", "torch", 'pip install "competition-kit[neural]"'), ("lightgbm", "lightgbm", "pip install lightgbm")],
)
def test_missing_library_is_named_with_what_installs_it(monkeypatch, name, library, how):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, f"kit.estimators.{name}", raising=False)
    assert complaint(find, "estimators", name) == f'"{name}" needs {library}, which is not installed\n{how}'


def test_options_are_the_keyword_only_parameters():
    assert list(options(Plain)) == ["rate", "how", "must", "words"]
    assert filled(Plain, {"rate": 1.0}) == {"rate": 1.0, "how": "a", "words": []}


def test_subclass_that_passes_options_on_has_those_of_its_parent():
    assert set(options(Special)) == {"depth", "rate", "how", "must", "words"}
    assert filled(Special, {})["rate"] == 0.1


def test_all_that_is_wrong_with_options_is_said_at_once():
    assert check_options(Plain, {"raet": 1.0, "how": "c", "words": "one"}, "model") == [
        'model.raet is not an option here (did you mean "rate"?)',
        "model.how = 'c': Input should be 'a' or 'b'",
        "model.must is missing: it has no default",
        "model.words = 'one': Input should be a valid list",
    ]


def test_types_are_strict_but_a_whole_number_is_a_number():
    assert check_options(Plain, {"rate": 1, "must": 1}, "model") == []
    assert check_options(Plain, {"rate": "1", "must": True}, "model") == [
        "model.rate = '1': Input should be a valid number",
        "model.must = True: Input should be a valid integer",
    ]

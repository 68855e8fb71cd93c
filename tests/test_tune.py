"""Trials are scored on folds of their own, resumed from their file, given up when poor; the best becomes a run."""

from dataclasses import replace

import pytest

pytest.importorskip("optuna")

from kit import runs, space
from kit.competition import open_competition, resolved
from kit.divided import divided
from kit.errors import ConfigError
from kit.fitting import Says
from kit.tune import _Trials, space_of, tune

OVERRIDES = ["model.min_rows=2"]


def tuned(table, trials: int, **options):
    lines = []
    given = {"preset": None, "overrides": OVERRIDES, "seconds": 0.0, "vary": ["model.leaves", "model.l2"], **options}
    return tune("toy", table.data, Says(lines.append, lines.append), trials=trials, **given), lines


def test_the_first_trial_is_the_config_as_it_is_and_the_best_becomes_a_run(table):
    run, lines = tuned(table, 4)
    trials = [line for line in lines if line.startswith("trial")]
    assert len(trials) == 4 and trials[0].endswith("the config as it is") and "leaves=" in trials[1]
    assert run.info["state"] == "finished" and (run.folder / "submission.csv").is_file()
    assert len(runs.listed(table.folder / "runs")) == 1
    assert not list((table.folder / "tuning").rglob("fold-*"))


def test_the_same_command_goes_on_where_it_was_stopped(table):
    tuned(table, 3)
    _, lines = tuned(table, 5)
    assert any(line.startswith("going on after 3 trials") for line in lines)
    assert len([line for line in lines if line.startswith("trial")]) == 2


def test_a_search_that_goes_on_tries_what_it_has_not_tried(table):
    tried = [line.split()[-2:] for _ in range(2) for line in tuned(table, 3 + 2 * _)[1] if line.startswith("trial") and "leaves=" in line]
    assert len(tried) == len({tuple(options) for options in tried}) == 4


def validated(folds) -> set[tuple[int, ...]]:
    return {tuple(fold.valid.tolist()) for fold in folds}


def searched(table, *overrides):
    """(the folds that trials are scored on, the run's own, what is said of it)"""
    lines, competition = [], open_competition("toy", overrides=[*OVERRIDES, *overrides])
    trials = _Trials(competition, table.data, table.folder, Says(lines.append))
    own = divided(replace(competition, config=resolved(competition)), trials.work.tables, trials.work.task)[1]
    return trials, own, lines


@pytest.mark.parametrize("folds", ['{ scheme = "stratified", count = 2 }', '{ scheme = "kfold", count = 2, repeats = 2 }', '{ scheme = "holdout" }'])
def test_trials_are_not_scored_on_the_runs_folds(table, folds):
    trials, own, lines = searched(table, f"score.folds={folds}")
    assert len(trials.split) == len(own) and not validated(trials.split) & validated(own)
    assert trials.folds == "drawn anew" and lines == []


PARTS = {  # of each third row, and the folds that go by it
    "time": (("1", "2", "3"), '{ scheme = "time", count = 2 }', 1),
    "the host's split": (("-1", "-1", "0"), '{ scheme = "given" }', 0),
    "given": (("0", "1", "2"), '{ scheme = "given" }', 2),
    "a group each": (("0", "1", "2"), '{ scheme = "group", count = 3 }', 2),
}


@pytest.mark.parametrize(("parts", "folds", "last"), PARTS.values(), ids=PARTS)
def test_where_folds_are_not_drawn_trials_are_scored_inside_the_last_training_part(table, parts, folds, last):
    for n, row in enumerate(table.train):
        row.insert(1, parts[n % 3] if n else "part")
    table.write()
    scheme = folds.split('"')[1]
    trials, own, lines = searched(table, f'input.columns.{scheme}=["part"]', f"score.folds={folds}")
    for fold in trials.split:
        assert set(fold.train) | set(fold.valid) <= set(own[-1].train) and not set(fold.train) & set(fold.valid)
    assert len(set().union(*validated(trials.split))) == sum(len(fold.valid) for fold in trials.split)  # of several, no row twice
    assert lines == [f'folds   scheme "{scheme}" divides these rows in one way only: trials are scored on cuts of the rows that fold {last} trains on']


def test_a_search_on_the_runs_own_folds_says_that_the_score_flatters(table):
    table.train = table.train[:14]
    for n, row in enumerate(table.train):
        row.insert(1, "part" if n == 0 else str(n % 2))
    table.write()
    run, lines = tuned(table, 1, overrides=[*OVERRIDES, 'input.columns.given=["part"]', "score.folds.scheme=given"])
    told = 'folds   scheme "given" divides these rows in one way only: trials are scored on those of the run, and its score flatters'
    assert told in lines and told in (run.folder / "log.txt").read_text()
    assert run.info["tuned"]["folds"] == "those of the run" and runs.open_run(run.folder).info["tuned"]["trials"] == 1


def test_trials_of_repeated_folds_are_scored(table):
    _, lines = tuned(table, 1, overrides=[*OVERRIDES, "score.folds.repeats=2"])
    assert any(line.startswith("trial 0   log_loss ") for line in lines)


def test_a_trial_that_cannot_be_trained_stops_nothing(table):
    (table.folder / "fragile.py").write_text(
        "from kit.errors import TrainingError\nfrom kit.estimators.constant import Constant\nfrom kit.space import Choice\n\n"
        "class Fragile(Constant):\n    space = {'breaks': Choice((True,))}\n\n    def __init__(self, setup, *, breaks: bool = False):\n"
        "        super().__init__(setup)\n        self.breaks = breaks\n\n    def fit(self, train, found):\n        if self.breaks:\n"
        "            raise TrainingError('too much')\n        super().fit(train, found)\n"
    )
    _, lines = tuned(table, 3, overrides=["model.name=./fragile.py"], vary=[])
    assert sum("failed" in line for line in lines) == 2 and any("too much" in line for line in lines)
    assert any(line.startswith("options the config as it is") for line in lines)


def test_what_cannot_be_varied_is_told():
    assert isinstance(space_of(open_competition("titanic"), [])["model.leaves"], space.Whole)
    with pytest.raises(ConfigError, match="--vary model.leafs: model \"lightgbm\" has no range for it.*model.leaves"):
        space_of(open_competition("titanic"), ["model.leafs"])
    with pytest.raises(ConfigError, match='model "constant" says no ranges'):
        space_of(open_competition("titanic", overrides=["model.name=constant"]), [])


def test_every_range_is_of_an_option_and_holds_legal_values():
    from kit.registry import find, find_model, installed, options

    for name in (*installed("estimators"), *installed("zoo")):
        part = find("estimators", "neural") if name == "neural" else find_model(name)[1]
        for option, range_ in getattr(part, "space", {}).items():
            assert option in options(part), f"{name}.{option}"
            assert isinstance(range_, space.Choice) and range_.values or range_.low < range_.high, f"{name}.{option}"

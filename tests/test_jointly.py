"""A preset that names others to blend with: one command, a run of each, their mean; taken up again where it was stopped."""

import pytest

from kit import pipeline
from kit.competition import open_competition
from kit.config import read
from kit.errors import ConfigError
from kit.files import read_json
from kit.predictions import Predictions

PRESETS = """
[preset.fast]
blend = ["straight", "near"]
model = { name = "lightgbm", rounds = 20 }

[preset.straight]
model = { name = "linear", penalty = 1.0 }

[preset.near]
model = { name = "knn" }
"""


@pytest.fixture
def three(table):
    table.config((table.folder / "config.toml").read_text(encoding="utf-8") + PRESETS)
    return table


def names(table) -> list[str]:
    return sorted(p.name for p in (table.folder / "runs").iterdir())


def test_each_preset_gets_a_run_and_their_mean_is_what_is_submitted(three, kit):
    done = kit("train", "toy", "--preset", "fast")
    assert done.code == 0 and done.out[-1].endswith("4-blend/submission.csv")
    assert names(three) == ["1-lightgbm", "2-linear", "3-knn", "4-blend"]
    runs = three.folder / "runs"
    assert read_json(runs / "4-blend" / "run.json")["blended"]["runs"] == ["1-lightgbm", "2-linear", "3-knn"]
    ids = Predictions.read(runs / "4-blend" / "test.parquet").ids
    blended, *own = (Predictions.read(runs / name / "test.parquet").aligned(ids)["p"].to_numpy() for name in ("4-blend", "1-lightgbm", "2-linear", "3-knn"))
    assert not any((blended == each).all() for each in own)
    assert kit("verify", runs / "4-blend").code == 0


def test_what_was_stopped_goes_on_and_what_is_done_is_done_again(three, kit, monkeypatch):
    trained, asked = pipeline.train, []

    def stopping(competition, data, says, **more):
        asked.append(competition.config.model["name"])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return trained(competition, data, says, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pipeline, "train", stopping)
        from kit import jointly
        from kit.fitting import Says

        competition = open_competition("toy", preset="fast")
        jointly.train("toy", competition.data(None, False), Says(), preset="fast", overrides=[])
    assert names(three) == ["1-lightgbm", "2-linear"]
    again = kit("train", "toy", "--preset", "fast")
    assert names(three) == ["1-lightgbm", "2-linear", "3-knn", "4-blend"]
    assert [line for line in again.out if "is this one, and finished" in line] == ["run     1-lightgbm is this one, and finished", "run     2-linear is this one, and finished"]
    kit("train", "toy", "--preset", "fast")
    assert len(names(three)) == 8


def test_a_model_or_a_fold_that_is_named_is_trained_alone(three, kit):
    assert kit("train", "toy", "--preset", "fast", "model.name=linear").out[-1].endswith("1-linear/submission.csv")
    assert kit("train", "toy", "--preset", "fast", "--fold", "1").out[-1].endswith("2-lightgbm/submission.csv")
    assert names(three) == ["1-linear", "2-lightgbm"]


def test_an_override_for_all_reaches_all_and_one_for_a_single_model_is_refused(three, kit):
    assert kit("train", "toy", "--preset", "fast", "train.seed=7").code == 0
    assert {read_json(three.folder / "runs" / name / "run.json")["seed"] for name in names(three)} == {7}
    before = names(three)
    refused = kit("train", "toy", "--preset", "fast", "model.rounds=3", "train.loss=mse")
    assert refused.code == 1 and names(three) == before
    told = "\n".join(refused.err)
    assert 'model.rounds=3: preset "fast" has 3 models' in told and 'train.loss=mse: preset "fast" has 3 models' in told and "model.name=lightgbm" in told


def test_presets_that_cannot_be_blended_are_named_all_at_once(three):
    text = (three.folder / "config.toml").read_text(encoding="utf-8")
    three.config(text.replace('blend = ["straight", "near"]', 'blend = ["fast", "nearer"]') + '[preset.far]\nblend = "near"\n')
    with pytest.raises(ConfigError) as error:
        read(three.folder / "config.toml", preset="straight")
    told = str(error.value)
    assert '"fast" is this preset itself' in told and '"nearer" is no preset (did you mean "near"?)' in told and "must be a list of presets" in told


def test_without_a_preset_there_is_nothing_to_blend(three, kit):
    assert kit("train", "toy").out[-1].endswith("1-lightgbm/submission.csv")

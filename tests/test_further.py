"""train.final = "further": the only fold's network goes on with all rows, the validated ones among them, and the score stays the fold's."""

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file  # noqa: E402

from kit import pipeline, runs  # noqa: E402
from kit.competition import open_competition, shipped  # noqa: E402
from kit.files import read_json  # noqa: E402
from kit.fitting import Says  # noqa: E402
from kit.predict import predict  # noqa: E402
from kit.zoo import _supervised  # noqa: E402

MLP = ("model.name=mlp", "train.epochs=5", "train.batch_size=16", "model.width=8", 'score.folds={ scheme = "holdout", share = 0.4 }')
FURTHER = (*MLP, "train.final=further", "train.further_epochs=3")


def test_the_score_is_the_fold_s_and_the_answers_are_of_a_network_that_went_on(table):
    plain, further = table.trained(*MLP), table.trained(*FURTHER)
    for name in ("oof.parquet", "folds.csv", "fold-0/model.safetensors"):
        assert (plain / name).read_bytes() == (further / name).read_bytes()
    assert read_json(plain / "run.json")["score"] == read_json(further / "run.json")["score"]
    assert (plain / "submission.csv").read_bytes() != (further / "submission.csv").read_bytes()
    assert not (further / "fold-0/test.parquet").exists() and (further / "refit/test.parquet").is_file()
    told = [line.split("  loss")[0] for line in (further / "log.txt").read_text().splitlines() if line.startswith("further ")]
    assert told == [f"further  epoch {n} of 3" for n in (1, 2, 3)]
    begun, ended = (load_file(further / part / "model.safetensors") for part in ("fold-0", "refit"))
    assert begun.keys() == ended.keys() and all(begun[k].shape == ended[k].shape for k in begun)
    assert all(np.array_equal(begun[k], ended[k]) for k in begun if k.startswith("preparation.")) and any(not np.array_equal(begun[k], ended[k]) for k in begun if k.startswith("network."))
    run = runs.open_run(further)
    assert predict(run, table.data, Says()).read_bytes() == (further / "submission.csv").read_bytes()


def test_it_learns_from_the_validated_rows_too(table, monkeypatch):
    seen = []
    kept = _supervised.Supervised.on_train_start

    def watching(self):
        seen.append((len(self.rows), self.plan.epochs, self.plan.lr))
        kept(self)

    monkeypatch.setattr(_supervised.Supervised, "on_train_start", watching)
    table.trained(*FURTHER, "train.lr=0.01")
    assert seen == [(36, 5, 0.01), (60, 3, pytest.approx(0.003))]


def test_a_fifth_of_the_epochs_where_none_are_given(table):
    folder = table.trained(*MLP, "train.epochs=11", "train.final=further")
    assert sum(line.startswith("further ") for line in (folder / "log.txt").read_text().splitlines()) == 2


def test_an_interruption_on_the_way_ends_in_the_same_bytes(table, monkeypatch):
    whole = (table.trained(*FURTHER) / "submission.csv").read_bytes()
    went_on, written = _supervised.write, []

    def stopping(*given):
        went_on(*given)
        written.append(given)
        if len(written) == 7:  # five epochs of the fold, two that follow
            raise KeyboardInterrupt

    monkeypatch.setattr(_supervised, "write", stopping)
    asked = [*FURTHER, "train.workers=0"]
    with pytest.raises(KeyboardInterrupt):
        table.trained(*asked)
    monkeypatch.setattr(_supervised, "write", went_on)
    competition = open_competition("toy", overrides=asked)
    folder = pipeline.train(competition, competition.data(None, False), Says()).folder
    assert (folder / "submission.csv").read_bytes() == whole and "going on after epoch 2 of 3" in (folder / "log.txt").read_text()


def test_several_folds_and_models_without_epochs_are_refused(table):
    assert 'train.final = "further" goes on with the network of the only fold, and there are 2' in table.complaint("model.name=mlp", "train.final=further")
    assert 'model "lightgbm" has no epochs to go on with' in table.complaint("train.final=further")


def test_amounts_keep_the_unit_that_the_fold_learned(table):
    for row in table.train[1:]:
        row[-1] = f"{1000 + 10 * float(row[1]):.3f}"
    table.write()
    folder = table.trained(*FURTHER, "output.task=regression", "score.metric=rmse", "train.epochs=30", "train.lr=0.01")
    begun, ended = (load_file(folder / part / "model.safetensors") for part in ("fold-0", "refit"))
    assert np.array_equal(begun["target.centre"], ended["target.centre"]) and np.array_equal(begun["target.spread"], ended["target.spread"])
    answers = [float(line.split(",")[1]) for line in (folder / "submission.csv").read_text().splitlines()[1:]]
    assert min(answers) > 950 and max(answers) < 1050


def test_what_would_tell_rows_their_own_answers_is_refused(table):
    told = table.complaint(*FURTHER, "encoders.category.means=['colour']")
    assert "encoders.category.means tells rows the mean of their own answers" in told


def test_another_model_does_not_inherit_it(table):
    table.config((table.folder / "config.toml").read_text().replace('name = "lightgbm"\nrounds = 5\nlearning_rate = 0.3\nmin_rows = 2', 'name = "mlp"').replace("[train]", '[train]\nfinal = "further"'))
    assert open_competition("toy").config.train["final"] == "further"
    assert "final" not in open_competition("toy", overrides=["model.name=constant"]).config.train


def test_the_folds_are_counted_before_anything_is_tuned(table):
    from kit.errors import ConfigError
    from kit.tune import tune

    with pytest.raises(ConfigError, match="goes on with the network of the only fold, and there are 2"):
        tune("toy", table.data, Says(), preset=None, overrides=["model.name=mlp", "train.final=further"], trials=1, seconds=0.0, vary=[])
    assert not (table.folder / "runs").exists()


PICTURES = ("train.workers=0", "train.precision=32-true", "train.channels_last=yes", "augment.size=32", "augment.first_size=0", "train.batch_size=16")
NETWORK = ("model.architecture=test_resnet", "model.weights=none", "train.freeze_layers=1")
KINDS = {  # pictures of classes; an open set whose rows vote, by ArcFace; queries and a gallery; texts; boxes
    "inaturalist": (*PICTURES, *NETWORK),
    "whale": (*PICTURES, *NETWORK),
    "landmarks": (*PICTURES, *NETWORK),
    "spooky-author": ("model.name=text_cnn", "train.workers=0", "train.precision=32-true", "score.folds={ scheme = 'holdout', share = 0.3 }"),
    "imagenet-localization": (*PICTURES, "augment.size=64", "model.trunk=test_resnet", "model.weights=none", "model.channels=32"),
}


@pytest.mark.parametrize("name", KINDS)
def test_whatever_a_network_learns_from_it_can_learn_further(name, tmp_path, monkeypatch):
    """The score is that of the run without it, byte for byte, other answers are given, and the run's models give them again."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped("competitions") / name, Path("competitions") / name, ignore=shutil.ignore_patterns("data", "sample", "runs", "cache"))
    asked = [*KINDS[name], "train.epochs=2"]
    data = Path("competitions") / name / "sample"
    opened = open_competition(name, preset="fast", overrides=[*asked, "train.final=folds"])
    opened.open_adapter(data).write_sample(data)
    plain = pipeline.train(opened, data, Says())
    further = pipeline.train(open_competition(name, preset="fast", overrides=[*asked, "train.final=further", "train.further_epochs=1"]), data, Says())
    assert (plain.folder / "fold-0/model.safetensors").read_bytes() == (further.folder / "fold-0/model.safetensors").read_bytes()
    assert plain.info["score"] == further.info["score"]
    begun, ended = (load_file(further.folder / part / "model.safetensors") for part in ("fold-0", "refit"))
    assert any(not np.array_equal(begun[k], ended[k]) for k in begun)
    told = (further.folder / "log.txt").read_text()
    assert "further  epoch 1 of 1" in told and (further.folder / "submission.csv").read_bytes() != (plain.folder / "submission.csv").read_bytes()
    assert predict(runs.open_run(further.folder), data, Says()).read_bytes() == (further.folder / "submission.csv").read_bytes()

"""Loggers hear each epoch of each fold once, also over an interruption, and change nothing that is learned."""

import csv
import os
import sqlite3
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from kit import loggers, pipeline  # noqa: E402
from kit.competition import open_competition  # noqa: E402
from kit.errors import ConfigError  # noqa: E402
from kit.files import read_json  # noqa: E402

MLP = ("model.name=mlp", "train.epochs=3", "train.batch_size=16", "model.width=8")


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def history(folder: Path) -> list[tuple[int, float]]:
    return [(int(float(row["epoch"])), float(row["loss"])) for row in rows_of(folder / "history.csv")]


def test_csv_has_a_line_for_each_epoch_of_each_fold(table):
    folder = table.trained(*MLP, "train.loggers=['csv']")
    for fold in ("fold-0", "fold-1"):
        told = rows_of(folder / fold / "logs" / "csv" / "metrics.csv")
        assert [(int(row["step"]), pytest.approx(float(row["loss"]), rel=1e-6)) for row in told] == history(folder / fold) and len(told) == 3
        assert all(float(row["lr"]) >= 0 for row in told)


def test_off_by_default_and_no_difference_when_on(table):
    quiet = table.trained(*MLP)
    assert not list(quiet.rglob("logs"))
    loud = table.trained(*MLP, "train.loggers=['csv']", "train.seed=0")
    assert (quiet / "submission.csv").read_bytes() == (loud / "submission.csv").read_bytes()
    assert (quiet / "oof.parquet").read_bytes() == (loud / "oof.parquet").read_bytes()
    assert read_json(quiet / "run.json")["score"] == read_json(loud / "run.json")["score"]


def test_after_an_interruption_each_epoch_is_told_once(table, monkeypatch):
    from kit.zoo import _supervised

    went_on = _supervised.write
    written = []

    def stopping(*args):
        went_on(*args)
        written.append(args)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_supervised, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        table.trained(*MLP, "train.loggers=['csv']")
    monkeypatch.setattr(_supervised, "write", went_on)
    competition = open_competition("toy", overrides=[*MLP, "train.loggers=['csv']"])
    folder = pipeline.train(competition, competition.data(None, False), pipeline.Says()).folder
    assert len(list((table.folder / "runs").iterdir())) == 1  # the interrupted one went on
    for fold in ("fold-0", "fold-1"):
        assert [int(row["step"]) for row in rows_of(folder / fold / "logs" / "csv" / "metrics.csv")] == [n for n, _ in history(folder / fold)] == [1, 2, 3]


def test_an_unknown_logger_and_one_named_twice_are_said_at_once(table):
    told = table.complaint(*MLP, "train.loggers=['cvs', 'csv', 'csv']")
    assert "names csv twice" in told and 'did you mean "csv"' in told


def test_a_missing_library_says_what_installs_it(table, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "kit.loggers.wandb", raising=False)
    told = table.complaint(*MLP, "train.loggers=['wandb']")
    assert 'pip install "competition-kit[wandb]"' in told


def test_loggers_are_of_networks(table):
    assert "loggers" in table.complaint("train.loggers=['csv']")


def test_tensorboard_files_can_be_read_back(table):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = table.trained(*MLP, "train.loggers=['tensorboard', 'csv']")
    read = EventAccumulator(str(folder / "fold-1" / "logs" / "tensorboard"))
    read.Reload()
    assert [(e.step, pytest.approx(e.value, rel=1e-5)) for e in read.Scalars("loss")] == history(folder / "fold-1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries that it stands on
def test_mlflow_files_a_run_for_each_fold(table, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = table.trained(*MLP, "train.loggers=['mlflow']")
    with sqlite3.connect(table.folder / "mlflow.db") as base:
        names = [name for (name,) in base.execute("select name from runs order by name")]
        many = base.execute("select count(*) from metrics where key = 'loss'").fetchone()[0]
        (experiment,) = base.execute("select name from experiments where name = 'toy'").fetchone()
    assert names == [f"runs/{folder.name}/fold-{k}" for k in (0, 1)] or names == [f"{folder.name}/fold-{k}" for k in (0, 1)]
    assert many == 6 and experiment == "toy"


def test_wandb_stays_on_the_machine_unless_told_otherwise(table, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = table.trained(*MLP, "train.loggers=['wandb']")
    for fold in ("fold-0", "fold-1"):
        kept = list((folder / fold / "logs" / "wandb").rglob("*.wandb"))
        assert len(kept) == 1 and kept[0].stat().st_size > 0
    assert not os.path.exists("wandb")


def test_what_a_server_files_a_training_under(tmp_path):
    folder = tmp_path / "competitions" / "toy" / "runs" / "3-mlp" / "fold-0"
    assert loggers.titles(folder) == ("toy", "3-mlp/fold-0") and loggers.home_of(folder) == tmp_path / "competitions" / "toy"


def test_names_are_checked_before_anything_is_trained():
    loggers.check(["csv"])
    with pytest.raises(ConfigError, match="train.loggers names csv twice"):
        loggers.check(["csv", "csv"])

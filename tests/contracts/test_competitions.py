"""Every competition and template that ships works on its own sample: trains, beats the constant, grades and predicts."""

import shutil
from pathlib import Path

import pytest

from kit import pipeline, runs
from kit.competition import open_competition, shipped
from kit.config import read
from kit.predictions import Predictions
from kit.registry import options

FOLDERS = sorted(p.parent for kind in ("competitions", "templates") for p in shipped(kind).glob("*/config.toml"))


@pytest.fixture(params=FOLDERS, ids=lambda p: f"{p.parent.name}/{p.name}")
def copied(request, tmp_path, monkeypatch):
    """The name of a competition, copied into ./competitions as a user would have it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(request.param, Path("competitions") / request.param.name, ignore=shutil.ignore_patterns("data", "sample", "runs"))
    return request.param.name


def test_it_has_a_title_and_a_card(copied):
    folder = Path("competitions") / copied
    assert read(folder / "config.toml").title
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(word in card.lower() for word in ("metric", "folds"))


def test_it_learns_from_its_sample_and_writes_a_valid_submission(copied):
    competition = open_competition(copied)
    data = competition.home / "sample"
    competition.open_adapter(data).write_sample(data)
    run = pipeline.train(competition, data, pipeline.Says())
    info = run.info
    sign = 1 if info["greater_is_better"] else -1
    assert info["state"] == "finished" and info["covered"] == info["rows"]
    assert sign * (info["score"]["mean"] - info["constant"]) > 2 * info["score"]["standard_error"], "no better than the constant"
    assert {"config.toml", "run.json", "folds.csv", "oof.parquet", "test.parquet", "submission.csv", "fold-0", "log.txt"} <= {p.name for p in run.folder.iterdir()}
    predicted = pipeline.predict(runs.open_run(run.folder), data, pipeline.Says())
    assert predicted.read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_its_sample_is_graded_as_predictions_are(copied):
    """The out-of-fold predictions, written as a submission and read back, have the score that they had."""
    competition = open_competition(copied)
    data = competition.home / "sample"
    competition.open_adapter(data).write_sample(data)
    run = pipeline.train(competition, data, pipeline.Says())
    adapter, metric = competition.open_adapter(data), competition.metric()
    truth = adapter.truth(adapter.read_train())
    adapter.task.learn(truth)
    oof, needs = Predictions.read(run.folder / "oof.parquet"), metric.needs(adapter.task.gives)
    columns = adapter.layout(needs)[1]
    cells = adapter.task.cells(oof, run.info["post"], columns, needs)
    import pandas as pd

    back = adapter.task.read_cells(pd.DataFrame(cells, index=oof.rows["id"]).astype(str), columns, needs)
    assert metric.score(adapter.task, truth, back, {}) == pytest.approx(metric.score(adapter.task, truth, oof, run.info["post"]), rel=1e-9)


def test_its_config_names_only_what_differs_from_the_defaults(copied):
    competition = open_competition(copied)
    told = {k: v for k, v in competition.config.input.items() if k not in ("adapter", "data")}
    known = options(competition.adapter)
    same = [k for k, v in told.items() if known[k].default == v and k not in ("train", "test", "id")]
    assert not same

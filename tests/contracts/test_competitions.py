"""Every competition and template that ships works on its own sample: trains, beats the constant, grades and predicts."""

import os
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from kit import pipeline, runs
from kit.adapters._submissions import Submissions
from kit.competition import open_competition, shipped
from kit.config import read
from kit.divided import divided
from kit.predict import predict
from kit.predictions import Predictions
from kit.registry import options

FOLDERS = sorted(p.parent for kind in ("competitions", "templates") for p in shipped(kind).glob("*/config.toml"))
LISTED_BLINDLY = 0.1  # mean average precision of lists in any order, where a query has 4 or 5 right answers among 80 to 100
QUICK = ["train.epochs=6", "train.workers=0", "train.precision=32-true", "train.channels_last=yes"]  # of what trains for minutes on two cores: a sample needs less
SMALL = {"image": ["augment.size=32", "augment.first_size=0", "train.freeze_layers=0"], "audio": ["augment.audio.seconds=0.5", "model.mels=32"], "text": ["train.epochs=3"]}
FINDING = [  # objects of some pixels are gone from smaller pictures; a trunk without weights learns these drawings soon enough
    "augment.size=96", "augment.first_size=0", "augment.recipe=none", "augment.views=[]", "train.epochs=16", "train.batch_size=8", "train.ema=0", "train.lr=3e-3",
    "model.trunk=test_resnet", "model.weights=none", "model.channels=32",
]  # fmt: skip


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda p: f"{p.parent.name}/{p.name}")
def copied(request, tmp_path_factory):
    """The name of a competition, copied into ./competitions as a user would have it."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("shipped"))
    shutil.copytree(request.param, Path("competitions") / request.param.name, ignore=shutil.ignore_patterns("data", "sample", "runs", "cache"))
    yield request.param.name
    os.chdir(before)


@pytest.fixture(scope="module")
def trained(copied):
    """(competition, run) on its sample, by its preset fast where it has one: weights of that come without a network."""
    preset = "fast" if "fast" in tomllib.loads((Path("competitions") / copied / "config.toml").read_text(encoding="utf-8")).get("preset", {}) else None
    competition = open_competition(copied, preset=preset)
    if competition.model()[0] == "zoo":
        small = FINDING if getattr(competition.model()[1], "finds", False) else [o for kind in competition.takes() for o in SMALL[kind]]
        competition = open_competition(copied, preset=preset, overrides=QUICK + small)
    data = competition.home / "sample"
    competition.open_adapter(data).write_sample(data)
    return competition, pipeline.train(competition, data, pipeline.Says())


def test_it_has_a_title_and_a_card(copied):
    folder = Path("competitions") / copied
    assert read(folder / "config.toml").title
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(word in card.lower() for word in ("metric", "folds"))


def test_every_preset_is_a_config_without_mistakes(copied):
    import tomllib

    for preset in [None, *tomllib.loads((Path("competitions") / copied / "config.toml").read_text(encoding="utf-8")).get("preset", {})]:
        assert open_competition(copied, preset=preset).config.model["name"]


def test_it_learns_from_its_sample_and_writes_a_valid_submission(trained):
    competition, run = trained
    info = run.info
    sign = 1 if info["greater_is_better"] else -1
    assert info["state"] == "finished" and info["covered"] == info["validated"] == len(Predictions.read(run.folder / "oof.parquet").ids)
    blind = LISTED_BLINDLY if info["constant"] is None else info["constant"]
    gain = sign * (info["score"]["mean"] - blind)
    assert gain > 2 * (info["score"]["standard_error"] or 0.05), "no better than the constant"
    assert {"config.toml", "run.json", "folds.csv", "oof.parquet", "test.parquet", "submission.csv", "fold-0", "log.txt"} <= {p.name for p in run.folder.iterdir()}
    predicted = predict(runs.open_run(run.folder), competition.home / "sample", pipeline.Says())
    assert predicted.read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_its_sample_is_graded_as_predictions_are(trained):
    """The out-of-fold predictions, written as a submission and read back, have the score that they had."""
    competition, run = trained
    adapter, metric = competition.open_adapter(competition.home / "sample"), competition.metric()
    oof, needs = Predictions.read(run.folder / "oof.parquet"), metric.needs(adapter.task.gives)
    _, _, truth = divided(competition, adapter.tables(), adapter.task)
    truth = truth[truth["id"].isin(oof.ids)].reset_index(drop=True)
    if type(adapter).submission is not Submissions.submission:  # whose rows are not one an id
        adapter.submission(oof, run.info["post"], needs).to_csv("oof.csv", index=False)
        back = adapter.read_submission(Path("oof.csv"), needs).take(oof.ids)
    else:
        columns = adapter.layout(needs)[1]
        cells = adapter.task.cells(oof, run.info["post"], columns, needs)
        back = adapter.task.read_cells(pd.DataFrame(cells, index=oof.ids).astype(str), columns, needs)
    assert metric.score(adapter.task, truth, back, {}) == pytest.approx(metric.score(adapter.task, truth, oof, run.info["post"]), rel=1e-9)


def test_its_config_names_only_what_differs_from_the_defaults(copied):
    competition = open_competition(copied)
    told = {k: v for k, v in competition.config.input.items() if k not in ("adapter", "data")}
    known = options(competition.adapter)
    same = [k for k, v in told.items() if known[k].default == v and k not in ("train", "test", "id")]
    assert not same

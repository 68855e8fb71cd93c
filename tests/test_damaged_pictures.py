"""Thirty-five damaged pictures among eleven hundred: counted by kind, trained without, and every row predicted all the same."""

import os
import struct
import zlib
from collections import Counter
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("PIL")  # the extra `image`
pytest.importorskip("pytorch_lightning")

from PIL import Image

from kit import pipeline
from kit.competition import open_competition
from kit.errors import DataError
from kit.pictures import KINDS
from kit.predictions import Predictions

CONFIG = """
[input]
adapter = "image"
train   = "train.csv"
test    = "test"
sample_submission = "sample_submission.csv"
pictures = "{part}/{id}.png"

[output]
target = "side"
task   = "multiclass"

[score]
metric = "accuracy"
folds  = { scheme = "stratified", count = 2 }

[model]
name = "convnet"
width = 4
blocks = 2

[train]
epochs = 1
threads = 1
workers = 0
precision = "32-true"
channels_last = "yes"

[augment]
size = 16
recipe = "none"
"""
IN_TRAIN = {"missing": 6, "empty": 4, "truncated": 7, "not a picture": 5, "1x1": 5, "too large": 3}
IN_TEST = {"missing": 1, "empty": 1, "truncated": 1, "1x1": 1, "too large": 1}


def header_of(width, height):
    """A PNG that declares this size, and holds no pixel."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")


def damage(path: Path, kind: str) -> None:
    if kind == "missing":
        path.unlink()
    elif kind == "1x1":
        Image.new("RGB", (1, 1)).save(path)
    else:
        whole = path.read_bytes()
        broken = {"empty": b"", "truncated": whole[: len(whole) // 2], "not a picture": b"<html>404</html>", "too large": header_of(20_000, 20_000)}
        path.write_bytes(broken[kind])


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """competitions/sides below the current folder: 1,000 training and 100 test pictures whose left or right half is bright."""
    monkeypatch.chdir(tmp_path)
    folder, random = Path("competitions/sides"), np.random.default_rng(0)
    for part, kinds, count in (("train", IN_TRAIN, 1000), ("test", IN_TEST, 100)):
        (folder / "data" / part).mkdir(parents=True)
        ids, right = [f"{part}{n:04d}" for n in range(count)], random.random(count) < 0.5
        pixels = random.integers(0, 60, (count, 16, 16, 3)).astype(np.uint8)
        for id, picture, side in zip(ids, pixels, right):
            picture[:, 8 * side : 8 * side + 8] += 120
            Image.fromarray(picture).save(folder / "data" / part / f"{id}.png")
        hit = iter(random.permutation(ids))
        for kind, times in kinds.items():
            for _ in range(times):
                damage(folder / "data" / part / f"{next(hit)}.png", kind)
        name = "train.csv" if part == "train" else "sample_submission.csv"
        answers = np.where(right, "right", "left") if part == "train" else "left"
        pd.DataFrame({"id": ids, "side": answers}).to_csv(folder / "data" / name, index=False)
    (folder / "config.toml").write_text(CONFIG)
    return folder


def trained(*overrides):
    competition = open_competition("sides", overrides=list(overrides))
    return pipeline.train(competition, competition.data(None, False), pipeline.Says())


@pytest.mark.parametrize("overrides", [(), ("model.name=knn",)], ids=["convnet", "knn"])
def test_damaged_pictures_are_counted_by_kind_and_every_row_is_predicted(damaged, overrides):
    run = trained(*overrides)
    both = Counter(IN_TRAIN) + Counter(IN_TEST)
    told = (run.folder / "log.txt").read_text()
    assert "damaged: " + ", ".join(f"{both[kind]} {kind}" for kind in KINDS) + "\n" in told
    assert "column image: 35 of 1100 pictures are damaged: 7 missing (" in told
    assert run.info["state"] == "finished" and run.info["covered"] == run.info["rows"] == 1000

    for name, file in (("oof.parquet", "train.csv"), ("test.parquet", "sample_submission.csv")):
        rows = Predictions.read(run.folder / name).rows
        assert list(rows["id"]) == list(pd.read_csv(damaged / "data" / file)["id"])
        assert rows[["p_left", "p_right"]].to_numpy().sum(axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    submission = pd.read_csv(run.folder / "submission.csv")
    assert len(submission) == 100 and set(submission["side"]) <= {"left", "right"}
    assert run.info["score"]["mean"] > 0.9  # of rows without a picture half are right by chance


def test_more_damage_than_allowed_stops_before_training_with_the_counts(damaged):
    with pytest.raises(DataError) as error:
        trained("encoders.image.most_damaged=0.01")
    first, *rest = str(error.value).split("\n")
    assert first.startswith("too many pictures of the training rows (column image) cannot be used: 30 of 1000 pictures are damaged: 6 missing (")
    for kind, count in IN_TRAIN.items():
        assert f"{count} {kind} (" in first
    assert rest[0] == "expected a share of at most 0.01" and not list(damaged.rglob("fold-*"))

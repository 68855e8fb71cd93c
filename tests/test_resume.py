"""A network that is killed goes on after its last finished epoch, and ends as if nothing had happened."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kit.files import read_json

SAME = ("submission.csv", "oof.parquet", "test.parquet", "folds.csv", "config.toml")
NETWORK = ["train", "toy", "model.name=mlp", "train.epochs=60", "train.batch_size=8", "train.threads=1"]


def started() -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "kit", *NETWORK], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(table, moments) -> Path:
    """The finished run of a training that was killed so many seconds after it went on, each time."""
    run = table.folder / "runs" / "1-mlp"
    for n, moment in enumerate(moments):
        process = started()
        while process.poll() is None and not ((run / "run.json").exists() and read_json(run / "run.json")["continued"] == n):
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        process.wait()
        if read_json(run / "run.json")["state"] == "finished":
            break
    else:
        assert started().wait() == 0
    assert read_json(run / "run.json")["state"] == "finished"
    return run


def check_as_if_nothing_had_happened(table, moments):
    run = killed(table, moments)
    epochs = Counter(line for line in (run / "log.txt").read_text().splitlines() if "epoch" in line and "going on" not in line)
    assert max(epochs.values()) == 1, "a finished epoch was trained again"
    run.rename(table.folder / "killed")
    assert started().wait() == 0
    for name in SAME:
        assert (table.folder / "killed" / name).read_bytes() == (run / name).read_bytes(), moments
    (table.folder / "killed").rename(table.folder / f"killed {moments}")


def test_network_killed_at_random_moments_ends_as_if_it_had_not_been(table):
    check_as_if_nothing_had_happened(table, [random.uniform(0, 6) for _ in range(2)])


@pytest.mark.slow
def test_network_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(table):
    for n in range(4):
        if n:
            (table.folder / "runs").rename(table.folder / f"runs before {n}")
        check_as_if_nothing_had_happened(table, [random.uniform(0, 6) for _ in range(5)])

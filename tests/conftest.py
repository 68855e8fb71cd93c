"""A small competition in a folder of its own, which tests damage and train on."""

import csv
import datetime
import io
import os
import sys
import zlib
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):  # processes at work have a core each: threads of two that share cores wait for each other
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(os.environ["PYTEST_XDIST_WORKER"][2:]) % len(_cores)]})
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line sets it, before any library starts threads

import numpy as np
import pytest

from kit import cli, pipeline
from kit.competition import open_competition
from kit.errors import KitError

SHARES = 5  # slow tests run on one day of so many


def pytest_addoption(parser):
    parser.addoption("--slow", choices=["none", "rotate", "all"], default="none", help="slow tests: none, today's part, or all")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    wanted, today = config.getoption("--slow"), datetime.date.today().toordinal() % SHARES
    for item in items:
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(_together(item)))
        if "slow" in item.keywords and wanted != "all":
            due = wanted == "rotate" and zlib.crc32(item.nodeid.encode()) % SHARES == today
            if not due:
                item.add_marker(pytest.mark.skip(reason="slow: not today's part; --slow=all runs it"))


def _together(item) -> str:
    """What runs in one process, one after the other: a file, since its tests share fixtures; of the shipped competitions, each alone."""
    path, _, test = item.nodeid.partition("::")
    return f"{path}[{item.callspec.id}]" if path.endswith("contracts/test_competitions.py") and hasattr(item, "callspec") else path


CONFIG = """
[input]
sample_submission = "sample_submission.csv"

[output]
target = "sold"
task = "binary"

[score]
metric = "log_loss"
folds = { scheme = "stratified", count = 2 }

[model]
name = "lightgbm"
rounds = 5
learning_rate = 0.3
min_rows = 2

[train]
threads = 1
"""


class Table:
    """competitions/toy below the current folder: 60 training rows and 30 test rows as lists of fields, the header first."""

    def __init__(self, folder: Path):
        self.folder, self.data = folder, folder / "data"
        random = np.random.default_rng(0)
        rows = [
            [f"{n:04d}", f"{random.normal():.4f}", random.choice(["red", "green", "blue"]), f"2020-{n % 12 + 1:02d}-{n % 28 + 1:02d}"]
            for n in range(90)
        ]
        sold = [str(int(float(size) + (colour == "red") + random.normal(scale=0.3) > 0)) for _, size, colour, _ in rows]
        self.train = [["id", "size", "colour", "listed", "sold"], *([*row, answer] for row, answer in zip(rows[:60], sold))]
        self.test = [["id", "size", "colour", "listed"], *rows[60:]]
        self.sample = [["id", "sold"], *([row[0], "0.5"] for row in rows[60:])]
        self.config(CONFIG)
        self.write()

    def config(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def write(self, *, separator: str = ",", encoding: str = "utf-8") -> None:
        for name, rows in (("train.csv", self.train), ("test.csv", self.test), ("sample_submission.csv", self.sample)):
            self.put(name, as_csv(rows, separator), encoding)

    def put(self, name: str, text: str, encoding: str = "utf-8") -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / name).write_bytes(text.encode(encoding))

    def column(self, name: str, change) -> None:
        """Each field of a column of both files, changed."""
        for rows in (self.train, self.test):
            place = rows[0].index(name)
            for row in rows[1:]:
                row[place] = change(row[place])

    def trained(self, *overrides: str) -> Path:
        """The run folder of `kit train toy`; its progress lines are in log.txt."""
        competition = open_competition("toy", overrides=list(overrides))
        return pipeline.train(competition, competition.data(None, False), pipeline.Says()).folder

    def submission(self, *overrides: str) -> str:
        return (self.trained(*overrides) / "submission.csv").read_text(encoding="utf-8")

    def complaint(self, *overrides: str) -> str:
        """What training says is wrong, and that it wrote no submission."""
        with pytest.raises(KitError) as error:
            self.trained(*overrides)
        assert not list(self.folder.rglob("submission.csv"))
        return str(error.value)


def as_csv(rows: list[list[str]], separator: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()


@pytest.fixture
def table(tmp_path, monkeypatch) -> Table:
    monkeypatch.chdir(tmp_path)
    return Table(Path("competitions/toy"))


class Done:
    """One command as a shell would see it."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out.splitlines(), err.splitlines()


@pytest.fixture
def kit(monkeypatch, capsys):
    """Runs `kit …` in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the test's own handlers stay

    def run(*words) -> Done:
        monkeypatch.setattr(sys, "argv", ["kit", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return run

"""The installed package works by itself: competitions and templates travel inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_wheel_makes_and_trains_titanic_in_an_empty_folder(tmp_path):
    def run(*words, **more):
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    run("pip", "wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(tmp_path / "wheel"))
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    run("pip", "install", "--no-deps", "--quiet", "--target", str(tmp_path / "installed"), str(wheel))
    empty = tmp_path / "empty"
    empty.mkdir()
    away = {"cwd": empty, "env": {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}}
    assert {"titanic", "whale"} <= {line.split()[0] for line in run("kit", "list", **away)}
    assert {"retrieval", "tabular"} <= {line.split()[0] for line in run("kit", "list", "templates", **away)}
    inside = tmp_path / "installed/kit/shipped"
    assert not list(inside.rglob("runs")) and not list(inside.rglob("sample"))
    assert run("kit", "new", "titanic", **away) == ["competitions/titanic"]
    last = run(
        "kit", "train", "titanic", "model.rounds=5", *([] if (inside / "competitions/titanic/data").is_dir() else ["--sample"]), **away
    )[-1]
    assert last == "competitions/titanic/runs/1-lightgbm/submission.csv"
    lines = (empty / last).read_text().splitlines()
    assert lines[0] == "PassengerId,Survived" and len(lines) > 50

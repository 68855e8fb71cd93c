"""Blends of noise: what is reported of runs that know nothing, beside what the rows say that their weights were found on.

    python benchmarks/honest_blend.py [--sets 20] [--runs 12] [--rows 400] [--small]

Each made data set has rows whose answer nothing tells, and runs whose out-of-fold predictions are noise around the mean answer; all are blended
as `kit blend` does it. Lift over the constant is 0 in truth, or a little less, where noise costs the metric something. Counted is how
often 0 lies within the reported 95 % interval of the lift (the limit is 17 of 20), and how often the interval claims a gain that is not there. "in sample" is the lift that the same
weights have on the rows that they were found on, and its column of sets above 0 is what a leaderboard of such figures would look like.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kit import blend as blending
from kit import folds, folds_csv
from kit.competition import open_competition
from kit.fitting import Says
from kit.predictions import Predictions
from kit.runs import Run, open_run

LIMIT, SETS = 17, 20
TRIED = [("auc", "greedy"), ("auc", "stack"), ("log_loss", "greedy"), ("log_loss", "stack"), ("accuracy", "greedy"), ("rmse", "greedy"), ("rmse", "stack")]
CONFIG = """
[input]
sample_submission = "sample_submission.csv"
[output]
target = "y"
task = "{task}"
[score]
metric = "{metric}"
folds = {{ scheme = "kfold", count = 5 }}
[model]
name = "linear"
"""


def noise(folder: Path, *, metric: str, rows: int, runs: int, seed: int) -> list[Run]:
    """Runs of a made competition at `folder`, whose predictions have nothing to do with its answers."""
    random, task = np.random.default_rng(seed), "regression" if metric == "rmse" else "binary"
    answers = random.normal(size=rows) if task == "regression" else (random.random(rows) < 0.4).astype(int)
    ids = np.array([f"{n:05d}" for n in range(rows + 50)], dtype=object)
    table = pd.DataFrame({"id": ids, "x": random.normal(size=len(ids)).round(6)})
    (folder / "data").mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG.format(task=task, metric=metric), encoding="utf-8")
    table[:rows].assign(y=answers).to_csv(folder / "data/train.csv", index=False)
    table[rows:].to_csv(folder / "data/test.csv", index=False)
    pd.DataFrame({"id": ids[rows:], "y": 0.5}).to_csv(folder / "data/sample_submission.csv", index=False)
    split = folds.split(folds.Rows(ids=ids[:rows]), scheme="kfold", count=5)
    made = []
    for number in range(1, runs + 1):
        home = folder / "runs" / f"{number}-noise"
        home.mkdir(parents=True)
        for name, own in (("oof", ids[:rows]), ("test", ids[rows:])):
            told = random.normal(scale=0.3, size=len(own)) if task == "regression" else np.clip(0.4 + random.normal(scale=0.1, size=len(own)), 0.01, 0.99)
            Predictions.of(own, {"y" if task == "regression" else "p": told}).write(home / f"{name}.parquet")
        folds_csv.write(home / "folds.csv", ids[:rows], split)
        run = Run(home, {})
        score = {"mean": float(random.normal(scale=0.01))}  # which of them is called the best is chance
        run.save(state="finished", competition=folder.name, score=score, constant=None, greater_is_better=metric != "rmse", folds="kfold", covered=rows, validated=rows)
        made.append(open_run(home))
    return made


def blended(folder: Path, found: list[Run], method: str) -> dict:
    """What run.json says of the blend's honesty."""
    return blending.blend(open_competition(folder.name), folder / "data", found, [], Says(), method=method).info


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--small", action="store_true", help="two sets, to see whether it runs")
    given = parser.parse_args()
    sets, missed = (2 if given.small else given.sets), 0
    print(f"{sets} sets of {given.rows} rows, {given.runs} runs of noise each\n")
    print("| metric | method | 0 within the interval | interval above 0 | mean lift | in sample: mean lift | in sample: sets above 0 | seconds a blend |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as room:
        os.chdir(room)
        for metric, method in TRIED:
            within, above, lifts, inside, began = 0, 0, [], [], time.monotonic()
            for seed in range(sets):
                folder = Path("competitions") / f"{metric}-{method}-{seed}"
                info = blended(folder, noise(folder, metric=metric, rows=given.rows, runs=given.runs, seed=seed), method)
                honest, sign = info["honest"], 1 if info["greater_is_better"] else -1
                low, high = honest["lift_interval"]
                within += low <= 0 <= high
                above += low > 0
                lifts.append(honest["lift"])
                inside.append(sign * (honest["in_sample"] - info["constant"]))
            seconds = (time.monotonic() - began) / sets
            print(f"| {metric} | {method} | {within} of {sets} | {above} | {np.mean(lifts):+.4f} | {np.mean(inside):+.4f} | {sum(v > 0 for v in inside)} | {seconds:.1f} |", flush=True)
            missed += within < LIMIT / SETS * sets
    print(f"\n{missed} of {len(TRIED)} miss the limit of {LIMIT} of {SETS}" if missed else "\nall keep the limit")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())

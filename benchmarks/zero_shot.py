"""Which models a budget should train on a table that nobody has seen, and in which order: learned from other tables.

    python benchmarks/zero_shot.py TABLES [--rows 8000] [--candidates A,B]

TABLES is as for open_tables.py. Each candidate (a model and its options) is trained on at most so many rows of each table; all that is
looked at is what it predicts out of fold and the seconds of processor time it takes. The answers are not read.

A portfolio is grown greedily: next comes the candidate that lowers the loss of the blend most for the root of its seconds, as a mean over
tables. Weights are greedy selection's of one half of the rows, scored on the other half, both ways; a table's loss is counted from 0, the
best blend of all candidates, to 1, the constant.
For each table the portfolio is grown on the other tables alone and then measured on it: that is what zero_shot.json holds and what the
benchmark beside other libraries uses. The portfolio of all tables is the beginning of the one that kit ships. Keeps `zero_shot.jsonl`;
what it holds is not trained again.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import chdir
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from kit import runs
from kit.blend import _Blending, _common
from kit.choosing import shared_folds
from kit.combining import Members, space_of
from kit.competition import open_competition
from kit.errors import ScoreError
from kit.fitting import Says, constant_parts
from kit.portfolio import TABLES
from kit.predictions import Predictions, joined
from kit.stacking import greedy
from kit.tables import Tables

CANDIDATES = {step.label: list(step.overrides) for step in TABLES if step.label != "constant"}
LOOKED_AT = 2_000  # out-of-fold rows of a table
LONGEST = 10  # steps of a portfolio
MOST_SECONDS = 400  # of one training


def train(table: Path, metric: str, rows: int, label: str) -> dict:
    """One candidate on one table: its run's name and seconds of processor time, or what failed."""
    home, name = Path("zero_shot") / table.name, table.name
    call = [sys.executable, "-m", "kit"]
    if not (home / "competitions" / name).is_dir():
        cut = home / "files"
        cut.mkdir(parents=True, exist_ok=True)
        known = pd.read_csv(table / "train.csv", dtype=str, keep_default_na=False)
        known.sample(n=min(rows, len(known)), random_state=0).to_csv(cut / "train.csv", index=False)
        for part in ("test.csv", "sample_submission.csv"):
            (cut / part).write_bytes((table / part).read_bytes())
        subprocess.run([*call, "new", name, "--from", str(cut.resolve()), f"score.metric={metric}"], check=True, capture_output=True, cwd=home)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run([*call, "train", name, "train.threads=1", *CANDIDATES[label]], capture_output=True, text=True, cwd=home, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {MOST_SECONDS} s"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    return {"run": Path(done.stdout.splitlines()[-1]).parent.name, "seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)}


class Table:
    """What candidates predicted out of fold on one table."""

    def __init__(self, name: str, made: dict[str, dict]):
        competition = open_competition(name)
        adapter = competition.open_adapter(competition.data(None, False))
        tables: Tables = adapter.tables()
        task, metric = adapter.task, competition.metric()
        self.labels = list(made)
        chosen = [runs.open_run(competition.home / "runs" / made[label]["run"]) for label in self.labels]
        self.seconds = {label: made[label]["seconds"] for label in self.labels}
        known = _common([Predictions.read(r.folder / "oof.parquet") for r in chosen], "out-of-fold", Says())
        split = shared_folds(chosen, tables.train.index.to_numpy(dtype=object))
        judge = _Blending(competition, competition.config, tables, task, metric, chosen, Says())._judge(split, known[0])
        kept = np.sort(np.random.default_rng(0).permutation(len(known[0].ids))[:LOOKED_AT])
        self.members = Members.of(task, space_of(task, metric, known[0]), known, known).take(kept)
        self.judge = judge.take(kept)
        ids, target = tables.train.index.to_numpy(dtype=object), task.encode(tables.truth)
        whole = joined(constant_parts(competition, task, ids, target, None, [f for f in split if f.repeat == 0])).take(list(self.members.ids))
        try:
            self.constant = self.judge.quality(whole, self.judge.post(whole))
        except ScoreError:
            self.constant = None
        self.best = self.quality(frozenset(self.labels))

    def quality(self, labels: frozenset[str]) -> float:
        """Of the greedy blend of these, each half by weights of the other half."""
        return _quality(self, labels)

    def loss(self, labels: frozenset[str]) -> float:
        """0: the best blend of all, 1: the constant; those of this table that did not fail."""
        there = labels & frozenset(self.labels)
        return 1.0 if not there else (self.best - self.quality(there)) / (self.best - self.constant)


@cache
def _quality(table: Table, labels: frozenset[str]) -> float:
    positions = [n for n, label in enumerate(table.labels) if label in labels]
    whole = table.members
    held = "values" if whole.values else "parts"
    members = replace(whole, **{held: [getattr(whole, held)[n] for n in positions]})
    groups = [[n] for n in range(len(positions))]
    if len(positions) == 1:
        made = members.by(greedy(members, table.judge, groups))
        return table.judge.quality(made, table.judge.post(made))
    scores = []
    shuffled = np.random.default_rng(1).permutation(len(members.ids))
    for held in (np.sort(shuffled[::2]), np.sort(shuffled[1::2])):
        others = np.setdiff1d(np.arange(len(members.ids)), held)
        rule = greedy(members.take(others), table.judge.take(others), groups)
        made = members.by(rule)
        post = table.judge.post(made)
        own = table.judge.take(held)
        scores.append(own.quality(members.take(held).by(rule), post))
    return float(np.mean(scores))


def grown(tables: list[Table], labels: list[str]) -> list[str]:
    """The portfolio of these tables."""
    steps, loss = [], 1.0
    while len(steps) < LONGEST and len(steps) < len(labels):
        gains = {}
        for label in labels:
            if label not in steps:
                lower = loss - np.mean([t.loss(frozenset([*steps, label])) for t in tables])
                gains[label] = lower / np.mean([t.seconds.get(label, MOST_SECONDS) / t.seconds["lightgbm, quick"] for t in tables]) ** 0.5
        chosen = max(gains, key=gains.get)
        if gains[chosen] <= 0:
            break
        steps.append(chosen)
        loss = np.mean([t.loss(frozenset(steps)) for t in tables])
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--candidates", default=",".join(c.replace(",", ";") for c in CANDIDATES))
    options = parser.parse_args()
    labels = [c.replace(";", ",") for c in options.candidates.split(",")]
    known = json.loads((options.tables / "tables.json").read_text())
    kept = Path("zero_shot.jsonl")
    made = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for label in labels:
        for name in known:
            if any((m["table"], m["label"]) == (name, label) for m in made):
                continue
            began = time.monotonic()
            made.append({"table": name, "label": label, **train((options.tables / name).resolve(), known[name]["metric"], options.rows, label)})
            with kept.open("a") as out:
                out.write(json.dumps(made[-1]) + "\n")
            print(f"{name:<12}{label:<24}{made[-1].get('failed', '')} {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    tables = {}
    for name in known:
        with chdir(Path("zero_shot") / name):
            tables[name] = Table(name, {m["label"]: m for m in made if m["table"] == name and "run" in m and m["label"] in labels})
    portfolios = {}
    print("| left out | portfolio of the others | its loss at 1, 3, 5 steps and whole | lightgbm alone |\n|---|---|---|---|")
    for name, table in tables.items():
        portfolios[name] = steps = grown([t for other, t in tables.items() if other != name], labels)
        reached = [table.loss(frozenset(steps[:k])) for k in (1, 3, 5, len(steps))]
        print(f"| {name} | {'; '.join(steps)} | {' '.join(f'{r:.3f}' for r in reached)} | {table.loss(frozenset(['lightgbm'])):.3f} |", flush=True)
    print(f"\nof all tables: {'; '.join(grown(list(tables.values()), labels))}")
    Path("zero_shot.json").write_text(json.dumps(portfolios, indent=1))


if __name__ == "__main__":
    main()

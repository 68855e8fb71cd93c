"""Which rule for the weights of runs holds on rows that it has not seen: the best run alone, selection, means, a stack.

    python benchmarks/blending_rules.py TABLES

TABLES is as for zero_shot.py, which has to have trained its candidates in the current folder. Of at most so many out-of-fold rows of a
table, three quarters choose runs and weights and the rest score them, six times; gains over the best run are in hundredths of what that
one gains over the constant. The answers are not read.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import zero_shot

from kit.combining import Members, Rule
from kit.stacking import METHODS, Judge

LABELS = ("lightgbm, quick", "lightgbm, small trees", "linear", "realmlp", "lightgbm", "lightgbm, random cuts", "mlp", "lightgbm, large leaves", "extra_trees", "catboost")
ROWS, TIMES = 4_000, 6


def mean_of(many: int) -> Callable[[Members, Judge, list[list[int]]], Rule]:
    """Equal weights of so many of the best runs."""

    def rule(members: Members, judge: Judge, groups: list[list[int]]) -> Rule:
        single = [Rule(tuple(one.tolist()), members.space) for one in np.eye(len(groups))]
        qualities = [judge.quality(made, judge.post(made)) for made in map(members.by, single)]
        chosen = np.argsort(-np.array(qualities), kind="stable")[:many]
        return Rule(tuple(np.isin(range(len(groups)), chosen) / len(chosen)), members.space)

    return rule


RULES = {**METHODS, **{f"mean of {many}": mean_of(many) for many in (2, 3, 5)}, "mean of all": mean_of(len(LABELS))}


def main() -> None:
    zero_shot.LOOKED_AT = ROWS
    made = [json.loads(line) for line in Path("zero_shot.jsonl").read_text().splitlines()]
    known = json.loads((Path(sys.argv[1]) / "tables.json").read_text())
    print(f"| table | {' | '.join(RULES)} |\n|---|{'---|' * len(RULES)}")
    rows = []
    for name in known:
        with chdir(Path("zero_shot") / name):
            table = zero_shot.Table(name, {m["label"]: m for m in made if m["table"] == name and "run" in m and m["label"] in LABELS})
        found, random = defaultdict(list), np.random.default_rng(0)
        for _ in range(TIMES):
            order = random.permutation(len(table.members.ids))
            held, others = np.sort(order[: len(order) // 4]), np.sort(order[len(order) // 4 :])
            chosen, judge = table.members.take(others), table.judge.take(others)
            for label, fit in RULES.items():
                rule = fit(chosen, judge, [[n] for n in range(len(table.labels))])
                post = judge.post(chosen.by(rule))
                found[label].append(table.judge.take(held).quality(table.members.take(held).by(rule), post))
        best = np.mean(found["best"])
        rows.append([100 * (np.mean(found[label]) - best) / (best - table.constant) for label in RULES])
        print(f"| {name} | {' | '.join(f'{v:+.2f}' for v in rows[-1])} |", flush=True)
    ranks = np.array([[1 + sum(other > v for other in row) + (sum(other == v for other in row) - 1) / 2 for v in row] for row in rows])
    print(f"| median | {' | '.join(f'{v:+.2f}' for v in np.median(rows, axis=0))} |\n| mean rank | {' | '.join(f'{v:.1f}' for v in ranks.mean(axis=0))} |")


if __name__ == "__main__":
    main()

"""Whether ids, or the place of a row in its file, go with the answer: rows that were sorted, or written down one by one, tell of their neighbours.

What columns explain is no leak: only what the order tells beyond a model of the columns counts.
"""

import lightgbm
import numpy as np
import pandas as pd
from scipy import stats

from kit.adversary import plain
from kit.leaks import comparable
from kit.tables import Tables

FEWEST = 50  # rows
ALIKE = 0.1  # |rank correlation| of answer and order, or correlation of neighbours' answers, from which order tells
_SURE = 6.0  # standard deviations of the same for shuffled rows
_SHUFFLED = 30
_BLOCKS, _BLOCK = 20, 1000  # rows side by side that are looked at in long files
_CLASSES = 10  # the most frequent
_TREES = {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 10, "num_threads": 1, "verbosity": -1, "seed": 0, "deterministic": True}
_ROUNDS = 40


def ids(tables: Tables, answers: pd.Series, numbers: bool) -> list[str]:
    """Whether ids, as numbers, go with the answers: the rows were sorted before they were numbered."""
    if not comparable(answers) or answers.nunique() < 2 or len(answers) < FEWEST:
        return []
    names = pd.Series(tables.train.index)
    places = pd.to_numeric(names, errors="coerce")
    if places.isna().any():
        places = pd.to_numeric(names.str.extract(r"(\d+)(?:\.\w+)?$", expand=False), errors="coerce")
    if places.isna().any():
        return []
    answered = pd.to_numeric(answers, errors="coerce") if numbers else answers
    ordered = pd.to_numeric(answers, errors="coerce")
    ordered = ordered if ordered.notna().all() else pd.Series(pd.factorize(answers, sort=True)[0])
    found = stats.spearmanr(places, ordered)
    if found.pvalue < 1e-6 and abs(found.statistic) > ALIKE:
        return [f"leak    ids go with {answers.name!r}: rank correlation {found.statistic:.3f} over {len(places)} rows"]
    if places.nunique() < 0.9 * len(places):
        return []
    alike = _neighbours(tables, answered, np.argsort(places.to_numpy(), kind="stable"), numbers)
    return [f"leak    neighbouring ids have like {answers.name!r}: {alike}; the ids of test rows may tell as much"] if alike else []


def rows(tables: Tables, answers: pd.Series, numbers: bool, places: np.ndarray, file: str, at_random: bool) -> list[str]:
    """Whether the place of a row in its file goes with the answer.

    places     (n,) of each training row
    at_random  whether folds are: where they keep clips or classes whole, files are in that order too, and it is no news
    """
    if not comparable(answers) or answers.nunique() < 2 or len(answers) < FEWEST or not at_random:
        return []
    alike = _neighbours(tables, answers, np.argsort(places, kind="stable"), numbers)
    if not alike:
        return []
    return [f"leak    the order of the rows in {file} goes with {answers.name!r}: {alike}; rows of the test file may lie in the same order"]


def _neighbours(tables: Tables, answers: pd.Series, order: np.ndarray, numbers: bool) -> str:
    """How alike rows are to the next in this order, "" where that is chance or is what the columns say."""
    random = np.random.default_rng(0)
    if len(order) > _BLOCKS * _BLOCK:  # neighbours must stay neighbours
        starts = np.linspace(0, len(order) - _BLOCK, _BLOCKS).astype(np.int64)
        order = np.concatenate([order[start : start + _BLOCK] for start in starts])
    cells = answers.iloc[order].reset_index(drop=True)
    if numbers:
        goal = cells.rank(pct=True).to_numpy(dtype=np.float64)[:, None]
    else:
        most = cells.astype("str").value_counts().index[:_CLASSES]
        goal = np.column_stack([(cells.astype("str") == label).to_numpy(dtype=np.float64) for label in most])
    found, sure = _alike(goal - goal.mean(axis=0), random)
    if found < ALIKE or sure < _SURE:
        return ""
    features = plain(tables.train.iloc[order], {name: column.kind for name, column in tables.schema.items()}).to_numpy(dtype=np.float64)
    if features.shape[1]:
        left, sure = _alike(goal - _explained(features, goal, random), random)
        if left < ALIKE or sure < _SURE:
            return ""
        return f"neighbours' answers have a correlation of {found:.2f}, and of {left:.2f} beyond what the columns say, over {len(order)} rows"
    return f"neighbours' answers have a correlation of {found:.2f} over {len(order)} rows"


def _alike(left: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """(correlation of neighbours, the same in standard deviations of shuffled rows). left  (n, m), of mean 0"""

    def beside(values: np.ndarray) -> float:
        return float((values[:-1] * values[1:]).sum() / max((values**2).sum(), 1e-12))

    by_chance = [beside(left[random.permutation(len(left))]) for _ in range(_SHUFFLED)]
    found = beside(left)
    return found, (found - float(np.mean(by_chance))) / max(float(np.std(by_chance)), 1e-12)


def _explained(features: np.ndarray, goal: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n, m) what a model of the columns says of rows that it was not fitted on."""
    part, told = random.permutation(len(goal)) % 3, np.empty_like(goal)
    for k in range(3):
        held = part == k
        for column in range(goal.shape[1]):
            data = lightgbm.Dataset(features[~held], goal[~held, column])
            told[held, column] = lightgbm.train({**_TREES, "objective": "regression"}, data, _ROUNDS).predict(features[held], num_threads=1)
    return told

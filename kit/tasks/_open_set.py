"""Answers of an open set, where a row may be of no known class: `unknown` put among ranked classes, and labels with a confidence.

What is said for `unknown` is one score for all rows: it stands before the classes that score less.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from kit.errors import DataError, shorten
from kit.folds import Fold

NEVER, ALWAYS = 0.0, float(np.finfo(np.float64).max)  # scores are above 0, and JSON has no infinity
_TRIED = 16  # quantiles of the rows' best scores, and again as many between the neighbours of the best of them

Listed = tuple[Sequence[str], np.ndarray]  # (classes, their scores, falling)


def ranked(lists: Sequence[Listed], k: int, unknown: str, least: float | None) -> list[list[str]]:
    """The first k answers of each row.

    least  a score: `unknown` comes before the classes that score less; None leaves it out
    """
    if least is None:
        return [list(names[:k]) for names, _ in lists]
    before = [int(np.count_nonzero(np.asarray(scores) >= least)) for _, scores in lists]
    return [[*names[:n], unknown, *names[n:k]][:k] for n, (names, _) in zip(before, lists)]


def fit_least(best: np.ndarray, quality: Callable[[float], float]) -> float:
    """The score of `unknown` with the greatest quality: a quantile of the rows' best scores, NEVER or ALWAYS; the least of equals.

    best  (n,) score of each row's first class, 0 where there is none
    """
    tried: dict[float, float] = {}
    low, high = 0.0, 1.0
    for _ in range(2):
        shares = np.linspace(low, high, _TRIED)
        quantiles = np.quantile(best, shares, method="higher")
        for least in (NEVER, *quantiles.tolist(), ALWAYS):
            if least not in tried:
                tried[least] = quality(least)
        chosen = int(np.argmax([tried[least] for least in quantiles.tolist()]))
        low, high = shares[max(chosen - 1, 0)], shares[min(chosen + 1, _TRIED - 1)]
    return max(sorted(tried), key=tried.__getitem__)


def out_of_fold(classes: np.ndarray, unknown: str, split: Sequence[Fold]) -> np.ndarray:
    """(n,) classes, with `unknown` for a validated row whose class no training row of its fold has."""
    told = classes.copy()
    for fold in split:
        new = ~pd.Index(classes[fold.valid]).isin(np.unique(classes[fold.train].astype(str)))
        told[fold.valid[new]] = unknown
    return told


def confident(lists: Sequence[Listed]) -> list[tuple[str, float] | None]:
    """The first class of each row and its confidence; None where a row has none.

    Raises DataError for a class with a space: in a cell a space parts the class from its confidence.
    """
    told = [(str(names[0]), float(scores[0])) if len(names) else None for names, scores in lists]
    odd = sorted({said[0] for said in told if said and said[0].split() != [said[0]]})
    if odd:
        raise DataError(f'{len(odd)} classes hold a space, and "class confidence" is parted by one: {shorten(map(repr, odd))}\nrename them')
    return told


def read_confident(cells: list[list[str]], column: str, ids: Sequence[str]) -> list[Listed]:
    """cells  words of each. Raises DataError where they are not a class and a number."""
    wrong = [f"{id}: {' '.join(cell)!r}" for id, cell in zip(ids, cells) if cell and not (len(cell) == 2 and _is_finite(cell[1]))]
    if wrong:
        raise DataError(
            f'{len(wrong)} cells of column {column!r} are no label and confidence, as in "8815 0.03": {shorten(wrong)}\n'
            "a blank cell says that there is none"
        )
    return [([cell[0]], np.array([float(cell[1])])) if cell else ([], np.empty(0)) for cell in cells]


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False

"""Rows and groups dealt out: which fold validates each."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from kit.errors import FoldError, shorten
from kit.folds._rows import Fold


def repeated(count: int, repeats: int, seed: int, assign: Callable[[np.random.Generator], np.ndarray]) -> list[Fold]:
    """The folds of each repeat; `assign` draws the number of the fold that validates each row."""
    folds = []
    for repeat in range(repeats):
        number = assign(np.random.default_rng([seed, repeat]))
        folds += [Fold(repeat, k, np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(count)]
    if empty := [fold.fold for fold in folds if len(fold.valid) == 0]:
        raise FoldError(f'folds {shorten(empty)} would validate no rows\nlower score.folds.count, or set score.folds.scheme = "kfold"')
    return folds


def some_folds(number: np.ndarray, trained: np.ndarray, count: int, only: int) -> list[Fold]:
    """The first `only` folds, or all.

    number   the fold that validates each row
    trained  (n,) bool: rows that the other folds train on
    """
    folds = [Fold(0, k, np.flatnonzero((number != k) & trained), np.flatnonzero(number == k)) for k in range(only or count)]
    for part, verb in (("valid", "validate"), ("train", "train on")):
        if empty := [fold.fold for fold in folds if len(getattr(fold, part)) == 0]:
            raise FoldError(f'folds {shorten(empty)} would {verb} no rows\nlower score.folds.count, or set score.folds.scheme = "kfold"')
    return folds


def kept_whole(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, groups kept whole and fold sizes level."""
    if not len(groups):
        return np.empty(0, np.int64)
    codes, nothing = pd.factorize(groups)[0], np.empty(0, np.int64)
    return level(codes, nothing, nothing, count, rng)[codes]


def strata_of(target: np.ndarray, continuous: bool, bins: int = 10) -> np.ndarray:
    """One code a row, equal for rows that count as alike: of one class, of one set of labels, or in one of up to 10 quantiles.

    bins  quantiles that there are enough rows or groups for; several numbers a row are ranked by the sum of their ranks
    """
    n = len(target)
    if continuous:  # ranks, not values: equal values (many zeros) would make bins too small to deal out
        ranks = target.reshape(n, -1).argsort(axis=0, kind="stable").argsort(axis=0).sum(axis=1)
        return ranks.argsort(kind="stable").argsort() * max(1, min(10, bins)) // n
    if target.ndim == 2:
        bits = np.packbits(target.astype(bool), axis=1)
        return np.unique(bits.view(f"V{bits.shape[1]}").ravel(), return_inverse=True)[1]
    return pd.factorize(target, use_na_sentinel=False)[0]


def by_stratum(strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions, stratum after stratum, shuffled within each."""
    order = rng.permutation(len(strata))
    return order[np.argsort(strata[order], kind="stable")]


def deal(strata: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, as cards are dealt: each stratum, and all rows, even over the folds to within one row."""
    number = np.empty(len(strata), np.int64)
    number[by_stratum(strata, rng)] = rng.permutation(count)[np.arange(len(strata)) % count]
    return number


def spread_labels(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row by iterative stratification: the rarest label first, each row to the fold that lacks it most.

    Sechidis, Tsoumakas, Vlahavas (2011), On the Stratification of Multi-Label Data, algorithm 1. Deviation: rows with equal label sets
    are dealt out in whole rounds first, which leaves every fold wanting the same, and fewer than `count` rows of a set to the loop.
    """
    sets = strata_of(labels, False)
    order, sizes = by_stratum(sets, rng), np.bincount(sets)
    place = np.arange(len(sets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within its set
    number = np.empty(len(sets), np.int64)
    number[order] = place % count

    left = order[place >= np.repeat(sizes - sizes % count, sizes)]
    has = np.column_stack([labels[left].astype(bool), np.ones(len(left), bool)])  # (left, labels + 1): being a row is the last label
    number[left] = -1
    remaining, todo = has.sum(axis=0), np.ones(len(left), bool)
    lacks = np.tile(remaining / count, (count, 1))  # (count, labels + 1) rows still wanted
    while todo.any():
        label = np.where(remaining > 0, remaining, len(left) + 1).argmin()
        members = np.flatnonzero(todo & has[:, label])
        for row in members:
            fold = np.lexsort((rng.random(count), lacks[:, -1], lacks[:, label]))[-1]
            number[left[row]] = fold
            lacks[fold] -= has[row]
        todo[members] = False
        remaining = remaining - has[members].sum(axis=0)
    return number


def level(groups: np.ndarray, members: np.ndarray, classes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each group: the large first, each to the fold where the class shares then vary least over the folds.

    members, classes  pairs: row members[i] is of class classes[i]
    Being a row counts as one more class, so without classes this levels the sizes alone, and no fold stays empty.
    As scikit-learn's StratifiedGroupKFold but for two things: the variance stands for the standard deviation, so that adding
    a group with shares g to a fold with shares f costs 2 f·g and a constant; and a group is large by its largest share.
    """
    k, n_groups = classes.max(initial=-1) + 1, groups.max() + 1
    kind = np.concatenate([classes, np.full(len(groups), k)])
    pairs, rows = np.unique(np.concatenate([groups[members], groups]) * (k + 1) + kind, return_counts=True)
    owner, kind = np.divmod(pairs, k + 1)  # few classes a group: pairs, not a (groups, classes) table
    share = rows / np.bincount(kind, rows)[kind]
    begins = np.searchsorted(owner, np.arange(n_groups + 1))
    # up to a fifth off: repeats differ even where no two groups are of one size
    weight = np.maximum.reduceat(share, begins[:-1]) * rng.uniform(0.8, 1.0, n_groups)

    number, names = np.empty(n_groups, np.int64), rng.permutation(count)
    held = np.zeros((k + 1, count))  # share of each class that each fold holds
    for chosen in np.argsort(-weight, kind="stable"):
        part = slice(begins[chosen], begins[chosen + 1])
        fold = (share[part] @ held[kind[part]]).argmin()
        held[kind[part], fold] += share[part]
        number[chosen] = names[fold]
    return number


def some_groups(sizes: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """0 for each group held out, else 1: drawn at random while they fit into `wanted` rows; the smallest where none fits."""
    number, order = np.ones(len(sizes), np.int64), rng.permutation(len(sizes))
    for chosen in order:
        if sizes[chosen] <= wanted:
            number[chosen] = 0
            wanted -= sizes[chosen]
    if number.all():
        number[order[sizes[order].argmin()]] = 0
    return number

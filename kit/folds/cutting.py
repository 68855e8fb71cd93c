"""Cuts inside a part: what early stopping watches of a training part, and what is hidden in turn of a validated one."""

import numpy as np
import pandas as pd

from kit.errors import FoldError
from kit.folds._dealing import deal, level, spread_labels, strata_of
from kit.folds._rows import COUNT, Fold, Rows
from kit.folds.drawn import holdout, kfold
from kit.folds.forward import blocks_of
from kit.folds.schemes import SCHEMES
from kit.folds.unseen import open_set

FEWEST_TO_CUT = 10  # rows; fewer leave too little to watch


def cut(rows: Rows, scheme: str, seed: int, options: dict | None = None, *, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """(train positions, watched positions): the one cut that early stopping watches; see cuts."""
    return cuts(rows, scheme, seed, options, count=count)[0]


def cuts(
    rows: Rows, scheme: str, seed: int, options: dict | None = None, *, count: int = COUNT, how_many: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to `how_many` pairs (train positions, watched positions), cut from a training part by the scheme that made it.

    rows     the training part alone, as from `rows.take(fold.train)`
    options  of the outer scheme; its count, repeats and seed are not used here
    count    parts, at least `how_many`, of which one is watched

    Forward-in-time schemes watch the last blocks, latest first. `given` has no meaning inside: it is a holdout of 1 / count.
    Nor have `classes` and `open_set`, as nothing is learned by watching classes that are not trained on: rows are dealt by class.
    What worked outside may not fit inside, and then the next that does is taken:
    fewer groups than `count`: as many parts as groups; one group: kfold. A class with fewer rows than `count`: kfold.
    Nothing before the last block: size and window are dropped, then gap and purge, then groups; one moment: kfold.
    Raises FoldError if there are fewer than 10 rows.
    """
    n, count = len(rows.ids), max(count, how_many)
    if n < FEWEST_TO_CUT:
        raise FoldError(
            f"{n} training rows are too few to cut some off for early stopping: expected at least {FEWEST_TO_CUT}\n"
            "train for a fixed number of rounds or epochs, or raise score.folds.count"
        )
    options = {key: value for key, value in (options or {}).items() if key not in ("count", "repeats", "seed")}
    try:
        if scheme in ("time", "group_time"):
            folds = _last_blocks(rows, scheme, options, count)
        elif scheme in ("holdout", "given"):
            folds = holdout(rows, share=options.get("share", 1 / count), repeats=how_many, seed=seed)
        elif scheme in ("classes", "open_set"):
            folds = open_set(rows, unknown=0.0, count=min(count, n), seed=seed)
        else:
            groups = len(pd.unique(rows.group)) if scheme in ("group", "stratified_group") else count
            folds = SCHEMES[scheme](rows, count=min(count, groups), seed=seed)
    except FoldError:  # the outer split found nothing wrong with the rows: here a class is too small, or one group is left
        folds = []
    folds = folds or kfold(rows, count=min(count, n), seed=seed)
    return [(fold.train, fold.valid) for fold in folds[:how_many]]


def dealt(rows: Rows, seed: int, *, count: int = COUNT) -> list[np.ndarray]:
    """Positions of the rows in up to `count` parts, none empty: each class, quantile or label is spread over them as far as it goes, however rare.

    Groups, of which there are two or more, stay whole, a missing one as any other.
    """
    n, rng = len(rows.ids), np.random.default_rng([seed, 0])
    target = np.zeros(n, np.int64) if rows.target is None else rows.target
    labels = target.ndim == 2 and not rows.continuous
    groups = np.zeros(n, np.int64) if rows.group is None else pd.factorize(rows.group, use_na_sentinel=False)[0]
    if (many := groups.max(initial=0) + 1) > 1:
        count = min(count, many)
        members, classes = np.nonzero(target) if labels else (np.arange(n), strata_of(target, rows.continuous, many // count))
        number = level(groups, members, classes, count, rng)[groups]
    else:
        count = min(count, n)
        number = spread_labels(target, count, rng) if labels else deal(strata_of(target, rows.continuous, n // count), count, rng)
    return [own for own in (np.flatnonzero(number == k) for k in range(count)) if len(own)]


def _last_blocks(rows: Rows, scheme: str, options: dict, count: int) -> list[Fold]:
    moments = len(pd.unique(rows.time))
    embargo = {key: value for key, value in options.items() if key in ("gap", "purge")}
    tries = [(scheme, options), (scheme, embargo), (scheme, {}), ("time", {})]
    for name, kept in tries if moments > 1 else ():
        blocks = blocks_of(rows, name, min(count, moments - 1), **kept)
        if folds := [fold for fold in reversed(blocks) if len(fold.train) and len(fold.valid)]:
            return folds
    return []

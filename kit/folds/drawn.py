"""Folds that are drawn: of rows or of groups, level in their classes where that is asked."""

import numpy as np
import pandas as pd

from kit.folds._dealing import by_stratum, deal, kept_whole, level, repeated, some_groups, spread_labels, strata_of
from kit.folds._rows import COUNT, REPEATS, SEED, Fold, Rows
from kit.folds._wrong import complete, few_groups, small_classes, stop_if, wrong_numbers


def kfold(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Rows dealt at random, sizes equal to within one row."""
    stop_if(wrong_numbers(rows, count, repeats, seed))
    alike = np.zeros(len(rows.ids), np.int64)
    return repeated(count, repeats, seed, lambda rng: deal(alike, count, rng))


def stratified(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Like kfold, and every fold has the same share of each class, quantile or label.

    Raises FoldError if a class has fewer rows than `count`. A label of a multilabel target may: it is spread as far as it goes.
    """
    target = complete(rows, "target", "stratified")
    multilabel = target.ndim == 2 and not rows.continuous
    small = [] if multilabel or rows.continuous else small_classes(target, count)
    stop_if(wrong_numbers(rows, count, repeats, seed) + small)
    if multilabel:
        return repeated(count, repeats, seed, lambda rng: spread_labels(target, count, rng))
    strata = strata_of(target, rows.continuous, len(target) // count)
    return repeated(count, repeats, seed, lambda rng: deal(strata, count, rng))


def group(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Groups kept whole, fold sizes as even as the groups allow."""
    groups = pd.factorize(complete(rows, "group", "group"))[0]
    stop_if(wrong_numbers(rows, count, repeats, seed) + few_groups(groups, count))
    return repeated(count, repeats, seed, lambda rng: kept_whole(groups, count, rng))


def stratified_group(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Groups kept whole, and the share of each class, quantile or label as even over the folds as the groups allow."""
    target = complete(rows, "target", "stratified_group")
    groups = pd.factorize(complete(rows, "group", "stratified_group"))[0]
    stop_if(wrong_numbers(rows, count, repeats, seed) + few_groups(groups, count))
    if target.ndim == 2 and not rows.continuous:
        members, classes = np.nonzero(target)
    else:
        members, classes = np.arange(len(groups)), strata_of(target, rows.continuous, (groups.max() + 1) // count)
    return repeated(count, repeats, seed, lambda rng: level(groups, members, classes, count, rng)[groups])


def holdout(rows: Rows, *, share: float = 0.2, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """One fold: whole groups where there are groups, else stratified where there is a target, however rare a class.

    share  of the rows validated, above 0 and below 1; groups may make it smaller or, where all are larger, larger
    `count` is not used.
    """
    n, problems = len(rows.ids), wrong_numbers(rows, 2, repeats, seed)
    if not 0 < share < 1:
        problems.append(f"score.folds.share is {share:g}: expected above 0 and below 1")
    groups = None if rows.group is None else pd.factorize(complete(rows, "group", "holdout"))[0]
    stop_if(problems + ([] if groups is None else few_groups(groups, 2)))
    wanted = min(max(round(share * n), 1), n - 1)
    strata = np.zeros(n, np.int64) if rows.target is None else strata_of(rows.target, rows.continuous, wanted)

    def assign(rng: np.random.Generator) -> np.ndarray:
        if groups is not None:
            return some_groups(np.bincount(groups), wanted, rng)[groups]
        steps = (np.arange(wanted) + rng.random()) * (n / wanted)  # evenly through each stratum
        number = np.ones(n, np.int64)
        number[by_stratum(strata, rng)[steps.astype(np.int64).clip(max=n - 1)]] = 0
        return number

    return repeated(1, repeats, seed, assign)

"""Folds whose validated rows are of classes that nobody trained on: all of them, or a share."""

import numpy as np
import pandas as pd

from kit.folds._dealing import deal, kept_whole, some_folds
from kit.folds._rows import COUNT, REPEATS, SEED, Fold, Rows
from kit.folds._wrong import classes_of, complete, one_split, stop_if, too_many, wrong_numbers


def classes(rows: Rows, *, count: int = COUNT, only: int = 0, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Classes kept whole, fold sizes as even as the classes allow: for test rows that are of new classes.

    only  so many of the folds are trained and validated, and the others are training rows of each; 0 is all
    Rows of no class (-1) are validated, dealt evenly over the folds, and never trained on. `repeats` must be 1.
    """
    named = classes_of(rows, "classes")
    found = named.max(initial=-1) + 1
    lower = f"lower score.folds.count to {found}, or " if found > 1 else ""
    few = f'{count} parts need at least {count} classes, and the training rows have {found}: a class is never cut\n{lower}set score.folds.scheme = "kfold"'
    stop_if(wrong_numbers(rows, count, 1, seed) + one_split("classes", repeats) + too_many("only", only, count) + ([few] if found < count else []))
    rng = np.random.default_rng([seed, 0])
    number = np.empty(len(named), np.int64)
    number[named < 0] = deal(named[named < 0], count, rng)
    number[named >= 0] = kept_whole(named[named >= 0], count, rng)
    return some_folds(number, named >= 0, count, only)


def open_set(rows: Rows, *, unknown: float = 0.3, count: int = COUNT, only: int = 0, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Like stratified, but part of the classes are kept whole: for test rows that may be of no class that training rows have.

    unknown  share of the rows, from 0 to below 1, that are of no class that their fold trains on: rows of no class (-1), which are
             validated and never trained on; classes of one row; then classes that are drawn, as many as fit
    only     so many of the folds are trained and validated, and the others are training rows of each; 0 is all
    Every other class has a row or more in the training part of each fold. Groups, where rows have them, are kept whole: they stand for
    rows in all of this, and rows of one group must be of one class. `repeats` must be 1.
    """
    named = classes_of(rows, "open_set")
    problems = wrong_numbers(rows, count, 1, seed) + one_split("open_set", repeats) + too_many("only", only, count)
    unit = np.arange(len(named)) if rows.group is None else pd.factorize(complete(rows, "group", "open_set"))[0]
    if (pd.Series(named).groupby(unit).nunique() > 1).any():
        problems.append('score.folds.scheme = "open_set" keeps groups whole, and some have rows of several classes\nname groups within the classes')
    if not 0 <= unknown < 1:
        problems.append(f"score.folds.unknown is {unknown:g}: expected 0 or more, and below 1")
    stop_if(problems)
    rng = np.random.default_rng([seed, 0])
    kind = np.empty(unit.max() + 1, np.int64)  # class of each unit
    kind[unit] = named
    sizes, units = np.bincount(named[named >= 0], minlength=1), np.bincount(kind[kind >= 0], minlength=1)
    whole = units == 1
    left = round(unknown * len(named)) - int((named < 0).sum()) - int(sizes[whole].sum())
    for drawn in rng.permutation(len(sizes)):
        if units[drawn] > 1 and sizes[drawn] <= left:
            whole[drawn] = True
            left -= sizes[drawn]
    number = np.empty(len(kind), np.int64)
    alone = (kind >= 0) & whole[kind]  # of classes that are in one fold
    number[~alone] = deal(kind[~alone], count, rng)
    number[alone] = kept_whole(kind[alone], count, rng)
    return some_folds(number[unit], named >= 0, count, only)

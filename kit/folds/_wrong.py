"""What can be wrong with rows or options, said so that it can be mended."""

import numpy as np
import pandas as pd

from kit.errors import FoldError, bullets, shorten
from kit.folds._rows import Rows


def stop_if(problems: list[str]) -> None:
    if problems:
        raise FoldError(bullets(problems))


def wrong_numbers(rows: Rows, count: int, repeats: int, seed: int, *, least: int = 2) -> list[str]:
    n = len(rows.ids)
    low = [(key, v, at) for key, v, at in (("count", count, least), ("repeats", repeats, 1), ("seed", seed, 0)) if v < at]
    many = f"score.folds.count is {count}, but there are only {n} training rows: lower it, or check input.train"
    return [f"score.folds.{key} is {v}: expected at least {at}" for key, v, at in low] + ([many] if count > n else [])


def one_split(scheme: str, repeats: int) -> list[str]:
    wrong = f'score.folds.repeats is {repeats}, but score.folds.scheme = "{scheme}" has one split only: set repeats = 1'
    return [] if repeats == 1 else [wrong]


def too_many(key: str, value: int, count: int) -> list[str]:
    return [] if 0 <= value <= count else [f"score.folds.{key} is {value}: expected from 0, which is all, to score.folds.count = {count}"]


def complete(rows: Rows, word: str, scheme: str) -> np.ndarray:
    """rows.target, group or time, without a missing value."""
    values = getattr(rows, word)
    if values is None:
        how = 'set score.folds.scheme = "kfold"' if word == "target" else "say in config.toml which column it is"
        raise FoldError(f'score.folds.scheme = "{scheme}" needs a {word} for each row, and there is none\n{how}')
    missing = pd.isna(values).reshape(len(values), -1).any(axis=1)
    if word == "group" and values.dtype.kind in "OUT":  # a blank class may be an answer, a blank group is none
        missing |= values == ""
    if missing.any():
        raise FoldError(
            f'{missing.sum()} of {len(values)} training rows have no {word}, and score.folds.scheme = "{scheme}" needs one for each\n'
            f"ids {shorten(rows.ids[missing])}\nfill them in, or drop these rows"
        )
    return values


def classes_of(rows: Rows, scheme: str) -> np.ndarray:
    """(n,) int64 class of each row, -1 for rows of no class."""
    target = complete(rows, "target", scheme)
    if target.ndim > 1 or rows.continuous:
        held = "a number" if rows.continuous else "any number of labels"
        raise FoldError(f'score.folds.scheme = "{scheme}" needs one class for each row, and the target is {held}\nset score.folds.scheme = "kfold"')
    named = np.full(len(target), -1, np.int64)
    known = np.asarray(target != -1) if target.dtype.kind in "iuO" else np.ones(len(target), bool)
    named[known] = pd.factorize(target[known])[0]
    return named


def small_classes(target: np.ndarray, count: int) -> list[str]:
    codes, classes = pd.factorize(target)
    sizes = np.bincount(codes).tolist()
    small = [k for k in np.argsort(sizes, kind="stable") if sizes[k] < count]
    if not small:
        return []
    listed = shorten((f"{classes[k]} ({sizes[k]} row{'s' * (sizes[k] > 1)})" for k in small), limit=20)
    lower = f"lower score.folds.count to {sizes[small[0]]}, or " if sizes[small[0]] > 1 else ""
    return [
        f"score.folds.count is {count}, but {len(small)} of {len(classes)} classes have fewer rows: {listed}\n"
        f'each fold is to validate rows of each class\n{lower}set score.folds.scheme = "kfold"'
    ]


def few_groups(groups: np.ndarray, count: int) -> list[str]:
    found = groups.max(initial=-1) + 1
    lower = f"lower score.folds.count to {found}, or " if found > 1 else ""
    what = f"{count} parts need at least {count} groups, and the training rows have {found}: a group is never cut"
    return [] if found >= count else [f"{what}\n{lower}name a finer group column"]

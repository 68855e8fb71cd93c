"""Folds that a column names, such as the host's own validation files."""

import numpy as np
import pandas as pd

from kit.errors import FoldError, shorten
from kit.folds._rows import COUNT, REPEATS, SEED, Fold, Rows
from kit.folds._wrong import one_split, stop_if


def given(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """The folds of a column, in ascending order of its numbers; rows of -1 or nothing are always in training.

    `repeats` must be 1; `count` and `seed` are not used.
    """
    if rows.given is None:
        raise FoldError(
            'score.folds.scheme = "given" needs a fold number for each row, and there is none\nsay in config.toml which column it is'
        )
    as_read = pd.Series(rows.given, dtype=object).replace("", None)
    numbers = pd.to_numeric(as_read, errors="coerce").to_numpy(np.float64)
    wrong = as_read.notna().to_numpy() & ~(np.isfinite(numbers) & (numbers >= -1) & (numbers == np.floor(numbers)))
    problems = one_split("given", repeats)
    if wrong.any():
        problems.append(
            f"{wrong.sum()} training rows have no usable fold number: {shorten(as_read[wrong].unique())} (ids {shorten(rows.ids[wrong])})\n"
            "expected whole numbers from 0 on, and -1 or nothing for rows that are always in training"
        )
    stop_if(problems)
    values = np.unique(numbers[numbers >= 0])
    if len(values) == 0 or (numbers == values[0]).all():
        all_in_one = f"validates all {len(numbers)} rows in one fold and leaves none to train on"
        what = all_in_one if len(values) else "validates no row"
        raise FoldError(f'score.folds.scheme = "given" {what}\nexpected two fold numbers or more, or one and -1')
    return [Fold(0, k, np.flatnonzero(numbers != value), np.flatnonzero(numbers == value)) for k, value in enumerate(values)]

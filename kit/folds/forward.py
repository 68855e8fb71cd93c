"""Folds forward in time: what is validated comes after all that was learned from."""

import numpy as np
import pandas as pd

from kit.errors import FoldError, shorten
from kit.folds._rows import COUNT, REPEATS, SEED, Fold, Rows
from kit.folds._wrong import complete, one_split, stop_if, wrong_numbers


def time(
    rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED,
    size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None,
) -> list[Fold]:  # fmt: skip
    """Forward in time: each fold trains on the past of its validation block. Rows of one moment share a block.

    All widths are in days where time is a date, else in the unit of the time column. t0 is the first moment in the block.
    count   blocks, at least 1, the last one ending at the last moment
    size    width of a block; None: blocks of n // (count + 1) rows
    gap     rows from t0 - gap on are unused
    purge   width of a label's period: a row whose [t, t + purge] reaches t0 is unused; adds to gap
    window  width of the training part, which ends before t0 - gap - purge; None: all of the past
    `repeats` must be 1, and `seed` is not used: nothing is drawn.
    """
    return _forward(rows, "time", count, repeats, seed, {"size": size, "gap": gap, "purge": purge, "window": window})


def group_time(
    rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED,
    size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None,
) -> list[Fold]:  # fmt: skip
    """Like time, and the past of groups that are in the validation block is unused too."""
    return _forward(rows, "group_time", count, repeats, seed, {"size": size, "gap": gap, "purge": purge, "window": window})


def _forward(rows: Rows, scheme: str, count: int, repeats: int, seed: int, widths: dict[str, float | None]) -> list[Fold]:
    problems = wrong_numbers(rows, count, 1, seed, least=1) + one_split(scheme, repeats)
    for key, width in widths.items():
        if key in ("gap", "purge") and not width >= 0:
            problems.append(f"score.folds.{key} is {width:g}: expected 0 or more")
        if key in ("size", "window") and width is not None and not width > 0:
            problems.append(f"score.folds.{key} is {width:g}: expected more than 0")
    stop_if(problems)
    when = complete(rows, "time", scheme)
    moments = len(pd.unique(when))
    if widths["size"] is None and moments <= count:
        raise FoldError(
            f"score.folds.count is {count}, but the training rows have only {moments} different times\n"
            f"{count} blocks and a first training part need {count + 1}: a moment is never cut\nlower score.folds.count"
        )
    folds = blocks_of(rows, scheme, count, **widths)
    for part, verb in (("valid", "validate"), ("train", "train on")):
        if empty := [fold.fold for fold in folds if len(getattr(fold, part)) == 0]:
            given_widths = ", ".join(f"{key} = {width:g}" for key, width in widths.items() if width)
            apart = "; a group that is in the block is left out of its training part" if scheme == "group_time" else ""
            raise FoldError(
                f'score.folds.scheme = "{scheme}": folds {shorten(empty)} of {count} would {verb} no rows\n'
                f"times go from {when.min()} to {when.max()}{', with ' * bool(given_widths)}{given_widths}{apart}\n"
                "lower count, size, gap or purge, or raise window"
            )
    return folds


def blocks_of(
    rows: Rows, scheme: str, count: int, *, size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None
) -> list[Fold]:
    """`count` blocks and the past of each; either may be empty."""
    when, unit = _clock(rows, scheme)
    groups = pd.factorize(complete(rows, "group", scheme))[0] if scheme == "group_time" else None

    def ticks(width: float) -> float | int:  # whole where it can be: a 19-digit time is not exact as a float
        return int(width * unit) if float(width * unit).is_integer() else width * unit

    if size is None:
        moments, first = np.unique(np.sort(when), return_index=True)
        assert len(moments) > count
        k = np.arange(count)
        starts = np.searchsorted(first, len(when) - len(when) // (count + 1) * (count - k))
        starts = np.maximum.accumulate(starts - k) + k  # a moment, however many rows it has, starts one block only
        starts = np.clip(starts, 1 + k, len(moments) - count + k)
        block = np.searchsorted(moments[starts], when, side="right") - 1
    else:
        edges = np.array([when.max() - ticks(size * k) for k in range(count, -1, -1)])
        block = np.searchsorted(edges, when, side="left") - 1  # the left edge is not in its block: 7 days of daily rows are 7 rows

    folds = []
    for k in range(count):
        valid, train = block == k, np.zeros(len(when), bool)
        if valid.any():
            end = when[valid].min() - ticks(gap + purge)
            train = (when < end) if window is None else (when < end) & (when >= end - ticks(window))
        if groups is not None:
            train &= ~np.isin(groups, groups[valid])
        folds.append(Fold(0, k, np.flatnonzero(train), np.flatnonzero(valid)))
    return folds


def _clock(rows: Rows, scheme: str) -> tuple[np.ndarray, int]:
    """Times as numbers, and how many of these a unit of width is: microseconds in a day for dates, else 1."""
    values = complete(rows, "time", scheme)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64), 86_400_000_000
    if values.dtype.kind not in "iuf":
        raise FoldError(f'score.folds.scheme = "{scheme}": the time of id {rows.ids[0]} is {values[0]!r}\nexpected dates or numbers')
    return (values if values.dtype.kind == "f" else values.astype(np.int64)), 1

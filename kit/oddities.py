"""What two columns have in common that no better model would have made: the same values in other rows, on another scale, or under other names."""

import numpy as np
import pandas as pd

_EXACT = 1e-6  # of the range of values, within which a relation holds
_FEW = 10  # changed rows below which labels with equal counts may be chance
_SHIFTS = (1, -1, 2, -2, 3, -3)
_BENDS = {"log(1 + A)": np.log1p, "exp(A) - 1": np.expm1, "log(A)": np.log, "exp(A)": np.exp, "the square of A": np.square, "the root of A": np.sqrt}


def misplaced(a: np.ndarray, b: np.ndarray, unlike: np.ndarray) -> str:
    """What is wrong with the places of values, or "".

    a, b    (n,) numbers or text in the order of A's file
    unlike  (n,) bool: rows that differ
    """
    codes, values = pd.factorize(np.concatenate([a, b]), use_na_sentinel=False)
    x, y = np.split(codes, 2)
    n, changed = len(x), int(unlike.sum())
    counts = [np.bincount(side, minlength=len(values)) for side in (x, y)]
    chance = float((counts[0] / n) @ (counts[1] / n))
    many = len(values) >= n / 2
    apart = many or (changed >= _FEW and 1 - changed / n < chance + 0.2 * (1 - chance))  # few labels agree as often by chance
    if not apart:
        return ""
    for shift in _SHIFTS if n > 3 * len(_SHIFTS) and changed > n / 4 else ():
        there, here = (x[:-shift], y[shift:]) if shift > 0 else (x[-shift:], y[:shift])
        if (there == here).mean() > 0.99:
            return f"the values are shifted by {abs(shift)} row{'s' * (abs(shift) > 1)} {'down' if shift > 0 else 'up'} in B"
    if not np.array_equal(*counts):
        return ""
    if changed == 2:
        return "two rows have exchanged their values"
    if n > 3 and (x[::-1] == y).all():
        return "the values stand in the reverse order of rows in B"
    return f"the same values under other ids in {changed} rows: is the column of ids permuted, or were rows sorted in between?"


def linear(a: np.ndarray, b: np.ndarray) -> str:
    """The relation that makes B of A exactly, or "": a factor and a summand other than 1 and 0, a logarithm, a square.

    a, b  (n,) finite
    """
    reach = float(np.ptp(b))
    if len(np.unique(a)) < 3 or np.abs(a - b).max() <= 10 * _EXACT * reach:
        return ""
    low, high = int(np.argmin(a)), int(np.argmax(a))
    factor = (b[high] - b[low]) / (a[high] - a[low])
    summand = b[low] - factor * a[low]
    if np.abs(factor * a + summand - b).max() <= _EXACT * reach:
        if abs(factor + 1) <= _EXACT:
            what = "1 - A: probabilities are mirrored" if abs(summand - 1) <= _EXACT else "-A: the sign is flipped" if abs(summand) <= _EXACT * reach else f"{summand:.6g} - A: the order is turned round"
            return f"B is {what}"
        moved = f" {'+' if summand > 0 else '-'} {abs(summand):.6g}" if abs(summand) > _EXACT * reach else ""
        return f"B is {factor:.6g} x A{moved}: " + ("the same on another scale" if factor > 0 else "the order is turned round")
    for name, bend in _BENDS.items():
        with np.errstate(all="ignore"):
            made = bend(a)
        if np.isfinite(made).all() and np.abs(made - b).max() <= _EXACT * reach:
            return f"B is {name}: was a transform not undone?"
    return ""


def renamed(a: np.ndarray, b: np.ndarray) -> str:
    """Which labels have changed their names with one another, or ""; in 19 of 20 rows at least."""
    table = pd.crosstab(pd.Series(a, name="a"), pd.Series(b, name="b"))
    if set(table.index) != set(table.columns) or len(table) < 2:
        return ""
    became = table.idxmax(axis=1)
    kept = sum(table.loc[own, its] for own, its in became.items())
    moved = {own: its for own, its in became.items() if own != its}
    if not moved or became.nunique() < len(became) or kept < 0.95 * len(a):
        return ""
    told = ", ".join(f"{own} is {its}" for own, its in list(moved.items())[:5])
    return f"labels have changed their names in B: {told}"

"""How far two predictions for the same rows lie apart, and two submissions that should be one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.diff import diff
from kit.errors import KitError, shorten
from kit.predictions import Predictions

CLOSE = 1e-6  # of a number's size, or of 1 where that is larger: what another machine or another library version may change


def near(then: Any, now: Any) -> bool:
    """Whether two values of JSON are the same but for the last digits of numbers."""
    if isinstance(then, dict) and isinstance(now, dict):
        return then.keys() == now.keys() and all(near(then[k], now[k]) for k in then)
    if isinstance(then, list | tuple) and isinstance(now, list | tuple):
        return len(then) == len(now) and all(map(near, then, now))
    if isinstance(then, int | float) and isinstance(now, int | float):
        return bool(abs(then - now) <= CLOSE * max(1.0, abs(then)))
    return then == now


def apart(then: Predictions, now: Predictions) -> tuple[bool, str]:
    """(whether two predictions for the same rows are as good as the same, how far they lie apart)."""
    if not np.array_equal(then.ids, now.ids):
        return False, f"other ids: {shorten(pd.Index(then.ids).symmetric_difference(pd.Index(now.ids)))}"
    a, b = then.rows, now.rows
    if len(a) != len(b) or list(a) != list(b) or not np.array_equal(a["id"], b["id"]):
        return False, f"{len(a)} rows then, {len(b)} now, or other columns"
    off = np.zeros(len(a))
    for name in a.columns[1:]:
        off = np.maximum(off, _steps(a[name], b[name]))
    worst = int(np.argmax(off)) if len(off) else 0
    if not off.any():
        return True, f"identical predictions for {len(then.ids)} rows"
    told = f"the largest difference is {off[worst]:.3g}, at id {a['id'].iloc[worst]}" if np.isfinite(off[worst]) else f"another answer at id {a['id'].iloc[worst]}"
    return bool(off[worst] <= CLOSE), f"{told}; {int((off > CLOSE).sum())} of {len(off)} rows beyond {CLOSE:g}"


def _steps(a: pd.Series, b: pd.Series) -> np.ndarray:
    """(n,) difference of numbers, relative above 1; infinite where other cells differ."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        x, y = a.to_numpy(dtype=np.float64), b.to_numpy(dtype=np.float64)
        return np.abs(x - y) / np.maximum(1.0, np.abs(x))
    return np.array([_distance(x, y) for x, y in zip(a, b)])


def _distance(x: Any, y: Any) -> float:
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and len(x) == len(y) and x.dtype.kind == y.dtype.kind == "f":
        return float((np.abs(x - y) / np.maximum(1.0, np.abs(x))).max(initial=0.0))
    return 0.0 if np.array_equal(x, y) else np.inf


def unlike(path: Path, made: Path) -> str:
    """What a file has that its run does not make."""
    try:
        lines = diff(path, made)
    except KitError as error:
        return str(error).split("\n")[0]
    told = [line[8:].strip() for line in lines if line.startswith("flag ") or (line.startswith("column ") and ", 0 of " not in line) or line.startswith("        largest ")]
    same = "the same cells, and another order of rows" if "another order" in lines[2] else "the same cells, written otherwise: digits, quotes or ends of lines"
    return f"the file (A) and what its run makes (B): {'; '.join(told)}" if told else same

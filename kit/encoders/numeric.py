"""Numbers, as they are; what to do about missing ones and scale is the estimator's business."""

from typing import Any

import numpy as np
import pandas as pd

from kit.encoders import Features


class Numeric:
    def __init__(self):
        self.dtype = np.float32

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        wide = any(_needs_double(columns[c].to_numpy(dtype=np.float64, na_value=np.nan)) for c in columns)
        self.dtype = np.float64 if wide else np.float32
        return self.transform(columns)

    def transform(self, columns: pd.DataFrame) -> Features:
        dense = np.empty((len(columns), columns.shape[1]), self.dtype)
        largest = np.finfo(self.dtype).max
        for n, name in enumerate(columns):
            values = columns[name].to_numpy()
            if values.dtype != self.dtype:
                values = np.clip(values.astype(np.float64), -largest, largest, where=np.isfinite(values), out=values.astype(np.float64))
            dense[:, n] = values
            dense[np.isinf(dense[:, n]), n] = np.nan
        return Features(dense, list(columns), np.empty((len(columns), 0), np.int32), [], [])

    def state(self) -> dict[str, Any]:
        return {"dtype": np.dtype(self.dtype).name}

    def restore(self, state: dict[str, Any]) -> None:
        self.dtype = np.dtype(state["dtype"]).type


def _needs_double(values: np.ndarray) -> bool:
    """float32 holds whole numbers up to 2**24 and others up to 3e38; whole numbers beside a missing one are read as floats."""
    finite = np.abs(values[np.isfinite(values)])
    large = finite.max(initial=0.0)
    return bool(large > np.finfo(np.float32).max or (large > 2**24 and (finite % 1 == 0).all()))

"""Numbers, as they are; what to do about missing ones and scale is the estimator's business."""

from typing import Any

import numpy as np
import pandas as pd

from kit.encoders import Features


class Numeric:
    def __init__(self):
        self.dtype = np.float32

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        large = any(columns[c].abs().max() > 2**24 for c in columns if pd.api.types.is_integer_dtype(columns[c]))
        self.dtype = np.float64 if large else np.float32  # float32 holds whole numbers up to 2**24
        return self.transform(columns)

    def transform(self, columns: pd.DataFrame) -> Features:
        dense = np.empty((len(columns), columns.shape[1]), self.dtype)
        for n, name in enumerate(columns):
            dense[:, n] = columns[name].to_numpy(dtype=self.dtype, na_value=np.nan)
        dense[np.isinf(dense)] = np.nan
        return Features(dense, list(columns), np.empty((len(columns), 0), np.int32), [], [])

    def state(self) -> dict[str, Any]:
        return {"dtype": np.dtype(self.dtype).name}

    def restore(self, state: dict[str, Any]) -> None:
        self.dtype = np.dtype(state["dtype"]).type

"""Median of the absolute errors; several targets are averaged."""

import numpy as np

needs = "value"
greater_is_better = False
loss = "mae"
EXAMPLE = {"truth": [1.0, 2.0, 3.0], "predicted": [1.0, 4.0, 9.0], "score": 2.0}  # of 0, 2 and 6


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.median(np.abs(truth - predicted), axis=0).mean())

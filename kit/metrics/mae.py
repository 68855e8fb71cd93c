"""Mean absolute error, over all rows and targets."""

import numpy as np

needs = "value"
greater_is_better = False
loss = "mae"
EXAMPLE = {"truth": [1.0, 2.0], "predicted": [1.0, 4.0], "score": (0 + 2) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.average(np.abs(truth - predicted), axis=0, weights=weights).mean())

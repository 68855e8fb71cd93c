"""R²: the share of the truth's variance that the predictions explain; several targets are averaged.

Below 0 where predicting the mean of the truth would do better.
"""

import numpy as np

from kit.errors import ScoreError

needs = "value"
greater_is_better = True
loss = "mse"
EXAMPLE = {"truth": [1.0, 2.0, 3.0], "predicted": [1.0, 2.0, 2.0], "score": 1 - 1 / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    if np.any(truth.max(axis=0) == truth.min(axis=0)):
        raise ScoreError(f"r2 is not defined: the truth is the same in all {len(truth)} rows\nuse fewer folds, or rmse")
    mean = np.average(truth, axis=0, weights=weights)
    missed = np.average((truth - predicted) ** 2, axis=0, weights=weights)
    return float(np.mean(1 - missed / np.average((truth - mean) ** 2, axis=0, weights=weights)))

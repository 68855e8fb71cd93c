"""Root of the mean squared error, over all rows and targets at once.

For one root a target and their mean (MCRMSE), use columnwise_mean.
"""

import numpy as np

needs = "value"
greater_is_better = False
loss = "mse"
EXAMPLE = {"truth": [1.0, 2.0], "predicted": [1.0, 4.0], "score": ((0**2 + 2**2) / 2) ** 0.5}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.sqrt(np.average((truth - predicted) ** 2, axis=0, weights=weights).mean()))

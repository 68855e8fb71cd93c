"""Mean squared error of probabilities: (p - y)² of a binary task, its sum over the classes of a multiclass one.

Brier 1950 sums over the classes; the binary form is the usual one, half of that sum. Multilabel columns are averaged.
"""

import numpy as np

needs = "probability"
greater_is_better = False
EXAMPLE = {"truth": [1, 0], "predicted": [0.8, 0.4], "score": (0.2**2 + 0.4**2) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    if predicted.ndim > truth.ndim:
        errors = predicted.astype(np.float64)  # a copy
        errors[np.arange(len(truth)), truth] -= 1
        return float(np.average((errors**2).sum(axis=1), weights=weights))
    return float(np.average((predicted - truth) ** 2, axis=0, weights=weights).mean())

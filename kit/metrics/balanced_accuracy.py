"""Mean over the true classes of the share of their rows that is found.

A class that is only predicted, never true, has no such share and is left out of the mean.
"""

import numpy as np

from kit.metrics import _counts

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [1, 1, 1, 0], "predicted": [1, 1, 0, 0], "score": (2 / 3 + 1) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    right, true, _ = _counts.by_class(truth, predicted, weights)
    return float(np.mean(right[true > 0] / true[true > 0]))

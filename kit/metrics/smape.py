"""Symmetric mean absolute percentage error, from 0 to 200 per cent.

100 times the mean of |truth - predicted| / ((|truth| + |predicted|) / 2), the form of Kaggle's Web Traffic and GoDaddy competitions; others
leave out the division by 2 or the 100. A row where both are 0 counts 0.
"""

import numpy as np

needs = "value"
greater_is_better = False
EXAMPLE = {"truth": [3.0, 0.0], "predicted": [1.0, 0.0], "score": 100 * (2 / ((3 + 1) / 2) + 0) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    middle = (np.abs(truth) + np.abs(predicted)) / 2
    each = 100 * np.abs(truth - predicted) / np.where(middle == 0, 1, middle)
    return float(np.average(each, axis=0, weights=weights).mean())

"""Matthews' correlation of two labellings, for two or more classes: 1 is perfect, 0 is chance.

Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient", eq. 8, written with counts per class.
A single predicted class scores 0, as in scikit-learn; a single true class is not defined (scikit-learn: 0).
"""

import numpy as np

from kit.errors import ScoreError
from kit.metrics import _counts

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [1, 1, 1, 0], "predicted": [1, 1, 0, 0], "score": (2 * 1 - 0 * 1) / (2 * 3 * 1 * 2) ** 0.5}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    right, true, guessed = _counts.by_class(truth, predicted, weights)
    if np.count_nonzero(true) == 1:
        raise ScoreError(f"mcc is not defined: all {len(truth)} rows have the label {truth[0]}\nuse stratified folds, or fewer of them")
    if np.count_nonzero(guessed) == 1:
        return 0.0
    rows = true.sum()
    covariance = right.sum() * rows - true @ guessed
    return float(covariance / np.sqrt(rows**2 - true @ true) / np.sqrt(rows**2 - guessed @ guessed))

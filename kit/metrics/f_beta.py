"""F-beta: precision and recall in one number, where recall counts beta times as much as precision.

F = (1 + beta²) right / (beta² true + predicted), which is their weighted harmonic mean (van Rijsbergen 1979, ch. 7).
"""

from typing import Literal

import numpy as np

from kit.errors import ScoreError, shorten
from kit.metrics import _counts

needs = "label"
greater_is_better = True
EXAMPLE = {
    "truth": [1, 1, 1, 0, 0],
    "predicted": [1, 1, 0, 0, 0],
    "options": {"beta": 2.0, "average": "binary"},
    "score": (1 + 4) * 2 / (4 * 3 + 2),
}


def score(
    truth: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    beta: float = 1.0,
    average: Literal["binary", "micro", "macro", "weighted", "samples"] = "binary",
) -> float:
    """average  binary: of class 1; micro: of the counts summed over classes; macro: mean over classes; weighted: that mean
             weighted by the true rows of each class; samples: mean over the rows of a multilabel matrix

    Inside a mean, a column or row with nothing true and nothing predicted counts 0, as in scikit-learn.
    Raises ScoreError if nothing at all is true and predicted: 0 / 0.
    """
    if average == "binary":
        right, true, guessed = _positives(truth, predicted, weights)
    elif average == "samples":
        if truth.ndim == 1:
            raise ScoreError("an F score by samples is not defined for one label a row\nuse f1_micro, f1_macro or f1_weighted")
        right, true, guessed = (truth * predicted).sum(axis=1), truth.sum(axis=1), predicted.sum(axis=1)
    else:
        count = _counts.by_class if truth.ndim == 1 else _counts.by_label
        right, true, guessed = count(truth, predicted, weights)
    if average == "micro":
        right, true, guessed = right.sum(), true.sum(), guessed.sum()
    below = beta**2 * true + guessed
    if not np.any(below) or (average == "weighted" and not np.any(true)):
        raise ScoreError(f"the F score is not defined: none of {len(truth)} rows is positive\nuse stratified folds, or fewer of them")
    each = (1 + beta**2) * right / np.where(below == 0, 1, below)
    return float(np.average(each, weights={"weighted": true, "samples": weights}.get(average)))


def _positives(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> tuple[float, float, float]:
    if truth.ndim > 1:
        raise ScoreError(
            f"the F score of one positive class is not defined for {truth.shape[1]} label columns\n"
            'use f1_micro, f1_macro, f1_weighted or f1_samples, or f_beta with another average than "binary"'
        )
    other = [label for labels in (truth, predicted) for label in labels[(labels != 0) & (labels != 1)]]
    if other:
        raise ScoreError(
            f"the F score of one positive class takes the labels 0 and 1, not {shorten(dict.fromkeys(other))}\n"
            'use f1_micro, f1_macro or f1_weighted, or f_beta with another average than "binary"'
        )
    weights = np.ones(len(truth)) if weights is None else weights
    return weights @ ((truth == 1) & (predicted == 1)), weights @ (truth == 1), weights @ (predicted == 1)

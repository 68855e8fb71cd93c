"""Mean precision over the positive rows, where each is reached going down from the highest probability.

The step-wise area under the precision-recall curve, tied rows entering together. For several classes the mean over classes (one
versus rest), for a multilabel task the mean over its columns.
"""

import numpy as np
from sklearn.metrics import average_precision_score

from kit.errors import ScoreError, shorten
from kit.metrics.auc import one_versus_rest

needs = "probability"
greater_is_better = True
blend_space = "rank"
EXAMPLE = {"truth": [1, 0, 1], "predicted": [0.9, 0.8, 0.7], "score": (1 / 1 + 2 / 3) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    columns = one_versus_rest(truth, predicted)
    empty = [i for i, (column, _) in enumerate(columns) if not np.any(column)]
    if empty and len(columns) == 1:
        raise ScoreError(f"average_precision is not defined: none of {len(truth)} rows is positive\nuse stratified folds, or fewer of them")
    if empty:
        raise ScoreError(
            f"average_precision is not defined for {len(empty)} of {len(columns)} classes, which hold none of {len(truth)} rows:"
            f" class {shorten(empty)} (counted from 0)\nuse stratified folds, or fewer of them"
        )
    return float(np.mean([average_precision_score(column, p, sample_weight=weights) for column, p in columns]))

"""Area under the ROC curve: the chance that a positive row is given a higher probability than a negative one, ties counting half.

For several classes the mean over one-versus-rest curves, for a multilabel task the mean over its columns.
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from kit.errors import ScoreError, shorten

needs = "probability"
greater_is_better = True
blend_space = "rank"
EXAMPLE = {"truth": [0, 0, 1, 1], "predicted": [0.1, 0.4, 0.35, 0.8], "score": 3 / 4}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    columns = one_versus_rest(truth, predicted)
    constant = [i for i, (column, _) in enumerate(columns) if column.min() == column.max()]
    if constant and len(columns) == 1:
        raise ScoreError(f"auc is not defined: all {len(truth)} rows are of class {int(truth[0])}\nuse stratified folds, or fewer of them")
    if constant:
        raise ScoreError(
            f"auc is not defined for {len(constant)} of {len(columns)} classes, which hold none or all of {len(truth)} rows:"
            f" class {shorten(constant)} (counted from 0)\nuse stratified folds, or fewer of them"
        )
    return float(np.mean([_by_ranks(column, p) if weights is None else roc_auc_score(column, p, sample_weight=weights) for column, p in columns]))


def _by_ranks(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mann and Whitney's U over the pairs (Hanley and McNeil 1982): the same, and ten times as fast on few rows."""
    positive = truth.astype(bool)
    right, wrong = int(positive.sum()), int((~positive).sum())
    return float((rankdata(predicted)[positive].sum() - right * (right + 1) / 2) / (right * wrong))


def one_versus_rest(truth: np.ndarray, predicted: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(is it this class, its probability) for every class; the positive class alone for a binary task."""
    if predicted.ndim == 1:
        return [(truth, predicted)]
    return [(truth == i if truth.ndim == 1 else truth[:, i], predicted[:, i]) for i in range(predicted.shape[1])]

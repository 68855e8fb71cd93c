"""Normalised Gini coefficient: how well the predictions order the truth, 1 being its own order and 0 chance.

The Gini of Kaggle's Allstate, Liberty and Porto Seguro competitions, whose code breaks ties in the prediction by row number. Here tied
rows share their mean rank, which gives the mean of that code over all orders of the tied rows. On 0/1 truth it is 2 AUC - 1.
"""

import numpy as np
from scipy.stats import rankdata

from kit.errors import ScoreError

needs = ("probability", "value")
greater_is_better = True
blend_space = "rank"
EXAMPLE = {"truth": [0, 0, 1, 1], "predicted": [0.1, 0.4, 0.35, 0.8], "score": 2 * 3 / 4 - 1}


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Several targets are averaged."""
    if truth.shape != predicted.shape:
        raise ScoreError(f"gini takes one probability a row, not one for each of {predicted.shape[1]} classes\nuse auc")
    if np.any(truth.max(axis=0) == truth.min(axis=0)):
        raise ScoreError(f"gini is not defined: the truth is the same in all {len(truth)} rows\nuse stratified folds, or fewer of them")
    centred = truth - truth.mean(axis=0)
    middle = (len(truth) + 1) / 2
    reached = (centred * (rankdata(predicted, axis=0) - middle)).sum(axis=0)
    return float(np.mean(reached / (centred * (rankdata(truth, axis=0) - middle)).sum(axis=0)))

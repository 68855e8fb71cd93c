"""Spearman's correlation: Pearson's of the ranks, tied rows sharing their mean rank; several targets are averaged."""

import numpy as np
from scipy.stats import rankdata

from kit.metrics import pearson

needs = "value"
greater_is_better = True
blend_space = "rank"
EXAMPLE = {"truth": [1.0, 2.0, 3.0], "predicted": [10.0, 1000.0, 100.0], "score": 1 - 6 * (0 + 1 + 1) / (3 * (3**2 - 1))}


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Undefined where pearson is."""
    return pearson.score(rankdata(truth, axis=0), rankdata(predicted, axis=0))

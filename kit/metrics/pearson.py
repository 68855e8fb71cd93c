"""Pearson's linear correlation; several targets are averaged.

A constant prediction scores 0, what noise in its place would score on average: a collapsed model is a poor one, and its folds still
compare. A constant truth is not defined: no prediction could score there.
"""

import numpy as np

from kit.errors import ScoreError

needs = "value"
greater_is_better = True
EXAMPLE = {"truth": [1.0, 2.0, 3.0], "predicted": [1.0, 3.0, 2.0], "score": (-1 * -1 + 0 * 1 + 1 * 0) / (2 * 2) ** 0.5}


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    if np.any(truth.max(axis=0) == truth.min(axis=0)):
        raise ScoreError(f"correlation is not defined: the truth is the same in all {len(truth)} rows\nuse fewer folds, or rmse")
    constant = predicted.max(axis=0) == predicted.min(axis=0)
    t, p = truth - truth.mean(axis=0), predicted - predicted.mean(axis=0)
    spread = np.linalg.norm(t, axis=0) * np.linalg.norm(p, axis=0)
    each = np.where(constant, 0, (t * p).sum(axis=0) / np.where(constant, 1, spread))
    return float(np.clip(each, -1, 1).mean())

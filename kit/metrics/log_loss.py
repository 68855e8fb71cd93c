"""Mean of -log of the probability given to what happened; for a multilabel task the mean over its columns as well.

As on Kaggle, a multiclass row is divided by its sum, and then every probability is clipped to [1e-15, 1 - 1e-15].
"""

import numpy as np

from kit.errors import ScoreError, shorten

needs = "probability"
greater_is_better = False
blend_space = "logit"
EXAMPLE = {"truth": [1, 0], "predicted": [0.8, 0.4], "score": -(np.log(0.8) + np.log(0.6)) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    predicted = predicted.astype(np.float64)  # in float32, 1 - 1e-15 is 1 and its complement's log infinite
    if predicted.ndim > truth.ndim:
        sums = predicted.sum(axis=1)
        if np.any(sums <= 0):
            raise ScoreError(
                f"log_loss is not defined: {np.sum(sums <= 0)} of {len(sums)} rows of probabilities do not sum to more than 0"
                f" (rows {shorten(np.flatnonzero(sums <= 0))})\ngive some class of each row a probability above 0"
            )
        happened = predicted[np.arange(len(truth)), truth] / sums
    else:
        happened = np.where(truth == 1, predicted, 1 - predicted)
    return float(np.average(-np.log(np.clip(happened, 1e-15, 1 - 1e-15)), axis=0, weights=weights).mean())

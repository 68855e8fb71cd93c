"""Root of the mean squared error of log(1 + value)."""

import numpy as np

from kit.errors import ScoreError, shorten
from kit.metrics import rmse

needs = "value"
greater_is_better = False
loss = "mse"
space = "log1p"
EXAMPLE = {"truth": [0.0, 1.0], "predicted": [0.0, 3.0], "score": ((np.log(4) - np.log(2)) ** 2 / 2) ** 0.5}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    for side, values in (("true values", truth), ("predictions", predicted)):
        if np.any(values <= -1):
            wrong = values[values <= -1]
            raise ScoreError(
                f"rmsle is not defined: {len(wrong)} of {values.size} {side} are -1 or less: {shorten(wrong)}\n"
                "clip predictions at 0, or use rmse where the truth can be negative"
            )
    return rmse.score(np.log1p(truth), np.log1p(predicted), weights)

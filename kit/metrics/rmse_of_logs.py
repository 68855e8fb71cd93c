"""Root of the mean squared error of log(value), as for House Prices.

Close to rmsle where values are large, but a value of 0 has no logarithm.
"""

import numpy as np

from kit.errors import ScoreError, shorten
from kit.metrics import rmse

needs = "value"
greater_is_better = False
loss = "mse"
space = "log"
EXAMPLE = {"truth": [1.0, 2.0], "predicted": [1.0, 8.0], "score": ((np.log(8) - np.log(2)) ** 2 / 2) ** 0.5}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    for side, values in (("true values", truth), ("predictions", predicted)):
        if np.any(values <= 0):
            wrong = values[values <= 0]
            raise ScoreError(
                f"rmse_of_logs is not defined: {len(wrong)} of {values.size} {side} are 0 or less: {shorten(wrong)}\n"
                "clip predictions above 0, or use rmsle where the truth can be 0"
            )
    return rmse.score(np.log(truth), np.log(predicted), weights)

"""Mean of |truth - predicted| / |truth|, as a fraction: 0.05 is 5 %.

A row where both are 0 counts 0. A truth of 0 predicted as anything else is not defined.
"""

import numpy as np

from kit.errors import ScoreError, shorten

needs = "value"
greater_is_better = False
loss = "mape"
EXAMPLE = {"truth": [2.0, -4.0], "predicted": [1.0, -4.0], "score": (1 / 2 + 0 / 4) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    infinite = (truth == 0) & (predicted != 0)
    if np.any(infinite):
        raise ScoreError(
            f"mape is not defined: {infinite.sum()} of {truth.size} true values are 0, but predicted as {shorten(predicted[infinite])}\n"
            "use smape or mae where the truth can be 0"
        )
    each = np.abs(truth - predicted) / np.where(truth == 0, 1, np.abs(truth))
    return float(np.average(each, axis=0, weights=weights).mean())

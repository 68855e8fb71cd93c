"""Agreement of two ratings beyond chance, a disagreement counting by its square: 1 is perfect, 0 is chance.

The well-known Kaggle code fills a matrix from the lowest to the highest rating on either side. Its weights (i - j)² / (N - 1)² make the
two sums it compares plain mean squared differences, of the pairs as they are and of every truth with every prediction, and (N - 1)²
cancels. Where all ratings on both sides are one and the same it divides 0 by 0; here that is 1: nothing disagrees.
"""

import numpy as np
import pandas as pd

from kit.errors import ScoreError, shorten

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [1, 2, 3], "predicted": [1, 2, 2], "score": 1 - (1 / 3) / (2 / 3 + 2 / 9 + (1 / 3) ** 2)}


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    truth, predicted = _ratings(truth, "truth"), _ratings(predicted, "prediction")
    observed = np.mean((truth - predicted) ** 2)
    if observed == 0:
        return 1.0
    return float(1 - observed / (truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2))


def _ratings(labels: np.ndarray, side: str) -> np.ndarray:
    if labels.ndim > 1:
        raise ScoreError(f"quadratic_weighted_kappa takes one rating a row, but the {side} has {labels.shape[1]} label columns")
    ratings = pd.to_numeric(pd.Series(labels), errors="coerce").to_numpy(np.float64)
    wrong = labels[~(ratings % 1 == 0)]
    if len(wrong):
        raise ScoreError(
            f"quadratic_weighted_kappa takes whole numbers, but {len(wrong)} of {len(labels)} labels of the {side} are not:"
            f" {shorten(dict.fromkeys(wrong))}\nuse ratings such as 0, 1, 2 as target, or another metric"
        )
    return ratings

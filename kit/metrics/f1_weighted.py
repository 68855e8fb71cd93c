"""Mean over classes of F1, each weighted by its true rows."""

import numpy as np

from kit.metrics import f_beta

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [0, 0, 1, 2], "predicted": [0, 1, 1, 2], "score": (2 * 2 / 3 + 2 / 3 + 1) / 4}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return f_beta.score(truth, predicted, weights, average="weighted")

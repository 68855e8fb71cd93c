"""Mean over classes of F1, rare ones as heavy as common ones.

A class that is predicted but never true counts 0; so does a multilabel column with no ones on either side.
"""

import numpy as np

from kit.metrics import f_beta

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [0, 0, 1, 2], "predicted": [0, 1, 1, 2], "score": (2 / 3 + 2 / 3 + 1) / 3}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return f_beta.score(truth, predicted, weights, average="macro")

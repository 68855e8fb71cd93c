"""F1 of the counts summed over all classes; where each row has one label this is accuracy."""

import numpy as np

from kit.metrics import f_beta

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [[1, 0], [1, 1]], "predicted": [[1, 1], [0, 1]], "score": 2 * 2 / (3 + 3)}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return f_beta.score(truth, predicted, weights, average="micro")

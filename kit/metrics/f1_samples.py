"""Mean over rows of F1 between the true and the predicted labels of a multilabel row.

A row without labels, true or predicted, counts 0, as in scikit-learn; some competitions count it 1: read the rules.
"""

import numpy as np

from kit.metrics import f_beta

needs = "label"
greater_is_better = True
EXAMPLE = {"truth": [[1, 0], [1, 1]], "predicted": [[1, 1], [1, 1]], "score": (2 / 3 + 1) / 2}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return f_beta.score(truth, predicted, weights, average="samples")

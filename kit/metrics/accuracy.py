"""Share of rows whose label is right."""

import numpy as np

needs = "label"
greater_is_better = True
threshold = 0.5
EXAMPLE = {"truth": [1, 0, 1, 1], "predicted": [1, 1, 1, 0], "score": 2 / 4}


def score(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.average(truth == predicted, axis=0, weights=weights).mean())

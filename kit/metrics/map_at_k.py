"""Mean average precision at k with one true answer a row: 1 / rank of the first hit among the first k, else 0.

A repeated answer scores once but keeps its rank, and a blank row scores 0, as in Kaggle's graders. The formula that Kaggle prints for the
whales leaves out "is it right?" and is wrong if read literally.
"""

import numpy as np

from kit.errors import ConfigError

needs = "ranking"
greater_is_better = True
EXAMPLE = {"truth": ["a", "b"], "predicted": [["b", "a", "a"], ["c", "a", "b"]], "options": {"k": 2}, "score": (1 / 2 + 0) / 2}


def score(truth: np.ndarray, predicted: list[list], *, k: int = 5) -> float:
    if k < 1:
        raise ConfigError(f"map_at_k: k = {k}, but the first answer is 1")
    total = 0.0
    for answer, ranked in zip(truth, predicted, strict=True):
        first = list(ranked[:k])
        if answer in first:
            total += 1 / (1 + first.index(answer))
    return total / len(truth)

"""Share of rows whose true answer is not among the first k."""

import numpy as np

from kit.errors import ConfigError

needs = "ranking"
greater_is_better = False
EXAMPLE = {"truth": ["a", "b"], "predicted": [["b", "a"], ["c", "a", "b"]], "options": {"k": 2}, "score": 1 / 2}


def score(truth: np.ndarray, predicted: list[list], weights: np.ndarray | None = None, *, k: int = 3) -> float:
    """A blank row is an error; a repeated answer uses up its rank."""
    if k < 1:
        raise ConfigError(f"top_k_error: k = {k}, but the first answer is 1")
    missed = np.array([answer not in list(ranked[:k]) for answer, ranked in zip(truth, predicted, strict=True)], dtype=float)
    return float(np.average(missed, weights=weights))

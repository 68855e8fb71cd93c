"""Mean average precision of ranked lists at k: the precision at each relevant rank among the first k, over min(relevant, k).

Queries of which nothing is relevant are left out; a blank list scores 0. After `MeanAveragePrecision` of DELF (tensorflow/models,
research/delf/delf/python/datasets/google_landmarks_dataset/metrics.py): a repeated id scores once and keeps its rank.
"""

import numpy as np

from kit.errors import ConfigError, ScoreError

needs = "neighbours"
greater_is_better = True
EXAMPLE = {"truth": [{"a", "b"}, {"c"}, set()], "predicted": [["a", "x", "b"], ["x", "c", "c"], ["a"]], "score": ((1 + 2 / 3) / 2 + 1 / 2) / 2}


def score(truth: list[frozenset[str]], predicted: list[list[str]], *, k: int = 100) -> float:
    """
    truth      the relevant ids of each query
    predicted  ids, best first

    Raises ScoreError where nothing is relevant to any query.
    """
    if k < 1:
        raise ConfigError(f"retrieval_map_at_k: k = {k}, but the first answer is 1")
    scores = [_average_precision(relevant, ranked, k) for relevant, ranked in zip(truth, predicted, strict=True) if relevant]
    if not scores:
        raise ScoreError("retrieval_map_at_k is not defined: nothing is relevant to any query")
    return float(np.mean(scores))


def _average_precision(relevant: frozenset[str], ranked: list[str], k: int) -> float:
    found: set[str] = set()
    total = 0.0
    for rank, id in enumerate(ranked[:k], start=1):
        if id in relevant and id not in found:
            found.add(id)
            total += len(found) / rank
    return total / min(len(relevant), k)

"""Share of queries that have something relevant among the first k of their ranked list.

Queries of which nothing is relevant are left out. One relevant id is enough, however many there are: recall as metric learning counts
it (Oh Song et al. 2016, Deep Metric Learning via Lifted Structured Feature Embedding), not the share of relevant ids that are found.
"""

import numpy as np

from kit.errors import ConfigError, ScoreError

needs = "neighbours"
greater_is_better = True
EXAMPLE = {"truth": [{"a", "b"}, {"c"}, set()], "predicted": [["x", "b"], ["x", "x", "c"], ["a"]], "options": {"k": 2}, "score": 1 / 2}


def score(truth: list[frozenset[str]], predicted: list[list[str]], *, k: int = 10) -> float:
    """
    truth      the relevant ids of each query
    predicted  ids, best first; a repeated one keeps its rank

    Raises ScoreError where nothing is relevant to any query.
    """
    if k < 1:
        raise ConfigError(f"recall_at_k: k = {k}, but the first answer is 1")
    found = [not relevant.isdisjoint(ranked[:k]) for relevant, ranked in zip(truth, predicted, strict=True) if relevant]
    if not found:
        raise ScoreError("recall_at_k is not defined: nothing is relevant to any query")
    return float(np.mean(found))

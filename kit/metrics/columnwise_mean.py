"""Mean over the target columns of another metric: with `of = "rmse"` it is MCRMSE."""

from types import ModuleType

import numpy as np

from kit import registry
from kit.errors import ConfigError, ScoreError

needs = "value"
greater_is_better = False
EXAMPLE = {
    "truth": [[1.0, 10.0], [2.0, 20.0]],
    "predicted": [[1.0, 10.0], [4.0, 24.0]],
    "options": {"of": "rmse"},
    "score": (2**0.5 + 8**0.5) / 2,
}


def score(truth: np.ndarray, predicted: np.ndarray, *, of: str = "rmse") -> float:
    """of  a metric of values, with its own defaults"""
    metric = _metric(of)
    columns = zip(truth.reshape(len(truth), -1).T, predicted.reshape(len(predicted), -1).T, strict=True)
    scores = []
    for i, (true, guessed) in enumerate(columns):
        try:
            scores.append(metric.score(true, guessed))
        except ScoreError as error:
            raise ScoreError(f"target {i} (counted from 0): {error}") from error
    return float(np.mean(scores))


def greater_is_better_for(*, of: str = "rmse") -> bool:
    return _metric(of).greater_is_better


def space_for(*, of: str = "rmse") -> str | None:
    return getattr(_metric(of), "space", None)


def blend_space_for(*, of: str = "rmse") -> str:
    return getattr(_metric(of), "blend_space", "")


def _metric(of: str) -> ModuleType:
    metric = registry.find("metrics", of)
    if "value" not in np.atleast_1d(metric.needs):
        raise ConfigError(f'columnwise_mean: of = "{of}" takes {metric.needs}, not values\nuse a metric of values such as rmse, mae or r2')
    return metric

"""A metric with its options, applied by way of the task to predictions and truth of whole folds.

Post-processing is fitted on the other folds' predictions and scored on this one's, so that a fitted threshold cannot flatter itself.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from kit.errors import ConfigError, ScoreError, shorten
from kit.predictions import Predictions, joined
from kit.registry import find
from kit.tables import WEIGHT


@dataclass(frozen=True)
class Metric:
    """A metric's module and its options."""

    name: str
    options: dict[str, Any]
    module: ModuleType

    @staticmethod
    def open(name: str, options: dict[str, Any], folder: Path | None = None) -> "Metric":
        return Metric(name, options, find("metrics", name, folder))

    @property
    def greater_is_better(self) -> bool:
        depends: Callable | None = getattr(self.module, "greater_is_better_for", None)
        return depends(**self.options) if depends else self.module.greater_is_better

    @property
    def loss(self) -> str:
        return getattr(self.module, "loss", "")

    @property
    def space(self) -> str:
        depends: Callable | None = getattr(self.module, "space_for", None)
        return depends(**self.options) if depends else getattr(self.module, "space", "")

    @property
    def threshold(self) -> float | None:
        return getattr(self.module, "threshold", None)

    def needs(self, gives: tuple[str, ...]) -> str:
        """What the metric takes of what a task gives. Raises ConfigError if there is nothing."""
        wanted = self.module.needs if isinstance(self.module.needs, tuple) else (self.module.needs,)
        for need in wanted:
            if need in gives:
                return need
        raise ConfigError(f'score.metric = "{self.name}" needs {" or ".join(wanted)}, and the task gives {", ".join(gives)}\nname another metric or task')

    def score(self, task, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> float:
        """The score of the rows of truth, each of which must be predicted. Raises ScoreError where it is not defined."""
        truth = self._counted(truth)
        return self._value(*task.for_metric(self.needs(task.gives), truth, predictions, post), truth)

    def given(self, task, needs: str, truth: pd.DataFrame, predictions: Predictions, classes: np.ndarray | None = None) -> tuple[np.ndarray, Callable[[Any], float]]:
        """What the task gives for `needs` without post-processing, and a function that scores other such predictions for the same rows.

        For fitting post-processing, which scores many: rows are aligned once. Greater is better for the function.

        classes  (k,) labels as the metric gets them: the function then takes positions among these
        """
        truth = self._counted(truth)
        true, _ = task.for_metric(self.needs(task.gives), truth, predictions, {})
        sign = 1 if self.greater_is_better else -1
        label = (lambda predicted: predicted) if classes is None else classes.take
        if classes is not None and classes.dtype.kind in "OU" and self.module.__name__.startswith("kit.metrics."):
            true, label = pd.Index(classes).get_indexer(true), np.asarray  # kit's own ask of words only which are equal, and numbers are compared sooner
        return task.for_metric(needs, truth, predictions, {})[1], lambda predicted: sign * self._value(true, label(predicted), truth)

    def _counted(self, truth: pd.DataFrame) -> pd.DataFrame:
        """The rows with a weight above 0: others must not make a class that the score then averages over."""
        if WEIGHT not in truth:
            return truth
        truth = truth[truth[WEIGHT] > 0].reset_index(drop=True)
        if not len(truth):
            raise ScoreError(f"{self.name} is not defined: all rows have weight 0")
        return truth

    def _value(self, true: np.ndarray, predicted: Any, truth: pd.DataFrame) -> float:
        weights = [truth[WEIGHT].to_numpy(dtype=np.float64)] if WEIGHT in truth else []
        value = self.module.score(true, predicted, *weights, **self.options)
        if not math.isfinite(value):
            raise ScoreError(f"{self.name} of {len(true)} rows is {value}: it is not defined for them")
        return float(value)


@dataclass(frozen=True)
class Score:
    """folds: the score of each validated part; pooled: that of all out-of-fold rows at once, with the same post-processing."""

    folds: list[float]
    pooled: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.folds))

    @property
    def standard_error(self) -> float | None:
        """Of the mean over folds; None for one fold."""
        return float(np.std(self.folds, ddof=1) / math.sqrt(len(self.folds))) if len(self.folds) > 1 else None

    @property
    def interval(self) -> list[float] | None:
        """95 % interval of the mean by Student's t over folds. Folds share training rows, so it is somewhat too narrow (Nadeau and Bengio, 2003)."""
        if self.standard_error is None:
            return None
        reach = float(stats.t.ppf(0.975, len(self.folds) - 1)) * self.standard_error
        return [self.mean - reach, self.mean + reach]

    def as_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "standard_error": self.standard_error, "interval": self.interval, "folds": self.folds, "pooled": self.pooled}


def score_folds(
    metric: Metric, task, truth: pd.DataFrame, repeats: list[list[Predictions]], options: dict[str, Any]
) -> tuple[Score, dict[str, Any]]:
    """The out-of-fold score, and the post-processing fitted on all out-of-fold rows.

    truth    of all training rows, column `id` and the targets
    repeats  for each repeat the predictions of its validated parts, which share no id
    options  of the task's fit_post
    """
    by_id = truth.set_index("id", drop=False)
    everything = pooled(task, repeats)
    whole_truth = _rows(by_id, everything)
    post = task.fit_post(whole_truth, everything, metric, **options)
    scores = []
    for part in (part for parts in repeats for part in parts):
        fitted = post
        if post and len(part.ids) < len(everything.ids):  # a single part has no others to fit on: it keeps what its own rows gave
            others = everything.take(pd.Index(everything.ids).difference(pd.Index(part.ids)))
            fitted = task.fit_post(_rows(by_id, others), others, metric, **options)
        own = _rows(by_id, part)
        try:
            scores.append(metric.score(task, own, part, fitted))
        except ScoreError as error:
            different = {name: own[name].nunique() for name in task.targets if pd.api.types.is_hashable(own[name].iloc[0])}
            held = ", ".join(f"{name}: {n}" for name, n in different.items()) or "objects"
            where = f"in the validated part with ids {shorten(part.ids, 3)} (different answers: {held})\nuse fewer folds or a stratified scheme"
            raise ScoreError(f"{error}\n{where}", alike=bool(different) and max(different.values()) < 2) from error
    return Score(scores, metric.score(task, whole_truth, everything, post)), post


def _rows(truth: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    return truth.loc[predictions.ids].reset_index(drop=True)


def pooled(task, repeats: list[list[Predictions]]) -> Predictions:
    """All validated rows; an id validated in several repeats gets its mean."""
    whole = [joined(parts) for parts in repeats]
    return whole[0] if len(whole) == 1 else task.average(whole)

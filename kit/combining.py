"""Predictions of several runs become one: a weighted sum in the space that the metric rewards, by id.

Errors add up where a metric measures them: the order of rows alone counts for AUC, log-odds for log loss, logarithms for RMSLE. What has
no single number a row (lists, boxes, masks, groups) is averaged by its task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit, softmax

from kit.predictions import Predictions
from kit.scoring import Metric
from kit.tasks._task import ClassTask, check_same_ids
from kit.tasks.multiclass import Multiclass

TASK = "task"  # the space of what the task averages itself
RANK, LOGIT = "rank", "logit"
_LEAST = 1e-6  # of a probability that has a logit
_BACK = {  # space: (there, back, least value that it is defined for)
    "log1p": (np.log1p, np.expm1, np.nextafter(-1.0, 0.0)),
    "log": (np.log, np.exp, np.nextafter(0.0, 1.0)),
    "sqrt": (np.sqrt, lambda z: np.square(np.maximum(z, 0.0)), 0.0),
}


@dataclass(frozen=True)
class Rule:
    """How runs are combined, as run.json keeps it.

    weights  one a run, at least 0; of a mean only their ratios count
    space    "rank", "logit", "probability", "value", "log1p", "log", "sqrt", or "task": the task's own average
    bias     one a column of a prediction, for a stack: weights are then factors, and need not sum to 1; empty for a mean
    """

    weights: tuple[float, ...]
    space: str = TASK
    bias: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "space": self.space, "bias": list(self.bias)}

    @staticmethod
    def read(told: dict[str, Any]) -> "Rule":
        return Rule(*(tuple(told.get(f, ())) if f != "space" else told.get(f, TASK) for f in ("weights", "space", "bias")))


def space_of(task: Any, metric: Metric, part: Predictions) -> str:
    """The space in which the metric rewards a mean of such predictions.

    A metric says so with `blend_space` (or `blend_space_for`, which takes its options); where it says nothing, its own `space` or the task's
    transform is meant for values, and probabilities are averaged as they are.
    """
    if not _is_plain(task, part):
        return TASK
    depends = getattr(metric.module, "blend_space_for", None)
    named = depends(**metric.options) if depends else getattr(metric.module, "blend_space", "")
    if named:
        return named
    if isinstance(task, ClassTask):
        return "probability"
    transform = metric.space or getattr(task, "transform", "none")
    return "value" if transform == "none" else transform


def _is_plain(task: Any, part: Predictions) -> bool:
    """Whether a prediction is one row of numbers an id."""
    numbers = all(pd.api.types.is_float_dtype(part.rows[c]) for c in part.rows.columns[1:])
    return numbers and not task.picks and len(part.rows) == len(part.ids)


@dataclass(frozen=True)
class Members:
    """What several runs predict for the same ids, in one space.

    ids      (n,) text, sorted
    parts    a run's predictions each
    values   of each run (n, columns) in the space; none in the space "task"
    limits   (least, greatest) value that stands for the ranks 0 and 1, where the task is one of values
    """

    task: Any
    space: str
    ids: np.ndarray
    parts: list[Predictions]
    values: list[np.ndarray]
    limits: tuple[np.ndarray, np.ndarray] | None = None

    @staticmethod
    def of(task: Any, space: str, parts: Sequence[Predictions], known: Sequence[Predictions] = ()) -> "Members":
        """
        known  each run's out-of-fold predictions, among which the values of `parts` have their rank; needed in the space "rank" only
        """
        ids, parts = check_same_ids(parts), list(parts)
        if space == TASK:
            return Members(task, space, ids, parts, [])
        tables = [_numbers(p) for p in parts]
        if space != RANK:
            return Members(task, space, ids, parts, [_there(task, space, table) for table in tables])
        assert len(known) == len(parts), "ranks need what each run predicted out of fold"
        among = [_numbers(p) for p in known]
        values = [_shares(table, sorted_) for table, sorted_ in zip(tables, (np.sort(a, axis=0) for a in among))]
        if isinstance(task, ClassTask):
            return Members(task, space, ids, parts, values)
        limits = tuple(np.mean([pick(a, axis=0) for a in among], axis=0) for pick in (np.min, np.max))
        return Members(task, space, ids, parts, values, limits)

    @property
    def columns(self) -> list[str]:
        return list(self.parts[0].rows.columns[1:])

    def take(self, positions: np.ndarray) -> "Members":
        """These rows, in rising positions."""
        ids = self.ids[positions]
        if self.space == TASK:
            return Members(self.task, self.space, ids, [p.take(ids) for p in self.parts], [])
        heads = [Predictions(p.ids[:0], p.rows.iloc[:0]) for p in self.parts[:1]]  # their columns are all that is asked for
        return Members(self.task, self.space, ids, heads, [v[positions] for v in self.values], self.limits)

    def by(self, rule: Rule) -> Predictions:
        """Raises DataError where what comes of it is no finite number."""
        assert rule.space == self.space, "a rule is of one space"
        used = [n for n, weight in enumerate(rule.weights) if weight > 0]
        if self.space == TASK:
            return self.task.average([self.parts[n] for n in used], [rule.weights[n] for n in used])
        if not rule.bias:
            return self.predictions(self.back(np.average([self.values[n] for n in used], axis=0, weights=[rule.weights[n] for n in used])))
        total = np.tile(np.array(rule.bias), (len(self.ids), 1))
        for n in used:
            total += rule.weights[n] * self.stacked(n)
        if self.space == "probability" and self.exclusive:
            total = np.maximum(total, _LEAST)
            total /= total.sum(axis=1, keepdims=True)
        return self.predictions(self.back(expit(total) if self.logistic_of_ranks else total))

    @property
    def logistic_of_ranks(self) -> bool:
        """Ranks of classes are stacked as log-odds."""
        return self.space == RANK and isinstance(self.task, ClassTask)

    @property
    def exclusive(self) -> bool:
        """Whether the columns are classes of which one is true."""
        return isinstance(self.task, Multiclass)

    def stacked(self, n: int) -> np.ndarray:
        """(rows, columns) of run n, as a stack weighs them."""
        return logit(np.clip(self.values[n], _LEAST, 1 - _LEAST)) if self.logistic_of_ranks else self.values[n]

    def there(self, values: np.ndarray) -> np.ndarray:
        """(n, columns) true values in the space; their ranks are those among themselves."""
        return _shares(values, np.sort(values, axis=0)) if self.space == RANK else _there(self.task, self.space, values)

    def target(self, truth: pd.DataFrame) -> np.ndarray:
        """(n, columns) what a stack of the runs should give: 0 and 1 of classes, else values in the space."""
        if not isinstance(self.task, ClassTask):
            return self.there(truth[self.task.targets].to_numpy(dtype=np.float64))
        told = self.task.encode(truth)
        return np.eye(len(self.task.classes))[told] if self.exclusive else told.reshape(len(truth), -1)

    def predictions(self, values: np.ndarray) -> Predictions:
        """values  (n, columns) as a task gives them"""
        return _Sorted.of(self.ids, dict(zip(self.columns, values.T)))

    def back(self, total: np.ndarray) -> np.ndarray:
        """(n, columns) as a task gives them.

        total  (n, columns) in the space
        """
        if self.space == LOGIT:
            total = softmax(total, axis=1) if self.exclusive else expit(total)
        elif self.space == "probability":
            total = total if self.exclusive else np.clip(total, 0.0, 1.0)
        elif self.space == RANK and self.limits is not None:
            low, high = self.limits
            total = low + (high - low) * total
        elif self.space in _BACK:
            total = _BACK[self.space][1](total)
        return total


class _Sorted(Predictions):
    """Of ids that are sorted and unique by construction: weights are fitted by making thousands of them, and a look at each costs more than the score."""

    def __post_init__(self):
        """Nothing to check."""

    @staticmethod
    def of(ids: np.ndarray, columns: dict[str, np.ndarray]) -> "Predictions":
        return _Sorted(ids, pd.DataFrame({"id": pd.Series(ids, dtype="object"), **columns}))

    def aligned(self, ids: Sequence[str]) -> pd.DataFrame:
        """Of as many ids as there are, the same ones."""
        return self.rows.drop(columns="id") if len(ids) == len(self.ids) else super().aligned(ids)


def combined(task: Any, blended: dict[str, Any], parts: Sequence[Predictions], runs: Path) -> Predictions:
    """The members' predictions for the same rows as one, by what a blend's run.json says of it.

    runs  the folder of the member runs: ranks are those among what each predicted out of fold
    """
    rule = Rule.read(blended)
    known = [Predictions.read(runs / name / "oof.parquet") for name in blended["runs"]] if rule.space == RANK else []
    return checked(Members.of(task, rule.space, parts, known).by(rule))


def checked(made: Predictions) -> Predictions:
    """The same with its ids as text and looked through. Raises DataError where a number is missing or infinite."""
    if not isinstance(made, _Sorted):
        return made
    return Predictions.of(made.ids, {c: made.rows[c].to_numpy() for c in made.rows.columns[1:]})


def _numbers(part: Predictions) -> np.ndarray:
    return part.rows.drop(columns="id").to_numpy(dtype=np.float64)


def _there(task: Any, space: str, values: np.ndarray) -> np.ndarray:
    if space == LOGIT:
        inside = np.clip(values, _LEAST, 1 - _LEAST)
        return np.log(inside) if isinstance(task, Multiclass) else logit(inside)
    if space in _BACK:
        there, _, least = _BACK[space]
        return there(np.maximum(values, least))
    return values


def _shares(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n, columns) share of the known values that are below, those that are equal counting half.

    known  (m, columns), each column rising
    """
    found = np.empty(values.shape)
    for c in range(values.shape[1]):
        found[:, c] = sum(np.searchsorted(known[:, c], values[:, c], side=side) for side in ("left", "right")) / (2 * len(known))
    return found

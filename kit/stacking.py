"""Weights of runs, from what they predicted out of fold: the best run alone, greedy selection, alone or steadied, or a regularised linear stack.

Each of them looks at the rows that it is given and at no other: an honest score hides a fold from it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize, nnls
from scipy.special import expit, logsumexp

from kit.combining import RANK, TASK, Members, Rule
from kit.errors import ScoreError
from kit.predictions import Predictions
from kit.scoring import Metric
from kit.tables import WEIGHT
from kit.tasks._task import ClassTask

ROUNDS, ROUNDS_OF_TASK = 25, 8  # of greedy selection; fewer where each means a fusion of boxes or masks
_REWEIGHTED, _NEAR = 20, 1e-3  # rounds; of the mean error, below which a row weighs no more
_STEADY = 3  # runs at most that get equal weights beside the selected ones
_PATIENCE = 5  # rounds without a gain, after which more are not tried
_MOST_ROWS = 30_000  # that greedy selection scores a candidate on
_MOST_CELLS = 1_000_000  # rows x runs x columns that a logistic stack is fitted on
_PENALTIES = ((1e-3, 1), (0.03, 1), (1.0, 1), (30.0, 1), (1.0, 0), (30.0, 0))  # (strength, whether towards the mean of the runs, or towards none of them)

Groups = Sequence[Sequence[int]]  # runs that differ by their seed alone get one weight together


@dataclass(frozen=True)
class Judge:
    """Scores predictions for the rows that weights are fitted on: the mean over the parts that folds validated, as a run's score is.

    truth    (n) rows in the order of the predictions
    parts    positions of the rows of each part
    options  of the task's fit_post
    """

    task: Any
    metric: Metric
    truth: pd.DataFrame
    parts: list[np.ndarray]
    options: dict[str, Any]

    def post(self, made: Predictions) -> dict[str, Any]:
        return self.task.fit_post(self.truth, made, self.metric, **self.options)

    def quality(self, made: Predictions, post: dict[str, Any]) -> float:
        """Greater is better. Raises ScoreError where a part has no score."""
        return self.of(*self.given(made, post))

    def given(self, made: Predictions, post: dict[str, Any]) -> tuple[Any, Any]:
        """What the metric is given of all rows: (truth, predictions)."""
        return self.task.for_metric(self.metric.needs(self.task.gives), self.truth, made, post)

    def of(self, true: Any, predicted: Any) -> float:
        """As `quality`, of what the metric is given of all rows."""
        if not self.counted:
            raise ScoreError(f"{self.metric.name} is not defined: all rows have weight 0")
        found = np.mean([self.score(true, predicted, own) for own in self.counted])
        return (1 if self.metric.greater_is_better else -1) * float(found)

    def score(self, true: Any, predicted: Any, own: np.ndarray) -> float:
        """The metric of the rows at these positions, which may repeat."""
        weights = [] if self.weight is None else [self.weight[own]]
        found = self.metric.module.score(_rows(true, own), _rows(predicted, own), *weights, **self.metric.options)
        if not math.isfinite(found):
            raise ScoreError(f"{self.metric.name} of {len(own)} rows is {found}: it is not defined for them")
        return found

    @cached_property
    def weight(self) -> np.ndarray | None:
        return self.truth[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in self.truth else None

    @cached_property
    def counted(self) -> list[np.ndarray]:
        """The parts' rows that have a weight."""
        if self.weight is None:
            return self.parts
        return [own for own in (part[self.weight[part] > 0] for part in self.parts) if len(own)]

    def take(self, positions: np.ndarray) -> "Judge":
        """These rows alone, in rising positions; parts that have none of them are gone."""
        parts = [np.searchsorted(positions, own[np.isin(own, positions)]) for own in self.parts]
        return Judge(self.task, self.metric, self.truth.iloc[positions].reset_index(drop=True), [own for own in parts if len(own)], self.options)


def _rows(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[n] for n in rows.tolist()]


def cut(made: Predictions, positions: np.ndarray) -> Predictions:
    """The predictions for the ids at these positions, rising."""
    if len(made.rows) != len(made.ids):
        return made.take(made.ids[positions])
    return type(made)(made.ids[positions], made.rows.iloc[positions].reset_index(drop=True))


def best(members: Members, judge: Judge, groups: Groups) -> Rule:
    """The group of runs with the best score, its own post-processing included; the first of equal ones."""
    rules, qualities = _alone(members, judge, groups)
    return rules[int(np.argmax(qualities))]


def _alone(members: Members, judge: Judge, groups: Groups) -> tuple[list[Rule], list[float]]:
    """(the rule, the quality) of each group of runs without the others."""
    rules = [_shared(one, groups, members.space) for one in np.eye(len(groups))]
    made = [members.by(rule) for rule in rules]
    return rules, [judge.quality(m, judge.post(m)) for m in made]


def greedy(members: Members, judge: Judge, groups: Groups) -> Rule:
    """Greedy ensemble selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries of models", section 2.1 and 2.2).

    From the best run on, the run that makes the mean of all taken so far best is taken again and again; what was best on the way stays.
    Candidates are scored with the post-processing of the mean so far. Above 30,000 rows, every so-manieth is looked at.
    """
    step = -(-len(members.ids) // _MOST_ROWS)
    if step > 1:
        kept = np.sort(np.concatenate([own[::step] for own in judge.parts]))
        members, judge = members.take(kept), judge.take(kept)
    means = [np.mean([members.values[n] for n in own], axis=0) for own in groups] if members.space != TASK else []

    def mean(counts: np.ndarray) -> np.ndarray:
        return members.back(sum(c * m for c, m in zip(counts, means) if c) / counts.sum())

    def made(counts: np.ndarray) -> Predictions:
        return members.predictions(mean(counts)) if means else members.by(_shared(counts, groups, TASK))

    def quality(counts: np.ndarray, post: dict[str, Any]) -> float:
        if direct and not post:
            return judge.of(true, mean(counts).reshape(given.shape))
        return judge.quality(made(counts), post)

    single = [made(one) for one in np.eye(len(groups))]
    posts = [judge.post(m) for m in single]
    true, given = judge.given(single[0], {})
    direct = bool(means) and isinstance(given, np.ndarray) and np.array_equal(given.reshape(len(given), -1), mean(np.eye(len(groups))[0]))
    qualities = [judge.quality(m, post) for m, post in zip(single, posts)]
    first = int(np.argmax(qualities))
    counts, post, reached, since = np.eye(len(groups))[first], posts[first], qualities[first], 0
    kept = counts
    for _ in range((ROUNDS if means else ROUNDS_OF_TASK) - 1):
        tried = [quality(counts + one, post) for one in np.eye(len(groups))]
        chosen = int(np.argmax(tried))
        counts, found = counts + np.eye(len(groups))[chosen], tried[chosen]
        if post:
            now = made(counts)
            post = judge.post(now)
            found = judge.quality(now, post)
        since += 1
        if found > reached + 1e-12:
            kept, reached, since = counts, found, 0
        if since >= _PATIENCE:
            break
    return _shared(kept / kept.sum(), groups, members.space)


def steady(members: Members, judge: Judge, groups: Groups) -> Rule:
    """Half of greedy selection's weights and half of equal ones of the best third of the runs, three at most: what was selected was lucky, too.

    On eleven tables, weights of three quarters of the rows scored on the rest (benchmarks/README.md), it came out before either half alone.
    """
    rules, qualities = _alone(members, judge, groups)
    first = np.argsort(-np.array(qualities), kind="stable")[: min(-(-len(groups) // 3), _STEADY)]
    equal = np.mean([rules[n].weights for n in first], axis=0)
    return Rule(tuple(((np.array(greedy(members, judge, groups).weights) + equal) / 2).tolist()), members.space)


def stack(members: Members, judge: Judge, groups: Groups) -> Rule:
    """A linear stack with weights of at least 0 (Breiman 1996, "Stacked regressions"): logistic where classes are ranked or have log-odds, else ridge.

    Ridge is by squared errors, or by absolute ones where the metric has those (Holland and Welsch 1977, "Robust regression using iteratively
    reweighted least-squares").

    All columns share a run's weight, and each has a bias. The penalty is on the distance of the weights from their mean or from 0, relative to
    the spread of the runs; it is the strongest that is not clearly worse than the best on the parts, each left out in turn.
    """
    assert members.space != TASK, "a stack is of numbers"
    runs = [np.mean([members.stacked(n) for n in own], axis=0) for own in groups]
    target = members.target(judge.truth)
    weight = np.ones(len(target)) if judge.weight is None else judge.weight
    logistic = isinstance(members.task, ClassTask) and members.space != "probability"
    if logistic:
        fitted = _logistic(runs, target, weight, judge.counted, members.exclusive and members.space != RANK)
    else:
        scale = np.ones(target.shape[1]) if isinstance(members.task, ClassTask) else target.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        each = np.tile(weight[:, None], (1, target.shape[1]))
        fitted = _ridge(runs, target, each, judge.counted, scale)
        for _ in range(_REWEIGHTED if getattr(judge.metric.module, "loss", "") == "mae" else 0):
            away = np.abs(sum(w * r for w, r in zip(fitted, runs)) + fitted[len(runs) :] - target) / scale
            if not away.any():
                break
            fitted = _ridge(runs, target, each / np.maximum(away, _NEAR * away.mean()), judge.counted, scale)
    return _shared(fitted[: len(groups)], groups, members.space, tuple(fitted[len(groups) :].tolist()))


METHODS: dict[str, Callable[[Members, Judge, Groups], Rule]] = {"best": best, "greedy": greedy, "steady": steady, "stack": stack}


def _shared(weights: np.ndarray, groups: Groups, space: str, bias: tuple[float, ...] = ()) -> Rule:
    """The weight of a group, shared by its runs."""
    each = np.zeros(sum(len(own) for own in groups))
    for weight, own in zip(weights, groups):
        each[list(own)] = weight / len(own)
    return Rule(tuple(each.tolist()), space, bias)


def _penalties(runs: int) -> list[tuple[float, float]]:
    """(strength, the weight that each run is drawn to)."""
    return [(strength, towards / runs) for strength, towards in _PENALTIES]


def _simplest(losses: Sequence[Sequence[float]] | np.ndarray) -> int:
    """The strongest penalty whose loss is within a standard error of the least (Breiman et al. 1984, section 3.4.3), of equal ones the better.

    losses  (parts, penalties) on each part, left out; none where there is a single part: then the middle
    """
    if not len(losses):
        return 2
    losses = np.asarray(losses)
    means = losses.mean(axis=0)
    least = int(np.argmin(means))
    errors = (losses - losses[:, [least]]).std(axis=0, ddof=1) / math.sqrt(len(losses))
    able = np.flatnonzero(means - means[least] <= errors)
    return int(max(able, key=lambda n: (_PENALTIES[n][0], -means[n])))


def _ridge(runs: list[np.ndarray], target: np.ndarray, weight: np.ndarray, parts: list[np.ndarray], scale: np.ndarray) -> np.ndarray:
    """(runs + columns,) weights and biases of the least squares.

    weight  (n, columns)
    scale   (columns,) what an error of 1 is in each: targets of several units count alike

    All that is asked is in the moments of [runs, target, 1] by part, so that the data are looked at once.
    """
    moments = np.array([[_moments([r[own, c] for r in runs], target[own, c], weight[own, c], scale[c]) for c in range(target.shape[1])] for own in parts])
    whole = moments.sum(axis=0)
    penalties = _penalties(len(runs))
    losses = [[_lost(_solved(whole - held, *penalty), held) / held[0, -1, -1] for penalty in penalties] for held in moments] if len(parts) > 1 else []
    penalty = penalties[_simplest(losses)]
    found = _solved(whole, *penalty)
    return np.concatenate([found[: len(runs)], found[len(runs) :] * scale])


def _moments(runs: list[np.ndarray], target: np.ndarray, weight: np.ndarray, scale: float) -> np.ndarray:
    """(runs + 2, runs + 2) weighted sums of products of [runs, target, 1]."""
    held = np.column_stack([*(r / scale for r in runs), target / scale, np.ones(len(target))])
    return (held * weight[:, None]).T @ held


def _solved(moments: np.ndarray, strength: float, towards: float) -> np.ndarray:
    """(runs + columns,) weights of at least 0 and biases.

    moments  (columns, runs + 2, runs + 2)
    """
    runs = moments.shape[1] - 2
    total = moments[:, -1, -1][:, None, None]
    means = moments[:, -1, :-1] / total[:, 0]  # (columns, runs + 1)
    joint = (moments[:, :-1, :-1] / total - means[:, :, None] * means[:, None, :]).sum(axis=0)
    varies = np.trace(joint[:runs, :runs]) / runs
    if varies <= 1e-12:  # every run says one thing everywhere
        weights = np.full(runs, towards)
    else:
        penalised = joint[:runs, :runs] + strength * varies * np.eye(runs)
        root = cholesky(penalised, lower=True)
        weights, _ = nnls(root.T, solve_triangular(root, joint[:runs, runs] + strength * varies * towards, lower=True))
    return np.concatenate([weights, means[:, runs] - means[:, :runs] @ weights])


def _lost(found: np.ndarray, moments: np.ndarray) -> float:
    """Sum of the squared errors of what was found, on the rows of the moments."""
    runs = moments.shape[1] - 2
    residual = [np.concatenate([found[:runs], [-1.0, bias]]) for bias in found[runs:]]
    return float(sum(r @ m @ r for r, m in zip(residual, moments)))


def _logistic(runs: list[np.ndarray], target: np.ndarray, weight: np.ndarray, parts: list[np.ndarray], exclusive: bool) -> np.ndarray:
    """(runs + columns,) weights and biases of the least log loss, of classes of which one is true, or of each column alone."""
    step = -(-len(runs) * target.size // _MOST_CELLS)
    parts = [own[::step] for own in parts]
    penalties = _penalties(len(runs))
    losses = np.zeros((len(parts), len(penalties))) if len(parts) > 1 else []
    for held in range(len(losses)):
        others, own, found = np.concatenate([part for n, part in enumerate(parts) if n != held]), parts[held], None
        for n, penalty in enumerate(penalties):
            found = _least_log_loss([r[others] for r in runs], target[others], weight[others], penalty, exclusive, found)
            losses[held, n] = _log_loss(found, np.stack([r[own] for r in runs]), target[own], weight[own], exclusive)[0]
    chosen = penalties[_simplest(losses)]
    used = np.concatenate(parts)
    return _least_log_loss([r[used] for r in runs], target[used], weight[used], chosen, exclusive, None)


def _least_log_loss(runs: list[np.ndarray], target: np.ndarray, weight: np.ndarray, penalty: tuple[float, float], exclusive: bool, start: np.ndarray | None) -> np.ndarray:
    stacked, (strength, towards) = np.stack(runs), penalty
    share = strength * float(stacked.var(axis=1).mean()) / 4  # the loss bends by a quarter of the variance at most
    if start is None:
        start = np.concatenate([np.full(len(runs), 1 / len(runs)), np.zeros(target.shape[1])])

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _log_loss(found, stacked, target, weight, exclusive)
        away = found[: len(runs)] - towards
        slope[: len(runs)] += 2 * share * away
        return value + share * float(away @ away), slope

    bounds = [(0.0, None)] * len(runs) + [(None, None)] * target.shape[1]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x


def _log_loss(found: np.ndarray, runs: np.ndarray, target: np.ndarray, weight: np.ndarray, exclusive: bool) -> tuple[float, np.ndarray]:
    """(the weighted mean, its slope).

    runs  (runs, n, columns)
    """
    total = np.tensordot(found[: len(runs)], runs, axes=1) + found[len(runs) :]  # (n, columns)
    if exclusive:
        whole = logsumexp(total, axis=1, keepdims=True)
        each, p = (target * (whole - total)).sum(axis=1), np.exp(total - whole)
    else:
        each, p = (np.logaddexp(0.0, total) - target * total).sum(axis=1), expit(total)
    share = weight / weight.sum()
    errors = (p - target) * share[:, None]
    return float(each @ share), np.concatenate([np.tensordot(runs, errors, axes=2), errors.sum(axis=0)])

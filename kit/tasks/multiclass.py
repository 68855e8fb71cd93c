"""One of many classes: a prediction is a probability for each, or above 200 classes the best hundred of them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from kit.errors import ConfigError, DataError, shorten
from kit.predictions import Predictions
from kit.tables import WEIGHT
from kit.tasks._task import ClassTask, as_list, check_one_target, codes, in_order, labels, native

WIDE = 200  # above this many classes a prediction lists the best LISTED
LISTED = 100


class Multiclass(ClassTask):
    loss, metric = "cross_entropy", "log_loss"
    gives = ("label", "probability", "ranking")

    def __init__(self, *, target: str | list[str], cells: Literal["", "label", "labels", "probabilities"] = "", top: int = 5):
        """
        cells  what the submission holds: one label, the best `top` labels separated by spaces, or a column a class;
               "" is a column a class where the sample has several, else what the metric needs
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "multiclass")
        self.cell, self.top = cells, top
        self.classes: list[str] = []
        self.ratios: dict[str, float] = {}  # class -> its share of the test rows over its share of the rows learned from, where it is known

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def learn(self, truth: pd.DataFrame) -> None:
        self.classes = in_order(truth[self.targets[0]].unique())
        if len(self.classes) < 2:
            raise DataError(f"{self.targets[0]} has one class in the training rows: {shorten(self.classes)}\nthere is nothing to tell apart")

    def shares(self, prior: str | dict[str, float]) -> dict[str, float]:
        """class -> share of the rows, summing to 1. Raises ConfigError for classes that there are not, or shares below 0."""
        if prior == "uniform":
            return {c: 1 / len(self.classes) for c in self.classes}
        given = prior if isinstance(prior, dict) else {}
        wrong = sorted(set(given) ^ set(self.classes)) or [c for c, share in given.items() if share < 0]
        if wrong or not sum(given.values()):
            raise ConfigError(f'score.prior: expected "uniform", or a share of 0 or more for each class and no other; wrong: {shorten(wrong)}')
        return {c: share / sum(given.values()) for c, share in given.items()}

    def expect(self, ratios: dict[str, float]) -> None:
        """ratios  class -> its share of the test rows over its share of the rows that are learned from"""
        self.ratios = ratios

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) int64 class positions."""
        return codes(truth[self.targets[0]], self.classes, "the truth")

    def decode(self, ids: Sequence[str], raw: np.ndarray) -> Predictions:
        """raw  (n, classes) probabilities"""
        raw = np.asarray(raw, dtype=np.float64)
        if len(self.classes) <= WIDE:
            return Predictions.of(ids, {f"p_{c}": raw[:, n] for n, c in enumerate(self.classes)})
        best = np.argsort(-raw, axis=1, kind="stable")[:, :LISTED]
        names = np.array(self.classes, dtype=object)
        return Predictions.of(ids, {"labels": pd.Series(list(names[best])), "scores": pd.Series(list(np.take_along_axis(raw, best, 1)))})

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        if "labels" not in parts[0].rows:
            return super().average(parts, weights)
        weights = np.ones(len(parts)) / len(parts) if weights is None else np.asarray(weights) / np.sum(weights)
        labels_, scores_ = [], []
        for rows in zip(*(zip(p.rows["labels"], p.rows["scores"]) for p in parts)):
            total: dict[str, float] = {}
            for weight, (names, scores) in zip(weights, rows):
                for name, score in zip(names, scores):
                    total[name] = total.get(name, 0.0) + weight * score
            best = sorted(total, key=lambda name: (-total[name], name))[:LISTED]
            labels_.append(best)
            scores_.append([total[name] for name in best])
        return Predictions.of(parts[0].ids, {"labels": pd.Series(labels_), "scores": pd.Series(scores_)})

    def _matrix(self, rows: pd.DataFrame) -> np.ndarray:
        """(n, classes) probabilities."""
        if "labels" not in rows:
            return rows[[f"p_{c}" for c in self.classes]].to_numpy(dtype=np.float64)
        place = {c: n for n, c in enumerate(self.classes)}
        filled = np.zeros((len(rows), len(self.classes)))
        for n, (names, scores) in enumerate(zip(rows["labels"], rows["scores"])):
            known = [(place[c], s) for c, s in zip(names, scores) if c in place]
            if known:
                filled[n, [k for k, _ in known]] = [s for _, s in known]
        return filled

    def _ranked(self, rows: pd.DataFrame, k: int) -> list[list[str]]:
        if "labels" in rows:
            return [list(names[:k]) for names in rows["labels"]]
        matrix = self._matrix(rows)
        best = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
        return [list(row) for row in np.array(self.classes, dtype=object)[best]]

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[np.ndarray, Any]:
        rows, true = _scaled(predictions.aligned(truth["id"]), post, self.classes), truth[self.targets[0]].to_numpy()
        if needs == "probability":
            return codes(true, self.classes, "the truth"), self._matrix(rows)
        if needs == "ranking":
            return true, self._ranked(rows, LISTED)
        first = np.array([names[0] if names else "" for names in self._ranked(rows, 1)], dtype=object)
        both = native(np.concatenate([true, first]), self.classes)
        return both[: len(true)], both[len(true) :]

    def fit_post(
        self,
        truth: pd.DataFrame,
        predictions: Predictions,
        metric,
        *,
        class_factors: Literal["fit", "none", ""] = "",
        prior: float | Literal["fit"] = "fit",
    ) -> dict[str, Any]:
        """
        class_factors  a factor for each class's probability before the best is taken; "" fits them where the metric weighs rare classes
        prior          how far probabilities are moved to the class balance of score.prior, where that is given: 0 not, 1 as the theorem of
                       Bayes says, "fit" as far as makes the weighted log loss least
        """
        if self.ratios:
            power = _prior_power(self, truth, predictions) if prior == "fit" else float(prior)
            return {"prior": power, "class_factors": {c: self.ratios[c] ** power for c in self.classes}}
        if metric.needs(self.gives) != "label" or class_factors == "none" or "labels" in predictions.rows:
            return {}
        if class_factors == "" and metric.threshold is not None:
            return {}
        return _fit_factors(self, truth, predictions, metric)

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        rows = _scaled(predictions.rows, post, self.classes)
        if self.cell == "probabilities" or (self.cell == "" and len(columns) > 1):
            self._check_columns(columns)
            matrix = self._matrix(rows)
            place = {c: n for n, c in enumerate(self.classes)}
            return {c: matrix[:, place[c]] if c in place else np.zeros(len(rows)) for c in columns}  # no training row has such a class
        if self.cell == "labels" or (self.cell == "" and needs == "ranking"):
            return {columns[0]: np.array([" ".join(names) for names in self._ranked(rows, self.top)], dtype=object)}
        return {columns[0]: np.array([n[0] for n in self._ranked(rows, 1)], dtype=object)}

    def _check_columns(self, columns: list[str]) -> None:
        lacking = [c for c in self.classes if c not in columns]
        if lacking:
            what = f"the submission has no column for {len(lacking)} classes: {shorten(lacking)}"
            raise DataError(f"{what}\nits columns are {shorten(columns)}")

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id"""
        if len(columns) > 1:
            self._check_columns(columns)
            return Predictions.of(frame.index, {f"p_{c}": pd.to_numeric(frame[c], errors="coerce").to_numpy(dtype=float) for c in columns})
        listed = [cell.split() for cell in frame[columns[0]]] if self.cell == "labels" or needs == "ranking" else [[c] for c in labels(frame[columns[0]], "the submission")]
        scores = [[1 / (rank + 1) for rank in range(len(names))] for names in listed]
        return Predictions.of(frame.index, {"labels": pd.Series(listed, dtype=object), "scores": pd.Series(scores, dtype=object)})


def _scaled(rows: pd.DataFrame, post: dict[str, Any], classes: list[str]) -> pd.DataFrame:
    """Probabilities times the factors of their classes, summing to 1 again; of lists, in their new order."""
    factors = post.get("class_factors")
    if not factors:
        return rows
    if "labels" in rows:
        ordered = []
        for names, scores in zip(rows["labels"], rows["scores"]):
            weighted = np.array([s * factors.get(c, 1.0) for c, s in zip(names, scores)])
            best = np.argsort(-weighted, kind="stable")
            ordered.append(([names[k] for k in best], weighted[best] / (weighted.sum() or 1.0)))
        return rows.assign(labels=pd.Series([o[0] for o in ordered], index=rows.index, dtype=object), scores=pd.Series([o[1] for o in ordered], index=rows.index, dtype=object))
    columns = [f"p_{c}" for c in classes]
    matrix = rows[columns].to_numpy(dtype=np.float64) * np.array([factors.get(c, 1.0) for c in classes])
    total = matrix.sum(axis=1, keepdims=True)
    return rows.assign(**dict(zip(columns, (matrix / np.where(total > 0, total, 1.0)).T)))


def _prior_power(task: Multiclass, truth: pd.DataFrame, predictions: Predictions) -> float:
    """How far towards the test's class balance makes the log loss of the rows, weighted to that balance, least.

    The theorem of Bayes says 1 for a calibrated model of the training balance (Saerens et al. 2002, equation 2.4), and 0 for one whose loss has
    corrected it already; between and beyond them lie models that are neither.
    """
    p = task._matrix(predictions.aligned(truth["id"]))
    own = codes(truth[task.targets[0]], task.classes, "the truth")
    weight = truth[WEIGHT].to_numpy() if WEIGHT in truth else np.ones(len(truth))
    logs, ratios = np.log(np.clip(p, 1e-7, None)), np.log([max(task.ratios[c], 1e-12) for c in task.classes])
    grid = np.round(np.arange(0.0, 2.01, 0.1), 1)
    losses = []
    for power in grid:
        moved = logs + power * ratios
        chosen = moved[np.arange(len(own)), own] - logsumexp(moved, axis=1)
        losses.append(-np.average(chosen, weights=weight))
    return float(grid[int(np.argmin(losses))])


def _fit_factors(task: Multiclass, truth: pd.DataFrame, predictions: Predictions, metric) -> dict[str, Any]:
    """Coordinate search over one factor a class, on a fixed grid; a change is kept only if it helps by more than rounding."""
    p, quality = metric.given(task, "probability", truth, predictions)
    answers = native(np.array(task.classes, dtype=object), task.classes)
    factors = np.ones(len(task.classes))
    best = quality(answers[p.argmax(axis=1)])
    for _ in range(2):
        for n in range(len(factors)):
            for factor in (0.5, 0.7, 1.4, 2.0, 3.0):
                tried = np.where(np.arange(len(factors)) == n, factor, factors)
                found = quality(answers[(p * tried).argmax(axis=1)])
                if found > best + 1e-9:
                    best, factors = found, tried
    return {"class_factors": dict(zip(task.classes, factors.tolist()))}

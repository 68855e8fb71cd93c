"""One of many classes: a prediction is a probability for each, or above 200 classes the best hundred of them.

Of an open set, a row may be of none of them: scores need not sum to 1 then, and what lacks speaks for none.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from kit import calibration
from kit.errors import ConfigError, DataError, bullets, shorten
from kit.folds import Fold
from kit.predictions import Predictions, Ranked
from kit.tables import WEIGHT
from kit.tasks import _open_set
from kit.tasks._task import (
    ClassTask,
    as_list,
    check_one_target,
    check_same_ids,
    check_validated_once,
    codes,
    in_order,
    labels,
    native,
    words,
)

WIDE = 200  # above this many classes a prediction lists the best LISTED
LISTED = 100


class Multiclass(ClassTask):
    loss, metric = "cross_entropy", "log_loss"
    gives = ("label", "probability", "ranking", "confidence")

    def __init__(
        self,
        *,
        target: str | list[str],
        cells: Literal["", "label", "labels", "label_confidence", "probabilities"] = "",
        top: int = 5,
        open_set: bool = False,
        unknown: str = "",
    ):
        """
        cells     what the submission holds: one label, the best `top` labels separated by spaces, a label and its confidence, or a
                  column a class; "" is a column a class where the sample has several, else what the metric needs
        open_set  whether a row may be of no class
        unknown   what files say of such a row; "" is a blank cell
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "multiclass")
        self.cell, self.top, self.open_set, self.unknown = cells, top, open_set, unknown
        problems = []
        if unknown and not open_set:
            problems.append(f'output.unknown = "{unknown}": rows of no class go with output.open_set = true')
        if open_set and cells == "probabilities":
            problems.append('output.cells = "probabilities": rows of no class have no column; write labels, or set output.open_set = false')
        if open_set and cells == "labels" and not unknown:
            problems.append('output.cells = "labels": a list cannot hold a blank, so rows of no class need a word; set output.unknown')
        if problems:
            raise ConfigError(bullets(problems))
        if open_set:
            self.gives = ("label", "ranking", "confidence")  # a probability of each class says nothing about rows that are of none
        self.by_fold = open_set  # what is right for a validated row: of a class that its fold has not learned it is "none"
        self.classes: list[str] = []
        self.ratios: dict[str, float] = {}  # class -> its share of the test rows over its share of the rows learned from, where it is known

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def lists_best(self) -> bool:
        """Whether a prediction lists the best classes of a row, not all."""
        return len(self.classes) > WIDE

    def learn(self, truth: pd.DataFrame) -> None:
        self.classes = in_order(c for c in truth[self.targets[0]].unique() if not (self.open_set and c == self.unknown))
        if len(self.classes) < 2:
            raise DataError(f"{self.targets[0]} has one class in the training rows: {shorten(self.classes)}\nthere is nothing to tell apart")

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """The label of raw rows; of an open set, `unknown` for those of no class."""
        if not self.open_set:
            return super().read_target(frame, source)
        values = frame[self.targets[0]]
        text = values.astype("str").mask(values.isna(), "")
        known = text != self.unknown
        return {self.targets[0]: text.where(~known, labels(values[known], source))}

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        values = truth[self.targets[0]].to_numpy(dtype=object)
        return np.where(self.open_set & (values == self.unknown), np.int64(-1), values), False

    def out_of_fold(self, truth: pd.DataFrame, split: list[Fold]) -> pd.DataFrame:
        """The truth, where of an open set a validated row is of no class if no training row of its fold is of its class.

        Raises FoldError for a row that is validated twice.
        """
        if not self.open_set:
            return truth
        check_validated_once(split)
        name = self.targets[0]
        return truth.assign(**{name: _open_set.out_of_fold(truth[name].to_numpy(dtype=object), self.unknown, split)})

    def shares(self, prior: str | dict[str, float]) -> dict[str, float]:
        """class -> share of the rows, summing to 1. Raises ConfigError for classes that there are not, or shares below 0."""
        if self.open_set:
            raise ConfigError("score.prior: with output.open_set = true rows may be of no class, and no share of theirs can be given\ntake it out")
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

    def evening(self, predictions: Predictions, shares: dict[str, float], weight: np.ndarray | None = None) -> dict[str, float]:
        """class -> factor under which all these rows together give the classes these shares.

        shares  class -> share of the rows; of a class that is left out 0
        weight  (n,) of the rows, in the order of their ids
        """
        p = self._matrix(predictions.rows)
        factors = calibration.evening(p, np.array([shares.get(c, 0.0) for c in self.classes]), np.ones(len(p)) if weight is None else weight)
        return dict(zip(self.classes, factors.tolist()))

    def times(self, predictions: Predictions, factors: dict[str, float]) -> Predictions:
        """Each class's probability times its factor, summing to 1 again."""
        rows = _scaled(predictions.rows, {"class_factors": factors}, self.classes)
        return Predictions.of(predictions.ids, rows.drop(columns="id").to_dict("series"))

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) int64 class positions; of an open set -1 for rows of no class."""
        values = truth[self.targets[0]].to_numpy(dtype=object)
        if not self.open_set:
            return codes(values, self.classes, "the truth")
        found = np.full(len(values), -1, np.int64)
        known = values != self.unknown
        found[known] = codes(values[known], self.classes, "the truth")
        return found

    def decode(self, ids: Sequence[str], raw: np.ndarray | Ranked) -> Predictions:
        """raw  (n, classes) probabilities or, of an open set, scores of 0 and more; or the best few of each row

        Raises DataError where a number is missing or infinite.
        """
        if isinstance(raw, Ranked):
            positions, scores = raw.positions, np.asarray(raw.scores, dtype=np.float64)
            if self.lists_best:
                return self._listed(ids, positions, scores)
            filled = np.zeros((len(positions), len(self.classes)))
            row, column = np.nonzero(positions >= 0)
            filled[row, positions[row, column]] = scores[row, column]
            raw = filled
        raw = np.asarray(raw, dtype=np.float64)
        if not self.lists_best:
            return Predictions.of(ids, {f"p_{c}": raw[:, n] for n, c in enumerate(self.classes)})
        return self._listed(ids, np.broadcast_to(np.arange(raw.shape[1]), raw.shape), raw)

    def _listed(self, ids: Sequence[str], positions: np.ndarray, scores: np.ndarray) -> Predictions:
        """The best classes of each row; of an open set those with a score above 0.

        positions  (n, k) of the classes, -1 for none
        """
        there = positions >= 0
        wrong = (there & ~np.isfinite(scores)).any(axis=1)
        if wrong.any():
            raise DataError(f"{int(wrong.sum())} rows have predictions that are not finite numbers: ids {shorten(np.asarray(ids)[wrong])}")
        there &= (scores > 0) | (not self.open_set)
        best = np.argsort(np.where(there, -scores, np.inf), axis=1, kind="stable")[:, :LISTED]
        names = np.array(self.classes, dtype=object)[np.take_along_axis(positions, best, 1)]
        scores, counts = np.take_along_axis(scores, best, 1), np.take_along_axis(there, best, 1).sum(axis=1)
        lists = [(n[:count], s[:count]) for n, s, count in zip(names, scores, counts)]
        return _of_lists(ids, lists)

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        if "labels" not in parts[0].rows:
            return super().average(parts, weights)
        ids = check_same_ids(parts)
        weights = np.ones(len(parts)) / len(parts) if weights is None else np.asarray(weights) / np.sum(weights)
        lists = []
        for rows in zip(*(zip(p.rows["labels"], p.rows["scores"]) for p in parts)):
            total: dict[str, float] = {}
            for weight, (names, scores) in zip(weights, rows):
                for name, score in zip(names, scores):
                    total[name] = total.get(name, 0.0) + weight * score
            best = sorted(total, key=lambda name: (-total[name], name))[:LISTED]
            lists.append((best, [total[name] for name in best]))
        return _of_lists(ids, lists)

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

    def _lists(self, rows: pd.DataFrame, k: int) -> list[_open_set.Listed]:
        """The best k classes of each row and their scores; of an open set those with a score above 0, or that a submission lists."""
        if "labels" in rows:
            return [(names[:k], scores[:k]) for names, scores in zip(rows["labels"], rows["scores"])]
        matrix = self._matrix(rows)
        best = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
        names, scores = np.array(self.classes, dtype=object)[best], np.take_along_axis(matrix, best, 1)
        counts = (scores > 0).sum(axis=1) if self.open_set else np.full(len(rows), best.shape[1])
        return [(n[:count], s[:count]) for n, s, count in zip(names, scores, counts)]

    def _ranked(self, rows: pd.DataFrame, k: int, post: dict[str, Any]) -> list[list[str]]:
        if self.open_set and k > 1 and not self.unknown:
            raise ConfigError("output.unknown is a blank cell, and lists of labels cannot hold one: name the word for rows of no class")
        return _open_set.ranked(self._lists(rows, k), k, self.unknown, post.get("unknown"))

    def _first(self, rows: pd.DataFrame, post: dict[str, Any]) -> np.ndarray:
        """(n,) label of each row; where there is none, `unknown`."""
        if "labels" not in rows and not self.open_set:
            return np.array(self.classes, dtype=object)[self._matrix(rows).argmax(axis=1)]
        return np.array([names[0] if names else self.unknown for names in self._ranked(rows, 1, post)], dtype=object)

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[np.ndarray, Any]:
        rows, true = _scaled(predictions.aligned(truth["id"]), post, self.classes), truth[self.targets[0]].to_numpy()
        if needs == "probability":
            return codes(true, self.classes, "the truth"), self._matrix(rows)
        if needs == "ranking":
            return true, self._ranked(rows, LISTED, post)
        if needs == "confidence":
            texts = np.where(true == self.unknown, "", true) if self.open_set else true
            return texts, _open_set.confident(self._lists(rows, 1))
        both = native(np.concatenate([true, self._first(rows, post)]), self.classes)
        return both[: len(true)], both[len(true) :]

    def fit_post(
        self,
        truth: pd.DataFrame,
        predictions: Predictions,
        metric,
        *,
        class_factors: Literal["fit", "none", ""] = "",
        prior: float | Literal["fit"] = "fit",
        unknown: float | Literal["fit"] = "fit",
        calibrate: calibration.Method = "",
    ) -> dict[str, Any]:
        """
        class_factors  a factor for each class's probability before the best is taken; "" fits them where the metric weighs rare classes
        prior          how far probabilities are moved to the class balance of score.prior, where that is given: 0 not, 1 as the theorem of
                       Bayes says, "fit" as far as makes the weighted log loss least
        unknown        of an open set the score of no class: it stands before classes that score less; "fit" finds it on these rows
        calibrate      how probabilities are bent until they hold, before all else; "" leaves them
        """
        if calibrate and (self.open_set or "labels" in predictions.rows):
            what = "rows of no class" if self.open_set else f"lists of the best {LISTED} classes"
            raise ConfigError(f'post.calibrate = "{calibrate}": {what} have no probabilities that sum to 1; take it out')
        post: dict[str, Any] = {}
        if calibrate:
            weight = truth[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in truth else None
            p = self._matrix(predictions.aligned(truth["id"]))
            post = {"calibrated": calibration.fit(calibrate, p, codes(truth[self.targets[0]], self.classes, "the truth"), weight)}
            predictions = Predictions.of(predictions.ids, _calibrated(predictions.rows, post, self.classes).drop(columns="id").to_dict("series"))
        if self.open_set:
            return self._fit_unknown(truth, predictions, metric, class_factors, unknown)
        if unknown != "fit":
            raise ConfigError(f"post.unknown = {unknown}: rows of no class go with output.open_set = true")
        if self.ratios:
            power = _prior_power(self, truth, predictions) if prior == "fit" else float(prior)
            return {**post, "prior": power, "class_factors": {c: self.ratios[c] ** power for c in self.classes}}
        if metric.needs(self.gives) != "label" or class_factors == "none" or "labels" in predictions.rows:
            return post
        if class_factors == "" and metric.threshold is not None:
            return post
        return {**post, **_fit_factors(self, truth, predictions, metric)}

    def _fit_unknown(self, truth: pd.DataFrame, predictions: Predictions, metric, class_factors: str, unknown: float | str) -> dict[str, Any]:
        ordered = metric.needs(self.gives) == "confidence"
        problems = []
        if class_factors == "fit":
            problems.append('post.class_factors = "fit": of an open set only the score of no class is fitted; take it out')
        if ordered and unknown != "fit":
            problems.append(f"post.unknown = {unknown}: {metric.name} orders answers by their confidence, and no score parts them; take it out")
        if problems:
            raise ConfigError(bullets(problems))
        if ordered:
            return {}
        if unknown != "fit":
            return {"unknown": float(unknown)}
        lists = self._lists(predictions.rows, LISTED)
        plain = _of_lists(predictions.ids, [(list(names), scores) for names, scores in lists])  # sorted once for all that is tried
        best = np.array([scores[0] if len(scores) else 0.0 for _, scores in lists])
        sign = 1 if metric.greater_is_better else -1
        return {"unknown": _open_set.fit_least(best, lambda least: sign * metric.score(self, truth, plain, {"unknown": least}))}

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        rows = _scaled(predictions.rows, post, self.classes)
        if self.cell == "probabilities" or (self.cell == "" and len(columns) > 1):
            self._check_columns(columns)
            matrix = self._matrix(rows)
            place = {c: n for n, c in enumerate(self.classes)}
            return {c: matrix[:, place[c]] if c in place else np.zeros(len(rows)) for c in columns}  # no training row has such a class
        if self.cell == "labels" or (self.cell == "" and needs == "ranking"):
            return {columns[0]: np.array([" ".join(names) for names in self._ranked(rows, self.top, post)], dtype=object)}
        if self._writes_confidence(needs):
            told = _open_set.confident(self._lists(rows, 1))
            return {columns[0]: np.array([f"{said[0]} {said[1]!r}" if said else "" for said in told], dtype=object)}
        return {columns[0]: self._first(rows, post)}

    def _writes_confidence(self, needs: str) -> bool:
        return self.cell == "label_confidence" or (self.cell == "" and needs == "confidence")

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
        values = frame[columns[0]]
        if self._writes_confidence(needs):
            return _of_lists(frame.index, _open_set.read_confident(words(values), columns[0], frame.index))
        if self.cell == "labels" or needs == "ranking":
            listed = words(values)
        else:
            listed = [[c] for c in self.read_target(frame.rename(columns={columns[0]: self.targets[0]}), "the submission")[self.targets[0]]]
        return _of_lists(frame.index, [(names, [1 / (rank + 1) for rank in range(len(names))]) for names in listed])


def _of_lists(ids: Sequence[str], lists: Sequence[_open_set.Listed]) -> Predictions:
    names, scores = ([each[n] for each in lists] for n in (0, 1))
    return Predictions.of(ids, {"labels": pd.Series(names, dtype=object), "scores": pd.Series(scores, dtype=object)})


def _scaled(rows: pd.DataFrame, post: dict[str, Any], classes: list[str]) -> pd.DataFrame:
    """Calibrated probabilities times the factors of their classes, summing to 1 again; of lists, in their new order."""
    rows = _calibrated(rows, post, classes)
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


def _calibrated(rows: pd.DataFrame, post: dict[str, Any], classes: list[str]) -> pd.DataFrame:
    if "calibrated" not in post:
        return rows
    columns = [f"p_{c}" for c in classes]
    return rows.assign(**dict(zip(columns, calibration.calibrated(post["calibrated"], rows[columns].to_numpy(dtype=np.float64)).T)))


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
    p, quality = metric.given(task, "probability", truth, predictions, native(np.array(task.classes, dtype=object), task.classes))
    factors = np.ones(len(task.classes))
    best = quality(p.argmax(axis=1))
    for _ in range(2):
        for n in range(len(factors)):
            for factor in (0.5, 0.7, 1.4, 2.0, 3.0):
                tried = np.where(np.arange(len(factors)) == n, factor, factors)
                found = quality((p * tried).argmax(axis=1))
                if found > best + 1e-9:
                    best, factors = found, tried
    return {"class_factors": dict(zip(task.classes, factors.tolist()))}

"""One of two classes: a prediction is the probability `p` of the positive one."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit import calibration
from kit.errors import DataError, shorten
from kit.predictions import Predictions
from kit.tables import WEIGHT
from kit.tasks._task import ClassTask, as_list, check_one_target, codes, in_order, labels

POSITIVE = ("1", "true", "yes", "y", "positive", "t")


class Binary(ClassTask):
    loss, metric = "bce", "auc"
    gives = ("label", "probability", "value", "ranking")
    outputs = 1

    def __init__(self, *, target: str | list[str], positive: str = "", cells: Literal["", "label", "probability"] = ""):
        """
        positive  the class that p is the probability of; "" is 1, True or yes where there is one, else the last in order
        cells     what the submission holds; "" is a label where the metric needs labels, else the probability
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "binary")
        self.positive, self.cell = positive, cells
        self.classes: list[str] = []

    def learn(self, truth: pd.DataFrame) -> None:
        classes = in_order(truth[self.targets[0]].unique())
        if len(classes) != 2:
            raise DataError(f'{self.targets[0]} has {len(classes)} classes in the training rows, and task "binary" needs two: {shorten(classes)}')
        likely = [c for c in classes if c.lower() in POSITIVE]
        positive = self.positive or (likely[0] if likely else classes[1])
        if positive not in classes:
            raise DataError(f'output.positive = "{positive}" is no class of {self.targets[0]}: {shorten(classes)}')
        self.classes = [next(c for c in classes if c != positive), positive]

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) float, 1 for the positive class."""
        return codes(truth[self.targets[0]], self.classes, "the truth").astype(np.float64)

    def decode(self, ids: Sequence[str], raw: np.ndarray) -> Predictions:
        """raw  (n,) probability of the positive class"""
        return Predictions.of(ids, {"p": np.clip(np.asarray(raw, dtype=np.float64).reshape(len(ids)), 0.0, 1.0)})

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[np.ndarray, Any]:
        p = _calibrated(predictions.aligned(truth["id"])["p"].to_numpy(), post)
        if needs == "ranking":
            return truth[self.targets[0]].to_numpy(), [[self.classes[int(q >= 0.5)], self.classes[int(q < 0.5)]] for q in p]
        true = codes(truth[self.targets[0]], self.classes, "the truth")
        return true, (p >= post.get("threshold", 0.5)).astype(np.int64) if needs == "label" else p

    def fit_post(
        self, truth: pd.DataFrame, predictions: Predictions, metric, *, threshold: float | Literal["fit", ""] = "", calibrate: calibration.Method = ""
    ) -> dict[str, Any]:
        """
        threshold  p from which a row is positive; "" is the metric's own where theory gives one, else fitted
        calibrate  how probabilities are bent until they hold, before any threshold; "" leaves them
        """
        post: dict[str, Any] = {}
        if calibrate:
            weight = truth[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in truth else None
            post["calibrated"] = calibration.fit(calibrate, predictions.aligned(truth["id"])["p"].to_numpy(), self.encode(truth), weight)
        if metric.needs(self.gives) != "label":
            return post
        if isinstance(threshold, (int, float)):
            return {**post, "threshold": float(threshold)}
        if threshold == "" and metric.threshold is not None:
            return {**post, "threshold": metric.threshold}
        p, quality = metric.given(self, "probability", truth, predictions)
        p = _calibrated(p, post)
        steps = np.unique(p)
        middles = (steps[:-1] + steps[1:]) / 2
        tried = np.unique([0.5, *np.quantile(middles, np.linspace(0, 1, 200))]) if len(middles) else np.array([0.5])
        scores = np.array([quality((p >= t).astype(np.int64)) for t in tried])
        best = np.flatnonzero(scores == scores.max())
        return {**post, "threshold": float(tried[best[len(best) // 2]])}  # the middle of the best: the least fitted of them

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        p = _calibrated(predictions.rows["p"].to_numpy(), post)
        if len(columns) > 1:  # a column a class
            self._check_columns(columns)
            return {c: p if c == self.classes[1] else 1 - p for c in columns}
        as_labels = self.cell == "label" or (self.cell == "" and needs == "label")
        positive = (p >= post.get("threshold", 0.5)).astype(int)
        return {columns[0]: np.array(self.classes, dtype=object)[positive] if as_labels else p}

    def _check_columns(self, columns: list[str]) -> None:
        if sorted(columns) != sorted(self.classes):
            raise DataError(f"the submission has columns {shorten(columns)}: expected one, or one for each class: {shorten(self.classes)}")

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id"""
        if len(columns) > 1:
            self._check_columns(columns)
            return Predictions.of(frame.index, {"p": pd.to_numeric(frame[self.classes[1]], errors="coerce").to_numpy(dtype=float)})
        cells = frame[columns[0]]
        if needs == "label":
            return Predictions.of(frame.index, {"p": codes(labels(cells, "the submission"), self.classes, "the submission").astype(float)})
        return Predictions.of(frame.index, {"p": pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)})


def _calibrated(p: np.ndarray, post: dict[str, Any]) -> np.ndarray:
    return calibration.calibrated(post["calibrated"], p) if "calibrated" in post else p

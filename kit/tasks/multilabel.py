"""Any number of labels: a prediction is a probability `p_<label>` for each."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.errors import DataError, shorten
from kit.predictions import Predictions
from kit.tasks._task import ClassTask, as_list, in_order, numbers


class Multilabel(ClassTask):
    loss, metric = "bce", "f1_micro"
    gives = ("label", "probability")

    def __init__(self, *, target: str | list[str], separator: str = " "):
        """
        target     one column that lists labels, or several columns of 0 and 1
        separator  between the labels in a cell
        """
        self.targets = as_list(target)
        self.separator = separator
        self.classes: list[str] = [] if len(self.targets) == 1 else self.targets

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def learn(self, truth: pd.DataFrame) -> None:
        if len(self.targets) == 1:
            self.classes = in_order({label for cell in truth[self.targets[0]] for label in cell.split(self.separator) if label})
        if len(self.classes) < 2:
            raise DataError(f"{shorten(self.targets)} holds {len(self.classes)} labels in the training rows\nis output.separator = {self.separator!r} right?")

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        if len(self.targets) == 1:
            cells = frame[self.targets[0]]
            return {self.targets[0]: cells.astype("str").mask(cells.isna(), "")}  # no label is legal
        read = {name: numbers(frame[name], source) for name in self.targets}
        wrong = [f"{name}: {shorten(v[~v.isin([0, 1])].unique(), 3)}" for name, v in read.items() if not v.isin([0, 1]).all()]
        if wrong:
            raise DataError(f"label columns of {source} hold more than 0 and 1: {shorten(wrong)}")
        return read

    def encode(self, truth: pd.DataFrame, classes: list[str] | None = None) -> np.ndarray:
        """(n, labels) float 0/1."""
        if len(self.targets) > 1:
            return truth[self.targets].to_numpy(dtype=np.float64)
        return _matrix([c.split(self.separator) for c in truth[self.targets[0]]], classes or self.classes)

    def decode(self, ids: Sequence[str], raw: np.ndarray) -> Predictions:
        """raw  (n, labels) probabilities"""
        raw = np.asarray(raw, dtype=np.float64)
        return Predictions.of(ids, {f"p_{c}": raw[:, n] for n, c in enumerate(self.classes)})

    def _chosen(self, rows: pd.DataFrame, post: dict[str, Any]) -> np.ndarray:
        threshold = post.get("thresholds") or post.get("threshold", 0.5)
        return rows[[f"p_{c}" for c in self.classes]].to_numpy(dtype=np.float64) >= np.asarray(threshold)

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        rows = predictions.aligned(truth["id"])
        if needs == "probability":
            return self.encode(truth).astype(np.int64), rows[[f"p_{c}" for c in self.classes]].to_numpy(dtype=np.float64)
        chosen = self._chosen(rows, post).astype(np.int64)
        if len(self.targets) > 1:
            return self.encode(truth).astype(np.int64), chosen
        # labels that only the truth has are misses, not errors of form
        beyond = sorted({label for cell in truth[self.targets[0]] for label in cell.split(self.separator) if label} - set(self.classes))
        wide = np.hstack([chosen, np.zeros((len(chosen), len(beyond)), dtype=np.int64)])
        return self.encode(truth, [*self.classes, *beyond]).astype(np.int64), wide

    def fit_post(
        self, truth: pd.DataFrame, predictions: Predictions, metric, *, threshold: float | Literal["fit", "each", ""] = ""
    ) -> dict[str, Any]:
        """threshold  p from which a label is given; "" and "fit" fit one for all labels, "each" then one a label"""
        if metric.needs(self.gives) != "label":
            return {}
        if isinstance(threshold, (int, float)):
            return {"threshold": float(threshold)}
        p, quality = metric.given(self, "probability", truth, predictions)
        grid = np.round(np.arange(0.04, 0.9, 0.02), 2)
        thresholds = np.full(p.shape[1], max(grid, key=lambda t: quality((p >= t).astype(np.int64))))
        if threshold != "each":
            return {"threshold": float(thresholds[0])}
        for n in range(len(thresholds)):
            tried = [thresholds, *(np.where(np.arange(len(thresholds)) == n, t, thresholds) for t in grid[::2])]
            thresholds = max(tried, key=lambda t: quality((p >= t).astype(np.int64)))
        return {"thresholds": thresholds.tolist()}

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        return self.encode(truth), False

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        if len(columns) > 1:
            unknown = [c for c in columns if c not in self.classes]
            if unknown:
                raise DataError(f"the submission has columns that are no label: {shorten(unknown)}")
            values = self._chosen(predictions.rows, post).astype(int) if needs == "label" else predictions.rows[[f"p_{c}" for c in self.classes]].to_numpy()
            return {c: values[:, self.classes.index(c)] for c in columns}
        names = np.array(self.classes, dtype=object)
        return {columns[0]: np.array([self.separator.join(names[row]) for row in self._chosen(predictions.rows, post)], dtype=object)}

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id. A label that no training row has is one more column: it counts as a wrong one."""
        if len(columns) > 1:
            return Predictions.of(frame.index, {f"p_{c}": pd.to_numeric(frame[c], errors="coerce").to_numpy(dtype=float) for c in columns})
        listed = [cell.split(self.separator) for cell in frame[columns[0]].fillna("")]
        self.classes = [*self.classes, *sorted({label for names in listed for label in names if label} - set(self.classes))]
        return self.decode(frame.index, _matrix(listed, self.classes))


def _matrix(listed: Sequence[Sequence[str]], classes: list[str]) -> np.ndarray:
    place = {c: n for n, c in enumerate(classes)}
    matrix = np.zeros((len(listed), len(classes)))
    for n, names in enumerate(listed):
        for name in names:
            if name in place:
                matrix[n, place[name]] = 1.0
    return matrix

"""A number, or several: a prediction is `y`, or one column a target."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.errors import DataError, shorten
from kit.predictions import Predictions
from kit.tasks._task import Task, as_list, numbers

# space: (there, back, least legal value of the target, whether it is legal itself)
_SPACES = {
    "none": (lambda y: y, lambda z: z, -np.inf, True),
    "log1p": (np.log1p, np.expm1, -1.0, False),
    "log": (np.log, np.exp, 0.0, False),
    "sqrt": (np.sqrt, lambda z: np.square(np.maximum(z, 0.0)), 0.0, True),
}


class Regression(Task):
    loss, metric = "mse", "rmse"
    gives = ("value", "label")

    def __init__(self, *, target: str | list[str], transform: Literal["", "none", "log1p", "log", "sqrt"] = ""):
        """transform  the space in which models are trained and folds averaged; "" is the metric's own"""
        self.targets = as_list(target)
        self.transform = transform or "none"
        self.legal: list[float] = []

    @property
    def outputs(self) -> int:
        return len(self.targets)

    def learn(self, truth: pd.DataFrame) -> None:
        _, _, least, itself = _SPACES[self.transform]
        for name in self.targets:
            wrong = truth[name] < least if itself else truth[name] <= least
            if wrong.any():
                raise DataError(f"{name} has {int(wrong.sum())} values that {self.transform} is not defined for: {shorten(truth[name][wrong])}\nset output.transform")
        values = np.unique(truth[self.targets].to_numpy())
        self.legal = [float(v) for v in values] if len(values) <= 100 else []

    def state(self) -> dict[str, Any]:
        return {"legal": self.legal}

    def restore(self, state: dict[str, Any]) -> None:
        self.legal = state["legal"]

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        return {name: numbers(frame[name], source) for name in self.targets}

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) or (n, targets) float in the space of training."""
        values = self.to_mean_space(truth[self.targets].to_numpy(dtype=np.float64))
        return values[:, 0] if len(self.targets) == 1 else values

    def decode(self, ids: Sequence[str], raw: np.ndarray) -> Predictions:
        """raw  (n,) or (n, targets) in the space of training"""
        values = self.from_mean_space(np.asarray(raw, dtype=np.float64).reshape(len(ids), len(self.targets)))
        return Predictions.of(ids, dict(zip(self._columns(), values.T)))

    def _columns(self) -> list[str]:
        return ["y"] if len(self.targets) == 1 else self.targets

    def to_mean_space(self, values: np.ndarray) -> np.ndarray:
        there, _, least, itself = _SPACES[self.transform]
        return there(np.maximum(values, least if itself else np.nextafter(least, np.inf)))

    def from_mean_space(self, values: np.ndarray) -> np.ndarray:
        return _SPACES[self.transform][1](values)

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        return truth[self.targets[0]].to_numpy(), True

    def _processed(self, rows: pd.DataFrame, post: dict[str, Any]) -> np.ndarray:
        """(n, targets), clipped and rounded."""
        values = rows[self._columns()].to_numpy(dtype=np.float64)
        if "clip" in post:
            values = np.clip(values, *post["clip"])
        if post.get("round") == "integer":
            values = np.rint(values)
        elif "cuts" in post:
            values = np.array(post["legal"])[np.searchsorted(post["cuts"], values, side="right")]
        return values

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        true = truth[self.targets].to_numpy(dtype=np.float64)
        values = self._processed(predictions.aligned(truth["id"]), post)
        if needs == "label":
            values = np.rint(values).astype(np.int64) if "cuts" not in post else values
            whole = (true % 1 == 0).all() and (values % 1 == 0).all()
            true, values = (true.astype(np.int64), values.astype(np.int64)) if whole else (true, values)
        return (true[:, 0], values[:, 0]) if len(self.targets) == 1 else (true, values)

    def fit_post(
        self,
        truth: pd.DataFrame,
        predictions: Predictions,
        metric,
        *,
        clip: list[float] | Literal["train", "none", ""] = "",
        round: Literal["legal", "integer", "none", ""] = "",
    ) -> dict[str, Any]:
        """
        clip   [lowest, highest] legal value, or "train" for the range of the training truth; "" clips nothing
        round  to the legal values of the training truth, by cut points fitted out of fold, or to whole numbers;
               "" rounds to legal values where the metric needs labels
        """
        post: dict[str, Any] = {}
        true = truth[self.targets].to_numpy(dtype=np.float64)
        if clip == "train":
            post["clip"] = [float(true.min()), float(true.max())]
        elif isinstance(clip, list):
            if len(clip) != 2 or not clip[0] < clip[1]:
                raise DataError(f"post.clip = {clip}: expected [lowest, highest]")
            post["clip"] = [float(c) for c in clip]
        wants_labels = metric.needs(self.gives) == "label"
        if round == "integer":
            post["round"] = "integer"
        elif round == "legal" or (round == "" and wants_labels):
            if not self.legal:
                raise DataError("post.round = \"legal\": the target has more than 100 different values\nround to whole numbers, or not at all")
            post |= _fit_cuts(self, truth, predictions, metric, post)
        return post

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        values = self._processed(predictions.rows, post)
        whole = "round" in post or ("cuts" in post and all(v % 1 == 0 for v in post["legal"]))
        found = {c: values[:, n] for c, n in zip(columns, self._places(columns))}
        return {c: v.astype(np.int64) for c, v in found.items()} if whole else found

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id"""
        read = {n: pd.to_numeric(frame[c], errors="coerce").to_numpy(dtype=float) for c, n in zip(columns, self._places(columns))}
        return Predictions.of(frame.index, {name: read[n] for n, name in enumerate(self._columns())})

    def _places(self, columns: list[str]) -> list[int]:
        """The target of each column of a submission: by name where the names are those of the targets, else in their order."""
        if len(columns) != len(self.targets):
            raise DataError(f"the submission has columns {shorten(columns)} for {len(self.targets)} targets: {shorten(self.targets)}")
        return [self.targets.index(c) for c in columns] if set(columns) == set(self.targets) else list(range(len(columns)))


def _fit_cuts(task: Regression, truth: pd.DataFrame, predictions: Predictions, metric, post: dict[str, Any]) -> dict[str, Any]:
    """Cut points between neighbouring legal values, by coordinate search from their middles."""
    legal = np.array(task.legal)
    cuts = (legal[:-1] + legal[1:]) / 2
    values, scored = metric.given(task, "value", truth, predictions)
    values = np.clip(values, *post["clip"]) if "clip" in post else values
    whole = (legal % 1 == 0).all() and metric.needs(task.gives) == "label"

    def quality(tried: np.ndarray) -> float:
        rounded = legal[np.searchsorted(tried, values, side="right")]
        return scored(rounded.astype(np.int64) if whole else rounded)

    best = quality(cuts)
    for share in (0.4, 0.2, 0.1, 0.05):
        for n in range(len(cuts)):
            width = legal[n + 1] - legal[n]
            for step in (-share * width, share * width):
                tried = np.sort(np.concatenate([cuts[:n], [cuts[n] + step], cuts[n + 1 :]]))
                score = quality(tried)
                if score > best + 1e-12:
                    best, cuts = score, tried
    return {"cuts": [float(c) for c in cuts], "legal": task.legal}

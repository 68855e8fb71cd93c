"""Boxes around objects: a prediction is any number of rows a picture, each with a label, a score and the box's corners in pixels."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.errors import DataError, shorten
from kit.found import Found
from kit.predictions import Predictions
from kit.registry import needed
from kit.tasks._linking import linked
from kit.tasks._task import ClassTask, as_list, check_one_target, check_same_ids, in_order

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of a clip in a box's score, that are tried
CORNERS = ("x1", "y1", "x2", "y2")


class Detection(ClassTask):
    loss, metric = "detection", "coco_map"
    gives = ("boxes",)
    own_models = True  # only models that name this task serve it

    def __init__(
        self,
        *,
        target: str | list[str],
        scored: bool = True,
        inclusive: bool = True,
        most: int = 100,
        decimals: int = 1,
        numbers: dict[str, int] = {},
    ):
        """
        target     the submission's column of box groups: "label score x1 y1 x2 y2 label score ..."
        scored     whether a group has its score; without one, the order of the groups tells which is surest
        inclusive  whether x2 and y2 are the last pixel within the box, as in VOC and ImageNet, or the first beyond it: in annotations that say
                   so themselves, in cells, and for the metric, unless score.metric has its own `inclusive`
        most       boxes of a picture that are kept, the surest
        decimals   of a pixel, that corners are rounded to
        numbers    label -> what a cell calls it, where that is a number
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "detection")
        self.scored, self.inclusive, self.most, self.decimals, self.numbers = scored, inclusive, most, decimals, numbers
        self.classes: list[str] = []

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def learn(self, truth: pd.DataFrame) -> None:
        self.classes = in_order({label for found in truth[self.targets[0]] for label in found.labels[~found.ignored]})
        if not self.classes:
            raise DataError(f"none of the {len(truth)} training pictures has a box\nare the annotations where input.boxes says?")

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """Objects of kind Found as they are, or cells of groups without scores, as in answers; a blank cell: nothing is there."""
        name = self.targets[0]
        cells = frame[name]
        if not all(isinstance(cell, Found) for cell in cells):
            cells = pd.Series(self._parsed(cells, scored=False, source=source), index=frame.index, dtype=object)
        return {name: cells}

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) Found whose labels are class positions, and whose x2 and y2 are beyond the box."""
        place = {name: n for n, name in enumerate(self.classes)}
        encoded = np.empty(len(truth), dtype=object)
        for n, found in enumerate(truth[self.targets[0]]):
            codes = np.array([place.get(label, -1) for label in found.labels], dtype=np.int64)  # of what is ignored the class may be of no other
            encoded[n] = Found(codes, found.scores, found.boxes + self._beyond, None, found.ignored | (codes < 0), found.clip)
        return encoded

    @property
    def _beyond(self) -> np.ndarray:
        return np.array([0.0, 0.0, 1.0, 1.0]) * self.inclusive

    def decode(self, ids: Sequence[str], raw: Sequence[Found]) -> Predictions:
        """raw  (n,) Found as `encode` gives them"""
        names = np.array(self.classes, dtype=object)
        return self._rows(ids, [Found.of(names[own.labels.astype(np.int64)], boxes=own.boxes - self._beyond, scores=own.scores) for own in raw])

    def _rows(self, ids: Sequence[str], found: Sequence[Found]) -> Predictions:
        """Predictions as a submission can say them: of each picture the surest, corners rounded."""
        kept = [own.take(np.argsort(-own.scores, kind="stable")[: self.most]) for own in found]
        return _as_they_are(ids, [Found.of(own.labels, boxes=own.boxes.round(self.decimals), scores=own.scores.round(6)) for own in kept])

    def nothing(self, ids: Sequence[str]) -> Predictions:
        """No box in any picture."""
        return self._rows(ids, [Found.of([], boxes=[]) for _ in ids])

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Weighted box fusion, picture by picture."""
        ids = check_same_ids(parts)
        if len(parts) == 1:
            return parts[0]
        fused = needed("kit.fusing", 'output.task = "detection"').fused
        every = [self._found(part, ids) for part in parts]
        widened = [[Found.of(own.labels, boxes=own.boxes + self._beyond, scores=own.scores) for own in one] for one in every]
        merged = [fused(some, weights) for some in zip(*widened)]
        return self._rows(ids, [Found.of(own.labels, boxes=own.boxes - self._beyond, scores=own.scores) for own in merged])

    def _found(self, predictions: Predictions, ids: Sequence[str]) -> list[Found]:
        rows = predictions.rows
        labels, scores, boxes = rows["label"].to_numpy(dtype=object), rows["score"].to_numpy(dtype=np.float64), rows[list(CORNERS)].to_numpy(dtype=np.float64)
        return [Found.of(labels[own], boxes=boxes[own], scores=scores[own]) for own in predictions.each(ids)]

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[list[Found], list[Found]]:
        return list(truth[self.targets[0]]), self._found(self._processed(predictions.take(truth["id"]), post), truth["id"])

    def fit_post(
        self,
        truth: pd.DataFrame,
        predictions: Predictions,
        metric,
        *,
        link: Literal["", "seq_nms"] = "",
        link_iou: float = 0.5,
        link_share: float | Literal["fit"] = 1.0,
        link_suppress: float = 0.5,
    ) -> dict[str, Any]:
        """
        link           "seq_nms": boxes of one object in the frames of a clip are rescored together; ids are then "<clip>/<frame>", in their order
        link_iou       0..1, overlap from which boxes of two frames that follow one another are of one object
        link_share     0..1, of the mean score along the clip in a box's new score; "fit" takes what is best, 0 leaves all frames as they are
        link_suppress  0..1, overlap from which another box of the same frame and class is the same object
        """
        if not link:
            return {}
        post = {"link": link, "link_iou": link_iou, "link_share": link_share, "link_suppress": link_suppress}
        if link_share != "fit":
            return post
        sign = 1 if metric.greater_is_better else -1
        return max(({**post, "link_share": share} for share in SHARES), key=lambda tried: sign * metric.score(self, truth, predictions, tried))

    def _processed(self, predictions: Predictions, post: dict[str, Any]) -> Predictions:
        if not post.get("link") or not post["link_share"]:
            return predictions
        how = {"iou": post["link_iou"], "share": post["link_share"], "suppress": post["link_suppress"]}
        return self._rows(predictions.ids, linked(predictions.ids, self._found(predictions, predictions.ids), self._beyond, **how))

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        """(n, classes) 0/1: which are in the picture."""
        present = np.zeros((len(truth), len(self.classes)))
        place = {name: n for n, name in enumerate(self.classes)}
        for row, found in zip(present, truth[self.targets[0]]):
            row[[place[label] for label in set(found.labels) & set(place)]] = 1.0
        return present, False

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        found = self._found(self._processed(predictions, post), predictions.ids)
        return {columns[0]: np.array([self._cell(own) for own in found], dtype=object)}

    def _cell(self, found: Found) -> str:
        groups = []
        for label, score, box in zip(found.labels, found.scores.tolist(), found.boxes.tolist()):
            told = [str(self.numbers.get(label, label))] + ([f"{score:g}"] if self.scored else [])
            groups.append(" ".join([*told, *(f"{value:.{self.decimals}f}".removesuffix("." + "0" * self.decimals) for value in box)]))
        return " ".join(groups)

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id. Raises DataError with all cells that are no groups.

        Nothing is rounded or left out: what counts of another's submission, the metric alone decides.
        """
        return _as_they_are(frame.index, self._parsed(frame[columns[0]], scored=self.scored, source="the submission"))

    def _parsed(self, cells: pd.Series, *, scored: bool, source: str) -> list[Found]:
        """Groups of each cell. Without scores, each gets less than the one before it."""
        width, named = 5 + scored, {str(number): label for label, number in self.numbers.items()}
        found, wrong = [], []
        for id, cell in cells.astype("str").mask(cells.isna(), "").items():
            parts = cell.split()
            groups = np.array(parts, dtype=object).reshape(-1, width) if len(parts) % width == 0 else None
            try:
                numbers = None if groups is None else groups[:, 1:].astype(np.float64)
            except ValueError:
                numbers = None
            if numbers is None or not np.isfinite(numbers).all():
                wrong.append(f"{id}: {cell[:60]!r}")
                continue
            scores = numbers[:, 0] if scored else 1 / np.arange(1, 1 + len(numbers))
            labels = [named.get(label, label) for label in groups[:, 0]]
            found.append(Found.of(labels, boxes=numbers[:, -4:], scores=scores))
        if wrong:
            form = "label score x1 y1 x2 y2" if scored else "label x1 y1 x2 y2"
            raise DataError(f'{len(wrong)} cells of {source} are no groups of "{form}": {shorten(wrong, 3)}\noutput.scored says whether a group has a score')
        return found


def _as_they_are(ids: Sequence[str], found: Sequence[Found]) -> Predictions:
    """Predictions of what was found in each picture, in its order."""
    boxes = np.concatenate([own.boxes for own in found]) if found else np.zeros((0, 4))
    columns = {
        "id": np.repeat(np.asarray(ids, dtype=object), [len(own) for own in found]),
        "label": pd.array(np.concatenate([own.labels for own in found]) if found else [], dtype="str"),
        "score": np.concatenate([own.scores for own in found]) if found else [],
        **dict(zip(CORNERS, boxes.T)),
    }
    return Predictions.many(ids, pd.DataFrame(columns))

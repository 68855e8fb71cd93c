"""Masks of objects: a prediction is any number of rows a picture, each with a label, a score and the runs of its pixels.

Masks of several models that overlap by half or more are one object: the pixels that the majority has, and the scores that all gave it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kit import masks
from kit.errors import ConfigError, DataError, shorten
from kit.found import Found, Mask
from kit.predictions import Predictions
from kit.tasks._task import ClassTask, as_list, check_one_target, check_same_ids, in_order

ONE = 0.5  # overlap from which masks of several models are one object


class Segmentation(ClassTask):
    loss, metric = "detection", "coco_map"
    gives = ("masks",)
    own_models = True  # only models that name this task serve it

    def __init__(self, *, target: str | list[str], labels: list[str] = [], disjoint: bool = False, most: int = 100, least_score: float = 0.0):
        """
        target       the submission's column of masks
        labels       what is to be found; empty is all that the training pictures show, and are not told to ignore
        disjoint     whether a pixel is of one object only: the surest
        most         objects of a picture that are kept, the surest
        least_score  0..1, below which an object is not kept
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "segmentation")
        self.labels, self.disjoint, self.most, self.least_score = labels, disjoint, most, least_score
        self.classes: list[str] = []
        if len(set(labels)) < len(labels):
            raise ConfigError(f"output.labels names a label twice: {shorten(labels, 10)}")

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def learn(self, truth: pd.DataFrame) -> None:
        shown = {label for found in truth[self.targets[0]] for label in found.labels[~found.ignored]}
        if not shown:
            raise DataError(f"none of the {len(truth)} training pictures shows an object\nare the label pictures where input.labels says, and is input.divisor right?")
        if self.labels and not shown & set(self.labels):
            raise DataError(f"output.labels are {shorten(self.labels, 10)}, and the training pictures show {shorten(in_order(shown), 10)}")
        self.classes = list(self.labels) or in_order(shown)

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """Objects of kind Found, as the adapter reads them."""
        return {self.targets[0]: frame[self.targets[0]]}

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) Found whose labels are class positions; what is of no class is left out, unless it is to be ignored: -1.

        Beside their masks they have boxes whose x2 and y2 are beyond the last pixel, where truth has them.
        """
        place = {name: n for n, name in enumerate(self.classes)}
        encoded = np.empty(len(truth), dtype=object)
        for n, found in enumerate(truth[self.targets[0]]):
            codes = np.array([place.get(label, -1) for label in found.labels], dtype=np.int64)
            own = found.take((codes >= 0) | found.ignored)
            encoded[n] = Found(codes[(codes >= 0) | found.ignored], own.scores, own.boxes, own.masks, own.ignored, own.clip)
        return encoded

    def decode(self, ids: Sequence[str], raw: Sequence[Found]) -> Predictions:
        """raw  (n,) Found as `encode` gives them"""
        names = np.array(self.classes, dtype=object)
        return self.rows(ids, [Found.of(names[own.labels.astype(np.int64)], masks=own.masks, scores=own.scores) for own in raw])

    def rows(self, ids: Sequence[str], found: Sequence[Found]) -> Predictions:
        """Predictions of what was found in each picture, with the names of labels: the surest first, and what the task's options let stand."""
        kept = [self._kept(own) for own in found]
        return self.as_they_are(ids, [Found.of(own.labels, masks=own.masks, scores=own.scores.round(6)) for own in kept])

    def as_they_are(self, ids: Sequence[str], found: Sequence[Found]) -> Predictions:
        """Predictions of all that is said to be in each picture, in its order: of another's submission the metric alone decides what counts."""
        columns = {
            "id": np.repeat(np.asarray(ids, dtype=object), [len(own) for own in found]),
            "label": pd.array([label for own in found for label in own.labels], dtype="str"),
            "score": np.concatenate([own.scores for own in found]) if found else np.zeros(0),
            "rle": pd.array([masks.encode(mask) for own in found for mask in own.masks], dtype="str"),
        }
        return Predictions.many(ids, pd.DataFrame(columns))

    def _kept(self, found: Found) -> Found:
        order = np.argsort(-found.scores, kind="stable")
        own = found.take(order[found.scores[order] >= self.least_score])
        if self.disjoint:
            own = Found.of(own.labels, masks=masks.disjoint(own.masks, own.scores), scores=own.scores)
        return own.take(np.flatnonzero(masks.areas(own.masks))[: self.most])

    def nothing(self, ids: Sequence[str]) -> Predictions:
        """No object in any picture."""
        return self.rows(ids, [Found.of([], masks=[]) for _ in ids])

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """The objects of each picture, joined over models; a score is the sum over all models, 0 for one that did not find it, of weights that sum to 1."""
        ids = check_same_ids(parts)
        if len(parts) == 1:
            return parts[0]
        shares = np.ones(len(parts)) / len(parts) if weights is None else np.asarray(weights, dtype=np.float64) / np.sum(weights)
        every = [self.found(part, ids) for part in parts]
        return self.rows(ids, [joined(some, shares) for some in zip(*every)])

    def found(self, predictions: Predictions, ids: Sequence[str]) -> list[Found]:
        """What was found in each of these pictures."""
        rows = predictions.rows
        labels, scores, texts = (rows[name].to_numpy(dtype=object) for name in ("label", "score", "rle"))
        return [Found.of(labels[own], masks=[masks.decode(text) for text in texts[own]], scores=scores[own]) for own in predictions.each(ids)]

    def for_metric(self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]) -> tuple[list[Found], list[Found]]:
        """What is true of labels that are not to be found does not count."""
        known = np.array(self.classes, dtype=object)
        true = [found.take(np.isin(found.labels, known) | found.ignored) for found in truth[self.targets[0]]]
        return true, self.found(predictions, truth["id"])

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        """(n, classes) 0/1: which are in the picture."""
        found = [set(own.labels[~own.ignored]) for own in truth[self.targets[0]]]
        return np.array([[float(label in labels) for label in self.classes] for labels in found]).reshape(-1, len(self.classes)), False

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        raise AssertionError("an adapter writes masks: a submission has several rows a picture")

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        raise AssertionError("an adapter reads masks: a submission has several rows a picture")


def joined(parts: Sequence[Found], shares: np.ndarray) -> Found:
    """The objects of one picture that several models found.

    The surest first, each joins the object of its label that it overlaps most, by half or more and with none of its own model's masks in it
    yet; else it begins another. An object has the pixels that half of its masks have or more, each counting by its score.

    shares  (models,) weights that sum to 1
    """
    labels = np.concatenate([own.labels for own in parts])
    scores = np.concatenate([own.scores * share for own, share in zip(parts, shares)])
    model = np.repeat(np.arange(len(parts)), [len(own) for own in parts])
    every: list[Mask] = [mask for own in parts for mask in own.masks]
    overlap = masks.iou(every, every)
    objects: list[list[int]] = []
    for n in np.argsort(-scores, kind="stable").tolist():
        open_ = [own for own in objects if labels[own[0]] == labels[n] and overlap[n, own[0]] >= ONE and model[n] not in model[own]]
        if open_:
            max(open_, key=lambda own: overlap[n, own[0]]).append(n)
        else:
            objects.append([n])
    merged = [every[own[0]] if len(own) == 1 else masks.majority([every[n] for n in own], np.maximum(scores[own], 1e-12)) for own in objects]
    return Found.of(labels[[own[0] for own in objects]], masks=merged, scores=[scores[own].sum() for own in objects])

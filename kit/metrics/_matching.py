"""What metrics of boxes and masks are made of: the objects of all pictures in one list, which of them overlap, and average precision.

Objects are compared within a picture and a label. All pairs that overlap are found at once and kept as three columns: of 25,000 pictures
with 100 boxes each, a few in a hundred overlap at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from kit import masks
from kit.errors import ScoreError
from kit.found import Found, Mask

By = Literal["", "boxes", "masks"]
Interpolation = Literal["all", "101", "11"]
_PAIRS, _RUNS = 500_000, 500_000  # compared at once, so that memory does not grow with the pictures


@dataclass(frozen=True)
class Objects:
    """Objects of many pictures.

    place    (n,) int64, one number for each picture and label: only objects of one place are compared
    curve    (n,) int64, which precision-recall curve an object counts in
    scores   (n,) float64
    ignored  (n,) bool
    boxes    (n, 4) float64, or None
    masks    n masks, or None
    """

    place: np.ndarray
    curve: np.ndarray
    scores: np.ndarray
    ignored: np.ndarray
    boxes: np.ndarray | None
    masks: list[Mask] | None

    def __len__(self) -> int:
        return len(self.place)

    def take(self, rows: np.ndarray) -> "Objects":
        boxes = None if self.boxes is None else self.boxes[rows]
        held = None if self.masks is None else [self.masks[n] for n in rows.tolist()]
        return Objects(self.place[rows], self.curve[rows], self.scores[rows], self.ignored[rows], boxes, held)


@dataclass(frozen=True)
class Laid:
    """True objects by place; predicted ones the surest first, those that are as sure in the order of pictures and within one."""

    truth: Objects
    predicted: Objects

    def without(self, skipped: np.ndarray) -> "Laid":
        """Only the true objects that are not skipped, (n,) bool; pairs found before name others."""
        return Laid(self.truth.take(np.flatnonzero(~skipped)), self.predicted)

    def per_curve(self) -> np.ndarray:
        """(curves,) int64: true objects that are not ignored."""
        last = max((int(side.curve.max()) for side in (self.truth, self.predicted) if len(side)), default=-1)
        return np.bincount(self.truth.curve[~self.truth.ignored], minlength=last + 1)


@dataclass(frozen=True)
class Pairs:
    """Predicted and true objects of one place that overlap, sorted by both positions.

    predicted, true  (k,) int64 positions
    iou              (k,) float64, 0..1
    """

    predicted: np.ndarray
    true: np.ndarray
    iou: np.ndarray

    def where(self, kept: np.ndarray) -> "Pairs":
        return Pairs(self.predicted[kept], self.true[kept], self.iou[kept])

    def each(self) -> Iterator[tuple[int, list[int], list[float]]]:
        """(predicted, the true ones it overlaps, how much), the surest first."""
        true, iou = self.true.tolist(), self.iou.tolist()
        starts = np.flatnonzero(np.diff(self.predicted, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(true)]):
            yield int(self.predicted[start]), true[start:end], iou[start:end]

    def best(self) -> "Pairs":
        """Of each predicted object the pair that overlaps most, the first of several."""
        order = np.lexsort((-self.iou, self.predicted))
        return self.where(order[np.flatnonzero(np.diff(self.predicted[order], prepend=-1))])


# --- laying out ------------------------------------------------------------------------------------------------------------------


def lay(truth: Sequence[Found], predicted: Sequence[Found], *, by: By = "", most: int = 0, clips: bool = False) -> Laid:
    """All objects of both sides, compared by their masks or their boxes.

    by     "" is masks where the pictures have them, else boxes
    most   predicted objects of a picture and a label that count, the surest; 0 is all
    clips  a curve is a label in a clip, where it otherwise is a label

    What is ignored and has no label ("") is ignored for every label. Raises ScoreError where objects have nothing to be compared by.
    """
    every = [*truth, *predicted]
    if by == "":
        by = "masks" if any(found.masks is not None for found in every) else "boxes"
    if any(getattr(found, by) is None for found in every if len(found)):
        raise ScoreError(f"{sum(getattr(found, by) is None for found in every if len(found))} pictures have objects without {by}, which this metric compares\nname another metric, or another `by`")
    sides = [_flat([_for_every_label(a, b) for a, b in zip(truth, predicted)], truth, by, clips), _flat(predicted, truth, by, clips)]
    (names, labels, first), (others, other_labels, second) = sides
    (curve, other_curve), (label, other_label) = _codes(names, others), _codes(labels, other_labels)
    width = int(max(label.max(initial=-1), other_label.max(initial=-1))) + 1
    true = Objects(first.place * width + label, curve, first.scores, first.ignored, first.boxes, first.masks)
    found = Objects(second.place * width + other_label, other_curve, second.scores, second.ignored, second.boxes, second.masks)
    found = found.take(np.argsort(-found.scores, kind="stable"))
    if most:
        found = found.take(np.flatnonzero(pd.Series(found.place).groupby(found.place).cumcount().to_numpy() < most))
    return Laid(true.take(np.argsort(true.place, kind="stable")), found)


def _for_every_label(truth: Found, predicted: Found) -> Found:
    """What is ignored for every label, once for each label that something was predicted of."""
    if truth.ignored is None or not (open_ := truth.ignored & (truth.labels == "")).any():
        return truth
    labels = list(dict.fromkeys(predicted.labels))
    rows = np.concatenate([np.flatnonzero(~open_), np.repeat(np.flatnonzero(open_), len(labels))])
    found = truth.take(rows)
    named = found.labels.copy()
    named[len(truth) - int(open_.sum()) :] = labels * int(open_.sum())
    return Found(named, found.scores, found.boxes, found.masks, found.ignored, found.clip)


def _flat(pictures: Sequence[Found], truth: Sequence[Found], by: By, clips: bool) -> tuple[np.ndarray, np.ndarray, Objects]:
    """(what names each object's curve, its label, the objects with their picture's position as place)."""
    counts = [len(found) for found in pictures]
    place = np.repeat(np.arange(len(pictures)), counts)
    labels = np.concatenate([found.labels for found in pictures] or [np.zeros(0, object)])
    own = np.repeat(np.array([found.clip for found in truth], dtype=object), counts) + "\x1f" + labels if clips else labels
    held = [found for found in pictures if len(found)]
    scores = np.concatenate([found.scores for found in held] or [np.zeros(0)])
    ignored = np.concatenate([np.zeros(len(found), bool) if found.ignored is None else found.ignored for found in held] or [np.zeros(0, bool)])
    boxes = np.concatenate([found.boxes for found in held] or [np.zeros((0, 4))]) if by == "boxes" else None
    return own, labels, Objects(place, place, scores, ignored, boxes, [mask for found in held for mask in found.masks] if by == "masks" else None)


def _codes(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, _ = pd.factorize(np.concatenate([one, other]), sort=True)
    return codes[: len(one)].astype(np.int64), codes[len(one) :].astype(np.int64)


# --- overlaps --------------------------------------------------------------------------------------------------------------------


def pairs(laid: Laid, *, inclusive: bool = False, crowds: bool = False) -> Pairs:
    """All that overlap.

    inclusive  whether x2 and y2 are the last pixel within a box, or the first beyond it; masks know
    crowds     overlap with what is ignored is the share of the predicted object that lies within, as in COCO
    """
    truth, predicted = laid.truth, laid.predicted
    order = np.argsort(predicted.place, kind="stable")
    compare = _of_boxes if truth.masks is None else _of_masks
    parts = list(compare(truth, predicted, order, inclusive, crowds))
    found = Pairs(*(np.concatenate([getattr(p, name) for p in parts] or [np.zeros(0, kind)]) for name, kind in (("predicted", np.int64), ("true", np.int64), ("iou", np.float64))))
    return found.where(np.lexsort((found.true, found.predicted)))


def _of_boxes(truth: Objects, predicted: Objects, order: np.ndarray, inclusive: bool, crowds: bool) -> Iterator[Pairs]:
    low, high = (np.searchsorted(truth.place, predicted.place[order], side=side) for side in ("left", "right"))
    for start, end in _chunks(high - low, _PAIRS):
        counts = high[start:end] - low[start:end]
        p = np.repeat(order[start:end], counts)
        t = np.arange(len(p)) - np.repeat(np.cumsum(counts) - counts - low[start:end], counts)
        a, b = predicted.boxes[p], truth.boxes[t]
        shared = _areas(np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1), inclusive)
        meets = shared > 0
        p, t, shared = p[meets], t[meets], shared[meets]
        own = _areas(a[meets], inclusive)
        whole = np.where(crowds & truth.ignored[t], own, own + _areas(b[meets], inclusive) - shared)
        yield Pairs(p, t, shared / whole)


def _areas(boxes: np.ndarray, inclusive: bool) -> np.ndarray:
    return np.clip(boxes[:, 2] - boxes[:, 0] + inclusive, 0, None) * np.clip(boxes[:, 3] - boxes[:, 1] + inclusive, 0, None)


def _of_masks(truth: Objects, predicted: Objects, order: np.ndarray, inclusive: bool, crowds: bool) -> Iterator[Pairs]:
    places = np.unique(truth.place)
    order = order[np.isin(predicted.place[order], places)]
    sizes = np.bincount(np.searchsorted(places, truth.place), weights=[len(m.starts) for m in truth.masks], minlength=len(places))
    sizes += np.bincount(np.searchsorted(places, predicted.place[order]), weights=[len(predicted.masks[n].starts) for n in order.tolist()], minlength=len(places))
    for start, end in _chunks(sizes, _RUNS):
        own = order[slice(*np.searchsorted(predicted.place[order], [places[start], places[end - 1] + 1]))]
        other = np.arange(*np.searchsorted(truth.place, [places[start], places[end - 1] + 1]))
        a, b = [predicted.masks[n] for n in own.tolist()], [truth.masks[n] for n in other.tolist()]
        i, j, shared = masks.shared(a, b, np.searchsorted(places, predicted.place[own]) - start, np.searchsorted(places, truth.place[other]) - start)
        whole = np.where(crowds & truth.ignored[other[j]], masks.areas(a)[i], masks.areas(a)[i] + masks.areas(b)[j] - shared)
        yield Pairs(own[i], other[j], shared / whole)


def _chunks(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """From each start to its end at most `most`, unless one alone is more."""
    total = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        end = max(int(np.searchsorted(total, before + most, side="right")), start + 1)
        yield start, end
        start = end


# --- matches ---------------------------------------------------------------------------------------------------------------------


def by_confidence(laid: Laid, matching: Pairs, *, of_equals: Literal["first", "last"]) -> np.ndarray:
    """(predicted,) int8: 1 right, 0 wrong, -1 does not count.

    The surest first, each takes the true object that it overlaps most of those that are left; only where none is left, one that is ignored,
    which any number may take.

    matching   the pairs that overlap enough
    of_equals  which of several that it overlaps as much
    """
    verdicts, ignored, taken = np.zeros(len(laid.predicted), np.int8), laid.truth.ignored.tolist(), set()
    for predicted, true, iou in matching.each():
        left = [(not ignored[t], overlap, t if of_equals == "last" else -t) for t, overlap in zip(true, iou) if t not in taken]
        if left:
            counts, _, t = max(left)
            verdicts[predicted] = 1 if counts else -1
            if counts:
                taken.add(abs(t))
    return verdicts


# --- precision -------------------------------------------------------------------------------------------------------------------


def mean_average_precision(laid: Laid, verdicts: np.ndarray, interpolation: Interpolation) -> float:
    """The mean over thresholds, and over curves of which anything is true.

    verdicts  (thresholds, predicted) int8: 1 right, 0 wrong, -1 does not count
    Raises ScoreError where nothing is.
    """
    wanted = laid.per_curve()
    if not wanted.any():
        raise ScoreError("average precision is not defined: nothing is true in any of the pictures")
    order = np.argsort(laid.predicted.curve, kind="stable")
    ends = np.searchsorted(laid.predicted.curve[order], np.arange(len(wanted)), side="right")
    found = []
    for own in verdicts:
        for rows, true in zip(np.split(own[order], ends[:-1]), wanted.tolist()):
            if true:
                found.append(average_precision(rows[rows >= 0] == 1, true, interpolation))
    return float(np.mean(found))


def average_precision(right: np.ndarray, wanted: int, interpolation: Interpolation) -> float:
    """The area under precision by recall, precision being the best at this recall or a greater one.

    right          (n,) bool, the surest first
    wanted         true objects
    interpolation  "all": the whole area (VOC 2010 and later); "101" and "11": the mean at so many recalls from 0 to 1 (COCO; VOC 2007)
    """
    hits = np.cumsum(right)
    recall, precision = hits / wanted, hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "all":
        return float((np.diff(recall, prepend=0) * precision).sum())
    asked = np.linspace(0, 1, 101) if interpolation == "101" else np.arange(11) / 10  # as pycocotools has them, and as they are
    place = np.searchsorted(recall, asked)
    return float(np.append(precision, 0.0)[place].mean())

"""What is in one picture, or what a model found in it: objects with a label, a score and a box or a mask.

Boxes are in pixels of the picture as it lies on the disk, and masks are runs of its pixels, row by row from 0. Truth and predictions have the
same shape: the score of what is true is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Mask:
    """Runs of pixels, row by row from 0, rising and apart from each other.

    starts, lengths  (r,) int64
    """

    starts: np.ndarray
    lengths: np.ndarray

    @property
    def area(self) -> int:
        return int(self.lengths.sum())


@dataclass(frozen=True, eq=False)
class Found:
    """The objects of one picture; none is legal.

    labels   (n,) text
    scores   (n,) float64, 1 for what is true
    boxes    (n, 4) float64 x1, y1, x2, y2 in pixels, as the competition's files count them; None where masks stand for them
    masks    n masks, or None
    ignored  (n,) bool of what is true: neither found nor missed, such as a crowd
    clip     the video that the picture is a frame of; "" for none
    """

    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray | None = None
    masks: list[Mask] | None = None
    ignored: np.ndarray | None = None
    clip: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def of(
        labels: Sequence[str], *, boxes: Any = None, masks: list[Mask] | None = None, scores: Any = None, ignored: Any = None, clip: str = ""
    ) -> "Found":
        n = len(labels)
        return Found(
            np.array(labels, dtype=object).reshape(n),
            np.ones(n) if scores is None else np.asarray(scores, dtype=np.float64).reshape(n),
            None if boxes is None else np.asarray(boxes, dtype=np.float64).reshape(n, 4),
            masks,
            np.zeros(n, bool) if ignored is None else np.asarray(ignored, dtype=bool).reshape(n),
            clip,
        )

    def take(self, rows: np.ndarray) -> "Found":
        """rows  (m,) positions, or (n,) bool"""
        picked = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=np.int64)
        masks = None if self.masks is None else [self.masks[n] for n in picked.tolist()]
        boxes = None if self.boxes is None else self.boxes[picked]
        ignored = None if self.ignored is None else self.ignored[picked]
        return Found(self.labels[picked], self.scores[picked], boxes, masks, ignored, self.clip)

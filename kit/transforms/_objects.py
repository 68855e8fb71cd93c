"""Training pictures with their objects: boxes and the map of instances go wherever a recipe moves the picture, and where prediction's views lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.transforms import Augment
from kit.transforms._library import Library, View, cut, random_window

_SEEN = 0.3  # share of an object in the picture that needs to be seen in a view: of its box, or of its pixels where there is a map
_LEAST = 2.0  # pixels of the network's picture, that its sides need


@dataclass(frozen=True)
class Seen:
    """
    picture    (size, size, 3) uint8
    boxes      (k, 4) float32 x1, y1, x2, y2 in its pixels
    kept       (k,) positions of these among the objects that were given
    instances  (size, size) int32, 1 + the position among those given, 0 for none; None where none was given
    """

    picture: np.ndarray
    boxes: np.ndarray
    kept: np.ndarray
    instances: np.ndarray | None = None


class Objects:
    """What one library makes of pictures with objects."""

    def __init__(self, library: Library):
        self.library = library
        self.moves: dict[int, Any] = {}

    @property
    def augment(self) -> Augment:
        return self.library.augment

    def training(self, size: int, picture: np.ndarray, boxes: np.ndarray, instances: np.ndarray | None) -> Seen:
        """A random view, as the recipe says; that of prediction for recipe none.

        boxes      (k, 4) in pixels of the picture, right and lower sides beyond the last pixel
        instances  (h, w) int32 or None
        """
        if self.augment.recipe == "none":
            return self.plain(View(self.library, size), picture, boxes, instances)
        strength, chance = self.augment.strength, self.library.random
        if self.augment.turns:
            picture, boxes, instances = turned(picture, boxes, instances, chance.randrange(4))
        top, left, height, width = self._window(chance, *picture.shape[:2], strength.least_area)
        pixels = _pixels(instances, len(boxes), size * size / (height * width))
        seen = cut(picture, top, left, height, width, size, self.library.resized)
        boxes = placed(boxes, (top, left, height, width), size)
        instances = None if instances is None else _cut_map(instances, top, left, height, width, size)
        if self.augment.flip and chance.random() < 0.5:
            seen = self.library.mirrored(seen)
            boxes = mirrored(boxes, size)
            instances = None if instances is None else np.ascontiguousarray(instances[:, ::-1])
        if size not in self.moves:
            self.moves[size] = self.library.changes_of_objects(size, strength)
        inside, kept, share = _visible(boxes, size, mapped=instances is not None)
        if self.moves[size] is not None:
            seen, inside, still, instances, left, larger = self.moves[size](seen, inside, instances)
            kept, share = kept[still], share[still] * left
            pixels[kept] *= larger
        return _of_what_is_left(seen, inside, kept, share, instances, pixels)

    def _window(self, chance: Any, height: int, width: int, least_area: float) -> tuple[int, int, int, int]:
        """A window of random area; as prediction pads, half of them are of the whole picture's shape, padded as there."""
        if self.augment.resize == "pad" and chance.random() < 0.5:
            side = max(height, width)
            scale = chance.uniform(np.sqrt(least_area), 1.0)
            tall = wide = max(1, round(side * scale))
            top = chance.randint(min(0, height - tall), max(0, height - tall))
            left = chance.randint(min(0, width - wide), max(0, width - wide))
            return top, left, tall, wide
        return random_window(chance, height, width, least_area)

    def plain(self, view: View, picture: np.ndarray, boxes: np.ndarray, instances: np.ndarray | None) -> Seen:
        """One of prediction's views."""
        window = view.window(*picture.shape[:2])
        pixels = _pixels(instances, len(boxes), view.size**2 / (window[2] * window[3]))
        boxes = placed(boxes, window, view.size)
        instances = None if instances is None else _cut_map(instances, *window, view.size)
        if view.mirrored:
            boxes = mirrored(boxes, view.size)
            instances = None if instances is None else np.ascontiguousarray(instances[:, ::-1])
        inside, kept, share = _visible(boxes, view.size, mapped=instances is not None)
        return _of_what_is_left(view(picture), inside, kept, share, instances, pixels)


def placed(boxes: np.ndarray, window: tuple[int, int, int, int], size: int) -> np.ndarray:
    """(k, 4) boxes in pixels of the window's (size, size) picture."""
    top, left, height, width = window
    return (boxes - [left, top, left, top]) * [size / width, size / height, size / width, size / height]


def back(boxes: np.ndarray, view: View, height: int, width: int) -> np.ndarray:
    """(k, 4) boxes of a view, in pixels of the (height, width) picture, cut to it."""
    if view.mirrored:
        boxes = mirrored(boxes, view.size)
    top, left, tall, wide = view.window(height, width)
    found = boxes * [wide / view.size, tall / view.size, wide / view.size, tall / view.size] + [left, top, left, top]
    return found.clip(0, [width, height, width, height])


def mirrored(boxes: np.ndarray, size: int) -> np.ndarray:
    return np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], axis=1)


def turned(picture: np.ndarray, boxes: np.ndarray, instances: np.ndarray | None, quarters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """All of it turned by quarters of a circle, against the clock."""
    for _ in range(quarters):
        boxes = np.stack([boxes[:, 1], picture.shape[1] - boxes[:, 2], boxes[:, 3], picture.shape[1] - boxes[:, 0]], axis=1)
        picture = np.rot90(picture)
        instances = None if instances is None else np.rot90(instances)
    return np.ascontiguousarray(picture), boxes, instances


def _visible(boxes: np.ndarray, size: int, *, mapped: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(boxes cut to the picture, positions, share of each box that is seen): of those of which enough may be seen in the end.

    mapped  whether a map will tell how much of an object is seen, whatever its box says
    """
    inside = boxes.clip(0, size)
    sides, whole = inside[:, 2:] - inside[:, :2], boxes[:, 2:] - boxes[:, :2]
    share = sides.prod(axis=1) / np.maximum(whole.prod(axis=1), 1e-9)
    kept = np.flatnonzero((mapped | (share >= _SEEN)) & (sides >= _LEAST).all(axis=1))
    return inside[kept], kept, share[kept]


def _pixels(instances: np.ndarray | None, count: int, larger: float) -> np.ndarray:
    """(count,) float64: how many pixels each object of a map would have if it became so many times larger and all of it were seen."""
    return np.zeros(count) if instances is None else np.bincount(instances.ravel(), minlength=count + 1)[1 : count + 1] * larger


def _of_what_is_left(picture: np.ndarray, boxes: np.ndarray, kept: np.ndarray, share: np.ndarray, instances: np.ndarray | None, pixels: np.ndarray) -> Seen:
    """The objects of which enough is seen; with instances, boxes are those of what is seen of each.

    share   (kept,) of each box
    pixels  of each object that was given, as `_pixels` has them
    """
    if instances is None:
        enough = (share >= _SEEN) & (boxes[:, 2:] - boxes[:, :2] >= _LEAST).all(axis=1)
        return Seen(picture, boxes[enough].astype(np.float32), kept[enough])
    found, still = [], []
    for n in kept.tolist():
        own = instances == n + 1
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        if len(rows) >= _LEAST and len(columns) >= _LEAST and own.sum() >= _SEEN * pixels[n]:
            found.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            still.append(n)
    return Seen(picture, np.array(found, np.float32).reshape(-1, 4), np.array(still, np.int64), instances)


def _cut_map(instances: np.ndarray, top: int, left: int, height: int, width: int, size: int) -> np.ndarray:
    """A window as (size, size), each pixel the nearest one's; 0 beyond the picture."""
    rows, columns = (start + ((np.arange(size) + 0.5) * length / size).astype(np.int64) for start, length in ((top, height), (left, width)))
    within = (rows[:, None] >= 0) & (rows[:, None] < instances.shape[0]) & (columns >= 0) & (columns < instances.shape[1])
    found = instances[rows.clip(0, instances.shape[0] - 1)[:, None], columns.clip(0, instances.shape[1] - 1)]
    return np.where(within, found, 0).astype(np.int32)

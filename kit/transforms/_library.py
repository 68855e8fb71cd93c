"""What all libraries share: which part of a picture is seen, and the random crop and mirroring that every recipe begins with.

The parts are computed here, so that two libraries differ in how they interpolate and in nothing else.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kit.errors import ConfigError
from kit.transforms import Augment, Strength

Change = Callable[[np.ndarray], np.ndarray]
ASPECTS = (3 / 4, 4 / 3)  # width over height of a random crop (Szegedy et al. 2015, section 6)
CROPS_SCALE = 1.15
SCALES = (0.85, 1.2)
TURNED, COLOURED = 0.7, 0.8  # shares of the pictures that a recipe turns and colours: the others keep the sharpness of the plain view
ERASED_AREA = (0.02, 0.25)  # 0..1 of the picture; with the aspects and the noise of Zhong et al. 2017, section 3.2
ERASED_ASPECTS = (0.3, 1 / 0.3)
BLUR = (0.002, 0.01)  # standard deviation, as a share of the side: 2.2 pixels at most of 224
POSTERIZE_BITS = (4, 6)
NOISE = (0.02, 0.08)  # standard deviation, as a share of full white; the same for the three colours
PERSPECTIVE = (0.05, 0.1)  # standard deviation of how far a corner moves in, as a share of the side


class Library:
    """Subclassed once a library.

    A subclass gives `resized` and `mirrored`, and `changes`: what a recipe does after the random crop. All randomness comes from
    `self.random`, or from what `seed` sets beside it. Objects of a library may be sent to other processes.
    """

    def __init__(self, augment: Augment):
        self.augment = augment
        self.random = random.Random()
        self.seed(0)

    @staticmethod
    def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
        """(h, w, 3) uint8 -> (height, width, 3) uint8 of its own memory, bilinear, averaging where it shrinks."""
        raise NotImplementedError

    @staticmethod
    def mirrored(picture: np.ndarray) -> np.ndarray:
        """Left to right."""
        raise NotImplementedError

    def changes(self, size: int, strength: Strength) -> Change | None:
        """Turning, colours, effects and erasing of (size, size, 3) uint8, or None where the strength asks for none of them."""
        raise NotImplementedError

    def changes_of_objects(self, size: int, strength: Strength) -> Callable[..., tuple] | None:
        """Likewise for pictures with objects: (picture, boxes, instances) -> (picture, boxes, positions of the boxes that are left, instances, share
        of each box that is still seen, how many times larger its whole area became).

        Raises ConfigError for a library that moves no boxes.
        """
        raise ConfigError('augment.transforms: boxes follow a picture by albumentations alone\nset augment.transforms = "albumentations"')

    def seed(self, seed: int) -> None:
        """From here on, the same calls in the same order give the same pixels, in any process.

        seed  0 or more. What `training` gave holds this library's random numbers: send both to another process in one object.
        """
        self.random.seed(seed)

    def training(self, size: int) -> Change:
        """(h, w, 3) uint8 -> (size, size, 3) uint8, random as the recipe says; the plain view for recipe none."""
        if self.augment.recipe == "none":
            return self.views(size)[0]
        strength = self.augment.strength
        return _Training(self, size, strength, self.changes(size, strength))

    def views(self, size: int) -> list[Change]:
        """What prediction sees, (h, w, 3) uint8 -> (size, size, 3) uint8 without chance: the plain view first, then those of `augment.views`."""
        views = [View(self, size)]
        if "crops" in self.augment.views:
            places = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
            views += [View(self, size, CROPS_SCALE, down, across) for down, across in places]
        if "scales" in self.augment.views:
            views += [View(self, size, scale) for scale in SCALES]
        if "flip" in self.augment.views:
            views += [View(self, size, view.scale, view.down, view.across, mirrored=True) for view in views]
        return views


@dataclass(frozen=True)
class View:
    """A window of a picture, as (size, size, 3).

    scale         of the plain view's scale: above 1 shows less of the picture, larger
    down, across  0..1, where the window lies: 0.5 is the middle, 0 and 1 are the edges of the picture (of the padded square under pad)
    """

    library: Library
    size: int
    scale: float = 1.0
    down: float = 0.5
    across: float = 0.5
    mirrored: bool = False

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        top, left, height, width = self.window(*picture.shape[:2])
        seen = cut(picture, top, left, height, width, self.size, self.library.resized)
        return self.library.mirrored(seen) if self.mirrored else seen

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) in pixels of the picture, which it may reach beyond."""
        how, centre = self.library.augment.resize, self.library.augment.centre
        plain_height, plain_width = {
            "crop": (min(height, width), min(height, width)),
            "squash": (height, width),
            "pad": (max(height, width), max(height, width)),
        }[how]
        tall, wide = (max(1, round(side * centre / self.scale)) for side in (plain_height, plain_width))
        around_height, around_width = (plain_height * centre, plain_width * centre) if how == "pad" else (height, width)
        top = round((height - around_height) / 2 + self.down * (around_height - tall))
        left = round((width - around_width) / 2 + self.across * (around_width - wide))
        return top, left, tall, wide


@dataclass(frozen=True)
class _Training:
    library: Library
    size: int
    strength: Strength
    changes: Change | None

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        chance = self.library.random
        if self.library.augment.turns:
            picture = np.ascontiguousarray(np.rot90(picture, chance.randrange(4)))
        top, left, height, width = random_window(chance, *picture.shape[:2], self.strength.least_area)
        seen = self.library.resized(picture[top : top + height, left : left + width], self.size, self.size)
        if self.library.augment.flip and chance.random() < 0.5:
            seen = self.library.mirrored(seen)
        return seen if self.changes is None else self.changes(seen)


def random_window(chance: random.Random, height: int, width: int, least_area: float) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels, of an area and an aspect drawn at random, anywhere within the picture.

    A side that would be longer than the picture's is cut to it. The usual way draws anew, and after ten draws takes the middle: of a
    picture of 16:9 and at least 0.7 of its area, it would mostly see the same crop.
    """
    area = chance.uniform(least_area, 1.0) * height * width
    aspect = math.exp(chance.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
    tall = min(height, max(1, round(math.sqrt(area / aspect))))
    wide = min(width, max(1, round(math.sqrt(area * aspect))))
    return chance.randint(0, height - tall), chance.randint(0, width - wide), tall, wide


def cut(picture: np.ndarray, top: int, left: int, height: int, width: int, size: int, resized: Callable[..., np.ndarray]) -> np.ndarray:
    """A window as (size, size, 3). What lies beyond the picture has the mean colour of the picture's edge."""
    if top >= 0 and left >= 0 and top + height <= picture.shape[0] and left + width <= picture.shape[1]:
        return resized(picture[top : top + height, left : left + width], size, size)
    rows, down = _within(top, height, picture.shape[0], size)
    columns, across = _within(left, width, picture.shape[1], size)
    seen = np.empty((size, size, 3), np.uint8)
    seen[:] = edge_colour(picture)
    seen[down, across] = resized(picture[rows, columns], down.stop - down.start, across.stop - across.start)
    return seen


def _within(start: int, length: int, end: int, size: int) -> tuple[slice, slice]:
    """The part of start .. start + length within 0 .. end, and where it comes to lie when the whole becomes `size` long: never nowhere."""
    first, last = max(start, 0), min(start + length, end)
    begin = min(round((first - start) * size / length), size - 1)
    return slice(first, last), slice(begin, max(begin + 1, round((last - start) * size / length)))


def edge_colour(picture: np.ndarray) -> np.ndarray:
    """(3,) uint8: the mean of the outermost pixels. It is the background of a digit or a product, where the whole's mean would be a grey."""
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return np.rint(edge.mean(axis=0)).astype(np.uint8)


def drawn(chance: random.Random, limits: tuple[float, float], how: Literal["even", "log"] = "even") -> float:
    """A number between two limits: evenly, or evenly in its logarithm, so that 1:2 is as likely as 2:1."""
    return chance.uniform(*limits) if how == "even" else math.exp(chance.uniform(math.log(limits[0]), math.log(limits[1])))

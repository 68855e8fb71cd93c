"""Albumentations: pictures changed by OpenCV, one thread each, the quickest where colours and blur are changed too."""

import os
from collections.abc import Callable
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the import below asks PyPI for a newer version, and warns where there is no network

import albumentations
import cv2
import numpy as np

from kit.transforms import Augment, Strength
from kit.transforms._library import (
    BLUR,
    COLOURED,
    ERASED_AREA,
    ERASED_ASPECTS,
    NOISE,
    PERSPECTIVE,
    POSTERIZE_BITS,
    TURNED,
    Change,
    Library,
    drawn,
)

cv2.setNumThreads(0)  # here, where each worker passes: threads within workers slow each other down, and hang those that are forked

_GREY = 114  # beyond the picture, where nothing is reflected
MILD = 1.25  # shrinking by less, INTER_LINEAR comes as near to a sinc as INTER_AREA does (on 1/f noise), in a fifth of the time


class Albumentations(Library):
    def __init__(self, augment: Augment):
        self.generator = np.random.Generator(np.random.PCG64())
        super().__init__(augment)

    @staticmethod
    def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
        tall, wide = picture.shape[:2]
        if tall > MILD * height or wide > MILD * width:
            picture = cv2.resize(picture, (min(wide, width), min(tall, height)), interpolation=cv2.INTER_AREA)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)

    @staticmethod
    def mirrored(picture: np.ndarray) -> np.ndarray:
        return cv2.flip(picture, 1)

    def seed(self, seed: int) -> None:
        super().seed(seed)
        self.generator.bit_generator.state = np.random.PCG64(seed).state

    def changes(self, size: int, strength: Strength) -> Change | None:
        composed = self._composed(size, strength)
        return None if composed is None else _Composed(composed)

    def changes_of_objects(self, size: int, strength: Strength) -> Callable[..., tuple] | None:
        boxes = albumentations.BboxParams(format="pascal_voc", label_fields=["positions"], clip=True, min_area=4.0)  # how much needs to be seen, the caller decides
        composed = self._composed(size, strength, boxes)
        return None if composed is None else _ComposedObjects(composed)

    def _composed(self, size: int, strength: Strength, boxes: albumentations.BboxParams | None = None) -> albumentations.Compose | None:
        steps = []
        if strength.turn_degrees or strength.shift or strength.zoom:
            steps.append(
                albumentations.Affine(
                    rotate=(-strength.turn_degrees, strength.turn_degrees),
                    translate_percent={"x": (-strength.shift, strength.shift), "y": (-strength.shift, strength.shift)},
                    scale=(1 - strength.zoom, 1 + strength.zoom),
                    keep_ratio=True,
                    border_mode=cv2.BORDER_REFLECT if boxes is None else cv2.BORDER_CONSTANT,  # a mirrored object would have no box
                    fill=_GREY,
                    p=TURNED,
                )
            )
        if strength.colour:
            factors = (1 - strength.colour, 1 + strength.colour)
            steps.append(albumentations.ColorJitter(brightness=factors, contrast=factors, saturation=factors, hue=(0, 0), p=COLOURED))
        if strength.effects:
            each = {"p": strength.effects}
            effects = [
                albumentations.GaussianBlur(sigma_limit=(BLUR[0] * size, BLUR[1] * size), **each),
                albumentations.ToGray(**each),
                albumentations.Posterize(num_bits=POSTERIZE_BITS, **each),
                _Noise(**each),
                _Perspective(scale=PERSPECTIVE, **each),
            ]
            steps.append(albumentations.SomeOf(effects, n=2))
        if strength.erase:
            steps.append(albumentations.Erasing(scale=ERASED_AREA, ratio=ERASED_ASPECTS, fill="random", p=strength.erase))
        if not steps:
            return None
        corners = None if boxes is None else albumentations.KeypointParams(format="xy", remove_invisible=False)
        composed = albumentations.Compose(steps, bbox_params=boxes, keypoint_params=corners)
        composed.set_random_state(self.generator, self.random)  # set_random_seed gives each step the same numbers: all act, or none
        return composed


class _Composed:
    def __init__(self, composed: albumentations.Compose):
        self.composed = composed

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return self.composed(image=picture)["image"]


class _ComposedObjects:
    def __init__(self, composed: albumentations.Compose):
        self.composed = composed

    def __call__(self, picture: np.ndarray, boxes: np.ndarray, instances: np.ndarray | None) -> tuple:
        masked = {} if instances is None else {"mask": instances}
        corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]].reshape(-1, 2)  # these go beyond the picture where a box is cut to it
        found = self.composed(image=picture, bboxes=boxes, positions=np.arange(len(boxes)), keypoints=corners, **masked)
        positions, inside = np.asarray(found["positions"], dtype=np.int64), np.asarray(found["bboxes"], dtype=np.float64).reshape(-1, 4)
        moved = np.asarray(found["keypoints"], dtype=np.float32).reshape(-1, 4, 2)[positions]
        areas = np.array([cv2.contourArea(quad) for quad in moved])
        height, width = picture.shape[:2]
        frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        shown = np.array([cv2.intersectConvexConvex(quad, frame)[0] for quad in moved])
        around = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).clip(0, [width, height, width, height])
        erased = _areas(inside) / np.maximum(_areas(around), 1e-9)  # what a box has lost beyond what lies outside
        return found["image"], inside, positions, found.get("mask"), shown / areas * erased.clip(0, 1), areas / _areas(boxes[positions])


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


class _Noise(albumentations.ImageOnlyTransform):
    """The library's GaussNoise draws from OpenCV's own random numbers, which no seed of the library reaches (2.0.8)."""

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        deviation = 255 * drawn(self.py_random, NOISE)
        noise = self.random_generator.standard_normal(img.shape[:2], dtype=np.float32) * np.float32(deviation)
        return np.rint((img + noise[:, :, None]).clip(0, 255)).astype(np.uint8)


class _Perspective(albumentations.Perspective):
    """The library's own enlarges what it found a second time, and so cuts off the right and the lower part (2.0.8)."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        height, width = params["shape"][:2]
        return {**super().get_params_dependent_on_data(params, data), "max_height": height, "max_width": width}

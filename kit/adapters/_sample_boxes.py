"""Drawn pictures for samples of detection and segmentation: bright shapes on a dull ground, with their boxes and their places."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((215, 60, 50), (50, 90, 210), (60, 170, 80), (230, 195, 50))
_MOST = 3  # shapes in a picture


def draw(random: np.random.Generator, classes: tuple[str, ...], *, side: int = 96) -> tuple[np.ndarray, list[str], list[list[int]]]:
    """((side, side, 3) uint8, a label and a box of whole pixels x1, y1, x2, y2, the last one included, for each shape).

    The first class is round and the others square, each of its own colour; shapes do not touch.
    """
    pixels = np.clip(random.uniform(90, 150) + random.normal(0, 8, (side, side, 3)), 0, 255)
    taken, labels, boxes = np.zeros((side, side), bool), [], []
    for _ in range(int(random.integers(1, _MOST + 1))):
        kind, length = int(random.integers(len(classes))), int(random.integers(side // 5, side // 3))
        left, top = random.integers(1, side - length - 1, 2).tolist()
        around = (slice(top - 1, top + length + 1), slice(left - 1, left + length + 1))
        if taken[around].any():
            continue
        taken[around] = True
        y, x = np.mgrid[0:length, 0:length] + 0.5
        inside = np.hypot(x - length / 2, y - length / 2) <= length / 2 if kind == 0 else np.ones((length, length), bool)
        pixels[top : top + length, left : left + length][inside] = np.array(COLOURS[kind % len(COLOURS)]) + random.normal(0, 10, 3)
        labels.append(classes[kind])
        boxes.append([left, top, left + length - 1, top + length - 1])
    return np.clip(pixels, 0, 255).astype(np.uint8), labels, boxes


def save(path: Path, pixels: np.ndarray) -> None:
    """As the ending says; JPEG, by whatever ending in capitals, in a quality that keeps edges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    Image.fromarray(pixels).save(path, **({"format": "JPEG", "quality": 92} if jpeg else {}))

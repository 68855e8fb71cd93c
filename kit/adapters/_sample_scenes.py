"""Drawn scenes for a sample of segmentation: cars and people at the same few places of a road, moving a little from frame to frame."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kit.adapters import _sample
from kit.files import whole, write_text

WIDTH, HEIGHT = 128, 96  # pixels
FRAMES = 5  # of a clip
_PLACES = ((24, 66), (64, 70), (104, 66), (20, 34), (52, 32), (84, 34))  # x, y of centres: cars on the first three, people on the others


def write(adapter: Any, folder: Path, rows: int) -> None:
    """rows  training frames, about"""
    random, labels = np.random.default_rng(0), adapter.task.labels or ["1", "2"]
    car, person = labels[0], labels[min(3, len(labels) - 1)]
    clips = {adapter.train_file: max(rows // FRAMES, 4), adapter.test_file: max(rows // FRAMES // 3, 2)}
    lists = {adapter.train_file: adapter.clips, adapter.test_file: adapter.test_clips}
    tested = []
    for part, count in clips.items():
        for clip in range(count):
            there = random.random(len(_PLACES)) < 0.6
            offset, speed = random.normal(0, 1.5, (len(_PLACES), 2)), random.normal(0, 0.5, (len(_PLACES), 2))
            ids = [adapter.sample_id(part, clip, frame) for frame in range(FRAMES)]
            for frame, id in enumerate(ids):
                pixels, values = _frame(random, there, offset + frame * speed, int(car), int(person), adapter.values)
                place = adapter.places.name(part, {"id": id})
                _sample.save(folder / (place if place.endswith((".jpg", ".png")) else f"{place}.png"), pixels)
                if part == adapter.train_file:
                    _save_values(folder / adapter.labels.name(part, {"id": id}), values)
            if lists[part]:
                write_text(folder / lists[part] / adapter.sample_clip(part, clip), "".join(f"{adapter.sample_line(part, id)}\n" for id in ids))
            tested += ids if part == adapter.test_file else []
    if adapter.sample_file:
        held = {"label": car, "score": "1", "mask": "100 1|", "pixels": "1"}
        line = ",".join(held[what] for what in adapter.holds)
        header = ",".join([adapter.id[0], *adapter.holds.values()])
        write_text(folder / adapter.sample_file, "\n".join([header, *(f"{id},{line}" for id in sorted(tested))]) + "\n")


def _frame(random: np.random.Generator, there: np.ndarray, offsets: np.ndarray, car: int, person: int, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """((height, width, 3) uint8, (height, width) uint16)"""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    pixels = np.where((y > 48)[..., None], 90.0, 150.0) + random.normal(0, 6, (HEIGHT, WIDTH, 3))
    told = np.zeros((HEIGHT, WIDTH), np.uint16)
    numbers = {car: 0, person: 0}
    for n in np.flatnonzero(there).tolist():
        cx, cy = np.array(_PLACES[n]) + offsets[n]
        if n < 3:
            kind, inside, colour = car, (abs(x - cx) < 15) & (abs(y - cy) < 8), (200, 50, 45)
        else:
            kind, inside, colour = person, ((x - cx) / 6) ** 2 + ((y - cy) / 12) ** 2 < 1, (45, 80, 190)
        pixels[inside] = np.array(colour) + random.normal(0, 8, 3)
        told[inside] = kind * values.divisor + numbers[kind]
        numbers[kind] += 1
    crowd = (x > 108) & (abs(y - 34) < 9)
    if values.groups and random.random() < 0.5:
        pixels[crowd] = (190, 60, 60)
        told[crowd & (told == 0)] = min(values.groups)
    elif values.ignored and random.random() < 0.5:
        told[crowd & (told == 0)] = max(values.ignored)
    return np.clip(pixels, 0, 255).astype(np.uint8), told


def _save_values(path: Path, values: np.ndarray) -> None:
    with whole(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")

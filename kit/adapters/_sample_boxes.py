"""Drawn pictures for samples of detection and segmentation: bright shapes on a dull ground, with their boxes and their places."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from kit.adapters import _voc
from kit.adapters._boxes import form_of
from kit.adapters._places import is_medium
from kit.files import write_text

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


def write(adapter: Any, folder: Path, rows: int) -> None:
    """A small data folder in the layout of an adapter of boxes: pictures, what is in them, and a sample submission.

    rows  training pictures; a third as many to test, and to validate where there is a file of these
    """
    random, task = np.random.default_rng(0), adapter.task
    parts = {"train": adapter.train_file, **({"validation": adapter.valid_file} if adapter.valid_file else {}), "test": adapter.test_file}
    for part, name in parts.items():
        ids = [adapter.sample_id(part, n) for n in range(rows if part == "train" else rows // 3)]
        drawn = []
        for id in ids:
            pixels, labels, boxes = draw(random, adapter.sample_classes)
            place = adapter.places.name(adapter._part(part), {"id": id, "file_name": f"{id}.jpg"})
            save(folder / (place if is_medium(place, "image") else f"{place}.jpg"), pixels)
            drawn.append((labels, boxes, pixels.shape[1], pixels.shape[0]))
        _write_file(adapter, folder, part, name, ids, drawn)
        if part == "test" and adapter.sample_file:
            group = " ".join([adapter.sample_classes[0], *(["0.5"] if task.scored else []), "10 10 60 60"])
            counted = form_of(name) == "json" and adapter.ids == "id"
            cells = "".join(f"{n if counted else id},{group}\n" for n, id in enumerate(ids, start=1))
            write_text(folder / adapter.sample_file, f"{adapter.id[0]},{task.targets[0]}\n{cells}")


def _write_file(adapter: Any, folder: Path, part: str, name: str, ids: list[str], drawn: list[tuple]) -> None:
    """What names the pictures of a part and, but of test, says what is in them.

    drawn  labels, boxes, width and height of each picture
    """
    form, place = form_of(name), folder / name.replace("*", "1")
    if form == "list":
        write_text(place, "".join(f"{line}\n" for line in adapter.sample_lines(part, ids)))
        for id, (labels, boxes, width, height) in zip(ids if part != "test" else [], drawn):
            told = boxes if adapter.task.inclusive else [[x1, y1, x2 + 1, y2 + 1] for x1, y1, x2, y2 in boxes]
            write_text(folder / adapter.boxes.name(adapter._part(part), {"id": id}), _voc.text(labels, told, width, height))
    elif form == "json":
        write_text(place, json.dumps(_coco(adapter.sample_classes, ids, drawn, annotated=part != "test")))
    elif form == "table" and part == "test":
        write_text(place, pd.DataFrame({adapter.id[0]: ids}).to_csv(index=False, lineterminator="\n"))
    elif form == "table":
        write_text(place, _table(adapter, ids, drawn).to_csv(index=False, lineterminator="\n"))


def _coco(classes: tuple[str, ...], ids: list[str], drawn: list[tuple], *, annotated: bool) -> dict[str, list]:
    """Ids of pictures count from 1 in their order; those of categories are neither in order nor without gaps, as in COCO."""
    numbers = {name: 7 * (len(classes) - n) for n, name in enumerate(classes)}
    images = [{"id": n, "file_name": f"{id}.jpg", "width": own[2], "height": own[3]} for n, (id, own) in enumerate(zip(ids, drawn), start=1)]
    if not annotated:
        return {"images": images}
    boxes = [
        {"image_id": n, "category_id": numbers[label], "bbox": [x1, y1, x2 + 1 - x1, y2 + 1 - y1], "area": (x2 + 1 - x1) * (y2 + 1 - y1), "iscrowd": 0}
        for n, (labels, corners, _, _) in enumerate(drawn, start=1)
        for label, (x1, y1, x2, y2) in zip(labels, corners)
    ]
    annotations = [{"id": n, **box} for n, box in enumerate(boxes, start=1)]
    return {"images": images, "annotations": annotations, "categories": [{"id": number, "name": name} for name, number in numbers.items()]}


def _table(adapter: Any, ids: list[str], drawn: list[tuple]) -> pd.DataFrame:
    """A row a box, or where a cell holds all boxes of a picture a row a picture."""
    cells = adapter.cells
    of = cells.words.get("id", adapter.id[0])
    repeats = any("label" in words.split() and " " in words for words in cells.holds.values())
    rows = []
    for id, (labels, corners, width, height) in zip(ids, drawn):
        each = [_values(label, box, cells, width, height) for label, box in zip(labels, corners)]
        told = [{column: " ".join(values[word] for word in words.split()) for column, words in cells.holds.items() if words != "id"} for values in each]
        rows += [{of: id, **{c: " ".join(t[c] for t in told) for c in told[0]}}] if repeats else [{of: id, **t} for t in told]
    return pd.DataFrame(rows)


def _values(label: str, box: list[int], cells: Any, width: int, height: int) -> dict[str, str]:
    """Word -> what a table says of a box."""
    x1, y1, x2, y2 = box
    beyond = 0 if cells.inclusive and cells.units == "pixels" else 1
    across, down = (width, height) if cells.units == "shares" else (1, 1)
    sides = {"x1": x1 / across, "y1": y1 / down, "x2": (x2 + beyond) / across, "y2": (y2 + beyond) / down, "width": (x2 + 1 - x1) / across, "height": (y2 + 1 - y1) / down}
    return {"label": label, "ignored": "0", **{word: f"{value:g}" for word, value in sides.items()}}

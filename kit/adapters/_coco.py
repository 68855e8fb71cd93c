"""Reads COCO's JSON of instances: pictures, boxes [x, y, width, height], crowds and the names of categories, of one file or several.

    images       id, file_name, width, height
    annotations  id, image_id, category_id, bbox in pixels, iscrowd (a crowd is neither found nor missed)
    categories   id, name

A picture without annotations is one in which nothing is. The areas that COCO's own metric parts objects by are not read.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.adapters._annotations import as_id, is_list_of_objects, opened
from kit.adapters._boxes import CORNERS, Marked, unspeakable
from kit.adapters._places import stem
from kit.errors import DataError, bullets, did_you_mean, shorten


def read(
    paths: Sequence[Path], *, annotated: bool, ids: Literal["id", "file_name"], labels: Literal["name", "id"], carried: Iterable[str] = ()
) -> Marked:
    """What the files say together: a picture that several of them list has the boxes of all.

    annotated  whether boxes are asked for
    ids        what a picture is called by: its id, or its file_name without the ending
    labels     what a box is called by: its category's name, or its id
    carried    further keys of pictures that become columns
    Raises DataError with all that is wrong in all of the files, counted.
    """
    problems: list[str] = []
    read = [_File(path, annotated, ids, labels, tuple(carried), problems) for path in paths]
    if annotated and labels == "id":
        problems += _meanings(read)
    rows, notes = {}, [note for file in read for note in file.notes]
    for file in read:
        other = [id for id, row in file.pictures.items() if id in rows and rows[id]["file_name"] != row["file_name"]]
        problems += [f'{file.name}: {len(other)} ids are of other pictures in other files: {shorten(other)}; set input.ids = "file_name"'] if other else []
        rows |= file.pictures
    if problems:
        raise DataError(bullets(problems))
    index = pd.Index(list(rows), dtype="str", name="id")
    pictures = pd.DataFrame(list(rows.values()), index=index, columns=list(dict.fromkeys(["file_name", *carried])))
    pictures["file_name"] = pictures["file_name"].astype("str")
    sides = {id: size for file in read for id, size in file.sizes.items()}
    sizes = pd.DataFrame([sides[id] for id in rows], index=index, columns=["width", "height"], dtype=np.float64)
    boxes = pd.concat([file.boxes for file in read], ignore_index=True) if annotated else pd.DataFrame()
    return Marked(pictures, sizes, boxes, notes)


def _meanings(files: "Sequence[_File]") -> list[str]:
    """What is wrong where an id is one category here and another there."""
    told: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for id, name in file.categories.items():
            told[id].add(name)
    several = [f"{id} is {' and '.join(sorted(names))}" for id, names in told.items() if len(names) > 1]
    return [f'{len(several)} category ids mean one thing in one file and another in the next: {shorten(several, 3)}; set input.labels = "name"'] if several else []


class _File:
    """One file, read and checked; what is wrong with it is added to `problems`."""

    def __init__(self, path: Path, annotated: bool, ids: str, labels: str, carried: tuple[str, ...], problems: list[str]):
        self.name, self.problems, self.notes = path.name, problems, []
        self.pictures: dict[str, dict[str, Any]] = {}
        self.sizes: dict[str, tuple[float, float]] = {}  # width, height
        self.categories: dict[str, str] = {}
        self.boxes = pd.DataFrame(columns=["id", "label", *CORNERS, "ignored"])
        held, wrong = opened(path, ["images", "annotations"] if annotated else ["images"])
        problems += wrong
        if held is None:
            return
        known = self._pictures(held["images"], ids, carried)
        if annotated:
            self._categories(held.get("categories"), labels)
            self._boxes(held["annotations"], known, labels)

    def _wrong(self, some: Iterable[object], of: int, what: str) -> None:
        listed = list(some)
        self.problems += [f"{self.name}: {len(listed)} of {of} {what} {shorten(listed)}"] if listed else []

    def _pictures(self, images: list[dict], ids: str, carried: tuple[str, ...]) -> dict[str, str]:
        """COCO's id -> the picture's."""
        own = [as_id(image.get("id")) for image in images]
        names = [image.get("file_name") for image in images]
        called = own if ids == "id" else [stem(name) if isinstance(name, str) and name else None for name in names]
        n = len(images)
        self._wrong((repr(image.get("id")) for image, id in zip(images, own) if id is None), n, 'images have no usable "id", such as')
        self._wrong((id for id, count in Counter(own).items() if count > 1 and id), n, "images have an id of several others too, ids")
        some_named = ids == "file_name" or any(name is not None for name in names)
        self._wrong((id for id, name in zip(own, names) if some_named and not (isinstance(name, str) and name)), n, "images have no file_name, ids")
        if ids == "file_name":
            self._wrong((name for name, count in Counter(called).items() if count > 1 and name), n, "images have a file_name of several others too:")
        lacking = [key for key in carried if not any(key in image for image in images)]
        self.problems += [f'input.columns: images of {self.name} have no "{key}"{did_you_mean(key, images[0] if images else [])}' for key in lacking]
        for image, id, name in zip(images, called, names):
            if id is not None:
                self.pictures[id] = {"file_name": name, **{key: image.get(key) for key in carried}}
                self.sizes[id] = _positive(image.get("width")), _positive(image.get("height"))
        return {a: b for a, b in zip(own, called) if a is not None and b is not None}

    def _categories(self, categories: Any, labels: str) -> None:
        if not is_list_of_objects(categories) or not categories:
            if labels == "name":
                self.problems.append(f'{self.name} has no list of objects "categories", which says what category ids are called; set input.labels = "id"')
            return
        own, names = [as_id(entry.get("id")) for entry in categories], [entry.get("name") for entry in categories]
        self._wrong((repr(entry.get("id")) for entry, id in zip(categories, own) if id is None), len(own), 'categories have no usable "id", such as')
        self._wrong((id for id, count in Counter(own).items() if count > 1 and id), len(own), "categories have an id of several others too, ids")
        if labels == "name":
            self._wrong((id for id, name in zip(own, names) if not isinstance(name, str) or not name), len(own), 'categories have no name, ids')
        self.categories = {id: str(name) for id, name in zip(own, names) if id is not None}

    def _boxes(self, annotations: list[dict], known: dict[str, str], labels: str) -> None:
        n = len(annotations)
        of = [as_id(annotation.get("image_id")) for annotation in annotations]
        category = [as_id(annotation.get("category_id")) for annotation in annotations]
        corners = np.array([_corners(annotation.get("bbox")) for annotation in annotations], dtype=np.float64).reshape(n, 4)
        there, usable = np.array([id in known for id in of], bool), np.isfinite(corners).all(axis=1)
        self._wrong((repr(annotations[k].get("image_id")) for k in np.flatnonzero(~there)), n, "annotations are of images that it does not list:")
        self._wrong((json.dumps(annotations[k].get("bbox")) for k in np.flatnonzero(~usable)), n, 'annotations have no "bbox" of four finite numbers [x, y, width, height], such as')
        unknown = [id for id in category if id is None or (self.categories and id not in self.categories)]
        self._wrong(dict.fromkeys(map(str, unknown)), len(set(category)), 'category ids of annotations are none of "categories":')
        called = [self.categories.get(id, id) if labels == "name" else id for id in category]
        spoken = sorted({label for label in called if label is not None})
        self.problems += unspeakable(spoken, self.name, 'set input.labels = "id"')
        boxes = pd.DataFrame({"id": [known.get(id) for id in of], "label": called, **dict(zip(CORNERS, corners.T))})
        boxes["ignored"] = [annotation.get("iscrowd") in (1, True) for annotation in annotations]
        own = pd.Series([as_id(annotation.get("id")) for annotation in annotations], dtype=object)
        twice = own.notna() & own.duplicated()
        copies = (twice & boxes.assign(own=own).duplicated()).to_numpy(dtype=bool)
        if copies.any():
            self.notes.append(f"{self.name}: {int(copies.sum())} of {n} annotations repeat another one, id, box and all, so left out")
        if alike := int((twice.to_numpy(dtype=bool) & ~copies).sum()):
            self.notes.append(f"{self.name}: {alike} of {n} annotations have the id of another box, and are boxes all the same")
        self.boxes = boxes[~copies]


def _corners(box: Any) -> list[float]:
    """x1, y1, x2, y2 of [x, y, width, height], x2 and y2 beyond the box; not finite where it is no such list."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in box):
        return [np.nan] * 4
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height]


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else np.nan

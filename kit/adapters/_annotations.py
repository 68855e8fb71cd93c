"""Reads a JSON file of pictures: which there are, where they say they lie, and their labels; and all that is wrong with it.

    COCO               images: id, file_name               annotations: image_id, category_id
    iMaterialist       images: image_id, url               annotations: image_id, label_id (a number, or a list of them)
    as some were sent  images: imageId, url                annotations: imageId, labelId; ids and labels are text

Each key is looked for in all its spellings, and an id or a label may be a number or text.
"""

import gzip
import json
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kit.errors import DataError, shorten
from kit.reading import locate

OWN = ("image_id", "imageId", "id")  # what an image calls its own id
OF = ("image_id", "imageId")  # and an annotation the image's
LABEL = ("category_id", "label_id", "labelId")


@dataclass(frozen=True)
class Listed:
    """
    rows    index id, column file_name: missing where a file gives urls alone
    labels  id -> labels, each once; empty where none were asked for
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    labels: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def listed(path: Path, *, labelled: bool, separator: str | None) -> Listed:
    """What a file says. What the JSON module makes of it is let go here: of a million pictures that is some gigabytes.

    labelled   whether annotations are asked for
    separator  what no label may hold, where a picture may have several labels or none; None: each has one
    Raises DataError only where the file cannot be opened; what is wrong inside is in `problems`, with counts.
    """
    name = path.name
    held, problems = opened(path, ["images", "annotations"] if labelled else ["images"])
    if held is None:
        return Listed(problems=problems)
    ids, names, problems = _images(held["images"], name)
    labels: dict[str, list[str]] = {}
    if labelled:
        labels, more = _labels(held["annotations"], set(ids) - {None}, name, separator)
        problems += more
        problems += _beyond(labels, held.get("categories"), name) if any("category_id" in a for a in held["annotations"][:1]) else []
    if problems:
        return Listed(problems=problems)
    rows = pd.DataFrame({"file_name": pd.array(names, dtype="str")}, index=pd.Index(ids, dtype="str", name="id"))
    unused = not labelled and held.get("annotations")
    return Listed(rows, labels, notes=[f"{name} holds annotations: they are not used"] if unused else [])


def opened(path: Path, needed: list[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """(what a JSON file holds, []); or None, and why it has not these lists of objects. Raises DataError where it cannot be opened."""
    name = path.name
    try:
        held = json.loads(_text(locate(path)))
    except (ValueError, RecursionError) as error:  # bytes that are no text, text that is no JSON, or lists in lists without end
        where = f"line {error.lineno}, column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        return None, [f"{name} is not JSON, {where}; is it whole? fetch it again"]
    lacking = [k for k in needed if not isinstance(held, dict) or not is_list_of_objects(held.get(k))]
    has = f"its keys are {shorten(held, 8)}" if isinstance(held, dict) else f"it is a {type(held).__name__}"
    return (None if lacking else held), [f'{name} has no list of objects "{k}"; {has}' for k in lacking]


def _images(images: list[dict], name: str) -> tuple[list[str | None], list[str | None], list[str]]:
    """(ids, file names, problems)"""
    own, problems = _key(images, OWN, f"{name}: images")
    if not own:
        return [], [], problems
    ids = [as_id(image.get(own)) for image in images]
    names = [image.get("file_name") for image in images]
    by_name = any(n is not None for n in names)
    for some, what in (
        ([image.get(own) for image, id in zip(images, ids) if id is None], f'have no usable "{own}", such as'),
        ([id for id, count in Counter(ids).items() if count > 1 and id is not None], "have an id of several others too, ids"),
        ([id for id, n in zip(ids, names) if by_name and not (isinstance(n, str) and n)], "have no file_name as others do, ids"),
    ):
        problems += [f"{name}: {len(some)} of {len(ids)} images {what} {shorten(some)}"] if some else []
    return ids, names, problems


def _labels(annotations: list[dict], known: set[str], name: str, separator: str | None) -> tuple[dict[str, list[str]], list[str]]:
    """(id -> labels, problems)"""
    (of, problems), (label, more) = (_key(annotations, keys, f"{name}: annotations") for keys in (OF, LABEL))
    if problems + more:
        return {}, problems + more
    found: dict[str, list[str]] = {}
    stray, odd = [], []
    for annotation in annotations:
        id, held = as_id(annotation.get(of)), annotation.get(label)
        given = [as_id(value) for value in (held if isinstance(held, list) else [held])]
        if id not in known:
            stray.append(annotation.get(of))
        elif any(value is None or (separator is not None and separator in value) for value in given):
            odd.append(held)
            found.setdefault(id, [])
        else:
            before = found.setdefault(id, [])
            before += [value for value in dict.fromkeys(given) if value not in before]
    several = sorted(id for id, labels in found.items() if len(labels) > 1)
    bare = sorted(known - {id for id in found if found[id]}) if not odd else sorted(known - set(found))
    for some, of_how_many, what in (
        (stray, len(annotations), "annotations are of images that it does not list:"),
        (list(map(repr, odd)), len(annotations), f'annotations have no usable "{label}", such as'),
        (bare if separator is None else [], len(known), "images have no annotation, and each needs a label; ids"),
        (several if separator is None else [], len(known), 'images have several labels, which output.task = "multilabel" is for; ids'),
    ):
        problems += [f"{name}: {len(some)} of {of_how_many} {what} {shorten(some)}"] if some else []
    return found, problems


def _beyond(labels: dict[str, list[str]], categories: Any, name: str) -> list[str]:
    if not isinstance(categories, list):
        return []
    known = {as_id(c.get("id")) for c in categories if isinstance(c, dict)}
    beyond = sorted({value for some in labels.values() for value in some} - known)
    return [f"{name}: {len(beyond)} labels are the id of none of its {len(known)} categories: {shorten(beyond)}"] if beyond else []


def as_id(value: Any) -> str | None:
    """An id or a label as text; None for what is neither a whole number nor text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value)


def _key(entries: list[dict], spellings: tuple[str, ...], where: str) -> tuple[str, list[str]]:
    """The spelling that most entries have, "" if none has any; and what is wrong with that."""
    counts = {key: sum(key in entry for entry in entries) for key in spellings}
    best = max(spellings, key=counts.__getitem__)
    if counts[best]:
        return best, []
    has = f"the first has {shorten(entries[0], 8) or 'no key'}" if entries else "there are none"
    return "", [f"{where} have none of the keys {', '.join(spellings)}: {has}"]


def is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _text(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                inside = [n for n in archive.namelist() if n.lower().endswith(".json") and not n.startswith("__MACOSX")]
                if len(inside) != 1:
                    raise DataError(f"{path} should hold one JSON file, and holds {len(inside)}: {shorten(inside)}\nunzip it beside itself")
                return archive.read(inside[0])
        return path.read_bytes()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}\nis it whole? fetch it again") from error

"""Instance pictures, whose pixels' values say of which object they are, become objects with masks.

A picture of 3384 x 2710 takes a tenth of a second to read, and there may be 40,000: they are read once, by threads, and kept as runs, which
take some 30 KB a picture.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from kit import masks
from kit.archives import identity, open_file
from kit.files import whole
from kit.found import Found, Mask
from kit.stores import Damaged, each

_FORMAT = 1  # of the cache: one more whenever equal files would give other runs
_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")  # of pictures whose pixels are one whole number
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises for bytes that are not what they should be


@dataclass(frozen=True)
class Values:
    """What the values of pixels mean.

    divisor  a value is divisor x class + number of the object; smaller ones are of no object, unless they are named below
    ignored  values of what is neither found nor missed, whatever is said to be there
    groups   class -> the class that it is a group of, in which single objects are neither found nor missed
    """

    divisor: int
    ignored: frozenset[int]
    groups: dict[int, str]

    def keeps(self, value: int) -> bool:
        return value >= self.divisor or value in self.ignored or value in self.groups

    def label(self, value: int) -> tuple[str, bool]:
        """(label, whether it is ignored); "" is ignored for every label."""
        if value in self.ignored:
            return "", True
        own = value // self.divisor if value >= self.divisor else value
        return (self.groups[own], True) if own in self.groups else (str(own), False)


def read(path: str) -> np.ndarray:
    """(height, width) whole numbers, as they lie in the file. Raises Damaged for a file that is missing, broken, or in colours."""
    try:
        with open_file(path) as stream, Image.open(stream) as image:
            if image.mode not in _MODES:
                raise Damaged(f"in colours ({image.mode}), where a pixel should be one number", path)
            return np.asarray(image)
    except FileNotFoundError as error:
        raise Damaged("missing", path) from error
    except _BROKEN as error:
        raise Damaged("not a whole picture", path) from error


def gathered(
    paths: Sequence[str], values: Values, *, folder: Path | None, threads: int, progress: Callable[[str], None]
) -> tuple[list[Found], dict[int, str]]:
    """(what is in each picture, the damage of those that could not be read by their positions: nothing is in them).

    Objects have masks, and boxes around these whose x2 and y2 are beyond the last pixel.

    folder  of caches; None keeps none
    """
    path = None if folder is None else Path(folder) / f"instances-{_key(paths, values)}.safetensors"
    if path is not None and path.is_file():
        return _found(load_file(path), values), {}
    parts: list[dict[int, Mask]] = []
    boxes: list[tuple[int, int, int, int]] = []
    damage: dict[int, str] = {}
    for n, part in enumerate(each(lambda p: _kept(p, values), paths, "label picture", threads, progress)):
        if isinstance(part, Damaged):
            damage[n], part = part.kind, ({}, [])
        parts.append(part[0])
        boxes += part[1]
    arrays = _flat(parts, boxes)
    if path is not None and not damage:
        with whole(path) as temporary:
            save_file(arrays, temporary)
    return _found(arrays, values), damage


def _kept(path: str, values: Values) -> tuple[dict[int, Mask], list[tuple[int, int, int, int]]]:
    """(mask of each value that counts, their sides)."""
    pixels = read(path)
    kept = {value: mask for value, mask in masks.of_values(pixels).items() if values.keeps(value)}
    return kept, [masks.sides(mask, pixels.shape[1]) for mask in kept.values()]


def _key(paths: Sequence[str], values: Values) -> str:
    told = f"{_FORMAT} {values.divisor} {sorted(values.ignored)} {sorted(values.groups)}"
    digest = hashlib.sha256(told.encode())
    for path in paths:
        digest.update(f"{os.path.basename(path)}\0{identity(path)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _flat(parts: list[dict[int, Mask]], boxes: list[tuple[int, int, int, int]]) -> dict[str, np.ndarray]:
    """Runs, objects and pictures one after another; 32 bits hold a pixel's place in a picture of two billion."""
    every = [mask for part in parts for mask in part.values()]
    none = [np.zeros(0, np.int64)]
    return {
        "starts": np.concatenate([m.starts for m in every] or none).astype(np.int32),
        "lengths": np.concatenate([m.lengths for m in every] or none).astype(np.int32),
        "runs": np.array([len(m.starts) for m in every], np.int64),
        "values": np.array([value for part in parts for value in part], np.int64),
        "boxes": np.array(boxes, np.int32).reshape(-1, 4),
        "objects": np.array([len(part) for part in parts], np.int64),
    }


def _found(arrays: dict[str, np.ndarray], values: Values) -> list[Found]:
    starts, lengths = (arrays[name].astype(np.int64) for name in ("starts", "lengths"))
    ends = np.cumsum(arrays["runs"]).tolist()
    every = [Mask(starts[a:b], lengths[a:b]) for a, b in zip([0, *ends[:-1]], ends)]
    meaning = {value: values.label(value) for value in np.unique(arrays["values"]).tolist()}
    named = [meaning[value] for value in arrays["values"].tolist()]
    ends = np.cumsum(arrays["objects"]).tolist()
    found = []
    for a, b in zip([0, *ends[:-1]], ends):
        labels, ignored = [label for label, _ in named[a:b]], [is_so for _, is_so in named[a:b]]
        found.append(Found.of(labels, masks=every[a:b], boxes=arrays["boxes"][a:b], ignored=ignored))
    return found

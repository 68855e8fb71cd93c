"""Boxes of many pictures, a row each, become what is in each picture; those that cannot be used are cut or dropped, and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from kit.adapters._places import is_table
from kit.adapters._voc import DEGENERATE, OUTSIDE
from kit.errors import DataError, shorten
from kit.found import Found

CORNERS = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True)
class Marked:
    """What files say of their pictures, and of the boxes in these.

    pictures  index id; column file_name of a file in JSON, and those asked for
    sizes     index id; width and height in pixels, missing where a file does not say them
    boxes     a row each: id, label, x1, y1, x2, y2 of float64 whose x2 and y2 are beyond the box, ignored
    notes     on what was found odd, and used all the same
    """

    pictures: pd.DataFrame
    sizes: pd.DataFrame
    boxes: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def held(boxes: pd.DataFrame, ids: Sequence[str], sizes: np.ndarray, *, inclusive: bool, source: str) -> tuple[list[Found], list[str]]:
    """(what is in each picture, in words how many boxes were cut to the picture or dropped).

    boxes      as Marked has them, of these pictures
    sizes      (n, 2) width and height of each picture, pixels; missing ones cut nothing but what is left of 0 or above it
    inclusive  whether x2 and y2 of what is given back are the last pixel within the box
    Raises DataError where more boxes are dropped than kept: they are then read as what they are not.
    """
    place = pd.Index(ids).get_indexer(boxes["id"])
    order = np.argsort(place, kind="stable")
    place, corners = place[order], boxes[CORNERS].to_numpy(dtype=np.float64)[order]
    labels, ignored = boxes["label"].to_numpy(dtype=object)[order], boxes["ignored"].to_numpy(dtype=bool)[order]
    far = np.where(np.isnan(sizes), np.inf, sizes)[place]
    degenerate = (corners[:, 2:] <= corners[:, :2]).any(axis=1)
    inside = np.concatenate([corners[:, :2].clip(0), np.minimum(corners[:, 2:], far)], axis=1)
    outside = ~degenerate & (inside[:, 2:] <= inside[:, :2]).any(axis=1)
    cut = ~degenerate & ~outside & (abs(inside - corners) >= 1).any(axis=1)  # less is rounding
    kept = ~degenerate & ~outside
    inside -= np.array([0.0, 0.0, 1.0, 1.0]) * inclusive
    starts = np.searchsorted(place[kept], np.arange(len(ids) + 1))
    found = [
        Found.of(labels[kept][a:b], boxes=inside[kept][a:b], ignored=ignored[kept][a:b]) for a, b in zip(starts[:-1].tolist(), starts[1:].tolist())
    ]
    dropped = Counter({DEGENERATE: int(degenerate.sum()), OUTSIDE: int(outside.sum())})
    why = ", ".join(f"{count} {why}" for why, count in dropped.items() if count)
    if dropped.total() > kept.sum():
        asked = "[x, y, width, height] in pixels" if form_of(source) == "json" else "what input.cells says: corners, or width and height"
        raise DataError(f"{dropped.total()} of {len(kept)} boxes of {source} are none: {why}\nare their numbers {asked}? is the file of these pictures?")
    told = [f"boxes of {source} that were dropped: {why}"] if why else []
    told += [f"{int(cut.sum())} of {len(kept)} boxes of {source} reach beyond their picture, and were cut to it"] if cut.any() else []
    return found, told


def unspeakable(labels: Sequence[str], what: str, how: str) -> list[str]:
    """What is wrong with labels that cannot stand in a cell of a submission.

    how  to mend it
    """
    spaced = [label for label in labels if len(label.split()) != 1]
    return [f"{what}: {len(spaced)} labels hold a space, which stands between label and numbers in a submission: {shorten(map(repr, spaced), 3)}; {how}"] if spaced else []


def form_of(name: str) -> Literal["list", "json", "table", "folder"]:
    """What a file of pictures is by its ending."""
    bare = name.removesuffix(".gz").removesuffix(".zip")
    return "list" if bare.endswith(".txt") else "json" if bare.endswith(".json") else "table" if is_table(name) else "folder"

"""Reads annotations in PASCAL VOC's XML: the objects of one picture, with what is wrong among their boxes counted.

The layout is ImageNet's too: size (width, height), and for each object name, difficult, and bndbox (xmin, ymin, xmax, ymax). VOC and ImageNet
include the last pixel; some who borrow the layout name the first one beyond.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from kit.found import Found

DEGENERATE, OUTSIDE = "no wider or no higher than nothing", "outside the picture"  # words for boxes that are dropped


def read(path: Path, clip: str = "", *, inclusive: bool = True) -> tuple[Found, Counter]:
    """(objects, how many boxes were dropped and why).

    inclusive  whether xmax and ymax are the last pixel within a box, or the first beyond it; of what is given back, too

    A box that reaches beyond the picture is cut to it; difficult objects are ignored ones.
    Raises FileNotFoundError; ValueError, in words, for a file that is no such annotation.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise ValueError(f"is not XML: {error}") from error
    size = root.find("size")
    width, height = (0.0, 0.0) if size is None else (_number(size, "width"), _number(size, "height"))
    labels, boxes, ignored, dropped = [], [], [], Counter()
    for thing in root.iter("object"):
        box = thing.find("bndbox")
        if box is None or not (label := (thing.findtext("name") or "").strip()):
            raise ValueError("has an object without name or bndbox")
        x1, y1, x2, y2 = (_number(box, side) for side in ("xmin", "ymin", "xmax", "ymax"))
        if x2 + inclusive <= x1 or y2 + inclusive <= y1:
            dropped[DEGENERATE] += 1
            continue
        if width and height:
            x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, width - inclusive), min(y2, height - inclusive)
            if x2 + inclusive <= x1 or y2 + inclusive <= y1:
                dropped[OUTSIDE] += 1
                continue
        labels.append(label)
        boxes.append([x1, y1, x2, y2])
        ignored.append(_number(thing, "difficult", "0") == 1)
    return Found.of(labels, boxes=boxes, ignored=ignored, clip=clip), dropped


def _number(element: ElementTree.Element, name: str, otherwise: str = "") -> float:
    text = element.findtext(name, otherwise)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"says {name} = {text!r}: expected a number")
    return number


def text(labels: list[str], boxes: list[list[int]], width: int, height: int) -> str:
    """An annotation as `read` takes it."""
    things = "".join(
        f"\t<object>\n\t\t<name>{label}</name>\n\t\t<bndbox>\n"
        + "".join(f"\t\t\t<{side}>{value}</{side}>\n" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
        + "\t\t</bndbox>\n\t</object>\n"
        for label, box in zip(labels, boxes)
    )
    return f"<annotation>\n\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n{things}</annotation>\n"

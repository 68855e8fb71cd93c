"""Pictures, sounds and texts of rows, small enough to lie in a page: a picture of at most 96 pixels, two seconds of a sound.

All of them together stay below a number of bytes; what comes after is named, and not shown.
"""

import base64
import io
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.registry import needed
from kit.reporting.charts import svg
from kit.reporting.markup import Html, clean, el, number
from kit.tables import JOINT, Column

SIDE = 96  # pixels
SECONDS, RATE = 2.0, 8_000  # of a sound, samples a second
MOST_BYTES = 2_800_000  # of all pictures and sounds of a page, as they stand in it
MOST_LETTERS = 360
_CELLS = 6  # of a row, besides pictures, sounds and texts
_BARS = 64  # of a sound's outline
_SMALL = 40  # pixels: a picture below is shown with its pixels as squares


@dataclass
class Shelf:
    """
    columns  of a row that are shown, the most telling first: name -> kind
    left     bytes that pictures and sounds may still take
    """

    columns: dict[str, Column]
    left: int = MOST_BYTES

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, column in self.columns.items() if column.kind == kind]

    def shows(self) -> bool:
        """Whether rows have something to look at or to hear."""
        return bool(self.of_kind("image") or self.of_kind("audio"))

    def small(self, row: pd.Series, side: int = SIDE) -> Html | None:
        """The row's first picture, or its sound's outline; None where it has neither."""
        for name in self.of_kind("image")[:1]:
            return self._picture(row[name], side)
        for name in self.of_kind("audio")[:1]:
            return self._sound(row[name], heard=False)
        return None

    def whole(self, row: pd.Series) -> list[Html]:
        """All that is shown of a row."""
        shown = [self._picture(row[name]) for name in self.of_kind("image")[:2]]
        shown += [self._sound(row[name]) for name in self.of_kind("audio")[:2]]
        shown += [el("p", clean(row[name], MOST_LETTERS), class_="words") for name in self.of_kind("text")[:2] if isinstance(row[name], str)]
        cells = [name for name, column in self.columns.items() if column.kind in ("numeric", "category", "date")][:_CELLS]
        if cells:
            pairs = [part for name in cells for part in (el("dt", clean(name, 24), title=clean(name, 200)), el("dd", _cell(row[name])))]
            shown.append(el("dl", *pairs, class_="cells"))
        return shown

    def _picture(self, source: Any, side: int = SIDE) -> Html:
        if not _named(source):
            return el("span", "no picture", class_="gone")
        try:
            data, size = _jpeg(source, side)
        except KitError as error:
            return el("span", clean(getattr(error, "kind", "cannot be read"), 40), class_="gone")
        if not self._takes(data):
            return el("span", "left out", class_="gone")
        return el("img", src=_uri("image/jpeg", data), alt="", width=size[0], height=size[1], class_="squares" if max(size) < _SMALL else None)

    def _sound(self, source: Any, heard: bool = True) -> Html:
        if not _named(source):
            return el("span", "no sound", class_="gone")
        try:
            samples = needed("kit.sounds", "a report with sounds").decode(source, rate=RATE, seconds=SECONDS)
        except KitError as error:
            return el("span", clean(getattr(error, "kind", "cannot be read"), 40), class_="gone")
        outline = _outline(samples)
        if not heard:
            return outline
        data = _wave(samples)
        if not self._takes(data):
            return outline
        return el("div", outline, el("audio", "", controls="", preload="none", src=_uri("audio/wav", data)), class_="sound")

    def _takes(self, data: bytes) -> bool:
        size = len(data) * 4 // 3
        if size > self.left:
            return False
        self.left -= size
        return True


def _named(source: Any) -> bool:
    return isinstance(source, np.ndarray) or (isinstance(source, str) and source != "")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return clean(value, 40)
    if pd.isna(value):
        return "—"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return number(float(value))


def _jpeg(source: str | np.ndarray, side: int) -> tuple[bytes, tuple[int, int]]:
    """(bytes, width and height): no side longer than `side`. Raises Damaged, DataError, DependencyError."""
    pictures = needed("kit.pictures", "a report with pictures")
    from PIL import Image  # where kit.pictures came in, it is there

    image = Image.fromarray(pictures.as_rgb(pictures.shrink(source, size=side)))
    image.thumbnail((side, side))
    told = io.BytesIO()
    image.save(told, "JPEG", quality=90 if max(image.size) < _SMALL else 74, optimize=True)
    return told.getvalue(), image.size


def _wave(samples: np.ndarray) -> bytes:
    told = io.BytesIO()
    with wave.open(told, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return told.getvalue()


def _outline(samples: np.ndarray) -> Html:
    """The loudest sample of each part, as bars around a middle line."""
    parts = np.array_split(np.abs(samples.astype(np.float64)), _BARS)
    loud = np.array([part.max() if len(part) else 0.0 for part in parts])
    loud = loud / (loud.max() or 1.0)
    tops = " ".join(f"M{2 * n + 1} {18 - 16 * v:.1f}V{18 + 16 * v:.1f}" for n, v in enumerate(np.maximum(loud, 0.03).tolist()))
    return Html(svg([el("path", d=tops, class_="wave")], 2 * _BARS, 36, f"outline of the first {number(len(samples) / RATE, 2)} s").replace('class="chart"', 'class="outline"'))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def shown_id(id: str) -> str:
    """An id as a person reads it: the parts of a composite one with a slash between."""
    return clean(id.replace(JOINT, "/"), 60)

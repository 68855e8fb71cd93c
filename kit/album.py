"""A column's pictures: cells that name files become an Album, which gives pixels by position.

Decoding a JPEG costs more than training a small network on it, so where it fits on the disk, all pictures are decoded once, made smaller,
and kept. A file that several rows name is decoded once.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from kit import decoded
from kit.pictures import KINDS, MOST_PIXELS, as_rgb, check, full_size, shrink
from kit.stores import Block, Damaged, Store, distinct, each, key_of

_FORMAT = 2  # of the cache: one more whenever equal sources would give other pixels
_BLANK = 64  # pixels, the side of a blank picture where no size is asked for


class Album(Store):
    """The pictures of n rows.

    A pickled album holds the path of its cache or the paths of its pictures, and pixels only of arrays that lie in memory.
    """

    kind, words = "image", KINDS

    def __init__(
        self,
        key: str,
        rows: np.ndarray,
        kinds: np.ndarray,
        pixels: "decoded.Mapped | _Sources",
        names: dict[int, str] | list[str],
        size: int,
    ):
        """
        pixels  by picture: (h, w), (h, w, 1) or (h, w, 3) uint8
        size    pixels of the shorter side of large pictures; 0 is any
        """
        super().__init__(key, rows, kinds, names)
        self._pixels, self._size = pixels, size

    def __getitem__(self, position: int) -> np.ndarray:
        """(h, w, 3) uint8, the caller's own; plain mid-grey where there is no picture.

        A picture that turns out to be truncated only now is grey and counted too. Raises Damaged where its file has changed otherwise.
        """
        picture = int(self._rows[position])
        if self.there[position]:
            try:
                pixels = self._pixels[picture]
                return pixels.copy() if pixels.shape[2:] == (3,) else as_rgb(pixels)
            except Damaged as error:
                if error.kind != "truncated":
                    raise
                self._kinds[picture] = 1 + KINDS.index(error.kind)
        side = self._size or _BLANK
        return np.full((side, side, 3), 128, np.uint8)

    def full_size(self, position: int) -> tuple[int, int]:
        """Height and width of the picture before it was made smaller; those of a blank one where there is none."""
        if self.there[position]:
            try:
                return self._pixels.full_size(int(self._rows[position]))
            except Damaged as error:
                if error.kind != "truncated":
                    raise
        return self._size or _BLANK, self._size or _BLANK

    def release(self) -> None:
        self._pixels.release()


@dataclass(frozen=True)
class Pictures(Block):
    """Some rows of an album: (h, w, 3) uint8 by position."""

    @property
    def album(self) -> Album:
        return self.store

    def full_size(self, position: int) -> tuple[int, int]:
        """Height and width of the picture before it was made smaller."""
        return self.album.full_size(self.rows[position])


# --- gathering -------------------------------------------------------------------------------------------------------------------


class _Sources:
    """Files decoded at each access, and arrays in memory, by picture."""

    def __init__(self, sources: list[str | np.ndarray], full: dict[int, tuple[int, int]], size: int, most_pixels: int):
        """full  height and width of the arrays before they were made smaller"""
        self.sources, self.full, self.size, self.most_pixels = sources, full, size, most_pixels

    def __getitem__(self, picture: int) -> np.ndarray:
        source = self.sources[picture]
        return source if isinstance(source, np.ndarray) else shrink(source, size=self.size, most_pixels=self.most_pixels)

    def full_size(self, picture: int) -> tuple[int, int]:
        """Height and width before it is made smaller."""
        return self.full[picture] if picture in self.full else full_size(self.sources[picture], most_pixels=self.most_pixels)

    def release(self) -> None:
        """Nothing is mapped."""


def gather(
    sources: pd.Series | np.ndarray,
    *,
    folder: Path | None,
    size: int,
    cache: Literal["auto", "always", "never"],
    most_pixels: int = MOST_PIXELS,
    threads: int,
    progress: Callable[[str], None],
) -> Album:
    """The album of a column; one line of progress says what was done (and one a minute, how far it is).

    sources      (n,) paths as text, or arrays, as pictures.decode takes them; missing or "" where a row names no picture, which is no damage
    folder       of caches, which several processes may share; None keeps none
    size         pixels of the shorter side that larger pictures are made smaller to; 0 keeps them as they are
    cache        "always": every picture is decoded now and kept in `folder`. "never": headers and last bytes are checked now, and every access
                 decodes; what only decoding can find is found at the first access. "auto": arrays stay in memory, and files are kept
                 where that takes less than a quarter of the free disk space. Pixels are the same in each
    most_pixels  a picture that has more is not decoded
    threads      that read and decode at once
    Raises DataError for cells that are neither, and where files may not be read; RunError where the cache cannot be written.
    """
    assert folder is not None or cache != "always", "a cache needs a folder"
    began = time.monotonic()
    rows, pictures, names = distinct(sources, "picture")
    key = key_of(f"{_FORMAT} {size} {most_pixels}", rows, pictures, names)
    files = [p for p in pictures.values() if isinstance(p, str)]
    how = {"size": size, "most_pixels": most_pixels}
    path = None if folder is None or cache == "never" else Path(folder) / f"{key}.u8"
    index = None if path is None else decoded.kept(path)
    done = "decoded earlier"
    if path is not None and index is None:
        fits, room = decoded.room(path, files, **how) if cache == "auto" and files else (cache == "always", "")
        if fits:
            done = "decoded now"
            index = decoded.write(path, list(pictures.values()), **how, threads=threads, progress=progress)
    if index is not None:
        pixels, kinds = decoded.Mapped(path, index), index.kinds
        names = {p: names[p] for p in np.flatnonzero(kinds).tolist()}
        done = f"{index.bytes / 1e6:.1f} MB, {done}"
    else:
        kinds, held = _checked(list(pictures.values()), **how, threads=threads, progress=progress)
        full = {n: full_size(p) for n, p in enumerate(pictures.values()) if isinstance(p, np.ndarray)}
        pixels, done = _Sources(held, full, **how), f"{sum(p.nbytes for p in held if isinstance(p, np.ndarray)) / 1e6:.1f} MB in memory"
        if files:
            key = hashlib.sha256(f"{key} by headers".encode()).hexdigest()[:16]  # fewer may count as damaged than once decoded
            done = "headers checked, decoded at each access" + (f" (to keep them takes {room})" if path is not None else "")
    album = Album(key, rows, kinds, pixels, names, size)
    progress(f"pictures {len(pictures)}: {done}, {time.monotonic() - began:.1f} s; damaged: {album.counted()}")
    return album


def _checked(
    pictures: list[str | np.ndarray], *, size: int, most_pixels: int, threads: int, progress: Callable[[str], None]
) -> tuple[np.ndarray, list[str | np.ndarray]]:
    """The damage that shows without decoding; arrays made smaller, paths as they were."""

    def look(picture: str | np.ndarray) -> str | np.ndarray:
        if isinstance(picture, np.ndarray):
            return shrink(picture, size=size, most_pixels=most_pixels)
        check(picture, most_pixels=most_pixels)
        return picture

    kinds, held = np.zeros(len(pictures), np.int8), list(pictures)
    for n, found in enumerate(each(look, pictures, "picture", threads, progress)):
        if isinstance(found, Damaged):
            kinds[n] = 1 + KINDS.index(found.kind)
        else:
            held[n] = found
    return kinds, held

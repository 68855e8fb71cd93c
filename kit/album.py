"""A column's pictures: cells that name files become an Album, which gives pixels by position.

Decoding a JPEG costs more than training a small network on it, so where it fits on the disk, all pictures are decoded once, made smaller,
and kept. A file that several rows name is decoded once.
"""

import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from kit import decoded
from kit.archives import identity
from kit.errors import DataError, shorten
from kit.pictures import KINDS, MOST_PIXELS, Damaged, as_rgb, check, shrink

_FORMAT = 1  # of the cache: one more whenever equal sources would give other pixels
_BLANK = 64  # pixels, the side of a blank picture where no size is asked for


class Album:
    """The pictures of n rows.

    there  (n,) bool: False where the picture is damaged, or where none is named
    key    of what the pictures are, in the order of the rows, and of how they are decoded: names (relative to their common folder), sizes
           and times of change of files, and the values of arrays
    A pickled album holds the path of its cache or the paths of its pictures, and pixels only of arrays that lie in memory.
    """

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
        rows    (n,) int64, which of the m pictures a row has; -1 for none
        kinds   (m,) int8: 0, or 1 + the position in KINDS
        pixels  by picture: (h, w), (h, w, 1) or (h, w, 3) uint8
        names   by picture, at least of the damaged ones
        size    pixels of the shorter side of large pictures; 0 is any
        """
        self.key, self.there = key, (rows >= 0) & (np.append(kinds, 1)[rows] == 0)
        self._rows, self._pixels, self._names, self._size = rows, pixels, names, size
        self._kinds = np.frombuffer(mmap.mmap(-1, max(len(kinds), 1)), np.int8, len(kinds))  # what forked loader workers meet is seen here
        self._kinds[:] = kinds

    def __len__(self) -> int:
        return len(self._rows)

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

    @property
    def damage(self) -> dict[str, list[str]]:
        """kind -> names of the pictures, relative to their common folder; each once, however many rows have it."""
        return self._damage(np.arange(len(self._kinds)))

    def _damage(self, pictures: np.ndarray) -> dict[str, list[str]]:
        kinds = self._kinds[pictures]
        return {
            kind: [self._names[p] for p in pictures[kinds == n].tolist()] for n, kind in enumerate(KINDS, start=1) if (kinds == n).any()
        }

    def described(self) -> str:
        """One sentence on what is damaged; "" if nothing is."""
        return _described(self.damage, len(self._kinds))

    def release(self) -> None:
        """Gives mapped pages back to the system: pictures looked at so far no longer count as this process's memory."""
        self._pixels.release()


@dataclass(frozen=True)
class Pictures:
    """Some rows of an album.

    rows  (n,) int64 positions in the album
    """

    album: Album
    rows: np.ndarray

    @property
    def there(self) -> np.ndarray:
        return self.album.there[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> np.ndarray:
        return self.album[self.rows[position]]

    def take(self, rows: np.ndarray) -> "Pictures":
        """rows  (m,) positions, or (n,) bool"""
        return Pictures(self.album, self.rows[rows])


def check_share(album: Album, rows: np.ndarray, most: float, what: str) -> None:
    """Raises DataError where more than this share of the pictures that the rows name is damaged.

    rows  (k,) positions in the album
    most  0..1
    what  the rows' name in the message
    """
    named = np.unique(album._rows[rows])
    named = named[named >= 0]
    damage = album._damage(named)
    if sum(map(len, damage.values())) > most * len(named):
        raise DataError(
            f"too many pictures of {what} cannot be used: {_described(damage, len(named))}\n"
            f"expected a share of at most {most:g}\n"
            "fetch them again and see that they lie where the rows say, or raise encoders.image.most_damaged"
        )


def _described(damage: dict[str, list[str]], named: int) -> str:
    kinds = ", ".join(f"{len(names)} {kind} ({shorten(names, 3)})" for kind, names in damage.items())
    return f"{sum(map(len, damage.values()))} of {named} pictures are damaged: {kinds}" if damage else ""


# --- gathering -------------------------------------------------------------------------------------------------------------------


class _Sources:
    """Files decoded at each access, and arrays in memory, by picture."""

    def __init__(self, sources: list[str | np.ndarray], size: int, most_pixels: int):
        self.sources, self.size, self.most_pixels = sources, size, most_pixels

    def __getitem__(self, picture: int) -> np.ndarray:
        source = self.sources[picture]
        return source if isinstance(source, np.ndarray) else shrink(source, size=self.size, most_pixels=self.most_pixels)

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
    rows, pictures, names = _distinct(sources)
    key = _key(rows, pictures, names, size, most_pixels)
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
        pixels, done = _Sources(held, **how), f"{sum(p.nbytes for p in held if isinstance(p, np.ndarray)) / 1e6:.1f} MB in memory"
        if files:
            key = hashlib.sha256(f"{key} by headers".encode()).hexdigest()[:16]  # fewer may count as damaged than once decoded
            done = "headers checked, decoded at each access" + (f" (to keep them takes {room})" if path is not None else "")
    album = Album(key, rows, kinds, pixels, names, size)
    damage = ", ".join(f"{len(v)} {k}" for k, v in album.damage.items()) or "none"
    progress(f"pictures {len(pictures)}: {done}, {time.monotonic() - began:.1f} s; damaged: {damage}")
    return album


def _distinct(sources: Iterable) -> tuple[np.ndarray, dict[str | bytes, str | np.ndarray], list[str]]:
    """Which picture each row has (-1 for none), the pictures by their path or digest, and their names.

    Raises DataError for cells that are no picture at all.
    """
    rows: list[int] = []
    pictures: dict[str | bytes, str | np.ndarray] = {}
    places: dict[str | bytes, int] = {}
    names: list[str] = []
    for row, cell in enumerate(sources):
        mark: str | bytes
        if isinstance(cell, np.ndarray):
            mark = hashlib.sha256(f"{cell.shape} {cell.dtype} ".encode() + cell.tobytes()).digest()
        elif isinstance(cell, str | Path):
            mark = cell = str(cell)
        elif cell is None or (pd.api.types.is_scalar(cell) and pd.isna(cell)):
            mark = ""
        else:
            raise DataError(
                f"row {row} has {str(cell)[:60]} ({type(cell).__name__}) for a picture\nexpected a path as text, or an array: mend the adapter that makes it"
            )
        if mark and mark not in places:
            places[mark] = len(names)
            pictures[mark] = cell
            names.append(cell if isinstance(cell, str) else f"row {row}")
        rows.append(places[mark] if mark else -1)
    paths = [mark for mark in pictures if isinstance(mark, str)]
    common = os.path.commonprefix([min(paths), max(paths)]) if paths else ""
    common = common[: common.rfind("/") + 1]
    return np.array(rows, np.int64), pictures, [name.removeprefix(common) for name in names]


def _key(rows: np.ndarray, pictures: dict[str | bytes, str | np.ndarray], names: list[str], size: int, most_pixels: int) -> str:
    told = hashlib.sha256(f"{_FORMAT} {size} {most_pixels} ".encode() + rows.tobytes())
    for mark, name in zip(pictures, names):
        told.update(mark if isinstance(mark, bytes) else f"{name}\0{identity(mark)}\0".encode(errors="surrogateescape"))
    return told.hexdigest()[:16]


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
    for n, found in enumerate(decoded.each(look, pictures, threads, progress)):
        if isinstance(found, Damaged):
            kinds[n] = 1 + KINDS.index(found.kind)
        else:
            held[n] = found
    return kinds, held

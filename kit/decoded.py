"""The decoded cache of pictures: a flat file of all their pixels, and the shape of each.

Decoding a JPEG costs more than a small network's step on it, so it is done once where the pixels fit on the disk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from kit import flat
from kit.files import whole
from kit.pictures import KINDS, fitted, full_size, measure, shrink
from kit.stores import Damaged, each

_SAMPLE = 200  # pictures whose headers are read to guess how large the cache will be


@dataclass(frozen=True)
class Index:
    """
    kinds    (m,) int8 for each picture: 0, or 1 + the position of its damage in KINDS
    offsets  (m,) int64 bytes into the flat file
    shapes   (m, 3) int32 height, width, channels (1 or 3); 0 where damaged
    full     (m, 2) int32 height and width of the picture before it was made smaller; 0 where damaged
    """

    kinds: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    full: np.ndarray

    @property
    def bytes(self) -> int:
        return int(self.shapes.prod(axis=1, dtype=np.int64).sum())


class Mapped:
    """Pixels in a flat file, by picture."""

    def __init__(self, path: Path, index: Index):
        self.index, self.flat = index, flat.Flat(path, "picture")

    def __getitem__(self, picture: int) -> np.ndarray:
        """(h, w, channels) uint8, read-only. Raises RunError if the file is gone."""
        height, width, channels = self.index.shapes[picture].tolist()
        return self.flat.values(np.uint8, height * width * channels, self.index.offsets[picture]).reshape(height, width, channels)

    def full_size(self, picture: int) -> tuple[int, int]:
        """Height and width before it was made smaller."""
        height, width = self.index.full[picture].tolist()
        return height, width

    def release(self) -> None:
        self.flat.release()


def kept(path: Path) -> Index | None:
    """The index of a cache that is whole, else None."""
    if not (flat.beside(path).is_file() and path.is_file()):
        return None
    index = Index(**load_file(flat.beside(path)))
    return index if path.stat().st_size == index.bytes else None


def write(
    path: Path, pictures: Sequence[str | np.ndarray], *, size: int, most_pixels: int, threads: int, progress: Callable[[str], None]
) -> Index:
    """Decodes all pictures into the flat file `path`, made smaller as pictures.shrink does. Raises RunError where that cannot be written."""
    flat.sweep(path)
    m, end = len(pictures), 0
    index = Index(np.zeros(m, np.int8), np.zeros(m, np.int64), np.zeros((m, 3), np.int32), np.zeros((m, 2), np.int32))

    def read(picture: str | np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        return shrink(picture, size=size, most_pixels=most_pixels), full_size(picture, most_pixels=most_pixels)

    with whole(path) as temporary, open(temporary, "wb") as file:
        for n, found in enumerate(each(read, pictures, "picture", threads, progress)):
            index.offsets[n] = end
            if isinstance(found, Damaged):
                index.kinds[n] = 1 + KINDS.index(found.kind)
                continue
            pixels, index.full[n] = found
            index.shapes[n] = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
            end += file.write(np.ascontiguousarray(pixels))
        file.flush()
    with whole(flat.beside(path)) as temporary:
        save_file(vars(index), temporary)
    return index


def room(path: Path, files: Sequence[str], *, size: int, most_pixels: int) -> tuple[bool, str]:
    """Whether the decoded files may take their room on the disk unasked, and a few words on how much that is."""
    few = files[:: max(1, -(-len(files) // _SAMPLE))]
    pixels = 0
    for file in few:
        try:
            width, height = fitted(*measure(file, most_pixels=most_pixels), size)
            pixels += width * height
        except Damaged:
            continue
    return flat.room(path, 3 * pixels / len(few) * len(files))

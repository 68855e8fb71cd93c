"""The decoded cache: all pictures' pixels in one flat file, one after another, and beside it an index of where each begins.

The flat file is mapped, so that loader workers share its pages and it takes no memory of its own. Both files are written whole or not at
all, the index last; two processes that build one at once write the same bytes.
"""

import mmap
import shutil
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from kit.errors import RunError
from kit.files import whole
from kit.pictures import KINDS, Damaged, fitted, measure, shrink

_SAMPLE = 200  # pictures whose headers are read to guess how large the cache will be
_MOST_OF_FREE = 0.25  # share of the free disk space that a cache may take unasked
_LEFT_SECONDS = 3600  # a half-written file that nobody has written to for so long is left from a process that was killed
_TOLD_SECONDS = 60  # between two lines of progress


@dataclass(frozen=True)
class Index:
    """
    kinds    (m,) int8 for each picture: 0, or 1 + the position of its damage in KINDS
    offsets  (m,) int64 bytes into the flat file
    shapes   (m, 3) int32 height, width, channels (1 or 3); 0 where damaged
    """

    kinds: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray

    @property
    def bytes(self) -> int:
        return int(self.shapes.prod(axis=1, dtype=np.int64).sum())


class Mapped:
    """Pixels in a flat file, by picture; mapped when first asked for, and anew in a process that this was sent to."""

    def __init__(self, path: Path, index: Index):
        self.path, self.index = path, index
        self._map: mmap.mmap | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_map": None}

    def __getitem__(self, picture: int) -> np.ndarray:
        """(h, w, channels) uint8, read-only. Raises RunError if the file is gone."""
        if self._map is None:
            self._map = self._mapped()
        height, width, channels = self.index.shapes[picture].tolist()
        flat = np.frombuffer(self._map, np.uint8, height * width * channels, self.index.offsets[picture])
        return flat.reshape(height, width, channels)

    def _mapped(self) -> mmap.mmap:
        try:
            with open(self.path, "rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise RunError(
                f"the decoded pictures in {self.path} are gone: {error.strerror}\ngive the same command again: it decodes them anew"
            ) from error

    def release(self) -> None:
        """Gives the pages back to the system; they are read again when asked for."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def kept(path: Path) -> Index | None:
    """The index of a cache that is whole, else None."""
    if not (_beside(path).is_file() and path.is_file()):
        return None
    index = Index(**load_file(_beside(path)))
    return index if path.stat().st_size == index.bytes else None


def write(
    path: Path, pictures: Sequence[str | np.ndarray], *, size: int, most_pixels: int, threads: int, progress: Callable[[str], None]
) -> Index:
    """Decodes all pictures into the flat file `path`, made smaller as pictures.shrink does. Raises RunError where that cannot be written."""
    for left in path.parent.glob(".*.u8.*"):
        if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
            left.unlink(missing_ok=True)
    m, end = len(pictures), 0
    index = Index(np.zeros(m, np.int8), np.zeros(m, np.int64), np.zeros((m, 3), np.int32))
    with whole(path) as temporary, open(temporary, "wb") as file:
        for n, found in enumerate(each(lambda p: shrink(p, size=size, most_pixels=most_pixels), pictures, threads, progress)):
            index.offsets[n] = end
            if isinstance(found, Damaged):
                index.kinds[n] = 1 + KINDS.index(found.kind)
                continue
            index.shapes[n] = found.shape if found.ndim == 3 else (*found.shape, 1)
            end += file.write(np.ascontiguousarray(found))
        file.flush()
    with whole(_beside(path)) as temporary:
        save_file(vars(index), temporary)
    return index


def _beside(path: Path) -> Path:
    return path.with_suffix(".safetensors")


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
    needed = 3 * pixels / len(few) * len(files)
    free = shutil.disk_usage(next(p for p in path.absolute().parents if p.is_dir())).free
    return needed < _MOST_OF_FREE * free, f"{needed / 1e9:.1f} GB, where {free / 1e9:.1f} GB are free"


def each(work: Callable, pictures: Sequence[str | np.ndarray], threads: int, progress: Callable[[str], None]) -> Iterator:
    """What `work` gives for each picture, or its Damaged, in their order; only a few are held at once."""
    began = told = time.monotonic()

    def attempt(picture: str | np.ndarray):
        try:
            return work(picture)
        except Damaged as error:
            return error

    # the filters of warnings belong to all threads: each puts back what it found, which need not be what was there at first
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        ahead: deque = deque()
        for n, picture in enumerate(pictures):
            ahead.append(pool.submit(attempt, picture))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
            if time.monotonic() - told > _TOLD_SECONDS:
                told = time.monotonic()
                progress(f"pictures {n} of {len(pictures)}, {told - began:.0f} s")
        while ahead:
            yield ahead.popleft().result()

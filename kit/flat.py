"""A cache of decoded values: all of them in one flat file, one after another, and beside it an index of where each begins.

The flat file is mapped, so that loader workers share its pages and it takes no memory of its own. Both files are written whole or not at
all, the index last; two processes that build one at once write the same bytes.
"""

import mmap
import shutil
import time
from pathlib import Path

import numpy as np

from kit.errors import RunError

_MOST_OF_FREE = 0.25  # share of the free disk space that a cache may take unasked
_LEFT_SECONDS = 3600  # a half-written file that nobody has written to for so long is left from a process that was killed


class Flat:
    """A flat file, mapped when first asked for, and anew in a process that this was sent to."""

    def __init__(self, path: Path, one: str):
        """one  what a value is called in messages"""
        self.path, self.one = path, one
        self._map: mmap.mmap | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_map": None}

    def values(self, dtype: type, count: int, offset: int) -> np.ndarray:
        """(count,) read-only; offset in bytes. Raises RunError if the file is gone."""
        if self._map is None:
            self._map = self._mapped()
        return np.frombuffer(self._map, dtype, count, offset)

    def _mapped(self) -> mmap.mmap:
        try:
            with open(self.path, "rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise RunError(
                f"the decoded {self.one}s in {self.path} are gone: {error.strerror}\ngive the same command again: it decodes them anew"
            ) from error

    def release(self) -> None:
        """Gives the pages back to the system; they are read again when asked for."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def beside(path: Path) -> Path:
    """Where the index of a flat file is."""
    return path.with_suffix(".safetensors")


def sweep(path: Path) -> None:
    """Removes what killed processes left half-written beside a flat file."""
    for left in path.parent.glob(f".*{path.suffix}.*"):
        if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
            left.unlink(missing_ok=True)


def room(path: Path, needed: float) -> tuple[bool, str]:
    """Whether a flat file may take its room on the disk unasked, and a few words on how much that is.

    needed  bytes
    """
    free = shutil.disk_usage(next(p for p in path.absolute().parents if p.is_dir())).free
    return needed < _MOST_OF_FREE * free, f"{needed / 1e9:.1f} GB, where {free / 1e9:.1f} GB are free"

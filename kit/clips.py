"""A column's sounds: cells that name files become Recordings, which give samples by position.

Decoding and resampling cost more than training a small network, so where they fit on the disk, all sounds are decoded once, at the rate that
is asked for, and kept. A file that several rows name is decoded once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from kit import flat
from kit.files import whole
from kit.sounds import KINDS, MOST_SECONDS, Channels, decode, measure
from kit.stores import Block, Damaged, Store, distinct, each, key_of

_FORMAT = 1  # of the cache: one more whenever equal sources would give other samples
_MEASURED = 200  # sounds whose headers are read to guess how large the cache will be
_FULL = np.float32(32768)


class Recordings(Store):
    """The sounds of n rows.

    rate     samples a second
    samples  (n,) int64, how many each has; 0 where there is none
    Pickled recordings hold the path of their cache, or the paths of their files, and samples only of arrays that lie in memory.
    """

    kind, words = "audio", KINDS

    def __init__(
        self,
        key: str,
        rows: np.ndarray,
        kinds: np.ndarray,
        lengths: np.ndarray,
        held: "_Mapped | _Sources",
        names: dict[int, str] | list[str],
        rate: int,
    ):
        """
        lengths  (m,) int64 samples of each sound
        held     by sound: (samples,) int16
        """
        super().__init__(key, rows, kinds, names)
        self.rate, self._held = rate, held
        self.samples = np.where(self.there, np.append(lengths, 0)[rows], 0)

    def __getitem__(self, position: int) -> np.ndarray:
        """(samples,) float32 in -1..1, the caller's own; one sample of silence where there is none.

        Raises Damaged where a file has changed since it was gathered.
        """
        if not self.there[position]:
            return np.zeros(1, np.float32)
        return self._held[int(self._rows[position])] / _FULL

    def release(self) -> None:
        self._held.release()


@dataclass(frozen=True)
class Clips(Block):
    """Some rows of recordings: (samples,) float32 by position."""

    @property
    def rate(self) -> int:
        return self.store.rate

    @property
    def samples(self) -> np.ndarray:
        return self.store.samples[self.rows]

    @property
    def seconds(self) -> np.ndarray:
        return self.samples / self.rate


class _Mapped:
    """Samples in a flat file, by sound."""

    def __init__(self, path: Path, index: dict[str, np.ndarray]):
        self.offsets, self.lengths, self.flat = 2 * (np.cumsum(index["lengths"]) - index["lengths"]), index["lengths"], flat.Flat(path, "sound")

    def __getitem__(self, sound: int) -> np.ndarray:
        return self.flat.values(np.int16, int(self.lengths[sound]), int(self.offsets[sound]))

    def release(self) -> None:
        self.flat.release()


class _Sources:
    """Files decoded at each access, and arrays in memory, by sound."""

    def __init__(self, sources: list[str | np.ndarray], how: dict[str, Any]):
        self.sources, self.how = sources, how

    def __getitem__(self, sound: int) -> np.ndarray:
        source = self.sources[sound]
        return source if isinstance(source, np.ndarray) else decode(source, **self.how)

    def release(self) -> None:
        """Nothing is mapped."""


# --- gathering -------------------------------------------------------------------------------------------------------------------


def gather(
    sources: pd.Series | np.ndarray,
    *,
    folder: Path | None,
    rate: int,
    seconds: float = 0.0,
    trim_db: float = 0.0,
    channels: Channels = "mix",
    cache: Literal["auto", "always", "never"],
    most_seconds: float = MOST_SECONDS,
    threads: int,
    progress: Callable[[str], None],
) -> Recordings:
    """The recordings of a column; one line of progress says what was done (and one a minute, how far it is).

    sources  (n,) paths as text, or arrays, as sounds.decode takes them; missing or "" where a row names no sound, which is no damage
    folder   of caches, which several processes may share; None keeps none
    rate, seconds, trim_db, channels, most_seconds  as sounds.decode takes them
    cache    "always": every sound is kept in `folder`. "never": every access decodes. "auto": arrays stay in memory, and files are kept where
             that takes less than a quarter of the free disk space. All are decoded once now, and the samples are the same in each
    threads  that read and decode at once
    Raises DataError for cells that are neither, and where files may not be read; RunError where the cache cannot be written.
    """
    assert folder is not None or cache != "always", "a cache needs a folder"
    began = time.monotonic()
    rows, sounds, names = distinct(sources, "sound")
    how = {"rate": rate, "seconds": seconds, "trim_db": trim_db, "channels": channels, "most_seconds": most_seconds}
    key = key_of(f"{_FORMAT} {how}", rows, sounds, names)
    items, files = list(sounds.values()), [s for s in sounds.values() if isinstance(s, str)]
    path = None if folder is None or cache == "never" else Path(folder) / f"{key}.i16"
    index, done = None if path is None else _kept(path), "decoded earlier"
    held: _Mapped | _Sources
    if index is not None:
        held = _Mapped(path, index)
    else:
        fits, room = flat.room(path, _guessed(files, rate, seconds)) if path is not None and files else (False, "")
        decoded = each(lambda s: decode(s, **how), items, "sound", threads, progress)
        if path is not None and (fits or cache == "always"):
            index, done = _written(path, decoded, len(items)), "decoded now"
            held = _Mapped(path, index)
        else:
            index, items = _measured(decoded, items)
            held, done = _Sources(items, how), "decoded at each access" + (f" (to keep them takes {room})" if room else "") if files else "in memory"
    found = Recordings(key, rows, index["kinds"], index["lengths"], held, names, rate)
    told = f"{index['lengths'].sum() / rate / 60:.1f} minutes at {rate} Hz, {2 * index['lengths'].sum() / 1e6:.1f} MB, {done}"
    progress(f"sounds {len(items)}: {told}, {time.monotonic() - began:.1f} s; damaged: {found.counted()}")
    return found


def _kept(path: Path) -> dict[str, np.ndarray] | None:
    """The index of a cache that is whole, else None: (m,) int8 `kinds` and (m,) int64 `lengths`."""
    if not (flat.beside(path).is_file() and path.is_file()):
        return None
    index = load_file(flat.beside(path))
    return index if path.stat().st_size == 2 * index["lengths"].sum() else None


def _written(path: Path, decoded: Any, m: int) -> dict[str, np.ndarray]:
    flat.sweep(path)
    index = {"kinds": np.zeros(m, np.int8), "lengths": np.zeros(m, np.int64)}
    with whole(path) as temporary, open(temporary, "wb") as file:
        for n, found in enumerate(decoded):
            if _counted(index, n, found):
                file.write(found)
        file.flush()
    with whole(flat.beside(path)) as temporary:
        save_file(index, temporary)
    return index


def _measured(decoded: Any, items: list[str | np.ndarray]) -> tuple[dict[str, np.ndarray], list[str | np.ndarray]]:
    """The index, and the sources with their samples in the place of arrays."""
    index, held = {"kinds": np.zeros(len(items), np.int8), "lengths": np.zeros(len(items), np.int64)}, list(items)
    for n, found in enumerate(decoded):
        if _counted(index, n, found) and isinstance(held[n], np.ndarray):
            held[n] = found
    return index, held


def _counted(index: dict[str, np.ndarray], n: int, found: np.ndarray | Damaged) -> bool:
    """Whether the n-th sound is whole; its length, or its damage, is noted."""
    if isinstance(found, Damaged):
        index["kinds"][n] = 1 + KINDS.index(found.kind)
        return False
    index["lengths"][n] = len(found)
    return True


def _guessed(files: list[str], rate: int, seconds: float) -> float:
    """Bytes that the samples of all files will take."""
    few = files[:: max(1, -(-len(files) // _MEASURED))]
    total = 0.0
    for file in few:
        try:
            declared = measure(file)
        except Damaged:
            continue
        total += min(declared, seconds) if seconds else declared
    return 2 * rate * total / len(few) * len(files)

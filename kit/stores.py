"""What the cells of a column name, files or arrays, gathered once for all rows: which cells are one, which are damaged, read by threads.

Pictures and sounds share it: an album and a collection of recordings differ in how one file is read, and in what it becomes.
"""

import hashlib
import mmap
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.archives import identity
from kit.errors import DataError, KitError, shorten

CALLED = {"image": "picture", "text": "text", "audio": "sound", "points": "event"}  # column kind -> what one of it is called
_TOLD_SECONDS = 60  # between two lines of progress


class Damaged(KitError):
    """A file or an array that cannot be used.

    kind  one word of its medium: "truncated" begins well and does not go on to its end
    """

    def __init__(self, kind: str, name: str = ""):
        """name  "" where a loader worker met it: torch makes it anew there, of the traceback alone"""
        super().__init__(kind, name)
        self.kind, self.name = kind, name

    def __str__(self) -> str:
        return f"{self.name} is damaged: {self.kind}" if self.name else self.kind.strip().rsplit("\n", 1)[-1].removeprefix(f"{__name__}.Damaged: ")


class Store:
    """What n rows of a column have.

    there  (n,) bool: False where it is damaged, or where none is named
    key    of what is held, in the order of the rows, and of how it is read
    """

    kind = ""  # of the column
    words: tuple[str, ...] = ()  # for damage

    def __init__(self, key: str, rows: np.ndarray, kinds: np.ndarray, names: dict[int, str] | list[str]):
        """
        rows   (n,) int64, which of the m items a row has; -1 for none
        kinds  (m,) int8: 0, or 1 + the position of the damage in `words`
        names  by item, at least of the damaged ones
        """
        self.key, self.there = key, (rows >= 0) & (np.append(kinds, 1)[rows] == 0)
        self._rows, self._names = rows, names
        self._kinds = np.frombuffer(mmap.mmap(-1, max(len(kinds), 1)), np.int8, len(kinds))  # what forked loader workers meet is seen here
        self._kinds[:] = kinds

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> np.ndarray:
        raise NotImplementedError

    def release(self) -> None:
        """Gives mapped pages back to the system: what was looked at so far no longer counts as this process's memory."""
        raise NotImplementedError

    @property
    def one(self) -> str:
        return CALLED[self.kind]

    @property
    def damage(self) -> dict[str, list[str]]:
        """kind -> names, relative to their common folder; each once, however many rows have it."""
        return self._damage(np.arange(len(self._kinds)))

    def _damage(self, items: np.ndarray) -> dict[str, list[str]]:
        kinds = self._kinds[items]
        return {word: [self._names[p] for p in items[kinds == n].tolist()] for n, word in enumerate(self.words, start=1) if (kinds == n).any()}

    def described(self) -> str:
        """One sentence on what is damaged; "" if nothing is."""
        return self._described(self.damage, len(self._kinds))

    def _described(self, damage: dict[str, list[str]], named: int) -> str:
        kinds = ", ".join(f"{len(names)} {kind} ({shorten(names, 3)})" for kind, names in damage.items())
        return f"{sum(map(len, damage.values()))} of {named} {self.one}s are damaged: {kinds}" if damage else ""

    def counted(self) -> str:
        """The damage as numbers; "none" if there is none."""
        return ", ".join(f"{len(names)} {kind}" for kind, names in self.damage.items()) or "none"

    def check_share(self, rows: np.ndarray, most: float, what: str) -> None:
        """Raises DataError where more than this share of what the rows name is damaged.

        rows  (k,) positions
        most  0..1
        what  the rows' name in the message
        """
        named = np.unique(self._rows[rows])
        named = named[named >= 0]
        damage = self._damage(named)
        if sum(map(len, damage.values())) > most * len(named):
            raise DataError(
                f"too many {self.one}s of {what} cannot be used: {self._described(damage, len(named))}\n"
                f"expected a share of at most {most:g}\n"
                f"fetch them again and see that they lie where the rows say, or raise encoders.{self.kind}.most_damaged"
            )


@dataclass(frozen=True)
class Block:
    """Some rows of a store.

    rows  (n,) int64 positions in the store
    """

    store: Any
    rows: np.ndarray

    @property
    def kind(self) -> str:
        return self.store.kind

    @property
    def key(self) -> str:
        """Of the store and of the rows."""
        return hashlib.sha256(self.store.key.encode() + np.ascontiguousarray(self.rows, np.int64).tobytes()).hexdigest()[:16]

    @property
    def there(self) -> np.ndarray:
        return self.store.there[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> np.ndarray:
        return self.store[self.rows[position]]

    def take(self, rows: np.ndarray) -> "Block":
        """rows  (m,) positions, or (n,) bool"""
        return type(self)(self.store, self.rows[rows])

    def release(self) -> None:
        self.store.release()


# --- gathering -------------------------------------------------------------------------------------------------------------------


def distinct(cells: Iterable, one: str) -> tuple[np.ndarray, dict[str | bytes, str | np.ndarray], list[str]]:
    """Which item each row has (-1 for none), the items by their path or digest, and their names.

    cells  paths as text, or arrays; missing or "" where a row names nothing, which is no damage
    one    what an item is called in messages
    Raises DataError for cells that are neither.
    """
    rows: list[int] = []
    items: dict[str | bytes, str | np.ndarray] = {}
    places: dict[str | bytes, int] = {}
    names: list[str] = []
    for row, cell in enumerate(cells):
        mark: str | bytes
        if isinstance(cell, np.ndarray):
            mark = hashlib.sha256(f"{cell.shape} {cell.dtype} ".encode() + cell.tobytes()).digest()
        elif isinstance(cell, str | Path):
            mark = cell = str(cell)
        elif cell is None or (pd.api.types.is_scalar(cell) and pd.isna(cell)):
            mark = ""
        else:
            raise DataError(
                f"row {row} has {str(cell)[:60]} ({type(cell).__name__}) for a {one}\nexpected a path as text, or an array: mend the adapter that makes it"
            )
        if mark and mark not in places:
            places[mark] = len(names)
            items[mark] = cell
            names.append(cell if isinstance(cell, str) else f"row {row}")
        rows.append(places[mark] if mark else -1)
    paths = [mark for mark in items if isinstance(mark, str)]
    common = os.path.commonprefix([min(paths), max(paths)]) if paths else ""
    common = common[: common.rfind("/") + 1]
    return np.array(rows, np.int64), items, [name.removeprefix(common) for name in names]


def key_of(told: str, rows: np.ndarray, items: dict[str | bytes, str | np.ndarray], names: list[str]) -> str:
    """Of names (relative to their common folder), sizes and times of change of files, and of the values of arrays.

    told  all that decides how an item is read
    """
    digest = hashlib.sha256(f"{told} ".encode() + rows.tobytes())
    for mark, name in zip(items, names):
        digest.update(mark if isinstance(mark, bytes) else f"{name}\0{identity(mark)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def each(work: Callable, items: Sequence[str | np.ndarray], one: str, threads: int, progress: Callable[[str], None]) -> Iterator:
    """What `work` gives for each item, or its Damaged, in their order; only a few are held at once."""
    began = told = time.monotonic()

    def attempt(item: str | np.ndarray):
        try:
            return work(item)
        except Damaged as error:
            return error

    # the filters of warnings belong to all threads: each puts back what it found, which need not be what was there at first
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        ahead: deque = deque()
        for n, item in enumerate(items):
            ahead.append(pool.submit(attempt, item))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
            if time.monotonic() - told > _TOLD_SECONDS:
                told = time.monotonic()
                progress(f"{one}s {n} of {len(items)}, {told - began:.0f} s")
        while ahead:
            yield ahead.popleft().result()

"""The files of a collision event become arrays: `event000001000-hits.csv` and its like, which all begin with the event's prefix.

A file may be packed as .csv.gz, or lie in a zip archive. Hits are sorted by their number, so that the order in a file decides nothing; what
is true of an event is read when it is asked for, since the events of a competition do not fit into memory.
"""

import gzip
import io
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv

from kit.archives import identity, open_file
from kit.stores import Block, Damaged, Store, distinct, key_of

_FORMAT = 1  # one more whenever equal files would be read as other events

KINDS = ("missing", "empty", "truncated", "not a table", "not finite", "hits twice")  # of damage
HITS = {"hit_id": pa.int64(), "x": pa.float64(), "y": pa.float64(), "z": pa.float64(), "volume_id": pa.int32(), "layer_id": pa.int32(), "module_id": pa.int32()}
CELLS = {"hit_id": pa.int64(), "ch0": pa.int32(), "ch1": pa.int32(), "value": pa.float64()}
TRUTH = {"hit_id": pa.int64(), "particle_id": pa.int64(), "weight": pa.float64()}
MODULE = ("volume_id", "layer_id", "module_id")


@dataclass(frozen=True, eq=False)
class Event:
    """
    hit_id  (n,) int64, rising
    xyz     (n, 3) float64 mm
    module  (n, 3) int32: volume, layer and module of each hit
    prefix  of its files; "" for hits that lie in no file
    """

    hit_id: np.ndarray
    xyz: np.ndarray
    module: np.ndarray
    prefix: str = ""

    def __len__(self) -> int:
        return len(self.hit_id)

    def cells(self) -> np.ndarray:
        """(n, 4) float64: cells that a hit lit up, their summed charge, and how many they span in either direction; zeros where no file tells.

        Raises Damaged.
        """
        found = np.zeros((len(self), 4))
        if not self.prefix or file_of(self.prefix, "cells") is None:
            return found
        read = columns(self.prefix, "cells", CELLS)
        own = np.searchsorted(self.hit_id, read["hit_id"])
        known = self.hit_id[np.minimum(own, len(self) - 1)] == read["hit_id"] if len(self) else np.zeros(len(own), bool)
        own = own[known]
        found[:, 0] = np.bincount(own, minlength=len(self))
        found[:, 1] = np.bincount(own, read["value"][known], minlength=len(self))
        for place, name in ((2, "ch0"), (3, "ch1")):
            values = read[name][known]
            least, most = np.full(len(self), np.iinfo(np.int32).max), np.full(len(self), -1)
            np.minimum.at(least, own, values)
            np.maximum.at(most, own, values)
            found[:, place] = np.where(most >= least, most - least + 1, 0)
        return found


@dataclass(frozen=True, eq=False)
class Tracks:
    """What is true of an event's hits.

    hit_id    (n,) int64, rising
    particle  (n,) int64, 0 for noise
    weight    (n,) float64, what a hit counts
    """

    hit_id: np.ndarray
    particle: np.ndarray
    weight: np.ndarray

    def read(self) -> "Tracks":
        return self


@dataclass(frozen=True, eq=False)
class TracksFile:
    """What is true of an event, in its file until it is read."""

    prefix: str

    def read(self) -> Tracks:
        """Raises Damaged."""
        found = columns(self.prefix, "truth", TRUTH)
        return Tracks(found["hit_id"], found["particle_id"], found["weight"])


class Events(Store):
    """The events of n rows, read from their files at each access."""

    kind, words = "points", KINDS

    def __init__(self, key: str, rows: np.ndarray, kinds: np.ndarray, names: list[str], prefixes: list[str]):
        """prefixes  (m,) of the files of each event"""
        super().__init__(key, rows, kinds, names)
        self._prefixes = prefixes

    def __getitem__(self, position: int) -> Event:
        """Without hits where there is no event, or where its file turns out to be damaged, which is then counted."""
        item = int(self._rows[position])
        if self.there[position]:
            try:
                return read_event(self._prefixes[item])
            except Damaged as error:
                self._kinds[item] = 1 + KINDS.index(error.kind)
                self.there[self._rows == item] = False
        return Event(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.int32))

    def release(self) -> None:
        """Nothing is mapped."""


@dataclass(frozen=True)
class Points(Block):
    """Some rows of a store of events: an Event by position."""


def gather(prefixes: np.ndarray, *, progress: Callable[[str], None]) -> Events:
    """The events of a column: of each is known whether it has a file of hits, and no more.

    prefixes  (n,) text; missing or "" where a row names no event, which is no damage
    """
    began = time.monotonic()
    rows, events, names = distinct(prefixes, "event")
    files = {file_of(str(prefix), "hits") or f"{prefix}-hits.csv": str(prefix) for prefix in events}
    kinds = np.array([0 if identity(path) != "missing" else 1 + KINDS.index("missing") for path in files], np.int8)
    found = Events(key_of(f"points {_FORMAT}", rows, files, names), rows, kinds, names, list(files.values()))
    progress(f"events {len(names)}: read whenever they are looked at, {time.monotonic() - began:.1f} s; damaged: {found.counted()}")
    return found


# --- files -----------------------------------------------------------------------------------------------------------------------


def read_event(prefix: str) -> Event:
    """Raises Damaged."""
    found = columns(prefix, "hits", HITS)
    return Event(found["hit_id"], np.column_stack([found[c] for c in "xyz"]), np.column_stack([found[c] for c in MODULE]), prefix)


def file_of(prefix: str, part: str) -> str | None:
    """The path of the part that is called hits, cells, truth or particles; None where there is none."""
    return next((path for path in (f"{prefix}-{part}.csv", f"{prefix}-{part}.csv.gz") if identity(path) != "missing"), None)


def columns(prefix: str, part: str, types: dict[str, pa.DataType]) -> dict[str, np.ndarray]:
    """The columns of a part of an event, in the order of hit_id. Raises Damaged."""
    path = file_of(prefix, part)
    if path is None:
        raise Damaged("missing", f"{prefix}-{part}.csv")
    table = read_columns(path, types)
    found = {name: table[name].to_numpy() for name in types}
    if any(column.null_count for column in table.columns):
        raise Damaged("truncated", path)
    if any(column.dtype.kind == "f" and not np.isfinite(column).all() for column in found.values()):
        raise Damaged("not finite", path)
    if not (np.diff(found["hit_id"]) > 0).all():
        order = np.argsort(found["hit_id"], kind="stable")
        found = {name: column[order] for name, column in found.items()}
        if part != "cells" and (np.diff(found["hit_id"]) == 0).any():
            raise Damaged("hits twice", path)
    return found


def read_columns(path: str, types: dict[str, pa.DataType]) -> pa.Table:
    """These columns of a CSV file that may be packed. Raises Damaged."""
    try:
        with open_file(path) as stream:
            data = stream.read()
        if path.endswith(".gz"):
            data = gzip.decompress(data)
    except FileNotFoundError as error:
        raise Damaged("missing", path) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged("truncated", path) from error
    if not data.strip():
        raise Damaged("empty", path)
    header = data[: data.find(b"\n") % (len(data) + 1)].decode("utf-8-sig", errors="replace").strip().split(",")
    if not set(types) <= set(header):
        raise Damaged("not a table", path)
    convert = pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""])
    reading = pyarrow.csv.ReadOptions(use_threads=False, block_size=max(len(data) + 1, 1 << 16))
    try:
        return pyarrow.csv.read_csv(io.BytesIO(data), convert_options=convert, read_options=reading)
    except pa.ArrowInvalid as error:
        raise Damaged("truncated" if "Expected" in str(error) else "not a table", path) from error

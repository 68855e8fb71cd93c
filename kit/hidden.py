"""Test files as a host may swap them in behind a notebook: more rows or fewer, shuffled, never seen words, damaged, a single row.

They are made from the run's own test files. What is not a test file is linked, not copied, and nothing is written into the data folder.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters._places import is_table, stem
from kit.adapters.tabular import Tabular
from kit.errors import RunError
from kit.reading import locate, read, separator_of
from kit.tables import JOINT, MEDIA, Column

SAME, ONE, MORE, FEWER, SHUFFLED, UNSEEN, DAMAGED = "as they are", "a single row", "more rows", "fewer rows", "shuffled", "unseen words", "damaged"
CASES = (ONE, SAME, MORE, FEWER, SHUFFLED, UNSEEN, DAMAGED)  # the order in which they are rehearsed: the quickest first
MANY = 2_000  # rows: of larger test files the other variations hold so many, or so many more
_BROKEN = "?"  # what stands where a number should


class CannotBeMade(RunError):
    """Why these test files have no such variation: said, and no failure."""


@dataclass(frozen=True)
class Variation:
    """
    origin   (n,) positions of the test rows that the rows are made from
    ids      (n,) their ids
    cells    column -> position here -> another value
    damaged  position here -> what its picture or sound holds then: a part of its bytes, 0..1
    in_file  (n,) positions here, in the order of the sample submission
    """

    origin: list[int]
    ids: list[str]
    cells: dict[str, dict[int, str]] = field(default_factory=dict)
    damaged: dict[int, float] = field(default_factory=dict)
    in_file: list[int] | None = None


class Hidden:
    """The test rows of an adapter, and folders of data with others in their place."""

    def __init__(self, adapter: Tabular, schema: dict[str, Column]):
        """
        schema  of the run: which columns are words, which are numbers
        """
        self.adapter, self.schema, self.data = adapter, schema, adapter.data
        self.random = np.random.default_rng(0)
        self.table: pd.DataFrame | None = None
        self.lines: list[str] = []
        self.frozen = self._why_frozen()
        if self.frozen:
            return
        name = adapter.test_file
        if is_table(name):
            self.table = self._read(name)
        elif name.endswith(".txt"):
            self.lines = [line for line in (self.data / name).read_text(encoding="utf-8").splitlines() if line.split()]
        self.sample = self._read(adapter.sample_file) if adapter.sample_file else None
        self.ids = self._ids()
        paths = adapter.read_test()[adapter.media] if adapter.places.pattern else pd.Series(dtype="str")
        self.paths: dict[str, str] = {id: path for id, path in paths.items() if isinstance(path, str)}

    def _why_frozen(self) -> str:
        adapter, name = self.adapter, self.adapter.test_file
        if is_table(name) or (adapter.places.pattern and not name.endswith((".txt", ".json"))):
            return ""
        if name.endswith(".txt") and adapter.places.pattern and not getattr(adapter, "clips", False):
            return ""
        return f"adapter {type(adapter).__name__.lower()}: its test rows are no table, list or folder that another could be made of"

    def _read(self, name: str) -> pd.DataFrame:
        """Every cell as the file has it: text, but for parquet."""
        path = locate(self.data / name)
        return pd.read_parquet(path) if path.suffix == ".parquet" else read(self.data / name, text=None, **self.adapter.form)

    def _ids(self) -> list[str]:
        if self.table is not None and not self._by_position:
            return list(map(JOINT.join, zip(*(self.table[c].astype("str") for c in self.adapter.id))))
        if self.lines:
            return [line.split()[0] for line in self.lines]
        sample = self.adapter.sample()
        if sample is not None:
            return list(sample.index)
        return [str(n + 1) for n in range(len(self.table))] if self.table is not None else list(self.adapter._ids_in_file_order())

    @property
    def _by_position(self) -> bool:
        """Whether the n-th test row has the n-th id of the sample."""
        return self.table is not None and not (self.adapter.id and all(c in self.table for c in self.adapter.id))

    # --- variations --------------------------------------------------------------------------------------------------------------

    def compares(self, case: str) -> bool:
        """Whether the run's own predictions are those of this case too."""
        return case == SAME or (case == SHUFFLED and not self._by_position and len(self.ids) <= MANY)

    def write(self, case: str, folder: Path) -> list[str] | None:
        """The data in `folder`, which is made; gives the ids of the test rows, None for those of the run. Raises CannotBeMade where there is no such variation."""
        if case == SAME:
            _linked(self.data, folder, set(), set())
            return None
        if self.frozen:
            raise CannotBeMade(self.frozen)
        variation = getattr(self, f"_{case.replace(' ', '_')}")()
        self._write(variation, folder)
        return variation.ids

    def _some(self, count: int) -> list[int]:
        return self.random.permutation(len(self.ids))[: max(count, 1)].tolist()

    def _made(self, origin: list[int], **more: Any) -> Variation:
        if self._by_position and self.sample is None:
            return Variation(origin, [str(n + 1) for n in range(len(origin))], **more)
        return Variation(origin, [self.ids[n] for n in origin], **more)

    def _a_single_row(self) -> Variation:
        return self._made(self._some(1))

    def _fewer_rows(self) -> Variation:
        if len(self.ids) < 2:
            raise CannotBeMade("there is one test row")
        return self._made(sorted(self._some(min(len(self.ids) // 2, MANY))))

    def _more_rows(self) -> Variation:
        light = not any(c.kind in MEDIA for c in self.schema.values())
        again = self.random.integers(len(self.ids), size=MANY).tolist() if light else self._some(MANY)  # the more rows, the better the time is known
        made, taken = self._made([*range(len(self.ids)), *again]), set(self.ids)
        new = [_another(self.ids[n], taken) for n in again]
        return made if self._by_position and self.sample is None else Variation(made.origin, [*self.ids, *new])

    def _shuffled(self) -> Variation:
        made = self._made(self._some(MANY))
        return made if self._by_position else Variation(made.origin, made.ids, in_file=self.random.permutation(len(made.ids)).tolist())

    def _unseen_words(self) -> Variation:
        """Every third row has words that no training row has, in each column of categories or texts."""
        named = {*self.adapter.id, *self.adapter.places.words}
        columns = [n for n, c in self.schema.items() if c.kind in ("category", "text") and self._is_open(n) and n not in named]
        if not columns:
            raise CannotBeMade("the test table has no column of categories or texts")
        made = self._made(self._some(MANY))
        some = range(0, len(made.ids), 3)
        return self._made(made.origin, cells={c: {n: _unseen(self.table[c], n) for n in some} for c in columns})

    def _is_open(self, name: str) -> bool:
        """Whether the column is the test file's own, and holds text as far as the file says."""
        return self.table is not None and name in self.table and pd.api.types.is_string_dtype(self.table[name])

    def _damaged(self) -> Variation:
        """One file broken off in the middle and one without a byte; in tables a word in each column of numbers or dates, and a row of blanks."""
        made = self._made(self._some(MANY))
        count = len(made.ids)
        if any(c.kind in MEDIA for c in self.schema.values()):
            return self._made(made.origin, damaged={0: 0.5, **({1: 0.0} if count > 2 else {})})
        columns = [n for n, c in self.schema.items() if c.kind in ("numeric", "date") and self._is_open(n) and n not in self.adapter.id]
        if not columns:
            raise CannotBeMade("the test table has no column of numbers or dates in the file's own text")
        cells = {c: {n % count: _BROKEN} for n, c in enumerate(columns)}
        blank = {c: {count - 1: ""} for c in self.schema if self._is_open(c) and c not in self.adapter.id} if count > len(columns) else {}
        return self._made(made.origin, cells={c: {**blank.get(c, {}), **cells.get(c, {})} for c in {**blank, **cells}})

    # --- writing -----------------------------------------------------------------------------------------------------------------

    def _write(self, variation: Variation, folder: Path) -> None:
        adapter, gone, new = self.adapter, set(), {}
        if self.table is not None or self.lines:
            gone.add(self._relative(locate(self.data / adapter.test_file)))
        if self.sample is not None:
            gone.add(self._relative(locate(self.data / adapter.sample_file)))
        kept = {self.ids[n] for n in variation.origin}
        if self.table is None and not self.lines and self.adapter.sample() is None:  # a file more in the folder is a row more
            gone |= {self._relative(path) for id, path in self.paths.items() if id not in kept}
        for n, (id, origin) in enumerate(zip(variation.ids, variation.origin)):
            for path in self._files(origin) if id != self.ids[origin] or n in variation.damaged else ():
                place = self._place(path, self.ids[origin], id)
                if Path(path).is_file() and (n in variation.damaged or not (self.data / place).exists()):
                    new[place] = (Path(path), variation.damaged.get(n))
        packed = [place for place in (*gone, *new) if any(part.lower().endswith(".zip") for part in Path(place).parts[:-1])]
        if packed:
            raise CannotBeMade(f"{packed[0]} lies in an archive, which is not written anew")
        if variation.damaged and not new:
            raise CannotBeMade("no test row names a file")
        made = {name for name, there in ((adapter.test_file, self.table is not None or self.lines), (adapter.sample_file, self.sample is not None)) if there}
        _linked(self.data, folder, gone | set(new), {*new, *made})
        for place, (source, share) in new.items():
            if share is None:
                (folder / place).symlink_to(source.resolve())
            else:
                content = source.read_bytes()
                (folder / place).write_bytes(content[: int(len(content) * share)])
        if self.table is not None:
            self._put(folder, adapter.test_file, self._varied(variation))
        elif self.lines:
            (folder / adapter.test_file).write_text("".join(f"{' '.join([id, *self.lines[n].split()[1:]])}\n" for id, n in zip(variation.ids, variation.origin)), encoding="utf-8")
        if self.sample is not None:
            self._put(folder, adapter.sample_file, self._sampled(variation))

    def _relative(self, path: str | Path) -> str:
        return os.path.relpath(path, self.data)

    def _files(self, position: int) -> Iterable[str]:
        """The pictures and sounds of a test row."""
        if self.ids[position] in self.paths:
            yield self.paths[self.ids[position]]
        for name, column in self.schema.items():
            if column.kind in MEDIA and self.table is not None and name in self.table:
                yield f"{self.data}/{self.table[name].iloc[position]}"

    def _place(self, path: str, old: str, id: str) -> str:
        """Where the file lies, relative to the data, once its row has another id."""
        place, word = self._relative(path), stem(old.replace(JOINT, "/"))
        head, found, tail = place.rpartition(word)
        return f"{head}{stem(id.replace(JOINT, '/'))}{tail}" if found else place

    def _varied(self, variation: Variation) -> pd.DataFrame:
        rows = self.table.iloc[variation.origin].reset_index(drop=True)
        if not self._by_position:
            rows = _with_ids(rows, self.adapter.id, variation.ids)
        for name, values in variation.cells.items():
            rows.loc[list(values), name] = list(values.values())
        return rows

    def _sampled(self, variation: Variation) -> pd.DataFrame:
        """The sample's rows of these rows' origins, under their ids: of some layouts none or several a row."""
        columns = self.adapter.id if self.adapter.id and all(c in self.sample for c in self.adapter.id) else list(self.sample.columns[: max(len(self.adapter.id), 1)])
        held: dict[str, list[int]] = {}
        for n, id in enumerate(map(JOINT.join, zip(*(self.sample[c].astype("str") for c in columns)))):
            held.setdefault(id, []).append(n)
        order = variation.in_file or range(len(variation.ids))
        rows = [(n, variation.ids[k]) for k in order for n in held.get(self.ids[variation.origin[k]], [])]
        return _with_ids(self.sample.iloc[[n for n, _ in rows]].reset_index(drop=True), columns, [id for _, id in rows])

    def _put(self, folder: Path, name: str, frame: pd.DataFrame) -> None:
        if name.endswith(".parquet"):
            frame.to_parquet(folder / name, index=False)
            return
        form = self.adapter.form
        frame.to_csv(folder / name, index=False, sep=separator_of(self.data / name, **form), encoding=form["encoding"] or "utf-8", lineterminator="\n")


def _with_ids(rows: pd.DataFrame, columns: list[str], ids: list[str]) -> pd.DataFrame:
    parts = zip(*(id.split(JOINT) for id in ids)) if ids else [[] for _ in columns]
    return rows.assign(**{c: pd.Series(list(part), dtype="str").astype(rows[c].dtype) for c, part in zip(columns, parts)})


def _another(id: str, taken: set[str]) -> str:
    """An id like this one that no row has, which is then taken: digits stay digits, and the ending of a file's name stays."""
    first, *parts = id.split(JOINT)
    body = stem(first)
    made, tail = body, first[len(body) :]
    while (new := JOINT.join([made + tail, *parts])) in taken:
        made += "0"
    taken.add(new)
    return new


def _unseen(values: pd.Series, n: int) -> str:
    """A word that the column does not hold; a whole number where it holds such alone."""
    held = values[values.notna() & (values != "")]
    if len(held) and held.str.fullmatch(r"\d{1,15}").all():
        return str(held.astype("int64").max() + 1 + n)
    return f"never seen {n}"


def _linked(source: Path, target: Path, gone: set[str], made: set[str]) -> None:
    """The tree of `source` under `target` in links, without the files of `gone`; folders that hold a file of `gone` or `made` are folders of their own."""
    own = {parent.as_posix() for name in {*gone, *made} for parent in Path(name).parents}

    def link(inside: str) -> None:
        (target / inside).mkdir(parents=True, exist_ok=True)
        with os.scandir(source / inside) as entries:
            for entry in entries:
                name = f"{inside}/{entry.name}" if inside != "." else entry.name
                if name in own and entry.is_dir():
                    link(name)
                elif name not in gone:
                    (target / name).symlink_to(os.path.realpath(entry.path))

    link(".")
    for folder in own:
        (target / folder).mkdir(parents=True, exist_ok=True)

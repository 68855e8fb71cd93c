"""Where pictures and sounds lie: names that a pattern gives are looked up among the files that a folder, or a zip, really holds.

A folder is walked once by os.scandir: to ask the system for each of 200,000 names would take longer, and their endings would have to
be known.
"""

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from kit.archives import identity
from kit.errors import DataError, bullets, did_you_mean, shorten
from kit.stores import CALLED
from kit.tables import JOINT, MEDIA


def is_medium(name: str, kind: str) -> bool:
    """Whether a name has an ending of this kind's."""
    return name.lower().endswith(MEDIA[kind])


def is_table(name: str) -> bool:
    return bool({".csv", ".tsv", ".parquet"} & {s.lower() for s in PurePosixPath(name).suffixes})


def stem(name: str) -> str:
    """Without the ending, where it is that of a picture or a sound."""
    return name[: name.rfind(".")] if any(is_medium(name, kind) for kind in MEDIA) else name


def last(name: str) -> str:
    return name[name.rfind("/") + 1 :]


# --- folders ---------------------------------------------------------------------------------------------------------------------


class Folder:
    """The files below a folder, by their names relative to it, sorted. Hidden ones are left out."""

    def __init__(self, data: Path, inside: str, kind: str = "image"):
        """
        inside  of data: a folder, or a folder within a zip
        kind    of its media: image or audio
        """
        self.kind, self.one = kind, CALLED[kind]
        self.top, self._looks_below = data / inside, inside != ""  # below data itself lie the pictures of all parts
        zipped = _zip_of(data, inside)
        self.is_there = zipped is not None or self.top.is_dir()
        found = _zipped(zipped, self.top.relative_to(zipped).as_posix()) if zipped else _walked(self.top) if self.is_there else ()
        self.names = sorted(found)
        odd = [name for name in self.names if not _is_text(name)]
        if odd:
            raise DataError(f"{self.top} holds {len(odd)} files whose names are not UTF-8: {shorten(map(repr, odd))}\nrename them")

    @cached_property
    def media(self) -> list[str]:
        """The pictures, or the sounds, of the kind."""
        return [name for name in self.names if is_medium(name, self.kind)]

    def find(self, wanted: Iterable[str]) -> list[str | None]:
        """For each name the file's: itself, else that of another ending, else the one so called in a folder below; None where there is none.

        Raises DataError where several fit.
        """
        found, several = [], {}
        for name in wanted:
            fits = [name] if name in self._all else self._alike(name)
            found.append(fits[0] if fits else None)
            if len(fits) > 1:
                several[name] = fits
        if several:
            examples = shorten((f"{name} is {' or '.join(fits[:3])}" for name, fits in several.items()), 3)
            raise DataError(f"{len(several)} names fit several {self.one}s in {self.top}: {examples}\nwrite folder and ending in input.{self.one}s, or remove the copies")
        return found

    @cached_property
    def _all(self) -> set[str]:
        return set(self.names)

    def _alike(self, name: str) -> list[str]:
        bare = stem(name)
        if bare in self._all:  # an ending too many
            return [bare]
        fits = self._by(stem).get(bare) or self._by(stem).get(stem(bare)) or self._by(_lower).get(_lower(bare), [])
        return fits or (self._by(_last_stem).get(bare, []) if self._looks_below else [])

    def _by(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        if key not in self._indexes:
            index = self._indexes[key] = defaultdict(list)
            for name in self.media:
                index[key(name)].append(name)
        return self._indexes[key]

    @cached_property
    def _indexes(self) -> dict[Callable[[str], str], dict[str, list[str]]]:
        return {}


def _lower(name: str) -> str:
    return stem(name).lower()


def _last_stem(name: str) -> str:
    return stem(last(name))


def _is_text(name: str) -> bool:
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


def _walked(top: Path) -> Iterator[str]:
    waiting, seen = [""], {os.path.realpath(top)}
    while waiting:
        inside = waiting.pop()
        with os.scandir(top / inside) as entries:
            for entry in entries:
                if _is_hidden(entry.name):
                    continue
                if not entry.is_dir():
                    yield inside + entry.name
                elif not entry.is_symlink() or _is_new(os.path.realpath(entry.path), seen):  # links may lead in a circle
                    waiting.append(f"{inside}{entry.name}/")


def _is_new(real: str, seen: set[str]) -> bool:
    new = real not in seen
    seen.add(real)
    return new


def _zipped(path: Path, inside: str) -> Iterator[str]:
    front = "" if inside == "." else f"{inside}/"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}\nis it whole? fetch it again") from error
    for name in names:
        if name.startswith(front) and not name.endswith("/") and not any(map(_is_hidden, name.split("/"))):
            yield name[len(front) :]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _zip_of(data: Path, inside: str) -> Path | None:
    """The part of the path that is a zip file."""
    if ".zip" not in inside.lower():
        return None
    parts = PurePosixPath(inside).parts
    steps = (data.joinpath(*parts[: n + 1]) for n in range(len(parts)))
    return next((step for step in steps if step.suffix.lower() == ".zip" and step.is_file()), None)


# --- patterns --------------------------------------------------------------------------------------------------------------------


class Places:
    """A pattern such as "{part}/{id}.jpg": part is the word for train, test or validation, id the row's, another word a column."""

    def __init__(self, data: Path, pattern: str, kind: str = "image"):
        self.data, self.pattern, self.kind, self.one = data, pattern, kind, CALLED[kind]
        self.pieces = re.split(r"\{([^{}]*)\}", pattern)  # text and words in turn
        self.words = [w for w in self.pieces[1::2] if w != "part"]
        self._folders: dict[str, Folder] = {}

    def problems(self, known: Iterable[str]) -> list[str]:
        """What is wrong with the pattern, where rows have these columns."""
        known = {"id", *known}
        told = f'input.{self.one}s = "{self.pattern}"'
        found = [f"{told}: no column {{{w}}}{did_you_mean(w, known)}" for w in self.words if w not in known]
        found += [f"{told} names one {self.one} for all rows: it needs {{id}}, or a column's name in braces"] if not self.words else []
        return found + ([f"{told} leads out of the data folder"] if _leads_out(self.pattern) else [])

    def folder(self, part: str) -> Folder:
        """What the pattern names before the first word that differs from row to row, walked once."""
        inside = self._text(part)[0].rpartition("/")[0]
        if inside not in self._folders:
            self._folders[inside] = Folder(self.data, inside, self.kind)
        return self._folders[inside]

    def _text(self, part: str) -> list[str]:
        """The pieces with the part filled in: text and words in turn."""
        filled = [self.pieces[0]]
        for word, text in zip(self.pieces[1::2], self.pieces[2::2]):
            if word == "part":
                filled[-1] += part + text
            else:
                filled += [word, text]
        return filled

    def name(self, part: str, cells: dict[str, str]) -> str:
        """Where the file of a row lies, as the pattern has it; words without a cell stand for themselves."""
        first, *rest = self._text(part)
        return first + "".join(cells.get(word, word) + text for word, text in zip(rest[::2], rest[1::2]))

    def names_ids(self, part: str) -> bool:
        """Whether a file's own name is its row's id."""
        return "{part}" in self.pattern and self.words == ["id"] and last(self._text(part)[0]) == "" and "/" not in self._text(part)[2]

    def of(self, part: str, rows: pd.DataFrame, id: list[str], *, look: bool = True) -> pd.Series:
        """A full path for each row, missing where a cell that the pattern names is.

        rows  index id
        look  for the ending, and for a file of that name in a folder below
        """
        if problems := self.problems([*rows, *id]):
            raise DataError(bullets(problems))
        first, *rest = self._text(part)
        inside, _, first = first.rpartition("/")
        names = [first] * len(rows)
        missing = np.zeros(len(rows), dtype=bool)
        for word, text in zip(rest[::2], rest[1::2]):
            cells = self._cells(word, rows, id)
            blank = (cells.isna() | (cells == "")).to_numpy(dtype=bool)
            missing |= blank
            names = [f"{name}{cell}{text}" for name, cell in zip(names, cells.mask(blank, ""))]
        wrong = [name for name in names if _leads_out(name)]
        if wrong:
            raise DataError(f"{len(wrong)} rows name a {self.one} out of the data folder: {shorten(wrong, 3)}\nwrite where it lies in the folder")
        found = self.folder(part).find(names) if look else [None] * len(names)
        top = os.fspath(self.data / inside)
        paths = [f"{top}/{there or name}" for there, name in zip(found, names)]
        return pd.Series(paths, index=rows.index, dtype="str").mask(missing)

    def _cells(self, word: str, rows: pd.DataFrame, id: list[str]) -> pd.Series:
        if word in rows:
            return rows[word].astype("str")
        ids = rows.index.to_series()
        return ids.str.split(JOINT).str[id.index(word)] if word in id and len(id) > 1 else ids.str.replace(JOINT, "/", regex=False)


def _leads_out(name: str) -> bool:
    return name.startswith("/") or "\0" in name or (".." in name and ".." in name.split("/"))


def located(data: Path, cells: pd.Series, kind: str = "image") -> pd.Series:
    """Full paths of names relative to data. Raises DataError where one leads out of it."""
    named = cells.dropna()
    wrong = [name for name in named if _leads_out(name)]
    if wrong:
        raise DataError(f"column {cells.name!r} names {len(wrong)} {CALLED[kind]}s out of the data folder: {shorten(wrong, 3)}\nwrite where they lie in the folder")
    return (f"{os.fspath(data)}/" + named).reindex(cells.index)


def any_there(data: Path, names: Iterable[str]) -> bool:
    """Whether one of these is a file below data, or in a zip there; full paths will do too."""
    below = (name.removeprefix(f"{data}/") for name in names)
    return any(not _leads_out(name) and identity(f"{data}/{name}") != "missing" for name in below)


def described(data: Path) -> str:
    """What a folder holds, for a message: where files may be instead."""
    there = sorted(f"{p.name}/" if p.is_dir() else p.name for p in data.iterdir())[:8] if data.is_dir() else []
    packed = [name for name in there if name.endswith(".zip")]
    hint = f"; unzip {packed[0]}, or name it as a folder, such as {packed[0]}/{{id}}" if packed else ""
    return f"{data} holds {shorten(there, 8) or 'nothing'}{hint}"

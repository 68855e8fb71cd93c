"""Finds the train, test and sample files of a folder by their columns, and by their names only where these leave it open.

Train has what test lacks, and the sample repeats the test ids beside the answers. Headers alone are read: the files may be large.
What is inferred from them further on is an Inferred: sections of a config, with a Finding for each claim.
"""

import csv
import gzip
import io
import itertools
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from kit.adapters._places import Folder
from kit.config import Config
from kit.errors import KitError, did_you_mean, shorten
from kit.reading import locate, read
from kit.stores import CALLED
from kit.tables import JOINT

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".zip", ".parquet")
MOST_FILES = 100  # tables whose header is read: a folder with a file a row should not take minutes
LOOKED_AT = 200  # rows whose pictures are looked for
ENOUGH = 0.5  # share of them that must be there: of urls many are dead
HINTS = {"train": ("train",), "test": ("test",), "sample": ("sample", "submission", "submit")}


def one_line(text: str) -> str:
    """Column names and values are the world's: no line end or escape sequence of theirs reaches a terminal or a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(frozen=True)
class Table:
    name: str
    columns: list[str]
    size: int


@dataclass(frozen=True)
class Finding:
    """One inference with its evidence; `key` is where it stands in config.toml."""

    topic: str
    claim: str
    evidence: str
    key: str = ""
    guess: bool = False

    def __str__(self) -> str:
        text = f"{self.topic:<8} {self.claim}{' (guess)' if self.guess else ''}{': ' * bool(self.evidence)}{self.evidence}"
        return one_line(text)


@dataclass
class Inferred:
    """Sections of a config, the evidence for them, and the two frames as they were read.

    pixels  columns that are one picture together
    """

    train: pd.DataFrame
    test: pd.DataFrame
    pixels: list[str] = field(default_factory=list)
    id: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    encoders: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=lambda: {"name": "lightgbm"})
    training: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def features(self) -> list[str]:
        """Columns of both files that are neither id nor target, nor pixels, nor dropped."""
        no = {*self.id, *self.targets, *self.pixels, *self.input.get("drop", [])}
        return [c for c in self.train if c in self.test and c not in no]


def joined(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    parts = [frame[c].astype("str").to_numpy(dtype=object) for c in columns]
    return parts[0] if len(parts) == 1 else np.array([JOINT.join(map(str, row)) for row in zip(*parts)], dtype=object)


def tables(data: Path, form: dict[str, str]) -> tuple[list[Table], dict[str, str]]:
    """The tables of a folder by their headers, and name -> why for the files that are none."""
    if not data.is_dir():
        raise KitError(f"--from {data}: no such folder" if not data.exists() else f"--from {data} is a file: name the folder that it is in")
    found, ignored = [], {}
    files = [p for p in data.iterdir() if p.is_file() and not p.name.startswith(".")]
    for path in sorted(files, key=lambda p: (not any(hint(role, p.name) for role in HINTS), p.name)):
        plain = path.name.removesuffix(".gz").removesuffix(".zip")
        if not path.name.lower().endswith(ENDINGS):
            ignored[path.name] = "" if len(ignored) < MOST_FILES else "no table"
        elif plain != path.name and any((data / n).is_file() for n in (plain, f"{plain}.csv")):
            ignored[path.name] = "a packed copy"
        elif len(found) == MOST_FILES:
            ignored[path.name] = "one table too many"
        else:
            try:
                found.append(Table(path.name, _columns(path, **form), path.stat().st_size))
            except (KitError, OSError, zipfile.BadZipFile, csv.Error, pa.ArrowInvalid, LookupError, EOFError) as error:
                ignored[path.name] = str(error).split("\n")[0]
    return found, ignored


def _columns(path: Path, separator: str = "", encoding: str = "") -> list[str]:
    """The header, read without the rows. Raises KitError for a file that holds no table."""
    if path.suffix == ".parquet":
        return pa.parquet.read_schema(path).names
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [n for n in archive.namelist() if n.lower().endswith((".csv", ".tsv")) and not n.startswith("__MACOSX")]
            if len(inside) != 1:
                raise KitError(f"holds {len(inside)} CSV files: unzip it" if inside else "holds no CSV file")
            with archive.open(inside[0]) as file:
                head = file.read(1 << 20)
    else:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(1 << 20)
    mark = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = head.decode(encoding or mark, errors="replace")
    if not text.strip():
        raise KitError("empty")
    line = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    header = next(csv.reader(io.StringIO(text), delimiter=separator or max(",;\t|", key=line.count)))
    if len(set(header)) < len(header):
        raise KitError("names a column twice")
    return header


def hint(role: str, name: str) -> int:
    """How much a file's name sounds like the role."""
    stem = name.lower().split(".")[0]
    return 2 if stem in HINTS[role] else int(any(word in stem for word in HINTS[role]))


def fits(sample: Table, train: Table, test: Table, told: list[str]) -> int:
    """How well a sample suits: 3 for test ids beside columns that train alone has, 2 if ids have another name, 1 if answers have."""
    keys = [c for c in sample.columns if c in test.columns and c not in told]
    answers = [c for c in sample.columns if c not in keys]
    only_train = {*told} | (set(train.columns) - set(test.columns))
    if not answers or len(keys) >= max(len(test.columns), 2) or len(keys) > 3:
        return 0
    if keys:
        return 3 if set(answers) <= only_train else int(not set(answers) & set(train.columns))
    spelled = {c.lower() for c in only_train}  # Label beside label
    return 2 if len(answers) > 1 and {a.lower() for a in answers[1:]} <= spelled else 0


def roles(
    known: list[Table], ignored: dict[str, str], given: Config, told: list[str], data: Path, form: dict[str, str]
) -> tuple[Table, Table, Table | None]:
    """(train, test, sample or None)."""
    fixed = {}
    for role, key in (("train", "train"), ("test", "test"), ("sample", "sample_submission")):
        if given.input.get(key):
            name = given.input[key]
            path = locate(data / name)
            fixed[role] = next((t for t in known if data / t.name == path), None) or Table(
                name, _columns(path, **form), path.stat().st_size
            )
    rest = [t for t in known if t not in fixed.values()]
    ranked = []
    for train, test in itertools.product([fixed["train"]] if "train" in fixed else rest, [fixed["test"]] if "test" in fixed else rest):
        shared, only_train = set(train.columns) & set(test.columns), set(train.columns) - set(test.columns)
        foreign = set(test.columns) - set(train.columns)
        if train is test or not shared or len(foreign) > len(shared) or not (set(told) <= set(train.columns) and (only_train or told)):
            continue
        for sample in [fixed["sample"]] if "sample" in fixed else [*(t for t in rest if t not in (train, test)), None]:
            fit = fits(sample, train, test, told) if sample else 0
            if sample and not fit and "sample" not in fixed:
                continue
            hints = hint("train", train.name) + hint("test", test.name) + (hint("sample", sample.name) if sample else 0)
            by_columns = (fit > 0, len(shared) - len(foreign), fit)
            ranked.append((by_columns, hints, train, test, sample))
    if not ranked:
        raise KitError(_no_roles(known, ignored, told, data))
    ranked.sort(key=lambda r: (r[0], r[1], r[2].size), reverse=True)
    best = ranked[0]
    alike = [r for r in ranked if r[:2] == best[:2]]
    for role, place in (("train", 2), ("test", 3)):
        candidates = sorted({r[place].name for r in alike})
        if len(candidates) > 1 and not (len(alike) == 2 and alike[0][2] is alike[1][3]):  # the same two turned round: the larger is train
            raise KitError(
                f"{len(candidates)} files in {data} could be {role}: {shorten(candidates)}\nname one, such as input.{role}={candidates[0]}"
            )
    return best[2], best[3], best[4]


def _no_roles(known: list[Table], ignored: dict[str, str], told: list[str], data: Path) -> str:
    seen = [f"{t.name}: {shorten(t.columns, 6)}" for t in known] or ["no table was found"]
    seen += [f"{name}: left out, {why}" for name, why in ignored.items() if why]
    lacking = [t for t in told if not any(t in table.columns for table in known)]
    if lacking:
        columns = {c for table in known for c in table.columns}
        return f'no file in {data} has the target column "{lacking[0]}"{did_you_mean(lacking[0], columns)}'
    what = "there is no test file" if len(known) == 1 else "no two files are train and test of one table"
    return "\n".join([
        f"{what} in {data}", *map(one_line, seen),
        "expected training rows with a column that the test rows lack; name the files with input.train=FILE input.test=FILE,",
        "and the answer with output.target=NAME output.task=TASK if the test file has that column too",
    ])  # fmt: skip


# --- beside tables: folders of pictures ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Looked:
    """The folder, its tables by their headers, and what the command line settles.

    kind  of the media that are looked for: image or audio
    """

    data: Path
    given: Config
    known: list[Table]
    ignored: dict[str, str]
    form: dict[str, str]
    kind: str = "image"
    used: set[str] = field(default_factory=set)  # folders that the config leads to

    @property
    def one(self) -> str:
        return CALLED[self.kind]

    def cells(self, table: Table | None) -> pd.DataFrame | None:
        """All as text."""
        return None if table is None else read(self.data / table.name, text=None, **self.form)

    def folders(self) -> dict[str, Folder]:
        """Those with such media in them, each walked once."""
        names = sorted(p.name for p in self.data.iterdir() if p.is_dir() and not p.name.startswith("."))
        held = {name: Folder(self.data, name, self.kind) for name in names}
        return {name: folder for name, folder in held.items() if folder.media}

    def sample(self, ids: set[str]) -> Table | None:
        """The table whose rows are those of the test folder."""
        if told := self.given.input.get("sample_submission"):
            return next((t for t in self.known if t.name == told), None)
        for table in sorted(self.known, key=lambda t: -hint("sample", t.name)):
            first = self.cells(table).iloc[:, 0] if len(table.columns) > 1 else pd.Series(dtype="str")
            if len(first) and first.isin(ids).mean() >= ENOUGH and first.is_unique:
                return table
        return None

    def choose(self, role: str, names: list[str], what: str) -> str:
        """The one name for a role, as it is told or as names sound."""
        if told := self.given.input.get(role):
            return told
        if not names:
            raise KitError(f"there is no {what} in {self.data}\nname it: input.{role}=NAME")
        named = [n for n in names if hint(role, n)] or names
        if len(named) > 1:
            raise KitError(f"{len(named)} in {self.data} could be the {what}: {shorten(named)}\nname one, such as input.{role}={named[0]}")
        return named[0]


def share_named(folder: Folder, names: pd.Series) -> float:
    """0..1 of the first names that are those of pictures in the folder."""
    some = [name for name in names.dropna().iloc[:LOOKED_AT] if name]
    try:
        return float(np.mean([place is not None for place in folder.find(some)])) if some else 0.0
    except KitError:  # several pictures of one name: so it names none
        return 0.0

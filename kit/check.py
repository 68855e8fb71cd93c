"""Looks for what would make a score untrue: copies, columns that tell too much, order that tells anything, folds and rows unlike the test's.

Each finding is a line with its evidence, and with what would be right where the config can say it. Nothing here changes a run.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import adversary, crossing, duplicates, folds, leaks, order
from kit.competition import Competition
from kit.divided import divided
from kit.errors import KitError, shorten
from kit.folds import Fold
from kit.reading import locate, read
from kit.tables import JOINT, MEDIA, Tables


def check(competition: Competition, data: Path) -> list[str]:
    """All findings, the gravest first. Raises KitError where files or config cannot be read at all."""
    adapter = competition.open_adapter(data)
    tables = adapter.tables()
    findings, split, scheme = [], [], ""
    if tables.truth is not None:
        scheme = competition.folds()[0]
        try:
            rows, split, _ = divided(competition, tables, adapter.task)
            findings += [f"folds   {line}" for line in folds.describe(rows, split, scheme)]
        except KitError as error:
            findings.append(f"folds   {error}")
    findings += _of_rows(tables, adapter.task, split)
    raw = {part: _in_file_order(adapter, part) for part in ("train", "test")}
    if tables.truth is not None:
        findings += _of_order(adapter, tables, raw, split, scheme)
    findings += adversary.shift(tables, split, scheme, _test_groups(adapter, tables, raw["test"]))
    findings += [f"note    {note}" for note in tables.notes]
    try:
        sample = adapter.sample()
        if sample is not None and set(sample.index) != set(tables.test.index):
            lacking, extra = sample.index.difference(tables.test.index), tables.test.index.difference(sample.index)
            findings.insert(0, f"ids     {len(lacking)} sample ids are not in the test file ({shorten(lacking, 3)}), {len(extra)} test ids not in the sample ({shorten(extra, 3)})")
    except KitError as error:
        findings.insert(0, f"sample  {error}")
    return findings


def _of_rows(tables: Tables, task: Any, split: list[Fold]) -> list[str]:
    """Findings on copies and on columns, which need no order of rows."""
    targets = [] if tables.truth is None else [t for t in task.targets if leaks.comparable(tables.truth[t])]
    findings = duplicates.copies(tables, targets)
    sizes: dict[str, pd.Series] = {}
    for kind in MEDIA:
        for name in tables.of_kind(kind):
            found, known = duplicates.files(tables, name, kind, tables.truth[targets[0]].to_numpy() if targets else None)
            findings, sizes = findings + found, sizes | known
    findings += duplicates.near(tables, split)
    numbers = bool(targets) and task.stratify_by(tables.truth)[1]
    for target in targets:
        findings += leaks.telling(tables, tables.truth[target], numbers, sizes)
    return findings


def _of_order(adapter: Any, tables: Tables, raw: dict[str, pd.DataFrame | None], split: list[Fold], scheme: str) -> list[str]:
    """Findings on ids, on the order of the files, and on groups and times that the folds do not follow."""
    task, findings = adapter.task, []
    numbers = task.stratify_by(tables.truth)[1]
    at_random = scheme in crossing.RANDOM and "group" not in tables.roles
    places = None if raw["train"] is None else _places(raw["train"], adapter.id, tables.train.index)
    for target in task.targets:
        answers = tables.truth[target]
        told = order.ids(tables, answers, numbers)
        findings += told
        if places is not None and not told:
            findings += order.rows(tables, answers, numbers, places, adapter.train_file, at_random)
    answers = leaks.coded(tables.truth[task.targets[0]], numbers)
    beside = _beside(raw, places, adapter, tables)
    if answers is not None and at_random | (scheme == "time"):
        findings += crossing.groups(*beside, answers, split, scheme)
    return findings + crossing.times(*beside, scheme if at_random or scheme in crossing.FORWARD else "", adapter.columns.get("time", []))


def _in_file_order(adapter: Any, part: str) -> pd.DataFrame | None:
    """A table as it lies in its file, None where it is no table: adapters sort rows by their ids."""
    name = getattr(adapter, f"{part}_file", "")
    if not isinstance(name, str) or not name.lower().endswith((".csv", ".tsv", ".parquet")) or (part == "train" and adapter.labels_from):
        return None
    try:
        path = locate(adapter.data / name)
    except KitError:
        return None  # a folder of files stands for the table
    return read(path, text=adapter.id, **adapter.form)


def _places(frame: pd.DataFrame, id: list[str], ids: pd.Index) -> np.ndarray | None:
    """(n,) place in the file of each id; None where the file does not name these rows."""
    if not id or not all(c in frame for c in id):
        return None
    parts = [frame[c].astype("str") for c in id]
    named = pd.Index(parts[0] if len(parts) == 1 else [JOINT.join(p) for p in zip(*parts)])
    if not named.is_unique:
        return None
    places = named.get_indexer(ids)
    return places if len(places) == len(named) and (places >= 0).all() else None


def _test_groups(adapter: Any, tables: Tables, raw: pd.DataFrame | None) -> np.ndarray | None:
    """(test rows,) text: the values of the columns of input.columns.group, None where the test file does not have them."""
    names = adapter.columns.get("group", [])
    if not names or raw is None or not all(c in raw for c in names) or (places := _places(raw, adapter.id, tables.test.index)) is None:
        return None
    parts = [raw[c].iloc[places].astype("str") for c in names]
    return np.array([JOINT.join(p) for p in zip(*parts)], dtype=object)


def _beside(raw: dict[str, pd.DataFrame | None], places: np.ndarray | None, adapter: Any, tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns of both sides, the training rows in the order of their ids: those of the files where these can be matched, else those of the tables."""
    if places is None or raw["test"] is None:
        plain = [n for n, c in tables.schema.items() if c.kind not in MEDIA]
        return tables.train[plain], tables.test[plain]
    left = {*adapter.id, *adapter.answered, *adapter.task.targets}
    shared = [c for c in raw["train"] if c in raw["test"] and c not in left]
    return raw["train"][shared].iloc[places].reset_index(drop=True), raw["test"][shared]

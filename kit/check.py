"""Looks for what would make a score untrue: copies, columns that tell too much, ids that tell anything, test rows unlike training rows.

Each finding is a line with its evidence. Nothing here changes a run.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from kit import folds
from kit.archives import open_file
from kit.competition import Competition
from kit.divided import divided
from kit.errors import KitError, shorten
from kit.stores import CALLED
from kit.tables import MEDIA, Tables, comparable

TELLS_ALL = 0.98  # |rank correlation|, or share of rows guessed, above which one column is as good as the answer
SHIFTED = 0.2  # Kolmogorov-Smirnov distance between train and test, or share of test rows with an unseen category
_WAV_HEADER = 44  # bytes of a file without a sample
SAMPLED = 50_000  # rows looked at where a look at all would be slow


def check(competition: Competition, data: Path) -> list[str]:
    """All findings, the gravest first. Raises KitError where files or config cannot be read at all."""
    adapter = competition.open_adapter(data)
    tables = adapter.tables()
    findings = [] if tables.truth is None else _of_labelled(competition, tables, adapter.task)
    findings += _shift(tables)
    findings += [f"note    {note}" for note in tables.notes]
    try:
        sample = adapter.sample()
        if sample is not None and set(sample.index) != set(tables.test.index):
            lacking, extra = sample.index.difference(tables.test.index), tables.test.index.difference(sample.index)
            findings.insert(0, f"ids     {len(lacking)} sample ids are not in the test file ({shorten(lacking, 3)}), {len(extra)} test ids not in the sample ({shorten(extra, 3)})")
    except KitError as error:
        findings.insert(0, f"sample  {error}")
    return findings


def _of_labelled(competition: Competition, tables: Tables, task: Any) -> list[str]:
    """Findings on the training rows and what they should give."""
    findings = []
    try:
        rows, split, _ = divided(competition, tables, task)
        findings += [f"folds   {line}" for line in folds.describe(rows, split, competition.folds()[0])]
    except KitError as error:
        findings.append(f"folds   {error}")
    _, numbers = task.stratify_by(tables.truth)
    findings += _copies(tables, task.targets)
    for kind in MEDIA:
        for name in tables.of_kind(kind):
            findings += _files(tables, name, f"{CALLED[kind]}s", tables.truth[task.targets[0]].to_numpy())
    for target in task.targets:
        findings += _telling_columns(tables, tables.truth[target], numbers)
        findings += _telling_ids(tables, tables.truth[target])
    return findings


def _copies(tables: Tables, targets: list[str]) -> list[str]:
    findings = []
    train = pd.util.hash_pandas_object(comparable(tables.train), index=False).to_numpy()
    test = pd.util.hash_pandas_object(comparable(tables.test), index=False).to_numpy()
    counted = pd.util.hash_pandas_object(tables.truth[targets], index=False).groupby(train).agg(["size", "nunique"])
    copies = counted[counted["size"] > 1]
    if len(copies):
        odd = int((copies["nunique"] > 1).sum())
        findings.append(f"copies  {int(copies['size'].sum())} training rows have the same columns as another; in {odd} of {len(copies)} sets the answers differ")
    both = int(np.isin(test, train).sum())
    if both:
        findings.append(f"copies  {both} of {len(test)} test rows have the same columns as a training row")
    return findings


def _files(tables: Tables, name: str, called: str, answers: np.ndarray) -> list[str]:
    """Files that cannot be pictures or sounds, and files with the same bytes: in training with other answers, and on both sides."""
    cells = {side: frame[name].dropna() for side, frame in (("train", tables.train), ("test", tables.test))}
    if any(len(c) and isinstance(c.iloc[0], np.ndarray) for c in cells.values()):
        return []  # copies of arrays are copies of rows
    known, missing, empty = {}, [], []
    for path in pd.unique(pd.concat(cells.values())):
        try:
            with open_file(path) as file:
                size = file.seek(0, 2)
        except FileNotFoundError:
            missing.append(path)
            continue
        empty += [path] if size <= (_WAV_HEADER if path.lower().endswith(".wav") else 0) else []
        known[path] = size
    twice = pd.Series(known).duplicated(keep=False)  # only files of one size can be the same
    hashes = {path: _hash(path) for path in twice.index[twice]}
    train, test = (cells[side].map(hashes) for side in ("train", "test"))
    findings = [f"files   {len(paths)} {called} of column {name!r} are {what}: {shorten(map(_last, paths), 3)}" for what, paths in (("missing", missing), ("empty", empty)) if paths]
    answered = pd.Series(answers, index=tables.train.index)[train.index].groupby(train).agg(["size", "nunique"])
    if (copies := answered[answered["size"] > 1])["size"].sum():
        odd = int((copies["nunique"] > 1).sum())
        findings.append(f"copies  {int(copies['size'].sum())} training {called} are the same file as another; in {odd} of {len(copies)} sets the answers differ")
    if both := int(test.dropna().isin(set(train.dropna())).sum()):
        findings.append(f"copies  {both} test {called} are the same file as one of training")
    return findings


def _hash(path: str) -> str:
    with open_file(path) as file:
        return hashlib.sha256(file.read()).hexdigest()


def _last(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _telling_columns(tables: Tables, answers: pd.Series, numbers: bool) -> list[str]:
    """numbers: the answers have an order, and are no classes"""
    kept = np.random.default_rng(0).permutation(len(answers))[:SAMPLED]
    answers = answers.iloc[kept].reset_index(drop=True)
    findings = []
    for name, column in tables.schema.items():
        if column.kind in ("numeric", "category"):
            values = tables.train[name].iloc[kept].reset_index(drop=True)
            told = _told_of_numbers(values, answers, column.kind) if numbers else _told_of_classes(values, answers, column.kind)
            findings += [f"leak    column {name!r} {told}"] if told else []
    return findings


def _told_of_numbers(values: pd.Series, answers: pd.Series, kind: str) -> str:
    present = values.notna()
    values, answers = values[present], answers[present]
    if len(values) <= 20 or values.nunique() <= 2 or answers.nunique() <= 2:
        return ""
    if kind == "category":
        if values.nunique() > len(values) / 10:
            return ""
        values = answers.rank().groupby(values.astype("str")).transform("mean")
        if values.nunique() < 2:
            return ""
    told = abs(stats.spearmanr(values, answers).statistic)
    return f"has a rank correlation of {told:.3f} with {answers.name!r}" if told > TELLS_ALL else ""


def _told_of_classes(values: pd.Series, answers: pd.Series, kind: str) -> str:
    codes, classes = pd.factorize(answers)
    constant = np.bincount(codes).max() / len(codes)
    if values.nunique() <= len(values) / 10:
        table = pd.crosstab(pd.factorize(values, use_na_sentinel=False)[0], codes)
        told = table.max(axis=1).sum() / len(codes)
        found = told > TELLS_ALL and told - constant > (1 - constant) / 2
        return f"alone gives {answers.name!r} of {told:.1%} of the training rows ({constant:.1%} without it)" if found else ""
    if kind == "numeric" and len(classes) == 2:
        present = values.notna().to_numpy()
        ranks, positive = stats.rankdata(values[present]), codes[present] == 1
        n1, n0 = positive.sum(), (~positive).sum()
        if n1 and n0:
            area = (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
            if max(area, 1 - area) > TELLS_ALL:
                return f"alone has an area under the curve of {max(area, 1 - area):.3f} for {answers.name!r}"
    return ""


def _telling_ids(tables: Tables, answers: pd.Series) -> list[str]:
    """Whether ids, as numbers, go with the target: the rows were sorted before they were numbered."""
    numbers = pd.to_numeric(pd.Series(tables.train.index), errors="coerce")
    if numbers.isna().any() or len(numbers) < 50 or answers.nunique() < 2:
        return []
    order = pd.to_numeric(answers, errors="coerce")
    order = order if order.notna().all() else pd.Series(pd.factorize(answers, sort=True)[0])
    found = stats.spearmanr(numbers, order)
    if found.pvalue < 1e-6 and abs(found.statistic) > 0.1:
        return [f"leak    ids go with {answers.name!r}: rank correlation {found.statistic:.3f} over {len(numbers)} rows"]
    return []


def _shift(tables: Tables) -> list[str]:
    findings = []
    for name, column in tables.schema.items():
        train, test = tables.train[name], tables.test[name]
        if column.kind in ("numeric", "date") and len(test) >= 50:
            one, other = (s.dropna().astype("int64" if column.kind == "date" else "float64").to_numpy()[:SAMPLED] for s in (train, test))
            if len(one) and len(other):
                distance = stats.ks_2samp(one, other, method="asymp").statistic
                if distance > SHIFTED:
                    findings.append(f"shift   column {name!r} differs between train and test: Kolmogorov-Smirnov distance {distance:.2f}")
            gap = abs(train.isna().mean() - test.isna().mean())
            if gap > SHIFTED:
                findings.append(f"shift   column {name!r} is missing in {train.isna().mean():.0%} of the training and {test.isna().mean():.0%} of the test rows")
        elif column.kind == "category" and len(test) >= 50:
            unseen = (test.notna() & ~test.isin(train.unique())).mean()
            expected = train.map(train.value_counts()).eq(1).sum() / len(train)  # Good and Turing: the share that one more draw would not have seen
            if unseen > max(SHIFTED, 2 * expected):
                findings.append(f"shift   column {name!r}: {unseen:.0%} of the test rows have a category that no training row has ({expected:.0%} expected)")
    return findings

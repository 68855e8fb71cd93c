"""Rows, texts, pictures and sounds that are the same, or nearly so, within the training rows and on both sides.

Copies make a score untrue where validated rows have them among the rows that their fold trains on and test rows do not, or the other way round;
where both do alike, the folds show what the test will.
"""

import hashlib

import numpy as np
import pandas as pd

from kit import nearly
from kit.archives import open_file
from kit.errors import DependencyError, shorten
from kit.folds import Fold
from kit.machine import cores
from kit.stores import CALLED
from kit.tables import MEDIA, Tables, comparable

LEAST = 0.01  # share of rows, from which near copies are worth a line
_FEWEST = 3  # rows
_WAV_HEADER = 44  # bytes of a file without a sample
ROWS, TEXTS, FILES = 100_000, 40_000, 3_000  # of a side that are compared for near copies
_SURE, _TIMES = 3.0, 1.5  # standard errors of a difference of shares, and how many times the one must be the other


def copies(tables: Tables, targets: list[str]) -> list[str]:
    """Rows with the same columns. targets  none where the answers cannot be compared"""
    findings = []
    train = pd.util.hash_pandas_object(comparable(tables.train), index=False).to_numpy()
    test = pd.util.hash_pandas_object(comparable(tables.test), index=False).to_numpy()
    answers = pd.util.hash_pandas_object(tables.truth[targets], index=False) if targets and tables.truth is not None else pd.Series(0, index=range(len(train)))
    counted = answers.groupby(train).agg(["size", "nunique"])
    twice = counted[counted["size"] > 1]
    if len(twice):
        findings.append(f"copies  {int(twice['size'].sum())} training rows have the same columns as another{_odd(twice, targets)}")
    both = int(np.isin(test, train).sum())
    if both:
        findings.append(f"copies  {both} of {len(test)} test rows have the same columns as a training row")
    return findings


def _odd(twice: pd.DataFrame, targets: list[str]) -> str:
    return f"; in {int((twice['nunique'] > 1).sum())} of {len(twice)} sets the answers differ" if targets else ""


def files(tables: Tables, name: str, kind: str, answers: np.ndarray | None) -> tuple[list[str], dict[str, pd.Series]]:
    """(findings, what -> number of each training row): files that are missing or empty, files with the same bytes, and how many bytes they have.

    answers  (n,) of the training rows, None where they cannot be compared
    """
    called = f"{CALLED[kind]}s"
    cells = {side: frame[name].dropna() for side, frame in (("train", tables.train), ("test", tables.test))}
    if any(len(c) and isinstance(c.iloc[0], np.ndarray) for c in cells.values()):
        return [], {}  # copies of arrays are copies of rows
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
    told = pd.Series(0 if answers is None else answers, index=tables.train.index)
    answered = told[train.index].groupby(train).agg(["size", "nunique"])
    if (same := answered[answered["size"] > 1])["size"].sum():
        findings.append(f"copies  {int(same['size'].sum())} training {called} are the same file as another{_odd(same, [] if answers is None else [name])}")
    if both := int(test.dropna().isin(set(train.dropna())).sum()):
        findings.append(f"copies  {both} test {called} are the same file as one of training")
    return findings, {f"how many bytes the {called} of column {name!r} have": tables.train[name].map(known).astype("float64")}


def _hash(path: str) -> str:
    with open_file(path) as file:
        return hashlib.sha256(file.read()).hexdigest()


def _last(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


# --- nearly the same -------------------------------------------------------------------------------------------------------------


def near(tables: Tables, split: list[Fold]) -> list[str]:
    """Lines on near copies: of rows by their columns, then of each column of texts, pictures and sounds.

    split  the folds, none where there are no labels
    """
    findings = []
    plain = [name for name, column in tables.schema.items() if column.kind in ("numeric", "category", "date", "text")]
    if len(plain) >= 4:
        rows = _Drawn(tables, ROWS)
        labels, most = nearly.of_rows(rows.cells(plain))
        findings += rows.lines(labels, split, "rows", f"they agree on all but {most} of {len(plain)} columns or fewer", "columns")
    for name in tables.of_kind("text"):
        rows = _Drawn(tables, TEXTS)
        findings += rows.lines(nearly.of_texts(rows.cells([name])[name]), split, f"texts of column {name!r}", "they share most of their phrases", "text")
    for kind in MEDIA:
        for name in tables.of_kind(kind):
            rows = _Drawn(tables, FILES)
            try:
                labels = nearly.of_files(rows.cells([name])[name].tolist(), kind, cores())
            except DependencyError as error:
                findings.append(f"note    {CALLED[kind]}s of column {name!r} are not compared: {str(error).splitlines()[0]}")
                continue
            findings += rows.lines(labels, split, f"{CALLED[kind]}s of column {name!r}", f"they {'look' if kind == 'image' else 'sound'} alike", kind)
    return findings


class _Drawn:
    """Rows of both sides that are compared: all, or as many as can be in a short time."""

    def __init__(self, tables: Tables, most: int):
        random = np.random.default_rng(0)
        self.train, self.test = (np.sort(random.permutation(len(f))[:most]) for f in (tables.train, tables.test))
        self.tables = tables
        self.whole = len(tables.train) <= most and len(tables.test) <= most

    def cells(self, names: list[str]) -> pd.DataFrame:
        return pd.concat([self.tables.train[names].iloc[self.train], self.tables.test[names].iloc[self.test]], ignore_index=True)

    def lines(self, labels: np.ndarray, split: list[Fold], what: str, how: str, medium: str) -> list[str]:
        """labels  a number for each drawn row, those of training first: near copies share it"""
        own, other = labels[: len(self.train)], labels[len(self.train) :]
        copied = np.isin(other, own)
        tested, seen, validated = int(copied.sum()), *self._seen(own, split)
        if max(tested, seen) < _FEWEST or max(tested / max(len(other), 1), seen / max(validated, 1)) < LEAST:
            return []
        shares = seen / max(validated, 1), tested / max(len(other), 1)
        pooled = (seen + tested) / max(validated + len(other), 1)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / max(validated, 1) + 1 / max(len(other), 1)))
        more = shares[0] - shares[1] if shares[0] > shares[1] else max(0.0, shares[1] - shares[0] / self._trained(split))  # test rows see all training rows
        certain = more > _SURE * spread and max(shares) > _TIMES * min(shares)
        drawn = "" if self.whole else f" ({len(self.train)} and {len(self.test)} rows drawn)"
        counts = f"{seen} of {validated} validated {what} are near copies of one that their fold trains on, and {tested} of {len(other)} test ones of a training one{drawn}"
        example = self._example(labels, both=shares[1] > shares[0] or not split)
        if not validated:
            return [f"near    {tested} of {len(other)} test {what} are near copies of a training one{drawn}: {example}, {how}"]
        if not certain and min(shares) < LEAST:
            return []
        if not certain:
            return [f"note    {counts}: the folds show what the test will ({example}, {how})"]
        if shares[0] < shares[1]:
            return [f"near    {counts}: {example}, {how}; the score does not show what the copies tell of the test"]
        return [f"near    {counts}: {example}, {how}; {_keeping(medium)}"]

    def _trained(self, split: list[Fold]) -> float:
        """Share of the training rows that a fold trains on."""
        return float(np.mean([len(fold.train) for fold in split])) / len(self.tables.train) if split else 1.0

    def _seen(self, own: np.ndarray, split: list[Fold]) -> tuple[int, int]:
        """(validated rows with a near copy among those that their fold trains on, validated rows), of the drawn; in the mean of repeats."""
        place = np.full(len(self.tables.train), -1)
        place[self.train] = own
        seen = validated = 0
        for fold in split:
            valid, train = place[fold.valid], place[fold.train]
            seen += int(np.isin(valid[valid >= 0], train[train >= 0]).sum())
            validated += int((valid >= 0).sum())
        repeats = max((fold.repeat for fold in split), default=0) + 1
        return round(seen / repeats), round(validated / repeats)

    def _example(self, labels: np.ndarray, both: bool) -> str:
        """Two rows that share a label, of both sides or of training."""
        side = np.repeat([0, 1], [len(self.train), len(self.test)])
        names = np.concatenate([self.tables.train.index[self.train], self.tables.test.index[self.test]])
        frame = pd.DataFrame({"label": labels, "side": side, "name": names})
        first = frame[frame["side"] == 0].drop_duplicates("label")
        second = frame[frame["side"] == 1] if both else frame[(frame["side"] == 0) & frame.duplicated(["label", "side"])]
        pair = first.merge(second, on="label").iloc[0]
        return f"such as {pair['name_x']} and {pair['name_y']}"


def _keeping(medium: str) -> str:
    if medium in MEDIA:
        return 'score.alike = 0.94 and score.folds.scheme = "stratified_group" keep them in one fold'
    return 'give near copies one value of a group column: input.columns.group, score.folds.scheme = "stratified_group"'

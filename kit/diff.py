"""Two submissions side by side: what of each column has changed, and flags for what no better model would have changed.

Rows meet by id, as text. A flag is told with what it was seen by: a sign turned round, ids that have come away from their values, a column that
says one thing everywhere. What a file says in another order of rows is the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from kit.cells import Kind, kind_of, missing, parted, plain
from kit.errors import SubmissionError, did_you_mean, shorten
from kit.oddities import linear, misplaced, renamed
from kit.reading import read
from kit.tables import JOINT, show_id

REVERSED = -0.5  # rank correlation from which two columns are told to be each other's reverse
LISTS = 100_000  # rows of ranked lists that are compared, evenly chosen of more
_REPEATED = 0.1  # share of rows whose id stood before, from which the first column alone is no id


@dataclass(frozen=True)
class Sheet:
    """
    ids    (n,) text, those of several columns joined by JOINT
    cells  (n) rows in the file's order, text, "" where blank
    """

    path: Path
    id: list[str]
    ids: pd.Index
    cells: pd.DataFrame


def diff(one: Path, other: Path, *, id: Sequence[str] = ()) -> list[str]:
    """Lines on what differs, the flags last.

    one, other  CSV files, or run folders with a submission.csv
    id          the columns of ids; those that the values suggest where none are named
    Raises SubmissionError for what cannot be compared: no such file or column, no common column, no common id.
    """
    a, b = _sheets(one, other, list(id))
    flags: dict[str, list[str]] = {}
    columns = _shared_columns(a, b, flags)
    lines = [f"A       {a.path}  {len(a.ids)} rows", f"B       {b.path}  {len(b.ids)} rows"]
    if a.ids.duplicated().mean() > _REPEATED and b.ids.duplicated().mean() > _REPEATED:
        lines += _several(a, b, columns, flags)
        return [*lines, *_told(flags)]
    left, right, order = _met(a, b, columns, flags)
    lines.append(f"ids     {len(left)} in both, by {', '.join(a.id)}, {order}")
    pairs = _pairs(left, right, columns)
    exchanged = _exchanged(pairs, flags)
    for name, own, its in pairs:
        told = _column(name, own, its, left.index, flags if name not in exchanged else {})
        lines += [f"column  {name}: {told[0]}", *(f"        {line}" for line in told[1:])]
    return [*lines, *_told(flags)]


def _told(flags: dict[str, list[str]]) -> list[str]:
    lines = [f"flag    {shorten(columns)}: {what}" for what, columns in flags.items()]
    return [*lines, f"{len(lines)} flag{'s' * (len(lines) != 1)}" if lines else "no flags"]


# --- rows meet -------------------------------------------------------------------------------------------------------------------


def _sheets(one: Path, other: Path, id: list[str]) -> tuple[Sheet, Sheet]:
    paths = [Path(p) / "submission.csv" if Path(p).is_dir() else Path(p) for p in (one, other)]
    if lacking := [str(p) for p in paths if not p.is_file()]:
        raise SubmissionError(f"no file {shorten(lacking)}\nexpected two CSV files, or run folders that hold a submission.csv")
    frames = [read(path, text=None).fillna("") for path in paths]
    for path, frame in zip(paths, frames):
        if frame.shape[1] < 2 or not len(frame):
            raise SubmissionError(f"{path} has {frame.shape[1]} columns and {len(frame)} rows: expected ids, and an answer for each")
        if wrong := [c for c in id if c not in frame]:
            raise SubmissionError(f"{path} has no column {shorten(wrong)}{did_you_mean(wrong[0], frame.columns)}\nname its columns of ids: --id {frame.columns[0]}")
    count = _keys(frames) if not id else 0
    found = [id or list(frame.columns[:count]) for frame in frames]
    return tuple(Sheet(p, c, _joined(f, c), f.drop(columns=c)) for p, f, c in zip(paths, frames, found))


def _joined(frame: pd.DataFrame, columns: list[str]) -> pd.Index:
    first, *more = (frame[c] for c in columns)
    return pd.Index(first.str.cat(more, sep=JOINT) if more else first, dtype="str")


def _keys(frames: list[pd.DataFrame]) -> int:
    """How many of the first columns name a row: more than one only where the first repeats a lot, and they tell all rows apart."""
    if all(f.iloc[:, 0].duplicated().mean() > _REPEATED for f in frames):
        for count in range(2, min(f.shape[1] for f in frames)):
            if not any(f.duplicated(list(f.columns[:count])).any() for f in frames):
                return count
    return 1


def _shared_columns(a: Sheet, b: Sheet, flags: dict[str, list[str]]) -> list[tuple[str, str]]:
    """(column of A, column of B) that are compared: of one name, or of one place where no name is shared."""
    names, others = list(a.cells), list(b.cells)
    shared = [(c, c) for c in names if c in others]
    if not shared and len(names) == len(others):
        flags[f"columns are named {shorten(others)} in B: compared by their places"] = [shorten(names)]
        return list(zip(names, others))
    if not shared:
        raise SubmissionError(f"{a.path} and {b.path} share no column: {shorten(names)} and {shorten(others)}\nare they of one competition?")
    for sheet, side, beyond in ((a, "A", [c for c in names if c not in others]), (b, "B", [c for c in others if c not in names])):
        if beyond:
            flags[f"only in {side}, {sheet.path.name}"] = beyond
    return shared


def _met(a: Sheet, b: Sheet, columns: list[tuple[str, str]], flags: dict[str, list[str]]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """(A's rows, B's rows) of the common ids in A's order, and what is to be said of B's order."""
    frames = []
    for sheet, side, n in ((a, "A", 0), (b, "B", 1)):
        again = sheet.ids.duplicated()
        if again.any():
            twice = sheet.ids[again].unique()
            flags[f"{len(twice)} stand more than once in {side}, whose first rows count: {shorten(map(show_id, twice))}"] = ["ids"]
        frames.append(sheet.cells[[pair[n] for pair in columns]].set_axis(sheet.ids)[~again])
    left, right = frames
    places = right.index.get_indexer(left.index)
    found = np.flatnonzero(places >= 0)
    if not len(found):
        plain = [f.index.str.replace(r"^0+(?=.)|\.0+$", "", regex=True) for f in frames]
        hint = "they are the same but for zeros: was an id read as a number?" if len(plain[0].intersection(plain[1])) else "are they of one competition?"
        raise SubmissionError(f"{a.path} and {b.path} share no id: {shorten(map(show_id, left.index), 3)} and {shorten(map(show_id, right.index), 3)}\n{hint}")
    alone = np.ones(len(right), bool)
    alone[places[found]] = False
    for side, lacks, ids in (("A", "B", left.index[places < 0]), ("B", "A", right.index[alone])):
        if len(ids):
            flags[f"{len(ids)} of {side} are not in {lacks}: {shorten(map(show_id, ids))}"] = ["ids"]
    same = (np.diff(places[found]) > 0).all()
    return left.iloc[found], right.iloc[places[found]], "in the same order" if same else "in another order of rows"


def _several(a: Sheet, b: Sheet, columns: list[tuple[str, str]], flags: dict[str, list[str]]) -> list[str]:
    """Of files with several rows an id: which ids have other rows, whatever their order."""
    sums = []
    for sheet, n in ((a, 0), (b, 1)):
        rows = _joined(sheet.cells, [pair[n] for pair in columns]).to_numpy(dtype=object)
        sums.append(pd.Series(pd.util.hash_array(rows, categorize=False), index=sheet.ids).groupby(level=0).sum())  # wraps, and order does not count
    left, right = (own.loc[own.index.intersection(its.index)] for own, its in (sums, sums[::-1]))
    if not len(left):
        raise SubmissionError(f"{a.path} and {b.path} share no id: {shorten(a.ids.unique(), 3)} and {shorten(b.ids.unique(), 3)}\nare they of one competition?")
    for side, ids in (("A", sums[0].index.difference(sums[1].index)), ("B", sums[1].index.difference(sums[0].index))):
        if len(ids):
            flags[f"{len(ids)} are in {side} alone: {shorten(map(show_id, ids))}"] = ["ids"]
    changed = left.index[left.to_numpy() != right.loc[left.index].to_numpy()]
    return [f"ids     {len(left)} in both, with several rows each", f"rows    {_share(len(changed), len(left))} ids have other rows: {shorten(map(show_id, changed))}"]


# --- columns ---------------------------------------------------------------------------------------------------------------------


def _pairs(left: pd.DataFrame, right: pd.DataFrame, columns: list[tuple[str, str]]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, A's cells, B's cells), those of a label with its score as two columns."""
    found = []
    for name, its in columns:
        cells = [left[name].to_numpy(dtype=object), right[its].to_numpy(dtype=object)]
        if kind_of(*cells) is Kind.SCORED:
            halves = [parted(c) for c in cells]
            found += [(f"{name} {what}", halves[0][n], halves[1][n]) for n, what in enumerate(("label", "score"))]
        else:
            found.append((name, *cells))
    return found


def _exchanged(pairs: list[tuple[str, np.ndarray, np.ndarray]], flags: dict[str, list[str]]) -> set[str]:
    """The names of columns that hold what another held."""
    marks = {name: tuple(_mark(side) for side in (own, its)) for name, own, its in pairs} if len(pairs) > 1 else {}
    of_a: dict[bytes, list[str]] = {}
    for name, (own, _) in marks.items():
        of_a.setdefault(own, []).append(name)
    came = {name: of_a[its][0] for name, (own, its) in marks.items() if own != its and len(of_a.get(its, [])) == 1}
    for name, source in came.items():
        if came.get(source) == name:
            flags.setdefault("exchanged: each holds in B what the other holds in A", []).append(name)
        else:
            flags[f"holds in B what {source} holds in A"] = [name]
    return set(came)


def _mark(cells: np.ndarray) -> bytes:
    return hashlib.sha256(pd.util.hash_array(cells, categorize=False).tobytes()).digest()


def _column(name: str, a: np.ndarray, b: np.ndarray, ids: pd.Index, flags: dict[str, list[str]]) -> list[str]:
    """What is to be said of a column; what is odd goes to the flags."""

    def flag(what: str) -> None:
        flags.setdefault(what, []).append(name)

    kind = kind_of(a, b)
    for side, cells in (("A", a), ("B", b)):
        blank = int(missing(cells).sum())
        if blank and not (kind in (Kind.LIST, Kind.RUNS, Kind.BOXES) and blank < len(cells)):  # of these a blank may be an answer
            flag(f"{blank} of {len(cells)} cells are blank or NaN in {side}")
    a, b = (plain(a), plain(b)) if kind is Kind.LABEL else (a, b)
    values = [pd.to_numeric(pd.Series(c), errors="coerce").to_numpy(dtype=np.float64) for c in (a, b)] if kind.is_numeric else [a, b]
    if kind is Kind.NUMBER:
        for side, cells, numbers in (("A", a, values[0]), ("B", b, values[1])):
            odd = np.flatnonzero(~missing(cells) & ~np.isfinite(numbers))
            if len(odd):
                flag(f"{len(odd)} cells are no finite number in {side}: {shorten((f'{show_id(ids[n])} = {cells[n]}' for n in odd), 3)}")
    if kind.is_numeric:  # 0.50 is 0.5, and a cell that is no number is told by what stands there
        unlike = ~((values[0] == values[1]) | (np.isnan(values[0]) & np.isnan(values[1]) & (a == b)))
    else:
        unlike = a != b
    changed = np.flatnonzero(unlike)
    for side, cells in (("A", values[0]), ("B", values[1])):
        if len(cells) > 1 and (cells == cells[0]).all():
            flag(f"constant in {side}: {cells[0] if kind is Kind.NUMBER else repr(cells[0])} in all {len(cells)} rows")
    lines = [f"{kind.value}, {_share(len(changed), len(a))} rows differ"]
    if not len(changed):
        return lines
    if len(changed) == 1 and len(a) > 1:
        flag(f"one row differs, {_one(changed[0], a, b, ids)}")
    elif odd := misplaced(values[0], values[1], unlike):
        flag(odd if len(changed) > 2 else f"{odd}: {shorten(show_id(i) for i in ids[changed])}")
    if kind is Kind.NUMBER:
        lines += _of_numbers(*values, a, b, ids, flag)
    elif kind is Kind.LABEL:
        lines += _of_labels(a, b, flag)
    elif kind is Kind.LIST:
        lines += _of_lists(a, b, flag)
    if kind is not Kind.NUMBER:
        lines.append(f"such as {'; '.join(_one(n, a, b, ids) for n in changed[:3])}")
    return lines


def _of_numbers(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, ids: pd.Index, flag) -> list[str]:
    both = np.isfinite(x) & np.isfinite(y)
    step = np.where(both, np.abs(np.where(both, y, 0.0) - np.where(both, x, 0.0)), -1.0)
    most = np.argsort(-step, kind="stable")[:3]
    lines = [f"largest changes {'; '.join(_one(n, a, b, ids) for n in most if step[n] > 0)}"] if (step > 0).any() else []
    x, y = x[both], y[both]
    if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
        ranks, plain = (float(np.corrcoef(*sides)[0, 1]) for sides in ((rankdata(x), rankdata(y)), (x, y)))
        lines.insert(0, f"rank correlation {ranks:.4f}, Pearson {plain:.4f}, mean change {np.mean(y - x):+.4g}, mean size of it {np.mean(np.abs(y - x)):.4g}")
        if exact := linear(x, y):
            flag(exact)
        elif ranks <= REVERSED:
            flag(f"the order is turned round: rank correlation {ranks:.2f}")
    return lines


def _of_labels(a: np.ndarray, b: np.ndarray, flag) -> list[str]:
    if told := renamed(a, b):
        flag(told)
    balance = [pd.Series(side).value_counts(normalize=True) for side in (a, b)]
    names = (balance[0].add(balance[1], fill_value=0)).sort_values(ascending=False, kind="stable").index
    moves = pd.Series(JOINT.join(move) for move in zip(a[a != b], b[a != b])).value_counts()
    shares = [shorten((f"{n or 'blank'} {own.get(n, 0.0):.4g}" for n in names), 5) for own in balance]
    moved = shorten((f"{' -> '.join(part or 'blank' for part in move.split(JOINT))} {count} rows" for move, count in moves.items()), 6)
    lines = [f"in A    {shares[0]}", f"in B    {shares[1]}", f"moved   {moved}"]
    numbers = [pd.to_numeric(pd.Series(side), errors="coerce").to_numpy(dtype=np.float64) for side in (a, b)]
    if len(names) > 2 and all(np.isfinite(own).all() and np.ptp(own) > 0 for own in numbers):
        ranks = float(np.corrcoef(*(rankdata(own) for own in numbers))[0, 1])
        lines.insert(0, f"rank correlation {ranks:.4f}")
        if ranks <= REVERSED:
            flag(f"the order is turned round: rank correlation {ranks:.2f}")
    return lines


def _of_lists(a: np.ndarray, b: np.ndarray, flag) -> list[str]:
    """overlap@k: of the first k of both, the share that they have in common, over the longer of the two."""
    step = -(-len(a) // LISTS)
    lists = [[cell.split() for cell in side[::step]] for side in (a, b)]
    longest = max(max(map(len, side), default=0) for side in lists)
    told = []
    for k in sorted({1, min(5, longest), longest}):
        shared = [len(set(x[:k]) & set(y[:k])) / max(len(x[:k]), len(y[:k])) for x, y in zip(*lists) if x or y]
        told.append(f"overlap@{k} {np.mean(shared):.4f}")
    turned = [x[::-1] == y for x, y in zip(*lists) if len(x) > 1 or len(y) > 1]
    if np.mean(turned) > 0.9 and longest > 1:
        flag(f"the lists of {np.mean(turned):.0%} of the rows are turned round")
    return [", ".join(told) + (f", of {len(lists[0])} rows" if step > 1 else "")]


def _one(n: int, a: np.ndarray, b: np.ndarray, ids: pd.Index) -> str:
    return f"{show_id(ids[n])}: {_brief(a[n])} -> {_brief(b[n])}"


def _brief(cell: str) -> str:
    return "blank" if cell == "" else cell if len(cell) <= 40 else f"{cell[:37]}..."


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.2%})"

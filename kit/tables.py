"""Reads tables and types their columns: a file becomes a frame whose index is the text id, sorted, with one kind for each column.

Ids are text and sorted, so that neither leading zeros nor the order of a file can change a result. Kinds are inferred from the
training rows alone.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kit.errors import DataError, bullets, did_you_mean, shorten

FEATURE_KINDS = ("numeric", "category", "date", "text", "image", "audio", "points")
ROLE_KINDS = ("id", "group", "time", "weight", "target", "drop")
TEXT_KINDS = ("category", "text", "image", "audio", "group")  # never read as numbers where the config names them
MEDIA = {"image": (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"), "audio": (".wav", ".flac", ".ogg", ".mp3")}
WEIGHT = "\x1fweight"  # truth's column of row weights: a name that no target can have
JOINT = "\x1f"  # between the parts of a composite id: ASCII's unit separator, which no CSV field holds


@dataclass(frozen=True)
class Column:
    """What a column holds, and the strptime format of a date that was text."""

    kind: str
    date_format: str = ""


@dataclass(frozen=True)
class Tables:
    """The checked frames: one row an example, index `id` as text, sorted.

    train, test  feature columns, typed; the target is in neither
    truth        what the training rows should give: `id`, the targets, and what the metric needs besides; in the order of train; None where
                 there are no labels
    schema       each feature column's kind
    roles        group, time, weight, given -> the values of the training rows
    notes        what a person should know: columns left out and why
    gallery      what queries look through, typed as test; None where nothing is searched; without labels, train is the same rows
    """

    train: pd.DataFrame
    test: pd.DataFrame
    truth: pd.DataFrame | None
    schema: dict[str, Column]
    roles: dict[str, pd.Series] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    gallery: pd.DataFrame | None = None

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, column in self.schema.items() if column.kind == kind]


# --- ids -------------------------------------------------------------------------------------------------------------------------


def with_ids(frame: pd.DataFrame, id: list[str], source: str) -> pd.DataFrame:
    """The frame with its ids as index, sorted by them. Raises DataError on blank and on duplicate ids.

    Without id columns, a row's id is a hash of what it holds (and a counter for equal rows): the order of the file does not matter.
    """
    if id:
        parts = [frame[c].astype("str").fillna("") for c in id]
        blank = np.flatnonzero(np.any([part == "" for part in parts], axis=0))
        ids = pd.Index(parts[0].to_numpy() if len(id) == 1 else [JOINT.join(p) for p in zip(*parts)], dtype="str", name="id")
        frame = frame.drop(columns=id)
        if len(blank):
            raise DataError(f"{source} has {len(blank)} rows without an id, the first at data row {blank[0] + 1}\ncolumn {', '.join(id)} names each row")
        twice = ids[ids.duplicated()].unique()
        if len(twice):
            raise DataError(f"{source} has {len(twice)} ids on more than one row: {shorten(map(show_id, twice))}\nremove the copies, or name the columns that tell them apart: input.id = [...]")
    else:
        ids = pd.Index(_content_ids(frame), dtype="str", name="id")
    return in_id_order(frame, ids)


def in_id_order(frame: pd.DataFrame, ids: pd.Index) -> pd.DataFrame:
    """The frame's rows sorted by these ids, their index. Column by column, each freed when it is done: a table may fill half the memory."""
    if not ids.is_monotonic_increasing:
        order = ids.argsort()
        ids = ids[order]
        frame = pd.DataFrame({name: frame.pop(name).take(order).set_axis(ids) for name in list(frame)}, index=ids, copy=False)
    frame.index = ids
    return frame


def _content_ids(frame: pd.DataFrame) -> list[str]:
    hashes = pd.util.hash_pandas_object(comparable(frame), index=False).map(lambda h: f"{h:016x}")
    copies = hashes.groupby(hashes).cumcount()
    return [h if c == 0 else f"{h}-{c}" for h, c in zip(hashes, copies)]


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a hash of its bytes in the place of each array, so that rows can be hashed and compared."""
    return frame.assign(**{name: [_digest(cell) for cell in frame[name]] for name in frame if holds_arrays(frame[name])})


def _digest(array: np.ndarray | float) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array), digest_size=16).hexdigest()


def show_id(id: str) -> str:
    return id.replace(JOINT, "/")


# --- kinds -----------------------------------------------------------------------------------------------------------------------

_DATE_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y",
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d %b %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip


def infer_kind(values: pd.Series) -> Column:
    """What a column of training rows holds, from its values alone."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return Column("date")
    if pd.api.types.is_numeric_dtype(values):
        return Column("numeric")
    filled = values[values.notna() & (values != "")]
    few = filled.drop_duplicates().iloc[:2000]
    if not len(few):
        return Column("category")
    lower = few.str.lower()
    for kind, endings in MEDIA.items():
        if lower.str.endswith(endings).mean() > 0.95:
            return Column(kind)
    date_format = _date_format(few)
    if date_format and pd.to_datetime(filled.drop_duplicates(), format=date_format, errors="coerce").notna().all():
        return Column("date", date_format)
    words = few.str.count(r"\s+") + 1
    unique = values.nunique() / max(len(filled), 1)
    long = few.str.len().mean() >= 40 or words.mean() >= 4
    return Column("text" if long and unique > 0.3 else "category")


def holds_arrays(values: pd.Series) -> bool:
    """Whether the cells are pictures already, as numpy arrays, and not the paths of files."""
    return values.dtype == object and isinstance(next((v for v in values if isinstance(v, np.ndarray) or pd.notna(v)), None), np.ndarray)


def _date_format(values: pd.Series) -> str:
    if not values.str.contains(r"\d").all() or values.str.len().max() > 26:
        return ""
    return next((f for f in _DATE_FORMATS if pd.to_datetime(values, format=f, errors="coerce").notna().all()), "")


def typed(frame: pd.DataFrame, schema: dict[str, Column], source: str) -> pd.DataFrame:
    """The columns of the schema, each in its kind's type: numbers, datetime64, else text with "" as missing; arrays stay as they are.

    Numbers with a fraction become float32: what any model here reads, in half the memory. The frame is used up: its columns are freed
    one by one.

    Raises DataError naming every column that is missing or whose values are of another type.
    """
    problems, columns = [], {}
    for name, column in schema.items():
        if name not in frame:
            problems.append(f"{source} lacks column {name!r}, which the training rows have{did_you_mean(name, set(frame.columns) - set(schema))}")
            continue
        values = frame.pop(name)
        if column.kind in _READ:
            columns[name] = _READ[column.kind](values, column)
        elif holds_arrays(values):
            columns[name] = values
        else:
            columns[name] = values.astype("str").mask(values.isna() | (values.astype("str") == ""))
        if column.kind in _READ:
            lost = _lost(values, columns[name])
            if lost.any():
                held = f"a {column.kind} column in the training rows"
                problems.append(f"{source} column {name!r} holds {shorten(values[lost].unique(), 3)} in {int(lost.sum())} rows: it is {held}")
        if column.kind == "numeric":
            columns[name] = _compact(columns[name])
    if problems:
        raise DataError(bullets(problems) + "\nmend the file, or set the column's kind, for example input.columns.category = [...]")
    return pd.DataFrame(columns, index=frame.index, copy=False)


def mended(frame: pd.DataFrame, schema: dict[str, Column], source: str) -> list[str]:
    """Cells of number and date columns that are none become missing, in place; a sentence for each column that had such cells.

    For files that nobody can mend any more, where an answer for every row is wanted all the same.
    """
    told = []
    for name, column in schema.items():
        if column.kind in _READ and name in frame:
            values = frame[name]
            found = _READ[column.kind](values, column)
            lost = _lost(values, found)
            if lost.any():
                told.append(f"{source} column {name!r} holds {shorten(values[lost].unique(), 3)} in {int(lost.sum())} rows, which are no {column.kind} values: read as missing")
                frame[name] = found
    return told


def _lost(values: pd.Series, found: pd.Series) -> pd.Series:
    """Which cells said something that was not understood."""
    if found is values:
        return pd.Series(False, index=values.index)
    return values.notna() & found.isna() & ~values.astype("str").isin(["", "NA", "N/A", "NaN", "nan", "null", "NULL"])


def _compact(values: pd.Series) -> pd.Series:
    """float32 instead of float64, except for whole numbers above 2**24 and numbers above 3e38, which it cannot hold."""
    if values.dtype != np.float64:
        return values
    array = values.to_numpy()
    largest = np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array))
    if largest > np.finfo(np.float32).max or (largest > 2**24 and (array[np.isfinite(array)] % 1 == 0).all()):
        return values
    return values.astype(np.float32)


def weights(values: pd.Series, source: str) -> pd.Series:
    """How much each row counts. Raises DataError for what is not a finite number above or at 0, and where all are 0."""
    found = _numbers(values).astype("float64")
    wrong = ~(np.isfinite(found) & (found >= 0))
    if wrong.any() or not found.any():
        held = shorten(f"{id} = {value}" for id, value in values[wrong].items()) or "0 in all of them"
        raise DataError(
            f"{source} column {values.name!r} is no weight in {int(wrong.sum()) or len(found)} rows: {held}\n"
            "a weight is a number from 0 up, in each row, and above 0 in some"
        )
    return found


def _numbers(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values
    return pd.to_numeric(values.astype("str"), errors="coerce")  # as text: a date would become nanoseconds


def _dates(values: pd.Series, date_format: str) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        return values
    if pd.api.types.is_numeric_dtype(values):  # a year is a number, and a column without any value is read as numbers
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[s]")
    return pd.to_datetime(values.mask(values == ""), format=date_format or "ISO8601", errors="coerce")


_READ = {"numeric": lambda values, column: _numbers(values), "date": lambda values, column: _dates(values, column.date_format)}  # kind -> cells as its type; NaN where they are none

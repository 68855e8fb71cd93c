"""Reads tables and types their columns: a file becomes a frame whose index is the text id, sorted, with one kind for each column.

Ids are text and sorted, so that neither leading zeros nor the order of a file can change a result. Kinds are inferred from the
training rows alone.
"""

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kit.errors import DataError, bullets, shorten

FEATURE_KINDS = ("numeric", "category", "date", "text", "image", "audio")
ROLE_KINDS = ("id", "group", "time", "weight", "target", "drop")
TEXT_KINDS = ("category", "text", "image", "audio", "group")  # never read as numbers where the config names them
MEDIA = {"image": (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"), "audio": (".wav", ".flac", ".ogg", ".mp3")}
LARGE = 1 << 26  # bytes; a CSV file beyond is parsed as it lies on the disk, not from memory
LARGEST_BLOCK = 1 << 24  # bytes; types are inferred from the first block of a file
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
    truth        what the training rows should give: `id`, the targets, and what the metric needs besides; in the order of train
    schema       each feature column's kind
    roles        group, time, weight, given -> the values of the training rows
    notes        what a person should know: columns left out and why
    """

    train: pd.DataFrame
    test: pd.DataFrame
    truth: pd.DataFrame
    schema: dict[str, Column]
    roles: dict[str, pd.Series] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    gallery: pd.DataFrame | None = None

    def of_kind(self, kind: str) -> list[str]:
        return [name for name, column in self.schema.items() if column.kind == kind]


# --- reading ---------------------------------------------------------------------------------------------------------------------


def locate(path: Path) -> Path:
    """The file, or the same file packed as Kaggle packs it. Raises DataError if there is neither."""
    candidates = [path, Path(f"{path}.gz"), Path(f"{path}.zip"), path.with_suffix(".zip")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    there = sorted(p.name for p in path.parent.iterdir())[:8] if path.parent.is_dir() else []
    lies = f"the folder holds {shorten(there, 8)}" if there else "the folder is empty or missing"
    raise DataError(f"no {path.name} in {path.parent}\n{lies}; also looked for {', '.join(c.name for c in candidates[1:])}")


def read(path: Path, *, text: Iterable[str] | None = (), separator: str = "", encoding: str = "") -> pd.DataFrame:
    """A CSV (also .gz, or the only CSV in a .zip) or parquet file as a frame, its columns in the file's order.

    text  columns never read as numbers, None for all. Elsewhere numbers, ISO dates and text are told apart by their values; "NA" is missing
          in a numeric column and a word in a text column; an empty field is missing in both
    Raises DataError: empty file, duplicated header, ragged rows, undecodable text.
    """
    path = locate(Path(path))
    if path.suffix == ".parquet":
        frame = _parquet(path)
        for name in set(frame.columns) if text is None else set(text) & set(frame.columns):
            frame[name] = frame[name].astype("str")
        return _with_plain_dates(frame)
    large = path.suffix not in (".gz", ".zip") and path.stat().st_size > LARGE
    source = path if large and _is_utf8(path, encoding) else _as_utf8(_bytes(path), encoding, path)
    head = _head(source)
    if not head.strip():
        raise DataError(f"{path} is empty\nexpected a header with the names of the columns, then a row an example: fetch the file again")
    header, separator = _header(head, separator, path)
    if isinstance(source, bytes) and len(source) < 1 << 20 and len(source.splitlines()) == 1:
        source += b"\n"  # a header alone must end its line to be read
    table = _parse(source, header, separator, set(header) if text is None else set(text) & set(header), path)
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    return _with_plain_dates(frame)


def _is_utf8(path: Path, encoding: str) -> bool:
    """Whether a large file can be parsed as it lies, without a copy of it in memory."""
    if encoding.lower() not in ("", "utf-8", "utf8"):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        try:
            while chunk := file.read(1 << 22):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False  # the way with all bytes at hand finds the encoding, or the line where it is broken
    return b"\0" not in _head(path)


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[: 1 << 20]
    with open(source, "rb") as file:
        return file.read(1 << 20)


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pa.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}\nfetch it again") from error
    plain = {pa.types.is_dictionary: lambda t: t.value_type, pa.types.is_decimal: lambda t: pa.float64()}
    schema = [pa.field(f.name, next((to(f.type) for isit, to in plain.items() if isit(f.type)), f.type)) for f in table.schema]
    return table.cast(pa.schema(schema)).to_pandas(ignore_metadata=True)


def _bytes(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                inside = [n for n in archive.namelist() if n.lower().endswith((".csv", ".tsv")) and not n.startswith("__MACOSX")]
                if len(inside) != 1:
                    raise DataError(f"{path} should hold one CSV file, and holds {len(inside)}: {shorten(inside)}\nunzip it beside itself")
                return archive.read(inside[0])
        return path.read_bytes()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}\nis it whole? fetch it again") from error


def _as_utf8(data: bytes, encoding: str, path: Path) -> bytes:
    if encoding.lower() in ("", "utf-8", "utf8"):
        marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
        encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "utf-8")
    how = 'name its encoding, for example input.encoding = "cp1251" or "latin-1"'
    try:
        if encoding != "utf-8":
            return data.decode(encoding).encode()
        pa.array([data], pa.binary()).cast(pa.string())  # checks the bytes without a copy in Python
    except pa.ArrowCapacityError:
        return data  # over 2 GB: the parser itself will check
    except (UnicodeError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} is not {encoding} text, first in line {_undecodable_line(data, encoding)}\n{how}") from error
    except LookupError as error:
        raise DataError(f'input.encoding = "{encoding}" is not an encoding that Python knows\n{how}') from error
    if b"\0" in data[:4096]:
        raise DataError(f'{path} is not utf-8 text: it holds NUL bytes\nname its encoding, for example input.encoding = "utf-16-le"')
    return data


def _undecodable_line(data: bytes, encoding: str) -> int:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    except UnicodeError:  # UTF-16 without its mark
        return 1
    raise AssertionError("what could not be decoded can be")


def _header(head: bytes, separator: str, path: Path) -> tuple[list[str], str]:
    first = head.decode("utf-8-sig", errors="replace").lstrip("\r\n")
    line = re.split(r"[\r\n]", _unquoted(first), maxsplit=1)[0]
    separator = separator or max(",;\t|", key=line.count)
    try:
        header = next(csv.reader(io.StringIO(first, newline=None), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path} has a header that cannot be read: {error}\nis a quote in it never closed?") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} names a column twice in its header: {shorten(twice)}\nrename one of them")
    return header, separator


def _unquoted(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)


def _parse(source: Path | bytes, header: list[str], separator: str, text: set[str], path: Path) -> pa.Table:
    types: dict[str, pa.DataType] = {name: pa.string() for name in text}
    ragged: list[str] = []

    def note_ragged(row) -> str:
        ragged.append(f"row {row.number}: {row.actual_columns} fields" if row.number else f"{row.actual_columns} fields: {row.text[:60]!r}")
        return "skip"

    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    block = min(max(size + 1, 1 << 20), LARGEST_BLOCK)
    while True:
        ragged.clear()
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source)),
                read_options=pyarrow.csv.ReadOptions(block_size=block, use_threads=size > 1 << 24),
                parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note_ragged),
                convert_options=pyarrow.csv.ConvertOptions(column_types=types, true_values=["True", "true", "TRUE"], false_values=["False", "false", "FALSE"]),
            )
        except pa.ArrowInvalid as error:
            column = re.search(r"In CSV column #(\d+)", str(error))
            if column is None:
                raise DataError(f"{path} cannot be read as CSV: {error}") from error
            name = header[int(column.group(1))]  # a value beyond the first block did not fit the type inferred there
            types[name] = pa.float64() if types.get(name) is None and "to int64" in str(error) else pa.string()
            continue
        break
    if ragged:
        raise DataError(
            f"{path} has {len(ragged)} rows that do not have the header's {len(header)} fields\n"
            f"{shorten(ragged)} (the header is row 1)\n"
            f"mend them; a comma inside a field needs quotes around it; is the separator {separator!r}?"
        )
    _check_last_quote(source, table, path)
    odd = {n: pa.float64() for n in header if pa.types.is_null(table.schema.field(n).type)}
    odd |= {n: pa.string() for n in header if pa.types.is_time(table.schema.field(n).type)}
    return table.cast(pa.schema([(n, odd.get(n, table.schema.field(n).type)) for n in header])) if odd else table


def _check_last_quote(source: Path | bytes, table: pa.Table, path: Path) -> None:
    """Raises DataError where a quote that is never closed has swallowed the rest of the file into one field of its last row."""
    if not len(table) or _quotes(source) % 2 == 0:
        return
    last = table.slice(len(table) - 1).to_pylist()[0]
    swallowed = [name for name, value in last.items() if isinstance(value, str) and "\n" in value]
    if swallowed:
        raise DataError(
            f"{path} ends inside a quoted field: column {swallowed[-1]!r} of data row {len(table)}, "
            f"which begins with {last[swallowed[-1]][:30]!r}\n"
            "its quote is never closed: close it, and write a quote inside a quoted field twice"
        )


def _quotes(source: Path | bytes) -> int:
    if isinstance(source, bytes):
        return source.count(b'"')
    with open(source, "rb") as file:
        return sum(chunk.count(b'"') for chunk in iter(lambda: file.read(1 << 22), b""))


def _with_plain_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """Dates as datetime64 without a zone (UTC where one was given); booleans as the numbers 0 and 1."""
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.DatetimeTZDtype):
            frame[name] = frame[name].dt.tz_convert("UTC").dt.tz_localize(None)
        elif pd.api.types.is_object_dtype(dtype) and len(frame) and hasattr(frame[name].dropna().iloc[:1].squeeze(), "toordinal"):
            frame[name] = pd.to_datetime(frame[name])
        elif pd.api.types.is_object_dtype(dtype) and set(frame[name].dropna().unique()) <= {True, False}:
            frame[name] = frame[name].astype("float64")
        elif pd.api.types.is_bool_dtype(dtype):
            frame[name] = frame[name].astype("int64")
    return frame


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
    hashes = pd.util.hash_pandas_object(frame, index=False).map(lambda h: f"{h:016x}")
    copies = hashes.groupby(hashes).cumcount()
    return [h if c == 0 else f"{h}-{c}" for h, c in zip(hashes, copies)]


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


def _date_format(values: pd.Series) -> str:
    if not values.str.contains(r"\d").all() or values.str.len().max() > 26:
        return ""
    return next((f for f in _DATE_FORMATS if pd.to_datetime(values, format=f, errors="coerce").notna().all()), "")


def typed(frame: pd.DataFrame, schema: dict[str, Column], source: str) -> pd.DataFrame:
    """The columns of the schema, each in its kind's type: numbers, datetime64, else text with "" as missing.

    Numbers with a fraction become float32: what any model here reads, in half the memory. The frame is used up: its columns are freed
    one by one.

    Raises DataError naming every column that is missing or whose values are of another type.
    """
    problems, columns = [], {}
    for name, column in schema.items():
        if name not in frame:
            problems.append(f"{source} lacks column {name!r}, which the training rows have")
            continue
        values = frame.pop(name)
        if column.kind == "numeric":
            columns[name] = _numbers(values)
        elif column.kind == "date":
            columns[name] = _dates(values, column.date_format)
        else:
            columns[name] = values.astype("str").mask(values.isna() | (values.astype("str") == ""))
        if column.kind in ("numeric", "date") and columns[name] is not values:
            lost = values.notna() & columns[name].isna() & ~values.astype("str").isin(["", "NA", "N/A", "NaN", "nan", "null", "NULL"])
            if lost.any():
                held = f"a {column.kind} column in the training rows"
                problems.append(f"{source} column {name!r} holds {shorten(values[lost].unique(), 3)} in {int(lost.sum())} rows: it is {held}")
        if column.kind == "numeric":
            columns[name] = _compact(columns[name])
    if problems:
        raise DataError(bullets(problems) + "\nmend the file, or set the column's kind, for example input.columns.category = [...]")
    return pd.DataFrame(columns, index=frame.index, copy=False)


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



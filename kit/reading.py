"""Reads a table's file into a frame: CSV as Kaggle packs it, or parquet; what is wrong with a file is said with its line.

Numbers, dates and text are told apart by the values; what the config says is text is never read as a number.
"""

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kit.errors import DataError, shorten

LARGE = 1 << 26  # bytes; a CSV file beyond is parsed as it lies on the disk, not from memory
LARGEST_BLOCK = 1 << 24  # bytes; types are inferred from the first block of a file


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
    point = _decimal_point(head, separator)
    table = _parse(source, header, separator, point, set(header) if text is None else set(text) & set(header), path)
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


def separator_of(path: Path, *, separator: str = "", encoding: str = "") -> str:
    """What stands between the fields of a CSV file. Raises DataError where it cannot be read."""
    path = locate(Path(path))
    return _header(_head(_as_utf8(_bytes(path), encoding, path)), separator, path)[1]


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


def _decimal_point(head: bytes, separator: str) -> str:
    """A comma where numbers are written 1,5 and none 1.5, as spreadsheets of many countries do between semicolons or tabs."""
    fields = [] if separator == "," else re.split(rf"[{re.escape(separator)}\r\n]", head.decode("utf-8", errors="replace"))
    commas, points = (sum(bool(re.fullmatch(rf'"?-?\d+{mark}\d+"?', f)) for f in fields) for mark in (",", r"\."))
    return "," if commas and not points else "."


def _parse(source: Path | bytes, header: list[str], separator: str, point: str, text: set[str], path: Path) -> pa.Table:
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
                convert_options=pyarrow.csv.ConvertOptions(column_types=types, decimal_point=point, true_values=["True", "true", "TRUE"], false_values=["False", "false", "FALSE"]),
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

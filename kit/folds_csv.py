"""folds.csv: each row's role in each fold, written, read back by id, and hashed.

The ids are sorted in it, so that its bytes and its hash do not depend on the order of the rows.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kit import files
from kit.errors import FoldError, RunError, shorten
from kit.folds import Fold

ROLES = ("unused", "train", "valid")


def _role_codes(fold: Fold, n: int) -> np.ndarray:
    codes = np.zeros(n, np.int8)
    codes[fold.train], codes[fold.valid] = ROLES.index("train"), ROLES.index("valid")
    return codes


def roles(fold: Fold, n: int) -> np.ndarray:
    """(n,) text: "train", "valid" or "unused"."""
    return np.array(ROLES)[_role_codes(fold, n)]


def _sorted(ids: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    texts = pa.array(ids, pa.string())
    order = pc.sort_indices(texts)
    return texts.take(order), order.to_numpy()


def write(path: Path, ids: np.ndarray, folds: Iterable[Fold]) -> None:
    """folds.csv: a line for each repeat, fold and id, the ids sorted."""
    texts, order = _sorted(ids)
    schema = pa.schema({"id": pa.string(), "repeat": pa.int64(), "fold": pa.int64(), "role": pa.string()})
    with files.whole(path) as temporary, pacsv.CSVWriter(temporary, schema) as writer:
        for fold in folds:  # one at a time: repeats of a million rows need not fit in memory
            role = pa.array(ROLES).take(pa.array(_role_codes(fold, len(ids))[order]))
            repeat, number = (pa.array(np.full(len(ids), value)) for value in (fold.repeat, fold.fold))
            writer.write_batch(pa.record_batch([texts, repeat, number, role], schema=schema))


def read(path: Path, ids: np.ndarray) -> list[Fold]:
    """The folds in folds.csv as positions into `ids`, whatever order these are in.

    Raises RunError if the file is missing or is not a folds.csv, FoldError if a fold in it does not have each of `ids` once.
    """
    types = {"id": pa.string(), "repeat": pa.int64(), "fold": pa.int64(), "role": pa.string()}
    try:
        table = pacsv.read_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
        )
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: is its folder a whole run?") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise RunError(f"{path} is not a folds.csv: {error}\nexpected the columns {', '.join(types)}") from error

    role = pc.index_in(table["role"], pa.array(ROLES)).fill_null(-1).to_numpy()
    if (role < 0).any():
        strange = pc.unique(table["role"].filter(pa.array(role < 0))).to_pylist()
        raise RunError(f"{path} has roles that are not {', '.join(ROLES)}: {shorten(strange)}")
    repeat, number = table["repeat"].to_numpy(), table["fold"].to_numpy()
    position = pc.index_in(table["id"], pa.array(ids, pa.string())).fill_null(-1).to_numpy()
    folds = []
    for part in np.split(np.arange(len(role)), np.flatnonzero((np.diff(repeat) != 0) | (np.diff(number) != 0)) + 1):
        lines = np.bincount(position[part] + 1, minlength=len(ids) + 1)  # of no id, then of each id
        if lines[0] or (lines[1:] != 1).any():
            raise FoldError(_other_ids(path, table["id"].take(part).to_pylist(), ids, lines[1:]))
        role_of = np.empty(len(ids), np.int64)
        role_of[position[part]] = role[part]
        train, valid = (np.flatnonzero(role_of == ROLES.index(word)) for word in ("train", "valid"))
        folds.append(Fold(int(repeat[part[0]]), int(number[part[0]]), train, valid))
    return folds


def ids(path: Path) -> np.ndarray:
    """The ids that a folds.csv is about, as text. Raises RunError if the file is missing or has no such column."""
    try:
        told = pacsv.read_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types={"id": pa.string()}, include_columns=["id"], null_values=[]),
        )
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: is its folder a whole run?") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise RunError(f"{path} is not a folds.csv: {error}\nexpected a column id") from error
    return told["id"].unique().to_numpy(zero_copy_only=False)


def _other_ids(path: Path, found: list[str], ids: np.ndarray, lines: np.ndarray) -> str:
    known = set(ids.tolist())
    differences = {"has unknown ids": [id for id in found if id not in known], "lacks": ids[lines == 0], "repeats": ids[lines > 1]}
    what = "; ".join(f"{verb} {len(which)}: {shorten(which)}" for verb, which in differences.items() if len(which))
    return f"{path} is not about these {len(ids)} training rows: it {what}\nthe data have changed since: train again for a new run"


def fingerprint(ids: np.ndarray, folds: Iterable[Fold]) -> str:
    """16 hex digits over ids and roles; the order of the rows does not matter."""
    texts, order = _sorted(ids)
    digest = hashlib.sha256("\0".join(texts.to_pylist()).encode())
    for fold in folds:
        digest.update(f"\n{fold.repeat} {fold.fold}\n".encode() + _role_codes(fold, len(ids))[order].tobytes())
    return digest.hexdigest()[:16]

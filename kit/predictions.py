"""The out-of-fold contract: which ids are covered, and what was predicted for them.

One shape for every task and estimator, so that any two can be blended. A row that no fold predicted is missing, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from kit.errors import DataError, RunError, shorten
from kit.files import whole


@dataclass(frozen=True)
class Predictions:
    """
    ids   the covered ids, as text, each once, sorted
    rows  `id` and the task's columns, sorted by id; no row for an id that is covered and has no answers (a picture without objects)
    """

    ids: np.ndarray
    rows: pd.DataFrame

    def __post_init__(self):
        assert pd.Index(self.ids).is_unique, "an id is covered twice"
        assert self.rows.columns[0] == "id" and _among(self.rows["id"], self.ids).all(), "rows of ids that are not covered"

    @staticmethod
    def of(ids: Sequence[str], columns: dict[str, np.ndarray]) -> "Predictions":
        """One row an id. Raises DataError where a number is missing or infinite: a model that says nothing must not pass for one that does."""
        ids = np.asarray(ids, dtype=object)
        rows = pd.DataFrame({"id": pd.Series(ids, dtype="str"), **columns})
        if not pd.Index(ids).is_monotonic_increasing:
            rows = rows.sort_values("id", kind="stable", ignore_index=True)
            ids = rows["id"].to_numpy(dtype=object)
        _check_finite(rows)
        return Predictions(ids, rows)

    @staticmethod
    def many(ids: Sequence[str], rows: pd.DataFrame) -> "Predictions":
        """Any number of rows an id; an id without any is covered, and nothing was found there. Raises DataError as `of` does.

        rows  `id` first; the rows of one id keep their order
        """
        ids = np.sort(np.asarray(ids, dtype=object))
        rows = rows.assign(id=rows["id"].astype("str"))
        if not rows["id"].is_monotonic_increasing:
            rows = rows.sort_values("id", kind="stable")
        rows = rows.reset_index(drop=True)
        _check_finite(rows)
        return Predictions(ids, rows)

    def each(self, ids: Sequence[str]) -> list[slice]:
        """For each of these ids the place of its rows. Raises DataError for ids that are not covered."""
        lacking = pd.Index(ids).difference(pd.Index(self.ids))
        if len(lacking):
            raise DataError(f"{len(lacking)} ids have no prediction: {shorten(lacking)}")
        held = self.rows["id"].to_numpy(dtype=object)
        starts, ends = (np.searchsorted(held, np.asarray(ids, dtype=object), side=side) for side in ("left", "right"))
        return [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist())]

    def take(self, ids: Sequence[str]) -> "Predictions":
        """Only these ids, of those that are covered."""
        rows = self.rows[_among(self.rows["id"], ids)].reset_index(drop=True)
        return Predictions(self.ids[_among(self.ids, ids)], rows)

    def aligned(self, ids: Sequence[str]) -> pd.DataFrame:
        """The task's columns in the order of these ids, one row an id. Raises DataError for ids that are not covered."""
        if _text(self.rows["id"]).equals(_text(ids)):
            return self.rows.drop(columns="id")
        indexed = self.rows.set_index("id")
        lacking = pd.Index(ids).difference(indexed.index)
        if len(lacking):
            raise DataError(f"{len(lacking)} ids have no prediction: {shorten(lacking)}")
        return indexed.loc[list(ids)].reset_index(drop=True)

    def write(self, path: Path) -> None:
        """Parquet; an id that is covered without answers stands as one row whose other columns are null."""
        table = pa.Table.from_pandas(self.rows, preserve_index=False).replace_schema_metadata()
        empty = pd.Index(self.ids).difference(pd.Index(self.rows["id"]))  # numpy's own is quadratic for text
        if len(empty):  # in Arrow, where a whole number beside a null stays a whole number
            nulls = pa.table({"id": pa.array(empty, table.schema.field("id").type)})
            table = pa.concat_tables([table, nulls], promote_options="default").sort_by("id")
        with whole(path) as temporary:
            pa.parquet.write_table(table, temporary, compression="zstd")

    @staticmethod
    def read(path: Path) -> "Predictions":
        try:
            table = pa.parquet.read_table(path)
        except FileNotFoundError as error:
            raise RunError(f"{path} is missing: is its run finished?") from error
        ids = table["id"].unique().to_numpy(zero_copy_only=False)
        answered = np.any([np.asarray(column.is_valid()) for column in table.drop_columns("id").columns], axis=0)
        return Predictions(ids, table.filter(answered).to_pandas())


@dataclass(frozen=True)
class Ranked:
    """What an estimator found of many classes: the best few of each row.

    positions  (n, k) int64 class positions, each once a row; -1 where there are fewer
    scores     (n, k) float64
    """

    positions: np.ndarray
    scores: np.ndarray


def _check_finite(rows: pd.DataFrame) -> None:
    for name in rows:
        if pd.api.types.is_float_dtype(rows[name]):
            wrong = ~np.isfinite(rows[name])
            if wrong.any():
                raise DataError(f"{int(wrong.sum())} predictions of {name} are not finite numbers, for ids {shorten(rows.id[wrong])}")


def _among(ids: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """(n,) bool: which ids are among the others. In Arrow, which need not make a Python object of each."""
    return np.asarray(pc.is_in(_text(ids), value_set=_text(others)))


def _text(ids: Sequence[str]) -> pa.ChunkedArray:
    array = pa.array(ids if isinstance(ids, (np.ndarray, pd.Series, pd.Index)) else list(ids), pa.large_string())
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions for different ids put together."""
    rows = pd.concat([p.rows for p in parts]).sort_values("id", kind="stable", ignore_index=True)
    return Predictions(np.sort(np.concatenate([p.ids for p in parts])), rows)

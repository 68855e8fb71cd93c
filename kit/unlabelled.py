"""Columns that a network learned without labels makes of a table's own: beside these, for any model, the same in all folds.

No label was near them, so all rows get them at once; but test rows were looked at, which a run that has them records.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from kit.encoders import Encoders
from kit.errors import ConfigError, DataError, shorten
from kit.files import whole
from kit.registry import needed
from kit.tables import Column

KINDS = ("numeric", "category", "date")  # of the columns that are learned from
WEIGHTS, ENCODERS = "weights.safetensors", "encoders.json"  # of one folder
_NAME = "unlabelled_"


@dataclass(frozen=True)
class Learned:
    """
    source    the file of weights
    encoders  of the rows that it makes columns of
    network   zoo._denoising.Learned
    """

    source: Path
    encoders: Encoders
    network: Any

    @staticmethod
    def open(path: Path) -> "Learned":
        """Raises ConfigError where `path` is no file that `kit pretrain` wrote for tables."""
        remedy = "make one: kit pretrain COMPETITION"
        if not path.is_file():
            raise ConfigError(f'model.weights = "{path}": no such file; expected "none" or the file that `kit pretrain` wrote\n{remedy}')
        denoising = needed("kit.zoo._denoising", "model.weights")
        try:
            with safe_open(path, "numpy") as file:
                told = file.metadata() or {}
        except SafetensorError as error:
            raise ConfigError(f'model.weights = "{path}" is no whole file of weights: {error}\n{remedy}') from error
        if denoising.KIND not in told:
            raise ConfigError(
                f'model.weights = "{path}" was not learned from tables, and this model takes no pictures\n'
                f"{remedy} pretrain.method={denoising.KIND}"
            )
        if not (path.parent / ENCODERS).is_file():
            raise ConfigError(f'model.weights = "{path}": no {ENCODERS} beside it\nthe two belong together: copy both, or {remedy}')
        return Learned(path, Encoders.load(path.parent / ENCODERS), denoising.Learned.load(path))

    @property
    def exception(self) -> str:
        """What it has seen of the test rows, in words."""
        return f"{self.source} was pretrained on {self.network.rows} rows of train and test, without labels"

    @property
    def names(self) -> list[str]:
        return [f"{_NAME}{n}" for n in range(self.network.shape["width_out"])]

    def schema(self, schema: dict[str, Column]) -> dict[str, Column]:
        """The schema with the columns that are made. Raises DataError where a column that they are made of is not in it."""
        lacking = [f"{n} ({c.kind})" for n, c in self.encoders.schema.items() if n not in schema or schema[n].kind != c.kind]
        if lacking:
            raise DataError(
                f'model.weights = "{self.source}" needs {len(lacking)} columns that these tables lack or hold as another kind: {shorten(lacking)}\n'
                "is it another competition's, or did the columns change since? learn again: kit pretrain COMPETITION"
            )
        if twice := [n for n in self.names if n in schema]:
            raise DataError(f"model.weights makes columns that the tables have already: {shorten(twice)}\nleave them out: input.drop = [...]")
        return {**schema, **dict.fromkeys(self.names, Column("numeric"))}

    def beside(self, rows: pd.DataFrame, threads: int) -> pd.DataFrame:
        """The rows with the columns that are made of them."""
        made = self.network.columns(self.encoders.transform(rows), threads)
        return pd.concat([rows, pd.DataFrame(made, index=rows.index, columns=self.names)], axis=1)

    def copy(self, folder: Path) -> None:
        """Its files in a folder of a run, which then needs no other."""
        for name, source in ((WEIGHTS, self.source), (ENCODERS, self.source.parent / ENCODERS)):
            with whole(folder / name) as temporary:
                temporary.write_bytes(source.read_bytes())

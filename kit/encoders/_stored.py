"""What encoders of files have in common: a store for each column, whose rows are handed on as they are, or are columns of frozen features."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from kit.encoders import Features, Gathering
from kit.errors import ConfigError
from kit.files import fingerprint, whole
from kit.stores import Block, Store


@dataclass(frozen=True)
class Gathered:
    """features  (n, d) float32 of each row of the store, NaN where there is none; None for a model that takes the files"""

    store: Store
    features: np.ndarray | None


class Stored:
    """An encoder that learns nothing: its `gather` gives a Gathered for each column.

    block  what a model that takes the files is given
    """

    block: type[Block]
    stores: dict[str, Gathered]

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        return self.transform(columns)

    def transform(self, columns: pd.DataFrame) -> Features:
        parts = []
        for name in columns:
            gathered, rows = self.stores[name], columns[name].to_numpy(dtype=np.int64)
            if gathered.features is None:
                parts.append(Features.of(len(columns)))
                parts[-1].media[name] = self.block(gathered.store, rows)
            else:
                parts.append(beside(name, gathered.features[rows]))
        return Features.beside(parts)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """There is nothing that was learned."""


def beside(name: str, values: np.ndarray) -> Features:
    """Frozen features as columns. values  (n, d) float32"""
    return Features(values, [f"{name}_{k}" for k in range(values.shape[1])], np.empty((len(values), 0), np.int32), [], [])


def computed_once(how: Gathering, kind: str, told: str, begun: list[Path], make: Callable[[], np.ndarray]) -> np.ndarray:
    """(n, d) float32: what `make` gives, kept in the cache. What a network says of [model] is said of [encoders.KIND], which asked for its features.

    told   all that decides the values, besides the bytes of
    begun  files that they are begun from: another checkpoint of the same name gives others
    """
    told += f" {fingerprint(begun)}" if begun else ""
    path = None if how.folder is None else how.folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.features.safetensors"
    if path is not None and path.is_file():
        return load_file(path)["features"]
    try:
        values = make()
    except ConfigError as error:
        raise ConfigError(str(error).replace("model.weights", f"encoders.{kind}.weights").replace("model.architecture", f"encoders.{kind}.features")) from error
    if path is not None:
        with whole(path) as temporary:
            save_file({"features": values}, temporary)
    return values

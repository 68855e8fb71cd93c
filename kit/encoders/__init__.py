"""Encoders turn typed columns into features; what they learn, they learn from the rows they are fitted on.

Each file holds the encoder of one column kind: `fit_transform(columns, goal, group)` for the training rows of a fold,
`transform(columns)` for all other rows, `state()` and `restore(state)` as JSON. All give Features, so that an estimator need not
know where a feature came from. Files that cells name, such as pictures, are gathered once for all folds: nothing is learned from them.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from kit.files import read_json, write_json
from kit.registry import find
from kit.tables import FEATURE_KINDS, Column


@dataclass
class Features:
    """
    dense   (n, d) float32, or float64 where whole numbers need it; missing is NaN
    codes   (n, c) int32 category codes: 0 is missing or never seen in training, `sizes[j]` counts the codes of column j, 0 included
    sparse  (n, s) CSR float32, or None
    media   column -> pictures, tokens or sounds of the n rows, for a model that takes them as they are. Each such block has a `kind`
            (image, text, audio), `there` (n,) bool: False where a row has none, `take(rows)`, and a `key` that tells what it holds
    """

    dense: np.ndarray
    dense_names: list[str]
    codes: np.ndarray
    code_names: list[str]
    sizes: list[int]
    sparse: scipy.sparse.csr_matrix | None = None
    media: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(n: int, *, dense: dict[str, np.ndarray] | None = None, codes: dict[str, tuple[np.ndarray, int]] | None = None, sparse=None) -> "Features":
        dense, codes = dense or {}, codes or {}
        return Features(
            np.column_stack(list(dense.values())) if dense else np.empty((n, 0), np.float32),
            list(dense),
            np.column_stack([c for c, _ in codes.values()]).astype(np.int32) if codes else np.empty((n, 0), np.int32),
            list(codes),
            [size for _, size in codes.values()],
            sparse,
        )

    def __len__(self) -> int:
        return len(self.dense)

    @staticmethod
    def beside(parts: list["Features"]) -> "Features":
        """The features of the same rows, side by side."""
        filled = [p.dense for p in parts if p.dense.shape[1]] or [parts[0].dense]
        sparse = [p.sparse for p in parts if p.sparse is not None]
        return Features(
            filled[0] if len(filled) == 1 else np.hstack(filled),
            [n for p in parts for n in p.dense_names],
            np.hstack([p.codes for p in parts]),
            [n for p in parts for n in p.code_names],
            [s for p in parts for s in p.sizes],
            scipy.sparse.hstack(sparse, format="csr") if sparse else None,
            {name: block for p in parts for name, block in p.media.items()},
        )

    def take(self, rows: np.ndarray) -> "Features":
        """rows  (m,) positions, or (n,) bool"""
        sparse = None if self.sparse is None else self.sparse[rows]
        return replace(self, dense=self.dense[rows], codes=self.codes[rows], sparse=sparse, media={k: v.take(rows) for k, v in self.media.items()})


@dataclass
class Examples:
    """Encoded rows, and for training rows what they should give.

    target  as the task encodes it; None for rows to predict
    weight  (n,) or None for equal weights
    """

    ids: np.ndarray
    features: Features
    target: np.ndarray | None = None
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Examples":
        """rows  (m,) positions, or (n,) bool"""
        target, weight = (None if v is None else v[rows] for v in (self.target, self.weight))
        return Examples(self.ids[rows], self.features.take(rows), target, weight)


@dataclass(frozen=True)
class Gathering:
    """Where gathered files are kept for later, and how they are read.

    folder   of the cache; None keeps nothing
    takes    column kinds that the model takes as they are: of others, numbers are made
    tokenizer  that the model's weights go with: as Hugging Face names it, a folder, or "package"; "" is one that is learned in the fold
    threads  that read at once
    """

    folder: Path | None = None
    takes: tuple[str, ...] = ()
    threads: int = 1
    progress: Callable[[str], None] = lambda line: None
    tokenizer: str = ""


@dataclass
class Encoders:
    """One encoder for each column kind in the table.

    schema   column -> kind; only features are encoded
    options  column kind -> the encoder's options
    stores   column -> what was gathered for it
    """

    schema: dict[str, Column]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    seed: int = 0
    fitted: dict[str, Any] = field(default_factory=dict)
    stores: dict[str, Any] = field(default_factory=dict)

    def _columns(self, kind: str) -> list[str]:
        return [name for name, column in self.schema.items() if column.kind == kind]

    def fit_transform(self, rows: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None = None) -> Features:
        """
        goal   (n, m) float: the target as numbers, a column a class for many classes
        group  (n,) or None: rows that an encoding of the target must not look across
        """
        parts = []
        self.fitted = {}
        for kind in FEATURE_KINDS:
            names = self._columns(kind)
            if names:
                encoder = self._encoder(kind)
                self.fitted[kind] = encoder
                parts.append(encoder.fit_transform(rows[names], goal, group, zlib.crc32(f"{kind}{self.seed}".encode())))
        return Features.beside(parts)

    def _encoder(self, kind: str) -> Any:
        encoder = find("encoders", kind)(**self.options.get(kind, {}))
        if hasattr(encoder, "gather"):
            encoder.stores = {name: self.stores[name] for name in self._columns(kind) if name in self.stores}
        return encoder

    def transform(self, rows: pd.DataFrame) -> Features:
        return Features.beside([encoder.transform(rows[self._columns(kind)]) for kind, encoder in self.fitted.items()])

    def save(self, path: Path) -> None:
        write_json(
            path,
            {
                "schema": {name: [c.kind, c.date_format] for name, c in self.schema.items()},
                "options": self.options,
                "seed": self.seed,
                "state": {kind: encoder.state() for kind, encoder in self.fitted.items()},
            },
        )

    @staticmethod
    def load(path: Path, stores: dict[str, Any] | None = None) -> "Encoders":
        saved = read_json(path)
        encoders = Encoders({n: Column(*c) for n, c in saved["schema"].items()}, saved["options"], saved["seed"], stores=stores or {})
        for kind, state in saved["state"].items():
            encoders.fitted[kind] = encoders._encoder(kind)
            encoders.fitted[kind].restore(state)
        return encoders


def gathered(
    train: pd.DataFrame | None, test: pd.DataFrame, schema: dict[str, Column], options: dict[str, dict[str, Any]], how: Gathering
) -> tuple[pd.DataFrame | None, pd.DataFrame, dict[str, Any]]:
    """The frames with positions in the place of the files that their cells name, and column -> the store that they are positions in.

    train  None where only new rows are to be predicted
    """
    stores: dict[str, Any] = {}
    for name, column in schema.items():
        encoder = find("encoders", column.kind)(**options.get(column.kind, {}))
        if not hasattr(encoder, "gather"):
            continue
        frames = [test] if train is None else [train, test]
        cells = np.concatenate([f[name].to_numpy(dtype=object) for f in frames])
        stores[name] = encoder.gather(name, cells, 0 if train is None else len(train), how)
        places = np.arange(len(cells))
        if train is not None:
            train = train.assign(**{name: places[: len(train)]})
        test = test.assign(**{name: places[len(places) - len(test) :]})
    return train, test, stores

"""Nearest neighbours on scaled features: their mean, or their classes' shares, nearer ones weighing more."""

from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.neighbors import NearestNeighbors

from kit.encoders import Examples
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler


class Knn:
    watches = False

    def __init__(self, setup: Setup, *, neighbours: int = 20, most_rows: int = 50_000):
        """
        neighbours  of each row
        most_rows   training rows beyond this are left out by a seeded draw, since each prediction looks at all
        """
        self.setup, self.neighbours, self.most_rows = setup, neighbours, most_rows
        self.scaler = Scaler()
        self.rows: dict[str, np.ndarray] = {}

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        kept = np.sort(np.random.default_rng(self.setup.seed).permutation(len(train))[: self.most_rows])
        x = scipy.sparse.csr_matrix(self.scaler.transform(train.features)[kept])
        target = np.eye(self.setup.outputs)[train.target] if self.setup.task == "multiclass" else train.target.reshape(len(train), -1)
        self.rows = {"data": x.data, "indices": x.indices, "indptr": x.indptr, "shape": np.array(x.shape), "target": target[kept]}

    def predict(self, rows: Examples) -> np.ndarray:
        x = scipy.sparse.csr_matrix((self.rows["data"], self.rows["indices"], self.rows["indptr"]), shape=tuple(self.rows["shape"]))
        asked, target = self.scaler.transform(rows.features), self.rows["target"]
        dense = not scipy.sparse.issparse(asked)
        search = NearestNeighbors(n_neighbors=min(self.neighbours, len(target)), algorithm="brute", n_jobs=self.setup.threads)
        distance, place = search.fit(x.toarray() if dense else x).kneighbors(asked)
        weight = 1 / (distance + 1e-3 + distance.mean(axis=1, keepdims=True))
        return np.einsum("nk,nko->no", weight / weight.sum(axis=1, keepdims=True), target[place])

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", {**self.rows, **{f"scaler.{k}": v for k, v in self.scaler.state.items()}})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.rows = {k: v for k, v in arrays.items() if not k.startswith("scaler.")}

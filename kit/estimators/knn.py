"""Nearest neighbours on scaled features: their mean, or their classes' shares, nearer ones weighing more."""

from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import NearestNeighbors

from kit.encoders import Examples, Features
from kit.errors import DataError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler
from kit.space import Choice, Whole

_WIDTH = 256  # of the embedding of sparse features


class Knn:
    watches = False
    space = {"neighbours": Whole(1, 100, log=True), "scale": Choice((False, True))}
    embeds = True

    def __init__(self, setup: Setup, *, neighbours: int = 20, most_rows: int = 50_000, scale: bool = True):
        """
        neighbours  of each row
        most_rows   training rows beyond this are left out by a seeded draw, since each prediction looks at all
        scale       False leaves numbers as they are, for features that are to be compared as they come
        """
        self.setup, self.neighbours, self.most_rows = setup, neighbours, most_rows
        self.scaler = Scaler(scale=scale)
        self.rows: dict[str, np.ndarray] = {}
        self.reduction: dict[str, np.ndarray] = {}  # of sparse features, for embeddings

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        kept = np.sort(np.random.default_rng(self.setup.seed).permutation(len(train))[: self.most_rows])
        x = self.scaler.transform(train.features)[kept]
        if scipy.sparse.issparse(x) and self.setup.task == "multiclass":  # the tasks that ask for embeddings learn classes
            self.reduction = self._reduced(x)
        if train.target is None:
            return
        x = scipy.sparse.csr_matrix(x)
        target = train.target if self.setup.task == "multiclass" else train.target.reshape(len(train), -1)
        self.rows = {"data": x.data, "indices": x.indices, "indptr": x.indptr, "shape": np.array(x.shape), "target": target[kept]}

    def _reduced(self, x: scipy.sparse.csr_matrix) -> dict[str, np.ndarray]:
        """Columns that training rows fill (c,), and the right singular vectors of these (c, d): a latent semantic analysis."""
        columns = np.flatnonzero(x.getnnz(axis=0))
        width = min(_WIDTH, len(columns))
        vectors = TruncatedSVD(width, random_state=self.setup.seed).fit(x[:, columns]).components_.T
        return {"columns": columns, "vectors": vectors}

    def predict(self, rows: Examples) -> np.ndarray:
        """Raises DataError where the training rows had no labels."""
        if not self.rows:
            raise DataError("the training rows had no labels: this model finds what looks alike, and predicts no label")
        x = scipy.sparse.csr_matrix((self.rows["data"], self.rows["indices"], self.rows["indptr"]), shape=tuple(self.rows["shape"]))
        asked, target = self.scaler.transform(rows.features), self.rows["target"]
        dense = not scipy.sparse.issparse(asked)
        search = NearestNeighbors(n_neighbors=min(self.neighbours, len(target)), algorithm="brute", n_jobs=self.setup.threads)
        distance, place = search.fit(x.toarray() if dense else x).kneighbors(asked)
        weight = 1 / (distance + 1e-3 + distance.mean(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        if self.setup.task != "multiclass":
            return np.einsum("nk,nko->no", weight, target[place])
        shares = np.zeros((len(place), self.setup.outputs))
        np.add.at(shares, (np.arange(len(place))[:, None], target[place]), weight)
        return shares

    def embed(self, rows: Examples) -> np.ndarray:
        """(n, d) float32 of length 1: the features that neighbours are found by, sparse ones reduced to at most 256; zeros for a row without any."""
        x = self.scaler.transform(rows.features)
        if scipy.sparse.issparse(x):
            assert self.reduction, self.setup.task
            x = x[:, self.reduction["columns"]] @ self.reduction["vectors"]
        x[_empty(rows.features)] = 0
        return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    def save(self, folder: Path) -> None:
        parts = {"scaler": self.scaler.state, "reduction": self.reduction}
        named = {f"{part}.{k}": v for part, arrays in parts.items() for k, v in arrays.items()}
        write_arrays(folder / "model.safetensors", {**self.rows, **named})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state, self.reduction = ({k.removeprefix(part): v for k, v in arrays.items() if k.startswith(part)} for part in ("scaler.", "reduction."))
        self.rows = {k: v for k, v in arrays.items() if "." not in k}


def _empty(features: Features) -> np.ndarray:
    """(n,) rows of which nothing is known: no number, no category and no n-gram; such as those whose only column is a picture that is missing."""
    filled = np.isfinite(features.dense).any(axis=1) | (features.codes > 0).any(axis=1)
    return ~filled if features.sparse is None else ~filled & (features.sparse.getnnz(axis=1) == 0)

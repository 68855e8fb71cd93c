"""Text as hashed word n-grams: sparse counts, with nothing learned and so nothing to leak."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer

from kit.encoders import Features


class Text:
    def __init__(self, *, size: int = 4096, longest: int = 2, lowercase: bool = True, min_count: int = 2):
        """
        size       hashed columns for each text column
        longest    words in an n-gram
        min_count  columns that fewer training rows fill are left out
        """
        self.size, self.longest, self.lowercase, self.min_count = size, longest, lowercase, min_count
        self.kept: dict[str, list[int]] = {}

    def _counts(self, column: pd.Series) -> scipy.sparse.csr_matrix:
        hashing = HashingVectorizer(
            n_features=self.size, ngram_range=(1, self.longest), lowercase=self.lowercase, norm=None, alternate_sign=False, dtype=np.float32, token_pattern=r"(?u)\b\w+\b"
        )
        return hashing.transform(column.fillna("").to_numpy())

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        counts = {name: self._counts(columns[name]) for name in columns}
        self.kept = {name: [int(n) for n in np.flatnonzero(c.getnnz(axis=0) >= self.min_count)] for name, c in counts.items()}
        return self._features(columns, counts)

    def transform(self, columns: pd.DataFrame) -> Features:
        return self._features(columns, {name: self._counts(columns[name]) for name in columns})

    def _features(self, columns: pd.DataFrame, counts: dict[str, scipy.sparse.csr_matrix]) -> Features:
        lengths = {f"length of {name}": columns[name].fillna("").str.len().to_numpy(dtype=np.float32) for name in columns}
        sparse = scipy.sparse.hstack([counts[name][:, self.kept[name]] for name in columns], format="csr")
        return Features.of(len(columns), dense=lengths, sparse=sparse)

    def state(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def restore(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"]

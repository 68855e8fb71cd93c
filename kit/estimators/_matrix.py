"""Features as one scaled matrix, for estimators that measure distances or take weighted sums."""

import numpy as np
import scipy.sparse

from kit.encoders import Features


class Scaler:
    """Missing numbers become the median with an indicator beside them; numbers get mean 0 and deviation 1; codes become one column each.

    skewed  columns whose skewness exceeds this are squashed by the signed log1p first; 0 is none
    scale   False leaves numbers at the scale that they have
    even    a row's n-grams together are as long as its scaled numbers usually are, not of length 1: one penalty then suits both
    """

    def __init__(self, *, skewed: float = 0.0, max_levels: int = 1000, scale: bool = True, even: bool = False):
        self.skewed, self.max_levels, self.scale, self.even = skewed, max_levels, scale, even
        self.state: dict[str, np.ndarray] = {}

    def fit(self, features: Features) -> None:
        dense = features.dense.astype(np.float64)
        present = np.isfinite(dense)
        squash = np.zeros(dense.shape[1], dtype=bool)
        if self.skewed:
            squash = np.array([abs(_skewness(c[p])) > self.skewed for c, p in zip(dense.T, present.T)], dtype=bool)
        dense = _squashed(dense, squash)
        median = np.array([np.median(c[p]) if p.any() else 0.0 for c, p in zip(dense.T, present.T)])
        filled = np.where(present, dense, median)
        mean, deviation = filled.mean(axis=0) if len(filled) else median, filled.std(axis=0) if len(filled) else median
        weight = np.ones(0)
        if features.sparse is not None:
            rows = features.sparse.getnnz(axis=0)
            weight = np.log((1 + len(features)) / (1 + rows)) + 1  # inverse document frequency, as scikit-learn smooths it
        self.state = {
            "squash": squash.astype(np.uint8),
            "median": median,
            "mean": mean,
            "deviation": np.where(deviation > 1e-12, deviation, 1.0),
            "indicated": (~present.all(axis=0) & present.any(axis=0)).astype(np.uint8) if len(filled) else np.zeros(len(median), np.uint8),
            "sizes": np.array([min(s, self.max_levels) for s in features.sizes], dtype=np.int64),
            "idf": weight,
        }

    def transform(self, features: Features) -> np.ndarray | scipy.sparse.csr_matrix:
        """(n, d) float64; sparse if there are hashed n-grams or many categories."""
        state = self.state
        dense = features.dense.astype(np.float64)
        missing = ~np.isfinite(dense)
        dense = _squashed(dense, state["squash"].astype(bool))
        values = np.where(missing, state["median"], dense)
        if self.scale:
            values = np.clip((values - state["mean"]) / state["deviation"], -10, 10)  # a value far outside stays finite in its pull
        blocks = [values, missing[:, state["indicated"].astype(bool)].astype(np.float64)]
        wide = state["sizes"].sum() > 300
        hot = []
        for codes, size in zip(features.codes.T, state["sizes"]):
            kept = np.where(codes < size, codes, 0)
            hot.append(scipy.sparse.csr_matrix((np.ones(len(kept)), (np.arange(len(kept)), kept)), shape=(len(kept), int(size))))
        if features.sparse is None and not wide:
            return np.hstack([*blocks, *(h.toarray() for h in hot)])
        parts = [scipy.sparse.csr_matrix(b) for b in blocks] + hot
        if features.sparse is not None:
            weighted = features.sparse.astype(np.float64)
            weighted.data = np.log1p(weighted.data)
            weighted = weighted.multiply(state["idf"]).tocsr()
            length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
            asked = np.sqrt(max(values.shape[1], 1)) if self.even else 1.0
            parts.append(scipy.sparse.diags(asked / np.maximum(length, 1e-12)) @ weighted)
        return scipy.sparse.hstack(parts, format="csr")

    def owners(self, features: Features) -> dict[str, list[int]]:
        """Column of the table -> the columns that `transform` makes of it, its indicator and its categories among them; hashed n-grams count together."""
        indicated = [n for n, there in zip(features.dense_names, self.state["indicated"]) if there]
        known = [*features.dense_names, *indicated, *np.repeat(np.array(features.code_names, dtype=object), self.state["sizes"])]
        found: dict[str, list[int]] = {}
        for at, owner in enumerate([*known, *["n-grams"] * (0 if features.sparse is None else features.sparse.shape[1])]):
            found.setdefault(owner, []).append(at)
        return found


def _squashed(dense: np.ndarray, squash: np.ndarray) -> np.ndarray:
    if squash.any():
        dense = dense.copy()
        dense[:, squash] = np.sign(dense[:, squash]) * np.log1p(np.abs(dense[:, squash]))
    return dense


def _skewness(values: np.ndarray) -> float:
    if len(values) < 3 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())

"""Extremely randomised trees: each cut is the best of a few drawn at random, and the leaves of many such trees are averaged.

All tasks are one regression: the variance of 0/1 columns, a class each, is their Gini impurity (Geurts, Ernst and Wehenkel 2006, section 2).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.ensemble import ExtraTreesRegressor

from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._boosted import as_float32
from kit.estimators._matrix import Scaler
from kit.files import read_json, write_json
from kit.space import Real, Whole

_USUAL = {"binary": "bce", "multilabel": "bce", "multiclass": "cross_entropy", "regression": "mse"}
_WIDE = 500  # columns, above which a cut is drawn from the root of their number
_BLOCK_VALUES = 4_000_000  # of the rows that walk down a tree together


class ExtraTrees:
    watches = False
    space = {"min_rows": Whole(1, 50, log=True), "column_share": Real(0.05, 1.0, log=True)}

    def __init__(
        self,
        setup: Setup,
        *,
        trees: int = 300,
        min_rows: int = 5,
        column_share: float = 0.0,
        depth: int = 0,
        most_levels: int = 100,
    ):
        """
        min_rows      training rows in a leaf, at least
        column_share  of the columns, that each cut is drawn from; 0 goes by the task and the number of columns
        depth         of a tree, at most; 0 is any
        most_levels   of a category column are a column each; those behind share one
        """
        self.setup = setup
        self.options = {k: v for k, v in locals().items() if k not in ("self", "setup")}
        self.scaler = Scaler(scale=False, max_levels=most_levels)
        self.forest: dict[str, np.ndarray] = {}
        self.importances: dict[str, float] = {}
        usual = _USUAL.get(setup.task, "none")
        if setup.loss != usual and (setup.task, setup.loss) != ("regression", "mae"):
            raise ConfigError(f'train.loss = "{setup.loss}": model "extra_trees" minimises {usual}' + (", and mae by the medians of its leaves" if usual == "mse" else ""))

    def parameters(self, n: int, width: int) -> dict[str, Any]:
        """scikit-learn's own, for n training rows of so many columns."""
        given = self.options
        share = "sqrt" if width > _WIDE else 1.0 if self.setup.task == "regression" else 0.5
        return {
            "n_estimators": given["trees"],
            "min_samples_leaf": given["min_rows"],
            "max_features": given["column_share"] or share,
            "max_depth": given["depth"] or None,
            "random_state": self.setup.seed,
            "n_jobs": self.setup.threads,
        }

    def fit(self, train: Examples, found: dict[str, Any]) -> None:
        self.scaler.fit(train.features)
        x = self._values(train)
        target = np.eye(self.setup.outputs)[train.target] if self.setup.task == "multiclass" else train.target.reshape(len(train), -1)
        model = ExtraTreesRegressor(**self.parameters(*x.shape))
        model.fit(x, target if target.shape[1] > 1 else target[:, 0], sample_weight=train.weight)
        self.forest = _arrays([tree.tree_ for tree in model.estimators_])
        if self.setup.loss == "mae":
            weight = np.ones(len(train)) if train.weight is None else train.weight
            for reached in _reached(self.forest, x):
                for values, y in zip(self.forest["values"].T, target.T):
                    _to_medians(values, reached, y, weight)
        self.importances = self._shared_out(train.features, model.feature_importances_)

    def _values(self, rows: Examples) -> np.ndarray | scipy.sparse.csr_matrix:
        x = self.scaler.transform(rows.features)
        if not scipy.sparse.issparse(x):
            return as_float32(x)
        return scipy.sparse.csr_matrix((as_float32(x.data), x.indices, x.indptr), x.shape)

    def _shared_out(self, features: Features, brought: np.ndarray) -> dict[str, float]:
        """Share of each column in what all columns bring."""
        shares = {owner: float(brought[at].sum()) for owner, at in self.scaler.owners(features).items()}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def predict(self, rows: Examples) -> np.ndarray:
        total = np.zeros((len(rows), self.forest["values"].shape[1]))
        for reached in _reached(self.forest, self._values(rows)):
            total += self.forest["values"][reached]
        return total / (len(self.forest["starts"]) - 1)

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", {**self.forest, **{f"scaler.{k}": v for k, v in self.scaler.state.items()}})
        write_json(folder / "model.json", {"importances": self.importances})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.forest = {k: v for k, v in arrays.items() if not k.startswith("scaler.")}
        self.importances = read_json(folder / "model.json")["importances"]


def _arrays(trees: list[Any]) -> dict[str, np.ndarray]:
    """
    starts    (trees + 1,) the first node of each tree, and their number
    feature   (nodes,) column that a node asks for, -1 in a leaf
    cut       (nodes,) float32: what is at most this goes to the next node, which is the left one
    other     (nodes,) the node that the rest goes to; of a leaf, its row in values
    values    (leaves, outputs)
    """
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    assert all((tree.children_left[~(tree.children_left < 0)] == np.flatnonzero(tree.children_left >= 0) + 1).all() for tree in trees)
    cut = np.concatenate([tree.threshold for tree in trees])
    below = cut.astype(np.float32)
    below = np.where(below > cut, np.nextafter(below, np.float32(-np.inf)), below)  # the same cut among numbers that are float32
    other = np.concatenate([tree.children_right + start for tree, start in zip(trees, starts)])
    values = np.concatenate([tree.value[:, :, 0] for tree in trees])[leaf]
    other[leaf] = np.arange(len(values))
    feature = np.where(leaf, -1, np.concatenate([tree.feature for tree in trees]))
    return {"starts": starts, "feature": feature.astype(np.int32), "cut": below, "other": other.astype(np.int32), "values": values}


def _reached(forest: dict[str, np.ndarray], x: np.ndarray | scipy.sparse.csr_matrix) -> Iterator[np.ndarray]:
    """(n,) the leaf that each row of x ends in, for one tree after another."""
    if not scipy.sparse.issparse(x):
        for root in forest["starts"][:-1]:
            yield _walked(forest, root, forest["feature"], x)
        return
    for root, end in zip(forest["starts"][:-1], forest["starts"][1:]):
        asked = np.unique(forest["feature"][root:end])
        asked = asked[asked >= 0]
        feature = np.full(end, -1, dtype=np.int64)
        feature[root:] = np.where(forest["feature"][root:end] < 0, -1, np.searchsorted(asked, forest["feature"][root:end]))
        block = max(_BLOCK_VALUES // max(len(asked), 1), 1)
        yield np.concatenate([_walked(forest, root, feature, x[start : start + block][:, asked].toarray()) for start in range(0, x.shape[0], block)])


def _walked(forest: dict[str, np.ndarray], root: int, feature: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n,) the leaf of one tree that each row of x ends in, as a row of its values."""
    flat, width = x.ravel(), x.shape[1]
    reached, walking, node = np.empty(len(x), dtype=np.int32), np.arange(len(x)), np.full(len(x), root)
    while len(walking):
        asked = feature[node]
        there = asked < 0
        if there.any():
            reached[walking[there]] = forest["other"][node[there]]
            walking, node, asked = walking[~there], node[~there], asked[~there]
        left = flat[walking * width + asked] <= forest["cut"][node]
        node = np.where(left, node + 1, forest["other"][node])
    return reached


def _to_medians(values: np.ndarray, reached: np.ndarray, target: np.ndarray, weight: np.ndarray) -> None:
    """A leaf's value becomes the weighted median of the training rows in it: the least truth that half of their weight does not exceed.

    values  (leaves,) changed where a row of reached (n,) leads to
    """
    order = np.lexsort((target, reached))
    leaf, y, passed = reached[order], target[order], np.cumsum(weight[order])
    first = np.flatnonzero(np.r_[True, leaf[1:] != leaf[:-1]])
    before = np.r_[0.0, passed[first[1:] - 1]]
    after = np.r_[passed[first[1:] - 1], passed[-1]]
    middle = np.searchsorted(passed, (before + after) / 2 - 1e-9 * (after - before))
    values[leaf[first]] = y[np.maximum(middle, first)]  # of rows that weigh nothing, the least

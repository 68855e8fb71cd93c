"""Categories as codes, and where asked also as the mean target or the number of training rows of each.

A training row's mean comes from the other inner folds: its own answer is never in it.
"""

from typing import Any

import numpy as np
import pandas as pd

from kit.encoders import Features
from kit.errors import ConfigError, did_you_mean


class Category:
    def __init__(
        self,
        *,
        min_count: int = 1,
        means: list[str] = [],
        means_only: bool = False,
        smoothing: float = 10.0,
        inner_folds: int = 10,
        counts: list[str] = [],
        mean_above: int = 0,
    ):
        """
        min_count    categories with fewer training rows share the code of those never seen
        means        columns that also become the smoothed mean target of their category
        means_only   such columns are not given as codes as well
        smoothing    rows: a category's mean is drawn to the overall mean as if so many more rows had it
        inner_folds  that a training row's mean is taken across
        counts       columns that also become the number of training rows of their category
        mean_above   columns with more categories than this become means too; 0 is none
        """
        self.min_count, self.means, self.means_only, self.smoothing = min_count, means, means_only, smoothing
        self.inner_folds, self.counts, self.mean_above = inner_folds, counts, mean_above
        self.levels: dict[str, list[str]] = {}
        self.mean_of: dict[str, dict[str, list[float]]] = {}
        self.count_of: dict[str, dict[str, int]] = {}
        self.overall: list[float] = []

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        lacking = [c for c in (*self.means, *self.counts) if c not in columns]
        if lacking:
            raise ConfigError(f'encoders.category names "{lacking[0]}", which is no category column{did_you_mean(lacking[0], columns)}')
        if self.inner_folds < 2:
            raise ConfigError(
                f"encoders.category.inner_folds is {self.inner_folds}: expected at least 2\nelse a row's own answer would be in its mean"
            )
        self.overall = [float(m) for m in goal.mean(axis=0)]
        counted = {name: columns[name].value_counts(sort=False) for name in columns}
        self.levels = {name: sorted(c.index[c >= self.min_count]) for name, c in counted.items()}
        self.count_of = {name: {k: int(v) for k, v in counted[name].items()} for name in self.counts}
        wanted = [n for n in columns if n in self.means or (self.mean_above and len(self.levels[n]) > self.mean_above)]
        folds = self._inner_folds(len(columns), group, seed)
        across: dict[str, np.ndarray] = {}
        self.mean_of = {}
        for name in wanted:
            values = np.empty_like(goal)
            for fold in range(self.inner_folds):
                held = folds == fold
                values[held] = self._looked_up(columns[name][held], self._means(columns[name][~held], goal[~held]))
            across[name] = values
            self.mean_of[name] = self._means(columns[name], goal)
        return self._features(columns, across)

    def _inner_folds(self, n: int, group: np.ndarray | None, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        if group is None:
            return random.permutation(n) % self.inner_folds
        each, place = np.unique(group, return_inverse=True)
        return (random.permutation(len(each)) % self.inner_folds)[place]

    def _means(self, column: pd.Series, goal: np.ndarray) -> dict[str, list[float]]:
        frame = pd.DataFrame(goal, index=column.to_numpy())
        grouped = frame[column.notna().to_numpy()].groupby(level=0, sort=True)
        sums, rows = grouped.sum(), grouped.size()
        overall = goal.mean(axis=0) if len(goal) else np.array(self.overall)
        smooth = (sums.to_numpy() + self.smoothing * overall) / (rows.to_numpy()[:, None] + self.smoothing)
        return {"": [float(v) for v in overall], **{str(k): [float(v) for v in row] for k, row in zip(sums.index, smooth)}}

    @staticmethod
    def _looked_up(column: pd.Series, means: dict[str, list[float]]) -> np.ndarray:
        keys = column.fillna("").to_numpy()
        unknown = means[""]
        return np.array([means.get(k, unknown) for k in keys]) if len(keys) else np.empty((0, len(unknown)))

    def transform(self, columns: pd.DataFrame) -> Features:
        return self._features(columns, {name: self._looked_up(columns[name], means) for name, means in self.mean_of.items()})

    def _features(self, columns: pd.DataFrame, means: dict[str, np.ndarray]) -> Features:
        dense = {}
        for name, values in means.items():
            for j in range(values.shape[1]):
                dense[f"mean of {name}" + (f" ({j})" if values.shape[1] > 1 else "")] = values[:, j].astype(np.float32)
        for name in self.counts:
            dense[f"count of {name}"] = columns[name].map(self.count_of[name]).fillna(0).to_numpy(dtype=np.float32)
        codes = {}
        for name, levels in self.levels.items():
            if not (self.means_only and name in self.mean_of):
                place = pd.Index(levels, dtype="str").get_indexer(columns[name])  # -1: missing, or never seen in training
                codes[name] = (place.astype(np.int32) + 1, len(levels) + 1)
        return Features.of(len(columns), dense=dense, codes=codes)

    def state(self) -> dict[str, Any]:
        return {"levels": self.levels, "mean_of": self.mean_of, "count_of": self.count_of, "overall": self.overall}

    def restore(self, state: dict[str, Any]) -> None:
        self.levels, self.mean_of, self.count_of, self.overall = (state[k] for k in ("levels", "mean_of", "count_of", "overall"))

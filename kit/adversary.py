"""Test rows beside the rows that are validated: what sets them apart, column by column, and all columns at once by a model that tries to tell them.

A score says what the test will show as far as the rows that it is measured on are like the test rows: all training rows where folds are drawn
at random, the host's own validation rows, or the last block in time.
"""

import math
from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd
from scipy import stats

from kit.errors import shorten
from kit.folds import Fold
from kit.tables import Tables

SHIFTED = 0.2  # Kolmogorov-Smirnov distance, or share of test rows with an unseen category
APART = 0.95  # Kolmogorov-Smirnov distance from which a column tells the rows apart alone: a model would look at nothing else
TOLD = 0.6  # area under the curve that the interval must lie above
SAMPLED = 50_000  # rows of a side whose values are compared
MODELLED = 15_000  # rows of a side that the model sees
FEWEST = 50  # rows of a side
_FOLDS, _ROUNDS, _NAMED = 5, 60, 3
_FREQUENT = 10  # rows of a category that a model can learn from
_TREES = {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.8, "num_threads": 1, "verbosity": -1, "seed": 0, "deterministic": True}
FORWARD = ("time", "group_time")


def validated(tables: Tables, split: list[Fold], scheme: str) -> np.ndarray:
    """Positions of the training rows that the score is measured on; of blocks in time the last, which lies beside the test."""
    if not split:
        return np.arange(len(tables.train))
    return split[-1].valid if scheme in FORWARD else np.unique(np.concatenate([fold.valid for fold in split]))


def shift(tables: Tables, split: list[Fold], scheme: str, test_groups: np.ndarray | None) -> list[str]:
    """Findings on columns, then that of the model.

    test_groups  (test rows,) what roles["group"] is to the training rows; without them, rows in groups are left to the columns' findings: a
                 model that has seen a group's other rows knows it again
    Forward in time each block differs from its past: the test may differ from the last block by as much.
    """
    rows = validated(tables, split, scheme)
    train = tables.train.iloc[rows]
    side, called = ("validated", "the validated rows") if len(rows) < len(tables.train) else ("training", "train")
    past = tables.train.iloc[split[-1].train] if split and scheme in FORWARD else None
    findings, distances = _by_column(tables, train, side, called, past)
    beside = [name for name, distance in distances.items() if distance < APART]
    groups = tables.roles.get("group")
    if groups is None:
        return findings + _by_model(tables, train, beside, side, past, None)
    if test_groups is None:
        return findings
    return findings + _by_model(tables, train, beside, side, past, (groups.iloc[rows].astype("str").to_numpy(), test_groups))


def _distance(one: pd.Series, other: pd.Series, kind: str) -> float:
    """Kolmogorov and Smirnov's, 0..1; 0 where a side has no value."""
    values = [s.dropna().astype("int64" if kind == "date" else "float64").to_numpy()[:SAMPLED] for s in (one, other)]
    return float(stats.ks_2samp(*values, method="asymp").statistic) if all(map(len, values)) else 0.0


def _by_column(tables: Tables, train: pd.DataFrame, side: str, called: str, past: pd.DataFrame | None) -> tuple[list[str], dict[str, float]]:
    """Lines, and how far apart each column alone lies, 0..1."""
    findings, distances = [], {}
    test = tables.test
    for name, column in tables.schema.items():
        distances[name] = 0.0
        if min(len(test), len(train)) < FEWEST:
            continue
        if column.kind in ("numeric", "date"):
            distances[name] = distance = _distance(train[name], test[name], column.kind)
            if distance > SHIFTED + (0.0 if past is None else _distance(past[name], train[name], column.kind)):
                findings.append(f"shift   column {name!r} differs between {called} and test: Kolmogorov-Smirnov distance {distance:.2f}")
            missing = train[name].isna().mean(), test[name].isna().mean()
            if abs(missing[0] - missing[1]) > SHIFTED + (0.0 if past is None else abs(past[name].isna().mean() - missing[0])):
                distances[name] = max(distances[name], abs(missing[0] - missing[1]))
                findings.append(f"shift   column {name!r} is missing in {missing[0]:.0%} of the {side} and {missing[1]:.0%} of the test rows")
        elif column.kind == "category":
            known = tables.train[name]
            unseen = (test[name].notna() & ~test[name].isin(known.unique())).mean()
            expected = known.map(known.value_counts()).eq(1).sum() / len(known)  # Good and Turing: the share that one more draw would not have seen
            if unseen > max(SHIFTED, 2 * expected):
                distances[name] = float(unseen)
                findings.append(f"shift   column {name!r}: {unseen:.0%} of the test rows have a category that no training row has ({expected:.0%} expected)")
    return findings, distances


def _by_model(
    tables: Tables, train: pd.DataFrame, names: list[str], side: str, past: pd.DataFrame | None, groups: tuple[np.ndarray, np.ndarray] | None
) -> list[str]:
    if min(len(train), len(tables.test)) < FEWEST:
        return []
    kinds = {name: tables.schema[name].kind for name in names}
    told = _Told.apart(train[names], tables.test[names], kinds, groups)
    if told is None or told.low <= TOLD:
        return []
    if past is not None and len(past) >= FEWEST and told.low <= _Told.apart(past[names], train[names], kinds, None).high:
        return []
    drawn = f", {told.sizes[0]} and {told.sizes[1]} rows drawn" if sum(told.sizes) < len(train) + len(tables.test) else ""
    left = [name for name in tables.schema if name not in names]
    besides = f", {shorten(left, 3)} left out" if left else ""
    return [
        f"shift   a model tells test from {side} rows: area under the curve {told.area:.3f} (95 % {told.low:.3f} to {told.high:.3f}{drawn}{besides}), "
        f"most by {', '.join(f'{name!r} ({loss:.3f} less without it)' for name, loss in told.telling())}; drop what only tells when or where a row is from, or name it: input.columns.time or group"
    ]


@dataclass
class _Told:
    """How well models tell two sides apart on rows that they were not fitted on.

    values  (n, d) of both sides; is_test, fold  (n,)
    """

    names: list[str]
    values: np.ndarray
    is_test: np.ndarray
    fold: np.ndarray
    models: list[lightgbm.Booster]
    sizes: tuple[int, int]
    area: float
    low: float
    high: float

    @staticmethod
    def apart(one: pd.DataFrame, other: pd.DataFrame, kinds: dict[str, str], groups: tuple[np.ndarray, np.ndarray] | None) -> "_Told | None":
        """None where there is no column that a tree can cut. groups  (n,) of either side, of which models are fitted on the others"""
        random = np.random.default_rng(0)
        drawn = [np.sort(random.permutation(len(frame))[:MODELLED]) for frame in (one, other)]
        frames = [frame.iloc[rows] for frame, rows in zip((one, other), drawn)]
        matrix = plain(pd.concat(frames), kinds)
        if not matrix.shape[1]:
            return None
        sizes = len(frames[0]), len(frames[1])
        is_test, values = np.repeat([0, 1], sizes), matrix.to_numpy(dtype=np.float64)
        guessed, models = np.empty(len(values)), []
        units = None if groups is None else pd.factorize(np.concatenate([own[rows] for own, rows in zip(groups, drawn)]))[0]
        fold = np.concatenate([random.permutation(size) % _FOLDS for size in sizes]) if units is None else (random.permutation(units.max() + 1) % _FOLDS)[units]
        for k in range(_FOLDS):
            held = fold == k
            models.append(lightgbm.train({**_TREES, "objective": "binary"}, lightgbm.Dataset(values[~held], is_test[~held]), _ROUNDS))
            guessed[held] = models[-1].predict(values[held], num_threads=1)
        return _Told(list(matrix.columns), values, is_test, fold, models, sizes, *area(is_test, guessed, units))

    def telling(self) -> list[tuple[str, float]]:
        """The columns that the area falls most without: their values permuted among held-out rows, mean over folds (Breiman 2001, section 10)."""
        gain = np.sum([m.feature_importance("gain") for m in self.models], axis=0)
        random, losses = np.random.default_rng(0), {}
        for column in np.argsort(-gain)[: 3 * _NAMED]:
            falls = []
            for k, model in enumerate(self.models):
                held, known = self.values[self.fold == k], self.is_test[self.fold == k]
                before = area(known, model.predict(held, num_threads=1))[0]
                held[:, column] = random.permutation(held[:, column])
                falls.append(before - area(known, model.predict(held, num_threads=1))[0])
            losses[self.names[column]] = float(np.mean(falls))
        ordered = sorted(losses.items(), key=lambda item: -item[1])[:_NAMED]
        return [item for item in ordered if item[1] >= max(0.005, ordered[0][1] / 10)] or ordered[:1]


def area(positive: np.ndarray, guessed: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float, float]:
    """Area under the ROC curve and its 95 % interval.

    positive  (n,) 0/1, both present
    guessed   (n,) larger where more likely positive
    groups    (n,) rows that vary together; None where each row is alone
    DeLong, DeLong and Clarke-Pearson (1988): the variance is that of the mean placements of either side; Obuchowski (1997) for groups, whose rows'
    deviations are summed before they are squared, here without the covariance of groups that are on both sides.
    """
    ranks = stats.rankdata(guessed)
    yes = positive.astype(bool)
    above = (ranks[yes] - stats.rankdata(guessed[yes])) / (~yes).sum()  # share of negatives below each positive
    below = 1 - (ranks[~yes] - stats.rankdata(guessed[~yes])) / yes.sum()
    found, variance = float(above.mean()), 0.0
    for placed, side in ((above, yes), (below, ~yes)):
        units = np.arange(len(placed)) if groups is None else pd.factorize(groups[side])[0]
        sums = np.bincount(units, placed - placed.mean())
        variance += float((sums**2).sum()) / len(placed) ** 2 * len(sums) / max(len(sums) - 1, 1)
    reach = 1.96 * math.sqrt(variance)
    return found, max(0.0, found - reach), min(1.0, found + reach)


def plain(frame: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """(n, d) numbers that a tree can cut: categories by their place in the alphabet, rare ones as one; texts by their length; dates as days; no files.

    Codes must not tell a row's side: in the order of their first row, what only test rows have would come last.
    """
    made = {}
    for name, kind in kinds.items():
        values = frame[name]
        if kind == "numeric":
            made[name] = values.to_numpy(dtype=np.float64)
        elif kind == "date":
            made[name] = np.where(values.isna(), np.nan, values.to_numpy("datetime64[s]").astype(np.int64) / 86_400)
        elif kind == "category":
            words = values.astype("str").where(values.notna(), None)
            frequent = words.map(words.value_counts()) >= _FREQUENT
            made[name] = pd.factorize(words.where(frequent | words.isna(), ""), sort=True)[0]
        elif kind == "text":
            made[name] = values.astype("str").str.len().where(values.notna(), -1).to_numpy(dtype=np.float64)
    return pd.DataFrame(made, index=range(len(frame)))

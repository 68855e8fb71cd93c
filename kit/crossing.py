"""Folds beside the test: groups that folds cut and the split into train and test does not, and time that folds do not follow, or follow in vain.

Each claim is held against what a random split of the same rows would show.
"""

import math

import numpy as np
import pandas as pd

from kit.apart import BY_CHANCE, CERTAIN, CLOCK_WORDS, ENTITY_WORDS, LATER, unseen
from kit.folds import Fold
from kit.infer import words
from kit.tables import infer_kind

RANDOM = ("kfold", "stratified", "holdout")  # schemes that look at neither groups nor time, unless groups are named
FORWARD = ("time", "group_time")
CUT = 0.3  # by so much more are validated rows' groups known than test rows' groups
ALIKE = 0.1  # how much more alike the answers of a group are than those of all rows, 1 where they are one
FEWEST = 50  # rows of a side
_SHUFFLED = 30  # permutations that alikeness is held against


def groups(train: pd.DataFrame, test: pd.DataFrame, answers: np.ndarray, split: list[Fold], scheme: str) -> list[str]:
    """Columns whose values no fold keeps whole though test rows have values of their own, and rows of one value have like answers.

    train, test  any columns that both have; train in the order of the folds' positions
    answers      (n, m) numbers: ranks, or a column of 0 and 1 a class
    """
    findings = []
    if min(len(train), len(test)) < FEWEST or not split:
        return findings
    for name in [c for c in train if c in test]:
        both = _as_groups(train[name], test[name])
        if both is None:
            continue
        codes = pd.factorize(pd.concat(both, ignore_index=True).astype("str"), use_na_sentinel=False)[0]
        own, other = codes[: len(train)], codes[len(train) :]
        sizes = np.bincount(own)
        share, chance = unseen(own, other)
        fresh = 1 - _known(own, split)  # share of validated rows whose value is new to their fold
        if share - fresh < CUT or chance > BY_CHANCE or share - chance < CUT or (share - chance) * len(test) < 10 or (sizes[own] > 1).mean() < 0.5:
            continue
        alike, by_chance = _alike(own, answers)
        if alike < ALIKE or alike < by_chance:
            continue
        wanted = "stratified_group" if scheme == "stratified" else "group_time" if scheme == "time" else "group"
        findings.append(
            f"groups  column {name!r} has {len(np.unique(own))} values in train, of {len(own) / len(np.unique(own)):.3g} rows each, whose answers are alike "
            f"(correlation {alike:.2f} within a value): {1 - fresh:.0%} of the validated rows have a value that their fold trains on, and {1 - share:.0%} of the test rows; "
            f'input.columns.group = ["{name}"], score.folds.scheme = "{wanted}"'
        )
    return findings


def _as_groups(train: pd.Series, test: pd.Series) -> list[pd.Series] | None:
    """Both sides' values where they can name groups: words or whole numbers that repeat, and are no time that goes on."""
    if pd.api.types.is_object_dtype(train) or not 2 < train.nunique() <= len(train) / 1.5:
        return None
    kind = infer_kind(train.head(2000)).kind
    if kind not in ("numeric", "category"):
        return None
    if kind == "numeric":
        if not pd.api.types.is_numeric_dtype(test) or ((train.dropna() % 1) != 0).any():
            return None
        beyond = ((test > train.max()) | (test < train.min())).mean()
        if beyond > 0.5 and CLOCK_WORDS & set(words(str(train.name))):
            return None  # new because it is later
        return [train.fillna(-1), test.fillna(-1)]
    return [train, test]


def _known(codes: np.ndarray, split: list[Fold]) -> float:
    """Share of validated rows whose value the fold's training rows have."""
    known = [np.isin(codes[fold.valid], codes[fold.train]) for fold in split]
    return float(np.concatenate(known).mean())


def _alike(codes: np.ndarray, answers: np.ndarray) -> tuple[float, float]:
    """(intraclass correlation of answers in a group, mean and four standard deviations of it where the answers are shuffled)."""
    random = np.random.default_rng(0)
    sizes = np.bincount(codes)

    def within(values: np.ndarray) -> float:
        centred = values - values.mean(axis=0)
        sums = np.column_stack([np.bincount(codes, column, len(sizes)) for column in centred.T])
        pairs = (sums**2).sum() - (centred**2).sum()  # of two rows of a group, twice
        many = float((sizes * (sizes - 1.0)).sum())
        spread = (centred**2).sum() / len(centred)
        return float(pairs / many / spread) if many and spread else 0.0

    by_chance = [within(answers[random.permutation(len(answers))]) for _ in range(_SHUFFLED)]
    return within(answers), float(np.mean(by_chance) + 4 * np.std(by_chance))


# --- time ------------------------------------------------------------------------------------------------------------------------


def times(train: pd.DataFrame, test: pd.DataFrame, scheme: str, named: list[str]) -> list[str]:
    """Whether the folds go with how test rows lie in time.

    train, test  any columns that both have
    named        input.columns.time
    """
    if min(len(train), len(test)) < FEWEST:
        return []
    later, within = [], []
    for name in [c for c in train if c in test]:
        both = _as_times(train[name], test[name], name in named)
        if both is None:
            continue
        own, other = both
        known = other[~pd.isna(other)]
        if pd.isna(own).mean() > 0.1 or len(known) < 0.9 * len(other):
            continue
        own = own[~pd.isna(own)]
        after = float((known > own.max()).mean())
        n, m = len(own), len(known)
        chance = math.lgamma(n + 1) + math.lgamma(m + 1) - math.lgamma(n + m + 1)  # of all test rows being last
        if after >= LATER and chance < CERTAIN:
            later.append((name, after, own, known))
        elif name in named and after < 0.05 and known.min() <= np.quantile(own, 0.5):
            within.append((name, own, known))
    if scheme in RANDOM and later:
        name, after, own, known = later[0]
        return [
            f"time    column {name!r}: {after:.0%} of the test rows are later than all training rows ({_moment(known.min())} to {_moment(known.max())}, train ends at {_moment(own.max())}), "
            f'and the folds of scheme "{scheme}" train on rows after those that they validate; input.columns.time = ["{name}"], score.folds.scheme = "time"'
        ]
    if scheme in FORWARD and within and not later:
        name, own, known = within[0]
        return [
            f"time    column {name!r}: the test rows lie among the training rows in time ({_moment(known.min())} to {_moment(known.max())}, train from {_moment(own.min())} to {_moment(own.max())}), "
            f'and the folds of scheme "{scheme}" train on the past alone; score.folds.scheme = "{"group" if scheme == "group_time" else "kfold"}"'
        ]
    return []


def _as_times(train: pd.Series, test: pd.Series, named: bool) -> tuple[np.ndarray, np.ndarray] | None:
    if pd.api.types.is_object_dtype(train) or train.nunique() < 3:
        return None
    column = infer_kind(train)
    if column.kind == "date":
        made = [v if pd.api.types.is_datetime64_any_dtype(v) else pd.to_datetime(v.astype("str").where(v.notna(), None), format=column.date_format or "ISO8601", errors="coerce") for v in (train, test)]
        return made[0].to_numpy(), made[1].to_numpy()
    told = set(words(str(train.name)))
    if column.kind == "numeric" and pd.api.types.is_numeric_dtype(test) and (named or (CLOCK_WORDS & told and not ENTITY_WORDS & told)):
        made = [v.to_numpy(dtype=np.float64, na_value=np.nan) for v in (train, test)]
        return np.where(np.isfinite(made[0]), made[0], np.nan), np.where(np.isfinite(made[1]), made[1], np.nan)  # no moment is infinite
    return None


def _moment(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(pd.Timestamp(value).date())

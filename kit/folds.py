"""Assigns every training row to folds: rows in, positions to train on and positions to validate on out.

Rows of one group always share a fold: two photos of one tower in train and validation would make the score look better than it is.
The caller sorts the rows by id, so the same ids give the same folds whatever the order in the files.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import FoldError, bullets, did_you_mean, shorten

COUNT, REPEATS, SEED = 5, 1, 0  # the defaults that all schemes share
ROLES = ("unused", "train", "valid")
FEWEST_TO_CUT = 10  # rows; fewer leave too little to watch


@dataclass(frozen=True, eq=False)  # no ==: arrays have no single truth value
class Fold:
    """One split of the rows into train and valid; rows in neither are unused."""

    repeat: int
    fold: int
    train: np.ndarray  # int64 positions, ascending
    valid: np.ndarray  # int64 positions, ascending


@dataclass(frozen=True, eq=False)
class Rows:
    """What a scheme may look at, all aligned and sorted by id."""

    ids: np.ndarray  # text
    target: np.ndarray | None = None  # (n,) classes (-1: none) or numbers, or (n, labels) of 0 and 1, or with `continuous` (n, targets)
    continuous: bool = False  # the target is a number: stratify by its quantiles
    group: np.ndarray | None = None
    time: np.ndarray | None = None  # datetime64 or numbers
    given: np.ndarray | None = None  # the number of the fold that validates the row; -1 or missing: always in training

    def __post_init__(self) -> None:
        assert len({len(column) for column in self._columns().values()}) == 1, "columns are not aligned"

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "continuous"}
        assert all(isinstance(column, np.ndarray | None) for column in columns.values()), "columns are numpy arrays"
        return {name: column for name, column in columns.items() if column is not None}

    def take(self, positions: np.ndarray) -> "Rows":
        """These rows alone, for instance the training part of a fold."""
        return replace(self, **{name: column[positions] for name, column in self._columns().items()})


def split(rows: Rows, *, scheme: str = "kfold", **options: Any) -> list[Fold]:
    """The folds of a scheme, repeat by repeat; `options` are the keyword-only parameters of SCHEMES[scheme].

    Every scheme takes count (folds), repeats (splits, each drawn anew) and seed, and says which of them it does not use.
    Raises FoldError if the rows cannot be split so.
    """
    if scheme not in SCHEMES:
        raise FoldError(f'score.folds.scheme: no fold scheme "{scheme}"{did_you_mean(scheme, SCHEMES)}')
    return SCHEMES[scheme](rows, **options)


def kfold(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Rows dealt at random, sizes equal to within one row."""
    _stop_if(_problems(rows, count, repeats, seed))
    alike = np.zeros(len(rows.ids), np.int64)
    return _repeated(count, repeats, seed, lambda rng: _deal(alike, count, rng))


def stratified(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Like kfold, and every fold has the same share of each class, quantile or label.

    Raises FoldError if a class has fewer rows than `count`. A label of a multilabel target may: it is spread as far as it goes.
    """
    target = _complete(rows, "target", "stratified")
    multilabel = target.ndim == 2 and not rows.continuous
    small = [] if multilabel or rows.continuous else _small_classes(target, count)
    _stop_if(_problems(rows, count, repeats, seed) + small)
    if multilabel:
        return _repeated(count, repeats, seed, lambda rng: _spread_labels(target, count, rng))
    strata = _strata(target, rows.continuous, len(target) // count)
    return _repeated(count, repeats, seed, lambda rng: _deal(strata, count, rng))


def group(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Groups kept whole, fold sizes as even as the groups allow."""
    groups = pd.factorize(_complete(rows, "group", "group"))[0]
    _stop_if(_problems(rows, count, repeats, seed) + _few_groups(groups, count))
    return _repeated(count, repeats, seed, lambda rng: _whole(groups, count, rng))


def stratified_group(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Groups kept whole, and the share of each class, quantile or label as even over the folds as the groups allow."""
    target = _complete(rows, "target", "stratified_group")
    groups = pd.factorize(_complete(rows, "group", "stratified_group"))[0]
    _stop_if(_problems(rows, count, repeats, seed) + _few_groups(groups, count))
    if target.ndim == 2 and not rows.continuous:
        members, classes = np.nonzero(target)
    else:
        members, classes = np.arange(len(groups)), _strata(target, rows.continuous, (groups.max() + 1) // count)
    return _repeated(count, repeats, seed, lambda rng: _level(groups, members, classes, count, rng)[groups])


def time(
    rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED,
    size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None,
) -> list[Fold]:  # fmt: skip
    """Forward in time: each fold trains on the past of its validation block. Rows of one moment share a block.

    All widths are in days where time is a date, else in the unit of the time column. t0 is the first moment in the block.
    count   blocks, at least 1, the last one ending at the last moment
    size    width of a block; None: blocks of n // (count + 1) rows
    gap     rows from t0 - gap on are unused
    purge   width of a label's period: a row whose [t, t + purge] reaches t0 is unused; adds to gap
    window  width of the training part, which ends before t0 - gap - purge; None: all of the past
    `repeats` must be 1, and `seed` is not used: nothing is drawn.
    """
    return _forward(rows, "time", count, repeats, seed, {"size": size, "gap": gap, "purge": purge, "window": window})


def group_time(
    rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED,
    size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None,
) -> list[Fold]:  # fmt: skip
    """Like time, and the past of groups that are in the validation block is unused too."""
    return _forward(rows, "group_time", count, repeats, seed, {"size": size, "gap": gap, "purge": purge, "window": window})


def holdout(rows: Rows, *, share: float = 0.2, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """One fold: whole groups where there are groups, else stratified where there is a target, however rare a class.

    share  of the rows validated, above 0 and below 1; groups may make it smaller or, where all are larger, larger
    `count` is not used.
    """
    n, problems = len(rows.ids), _problems(rows, 2, repeats, seed)
    if not 0 < share < 1:
        problems.append(f"score.folds.share is {share:g}: expected above 0 and below 1")
    groups = None if rows.group is None else pd.factorize(_complete(rows, "group", "holdout"))[0]
    _stop_if(problems + ([] if groups is None else _few_groups(groups, 2)))
    wanted = min(max(round(share * n), 1), n - 1)
    strata = np.zeros(n, np.int64) if rows.target is None else _strata(rows.target, rows.continuous, wanted)

    def assign(rng: np.random.Generator) -> np.ndarray:
        if groups is not None:
            return _some_groups(np.bincount(groups), wanted, rng)[groups]
        steps = (np.arange(wanted) + rng.random()) * (n / wanted)  # evenly through each stratum
        number = np.ones(n, np.int64)
        number[_by_stratum(strata, rng)[steps.astype(np.int64).clip(max=n - 1)]] = 0
        return number

    return _repeated(1, repeats, seed, assign)


def given(rows: Rows, *, count: int = COUNT, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """The folds of a column, in ascending order of its numbers; rows of -1 or nothing are always in training.

    `repeats` must be 1; `count` and `seed` are not used.
    """
    if rows.given is None:
        raise FoldError(
            'score.folds.scheme = "given" needs a fold number for each row, and there is none\nsay in config.toml which column it is'
        )
    as_read = pd.Series(rows.given, dtype=object).replace("", None)
    numbers = pd.to_numeric(as_read, errors="coerce").to_numpy(np.float64)
    wrong = as_read.notna().to_numpy() & ~(np.isfinite(numbers) & (numbers >= -1) & (numbers == np.floor(numbers)))
    problems = _one_split("given", repeats)
    if wrong.any():
        problems.append(
            f"{wrong.sum()} training rows have no usable fold number: {shorten(as_read[wrong].unique())} (ids {shorten(rows.ids[wrong])})\n"
            "expected whole numbers from 0 on, and -1 or nothing for rows that are always in training"
        )
    _stop_if(problems)
    values = np.unique(numbers[numbers >= 0])
    if len(values) == 0 or (numbers == values[0]).all():
        all_in_one = f"validates all {len(numbers)} rows in one fold and leaves none to train on"
        what = all_in_one if len(values) else "validates no row"
        raise FoldError(f'score.folds.scheme = "given" {what}\nexpected two fold numbers or more, or one and -1')
    return [Fold(0, k, np.flatnonzero(numbers != value), np.flatnonzero(numbers == value)) for k, value in enumerate(values)]


def classes(rows: Rows, *, count: int = COUNT, only: int = 0, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Classes kept whole, fold sizes as even as the classes allow: for test rows that are of new classes.

    only  so many of the folds are trained and validated, and the others are training rows of each; 0 is all
    Rows of no class (-1) are validated, dealt evenly over the folds, and never trained on. `repeats` must be 1.
    """
    named = _classes_of(rows, "classes")
    found = named.max(initial=-1) + 1
    lower = f"lower score.folds.count to {found}, or " if found > 1 else ""
    few = f'{count} parts need at least {count} classes, and the training rows have {found}: a class is never cut\n{lower}set score.folds.scheme = "kfold"'
    _stop_if(_problems(rows, count, 1, seed) + _one_split("classes", repeats) + _too_many("only", only, count) + ([few] if found < count else []))
    rng = np.random.default_rng([seed, 0])
    number = np.empty(len(named), np.int64)
    number[named < 0] = _deal(named[named < 0], count, rng)
    number[named >= 0] = _whole(named[named >= 0], count, rng)
    return _some_folds(number, named >= 0, count, only)


def open_set(rows: Rows, *, unknown: float = 0.3, count: int = COUNT, only: int = 0, repeats: int = REPEATS, seed: int = SEED) -> list[Fold]:
    """Like stratified, but part of the classes are kept whole: for test rows that may be of no class that training rows have.

    unknown  share of the rows, from 0 to below 1, that are of no class that their fold trains on: rows of no class (-1), which are
             validated and never trained on; classes of one row; then classes that are drawn, as many as fit
    only     so many of the folds are trained and validated, and the others are training rows of each; 0 is all
    Every other class has a row or more in the training part of each fold. Groups, where rows have them, are kept whole: they stand for
    rows in all of this, and rows of one group must be of one class. `repeats` must be 1.
    """
    named = _classes_of(rows, "open_set")
    problems = _problems(rows, count, 1, seed) + _one_split("open_set", repeats) + _too_many("only", only, count)
    unit = np.arange(len(named)) if rows.group is None else pd.factorize(_complete(rows, "group", "open_set"))[0]
    if (pd.Series(named).groupby(unit).nunique() > 1).any():
        problems.append('score.folds.scheme = "open_set" keeps groups whole, and some have rows of several classes\nname groups within the classes')
    if not 0 <= unknown < 1:
        problems.append(f"score.folds.unknown is {unknown:g}: expected 0 or more, and below 1")
    _stop_if(problems)
    rng = np.random.default_rng([seed, 0])
    kind = np.empty(unit.max() + 1, np.int64)  # class of each unit
    kind[unit] = named
    sizes, units = np.bincount(named[named >= 0], minlength=1), np.bincount(kind[kind >= 0], minlength=1)
    whole = units == 1
    left = round(unknown * len(named)) - int((named < 0).sum()) - int(sizes[whole].sum())
    for drawn in rng.permutation(len(sizes)):
        if units[drawn] > 1 and sizes[drawn] <= left:
            whole[drawn] = True
            left -= sizes[drawn]
    number = np.empty(len(kind), np.int64)
    alone = (kind >= 0) & whole[kind]  # of classes that are in one fold
    number[~alone] = _deal(kind[~alone], count, rng)
    number[alone] = _whole(kind[alone], count, rng)
    return _some_folds(number[unit], named >= 0, count, only)


SCHEMES: dict[str, Callable[..., list[Fold]]] = {
    "kfold": kfold, "stratified": stratified, "group": group, "stratified_group": stratified_group,
    "time": time, "group_time": group_time, "holdout": holdout, "given": given, "classes": classes, "open_set": open_set,
}  # fmt: skip


GROUPING = ("group", "stratified_group", "group_time", "holdout", "open_set")  # schemes that keep groups whole

# what can be wrong


def _stop_if(problems: list[str]) -> None:
    if problems:
        raise FoldError(bullets(problems))


def _problems(rows: Rows, count: int, repeats: int, seed: int, *, least: int = 2) -> list[str]:
    n = len(rows.ids)
    low = [(key, v, at) for key, v, at in (("count", count, least), ("repeats", repeats, 1), ("seed", seed, 0)) if v < at]
    many = f"score.folds.count is {count}, but there are only {n} training rows: lower it, or check input.train"
    return [f"score.folds.{key} is {v}: expected at least {at}" for key, v, at in low] + ([many] if count > n else [])


def _one_split(scheme: str, repeats: int) -> list[str]:
    wrong = f'score.folds.repeats is {repeats}, but score.folds.scheme = "{scheme}" has one split only: set repeats = 1'
    return [] if repeats == 1 else [wrong]


def _complete(rows: Rows, word: str, scheme: str) -> np.ndarray:
    """rows.target, group or time, without a missing value."""
    values = getattr(rows, word)
    if values is None:
        how = 'set score.folds.scheme = "kfold"' if word == "target" else "say in config.toml which column it is"
        raise FoldError(f'score.folds.scheme = "{scheme}" needs a {word} for each row, and there is none\n{how}')
    missing = pd.isna(values).reshape(len(values), -1).any(axis=1)
    if word == "group" and values.dtype.kind in "OUT":  # a blank class may be an answer, a blank group is none
        missing |= values == ""
    if missing.any():
        raise FoldError(
            f'{missing.sum()} of {len(values)} training rows have no {word}, and score.folds.scheme = "{scheme}" needs one for each\n'
            f"ids {shorten(rows.ids[missing])}\nfill them in, or drop these rows"
        )
    return values


def _classes_of(rows: Rows, scheme: str) -> np.ndarray:
    """(n,) int64 class of each row, -1 for rows of no class."""
    target = _complete(rows, "target", scheme)
    if target.ndim > 1 or rows.continuous:
        held = "a number" if rows.continuous else "any number of labels"
        raise FoldError(f'score.folds.scheme = "{scheme}" needs one class for each row, and the target is {held}\nset score.folds.scheme = "kfold"')
    named = np.full(len(target), -1, np.int64)
    known = np.asarray(target != -1) if target.dtype.kind in "iuO" else np.ones(len(target), bool)
    named[known] = pd.factorize(target[known])[0]
    return named


def _too_many(key: str, value: int, count: int) -> list[str]:
    return [] if 0 <= value <= count else [f"score.folds.{key} is {value}: expected from 0, which is all, to score.folds.count = {count}"]


def _small_classes(target: np.ndarray, count: int) -> list[str]:
    codes, classes = pd.factorize(target)
    sizes = np.bincount(codes).tolist()
    small = [k for k in np.argsort(sizes, kind="stable") if sizes[k] < count]
    if not small:
        return []
    listed = shorten((f"{classes[k]} ({sizes[k]} row{'s' * (sizes[k] > 1)})" for k in small), limit=20)
    lower = f"lower score.folds.count to {sizes[small[0]]}, or " if sizes[small[0]] > 1 else ""
    return [
        f"score.folds.count is {count}, but {len(small)} of {len(classes)} classes have fewer rows: {listed}\n"
        f'each fold is to validate rows of each class\n{lower}set score.folds.scheme = "kfold"'
    ]


def _few_groups(groups: np.ndarray, count: int) -> list[str]:
    found = groups.max(initial=-1) + 1
    lower = f"lower score.folds.count to {found}, or " if found > 1 else ""
    what = f"{count} parts need at least {count} groups, and the training rows have {found}: a group is never cut"
    return [] if found >= count else [f"{what}\n{lower}name a finer group column"]


# dealing rows and groups out


def _repeated(count: int, repeats: int, seed: int, assign: Callable[[np.random.Generator], np.ndarray]) -> list[Fold]:
    """The folds of each repeat; `assign` draws the number of the fold that validates each row."""
    folds = []
    for repeat in range(repeats):
        number = assign(np.random.default_rng([seed, repeat]))
        folds += [Fold(repeat, k, np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(count)]
    if empty := [fold.fold for fold in folds if len(fold.valid) == 0]:
        raise FoldError(f'folds {shorten(empty)} would validate no rows\nlower score.folds.count, or set score.folds.scheme = "kfold"')
    return folds


def _some_folds(number: np.ndarray, trained: np.ndarray, count: int, only: int) -> list[Fold]:
    """The first `only` folds, or all.

    number   the fold that validates each row
    trained  (n,) bool: rows that the other folds train on
    """
    folds = [Fold(0, k, np.flatnonzero((number != k) & trained), np.flatnonzero(number == k)) for k in range(only or count)]
    for part, verb in (("valid", "validate"), ("train", "train on")):
        if empty := [fold.fold for fold in folds if len(getattr(fold, part)) == 0]:
            raise FoldError(f'folds {shorten(empty)} would {verb} no rows\nlower score.folds.count, or set score.folds.scheme = "kfold"')
    return folds


def _whole(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, groups kept whole and fold sizes level."""
    if not len(groups):
        return np.empty(0, np.int64)
    codes, nothing = pd.factorize(groups)[0], np.empty(0, np.int64)
    return _level(codes, nothing, nothing, count, rng)[codes]


def _strata(target: np.ndarray, continuous: bool, bins: int = 10) -> np.ndarray:
    """One code a row, equal for rows that count as alike: of one class, of one set of labels, or in one of up to 10 quantiles.

    bins  quantiles that there are enough rows or groups for; several numbers a row are ranked by the sum of their ranks
    """
    n = len(target)
    if continuous:  # ranks, not values: equal values (many zeros) would make bins too small to deal out
        ranks = target.reshape(n, -1).argsort(axis=0, kind="stable").argsort(axis=0).sum(axis=1)
        return ranks.argsort(kind="stable").argsort() * max(1, min(10, bins)) // n
    if target.ndim == 2:
        bits = np.packbits(target.astype(bool), axis=1)
        return np.unique(bits.view(f"V{bits.shape[1]}").ravel(), return_inverse=True)[1]
    return pd.factorize(target, use_na_sentinel=False)[0]


def _by_stratum(strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions, stratum after stratum, shuffled within each."""
    order = rng.permutation(len(strata))
    return order[np.argsort(strata[order], kind="stable")]


def _deal(strata: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, as cards are dealt: each stratum, and all rows, even over the folds to within one row."""
    number = np.empty(len(strata), np.int64)
    number[_by_stratum(strata, rng)] = rng.permutation(count)[np.arange(len(strata)) % count]
    return number


def _spread_labels(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row by iterative stratification: the rarest label first, each row to the fold that lacks it most.

    Sechidis, Tsoumakas, Vlahavas (2011), On the Stratification of Multi-Label Data, algorithm 1. Deviation: rows with equal label sets
    are dealt out in whole rounds first, which leaves every fold wanting the same, and fewer than `count` rows of a set to the loop.
    """
    sets = _strata(labels, False)
    order, sizes = _by_stratum(sets, rng), np.bincount(sets)
    place = np.arange(len(sets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within its set
    number = np.empty(len(sets), np.int64)
    number[order] = place % count

    left = order[place >= np.repeat(sizes - sizes % count, sizes)]
    has = np.column_stack([labels[left].astype(bool), np.ones(len(left), bool)])  # (left, labels + 1): being a row is the last label
    number[left] = -1
    remaining, todo = has.sum(axis=0), np.ones(len(left), bool)
    lacks = np.tile(remaining / count, (count, 1))  # (count, labels + 1) rows still wanted
    while todo.any():
        label = np.where(remaining > 0, remaining, len(left) + 1).argmin()
        members = np.flatnonzero(todo & has[:, label])
        for row in members:
            fold = np.lexsort((rng.random(count), lacks[:, -1], lacks[:, label]))[-1]
            number[left[row]] = fold
            lacks[fold] -= has[row]
        todo[members] = False
        remaining = remaining - has[members].sum(axis=0)
    return number


def _level(groups: np.ndarray, members: np.ndarray, classes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each group: the large first, each to the fold where the class shares then vary least over the folds.

    members, classes  pairs: row members[i] is of class classes[i]
    Being a row counts as one more class, so without classes this levels the sizes alone, and no fold stays empty.
    As scikit-learn's StratifiedGroupKFold but for two things: the variance stands for the standard deviation, so that adding
    a group with shares g to a fold with shares f costs 2 f·g and a constant; and a group is large by its largest share.
    """
    k, n_groups = classes.max(initial=-1) + 1, groups.max() + 1
    kind = np.concatenate([classes, np.full(len(groups), k)])
    pairs, rows = np.unique(np.concatenate([groups[members], groups]) * (k + 1) + kind, return_counts=True)
    owner, kind = np.divmod(pairs, k + 1)  # few classes a group: pairs, not a (groups, classes) table
    share = rows / np.bincount(kind, rows)[kind]
    begins = np.searchsorted(owner, np.arange(n_groups + 1))
    # up to a fifth off: repeats differ even where no two groups are of one size
    weight = np.maximum.reduceat(share, begins[:-1]) * rng.uniform(0.8, 1.0, n_groups)

    number, names = np.empty(n_groups, np.int64), rng.permutation(count)
    held = np.zeros((k + 1, count))  # share of each class that each fold holds
    for chosen in np.argsort(-weight, kind="stable"):
        part = slice(begins[chosen], begins[chosen + 1])
        fold = (share[part] @ held[kind[part]]).argmin()
        held[kind[part], fold] += share[part]
        number[chosen] = names[fold]
    return number


def _some_groups(sizes: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """0 for each group held out, else 1: drawn at random while they fit into `wanted` rows; the smallest where none fits."""
    number, order = np.ones(len(sizes), np.int64), rng.permutation(len(sizes))
    for chosen in order:
        if sizes[chosen] <= wanted:
            number[chosen] = 0
            wanted -= sizes[chosen]
    if number.all():
        number[order[sizes[order].argmin()]] = 0
    return number


# forward in time


def _clock(rows: Rows, scheme: str) -> tuple[np.ndarray, int]:
    """Times as numbers, and how many of these a unit of width is: microseconds in a day for dates, else 1."""
    values = _complete(rows, "time", scheme)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64), 86_400_000_000
    if values.dtype.kind not in "iuf":
        raise FoldError(f'score.folds.scheme = "{scheme}": the time of id {rows.ids[0]} is {values[0]!r}\nexpected dates or numbers')
    return (values if values.dtype.kind == "f" else values.astype(np.int64)), 1


def _blocks(
    rows: Rows, scheme: str, count: int, *, size: float | None = None, gap: float = 0.0, purge: float = 0.0, window: float | None = None
) -> list[Fold]:
    """`count` blocks and the past of each; either may be empty."""
    when, unit = _clock(rows, scheme)
    groups = pd.factorize(_complete(rows, "group", scheme))[0] if scheme == "group_time" else None

    def ticks(width: float) -> float | int:  # whole where it can be: a 19-digit time is not exact as a float
        return int(width * unit) if float(width * unit).is_integer() else width * unit

    if size is None:
        moments, first = np.unique(np.sort(when), return_index=True)
        assert len(moments) > count
        k = np.arange(count)
        starts = np.searchsorted(first, len(when) - len(when) // (count + 1) * (count - k))
        starts = np.maximum.accumulate(starts - k) + k  # a moment, however many rows it has, starts one block only
        starts = np.clip(starts, 1 + k, len(moments) - count + k)
        block = np.searchsorted(moments[starts], when, side="right") - 1
    else:
        edges = np.array([when.max() - ticks(size * k) for k in range(count, -1, -1)])
        block = np.searchsorted(edges, when, side="left") - 1  # the left edge is not in its block: 7 days of daily rows are 7 rows

    folds = []
    for k in range(count):
        valid, train = block == k, np.zeros(len(when), bool)
        if valid.any():
            end = when[valid].min() - ticks(gap + purge)
            train = (when < end) if window is None else (when < end) & (when >= end - ticks(window))
        if groups is not None:
            train &= ~np.isin(groups, groups[valid])
        folds.append(Fold(0, k, np.flatnonzero(train), np.flatnonzero(valid)))
    return folds


def _forward(rows: Rows, scheme: str, count: int, repeats: int, seed: int, widths: dict[str, float | None]) -> list[Fold]:
    problems = _problems(rows, count, 1, seed, least=1) + _one_split(scheme, repeats)
    for key, width in widths.items():
        if key in ("gap", "purge") and not width >= 0:
            problems.append(f"score.folds.{key} is {width:g}: expected 0 or more")
        if key in ("size", "window") and width is not None and not width > 0:
            problems.append(f"score.folds.{key} is {width:g}: expected more than 0")
    _stop_if(problems)
    when = _complete(rows, "time", scheme)
    moments = len(pd.unique(when))
    if widths["size"] is None and moments <= count:
        raise FoldError(
            f"score.folds.count is {count}, but the training rows have only {moments} different times\n"
            f"{count} blocks and a first training part need {count + 1}: a moment is never cut\nlower score.folds.count"
        )
    folds = _blocks(rows, scheme, count, **widths)
    for part, verb in (("valid", "validate"), ("train", "train on")):
        if empty := [fold.fold for fold in folds if len(getattr(fold, part)) == 0]:
            given_widths = ", ".join(f"{key} = {width:g}" for key, width in widths.items() if width)
            apart = "; a group that is in the block is left out of its training part" if scheme == "group_time" else ""
            raise FoldError(
                f'score.folds.scheme = "{scheme}": folds {shorten(empty)} of {count} would {verb} no rows\n'
                f"times go from {when.min()} to {when.max()}{', with ' * bool(given_widths)}{given_widths}{apart}\n"
                "lower count, size, gap or purge, or raise window"
            )
    return folds


# cuts inside a training part


def cut(rows: Rows, scheme: str, seed: int, options: dict | None = None, *, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """(train positions, watched positions): the one cut that early stopping watches; see cuts."""
    return cuts(rows, scheme, seed, options, count=count)[0]


def cuts(
    rows: Rows, scheme: str, seed: int, options: dict | None = None, *, count: int = COUNT, how_many: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to `how_many` pairs (train positions, watched positions), cut from a training part by the scheme that made it.

    rows     the training part alone, as from `rows.take(fold.train)`
    options  of the outer scheme; its count, repeats and seed are not used here
    count    parts, at least `how_many`, of which one is watched

    Forward-in-time schemes watch the last blocks, latest first. `given` has no meaning inside: it is a holdout of 1 / count.
    Nor have `classes` and `open_set`, as nothing is learned by watching classes that are not trained on: rows are dealt by class.
    What worked outside may not fit inside, and then the next that does is taken:
    fewer groups than `count`: as many parts as groups; one group: kfold. A class with fewer rows than `count`: kfold.
    Nothing before the last block: size and window are dropped, then gap and purge, then groups; one moment: kfold.
    Raises FoldError if there are fewer than 10 rows.
    """
    n, count = len(rows.ids), max(count, how_many)
    if n < FEWEST_TO_CUT:
        raise FoldError(
            f"{n} training rows are too few to cut some off for early stopping: expected at least {FEWEST_TO_CUT}\n"
            "train for a fixed number of rounds or epochs, or raise score.folds.count"
        )
    options = {key: value for key, value in (options or {}).items() if key not in ("count", "repeats", "seed")}
    try:
        if scheme in ("time", "group_time"):
            folds = _last_blocks(rows, scheme, options, count)
        elif scheme in ("holdout", "given"):
            folds = holdout(rows, share=options.get("share", 1 / count), repeats=how_many, seed=seed)
        elif scheme in ("classes", "open_set"):
            folds = open_set(rows, unknown=0.0, count=min(count, n), seed=seed)
        else:
            groups = len(pd.unique(rows.group)) if scheme in ("group", "stratified_group") else count
            folds = SCHEMES[scheme](rows, count=min(count, groups), seed=seed)
    except FoldError:  # the outer split found nothing wrong with the rows: here a class is too small, or one group is left
        folds = []
    folds = folds or kfold(rows, count=min(count, n), seed=seed)
    return [(fold.train, fold.valid) for fold in folds[:how_many]]


def _last_blocks(rows: Rows, scheme: str, options: dict, count: int) -> list[Fold]:
    moments = len(pd.unique(rows.time))
    embargo = {key: value for key, value in options.items() if key in ("gap", "purge")}
    tries = [(scheme, options), (scheme, embargo), (scheme, {}), ("time", {})]
    for name, kept in tries if moments > 1 else ():
        blocks = _blocks(rows, name, min(count, moments - 1), **kept)
        if folds := [fold for fold in reversed(blocks) if len(fold.train) and len(fold.valid)]:
            return folds
    return []


# what is worth a warning


def describe(rows: Rows, folds: list[Fold], scheme: str = "") -> list[str]:
    """Warnings about classes or labels that a fold lacks; none where the target is a number or is not known, or the scheme means it so."""
    if rows.target is None or rows.continuous or scheme in ("classes", "open_set"):
        return []
    one_each = rows.target.ndim == 1
    codes, names = pd.factorize(rows.target) if one_each else (None, np.arange(rows.target.shape[1]))
    word, found = "class" if one_each else "label", []
    for fold in folds:
        title = f"repeat {fold.repeat} fold {fold.fold}" if fold.repeat else f"fold {fold.fold}"
        for verb, part in (("validates", fold.valid), ("trains on", fold.train)):
            seen = np.isin(np.arange(len(names)), codes[part]) if one_each else rows.target[part].any(axis=0)
            if one_each and seen.sum() == 1 < len(names):
                found.append(f"{title} {verb} only class {names[seen][0]} ({len(part)} rows)")
            elif not seen.all():
                found.append(f"{title} {verb} no row of {word} {shorten(names[~seen])}")
    return found

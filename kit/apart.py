"""How test rows lie apart from training rows (later in time, other entities, or neither), and what follows for folds and features.

Each claim is held against what a random split of the same rows would show, so that a column of rare or of few values raises no alarm.
"""

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from kit.config import Config, part
from kit.discover import one_line
from kit.errors import FoldError, KitError, did_you_mean, shorten
from kit.folds import COUNT, Rows, split
from kit.infer import Finding, Inferred, spelled, words
from kit.tables import FEATURE_KINDS, Column, infer_kind

CERTAIN = math.log(1e-6)  # a random split shows it less often than this: many columns are looked at
LATER = 0.95  # share of test rows after the last training row
UNSEEN = 0.95  # share of test rows whose entity no training row has
BY_CHANCE = 0.6  # and what a random split may show of it at most; pairs are many, so theirs is half
MOST_PAIRED = 12  # columns that are tried in pairs
PARTS = ("month", "day", "weekday", "day_of_year", "hour", "minute")  # of a date, that recur
CALENDAR = ("year", "month", "day", "hour", "minute")
CLOCK_WORDS = {*CALENDAR, "date", "time", "datetime", "timestamp", "quarter", "week", "season", "period", "step", "epoch", "t"}
ENTITY_WORDS = set(["id", "user", "customer", "client", "patient", "subject", "person", "player", "household", "device", "session", "item", "group"])
CODE_WORDS = {"id", "code", "type", "zip", "zipcode", "postcode", "postal"}


@dataclass
class Clock:
    """When a row was: of one column, or of year, month and day in a column each. test may be missing, train is not."""

    columns: list[str]
    train: np.ndarray
    test: np.ndarray
    unit: str  # "day" or "" for plain numbers
    guess: bool = False


@dataclass
class Columns:
    """Features by kind, as infer_kind says, with the values of dates parsed."""

    kinds: dict[str, Column]
    dates: dict[str, tuple[pd.Series, pd.Series]] = field(default_factory=dict)


def apart(found: Inferred, given: Config) -> None:
    """Adds folds, roles, date parts and dropped columns to what was inferred; what `given` settles is not looked for."""
    roles: dict[str, list[str]] = {k: [v] if isinstance(v, str) else list(v) for k, v in given.input.get("columns", {}).items()}
    if unknown := [c for names in roles.values() for c in names if c not in found.train]:
        raise KitError(f'input.columns: {found.input["train"]} has no column "{unknown[0]}"{did_you_mean(unknown[0], found.train.columns)}')
    found.input |= {k: given.input[k] for k in ("columns", "drop") if k in given.input}
    columns = _columns(found)
    _without_numbering(found, columns)
    clock = _clock(found, columns)
    group = roles.get("group") or _group(found, columns, clock)
    if clock:
        roles["time"] = clock.columns
        _say_later(found, clock)
        _without_traps(found, columns, clock, roles)
    if group:
        roles["group"] = group
        free = [c for c in group if len(group) > 1 and c in columns.kinds and c not in found.input.get("drop", [])]
        numbers = [c for c in free if columns.kinds[c].kind == "numeric"]  # a year says something in other groups too
        roles["numeric"] = [*roles.get("numeric", []), *(c for c in numbers if c not in roles.get("numeric", []))]
    _codes(found, columns, roles)
    if roles := {kind: names for kind, names in roles.items() if names}:
        found.input["columns"] = roles
    told = given.score.get("folds")
    if told and part(told, "scheme")[0]:
        found.score["folds"] = told
        found.findings.append(Finding("folds", part(told, "scheme")[0], "as given"))
    else:
        _folds(found, clock, group)


def _columns(found: Inferred) -> Columns:
    columns = Columns({})
    told = {c: kind for kind in FEATURE_KINDS for c in found.input.get("columns", {}).get(kind, [])}
    for name in found.features():
        column = infer_kind(found.train[name])
        columns.kinds[name] = column if told.get(name, column.kind) == column.kind else Column(told[name])
        if columns.kinds[name].kind == "date":
            columns.dates[name] = tuple(_date(frame[name], column.date_format) for frame in (found.train, found.test))
    return columns


def _date(values: pd.Series, date_format: str) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        return values
    return pd.to_datetime(
        values.astype("str").mask(values.isna() | (values.astype("str") == "")), format=date_format or "ISO8601", errors="coerce"
    )


# --- later -----------------------------------------------------------------------------------------------------------------------


def _clock(found: Inferred, columns: Columns) -> Clock | None:
    """The column, or columns, in which test lies later than train; of several a date, then the finest."""
    clocks = [Clock([name], *(v.to_numpy() for v in both), "day") for name, both in columns.dates.items()]
    clocks += _calendars(found, columns)
    for name, column in columns.kinds.items():
        if column.kind == "numeric" and not ENTITY_WORDS & set(words(name)):  # entities are often numbered as they come
            told = bool(CLOCK_WORDS & set(words(name)))
            clocks.append(Clock([name], *(f[name].to_numpy(dtype=np.float64) for f in (found.train, found.test)), "", guess=not told))
    told = found.input.get("columns", {}).get("time")
    later = [c for c in clocks if (c.columns == told if told else _is_later(c))]
    return max(later, key=lambda c: (c.unit == "day", len(c.columns) == 1, not c.guess, len(np.unique(c.train))), default=None)


def _is_later(clock: Clock) -> bool:
    """Whether nearly all test rows come after all training rows, which in a random split of so many rows would not happen."""
    train, test = clock.train, clock.test[~pd.isna(clock.test)]
    if pd.isna(train).any() or len(test) < max(2, 0.9 * len(clock.test)) or len(np.unique(train)) < 3:
        return False
    n, m = len(train), len(test)
    chance = math.lgamma(n + 1) + math.lgamma(m + 1) - math.lgamma(n + m + 1)  # of all test rows being last
    return (test > train.max()).mean() >= LATER and chance < CERTAIN


def _calendars(found: Inferred, columns: Columns) -> list[Clock]:
    """Whole-number columns year, month (and day, hour) as one date."""
    named: dict[str, str] = {}
    for name in sorted(columns.kinds, key=lambda n: len(words(n))):
        column = columns.kinds[name]
        unit = next((p for p in CALENDAR if words(name)[-1:] == [p] or words(name)[:1] == [p]), None)
        if unit and column.kind == "numeric" and unit not in named:
            named[unit] = name
    parts = []
    for unit in CALENDAR:
        if unit not in named or any(f[named[unit]].isna().any() or (f[named[unit]] % 1 != 0).any() for f in (found.train, found.test)):
            break
        parts.append(unit)
    if len(parts) < 2:
        return []
    try:
        both = [pd.to_datetime(pd.DataFrame({"day": 1} | {p: f[named[p]] for p in parts})).to_numpy() for f in (found.train, found.test)]
    except ValueError:  # a month 13: these are no dates
        return []
    return [Clock([named[p] for p in parts], *both, "day")]


def _without_numbering(found: Inferred, columns: Columns) -> None:
    """Drops a second id: a whole number different in each row and called so says nothing about time or entity."""
    for name in [n for n, c in columns.kinds.items() if c.kind == "numeric" and "id" in words(n) and found.train[n].is_unique]:
        if (found.train[name] % 1 == 0).all():
            del columns.kinds[name]
            found.input["drop"] = [*found.input.get("drop", []), name]
            found.findings.append(Finding("dropped", name, "numbers the training rows, each once", "input.drop"))


def _say_later(found: Inferred, clock: Clock) -> None:
    after = float((clock.test > clock.train.max()).mean())
    ends = _moment(clock.train)[1]
    span = f"test goes from {' to '.join(_moment(clock.test))}, train ends at {ends}"
    later = f"{span}: {after:.0%} of the test rows are later than all training rows"
    found.findings.append(Finding("time", ", ".join(clock.columns), later, "input.columns", clock.guess))


def _moment(values: np.ndarray) -> tuple[str, str]:
    """The first and the last."""
    ends = pd.Series(values).min(), pd.Series(values).max()
    if values.dtype.kind != "M":
        return f"{ends[0]:g}", f"{ends[1]:g}"
    return tuple(str(e.date() if e == e.normalize() else e) for e in ends)


def _without_traps(found: Inferred, columns: Columns, clock: Clock, roles: dict[str, list[str]]) -> None:
    """Absolute times go; parts of them stay where training rows have seen what the test rows hold."""
    order = pd.Series(clock.train, index=found.train.index).rank()
    dropped = []
    for name, column in columns.kinds.items():
        if column.kind != "numeric" or clock.columns == [name]:
            continue
        train, test = found.train[name], found.test[name]
        beyond = float(((test > train.max()) | (test < train.min())).mean())
        levels = train.nunique()
        if levels < 2:
            continue
        with_time = name in clock.columns or _is_calendar(train, clock) or abs(train.corr(order, method="spearman")) >= 0.9
        new = max(beyond, 1 - _seen(train, test) if levels <= 366 else 0.0)
        if with_time and new >= 0.2:
            dropped.append(name)
            why = f"moves with time, and {new:.0%} of the test rows hold values that no training row has"
            found.findings.append(Finding("dropped", name, why, "input.drop"))
        elif name in clock.columns and len(clock.columns) > 1:
            roles["numeric"] = [*roles.get("numeric", []), name]
    if dropped := [d for d in dropped if d not in clock.columns]:  # those of the clock have the role alone, and so are no features
        found.input["drop"] = [*found.input.get("drop", []), *dropped]
    if not columns.dates:
        return
    recur = [p for p in PARTS if all(_recurs(*both, p) for both in columns.dates.values())]
    if clock.columns[0] in columns.dates and (recur or len(columns.dates) > 1):
        roles["date"] = list(clock.columns)
    found.encoders["date"] = {"parts": recur}
    gone = [p for p in PARTS if p not in recur]
    why = "year and days passed run on" + (f"; {shorten(gone, 6)}: test rows hold values that no training row has" if gone else "")
    found.findings.append(Finding("date", f"parts {', '.join(recur) or 'none'}", why, "encoders.date.parts"))


def _seen(train: pd.Series, test: pd.Series) -> float:
    """Share of test values that training rows have too; missing ones count as seen."""
    return float((test.isin(train.dropna().unique()) | test.isna()).mean())


def _recurs(train: pd.Series, test: pd.Series, name: str) -> bool:
    own = {"weekday": "day_of_week"}.get(name, name)  # as pandas calls it
    return _seen(getattr(train.dt, own), getattr(test.dt, own)) >= 0.95


def _is_calendar(train: pd.Series, clock: Clock) -> bool:
    """Whether a number is the year, quarter, month, week or day of year of the clock's date."""
    if clock.unit != "day":
        return False
    when = pd.Series(clock.train, index=train.index)
    parts = [getattr(when.dt, p) for p in ("year", "quarter", "month", "day_of_year")] + [when.dt.isocalendar().week.astype("int64")]
    return any((train == p).mean() >= 0.99 for p in parts)


# --- other entities --------------------------------------------------------------------------------------------------------------


def unseen(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """(share of test rows whose value no training row has, the share that a random split would show).

    train, test  codes from 0. Of a value with k rows, all are test rows by chance m / n to the power of k.
    """
    size = int(max(train.max(initial=-1), test.max(initial=-1))) + 1
    in_train, in_test = np.bincount(train, minlength=size), np.bincount(test, minlength=size)
    k, m = in_train + in_test, len(test)
    return float(in_test[in_train == 0].sum() / m), float((k * (m / (len(train) + m)) ** k).sum() / m)


def _group(found: Inferred, columns: Columns, clock: Clock | None) -> list[str]:
    """The column, or two, whose values in test never occur in train although they repeat there; of several the coarsest."""
    n = len(found.train)
    codes = {}
    for name, column in columns.kinds.items():
        train, test = found.train[name], found.test[name]
        whole = column.kind != "numeric" or ((train % 1 == 0) & train.notna()).all()
        empty = train.isna().any() or (train.astype("str") == "").any() if whole else True
        if column.kind in ("numeric", "category", "date") and not empty and (clock is None or name not in clock.columns):
            both = [train, test] if column.kind == "numeric" else [train.astype("str"), test.astype("str")]
            codes[name] = pd.factorize(pd.concat(both), use_na_sentinel=False)[0]
    sizes = {name: len(np.unique(c[:n])) for name, c in codes.items()}
    apart_from = [(sizes[name], [name], c) for name, c in codes.items() if _is_apart(c, n, UNSEEN, BY_CHANCE)]
    if not apart_from:
        paired = sorted((c for c in codes if 5 <= sizes[c] <= n / 2), key=lambda c: -sizes[c])[:MOST_PAIRED]
        for one, other in combinations([c for c in codes if c in paired], 2):
            both = pd.factorize(codes[one].astype(np.int64) * (codes[other].max() + 1) + codes[other])[0]
            if _is_apart(both, n, 0.98, BY_CHANCE / 2):
                apart_from.append((len(np.unique(both[:n])), [one, other], both))
    if clock is not None:  # what is new in each period is new in the test for that alone
        apart_from = [a for a in apart_from if _spans_time(a[2][:n], clock)]
    if not apart_from:
        return []
    groups, names, both = min(apart_from, key=lambda a: a[0])
    share, chance = unseen(both[:n], both[n:])
    why = f"{share:.0%} of the test rows are of others than the {groups} in train, which have {n / groups:.3g} rows each"
    why += f"; a random split would show {chance:.1%}" + ("; neither column alone is apart" if len(names) > 1 else "")
    found.findings.append(Finding("group", " and ".join(names), why, "input.columns"))
    return names


def _is_apart(codes: np.ndarray, n: int, least: float, most_by_chance: float) -> bool:
    share, chance = unseen(codes[:n], codes[n:])
    return len(np.unique(codes[:n])) >= COUNT and share >= least and chance <= most_by_chance and (share - chance) * (len(codes) - n) >= 10


def _spans_time(codes: np.ndarray, clock: Clock) -> bool:
    """Whether groups go on through the training period: then time alone would not have parted them."""
    late = clock.train >= np.sort(clock.train)[int(0.8 * len(clock.train))]
    return bool(late.any() and (~late).any() and unseen(codes[~late], codes[late])[0] < 0.5)


# --- kinds and folds -------------------------------------------------------------------------------------------------------------


def _codes(found: Inferred, columns: Columns, roles: dict[str, list[str]]) -> None:
    """Whole numbers that are called codes and repeat are categories: their order means nothing."""
    taken = {c for names in roles.values() for c in names}
    for name, column in columns.kinds.items():
        values = found.train[name]
        no = name in taken or name in found.input.get("drop", [])
        if no or column.kind != "numeric" or not CODE_WORDS & set(words(name)):
            continue
        levels = values.nunique()
        if 2 < levels <= len(values) / 5 and (values.dropna() % 1 == 0).all():
            roles["category"] = [*roles.get("category", []), name]
            found.findings.append(Finding("category", name, f"{levels} whole numbers under the name of a code", "input.columns", True))


def _folds(found: Inferred, clock: Clock | None, group: list[str]) -> None:
    classes = found.output["task"] in ("binary", "multiclass", "multilabel")
    if clock:
        folds = _forward(clock, "group_time" if group else "time", found, group)
        why = "validation rows come after their training rows, as test rows do; plain folds would look into the future"
    elif group:
        folds = {"scheme": "stratified_group" if classes else "group", "count": COUNT}
        why = f"rows with one {' and '.join(group)} share a fold, as none is in both train and test"
    else:
        folds, why = _plain(found)
    found.score["folds"] = folds
    shown = ", ".join(f"{k} {v}" if k != "scheme" else str(v) for k, v in folds.items())
    found.findings.append(Finding("folds", shown, why, "score.folds"))


def _plain(found: Inferred) -> tuple[dict[str, Any], str]:
    why = "no column in which test rows are later, or of other entities, than training rows"
    task = found.output["task"]
    if task == "regression" or task not in ("binary", "multiclass"):
        return {"scheme": "stratified", "count": COUNT}, why
    counts = spelled(found.train[found.targets[0]]).value_counts()
    rare = f"; class {one_line(str(counts.index[-1]))} has {counts.iloc[-1]} rows"
    if counts.iloc[-1] >= COUNT:
        return {"scheme": "stratified", "count": COUNT}, why
    if counts.iloc[-1] >= 3:
        return {"scheme": "stratified", "count": int(counts.iloc[-1])}, why + rare
    return {"scheme": "kfold", "count": COUNT}, why + rare


def _forward(clock: Clock, scheme: str, found: Inferred, group: list[str]) -> dict[str, Any]:
    """Blocks as long as the test period, as many as leave a third of the training period to the first; else blocks of equal rows."""
    unit = 86_400e9 if clock.unit else 1.0
    both = (clock.train, clock.test[~pd.isna(clock.test)])
    train, test = ((v.astype("datetime64[ns]").astype(np.int64) if clock.unit else v) / unit for v in both)
    moments = np.unique(train)
    step = float(np.median(np.diff(moments)))
    size = float(test.max() - max(test.min(), train.max())) + step
    size = math.ceil(size - 1e-6) if clock.unit or step % 1 == 0 else size
    count = min(COUNT, int((train.max() - train.min() + step) * 2 / 3 / size))
    groups = pd.factorize(found.train[group].astype("str").agg(" ".join, axis=1))[0] if group else None
    rows = Rows(ids=np.arange(len(train)).astype(str), time=clock.train, group=groups)
    tries = [{"scheme": scheme, "count": count, "size": size}] if count >= 1 else []
    tries += [{"scheme": scheme, "count": min(n, len(moments) - 1)} for n in (COUNT, 2, 1)]
    for tried in tries:
        try:
            folds = split(rows, **tried)
        except FoldError:
            continue
        if min(len(f.train) for f in folds) >= 0.1 * len(train):
            return tried
    return {"scheme": scheme, "count": 1}

"""Daily sales become months: rows of a file in, and out the totals of each month over the product of what was sold in it.

A shop and an item that were both seen in a month make a row of it, sold there or not: the rows to predict are made like that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from kit.errors import DataError, bullets, did_you_mean, shorten

ABSURD = 1000  # times the median price of its month, above which a price is taken for a slip of the pen


@dataclass(frozen=True, eq=False)
class Axis:
    """A column that series are grouped by: a key, or what a joined table says of a key's values.

    key     which of the keys decides it
    codes   (values of that key,) int64 positions in levels
    levels  texts; "" is nothing known
    """

    key: int
    codes: np.ndarray
    levels: pd.Index

    def of(self, keys: list[np.ndarray]) -> np.ndarray:
        """(rows,) codes of rows whose keys these are."""
        return self.codes[keys[self.key]]


@dataclass(frozen=True, eq=False)
class Sales:
    """Sales, sorted by month.

    start    the month that is numbered 0
    bounds   (months + 1,) int64: where each month's sales begin
    keys     for each key (n,) int64 positions in its levels
    levels   for each key its values as text, sorted; those of the rows to predict too
    values   (n,) float64: what was sold, below 0 where it was brought back
    prices   (n,) float64, NaN where none is known; None without prices
    """

    start: pd.Period
    bounds: np.ndarray
    keys: list[np.ndarray]
    levels: list[pd.Index]
    values: np.ndarray
    prices: np.ndarray | None

    @property
    def months(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(levels) for levels in self.levels)

    def days(self, month: int) -> int:
        """Of the month, which may lie after the last."""
        return (self.start + month).days_in_month

    def of_month(self, month: int) -> slice:
        return slice(self.bounds[month], self.bounds[month + 1])

    def rows(self, month: int) -> int:
        """How many rows the month's grid has."""
        return int(np.prod([len(np.unique(key[self.of_month(month)])) for key in self.keys]))

    def grid(self, month: int) -> list[np.ndarray]:
        """For each key the (rows,) codes of the month's rows: the product of what was seen in it, in the order of their ids."""
        return _product([np.unique(key[self.of_month(month)]) for key in self.keys])

    def totals(self, month: int) -> tuple[np.ndarray, np.ndarray]:
        """(what was sold of each row of the month's grid, in how many sales): (rows,) float64, 0 where nothing was, and int64."""
        held = self.of_month(month)
        places = [np.unique(key[held], return_inverse=True) for key in self.keys]
        shape = tuple(len(each) for each, _ in places)
        cell = np.ravel_multi_index(tuple(place for _, place in places), shape) if np.prod(shape) else np.empty(0, np.int64)
        size = int(np.prod(shape))
        return np.bincount(cell, weights=self.values[held], minlength=size), np.bincount(cell[self.values[held] > 0], minlength=size)


def _product(values: list[np.ndarray]) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*values, indexing="ij")]


# --- from a file -----------------------------------------------------------------------------------------------------------------


def sales_of(
    frame: pd.DataFrame, others: pd.DataFrame, source: str, *, keys: list[str], time: str, time_format: str, number: str, value: str, price: str
) -> tuple[Sales, int, list[str]]:
    """(sales, the number of the first month, notes on them).

    frame   rows of the sales file, keys and dates as text
    others  rows to predict, keys as text
    Raises DataError with all that is wrong in the columns.
    """
    months, start, problems = _months(frame[time], time_format, source)
    values, wrong = _numbers(frame[value], source)
    problems += wrong
    blank = [name for name in keys if (frame[name].isna() | (frame[name] == "")).any()]
    problems += [f"{source} column {name!r} is blank in {int((frame[name].isna() | (frame[name] == '')).sum())} rows: each sale names it" for name in blank]
    first, wrong = _first_number(frame[number], months, source) if number and start is not None else (0, [])
    if problems + wrong:
        raise DataError(bullets([*problems, *wrong]))
    order = np.argsort(months, kind="stable")
    bounds = np.searchsorted(months[order], np.arange(months.max() + 2))
    notes = [f"{(values < 0).sum()} of {len(values)} sales are below 0: they are brought back, and lower their month's total"] if (values < 0).any() else []
    codes, levels = zip(*(_coded(frame[name], others[name]) for name in keys))
    prices = None
    if price:
        prices, odd = _prices(frame[price], months)
        notes += [f"{odd} of {len(prices)} prices are no number above 0, or more than {ABSURD} times the median of their month: not looked at"] if odd else []
        prices = prices[order]
    return Sales(start, bounds, [c[order] for c in codes], list(levels), values[order], prices), first, notes


def _months(dates: pd.Series, form: str, source: str) -> tuple[np.ndarray, pd.Period | None, list[str]]:
    """((n,) int64 months since the first, the first, problems)."""
    codes, each = pd.factorize(dates.fillna(""))  # a date stands on thousands of sales: each is parsed once
    parsed = pd.to_datetime(pd.Series(each, dtype="str"), format=form or "ISO8601", errors="coerce")
    wrong = parsed.isna().to_numpy()
    if wrong.any():
        rows = np.flatnonzero(wrong[codes])
        shown = form or "that of ISO 8601, such as 2015-10-31"
        return codes, None, [
            f"{source} column {dates.name!r} is no date of the form {shown} in {len(rows)} rows, the first at data row {rows[0] + 1}: {shorten(map(repr, each[wrong]), 3)}\n"
            "mend them, or say their form: input.time_format"
        ]  # fmt: skip
    since = parsed.dt.year.to_numpy(np.int64) * 12 + parsed.dt.month.to_numpy(np.int64) - 1
    return since[codes] - since.min(), pd.Period(year=since.min() // 12, month=since.min() % 12 + 1, freq="M"), []


def _numbers(values: pd.Series, source: str) -> tuple[np.ndarray, list[str]]:
    found = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(found))
    told = f"{source} column {values.name!r} is no finite number in {len(wrong)} rows, the first at data row {wrong[0] + 1 if len(wrong) else 0}"
    return found, [f"{told}: {shorten(map(repr, values.iloc[wrong[:3]]), 3)}"] if len(wrong) else []


def _first_number(numbers: pd.Series, months: np.ndarray, source: str) -> tuple[int, list[str]]:
    """(the number of the first month, problems): numbers that the file gives to months must go up with its dates."""
    found, problems = _numbers(numbers, source)
    if problems:
        return 0, problems
    first = int(found[months == 0][0])
    wrong = np.flatnonzero(found != months + first)
    told = f"{source} column {numbers.name!r} is not the month of the row's date in {len(wrong)} rows, the first at data row {wrong[0] + 1 if len(wrong) else 0}"
    return first, [f"{told}\nexpected {first} in the first month, and one more in each month after"] if len(wrong) else []


def _coded(values: pd.Series, others: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """(positions, sorted texts) of the values; the texts are those of the others too."""
    codes, each = pd.factorize(values)
    levels = pd.Index(each, dtype="str").union(pd.Index(others.unique(), dtype="str"))
    return levels.get_indexer(each)[codes], levels


def _prices(values: pd.Series, months: np.ndarray) -> tuple[np.ndarray, int]:
    """((n,) prices with NaN for what can be none, how many are so). What is absurd is decided by the prices of the same month alone."""
    found = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
    found[~(np.isfinite(found) & (found > 0))] = np.nan
    usual = pd.Series(found).groupby(months).median().reindex(np.arange(months.max() + 1)).to_numpy()
    with np.errstate(invalid="ignore"):
        found[found > ABSURD * usual[months]] = np.nan
    return found, int(np.isnan(found).sum())


# --- what other tables tell of the keys ------------------------------------------------------------------------------------------


def axes_of(names: list[str], levels: list[pd.Index], tables: dict[str, pd.DataFrame], first_words: list[str]) -> tuple[dict[str, Axis], list[str]]:
    """(column -> its axis, notes): those of the keys, and the columns of tables that are joined to a key, or to a column joined before.

    names   of the keys, with their levels
    tables  file -> its rows, all text
    Raises DataError for a table that shares no column with what is known before it, or several, or that names a value twice.
    """
    axes = {name: Axis(n, np.arange(len(each)), each) for n, (name, each) in enumerate(zip(names, levels))}
    notes, problems = [], []
    for file, table in tables.items():
        shared = [name for name in table if name in axes]
        if len(shared) != 1:
            found = f"shares {shorten(shared)} with them" if shared else f"has columns {shorten(table)}"
            problems.append(f"{file} is joined by one column that the keys or the tables before it have ({shorten(axes)}), and {found}")
            continue
        by = axes[shared[0]]
        values = table[shared[0]]
        if values.duplicated().any():
            twice = values[values.duplicated()].unique()
            problems.append(f"{file} names {len(twice)} values of {shared[0]!r} on more than one row: {shorten(twice)}")
            continue
        place = pd.Index(values, dtype="str").get_indexer(by.levels)
        lacking = by.levels[(place < 0) & (by.levels != "")]
        notes += [f"{file} says nothing of {len(lacking)} values of {shared[0]!r}: {shorten(lacking)}"] if len(lacking) else []
        for name in table.columns.drop(shared[0]):
            cells = table[name].fillna("")
            cells = cells.str.split(n=1).str[0].fillna("") if name in first_words else cells
            texts = np.append(cells.to_numpy(dtype=object), "")[place]  # place -1 is the last: nothing known
            each, codes = np.unique(texts.astype(str), return_inverse=True)
            axes[name] = Axis(by.key, codes[by.codes], pd.Index(each, dtype="str"))
    lacking = [name for name in first_words if name not in axes]
    problems += [f'input.first_words: no joined table has a column "{name}"{did_you_mean(name, axes)}' for name in lacking]
    if problems:
        raise DataError(bullets(problems))
    return axes, notes


def ids_of(number: int, keys: list[np.ndarray], levels: Iterable[pd.Index]) -> pd.Index:
    """Ids of a month's rows: "<month>/<key>/<key>"."""
    texts = (pd.Series(each.take(codes), dtype="str") for codes, each in zip(keys, levels))
    first, *more = texts
    return pd.Index((f"{number}/" + first).str.cat(more, sep="/") if more else f"{number}/" + first, dtype="str", name="id")

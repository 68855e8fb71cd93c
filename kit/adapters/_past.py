"""What months before a month tell of its rows: sales and groups in, columns of numbers out.

Months are added one by one, and a month's columns are made before the months that it may not know are added: nothing later can be in them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.adapters._calendar import Axis, Sales

FACTOR = np.float32(np.log(20))  # a price that changes more, up or down, counts as changed so much


@dataclass(frozen=True)
class Look:
    """Which months are looked at, and in which groups.

    keys       the columns that make a row
    groups     further columns, or combinations of them, whose rows are averaged
    lags       months back, of a row's own past and of each key's; of a group's only the nearest
    windows    months: means over so many of the latest
    horizon    months from the last one known to the one that is asked for
    clip       [lowest, highest] of a month's total, or [] for any
    fading     what a month counts in the recent mean beside the month after it, above 0 to 1
    smoothing  months: a row's own mean is drawn to what its keys let expect, as if so many more months had shown that
    priced     the column that prices belong to, "" without prices
    price_among  a column within whose values prices are compared; "" is none
    debut      the key whose new values are followed, "" for none
    """

    keys: list[str]
    groups: list[list[str]]
    lags: list[int]
    windows: list[int]
    horizon: int
    clip: list[float]
    fading: float
    smoothing: float
    priced: str
    price_among: str
    debut: str

    def clipped(self, totals: np.ndarray) -> np.ndarray:
        return np.clip(totals, *self.clip) if self.clip else totals


class Group:
    """Sums of the months added, for each combination of a few columns that was ever sold.

    Those that are first sold later stand in the same arrays, and are missing wherever they are looked up before.
    """

    def __init__(self, columns: list[str], axes: dict[str, Axis], sales: Sales, look: Look, what: str = ""):
        """
        what  of a sale is summed, as the names of columns say it; "" is what was sold
        """
        self.name = " ".join(filter(None, [" x ".join(columns) or "all", what]))
        self.axes = [axes[c] for c in columns]
        self.full = not what and (columns == look.keys or columns in [[k] for k in look.keys])
        self.debuts = bool(look.debut) and not what and look.debut not in columns
        self.units = pd.Index(np.unique(self._codes(sales.keys)))
        self.sales, self.look, n = sales, look, len(self.units)
        self.recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=max([*look.lags, *look.windows]))
        self.total, self.rows = np.zeros(n), np.zeros(n)
        self.faded_total, self.faded_rows, self.faded_months = np.zeros(n), np.zeros(n), np.zeros(n)  # months: those in which any row was
        self.first, self.last = np.full(n, -1), np.full(n, -1)
        self.debut_total, self.debut_rows = np.zeros(n), np.zeros(n)

    def _codes(self, keys: list[np.ndarray]) -> np.ndarray:
        codes = np.zeros(len(keys[0]), np.int64)
        for axis in self.axes:
            codes = codes * len(axis.levels) + axis.of(keys)
        return codes

    def place(self, keys: list[np.ndarray]) -> np.ndarray:
        """(rows,) positions in units; -1 is one that was never sold."""
        return self.units.get_indexer(self._codes(keys))

    def add(self, month: int, place: np.ndarray, values: np.ndarray, sold: np.ndarray, new: np.ndarray | None) -> None:
        """
        values  (rows,) clipped totals of the month's rows
        sold    (rows,) bool: more than nothing
        new     (rows,) bool: of something that no month before sold; None where that is not followed
        """
        n, known = len(self.units), place >= 0
        total, rows = np.bincount(place[known], weights=values[known], minlength=n), np.bincount(place[known], minlength=n)
        self.recent.append((total.astype(np.float32), rows.astype(np.float32)))
        self.total += total
        self.rows += rows
        for faded, added in ((self.faded_total, total / self.sales.days(month)), (self.faded_rows, rows), (self.faded_months, rows > 0)):
            faded *= self.look.fading
            faded += added
        found = np.unique(place[sold & known])
        self.first[found[self.first[found] < 0]] = month
        self.last[found] = month
        if new is not None:
            self.debut_total += np.bincount(place[known & new], weights=values[known & new], minlength=n)
            self.debut_rows += np.bincount(place[known & new], minlength=n)

    def recent_mean(self, month: int) -> np.ndarray:
        """(units,) over the months added, older ones faded, for as many days as this month has; NaN for one that was not sold in them."""
        return self._ratio(self.faded_total, self.faded_rows) * self.sales.days(month)

    def _ratio(self, total: np.ndarray, rows: np.ndarray) -> np.ndarray:
        mean = np.divide(total, rows, out=np.zeros(len(total)), where=rows > 0)
        mean[self.first < 0] = np.nan
        return mean

    def columns(self, month: int) -> Iterator[tuple[str, np.ndarray]]:
        """(name, (units,)) of each column for rows of this month."""
        look, nothing = self.look, np.full(len(self.units), np.nan)
        for lag in look.lags if self.full else look.lags[:1]:
            back = lag - look.horizon + 1
            yield f"{self.name} lag {lag}", self._ratio(*self.recent[-back]) if back <= len(self.recent) else nothing
        means = []
        for window in look.windows:
            held = list(self.recent)[-window:]
            means.append(self._ratio(*(np.sum(each, axis=0) for each in zip(*held))) if held else nothing)
            yield f"{self.name} mean {window}", means[-1]
        overall = self._ratio(self.total, self.rows)
        yield f"{self.name} mean", overall
        yield f"{self.name} recent mean", self.recent_mean(month)
        if self.full:
            yield f"{self.name} trend", means[0] - overall
            yield f"{self.name} since first", np.where(self.first < 0, np.nan, month - self.first)
            yield f"{self.name} since last", np.where(self.first < 0, np.nan, month - self.last)
        if self.debuts:
            yield f"{self.name} debut mean", np.divide(self.debut_total, self.debut_rows, out=nothing.copy(), where=self.debut_rows > 0)


class Prices:
    """Logs of the median price of each month, for each value of a column."""

    def __init__(self, axis: Axis, among: Axis | None, sales: Sales, look: Look):
        self.name, self.axis, self.among, self.sales, self.look = look.priced, axis, among, sales, look
        n = len(axis.levels)
        self.latest, self.before = np.full(n, np.nan), np.full(n, np.nan)
        self.total, self.months = np.zeros(n), np.zeros(n)

    def add(self, month: int) -> None:
        held = self.sales.of_month(month)
        units = self.axis.of([key[held] for key in self.sales.keys])
        median = np.log(pd.Series(self.sales.prices[held]).groupby(units).median().dropna())
        self.before[median.index] = self.latest[median.index]
        self.latest[median.index] = median
        self.total[median.index] += median
        self.months[median.index] += 1

    def columns(self) -> Iterator[tuple[str, np.ndarray]]:
        mean = np.divide(self.total, self.months, out=np.full(len(self.total), np.nan), where=self.months > 0)
        yield f"{self.name} price", self.latest
        yield f"{self.name} price change", _bounded(self.latest - self.before)
        yield f"{self.name} price trend", _bounded(self.latest - mean)
        if self.among is not None:
            usual = pd.Series(self.latest).groupby(self.among.codes).transform("mean").to_numpy()
            yield f"{self.name} price to {self.look.price_among}", _bounded(self.latest - usual)


def _bounded(change: np.ndarray) -> np.ndarray:
    return np.clip(change, -FACTOR, FACTOR)


class Past:
    """All that is known at a month."""

    def __init__(self, sales: Sales, axes: dict[str, Axis], look: Look):
        self.sales, self.look, self.added = sales, look, 0
        wanted = [look.keys, *([k] for k in look.keys if [k] != look.keys), [], *look.groups]
        self.groups = [Group(columns, axes, sales, look) for columns in wanted]
        self.key_groups = [self.groups[wanted.index([k])] for k in look.keys]
        self.everything = self.groups[wanted.index([])]
        self.times = Group(look.keys, axes, sales, look, "times")  # twelve of one sale are less likely to come again than one of twelve
        self.prices = Prices(axes[look.priced], axes.get(look.price_among), sales, look) if look.priced and sales.prices is not None else None

    def know(self, month: int) -> None:
        """Adds the months that rows of this month may know: those up to `horizon` before it."""
        while self.added <= min(month - self.look.horizon, self.sales.months - 1):
            self._add(self.added)
            self.added += 1

    def _add(self, month: int) -> None:
        keys = self.sales.grid(month)
        totals, times = self.sales.totals(month)
        values, sold, new = self.look.clipped(totals), times > 0, None
        if self.look.debut and month:  # of what the first month sells nobody knows whether it is new
            followed = self.key_groups[self.look.keys.index(self.look.debut)]
            new = followed.first[followed.place(keys)] < 0
        for group in self.groups:
            group.add(month, group.place(keys), values, sold, new)
        self.times.add(month, self.times.place(keys), times, sold, None)
        if self.prices is not None:
            self.prices.add(month)

    def columns(self, month: int, keys: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """(name, (rows,) float32) of each column for these rows of a month, missing is NaN."""
        assert self.added == min(month - self.look.horizon + 1, self.sales.months), "a month's rows know the months before it, and no others"
        places = {group.name: group.place(keys) for group in [*self.groups, self.times]}
        for group in [*self.groups, self.times]:
            for name, values in group.columns(month):
                yield name, _looked_up(values, places[group.name])
        yield from self._expected(month, places)
        if self.prices is not None:
            units = self.prices.axis.of(keys)
            for name, values in self.prices.columns():
                yield name, values.astype(np.float32)[units]
        when, days = self.sales.start + month, self.sales.days(month)
        weekend = int((pd.date_range(when.start_time, periods=days).day_of_week >= 5).sum())
        for name, number in {"month": when.month, "days": days, "weekend days": weekend}.items():
            yield name, np.full(len(keys[0]), number, np.float32)

    def _expected(self, month: int, places: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """What the recent means of a row's keys let expect of it if they act by factors, and its own drawn to that."""
        n = len(places[self.groups[0].name])
        overall = self.everything.recent_mean(month)
        if not len(overall) or not overall[0] > 0:
            expected = np.full(n, np.nan, np.float32)
        else:
            expected = np.full(n, overall[0], np.float32)
            for group in self.key_groups:
                expected *= _looked_up(group.recent_mean(month) / overall[0], places[group.name])
        yield "expected", expected
        own = self.groups[0]
        months = np.min([_looked_up(g.faded_months, places[g.name]) for g in self.key_groups], axis=0)
        total = np.nan_to_num(_looked_up(own.faded_total * self.sales.days(month), places[own.name]))
        yield "expected and own", ((total + self.look.smoothing * expected) / (months + self.look.smoothing)).astype(np.float32)


def _looked_up(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(rows,) float32; place -1 is NaN."""
    return np.append(values.astype(np.float32), np.float32(np.nan))[place]

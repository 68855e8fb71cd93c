"""Sales day by day become a table: a row for each shop and item of a month, zeros included, and what the months before tell of it.

Every column of a month is made before that month is looked at, so that a validated month is known as little as the one to predict.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters import _sample_panel
from kit.adapters._calendar import Axis, Sales, axes_of, ids_of, sales_of
from kit.adapters._past import Look, Past
from kit.adapters.tabular import Tabular
from kit.errors import DataError, bullets, did_you_mean, shorten
from kit.reading import read
from kit.tables import Column, Tables, in_id_order, with_ids

YEAR = 12  # months, up to which each part of the year is learned from once
MONTH, TARGET = "\x1fmonth", "\x1ftarget"  # columns of training rows beside those that are made: names that no file's column has


class Panel(Tabular):
    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "sales_train.csv",
        test: str = "test.csv",
        sample_submission: str = "",
        id: str | list[str] = "ID",
        keys: list[str] = [],
        time: str = "date",
        time_format: str = "",
        number: str = "",
        value: str = "",
        price: str = "",
        priced: str = "",
        price_among: str = "",
        joined: list[str] = [],
        first_words: list[str] = [],
        categories: list[str] = [],
        groups: list[list[str]] = [],
        debut: str = "",
        lags: list[int] = [1, 2, 3, 6, 12],
        windows: list[int] = [3, 12],
        horizon: int = 1,
        first: int = 0,
        clip: list[float] = [],
        fading: float = 0.9,
        smoothing: float = 4.0,
        drop: list[str] = [],
        separator: str = "",
        encoding: str = "",
    ):
        """
        train              the sales, a row for what was sold on a day
        test               the rows to predict: an id and the keys
        sample_submission  whose rows and columns a submission must have; "" is id and target
        id                 the column of the test file that names a row
        keys               columns that name a series, such as shop and item: the rows of a month are all combinations of what was sold in it
        time, time_format  the column of a sale's date, and its form for strptime, such as "%d.%m.%Y"; "" is ISO 8601
        number             a column that numbers the months, checked against the dates; "" is none, and the first month is 0
        value              the column of what was sold, summed over a month; below 0 it was brought back
        price, priced      the column of prices, and the key whose values have them; "" is none
        price_among        a column within whose values prices are compared; "" is none
        joined             further tables, each joined by the one column that a key or a table before it has
        first_words        their columns of which only the first word is kept; further words are left out
        categories         keys and joined columns that are given as categories
        groups             columns, or combinations of them, whose months are averaged beside those of the keys
        debut              the key whose new values are followed: how values sold for the first time did in their first month; "" is none
        lags               months back, at least `horizon`, of a row's own past and of each key's; of a group the nearest alone
        windows            months: means over so many of the latest known
        horizon            months from the last known one to the one that is predicted; folds in time need a gap of one less
        first              the first month that is learned from, counted from the first of the file; below 0 so many months before the end;
                           months without a known past are never learned from
        clip               [lowest, highest] of a month's total, in training rows and answers; [] is any. [post] clip does so to predictions
        fading             above 0 to 1: what a month counts in the recent means beside the month after it
        smoothing          months: a row's own mean is drawn to what its keys let expect, as if so many more months had shown that
        drop               columns, as they are named when made, left out
        separator          of the CSV files; "" is found out
        encoding           of the CSV files; "" is UTF-8, or UTF-16 with its mark

        Raises ConfigError for options that do not go with one another or with the task, all at once.
        """
        self.keys, self.time, self.time_format, self.number, self.value, self.price = keys, time, time_format, number, value, price
        self.joined, self.first_words, self.categories, self.first = joined, first_words, categories, first
        priced_by = priced if price else ""
        self.look = Look(keys, groups, sorted(lags), sorted(windows), horizon, clip, fading, smoothing, priced_by, price_among, debut)
        self.asked_price = (price, priced)
        super().__init__(
            data, task, train=train, test=test, sample_submission=sample_submission, id=id, drop=drop, separator=separator, encoding=encoding
        )

    @classmethod
    def fold_problems(cls, options: dict[str, Any], scheme: str, given: dict[str, Any]) -> list[str]:
        horizon, gap = options.get("horizon", 1), given.get("gap", 0) + given.get("purge", 0)
        if scheme not in ("time", "group_time") or gap >= horizon - 1:
            return []
        return [
            f"score.folds.gap = {gap:g}: by input.horizon = {horizon} the last known month lies {horizon} before the one to predict, and folds would train on later ones\n"
            f"set score.folds.gap to {horizon - 1}, which is input.horizon - 1"
        ]

    def _option_problems(self) -> list[str]:
        look, kind = self.look, type(self.task).__name__.lower()
        wrong = {
            f'input.adapter = "panel" predicts one number a row, and the task is "{kind}"': kind != "regression" or len(self.task.targets) != 1,
            "input.keys is missing: the columns that name a series, such as shop and item": not look.keys,
            "input.value is missing: the column of what was sold": not self.value,
            f"input.horizon is {look.horizon}: expected at least 1 month": look.horizon < 1,
            f"input.lags = {look.lags}: expected months from input.horizon = {look.horizon} up": not look.lags or look.lags[0] < look.horizon,
            f"input.windows = {look.windows}: expected numbers of months from 1 up": not look.windows or look.windows[0] < 1,
            f"input.clip = {look.clip}: expected [lowest, highest]": look.clip and (len(look.clip) != 2 or not look.clip[0] < look.clip[1]),
            f"input.fading is {look.fading:g}: expected above 0, to 1": not 0 < look.fading <= 1,
            f"input.smoothing is {look.smoothing:g}: expected above 0": look.smoothing <= 0,
            "input.price and input.priced go together: prices, and the key that they belong to": bool(self.price) != bool(self.asked_price[1]),
            f'input.priced = "{look.priced}" is none of input.keys{did_you_mean(look.priced, look.keys)}': look.priced and look.priced not in look.keys,
            f'input.debut = "{look.debut}" is none of input.keys{did_you_mean(look.debut, look.keys)}': look.debut and look.debut not in look.keys,
            "input.id is missing: the column of the test file that names a row": not self.id,
        }
        return [*super()._option_problems(), *(problem for problem, is_so in wrong.items() if is_so)]

    def aliases(self, tables: dict[str, pd.DataFrame]) -> dict[str, dict[str, str]]:
        """For a competition to say which values of a key are the same: key -> value -> the value that stands for it.

        tables  the joined tables, all text
        """
        return {}

    # --- files -------------------------------------------------------------------------------------------------------------------

    def train_files(self) -> list[Path]:
        return self._tables(self.train_file, *self.joined)

    def test_files(self) -> list[Path]:
        """The sales too: what is known of a row to predict is in them."""
        return [*self.train_files(), *super().test_files()]

    def _read_all(self) -> tuple[Sales, int, dict[str, Axis], pd.DataFrame]:
        """(sales, number of their first month, column -> axis, keys of the rows to predict by their ids). What there is to know goes to notes."""
        frame, others = self._read(self.train_file, [*self.keys, self.time]), self._read(self.test_file, self.keys)
        joined = {name: read(self.data / name, text=None, **self.form) for name in self.joined}
        wanted = {self.train_file: (frame, [*self.keys, self.time, self.value, *filter(None, (self.number, self.price))]), self.test_file: (others, [*self.id, *self.keys])}
        problems = [f'{source} has no column "{c}"{did_you_mean(c, f.columns)}' for source, (f, columns) in wanted.items() for c in columns if c not in f]
        problems += [f"{source} has a header and no rows" for source, (f, _) in wanted.items() if not len(f)]
        if problems:
            raise DataError(bullets(problems))
        for name, same in self.aliases(joined).items():
            frame[name], others[name] = frame[name].replace(same), others[name].replace(same)
        others = with_ids(others, self.id, self.test_file)
        blank = [name for name in self.keys if (others[name].isna() | (others[name] == "")).any()]
        if blank:
            raise DataError(f"{self.test_file} column {shorten(map(repr, blank))} is blank in some rows: each row to predict names it")
        columns = {"keys": self.keys, "time": self.time, "time_format": self.time_format, "number": self.number, "value": self.value, "price": self.price}
        sales, number, notes = sales_of(frame, others, self.train_file, **columns)
        axes, more = axes_of(self.keys, sales.levels, joined, self.first_words)
        named = {"groups": [c for g in self.look.groups for c in g], "categories": self.categories, "price_among": [self.look.price_among] if self.look.price_among else []}
        problems = [f'input.{option}: no key and no joined table has a column "{c}"{did_you_mean(c, axes)}' for option, listed in named.items() for c in listed if c not in axes]
        if self.look.price_among in axes and self.look.priced and axes[self.look.price_among].key != axes[self.look.priced].key:
            problems.append(f'input.price_among = "{self.look.price_among}" says nothing of input.priced = "{self.look.priced}"')
        if problems:
            raise DataError(bullets(problems))
        self.notes += [*notes, *more]
        return sales, number, axes, others

    # --- tables ------------------------------------------------------------------------------------------------------------------

    def read_train(self) -> pd.DataFrame:
        """The rows of the months that are learned from: index id, the target, and their month."""
        self.notes = []
        sales, number, axes, _ = self._read_all()
        return self._rows(sales, number, self._learned(sales))

    def truth(self, raw: pd.DataFrame, source: str = "the answers") -> pd.DataFrame:
        """`id` and the target, clipped."""
        found = super().truth(raw, source)
        return found.assign(**{name: self.look.clipped(found[name].to_numpy()) for name in self.task.targets})

    def tables(self) -> Tables:
        self.notes = []
        sales, number, axes, others = self._read_all()
        months = self._learned(sales)
        rows = self._rows(sales, number, months)
        made, asked = self._columns(sales, axes, number, months, others)
        train = in_id_order(pd.DataFrame({MONTH: rows[MONTH].to_numpy(), TARGET: rows[self.task.targets[0]].to_numpy(), **made}, index=rows.index, copy=False), rows.index)
        del rows, made
        truth = self.truth(train.pop(TARGET).to_frame(self.task.targets[0]), self.train_file)
        self.task.learn(truth)
        roles = {"time": train.pop(MONTH).rename("month")}
        schema, notes = self._schema(train, roles["time"].to_numpy())
        return Tables(train[list(schema)], asked[list(schema)], truth, schema, roles, [*self.notes, *notes])

    def new_rows(self, schema: dict[str, Column]) -> pd.DataFrame:
        self.notes = []
        sales, number, axes, others = self._read_all()
        return self._columns(sales, axes, number, range(0), others)[1][list(schema)]

    def _learned(self, sales: Sales) -> range:
        """The months that training rows are of."""
        least = self.look.horizon
        if sales.months <= least:
            raise DataError(f"{self.train_file} holds {sales.months} months of sales: expected more than input.horizon = {least}, since what is learned from needs a past")
        first = self.first + (sales.months if self.first < 0 else 0)
        if first >= sales.months:
            raise DataError(f"input.first = {self.first}: {self.train_file} holds {sales.months} months, numbered from 0")
        return range(max(first, least), sales.months)

    def _rows(self, sales: Sales, number: int, months: range) -> pd.DataFrame:
        """Rows of these months, in the order of their numbers as text: index id, the target, the month."""
        parts = []
        for month in _as_text(months, number):
            ids = ids_of(month + number, sales.grid(month), sales.levels)
            parts.append(pd.DataFrame({self.task.targets[0]: self.look.clipped(sales.totals(month)[0]), MONTH: month + number}, index=ids))
        return pd.concat(parts)

    def _columns(self, sales: Sales, axes: dict[str, Axis], number: int, months: range, others: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
        """(columns of the rows of these months in the order of `_rows`, those of the rows to predict)."""
        past = Past(sales, axes, self.look)
        held, total = {}, 0
        for month in _as_text(months, number):
            held[month] = slice(total, total + sales.rows(month))
            total = held[month].stop
        columns: dict[str, Any] = {}
        grids = [np.empty(total, np.int32) for _ in self.keys] if total else []
        for month in months:
            past.know(month)
            keys = sales.grid(month)
            for name, values in past.columns(month, keys):
                if name not in columns:
                    columns[name] = np.empty(total, np.float32)
                columns[name][held[month]] = values
            for codes, each in zip(grids, keys):
                codes[held[month]] = each
        final = sales.months - 1 + self.look.horizon
        past.know(final)
        keys = [levels.get_indexer(others[name]) for levels, name in zip(sales.levels, self.keys)]
        asked = dict(past.columns(final, keys))
        for name in self.categories:
            asked[name] = _category(axes[name], keys)
            if total:
                columns[name] = _category(axes[name], grids)
        return columns, pd.DataFrame(asked, index=others.index)

    def _schema(self, train: pd.DataFrame, months: np.ndarray) -> tuple[dict[str, Column], list[str]]:
        unknown = [name for name in self.drop if name not in train]
        if unknown:
            raise DataError(bullets(f'input.drop: no column "{name}" is made{did_you_mean(name, train.columns)}' for name in unknown))
        kept, notes = [name for name in train if name not in self.drop], []
        alike = [name for name in kept if _one_value(train[name])]
        kept = [name for name in kept if name not in alike]
        notes += [f"one value in all training rows, so left out: {shorten(alike, 20)}"] if alike else []
        each, codes = np.unique(months, return_inverse=True)
        if len(each) <= YEAR:
            naming = [name for name in kept if name not in self.categories and _one_value_a_month(train[name].to_numpy(), codes)]
            kept = [name for name in kept if name not in naming]
            notes += [f"{len(each)} months are learned from, and columns of one value a month would only name them, so left out: {shorten(naming, 20)}"] if naming else []
        return {name: Column("category" if name in self.categories else "numeric") for name in kept}, notes

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 24) -> None:
        """Made sales in the files of the keys' names: what is sold goes with the season, grows, and differs between shops and kinds of items.

        rows  items
        """
        _sample_panel.write(folder, self, rows)


def _as_text(months: range, number: int) -> list[int]:
    """In the order of their numbers as text, in which ids begin."""
    return sorted(months, key=lambda month: str(month + number))


def _category(axis: Axis, keys: list[np.ndarray]) -> pd.Categorical:
    codes, nothing = axis.of(keys), axis.levels.get_indexer([""])[0]
    if nothing >= 0:  # "" is the first of sorted texts
        codes = codes - 1
    return pd.Categorical.from_codes(codes, axis.levels[1:] if nothing >= 0 else axis.levels)


def _one_value(values: pd.Series) -> bool:
    return values.iloc[:1000].nunique(dropna=False) < 2 and values.nunique(dropna=False) < 2


def _one_value_a_month(values: np.ndarray, codes: np.ndarray) -> bool:
    """codes  (n,) from 0: the month of each row"""
    first = np.unique(codes, return_index=True)[1]
    return np.array_equal(values[:1000], values[first][codes[:1000]], equal_nan=True) and np.array_equal(values, values[first][codes], equal_nan=True)

"""Adverts that nobody was asked about: folder in, and out what the active files and their periods tell of each user, category and title.

Kaggle's files hold some 14 million adverts and more periods than that, so they are read a piece at a time. What is kept is as large as
the keys that are asked for, and beside them a word and two numbers for each advert with a period.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import DataError, KitError, shorten
from kit.reading import locate

PARTS = ("train", "test")
PIECE = 500_000  # rows
MEASURES = ("active", "days_up", "listings", "log_price")


@dataclass(frozen=True)
class Periods:
    """
    ids       (k,) uint64 hashes of adverts, ascending
    listings  (k,) how many periods the advert has
    days      (k,) from the first to the last day of its periods, summed
    """

    ids: np.ndarray
    listings: np.ndarray
    days: np.ndarray

    def of(self, adverts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """(listings, days) of each advert, NaN for one without a period."""
        wanted = _hashed(adverts)
        place = np.searchsorted(self.ids, wanted)
        place[place == len(self.ids)] = 0
        found = self.ids[place] == wanted if len(self.ids) else np.zeros(len(wanted), bool)
        if not found.any():
            return np.full(len(wanted), np.nan), np.full(len(wanted), np.nan)
        return np.where(found, self.listings[place], np.nan), np.where(found, self.days[place], np.nan)


def told(folder: Path, keys: dict[str, pd.Index]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """(key column -> frame of MEASURES, index its values; notes on files that are absent).

    active     adverts a day of the file that they stand in: the test's file spans fewer days than the training rows'
    days_up    mean over adverts of the days that their periods sum to
    listings   mean over adverts of their periods
    log_price  mean of log(1 + price)

    keys  column of the active files -> the values that are asked for, each once
    Means are NaN where there is no such advert. No frame is given unless both active files are there, and no days_up and listings unless both
    files of periods are.
    Raises DataError for a file that cannot be read, lacks a column, or holds what is no date.
    """
    lacking = [name for name in (f"{part}_active.csv" for part in PARTS) if not is_there(folder / name)]
    if lacking:
        return {}, [f"no {shorten(lacking)}, so nothing is known of adverts besides the training and the test rows"]
    timeless = [name for name in (f"periods_{part}.csv" for part in PARTS) if not is_there(folder / name)]
    notes = [f"no {shorten(timeless)}, so nothing is known of the days that adverts were up"] if timeless else []
    totals = {key: _Totals(len(index)) for key, index in keys.items()}
    for part in PARTS:
        periods = None if timeless else _periods(folder / f"periods_{part}.csv")
        _add(folder / f"{part}_active.csv", keys, totals, periods)
    return {key: total.frame(keys[key], ["days_up", "listings"] if timeless else []) for key, total in totals.items()}, notes


def is_there(path: Path) -> bool:
    """Whether the file lies there, or packed as Kaggle packs it."""
    try:
        locate(path)
    except KitError:
        return False
    return True


class _Totals:
    """Sums over adverts, and how many have gone into each, by the position of a key's value."""

    def __init__(self, n: int):
        self.n, self.active = n, np.zeros(n)
        self.sums = {name: np.zeros(n) for name in MEASURES[1:]}
        self.counts = {name: np.zeros(n) for name in MEASURES[1:]}

    def add(self, place: np.ndarray, values: dict[str, np.ndarray]) -> None:
        """
        place   (rows,) of each advert's value; -1 is one that nobody asked for
        values  measure -> (rows,), NaN where an advert has none
        """
        for name, each in values.items():
            known = (place >= 0) & np.isfinite(each)
            self.sums[name] += np.bincount(place[known], weights=each[known], minlength=self.n)
            self.counts[name] += np.bincount(place[known], minlength=self.n)

    def frame(self, index: pd.Index, without: list[str]) -> pd.DataFrame:
        kept = [name for name in MEASURES[1:] if name not in without]
        means = {n: np.divide(self.sums[n], self.counts[n], out=np.full(self.n, np.nan), where=self.counts[n] > 0) for n in kept}
        return pd.DataFrame({"active": self.active, **means}, index=index)


def _add(path: Path, keys: dict[str, pd.Index], totals: dict[str, _Totals], periods: Periods | None) -> None:
    """All adverts of a file into the totals."""
    seen = {key: np.zeros(len(index), np.int64) for key, index in keys.items()}
    edges = []
    for piece in _pieces(path, ["item_id", *keys, "price", "activation_date"]):
        dates = _dated(piece["activation_date"], path)
        edges += [dates.min(), dates.max()] if len(dates) else []
        values = {"log_price": np.log1p(piece["price"].to_numpy(dtype=np.float64).clip(min=0))}
        if periods is not None:
            values["listings"], values["days_up"] = periods.of(piece["item_id"])
        for key, index in keys.items():
            place = index.get_indexer(piece[key])
            totals[key].add(place, values)
            seen[key] += np.bincount(place[place >= 0], minlength=len(index))
    if edges:
        span = (max(edges) - min(edges)) / np.timedelta64(1, "D") + 1  # days
        for key, counts in seen.items():
            totals[key].active += counts / span


def _periods(path: Path) -> Periods:
    ids, days = [np.empty(0, np.uint64)], [np.empty(0, np.float32)]
    for piece in _pieces(path, ["item_id", "date_from", "date_to"]):
        ids.append(_hashed(piece["item_id"]))
        up = _dated(piece["date_to"], path) - _dated(piece["date_from"], path)
        days.append((up / np.timedelta64(1, "D")).astype(np.float32))
    each, place = np.unique(np.concatenate(ids), return_inverse=True)
    return Periods(each, np.bincount(place), np.bincount(place, weights=np.concatenate(days)))


def _pieces(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    """The file's rows, PIECE at a time: text but for the price; an empty field is "", or NaN for a price."""
    found = locate(path)
    try:
        types = {name: "float64" if name == "price" else "str" for name in columns}
        with pd.read_csv(found, usecols=columns, dtype=types, chunksize=PIECE, keep_default_na=False, na_values={"price": [""]}) as reader:
            yield from reader
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # pandas' own errors of form are ValueErrors
        raise DataError(f"{found} cannot be read: {error}\nexpected columns {shorten(columns, 10)}; is it whole? fetch it again") from error


def _hashed(ids: pd.Series) -> np.ndarray:
    return pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)


def _dated(texts: pd.Series, path: Path) -> np.ndarray:
    """(n,) datetime64. Raises DataError for what is none."""
    found = pd.to_datetime(texts, format="%Y-%m-%d", errors="coerce")
    if found.isna().any():
        wrong = texts[found.isna()]
        raise DataError(f"{path.name} column {texts.name!r} holds {len(wrong)} values that are no date: {shorten(map(repr, wrong), 3)}\nexpected such as 2017-03-28")
    return found.to_numpy()

"""Made sales for a sample of data: demand goes with the season and grows, shops and kinds of items differ, and items come and go."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.files import write_text

MONTHS, PLACES, KIND = 18, 6, 4  # months of sales, values of a key that is not the last, and how many items are of one kind


def write(folder: Path, adapter: Any, items: int) -> None:
    """The files of sales, of rows to predict and of the sample submission.

    items  values of the last key
    """
    random = np.random.default_rng(0)
    sizes = [*[PLACES] * (len(adapter.keys) - 1), items]
    codes = [axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")]
    item = codes[-1]
    came = np.where(np.arange(items) % 3 == 0, random.integers(1, MONTHS + 1, items), 0)  # some in the month that is to be predicted
    busy = np.exp(random.normal(scale=0.5, size=(len(sizes), max(sizes))))
    level = np.exp(random.normal(scale=0.8, size=items // KIND + 1))[item // KIND] * np.prod([busy[n][code] for n, code in enumerate(codes)], axis=0)
    parts = []
    for month in range(MONTHS):
        season = 1 + 0.5 * np.sin(2 * np.pi * (month % 12) / 12) * (item // KIND % 2)
        fresh = np.where(month - came[item] < 2, 1.8, 1.0)
        sold = random.poisson(level * season * fresh * 1.03**month) * (came[item] <= month)
        days = pd.Period("2013-01", freq="M") + month
        there = np.flatnonzero(sold)
        parts.append(_lines(adapter, days, month, [code[there] for code in codes], sold[there], random))
    for month in (3, 7):  # one sale is brought back, and one has no price
        parts[month].iloc[0, parts[month].columns.get_loc(adapter.value)] = -1
        if adapter.price:
            parts[month].iloc[1, parts[month].columns.get_loc(adapter.price)] = -1
    asked = pd.DataFrame({name: code for name, code in zip(adapter.keys, codes)}).sample(frac=1, random_state=0)
    ids = pd.DataFrame({adapter.id[0]: np.arange(len(asked))})
    files = {adapter.train_file: pd.concat(parts), adapter.test_file: pd.concat([ids, asked.reset_index(drop=True)], axis=1)}
    if adapter.sample_file:
        files[adapter.sample_file] = ids.assign(**{adapter.task.targets[0]: 0.5})
    for name, frame in files.items():
        write_text(Path(folder) / name, frame.to_csv(index=False, lineterminator="\n"))


def _lines(adapter: Any, days: pd.Period, month: int, codes: list[np.ndarray], sold: np.ndarray, random: np.random.Generator) -> pd.DataFrame:
    """A month's sales, one line for each that sold, on any of its days."""
    dates = days.start_time + pd.to_timedelta(random.integers(0, days.days_in_month, len(sold)), unit="D")
    made = {adapter.time: dates.strftime(adapter.time_format or "%Y-%m-%d")}
    made |= {adapter.number: month} if adapter.number else {}
    made |= dict(zip(adapter.keys, codes))
    made |= {adapter.price: (100.0 + 10 * codes[-1]) * (1 - 0.01 * month)} if adapter.price else {}
    return pd.DataFrame({**made, adapter.value: sold.astype(np.float64)})

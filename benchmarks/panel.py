"""A whole process: `kit train future-sales --preset fast` on a made panel of the size of Kaggle's.

    python benchmarks/panel.py [--sales 3000000] [--folder DIR]

Some 3 million sales in 34 months, of 22,000 items in 60 shops, and 214,200 rows to predict: 5,100 items in 42 shops. Prints the seconds, those of
processors and the peak memory of the process, its rows and its score beside that of the constant. At most 10 minutes and 6 GB; two million training rows in less than 4 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

MONTHS, SHOPS, ITEMS, CATEGORIES = 34, 60, 22_170, 84
OPEN, ON_SALE = 46, 7_000  # a month, as in Kaggle's file of later years
ASKED_SHOPS, ASKED_ITEMS = 42, 5_100


def make(folder: Path, sales: int) -> None:
    """The six files: items are on sale for some months in a row, a few sell much, and December sells more."""
    random = np.random.default_rng(0)
    came = np.sort(random.integers(-12, MONTHS + 1, ITEMS))
    stays = random.geometric(1 / 12, ITEMS)
    popular = random.lognormal(0, 0.9, ITEMS)
    busy = random.lognormal(0, 0.6, SHOPS)
    price = np.round(random.lognormal(6, 1, ITEMS))
    parts, each = [], sales // MONTHS
    for month in range(MONTHS):
        there = np.flatnonzero((came <= month) & (month < came + stays))[-ON_SALE:]
        shops = random.permutation(SHOPS)[:OPEN]
        n = int(each * (1.5 if month % 12 == 11 else 0.95))
        items = there[np.searchsorted(np.cumsum(popular[there]) / popular[there].sum(), random.random(n))]
        where = shops[np.searchsorted(np.cumsum(busy[shops]) / busy[shops].sum(), random.random(n))]
        days = pd.Period("2013-01", freq="M") + month
        dates = (days.start_time + pd.to_timedelta(random.integers(0, days.days_in_month, n), unit="D")).strftime("%d.%m.%Y")
        count = random.geometric(0.8, n) * np.where(random.random(n) < 0.0025, -1, 1)
        parts.append(pd.DataFrame({"date": dates, "date_block_num": month, "shop_id": where, "item_id": items, "item_price": price[items], "item_cnt_day": count.astype(float)}))
    asked = np.concatenate([np.flatnonzero(came == MONTHS)[:350], np.flatnonzero((came < MONTHS) & (came + stays > MONTHS))])
    asked = random.permutation(np.concatenate([asked, random.permutation(np.setdiff1d(np.arange(ITEMS), asked))])[:ASKED_ITEMS])
    shop, item = (axis.ravel() for axis in np.meshgrid(random.permutation(SHOPS)[:ASKED_SHOPS], asked, indexing="ij"))
    ids = np.arange(len(shop))
    files = {
        "sales_train.csv": pd.concat(parts).sample(frac=1, random_state=0),
        "test.csv": pd.DataFrame({"ID": ids, "shop_id": shop, "item_id": item}),
        "sample_submission.csv": pd.DataFrame({"ID": ids, "item_cnt_month": 0.5}),
        "shops.csv": pd.DataFrame({"shop_name": [f"City{n % 20} shop {n}" for n in range(SHOPS)], "shop_id": np.arange(SHOPS)}),
        "items.csv": pd.DataFrame({"item_name": [f"Maker{n % 900} item {n}" for n in range(ITEMS)], "item_id": np.arange(ITEMS), "item_category_id": random.integers(0, CATEGORIES, ITEMS)}),
        "item_categories.csv": pd.DataFrame({"item_category_name": [f"Kind{n % 12} - {n}" for n in range(CATEGORIES)], "item_category_id": np.arange(CATEGORIES)}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in files.items():
        frame.to_csv(folder / name, index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sales", type=int, default=3_000_000, help="rows of the file of sales")
    parser.add_argument("--folder", type=Path, help="where the files are made, and kept; else they are removed")
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        data = (options.folder or Path(name) / "data").absolute()
        if not (data / "sales_train.csv").is_file():
            make(data, options.sales)
        began = time.monotonic()
        command = [sys.executable, "-m", "kit", "train", "future-sales", "--preset", "fast", "--data", str(data), *overrides]
        process = subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{command} failed with {status}")
        seconds, told = time.monotonic() - began, json.loads(next(Path(name).glob("competitions/*/runs/1-*/run.json")).read_text())
    print(f"{told['rows']} training rows  {seconds:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of processors  {usage.ru_maxrss / 1024:.0f} MB  rmse {told['score']['mean']:.4f}, constant {told['constant']:.4f}")


if __name__ == "__main__":
    main()

"""Whole processes: `kit train` on a made table of a million rows against calling LightGBM directly on the same arrays.

    python benchmarks/large_table.py [--rows 1000000] [--runs 1]

The direct calls load the arrays from .npy files, fit the same five folds with the same parameters for 200 rounds, and predict the
validated rows and the test rows. kit reads the CSV files, and also checks them, saves models, predictions and a submission.
Prints seconds and peak memory of both, and their ratios.
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
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

COLUMNS = 50
CONFIG = """
[input]
sample_submission = "sample_submission.csv"
[output]
target = "target"
task = "binary"
[score]
metric = "auc"
folds = { scheme = "kfold", count = 5 }
[model]
name = "lightgbm"
rounds = 200
"""
DIRECT = """
import json, sys
import lightgbm, numpy as np
folder = sys.argv[1]
given = json.load(open(folder + "/direct.json"))
x, y, test = (np.load(f"{folder}/{n}.npy") for n in ("x", "y", "test"))
part = np.load(folder + "/part.npy")
oof, predicted = np.empty(len(y)), np.zeros(len(test))
for fold in range(5):
    train, valid = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
    data = lightgbm.Dataset(x[train], y[train], params={"verbosity": -1, "num_threads": given["num_threads"], "force_col_wise": True})
    booster = lightgbm.train(given, data, 200)
    oof[valid] = booster.predict(x[valid], num_threads=given["num_threads"])
    predicted += booster.predict(test, num_threads=given["num_threads"]) / 5
np.save(folder + "/oof.npy", oof)
"""


def make(folder: Path, rows: int) -> None:
    """train.csv, test.csv and a sample submission; and the same numbers as arrays."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, COLUMNS)).round(5)
    signal = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3 * x[:, 3]) + (x[:, 4] > 1) * x[:, 5]
    y = (signal + random.logistic(size=rows) > 0).astype(np.int64)
    held = rows // 10
    ids = np.char.zfill(np.arange(rows).astype(str), 8)
    table = pa.table({"id": ids, **{f"x{n}": x[:, n] for n in range(COLUMNS)}, "target": y})
    data = folder / "data"
    data.mkdir()
    pa.csv.write_csv(table.slice(held), data / "train.csv")
    pa.csv.write_csv(table.slice(0, held).drop_columns(["target"]), data / "test.csv")
    pd.DataFrame({"id": ids[:held], "target": 0.5}).to_csv(data / "sample_submission.csv", index=False)
    np.save(folder / "x.npy", x[held:].astype(np.float32))  # what kit hands to LightGBM
    np.save(folder / "y.npy", y[held:])
    np.save(folder / "test.npy", x[:held].astype(np.float32))


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """(seconds, peak megabytes) of a finished process."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed with {status}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def parts(folder: Path, rows: int) -> np.ndarray:
    """The fold that validates each row, read from kit's folds.csv: both fit the same splits."""
    read = pa.csv.read_csv(next(folder.glob("competitions/large/runs/1-*/folds.csv")), convert_options=pa.csv.ConvertOptions(column_types={"id": pa.string()}))
    table = read.to_pandas()
    valid = table[table["role"] == "valid"].sort_values("id")
    assert len(valid) == rows
    return valid["fold"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="training rows; a tenth as many are the test")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        competition = folder / "competitions" / "large"
        competition.mkdir(parents=True)
        (competition / "config.toml").write_text(CONFIG)
        make(folder, int(options.rows * 10 / 9))
        for run in range(options.runs):
            kit = measured([sys.executable, "-m", "kit", "train", "large", "--data", "data"], folder)
            if run == 0:
                np.save(folder / "part.npy", parts(folder, len(np.load(folder / "y.npy", mmap_mode="r"))))
                (folder / "direct.json").write_text(json.dumps(same_parameters(folder)))
            direct = measured([sys.executable, "-c", DIRECT, str(folder)], folder)
            print(f"rows {options.rows}  kit {kit[0]:.1f} s {kit[1]:.0f} MB  direct {direct[0]:.1f} s {direct[1]:.0f} MB  ratios {kit[0] / direct[0]:.3f} {kit[1] / direct[1]:.3f}")
        oof = pa.parquet.read_table(next(folder.glob("competitions/large/runs/1-*/oof.parquet"))).to_pandas()["p"].to_numpy()
        print(f"largest difference between out-of-fold predictions {np.abs(oof - np.load(folder / 'oof.npy')).max():.2e}")


def same_parameters(folder: Path) -> dict:
    """The parameters in the model that kit saved are not all there are; ask the estimator itself."""
    from kit.estimators import Setup
    from kit.estimators.lightgbm import Lightgbm

    threads = len(os.sched_getaffinity(0))
    rows = len(np.load(folder / "part.npy")) * 4 // 5
    return Lightgbm(Setup(task="binary", outputs=1, loss="bce", threads=threads), rounds=200).parameters(rows, 0, np.load(folder / "x.npy", mmap_mode="r").shape[1])


if __name__ == "__main__":
    main()

"""The same answer for every row: the classes' shares, or for a number the mean (the median under mae)."""

from pathlib import Path

import numpy as np

from kit.encoders import Examples
from kit.estimators import Setup
from kit.files import read_json, write_json


class Constant:
    watches = False

    def __init__(self, setup: Setup):
        self.setup = setup
        self.answer: list[float] = []

    def fit(self, train: Examples, found: dict) -> None:
        if self.setup.task == "multiclass":
            shares = np.bincount(train.target, weights=train.weight, minlength=self.setup.outputs)
            self.answer = list(shares / shares.sum())
            return
        columns = train.target.reshape(len(train), -1)
        if self.setup.loss in ("mae", "mape"):
            self.answer = [float(v) for v in np.median(columns, axis=0)]
        elif self.setup.loss == "quantile":
            self.answer = [float(v) for v in np.quantile(columns, self.setup.loss_options.get("alpha", 0.5), axis=0)]
        else:
            self.answer = [float(v) for v in np.average(columns, axis=0, weights=train.weight)]

    def predict(self, rows: Examples) -> np.ndarray:
        return np.tile(np.array(self.answer), (len(rows), 1))

    def save(self, folder: Path) -> None:
        write_json(folder / "model.json", {"answer": [float(v) for v in self.answer]})

    def load(self, folder: Path) -> None:
        self.answer = read_json(folder / "model.json")["answer"]

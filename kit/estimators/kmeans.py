"""Clusters of scaled rows: a row gets its cluster's mean, or its classes' shares. The labels play no part in the clustering."""

from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from kit.encoders import Examples
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler


class Kmeans:
    watches = False

    def __init__(self, setup: Setup, *, clusters: int = 0, smoothing: float = 5.0):
        """
        clusters   0 is the square root of the training rows, at most 200
        smoothing  rows: a cluster's mean is drawn to the overall mean as if it had so many more
        """
        self.setup, self.clusters, self.smoothing = setup, clusters, smoothing
        self.scaler = Scaler()
        self.found: dict[str, np.ndarray] = {}

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        x = self.scaler.transform(train.features)
        count = min(self.clusters or min(200, int(len(train) ** 0.5) + 1), len(train))
        cluster = MiniBatchKMeans(count, random_state=self.setup.seed, n_init=3, batch_size=4096).fit(x)
        weight = np.ones(len(train)) if train.weight is None else train.weight
        if self.setup.task == "multiclass":
            total = np.zeros((count, self.setup.outputs))
            np.add.at(total, (cluster.labels_, train.target), weight)
        else:
            target = train.target.reshape(len(train), -1)
            total = np.zeros((count, target.shape[1]))
            np.add.at(total, cluster.labels_, target * weight[:, None])
        rows = np.bincount(cluster.labels_, weights=weight, minlength=count)[:, None]
        overall = total.sum(axis=0) / weight.sum()
        self.found = {"centres": cluster.cluster_centers_, "answers": (total + self.smoothing * overall) / (rows + self.smoothing)}

    def predict(self, rows: Examples) -> np.ndarray:
        x, centres = self.scaler.transform(rows.features), self.found["centres"]
        nearness = np.asarray(x @ centres.T) - (centres**2).sum(axis=1) / 2  # the nearest centre has the largest
        return self.found["answers"][nearness.argmax(axis=1)]

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", {**self.found, **{f"scaler.{k}": v for k, v in self.scaler.state.items()}})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.found = {k: v for k, v in arrays.items() if not k.startswith("scaler.")}

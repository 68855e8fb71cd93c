"""The nearest training picture's own boxes or masks, as they are: the baseline that shows what finding objects is worth."""

from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from kit.encoders import Examples
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler
from kit.found import Found, Mask


class Nearest:
    watches = False
    tasks = ("detection", "segmentation")

    def __init__(self, setup: Setup, *, scale: bool = False):
        """
        scale  divides each feature by its deviation; pixels of a thumbnail need none
        """
        self.setup = setup
        self.scaler = Scaler(scale=scale)
        self.rows = np.zeros((0, 0), np.float32)
        self.answers: list[Found] = []

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        self.rows = np.asarray(self.scaler.transform(train.features), dtype=np.float32)
        self.answers = [own.take(~own.ignored) for own in train.target]

    def predict(self, rows: Examples) -> list[Found]:
        """(n,) Found as the task encodes them; the scores are 1 less the distance to the nearest, as a share of the largest there is."""
        search = NearestNeighbors(n_neighbors=1, algorithm="brute", n_jobs=self.setup.threads).fit(self.rows)
        distance, place = search.kneighbors(np.asarray(self.scaler.transform(rows.features), dtype=np.float32))
        most = max(float(distance.max(initial=0.0)), 1e-12)
        found = []
        for far, n in zip(distance[:, 0].tolist(), place[:, 0].tolist()):
            own = self.answers[n]
            found.append(Found(own.labels, np.full(len(own), 1 - 0.999 * far / most), own.boxes, own.masks, own.ignored))
        return found

    def save(self, folder: Path) -> None:
        arrays = {"rows": self.rows, "counts": np.array([len(a) for a in self.answers], np.int64)}
        arrays["labels"] = np.concatenate([a.labels for a in self.answers]).astype(np.int64)
        if self.answers[0].boxes is not None:
            arrays["boxes"] = np.concatenate([a.boxes for a in self.answers])
        if self.answers[0].masks is not None:
            masks = [m for a in self.answers for m in a.masks]
            arrays |= {"runs": np.array([len(m.starts) for m in masks], np.int64)}
            for part in ("starts", "lengths"):
                arrays[part] = np.concatenate([getattr(m, part) for m in masks] + [np.zeros(0, np.int64)])
        write_arrays(folder / "model.safetensors", arrays | {f"scaler.{k}": v for k, v in self.scaler.state.items()})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.rows = arrays["rows"]
        ends = np.cumsum(arrays["counts"])
        masks = None
        if "runs" in arrays:
            cuts = np.cumsum(arrays["runs"])[:-1]
            masks = [Mask(s, n) for s, n in zip(np.split(arrays["starts"], cuts), np.split(arrays["lengths"], cuts))] if len(arrays["runs"]) else []
        self.answers = []
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist()):
            labels, boxes = arrays["labels"][start:end], arrays["boxes"][start:end] if "boxes" in arrays else None
            self.answers.append(Found(labels, np.ones(end - start), boxes, None if masks is None else masks[start:end], np.zeros(end - start, bool)))

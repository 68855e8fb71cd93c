"""Features as networks take them: scaled numbers, indicators of missing ones, weighted n-grams; learned from the training rows of a fold."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import scipy.special
import torch
from torch import Tensor

from kit.encoders import Features
from kit.zoo._inputs import Inputs

_MOST_QUANTILES = 1000
_ENOUGH_ROWS = 200_000  # for quantiles


@dataclass(frozen=True)
class Rows:
    """Prepared rows as tensors.

    dense   (n, columns) float32
    codes   (n, columns) int32
    starts  (n + 1,) int64 where each row's n-grams begin in indices and weights; None without n-grams
    target  as the loss takes it, weight (n,) float32; None for rows to predict
    media   column kind -> pictures, texts or sounds of the rows, for a network that takes them
    """

    dense: Tensor
    codes: Tensor
    starts: Tensor | None = None
    indices: Tensor | None = None
    weights: Tensor | None = None
    target: Tensor | None = None
    weight: Tensor | None = None
    media: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.dense)

    def tensors(self) -> dict[str, Tensor]:
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def to(self, device: torch.device) -> "Rows":
        return replace(self, **{k: v.to(device) for k, v in self.tensors().items()})

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """rows  (b,) positions"""
        batch = {"dense": self.dense[rows], "codes": self.codes[rows].long()}
        if self.starts is not None:
            first, counts = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
            offsets = counts.cumsum(0) - counts
            places = torch.arange(int(counts.sum()), device=rows.device) + (first - offsets).repeat_interleave(counts)
            batch |= {"bag_indices": self.indices[places].long(), "bag_offsets": offsets, "bag_weights": self.weights[places]}
        return batch


class Preparation:
    """
    numbers  "quantile": ranks among the training rows on the normal curve; "robust": centred at the median, divided by the
             interquartile range and bent smoothly to -3..3
    """

    def __init__(self, *, numbers: Literal["quantile", "robust"] = "quantile"):
        self.numbers = numbers
        self.state: dict[str, np.ndarray] = {}

    def fit(self, features: Features) -> None:
        dense = features.dense
        present = np.isfinite(dense)
        columns = [c[p].astype(np.float64) for c, p in zip(dense.T, present.T)]
        kept = np.array([len(c) > 0 and c.min() < c.max() for c in columns], dtype=bool)  # a constant column teaches nothing
        count = min(max(len(features) // 10, 10), max(len(features), 2), _MOST_QUANTILES)
        quantiles = [np.quantile(c[:: 1 + len(c) // _ENOUGH_ROWS], np.linspace(0, 1, count)) for c, k in zip(columns, kept) if k]
        filled = 0 if features.sparse is None else features.sparse.getnnz(axis=0)
        self.state = {
            "kept": kept.astype(np.uint8),
            "indicated": (~present.all(axis=0) & present.any(axis=0)).astype(np.uint8),
            "quantiles": np.array(quantiles).reshape(-1, count),
            "rows": np.array([len(features)]),
            "sizes": np.array(features.sizes, dtype=np.int64),
            # inverse document frequency, smoothed as scikit-learn's; an n-gram of no training row weighs nothing
            "idf": np.where(filled, np.log((1 + len(features)) / (1 + filled)) + 1, 0.0) if np.ndim(filled) else np.zeros(0),
        }
        media = {block.kind: block for block in features.media.values()}
        text, sound = media.get("text"), media.get("audio")
        self.state["pictures"] = np.array([int("image" in media)])
        self.state["tokens"] = np.array([0, 0] if text is None else [text.vocabulary, text.longest])
        self.state["rate"] = np.array([0 if sound is None else sound.rate])

    def inputs(self, outputs: int, side: int = 0, seconds: float = 0.0) -> Inputs:
        """side, seconds  of the pictures and sounds, where there are any"""
        state = self.state
        dense, (vocabulary, longest), rate = int(state["kept"].sum() + state["indicated"].sum()), state["tokens"].tolist(), int(state["rate"][0])
        side, seconds = side * int(state["pictures"][0]), seconds if rate else 0.0
        return Inputs(dense, tuple(state["sizes"].tolist()), len(state["idf"]), outputs, side, vocabulary, longest, rate, seconds)

    def rows(self, features: Features) -> Rows:
        state = self.state
        present = np.isfinite(features.dense)
        kept, indicated = state["kept"].astype(bool), state["indicated"].astype(bool)
        dense = np.zeros((len(features), self.inputs(1).dense), np.float32)
        scale = self._ranked if self.numbers == "quantile" else self._squashed
        for n, column in enumerate(np.flatnonzero(kept)):
            there = present[:, column]
            dense[there, n] = scale(features.dense[there, column].astype(np.float64), state["quantiles"][n])  # missing is 0: the median
        dense[:, kept.sum() :] = ~present[:, indicated]
        codes = torch.from_numpy(np.ascontiguousarray(features.codes, dtype=np.int32))
        media = {block.kind: block for block in features.media.values()}
        if features.sparse is None:
            return Rows(torch.from_numpy(dense), codes, media=media)
        sparse = features.sparse.tocsr()
        weights = np.log1p(np.maximum(sparse.data, 0.0)) * state["idf"][sparse.indices]
        row = np.repeat(np.arange(len(features)), np.diff(sparse.indptr))
        length = np.sqrt(np.bincount(row, weights**2, minlength=len(features)))
        weights /= np.maximum(length, 1e-12)[row]
        return Rows(
            torch.from_numpy(dense),
            codes,
            torch.from_numpy(sparse.indptr.astype(np.int64)),
            torch.from_numpy(sparse.indices.astype(np.int32)),
            torch.from_numpy(weights.astype(np.float32)),
            media=media,
        )

    def _ranked(self, values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        edge = 0.5 / self.state["rows"][0]
        ranks = np.linspace(edge, 1 - edge, len(quantiles))
        upper = np.interp(values, quantiles, ranks)  # of equal quantiles the last rank
        lower = -np.interp(-values, -quantiles[::-1], -ranks[::-1])  # the first
        return scipy.special.ndtri((upper + lower) / 2)

    @staticmethod
    def _squashed(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        low, middle, high = np.interp([0.25, 0.5, 0.75], np.linspace(0, 1, len(quantiles)), quantiles)
        spread = (high - low) / 1.349 or (quantiles[-1] - quantiles[0]) / 2  # a normal's interquartile range is 1.349 deviations
        z = np.clip((values - middle) / spread, -1e6, 1e6)
        return z / np.sqrt(1 + (z / 3) ** 2)  # Holzmüller et al. 2024 (RealMLP), section 3

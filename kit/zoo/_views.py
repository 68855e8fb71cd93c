"""What a network sees of a row's picture, text or sound: a random view in training, and in prediction each of a row's looks.

A look is a mirrored picture, or a window of a long text or sound; the answers of all looks are averaged. One class for each kind of
column; all of them say how many looks a row has, and make tensors of some rows.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kit.album import Pictures

Batch = dict[str, Tensor]


class Views(Protocol):
    aside: bool  # whether reading is work for other processes; what lies in memory is read at once

    def training(self, block: Any, rows: np.ndarray, seed: int, side: int) -> Batch:
        """A random view of each row. rows (b,) positions in the block; side is of pictures, in pixels"""

    def looks(self, block: Any) -> np.ndarray:
        """(n,) int64, at least 1: how many looks each row has"""

    def seen(self, block: Any, rows: np.ndarray, looks: np.ndarray) -> Batch:
        """The looks (b,) of the rows (b,)."""


class PictureViews:
    """`image` (b, 3, side, side) uint8, channels last in memory: nothing is moved."""

    aside = True

    def __init__(self, transforms: Any, size: int):
        self.transforms, self.size = transforms, size
        self.at: dict[int, Callable[[np.ndarray], np.ndarray]] = {}
        self.plain: list[Callable[[np.ndarray], np.ndarray]] = []

    def training(self, block: Pictures, rows: np.ndarray, seed: int, side: int) -> Batch:
        if side not in self.at:
            self.at[side] = self.transforms.training(side)
        self.transforms.seed(seed)
        found = _stacked([self.at[side](block[n]) for n in rows])
        block.release()
        return {"image": found}

    def looks(self, block: Pictures) -> np.ndarray:
        self.plain = self.plain or self.transforms.views(self.size)
        return np.full(len(block), len(self.plain))

    def seen(self, block: Pictures, rows: np.ndarray, looks: np.ndarray) -> Batch:
        pictures = {n: block[n] for n in dict.fromkeys(rows.tolist())}
        found = _stacked([self.plain[look](pictures[n]) for n, look in zip(rows.tolist(), looks.tolist())])
        block.release()
        return {"image": found}


def _stacked(pictures: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


class TextViews:
    """`tokens`, `mask` and `segments` (b, l), as long as the longest of these rows; a look is a window of a text too long for the network."""

    aside = False

    def training(self, block: Any, rows: np.ndarray, seed: int, side: int) -> Batch:
        return _tensors(block.padded(rows, np.random.default_rng(seed).integers(self.looks(block)[rows])))

    def looks(self, block: Any) -> np.ndarray:
        return block.window_counts

    def seen(self, block: Any, rows: np.ndarray, looks: np.ndarray) -> Batch:
        return _tensors(block.padded(rows, looks))


class SoundViews:
    """`sound` (b, samples) float32, zeros behind its `sound_length` (b,) int64; a look is a window of a long clip."""

    aside = True

    def __init__(self, hearing: Any):
        self.hearing = hearing

    def training(self, block: Any, rows: np.ndarray, seed: int, side: int) -> Batch:
        random = np.random.default_rng(seed)
        return self._together(block, [self.hearing.training_view(block[n], block.rate, random) for n in rows])

    def looks(self, block: Any) -> np.ndarray:
        return np.array([len(self.hearing.windows(samples, block.rate)) for samples in block.samples])

    def seen(self, block: Any, rows: np.ndarray, looks: np.ndarray) -> Batch:
        clips = {n: block[n] for n in dict.fromkeys(rows.tolist())}
        wide = self.hearing.samples(block.rate)
        starts = {n: self.hearing.windows(len(clip), block.rate) for n, clip in clips.items()}
        return self._together(block, [clips[n][starts[n][look] :][:wide] for n, look in zip(rows.tolist(), looks.tolist())])

    def _together(self, block: Any, clips: list[np.ndarray]) -> Batch:
        found = np.zeros((len(clips), self.hearing.samples(block.rate)), np.float32)
        for row, clip in zip(found, clips):
            row[: len(clip)] = clip
        block.release()
        return {"sound": torch.from_numpy(found), "sound_length": torch.tensor([len(clip) for clip in clips])}


def _tensors(arrays: dict[str, np.ndarray]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}

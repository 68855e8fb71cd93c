"""Batches of prepared rows: an order of rows for each epoch, and pictures decoded and transformed by workers beside the training.

What is random in a batch is decided by the seed, the epoch and the batch: no number of workers changes it.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kit.zoo._preparation import Rows


@dataclass(frozen=True)
class Asked:
    """A batch before it is read.

    rows  positions
    of    rows of the step, over all devices and parts, that the loss is the mean of
    seed  of what is random in the batch
    side  pixels of its pictures
    """

    rows: np.ndarray
    of: int
    seed: int
    side: int


@dataclass
class Order:
    """The batches of one epoch after another, of equal size but for one row: a last batch of few rows would make a wild step.

    n      rows
    parts  that a step's rows are worked through in, one after another
    epoch  gives the number of the epoch that is asked for
    rank   of `ranks` processes, each of which sees its share of the same batches
    side   of an epoch's pictures
    classes  (n,) int64 of the rows: an epoch still has n rows, of each class equally many, some of them several times; None is each row once
    """

    n: int
    batches: int
    parts: int
    seed: int
    epoch: Callable[[], int]
    rank: int
    ranks: int
    side: Callable[[int], int]
    classes: np.ndarray | None = None

    def __len__(self) -> int:
        return self.batches * self.parts

    def __iter__(self) -> Iterator[Asked]:
        epoch = self.epoch()
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(self.n if self.classes is None else _evenly(self.classes, random))
        for step, whole in enumerate(np.array_split(order, self.batches)):
            for part, rows in enumerate(np.array_split(whole[self.rank :: self.ranks], self.parts)):
                seed = zlib.crc32(f"{self.seed} {epoch} {step} {self.rank} {part}".encode())
                yield Asked(rows, len(whole), seed, self.side(epoch))


def _evenly(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n,) positions of n rows, in which the numbers of two classes' rows differ by at most 1, and so do those of two rows of a class."""
    order = random.permutation(len(classes))
    _, code, sizes = np.unique(classes[order], return_inverse=True, return_counts=True)
    members = np.split(order[np.argsort(code, kind="stable")], np.cumsum(sizes)[:-1])
    asked = np.full(len(sizes), len(classes) // len(sizes))
    asked[random.permutation(len(sizes))[: len(classes) % len(sizes)]] += 1
    return np.concatenate([np.resize(rows, count) for rows, count in zip(members, asked)])


class Batches(Dataset):
    """asked -> batch: what the network takes, `target`, `weight` (whose sums are means over the step's rows of all ranks) and `rows`."""

    def __init__(self, rows: Rows, ranks: int, transforms: Any):
        self.rows, self.ranks, self.transforms = rows, ranks, transforms
        self.views: dict[int, Callable] = {}

    def __getitem__(self, asked: Asked) -> dict[str, Tensor]:
        rows = torch.from_numpy(asked.rows).to(self.rows.dense.device)
        batch = self.rows.batch(rows)
        if self.rows.pictures is not None:
            if asked.side not in self.views:
                self.views[asked.side] = self.transforms.training(asked.side)
            self.transforms.seed(asked.seed)
            batch["image"] = _stacked([self.views[asked.side](self.rows.pictures[n]) for n in asked.rows])
            self.rows.pictures.album.release()
        return batch | {"target": self.rows.target[rows], "weight": self.rows.weight[rows] * (self.ranks / asked.of), "rows": rows}


class Looks(Dataset):
    """rows -> the network's batch for each test-time view of their pictures: (views x rows), the views of the first kind first."""

    def __init__(self, rows: Rows, views: list[Callable[[np.ndarray], np.ndarray]]):
        self.rows, self.views = rows, views

    def __getitem__(self, rows: np.ndarray) -> dict[str, Tensor]:
        batch = {k: torch.cat([v] * len(self.views)) for k, v in self.rows.batch(torch.from_numpy(rows)).items()}
        pictures = [self.rows.pictures[n] for n in rows]
        batch["image"] = _stacked([view(picture) for view in self.views for picture in pictures])
        self.rows.pictures.album.release()
        return batch


def _stacked(pictures: list[np.ndarray]) -> Tensor:
    """(n, 3, h, w) uint8, channels last in memory: nothing is moved."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def loader(data: Dataset, order: Any, *, workers: int, prefetch: int, device: torch.device) -> DataLoader:
    """
    workers   processes that read batches ahead; 0 reads them when they are asked for
    prefetch  batches that each worker is ahead by
    """
    ahead = {"prefetch_factor": prefetch, "persistent_workers": True, "worker_init_fn": _one_thread} if workers else {}
    aside = torch.Generator()  # an iteration draws a seed for its workers, which must not be taken from the training's random numbers
    pinned = device.type == "cuda"
    return DataLoader(data, sampler=order, batch_size=None, num_workers=workers, collate_fn=_as_is, pin_memory=pinned, generator=aside, **ahead)


def _as_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return batch


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)

"""Batches of prepared rows: an order of rows for each epoch, and pictures and sounds read by workers beside the training.

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
from kit.zoo._views import Views

_POOL = 50  # batches among which rows are exchanged by length: more would pad less, and mix the rows less


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
    lengths  (n,) tokens of the rows: rows of similar length share a batch, so that little of it is padding; None is any
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
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return self.batches * self.parts

    def __iter__(self) -> Iterator[Asked]:
        epoch = self.epoch()
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(self.n if self.classes is None else evenly(self.classes, random))
        wholes = np.array_split(order, self.batches)
        if self.lengths is not None:
            wholes = _bucketed(wholes, self.lengths, random)
        for step, whole in enumerate(wholes):
            for part, rows in enumerate(np.array_split(whole[self.rank :: self.ranks], self.parts)):
                seed = zlib.crc32(f"{self.seed} {epoch} {step} {self.rank} {part}".encode())
                yield Asked(rows, len(whole), seed, self.side(epoch))


def evenly(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n,) positions of n rows, in which the numbers of two classes' rows differ by at most 1, and so do those of two rows of a class."""
    order = random.permutation(len(classes))
    _, code, sizes = np.unique(classes[order], return_inverse=True, return_counts=True)
    members = np.split(order[np.argsort(code, kind="stable")], np.cumsum(sizes)[:-1])
    asked = np.full(len(sizes), len(classes) // len(sizes))
    asked[random.permutation(len(sizes))[: len(classes) % len(sizes)]] += 1
    return np.concatenate([np.resize(rows, count) for rows, count in zip(members, asked)])


def _bucketed(wholes: list[np.ndarray], lengths: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """The batches with their rows exchanged among _POOL of them by length, in a random order."""
    found = []
    for start in range(0, len(wholes), _POOL):
        pool = wholes[start : start + _POOL]
        rows = np.concatenate(pool)
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        found += np.split(rows, np.cumsum([len(whole) for whole in pool])[:-1])
    return [found[n] for n in random.permutation(len(found))]


class Batches(Dataset):
    """asked -> batch: what the network takes, `target`, `weight` (whose sums are means over the step's rows of all ranks) and `rows`."""

    def __init__(self, rows: Rows, ranks: int, views: dict[str, Views]):
        """views  of each kind that the rows have"""
        self.rows, self.ranks, self.views = rows, ranks, views

    def __getitem__(self, asked: Asked) -> dict[str, Tensor]:
        rows = torch.from_numpy(asked.rows).to(self.rows.dense.device)
        batch = self.rows.batch(rows)
        for kind, block in self.rows.media.items():
            batch |= {f"{kind}_there": _at(block, asked.rows), **self.views[kind].training(block, asked.rows, asked.seed, asked.side)}
        return batch | {"target": self.rows.target[rows], "weight": self.rows.weight[rows] * (self.ranks / asked.of), "rows": rows}


class Looks(Dataset):
    """(rows, looks), each (b,) -> the batch of these looks at these rows."""

    def __init__(self, rows: Rows, views: dict[str, Views]):
        self.rows, self.views = rows, views
        self.each = {kind: views[kind].looks(block) for kind, block in rows.media.items()}

    @property
    def counts(self) -> np.ndarray:
        """(n,) looks of each row; a kind that has fewer of them than another shows its own again."""
        return np.max([np.ones(len(self.rows), np.int64), *self.each.values()], axis=0)

    def __getitem__(self, asked: tuple[np.ndarray, np.ndarray]) -> dict[str, Tensor]:
        rows, looks = asked
        batch = self.rows.batch(torch.from_numpy(rows).to(self.rows.dense.device))
        for kind, block in self.rows.media.items():
            batch |= {f"{kind}_there": _at(block, rows), **self.views[kind].seen(block, rows, looks % self.each[kind][rows])}
        return batch


def _at(block: Any, rows: np.ndarray) -> Tensor:
    """(b,) bool: whether these rows have something to look at."""
    return torch.from_numpy(block.there[rows])


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

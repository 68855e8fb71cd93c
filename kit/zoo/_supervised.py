"""Trains a network on rows with answers: batches, loss, optimiser, learning rate, averages and epoch checkpoints.

All that is random in an epoch comes from the seed and the epoch's number, so a training that was killed goes on to the same bytes.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from torch import Tensor, nn

from kit.errors import TrainingError, shorten
from kit.losses._loss import Loss
from kit.zoo._checkpoint import Progress, restore, state_of, write
from kit.zoo._optimizers import Name, Schedule, clip, is_table, optimizer_for, share_of_lr
from kit.zoo._preparation import Rows

_FEW = 3e7  # weights times rows of a step, below which threads wait for each other longer than they work
_FITS_DEVICE = 2**30  # bytes: prepared rows up to this size are moved to the device once, not batch by batch


@dataclass(frozen=True)
class Plan:
    """What is fixed before the first step. `batch_size` is in rows of all devices together; `steps` are those of all epochs."""

    epochs: int
    batch_size: int
    batches: int
    seed: int
    threads: int
    lr: float
    weight_decay: float
    optimizer: Name
    schedule: Schedule
    warmup: float
    clip_norm: float
    ema: float

    @property
    def steps(self) -> int:
        return self.epochs * self.batches


def batches_of(n: int, batch_size: int) -> int:
    return max(1, -(-n // batch_size))


@dataclass
class Batches:
    """The batches of one epoch after another, of equal size but for one row: a last batch of few rows would make a wild step.

    epoch  gives the number of the epoch that is asked for
    rank   of `ranks` processes, each of which sees its share of the same batches
    """

    rows: Rows
    plan: Plan
    epoch: Callable[[], int]
    rank: int
    ranks: int

    def __len__(self) -> int:
        return self.plan.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = np.random.default_rng([self.plan.seed, self.epoch()]).permutation(len(self.rows))
        for whole_batch in np.array_split(order, self.plan.batches):
            rows = torch.from_numpy(whole_batch[self.rank :: self.ranks]).to(self.rows.dense.device)
            yield {
                **self.rows.batch(rows),
                "target": self.rows.target[rows],
                "weight": self.rows.weight[rows] * (self.ranks / len(whole_batch)),  # sums become the mean over the rows of all ranks
                "rows": rows,
            }


class Supervised(pytorch_lightning.LightningModule):
    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        rows: Rows,
        ids: np.ndarray,
        plan: Plan,
        progress: Progress,
        checkpoints: Path | None,
        identity: str,
    ):
        """
        progress     where the training goes on from
        checkpoints  a folder, or None for none
        identity     of the training, written into its checkpoints
        """
        super().__init__()
        self.network, self.loss = network, loss
        self.rows, self.ids, self.plan, self.progress = rows, ids, plan, progress
        self.checkpoints, self.identity = checkpoints, identity
        self.report: Callable[[str | TrainingError], None] = lambda line: None  # called with a line for people after each epoch
        self.averaged: list[Tensor] = []
        if progress.epochs:
            network.load_state_dict(progress.network)

    @property
    def epoch(self) -> int:
        """The epoch in training, counted from 0."""
        return self.progress.epochs + self.trainer.current_epoch

    def setup(self, stage: str) -> None:
        weights = sum(p.numel() for p in self.network.parameters()) - sum(m.weight.numel() for m in self.network.modules() if is_table(m))
        enough = weights * getattr(self.network, "members", 1) * self.plan.batch_size > _FEW
        torch.set_num_threads(max(1, self.plan.threads // self.trainer.world_size) if enough else 1)

    def train_dataloader(self) -> Batches:
        size = sum(t.nbytes for t in self.rows.tensors().values())
        rows = self.rows.to(self.device) if size < _FITS_DEVICE else self.rows
        return Batches(rows, self.plan, lambda: self.epoch, self.trainer.global_rank, self.trainer.world_size)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = optimizer_for(self.network, self.plan.optimizer, lr=self.plan.lr, weight_decay=self.plan.weight_decay)
        restore(optimizer, self.network, self.progress.optimizer)
        return optimizer

    def on_train_start(self) -> None:
        if self.plan.ema:
            before = self.progress.averaged
            self.averaged = [before[n].to(p.device) if before else p.detach().clone() for n, p in self.network.named_parameters()]

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(zlib.crc32(f"{self.plan.seed} {self.epoch} {self.trainer.global_rank}".encode()))  # for dropout
        self.total, self.unchecked = torch.zeros((), device=self.device), None

    def training_step(self, batch: dict[str, Tensor], position: int) -> Tensor:
        self._check()
        loss = (row_losses(self.loss, self.network(batch), batch["target"]) * batch["weight"]).sum()
        self.unchecked = position, batch["rows"], loss.detach()
        self.total += loss.detach()
        return loss

    def _check(self) -> None:
        """Looks at the loss one step late, when the device has long finished it: looking at once would make it wait."""
        if self.unchecked is None:
            return
        position, rows, loss = self.unchecked
        if not torch.isfinite(loss):
            error = TrainingError(
                f"the loss is {loss.item()} in epoch {self.epoch + 1} of {self.plan.epochs}, step {position + 1} of {self.plan.batches}\n"
                f"the batch held ids {shorten(self.ids[rows.cpu().numpy()])}\n"
                f"lower train.lr (now {self.plan.lr:g}) or train.clip_norm (now {self.plan.clip_norm:g}; 0 is any), and look at these rows"
            )
            if self.trainer.world_size > 1:
                self.report(error)
            raise error

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        step = self.epoch * self.plan.batches + self.unchecked[0]
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * share_of_lr(step, self.plan.steps, self.plan.schedule, self.plan.warmup)
        if self.plan.clip_norm:
            clip(self.network, self.plan.clip_norm)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, position: int) -> None:
        if self.averaged:
            torch._foreach_lerp_(self.averaged, list(self.network.parameters()), 1 - self.plan.ema)

    def on_train_epoch_end(self) -> None:
        self._check()
        mean = self.trainer.strategy.reduce(self.total, reduce_op="mean").item() / self.plan.batches
        if not self.trainer.is_global_zero:
            return
        if self.checkpoints is not None:
            averaged = dict(zip(dict(self.network.named_parameters()), self.averaged))
            state = state_of(self.optimizers(use_pl_optimizer=False), self.network)
            write(self.checkpoints, Progress(self.epoch + 1, self.network.state_dict(), state, averaged), self.identity)
        self.report(f"epoch {self.epoch + 1} of {self.plan.epochs}  loss {mean:.4f}")

    def on_train_end(self) -> None:
        with torch.no_grad():
            for parameter, average in zip(self.network.parameters(), self.averaged):
                parameter.copy_(average)


def row_losses(loss: Loss, logits: Tensor, target: Tensor) -> Tensor:
    """(n,) losses; of an ensemble in one network the mean of its members' own, so that each learns by itself."""
    logits = logits.float()
    if logits.dim() == 2:
        return loss(logits, target)
    n, members, _ = logits.shape
    return loss(logits.flatten(0, 1), target.repeat_interleave(members, dim=0)).view(n, members).mean(dim=1)


def predicted(loss: Loss, logits: Tensor) -> Tensor:
    """(n, outputs) predictions; of an ensemble in one network their mean."""
    logits = logits.float()
    if logits.dim() == 2:
        return loss.predict(logits)
    n, members, outputs = logits.shape
    return loss.predict(logits.flatten(0, 1)).view(n, members, outputs).mean(dim=1)

"""Trains a network on rows with answers: batches, loss, optimiser, learning rate, averages and epoch checkpoints.

All that is random in an epoch comes from the seed and the epoch's number, so a training that was killed goes on to the same bytes.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning
import torch
from torch import Tensor, nn

from kit.errors import TrainingError, shorten
from kit.folding import Folding
from kit.losses._loss import Loss
from kit.zoo._checkpoint import Progress, restore, state_of, write
from kit.zoo._depthwise import quick_depthwise
from kit.zoo._freezing import first_layers, fixed, freeze
from kit.zoo._loading import Batches, Order, loader
from kit.zoo._mixing import mixed
from kit.zoo._optimizers import Schedule, clip, is_table, optimizer_for, shares_of_lr
from kit.zoo._preparation import Rows
from kit.zoo._views import Views

_FEW = 3e7  # weights times rows of a step, below which threads wait for each other longer than they work
_FITS_DEVICE = 2**30  # bytes: prepared rows up to this size are moved to the device once, not batch by batch
_STEP_OF_SIDE = 16  # pixels by which pictures grow when they start small


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
    optimizer: str
    schedule: Schedule
    warmup: float
    clip_norm: float
    ema: float
    accumulate: int = 1
    layer_decay: float = 1.0
    freeze_epochs: int = 0
    freeze_layers: int = 0
    sampling: Literal["rows", "classes"] = "rows"

    @property
    def steps(self) -> int:
        return self.epochs * self.batches


@dataclass(frozen=True)
class Looking:
    """How pictures and sounds reach the network; decides the bytes of the result.

    side, first_side  pixels of the last and of the first epoch
    mixup, cutmix, mix_share  as _mixing.mixed takes them
    sound_mixup  alpha of the Beta distribution that two sounds are mixed with, in the same share of the batches
    """

    side: int = 0
    first_side: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_share: float = 0.0
    sound_mixup: float = 0.0

    def side_of(self, epoch: int, epochs: int) -> int:
        """Pixels; a growing side is the last one for the last quarter of the epochs."""
        first = self.first_side or self.side
        grown = min(epoch / max(0.75 * epochs - 1, 1), 1.0)
        if grown == 1.0:
            return self.side
        return min(self.side, first + round((self.side - first) * grown / _STEP_OF_SIDE) * _STEP_OF_SIDE)


@dataclass(frozen=True)
class Feeding:
    """How the machine is kept busy; decides no byte but those of `precision`."""

    precision: str = "32-true"
    channels_last: bool = True
    workers: int = 0
    prefetch: int = 2


def batches_of(n: int, batch_size: int) -> int:
    return max(1, -(-n // batch_size))


@dataclass
class Direct:
    """The batches of rows that lie in memory, read when they are asked for."""

    data: Batches
    order: Order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self.data[asked] for asked in self.order)


class Supervised(pytorch_lightning.LightningModule):
    batches = Batches

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
        views: dict[str, Views] | None = None,
        looking: Looking = Looking(),
        feeding: Feeding = Feeding(),
    ):
        """
        progress     where the training goes on from
        checkpoints  a folder, or None for none
        identity     of the training, written into its checkpoints
        views        of each kind of media that the rows have
        """
        super().__init__()
        self.views, self.looking, self.feeding = views or {}, looking, feeding
        self.network, self.loss = network, loss
        self.fixed, self.folding = fixed(network), Folding(network)
        self.rows, self.ids, self.plan, self.progress = rows, ids, plan, progress
        self.checkpoints, self.identity = checkpoints, identity
        self.report: Callable[[str | TrainingError], None] = lambda line: None  # called with a line for people after each epoch
        self.averaged: list[Tensor] = []
        self.average_of: dict[str, Tensor] = {}
        self.shares = shares_of_lr(plan.steps, plan.schedule, plan.warmup)
        if progress.epochs:
            network.load_state_dict(progress.network)
            loss.load_state_dict(progress.loss)

    @property
    def epoch(self) -> int:
        """The epoch in training, counted from 0."""
        return self.progress.epochs + self.trainer.current_epoch

    def setup(self, stage: str) -> None:
        if self.feeding.channels_last and self.rows.media:
            self.network.to(memory_format=torch.channels_last)
        weights = sum(p.numel() for p in self.network.parameters()) - sum(m.weight.numel() for m in self.network.modules() if is_table(m))
        enough = bool(self.rows.media) or weights * getattr(self.network, "members", 1) * self.plan.batch_size > _FEW
        torch.set_num_threads(max(1, self.plan.threads // self.trainer.world_size) if enough else 1)

    def train_dataloader(self) -> Any:
        size = sum(t.nbytes for t in self.rows.tensors().values())
        plan, trainer = self.plan, self.trainer
        aside = any(self.views[kind].aside for kind in self.rows.media)
        rows = self.rows.to(self.device) if size < _FITS_DEVICE and not aside else self.rows
        side = lambda epoch: self.looking.side_of(epoch, plan.epochs)  # noqa: E731
        classes = rows.target.cpu().numpy() if plan.sampling == "classes" else None
        lengths = np.minimum(rows.media["text"].lengths, rows.media["text"].longest) if "text" in rows.media else None
        order = Order(len(rows), plan.batches, plan.accumulate, plan.seed, lambda: self.epoch, trainer.global_rank, trainer.world_size, side, classes, lengths)
        data = self.batches(rows, trainer.world_size, self.views)
        if not aside:
            return Direct(data, order)
        return loader(data, order, workers=self.feeding.workers, prefetch=self.feeding.prefetch, device=self.device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        plan = self.plan
        layers = self._layers() if plan.layer_decay != 1.0 else None
        same = {"lr": plan.lr, "weight_decay": plan.weight_decay, "layer_decay": plan.layer_decay}
        optimizer = optimizer_for(self, plan.optimizer, **same, layers=layers, fused=self.feeding.precision != "16-mixed")
        restore(optimizer, self, self.progress.optimizer)
        return optimizer

    def _layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the input; a loss's weights are at the top."""
        layers = {f"network.{name}": layer for name, layer in self.network.layers().items()}
        return layers | {f"loss.{name}": max(layers.values()) for name, _ in self.loss.named_parameters()}

    def on_train_start(self) -> None:
        self.average_of = _averaged(self.network, self.loss) if self.plan.ema else {}  # not before: moving to a device makes new buffers
        before = self.progress.averaged
        self.averaged = [before[n].to(t.device) if before else t.detach().clone() for n, t in self.average_of.items()]
        for logger in self.loggers:
            logger.log_hyperparams(asdict(self.plan))
        for past in range(self.progress.epochs):
            self._log(past)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(zlib.crc32(f"{self.plan.seed} {self.epoch} {self.trainer.global_rank}".encode()))  # for dropout
        self.total, self.unchecked = torch.zeros((), device=self.device), None
        if self.plan.freeze_epochs or self.plan.freeze_layers:
            freeze(self.network, self._frozen(self.epoch) | self.fixed)

    def _frozen(self, epoch: int) -> set[str]:
        """The parameters that stand still in this epoch; weights of the loss always learn."""
        if epoch < self.plan.freeze_epochs:
            return {name for name, _ in self.network.named_parameters()} - self.network.head()
        return first_layers(self.network, self.plan.freeze_layers) if self.plan.freeze_layers else set()

    def training_step(self, batch: dict[str, Tensor], position: int) -> Tensor:
        self._check()
        loss = self._loss(batch)
        self.unchecked = position, batch["rows"], loss.detach()
        self.total += loss.detach()
        return loss * self.plan.accumulate if self.plan.accumulate > 1 else loss  # Lightning divides by it

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The sum of the rows' weighted losses: the weights make it the mean over the step's rows."""
        target, weight, remembered = batch["target"], batch["weight"], [batch["rows"]] if self.loss.remembers else []
        batch, partners, own = self._mixed(batch)
        with self.folding.passing(), quick_depthwise(self.device) if self.rows.media else nullcontext():
            logits = self.network(batch)
        losses = row_losses(self.loss, logits, target, *remembered) * weight
        if partners is not None:
            losses = own * losses + (1 - own) * row_losses(self.loss, logits, target[partners]) * weight[partners]
        return losses.sum()

    def _mixed(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | None, float]:
        """(batch, partners, weight of a row's own target), as _mixing.mixed gives them."""
        look, partners, own = self.looking, None, 1.0
        if "image" in batch:
            pictures, partners, own = mixed(batch["image"], mixup=look.mixup, cutmix=look.cutmix, share=look.mix_share)
            batch = {**batch, "image": pictures if self.feeding.channels_last else pictures.contiguous()}
        elif "sound" in batch and look.sound_mixup:
            sounds, partners, own = mixed(batch["sound"], mixup=look.sound_mixup, cutmix=0.0, share=look.mix_share)
            length = batch["sound_length"]
            batch = {**batch, "sound": sounds, "sound_length": length if partners is None else torch.maximum(length, length[partners])}
        return batch, partners, own

    def _check(self) -> None:
        """Looks at the loss one step late, when the device has long finished it: looking at once would make it wait."""
        if self.unchecked is None:
            return
        position, rows, loss = self.unchecked
        if not torch.isfinite(loss):
            error = TrainingError(
                f"the loss is {loss.item()} in epoch {self.epoch + 1} of {self.plan.epochs}, step {position // self.plan.accumulate + 1} of {self.plan.batches}\n"
                f"the batch held ids {shorten(self.ids[rows.cpu().numpy()])}\n"
                f"lower train.lr (now {self.plan.lr:g}) or train.clip_norm (now {self.plan.clip_norm:g}; 0 is any), and look at these rows"
            )
            if self.trainer.world_size > 1:
                self.report(error)
            raise error

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        step = self.epoch * self.plan.batches + self.unchecked[0] // self.plan.accumulate
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * self.shares[step]
        if self.plan.clip_norm:
            clip(self, self.plan.clip_norm)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, position: int) -> None:
        if self.averaged and (position + 1) % self.plan.accumulate == 0:
            step = self.epoch * self.plan.batches + position // self.plan.accumulate
            kept = min(self.plan.ema, (1 + step) / (10 + step))  # the first steps are soon forgotten
            torch._foreach_lerp_(self.averaged, list(self.average_of.values()), 1 - kept)

    def on_train_epoch_end(self) -> None:
        self._check()
        mean = self.trainer.strategy.reduce(self.total, reduce_op="mean").item() / self.plan.batches
        if self.plan.freeze_epochs or self.plan.freeze_layers:
            self.folding.undo()
            freeze(self.network, self.fixed)  # what was frozen is there again for whoever looks at it
        if not self.trainer.is_global_zero:
            return
        lr = self.plan.lr * self.shares[(self.epoch + 1) * self.plan.batches - 1]
        for name, value in {"epoch": self.epoch + 1, "loss": mean, "lr": lr}.items():
            self.progress.history.setdefault(name, []).append(value)
        self._log(-1)
        if self.checkpoints is not None:
            averaged = dict(zip(self.average_of, self.averaged))
            state = state_of(self.optimizers(use_pl_optimizer=False), self)
            progress = Progress(self.epoch + 1, self.network.state_dict(), state, averaged, self.loss.state_dict(), self.progress.history)
            write(self.checkpoints, progress, self.identity)
        self.report(f"epoch {self.epoch + 1} of {self.plan.epochs}  loss {mean:.4f}")

    def _log(self, position: int) -> None:
        """Tells the loggers of one of the finished epochs."""
        told = {name: values[position] for name, values in self.progress.history.items()}
        for logger in self.loggers:
            logger.log_metrics({name: told[name] for name in ("loss", "lr")}, step=told["epoch"])

    def on_train_end(self) -> None:
        with torch.no_grad():
            for tensor, average in zip(self.average_of.values(), self.averaged):
                tensor.copy_(average)


def _averaged(network: nn.Module, loss: Loss) -> dict[str, Tensor]:
    """Parameters, and the running statistics that go with them: all floating tensors of the network's state, and the loss's weights."""
    kept = set(network.state_dict())
    named = [*network.named_parameters(), *network.named_buffers()]
    averaged = {f"network.{name}": tensor for name, tensor in named if name in kept and tensor.is_floating_point()}
    return averaged | {f"loss.{name}": tensor for name, tensor in loss.named_parameters()}


def row_losses(loss: Loss, logits: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
    """(n,) losses; of an ensemble in one network the mean of its members' own, so that each learns by itself.

    logits  (n, outputs), (n, members, outputs), or the parts of a detector's loss by name
    rows  (n,) positions among the training rows, for a loss that remembers them
    """
    if isinstance(logits, dict):  # of a network that measures its errors itself
        return loss(logits, target)
    logits = logits.float()
    if logits.dim() == 2:
        return loss(logits, target) if rows is None else loss(logits, target, rows)
    n, members, _ = logits.shape
    given = [target.repeat_interleave(members, dim=0)] + ([] if rows is None else [rows.repeat_interleave(members)])
    return loss(logits.flatten(0, 1), *given).view(n, members).mean(dim=1)


def predicted(loss: Loss, logits: Tensor) -> Tensor:
    """(n, outputs) predictions; of an ensemble in one network their mean."""
    logits = logits.float()
    if logits.dim() == 2:
        return loss.predict(logits)
    n, members, outputs = logits.shape
    return loss.predict(logits.flatten(0, 1)).view(n, members, outputs).mean(dim=1)

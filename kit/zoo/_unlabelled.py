"""Trains a network on rows without answers, for methods that find what there is to lose in the rows themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from kit.losses._loss import Loss
from kit.zoo._checkpoint import read
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Plan, Supervised, batches_of
from kit.zoo._training import train
from kit.zoo._views import Views


class Unlabelled(Loss):
    """Stands where a loss stands."""

    tasks = ()


def plan_of(n: int, *, epochs: int, batch_size: int, lr: float, seed: int, threads: int) -> Plan:
    size = min(batch_size, n)
    return Plan(epochs, size, batches_of(n, size), seed, threads, lr, 1e-4, "adamw", "cosine", 0.05, 1.0, 0.0)


def learned(
    method: type[Supervised],
    network: nn.Module,
    rows: Rows,
    ids: np.ndarray,
    plan: Plan,
    checkpoints: Path,
    identity: str,
    progress: Callable[[str], None],
    *,
    devices: dict[str, Any],
    views: dict[str, Views] | None = None,
    looking: Looking = Looking(),
    feeding: Feeding = Feeding(),
    **options: Any,
) -> list[float]:
    """Trains the network in place, and gives the mean loss of each epoch that this process trained.

    method   a module whose `_loss` looks at no target
    devices  accelerator and devices, as the training takes them
    options  of the method
    """
    before = read(checkpoints, identity)
    if before.epochs:
        progress(f"going on after epoch {before.epochs} of {plan.epochs}")
    if before.epochs == plan.epochs:
        network.load_state_dict(before.network)
        return []
    losses: list[float] = []

    def noted(line: str) -> None:
        losses.append(float(line.rsplit("loss ", 1)[1]))
        progress(line)

    module = method(network, Unlabelled("multiclass"), rows, ids, plan, before, checkpoints, identity, views, looking, feeding, **options)
    train(module, noted, precision=feeding.precision, **devices)
    return losses

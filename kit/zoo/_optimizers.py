"""Optimisers by name, for networks whose gradients are dense, sparse or both; and the learning rate of each step."""

import importlib.util
import math
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import SGD, AdamW, NAdam, Optimizer, SparseAdam, lr_scheduler

from kit.errors import ConfigError, did_you_mean

Schedule = Literal["cosine", "constant", "one_cycle", "linear", "polynomial", "exponential", "step", "cosine_restarts", "tanh"]
_RISE = 0.3  # share of the steps in which one_cycle's rate goes up (Smith and Topin 2018; torch's default)
_TORCH = {"radam": {"decoupled_weight_decay": True}, "rmsprop": {"momentum": 0.9}, "adagrad": {}, "adamax": {}, "adadelta": {}, "adam": {}, "asgd": {}}


def optimizer_names() -> list[str]:
    """adamw, nadam, sgd; torch's; and timm's, where it is installed."""
    found = {"adamw", "nadam", "sgd", *_TORCH}
    if importlib.util.find_spec("timm"):
        from timm.optim import list_optimizers  # an extra's library

        found |= {n for n in list_optimizers() if not n.startswith(("bnb", "fused"))}  # these need a library or a device of their own
    return sorted(found)


def check_optimizer(name: str) -> None:
    """Raises ConfigError for a name that neither torch nor timm knows."""
    if name not in ("adamw", "nadam", "sgd", *_TORCH) and name not in optimizer_names():
        raise ConfigError(f'train.optimizer = "{name}" is no optimiser{did_you_mean(name, optimizer_names())}')


def optimizer_for(
    trained: nn.Module, name: str, *, lr: float, weight_decay: float, layer_decay: float = 1.0, layers: dict[str, int] | None = None, fused: bool = True
) -> Optimizer:
    """Weight decay is for matrices alone: none for biases, norms, and tables with sparse gradients.

    trained      a network, or a module that holds a network and a loss with weights
    layer_decay  what a layer's rate is multiplied by for each layer above it
    layers       parameter name -> layer, from 0 at the input
    fused        one kernel for all weights; not where gradients are scaled for 16-bit floats, which it would take back after they were clipped
    """
    sparse = {id(m.weight) for m in trained.modules() if is_table(m) and m.sparse}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    top = max((layers or {"": 0}).values())
    for parameter_name, p in trained.named_parameters():
        if id(p) in sparse:
            continue
        below = top - layers[parameter_name] if layers and layer_decay != 1.0 else 0
        decayed = p.dim() > 1
        usual = {"params": [], "weight_decay": weight_decay if decayed else 0.0, "lr": lr * layer_decay**below}
        groups.setdefault((below, not decayed), usual)["params"].append(p)
    parts = [_dense(name, [groups[key] for key in sorted(groups)], lr, fused)]
    tables = [p for p in trained.parameters() if id(p) in sparse]
    if tables:  # a dense optimiser would touch each row of the table at each step
        parts.append(SGD(tables, lr=lr) if name == "sgd" else SparseAdam(tables, lr=lr))
    optimizer = parts[0] if len(parts) == 1 else _Together(parts)
    for group in optimizer.param_groups:
        group["full_lr"] = group["lr"]
    return optimizer


def is_table(module: nn.Module) -> bool:
    """Whether a row touches a few of the module's weights and not all."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag))


def _dense(name: str, groups: list[dict[str, Any]], lr: float, fused: bool) -> Optimizer:
    if name == "adamw":
        return AdamW(groups, lr=lr, fused=fused)
    if name == "nadam":
        return NAdam(groups, lr=lr, decoupled_weight_decay=True)
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    if name in _TORCH:
        found = next(v for k, v in vars(torch.optim).items() if k.lower() == name)
        return found(groups, lr=lr, **_TORCH[name])
    from timm.optim import create_optimizer_v2  # an extra's library

    return create_optimizer_v2(groups, opt=name, lr=lr)


class _Together(Optimizer):
    """Several optimisers as one: their groups and their state are shared with it."""

    def __init__(self, parts: list[Optimizer]):
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        for part in parts:
            part.state = self.state

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss


def share_of_lr(step: int, steps: int, schedule: Schedule, warmup: float) -> float:
    """The part of the full learning rate that a step takes, 0..1.

    step    0 is the first of `steps`
    warmup  share of the steps in which the rate rises in a line; for one_cycle 0 is 0.3
    """
    rise = (warmup or _RISE if schedule == "one_cycle" else warmup) * steps
    if step + 1 <= rise:
        return (step + 1) / rise
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step + 1 - rise) / (steps + 1 - rise)))


def shares_of_lr(steps: int, schedule: Schedule, warmup: float) -> list[float]:
    """`share_of_lr` of each step; schedules that torch or timm know are asked of them."""
    if schedule in ("cosine", "constant", "one_cycle"):
        return [share_of_lr(step, steps, schedule, warmup) for step in range(steps)]
    rise = int(warmup * steps)
    return [(step + 1) / rise for step in range(rise)] + _told(schedule, steps - rise)


def _told(schedule: Schedule, steps: int) -> list[float]:
    """The rates that a library's scheduler gives an optimiser whose rate is 1."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    if schedule == "tanh":
        from timm.scheduler import TanhLRScheduler  # an extra's library

        timed = TanhLRScheduler(optimizer, t_initial=steps, t_in_epochs=False)
        return [float(timed._get_lr(step)[0]) for step in range(steps)]
    scheduler = {
        "linear": lambda: lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps),
        "polynomial": lambda: lr_scheduler.PolynomialLR(optimizer, steps + 1, power=2.0),
        "exponential": lambda: lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / steps)),  # to a hundredth
        "step": lambda: lr_scheduler.StepLR(optimizer, -(-steps // 3), 0.1),
        "cosine_restarts": lambda: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, max(1, -(-steps // 3))),
    }[schedule]()
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def clip(trained: nn.Module, most: float) -> None:
    """Scales all gradients, sparse ones too, so that their joint norm is at most `most`."""
    gradients = [p.grad for p in trained.parameters() if p.grad is not None]
    values = [g.coalesce().values() if g.is_sparse else g for g in gradients]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in values]))
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)

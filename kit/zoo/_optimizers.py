"""Optimisers by name, for networks whose gradients are dense, sparse or both; and the learning rate of each step."""

import math
from typing import Literal

import torch
from torch import nn
from torch.optim import SGD, AdamW, NAdam, Optimizer, SparseAdam

Name = Literal["adamw", "nadam", "sgd"]
Schedule = Literal["cosine", "constant", "one_cycle"]
_RISE = 0.3  # share of the steps in which one_cycle's rate goes up (Smith and Topin 2018; torch's default)


def optimizer_for(network: nn.Module, name: Name, *, lr: float, weight_decay: float) -> Optimizer:
    """Weight decay is for matrices alone: none for biases, norms, and tables with sparse gradients."""
    sparse = {id(m.weight) for m in network.modules() if is_table(m) and m.sparse}
    dense = [p for p in network.parameters() if p.requires_grad and id(p) not in sparse]
    groups = [
        {"params": [p for p in dense if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in dense if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if name == "adamw":
        parts: list[Optimizer] = [AdamW(groups, lr=lr, fused=True)]
    elif name == "nadam":
        parts = [NAdam(groups, lr=lr, decoupled_weight_decay=True)]
    else:
        parts = [SGD(groups, lr=lr, momentum=0.9, nesterov=True)]
    tables = [p for p in network.parameters() if id(p) in sparse]
    if tables:  # a dense optimiser would touch each row of the table at each step
        parts.append(SGD(tables, lr=lr) if name == "sgd" else SparseAdam(tables, lr=lr))
    optimizer = parts[0] if len(parts) == 1 else _Together(parts)
    for group in optimizer.param_groups:
        group["full_lr"] = group["lr"]
    return optimizer


def is_table(module: nn.Module) -> bool:
    """Whether a row touches a few of the module's weights and not all."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag))


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


def clip(network: nn.Module, most: float) -> None:
    """Scales all gradients, sparse ones too, so that their joint norm is at most `most`."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    values = [g.coalesce().values() if g.is_sparse else g for g in gradients]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in values]))
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)

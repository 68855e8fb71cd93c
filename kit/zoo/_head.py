"""Trains a network's head alone before the rest, on features of one random view of each row, which are computed once.

A head from nothing sends gradients of no sense into a pretrained body, which a short training never makes good (Kumar et al. 2022, "Fine-tuning
can distort pretrained features"). Without the body, an epoch of it takes a second.
"""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from kit.folding import Folding
from kit.losses._loss import Loss
from kit.zoo._asking import HALVES
from kit.zoo._freezing import first_layers, fixed, freeze
from kit.zoo._loading import Asked, Batches, evenly, loader
from kit.zoo._optimizers import clip, optimizer_for, shares_of_lr
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Plan, row_losses
from kit.zoo._views import Views


def begin(
    network: nn.Module, loss: Loss, rows: Rows, views: dict[str, Views], plan: Plan, looking: Looking, feeding: Feeding, device: torch.device, *, epochs: int, progress: Callable[[str], None]
) -> None:
    """Changes the parameters of `network.top()`, and the loss's, in place: as many epochs with the plan's batches, rate and decay, along a cosine.

    Held in memory are the features, rows x width in float32.
    """
    torch.set_num_threads(plan.threads)
    own = fixed(network)
    top = network.to(device).top()
    loss.to(device)
    if feeding.channels_last:
        network.to(memory_format=torch.channels_last)
    network.train()  # norms of batches, as the training that follows has them: a head that knows others would begin anew
    if plan.freeze_layers:
        freeze(network, first_layers(network, plan.freeze_layers) | own)
    features = _features(network, top, rows, views, plan, looking, feeding, device)
    target, weight = rows.target.to(device), rows.weight.to(device)
    optimizer = optimizer_for(nn.ModuleList([top, loss]), plan.optimizer, lr=plan.lr, weight_decay=plan.weight_decay)
    shares = shares_of_lr(epochs * plan.batches, "cosine", plan.warmup)
    top.train()
    classes, random = rows.target.numpy(), np.random.default_rng(plan.seed)
    for epoch in range(epochs):
        total = 0.0
        order = torch.from_numpy(evenly(classes, random)) if plan.sampling == "classes" else torch.randperm(len(rows))
        for step, some in enumerate(torch.tensor_split(order, plan.batches)):
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * shares[epoch * plan.batches + step]
            remembered = [some.to(device)] if loss.remembers else []
            value = (row_losses(loss, top(features[some].to(device)), target[some], *remembered) * weight[some]).mean()
            optimizer.zero_grad()
            value.backward()
            if plan.clip_norm:
                clip(nn.ModuleList([top, loss]), plan.clip_norm)
            optimizer.step()
            total += value.detach()
    progress(f"the head alone, {epochs} epochs: loss {total / plan.batches:.4f}")
    network.cpu()
    loss.cpu()
    freeze(network, own)  # what was frozen is there again for whoever looks at it


@torch.no_grad()
def _features(
    network: nn.Module, top: nn.Module, rows: Rows, views: dict[str, Views], plan: Plan, looking: Looking, feeding: Feeding, device: torch.device
) -> Tensor:
    """(n, width) float32 of what the head is given, in the processor's memory."""
    found: list[Tensor] = []
    hook = top.register_forward_pre_hook(lambda module, given: found.append(given[0].float().cpu()))
    half = HALVES.get(feeding.precision)
    side = looking.first_side or looking.side
    parts = torch.tensor_split(torch.randperm(len(rows)), plan.batches)
    asked = [Asked(some.numpy(), len(rows), plan.seed + n, side) for n, some in enumerate(parts)]
    try:
        with Folding(network) as folding:
            for batch in loader(Batches(rows, 1, views), asked, workers=feeding.workers, prefetch=feeding.prefetch, device=device):
                with folding.passing(), torch.autocast(device.type, half) if half is not None else nullcontext():
                    network({k: v.to(device) for k, v in batch.items()})
    finally:
        hook.remove()
    return torch.cat(found)[torch.argsort(torch.cat(parts))]

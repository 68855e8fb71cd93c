"""Asks a trained network about rows: one answer for each, the mean or the greatest over its looks."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from kit.folding import Folding
from kit.zoo._loading import Looks, loader
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding
from kit.zoo._views import Views

_ROWS_AT_ONCE = 4096
_LOOKS_AT_ONCE = 128
HALVES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def of_tables(network: nn.Module, rows: Rows, device: torch.device, link: Callable[[Tensor], Tensor]) -> np.ndarray:
    """(n, d) float64. link  makes (n, d) of what the network gives"""
    parts = []
    for some in torch.arange(len(rows)).split(_ROWS_AT_ONCE):
        batch = {k: v.to(device) for k, v in rows.batch(some).items()}
        parts.append(link(network(batch)).cpu())
    return torch.cat(parts).double().numpy()


def of_media(
    network: nn.Module,
    rows: Rows,
    views: dict[str, Views],
    feeding: Feeding,
    device: torch.device,
    link: Callable[[Tensor], Tensor],
    pooling: Literal["mean", "max"] = "mean",
) -> np.ndarray:
    """(n, d) float64

    link     makes (b, d) of what the network gives for b looks
    pooling  over the looks of a row
    """
    network = network.to(memory_format=torch.channels_last if feeding.channels_last else torch.contiguous_format)  # decides last digits
    looks = Looks(rows, views)
    counts = looks.counts
    order = np.argsort(rows.media["text"].lengths, kind="stable") if "text" in rows.media else np.arange(len(rows))  # like lengths share a batch
    row = np.repeat(order, counts[order])
    look = np.concatenate([np.arange(count) for count in counts[order]])
    steps = -(-len(row) // _LOOKS_AT_ONCE)
    asked = list(zip(np.array_split(row, steps), np.array_split(look, steps)))
    workers = feeding.workers if len(asked) > 2 * feeding.workers else 0
    half = HALVES.get(feeding.precision)
    pooled = None
    with Folding(network) as folding:
        for (some, _), batch in zip(asked, loader(looks, asked, workers=workers, prefetch=feeding.prefetch, device=device)):
            with folding.passing(), torch.autocast(device.type, half) if half is not None else nullcontext():
                given = network({k: v.to(device) for k, v in batch.items()})
            each = link(given).cpu().double().numpy()
            if pooled is None:
                pooled = np.full((len(rows), each.shape[1]), 0.0 if pooling == "mean" else -np.inf)
            (np.add if pooling == "mean" else np.maximum).at(pooled, some, each)
    return pooled / counts[:, None] if pooling == "mean" else pooled


"""Learns from pictures without labels: two views of a picture should look alike to the network, and unlike those of all others (SimCLR)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from kit.registry import find
from kit.transforms import Augment
from kit.zoo._depthwise import quick_depthwise
from kit.zoo._loading import Asked, Batches
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Supervised
from kit.zoo._unlabelled import learned, plan_of
from kit.zoo._views import PictureViews


class Contrasted(nn.Module):
    """A network's pooled features, projected for the comparison alone (Chen et al. 2020, section 2.1): (n, projected)."""

    def __init__(self, network: nn.Module, hidden: int, projected: int):
        super().__init__()
        self.network = network
        self.projection = SimCLRProjectionHead(network.width, hidden, projected)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.projection(self.network.features(batch).float())


class TwoViews(Batches):
    """A batch of n rows has 2n pictures: first views of all rows, then their second views."""

    def __getitem__(self, asked: Asked) -> dict[str, Tensor]:
        twice = Asked(np.concatenate([asked.rows, asked.rows]), asked.of, asked.seed, asked.side)
        return super().__getitem__(twice)


class SimClr(Supervised):
    """Trains a Contrasted network: the normalised temperature-scaled cross entropy of its views (Chen et al. 2020, equation 1), by lightly."""

    batches = TwoViews

    def __init__(self, *given, temperature: float):
        super().__init__(*given)
        self.contrast = NTXentLoss(temperature=temperature, gather_distributed=False)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        pictures = batch["image"] if self.feeding.channels_last else batch["image"].contiguous()
        with quick_depthwise(self.device):
            first, second = self.network({**batch, "image": pictures}).chunk(2)
        return self.contrast(first, second) * torch.ones((), device=first.device)


def contrasted(
    network: nn.Module,
    rows: Rows,
    ids: np.ndarray,
    setup: Any,
    looking: Looking,
    feeding: Feeding,
    checkpoints: Path,
    devices: dict[str, Any],
    *,
    transforms: str,
    flip: bool,
    epochs: int,
    batch_size: int,
    lr: float,
    temperature: float,
    hidden: int,
    projected: int,
    least_area: float,
) -> list[float]:
    """Trains the network in place, and gives the mean loss of each epoch that this process trained.

    rows     with pictures; targets are not looked at
    looking  the side of the pictures
    devices  accelerator and devices, as the training takes them
    """
    augment = Augment(transforms=transforms, recipe="heavy", size=looking.side, flip=flip, least_area=least_area, erase=0.0)
    plan = plan_of(len(rows), epochs=epochs, batch_size=batch_size, lr=lr, seed=setup.seed, threads=setup.threads)
    both = Contrasted(network, hidden, projected)
    key = rows.media["image"].key
    identity = f"{len(rows)} {plan} {looking} {feeding.precision} {key} {temperature} {projected} {hidden} {least_area}"
    seen = {"views": {"image": PictureViews(find("transforms", transforms)(augment), looking.side)}, "looking": looking, "feeding": feeding}
    return learned(SimClr, both, rows, ids, plan, checkpoints, identity, setup.progress, devices=devices, **seen, temperature=temperature)

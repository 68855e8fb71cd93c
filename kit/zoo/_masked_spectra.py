"""Learns what is hidden from what is around it: hidden patches of a spectrogram, told from the network's map of the rest.

As in SimMIM (Xie et al. 2022): the whole spectrogram goes through the network, its hidden patches at the mean, one light layer tells them,
and the loss is their absolute error. Deviation: a map of any size will do, since it is stretched to the spectrogram's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kit.errors import ConfigError
from kit.hearing import Hearing
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Supervised
from kit.zoo._unlabelled import learned, plan_of
from kit.zoo._views import SoundViews

PATCH = 16  # bands and frames of a hidden patch


class Restoring(nn.Module):
    """A network that hears, and what tells the spectrogram from its map."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.tell = nn.LazyConv2d(PATCH, 1)
        self.refine = nn.Conv2d(PATCH, 1, 3, padding=1)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """(n, mels, frames) -> (n, mels, frames)"""
        told = self.tell(self.network.maps(spectrograms))
        return self.refine(interpolate(told.float(), spectrograms.shape[1:], mode="bilinear", align_corners=False))[:, 0]


class MaskedSpectra(Supervised):
    """Trains a Restoring network: the mean absolute error of what is hidden, where there is sound."""

    def __init__(self, *given: Any, share: float):
        """share  0..1, of the patches that are hidden"""
        super().__init__(*given)
        self.share = share

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        spectrograms, heard = self.network.network.picture(batch)
        hidden = patches(spectrograms, self.share) & heard[:, None]
        mean = spectrograms.mean(dim=(1, 2), keepdim=True)
        told = self.network(torch.where(hidden, mean, spectrograms))
        return ((told - spectrograms).abs() * hidden).sum() / hidden.sum().clamp(min=1)


def patches(spectrograms: Tensor, share: float) -> Tensor:
    """(n, mels, frames) bool: so large a share of the squares of PATCH x PATCH, by torch's random numbers."""
    n, mels, frames = spectrograms.shape
    drawn = torch.rand((n, -(-mels // PATCH), -(-frames // PATCH)), device=spectrograms.device) < share
    return drawn.repeat_interleave(PATCH, dim=1)[:, :mels].repeat_interleave(PATCH, dim=2)[:, :, :frames]


def masked(
    network: nn.Module,
    rows: Rows,
    ids: np.ndarray,
    setup: Any,
    looking: Looking,
    feeding: Feeding,
    checkpoints: Path,
    devices: dict[str, Any],
    *,
    hearing: Hearing,
    epochs: int,
    batch_size: int,
    lr: float,
    share: float,
) -> list[float]:
    """Trains the network in place, and gives the mean loss of each epoch that this process trained.

    rows     with sounds; targets are not looked at
    share    0..1, of the patches that are hidden
    devices  accelerator and devices, as the training takes them
    Raises ConfigError for a network that makes no map of a spectrogram.
    """
    if not hasattr(network, "maps"):
        raise ConfigError('pretrain.method = "masked" hides parts of spectrograms from a network that makes a map of them\nname one: model.name = "spectrogram" or "audio_cnn"')
    network.masks = tuple((0, 0.0) for _ in network.masks)  # what training hides besides would not be told
    both = Restoring(network)
    with torch.no_grad():
        rate = rows.media["audio"].rate
        sound = torch.zeros(2, hearing.samples(rate))
        both.eval()(network.picture({"sound": sound, "sound_length": torch.full((2,), sound.shape[1])})[0])  # gives `tell` its width
    both.train()
    plan = plan_of(len(rows), epochs=epochs, batch_size=batch_size, lr=lr, seed=setup.seed, threads=setup.threads)
    identity = f"{len(rows)} {plan} {looking} {feeding.precision} {rows.media['audio'].key} {vars(hearing)} {share}"
    seen = {"views": {"audio": SoundViews(hearing)}, "looking": looking, "feeding": feeding}
    return learned(MaskedSpectra, both, rows, ids, plan, checkpoints, identity, setup.progress, devices=devices, **seen, share=share)

"""Any network of timm on spectrograms, as if they were pictures: the usual start for sounds, since weights of pictures serve them too."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kit.errors import ConfigError
from kit.zoo._beside import Beside
from kit.zoo._inputs import Inputs
from kit.zoo._sounding import OverTime, Pooling, Sounding
from kit.zoo.timm import Timm

_CHANGE = 5.0  # what the change from frame to frame is multiplied by: it is small beside what changes


class Spectrogram(Sounding):
    usual_lr = 5e-4
    SMALL = {"architecture": "test_resnet", "weights": "none", "mels": 32, "hop_ms": 20.0}  # what tests of every network ask for

    def __init__(
        self,
        inputs: Inputs,
        *,
        architecture: str = "efficientnet_b0",
        weights: str = "hub",
        colours: Literal["grey", "changes"] = "grey",
        pooling: Pooling | Literal["own"] = "mean",
        size: int = 0,
        dropout: float = 0.2,
        drop_path: float = 0.0,
        **options: Any,
    ):
        """
        architecture  as timm names it, with or without the tag of its weights
        weights       of the trunk: "hub" (fetched once, then kept), "package" (installed with pip), "none", or a file
        colours       of the picture: three times the spectrogram, or it, its change from frame to frame, and that change's
        pooling       over the time of a clip, after the mean over its bands; own is what the architecture has
        size          pixels, height and width that the spectrogram is stretched to; 0 is as many as it has bands and frames, where the architecture
                      is not bound to a size
        dropout       0..1, share of the pooled features that a training step leaves out
        drop_path     0..1, share of the deepest blocks that a training step leaves out, where the architecture can
        options       how spectrograms are made and masked
        """
        super().__init__(inputs, **options)
        self.weights, self.colours = weights, colours
        self.trunk = Timm(replace(inputs, outputs=0, side=size), architecture=architecture, weights=weights, drop_path=drop_path)
        self.size = size or self.trunk.bound
        channels = self.trunk.width
        self.pool = None
        if pooling != "own":
            self.trunk.unpool()
            self.pool = OverTime(channels, pooling)
            channels = self.pool.width
        self.beside = Beside(inputs)
        self.drop = nn.Dropout(dropout)
        self.width = channels + self.beside.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def start(self) -> None:
        """Fills in the trunk's pretrained weights; called once, before training."""
        self.trunk.start()

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the stem."""
        layers = {f"trunk.{name}": layer for name, layer in self.trunk.layers().items()}
        return layers | dict.fromkeys(self.head(), max(layers.values()) + 1)

    def head(self) -> set[str]:
        """The parameters that are never pretrained."""
        return {name for name, _ in self.named_parameters() if not name.startswith("trunk.")}

    def top(self) -> nn.Module:
        """The module that makes the outputs of the pooled features."""
        return self.last

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        spectrograms, heard = self.picture(batch)
        pooled = self.trunk.features({"image": self._coloured(spectrograms)}) if self.pool is None else self.pool(self.maps(spectrograms), heard)
        return self.beside(pooled, batch)

    def maps(self, spectrograms: Tensor) -> Tensor:
        """(n, mels, frames) -> (n, channels, mels', time). Raises ConfigError where the architecture's own pooling was kept."""
        if self.pool is None:
            raise ConfigError('model.pooling = "own" leaves no map to learn from\nset model.pooling = "mean"')
        return self.trunk.map({"image": self._coloured(spectrograms)})

    def _coloured(self, x: Tensor) -> Tensor:
        """(n, mels, frames) in 0..1 -> (n, 3, mels, frames) in 0..255, as pictures are, or stretched to the size"""
        if self.colours == "grey":
            found = x[:, None].expand(-1, 3, -1, -1)
        else:
            first = _CHANGE * torch.diff(x, dim=2, prepend=x[..., :1])
            second = torch.diff(first, dim=2, prepend=first[..., :1])
            found = torch.stack([x, (0.5 + first).clamp(0, 1), (0.5 + second).clamp(0, 1)], dim=1)
        if self.size:
            found = nn.functional.interpolate(found, (self.size, self.size), mode="bilinear", align_corners=False)
        return 255 * found

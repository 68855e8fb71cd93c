"""A small ConvNet for pictures, the standard baseline: blocks of two 3x3 convolutions, each halving the picture."""

from pathlib import Path

import torch
from torch import Tensor, nn

from kit import weights as files
from kit.zoo._inputs import Inputs


class Convnet(nn.Module):
    takes = ("image",)
    usual_lr = 3e-3
    SMALL = {"width": 8, "blocks": 2}  # what tests of every network ask for

    def __init__(self, inputs: Inputs, *, width: int = 32, blocks: int = 3, growth: float = 2.0, dropout: float = 0.3, weights: str = "none"):
        """
        width    channels of the first block
        blocks   each halves the picture
        growth   of the channels from block to block
        dropout  0..1, share of the pooled features that a training step leaves out
        weights  "none", or a file: of `kit pretrain`, or another run's model.safetensors
        """
        super().__init__()
        self.weights = weights
        layers, channels = [], 3
        for block in range(blocks):
            wide = round(width * growth**block)
            layers += [*conv(channels, wide), *conv(wide, wide, nn.MaxPool2d(2, ceil_mode=True))]
            channels = wide
        self.body = nn.Sequential(*layers)
        self.drop = nn.Dropout(dropout)
        self.channels, self.width = channels, 2 * channels
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def start(self) -> None:
        if self.weights != "none":
            files.fill(self.body, files.read(Path(self.weights)), self.weights)

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the input."""
        names = [name for name, _ in self.named_parameters()]
        places = {place: n for n, place in enumerate(dict.fromkeys(name.rsplit(".", 1)[0] for name in names))}
        return {name: places[name.rsplit(".", 1)[0]] for name in names}

    def head(self) -> set[str]:
        return {name for name, _ in self.named_parameters() if name.startswith("last.")}

    def top(self) -> nn.Module:
        """The module that makes the outputs of the pooled features."""
        return self.last

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        return _pooled(self._map(batch))

    def places(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, h x w, channels): what is pooled, a row for each place of the picture."""
        return self._map(batch).flatten(2).transpose(1, 2)

    def _map(self, batch: dict[str, Tensor]) -> Tensor:
        return self.body(batch["image"].float() / 127.5 - 1)


def conv(given: int, wide: int, *before_norm: nn.Module) -> list[nn.Module]:
    """A convolution that keeps the size, normalised and rectified; what halves the picture comes before that, since a norm costs by the place."""
    return [nn.Conv2d(given, wide, 3, padding=1, bias=False), *before_norm, nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]


def _pooled(x: Tensor) -> Tensor:
    """(n, 2 x channels): mean and greatest value of each channel."""
    return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)

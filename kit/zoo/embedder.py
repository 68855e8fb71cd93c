"""A trunk of the zoo, pooling, and a projection: pictures of the same thing get embeddings that point the same way."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from kit.errors import ConfigError
from kit.zoo._inputs import Inputs
from kit.zoo.convnet import Convnet
from kit.zoo.timm import Timm

_LEAST = 1e-6  # what a feature counts as at least under generalised means


class Embedder(nn.Module):
    takes = ("image",)
    embeds = True
    usual_lr = 5e-4
    SMALL = {"architecture": "test_resnet", "weights": "none", "width": 16}  # what tests of every network ask for

    def __init__(
        self,
        inputs: Inputs,
        *,
        trunk: Literal["timm", "convnet"] = "timm",
        architecture: str = "resnet50",
        weights: str = "hub",
        pooling: Literal["gem", "mean", "token", "own"] = "gem",
        power: float = 3.0,
        width: int = 512,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        """
        trunk         "convnet" is the small one, which has no architecture to choose
        architecture  as timm names it, with or without the tag of its weights
        weights       of the trunk: "hub" (fetched once, then kept), "package" (installed with pip), "none", or a file
        pooling       over the places of the picture: gem (generalised mean), mean, token (the class's own), or what the architecture has
        power         that gem starts from, above 0; it is learned; 1 is the mean, more leans to the greatest
        width         of the embedding; 0 is the trunk's own, without a projection
        dropout       0..1, share of the pooled features that a training step leaves out
        drop_path     0..1, share of timm's deepest blocks that a training step leaves out, where the architecture can

        Without outputs there is nothing to learn a projection from, and none is made.
        """
        super().__init__()
        self.weights, self.pooling = weights, pooling
        headless = replace(inputs, outputs=0)
        if trunk == "timm":
            self.trunk = Timm(headless, architecture=architecture, weights=weights, drop_path=drop_path)
            if pooling != "own":
                self.trunk.unpool()
        else:
            self.trunk = _convnet(headless, weights)
        if pooling == "token" and not (trunk == "timm" and self.trunk.token):
            named = f'model.architecture = "{architecture}"' if trunk == "timm" else 'model.trunk = "convnet"'
            raise ConfigError(f'{named} has no class token, which model.pooling = "token" takes\nset model.pooling = "gem" or "mean"')
        if pooling == "gem" and power <= 0:
            raise ConfigError(f"model.power = {power}: expected a number above 0")
        pooled = self.trunk.channels if trunk == "convnet" and pooling != "own" else self.trunk.width
        self.power = nn.Parameter(torch.tensor(float(power))) if pooling == "gem" else None
        self.drop = nn.Dropout(dropout)
        projected = bool(width and inputs.outputs)
        self.project = nn.Sequential(nn.Linear(pooled, width, bias=False), nn.BatchNorm1d(width)) if projected else nn.Identity()
        self.width = width if projected else pooled

    @staticmethod
    def bound_to(*, trunk: str = "timm", architecture: str = "resnet50", **_: object) -> bool:
        """Whether the trunk takes pictures of one size alone."""
        return trunk == "timm" and Timm.bound_to(architecture=architecture)

    def start(self) -> None:
        """Fills in the trunk's pretrained weights; called once, before training."""
        self.trunk.start()

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the input."""
        layers = {f"trunk.{name}": layer for name, layer in self.trunk.layers().items()}
        return layers | dict.fromkeys(self.head(), max(layers.values()) + 1)

    def head(self) -> set[str]:
        """The parameters that are never pretrained."""
        return {name for name, _ in self.named_parameters() if not name.startswith("trunk.")}

    def top(self) -> nn.Module:
        """The module that makes the embeddings of the pooled features."""
        return self.project

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width) embeddings of any length."""
        return self.project(self.drop(self._pooled(batch)))

    features = forward  # what is learned without labels

    def _pooled(self, batch: dict[str, Tensor]) -> Tensor:
        if self.pooling == "own":
            return self.trunk.features(batch)
        x = self.trunk.places(batch)  # (n, places, channels)
        if self.pooling == "token":
            return x[:, 0]
        x = x[:, getattr(self.trunk, "prefix", 0) :]
        if self.pooling == "mean":
            return x.mean(dim=1)
        with torch.autocast(x.device.type, enabled=False):  # powers leave the range of 16-bit floats
            return x.float().clamp(min=_LEAST).pow(self.power).mean(dim=1).pow(1 / self.power)  # Radenovic et al. 2018, equation 3


def _convnet(inputs: Inputs, weights: str) -> Convnet:
    if weights in ("hub", "package"):
        raise ConfigError(f'model.weights = "{weights}": model.trunk = "convnet" is never pretrained\nset model.weights = "none", or name a file')
    return Convnet(inputs, weights=weights)

"""A timm trunk with a feature pyramid on it, as torchvision's detectors take it (Lin et al. 2017, arXiv:1612.03144)."""

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from kit import backbones
from kit.errors import ConfigError


class Pyramid(nn.Module):
    """strides  of its levels, pixels, rising"""

    def __init__(self, architecture: str, *, channels: int, strides: list[int], coarser: int):
        """
        strides  of the trunk's own maps that are looked at
        coarser  0, 1 (pooled) or 2 (convolved) levels beyond them
        Raises ConfigError where the trunk has no map of such a stride.
        """
        super().__init__()
        self.body = backbones.create(architecture)
        if hasattr(self.body, "reset_classifier"):
            self.body.reset_classifier(0, "")
        known = {info["reduction"]: (n, info["num_chs"]) for n, info in enumerate(self.body.feature_info)}
        lacking = [s for s in strides if s not in known]
        if lacking or not hasattr(self.body, "forward_intermediates"):
            raise ConfigError(f'model.strides = {strides}: "{architecture}" has maps of strides {sorted(known)}')
        self.places = [known[s][0] for s in strides]
        beyond = {0: None, 1: LastLevelMaxPool(), 2: LastLevelP6P7(channels, channels)}[coarser]
        self.fpn = FeaturePyramidNetwork([known[s][1] for s in strides], channels, extra_blocks=beyond)
        self.strides = [*strides, *(strides[-1] * 2 ** (n + 1) for n in range(coarser))]
        self.out_channels = channels

    def forward(self, x: Tensor) -> "OrderedDict[str, Tensor]":
        maps = self.body.forward_intermediates(x, indices=self.places, intermediates_only=True)
        return self.fpn(OrderedDict((str(n), m) for n, m in enumerate(maps)))

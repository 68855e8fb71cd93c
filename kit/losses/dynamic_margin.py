"""ArcFace with a margin for each class: the fewer training rows a class has, the wider it must win."""

from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import Tensor

from kit.errors import ConfigError
from kit.losses._loss import class_counts
from kit.losses._margin import Margin, Steady


class DynamicMargin(Margin):
    """ArcFace (see loss arcface) with the margin a n^-power + b for a class of n training rows (Ha et al. 2020, "Google Landmark Recognition
    2020 Competition Third Place Solution"), where a and b are such that the rarest class has `margin` and the commonest `least`.

    Classes that all have as many rows have `margin`. A class without training rows counts as having one.
    """

    def __init__(self, task: str = "", *, margin: float = 28.6, least: float = 2.9, power: float = 0.25, scale: float = 30.0):
        """
        margin  degrees, 0 to below 90, of the rarest class; the authors' 0.5 radians
        least   degrees, 0 to margin, of the commonest class; the authors' 0.05 radians
        power   above 0, the authors' lambda: how soon the margin falls with the rows
        scale   of the cosines before the softmax
        """
        super().__init__(task, margin=margin, scale=scale)
        if not 0 <= least <= margin:
            raise ConfigError(f"least = {least} of loss dynamic_margin: expected degrees, 0 to margin = {margin}")
        if power <= 0:
            raise ConfigError(f"power = {power} of loss dynamic_margin: expected a number above 0")
        self.least, self.power = least, power

    def learn(self, target: Tensor, outputs: int) -> None:
        counts = class_counts(target, outputs)
        rarity = (counts / counts.min()) ** -self.power  # 1 for the rarest
        lowest = rarity.min()
        share = (rarity - lowest) / (1 - lowest) if lowest < 1 else torch.ones_like(rarity)
        self.register_buffer("margins", (self.least + (self.margin - self.least) * share).float())  # (outputs,) degrees

    def _angular(self, **given: Any) -> ArcFaceLoss:
        return _Angular(**given)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        self.angular.margin = torch.deg2rad(self.margins[target].to(self.angular.W.dtype))  # (n,) radians
        return super().forward(embeddings, target)


class _Angular(Steady, ArcFaceLoss):
    """Takes a margin for each row, in radians, where the package's takes one for all."""

    def modify_cosine_of_target_classes(self, cosine_of_target_classes: Tensor) -> Tensor:
        angles, margin = self.get_angles(cosine_of_target_classes), self.margin
        return torch.where(angles <= torch.pi - margin, torch.cos(angles + margin), torch.cos(angles) - margin * torch.sin(margin))

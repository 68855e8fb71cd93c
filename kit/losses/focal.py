"""Focal loss: cross entropy in which what is already right counts less."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside


class Focal(Loss):
    tasks = ("binary", "multilabel", "multiclass")

    def __init__(self, task: str = "", *, gamma: float = 2.0):
        """gamma  0 or more; 0 is cross entropy"""
        super().__init__(task)
        if gamma < 0:
            raise ConfigError(f"gamma = {gamma} of loss focal: expected 0 or more")
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-(1 - p)^gamma log(p), p the probability given to the truth (Lin et al. 2017, equation 4; without their class weight alpha)."""
        if self.task == "multiclass":
            log_p = -functional.cross_entropy(logits, target, reduction="none")
            return -((-torch.expm1(log_p)).clamp(min=1e-12) ** self.gamma) * log_p
        log_p = -functional.binary_cross_entropy_with_logits(logits, beside(logits, target), reduction="none")
        return (-((-torch.expm1(log_p)).clamp(min=1e-12) ** self.gamma) * log_p).mean(dim=1)

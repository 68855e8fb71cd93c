"""The pinball loss: fits a quantile."""

import torch
from torch import Tensor

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside


class Quantile(Loss):
    tasks = ("regression",)
    unit = "deviation"

    def __init__(self, task: str = "", *, alpha: float = 0.5):
        """alpha  the quantile, above 0 and below 1"""
        super().__init__(task)
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha = {alpha} of loss quantile: expected a number above 0 and below 1")
        self.alpha = alpha

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """alpha (y - z) where y is above z, else (1 - alpha) (z - y) (Koenker and Bassett 1978)."""
        error = beside(logits, target) - logits
        return torch.maximum(self.alpha * error, (self.alpha - 1) * error).mean(dim=1)

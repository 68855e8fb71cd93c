"""Tweedie's loss for amounts that are often exactly zero, such as claims: fits the mean through its logarithm."""

import torch
from torch import Tensor

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside


class Tweedie(Loss):
    tasks = ("regression",)
    unit = "mean"

    def __init__(self, task: str = "", *, power: float = 1.5):
        """power  of the mean that the variance goes with, above 1 (counts) and below 2 (amounts)"""
        super().__init__(task)
        if not 1 < power < 2:
            raise ConfigError(f"power = {power} of loss tweedie: expected a number above 1 and below 2")
        self.power = power

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """m^(2 - power) / (2 - power) - y m^(1 - power) / (1 - power) with m = exp(z): half the deviance, less what no prediction moves."""
        left, right = 2 - self.power, 1 - self.power
        return (torch.exp(left * logits) / left - beside(logits, target) * torch.exp(right * logits) / right).mean(dim=1)

    def predict(self, logits: Tensor) -> Tensor:
        return torch.exp(logits)

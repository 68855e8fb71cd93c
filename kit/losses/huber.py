"""Huber's loss: squared error near the truth, absolute error far from it."""

import torch
from torch import Tensor

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside


class Huber(Loss):
    tasks = ("regression",)
    unit = "deviation"

    def __init__(self, task: str = "", *, delta: float = 0.0):
        """delta  where the square ends, in the target's unit; 0 is one standard deviation of the training target"""
        super().__init__(task)
        if delta < 0:
            raise ConfigError(f"delta = {delta} of loss huber: expected 0 or more, in the target's unit")
        self.given = delta
        self.delta = torch.tensor(delta or 1.0)

    def in_units_of(self, unit: Tensor) -> None:
        if self.given:
            self.delta = self.given / unit

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """r^2 / 2 up to r = |y - z| = delta, then delta (r - delta / 2) (Huber 1964)."""
        error = (beside(logits, target) - logits).abs()
        delta = self.delta.to(error)
        return torch.where(error <= delta, error.square() / 2, delta * (error - delta / 2)).mean(dim=1)

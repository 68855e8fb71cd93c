"""Squared error: fits the mean."""

from torch import Tensor

from kit.losses._loss import Loss, beside


class Mse(Loss):
    tasks = ("regression",)
    unit = "deviation"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(y - z)^2"""
        return (beside(logits, target) - logits).square().mean(dim=1)

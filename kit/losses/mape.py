"""Absolute error as a share of the true value."""

from torch import Tensor

from kit.losses._loss import Loss, beside


class Mape(Loss):
    tasks = ("regression",)
    unit = "mean"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """|y - z| / |y|, where a |y| below 1e-3 (in training: of the mean of |y|) counts as that much."""
        target = beside(logits, target)
        return ((target - logits).abs() / target.abs().clamp(min=1e-3)).mean(dim=1)

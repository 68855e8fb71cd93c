"""Absolute error: fits the median."""

from torch import Tensor

from kit.losses._loss import Loss, beside


class Mae(Loss):
    tasks = ("regression",)
    unit = "deviation"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """|y - z|"""
        return (beside(logits, target) - logits).abs().mean(dim=1)

"""The negative log likelihood of counts: fits the mean through its logarithm."""

import torch
from torch import Tensor

from kit.losses._loss import Loss, beside


class Poisson(Loss):
    tasks = ("regression",)
    unit = "mean"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """exp(z) - y z, in nats, less the log(y!) that no prediction moves."""
        return (torch.exp(logits) - beside(logits, target) * logits).mean(dim=1)

    def predict(self, logits: Tensor) -> Tensor:
        return torch.exp(logits)

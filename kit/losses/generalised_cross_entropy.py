"""Generalised cross entropy for noisy labels: a row whose label is hard to believe pulls less."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss


class GeneralisedCrossEntropy(Loss):
    tasks = ("multiclass",)

    def __init__(self, task: str = "", *, q: float = 0.7):
        """q  above 0 to 1; towards 0 is cross entropy, 1 is the absolute error, which wrong labels move least and which learns slowest"""
        super().__init__(task)
        if not 0 < q <= 1:
            raise ConfigError(f"q = {q} of loss generalised_cross_entropy: expected above 0 and at most 1")
        self.q = q

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(1 - p^q) / q, p the probability given to the label (Zhang and Sabuncu 2018, equation 6; without their truncation)."""
        log_p = -functional.cross_entropy(logits, target, reduction="none")
        return -torch.expm1(self.q * log_p) / self.q

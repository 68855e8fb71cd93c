"""Symmetric cross entropy for noisy labels: cross entropy to learn by, plus its reverse, which wrong labels hardly move."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss


class SymmetricCrossEntropy(Loss):
    tasks = ("multiclass",)

    def __init__(self, task: str = "", *, alpha: float = 0.1, beta: float = 1.0, A: float = -4.0):
        """
        alpha  0 or more, of the cross entropy: more learns faster and believes wrong labels sooner (the paper has 6 for 100 classes)
        beta   0 or more, of the reverse (0.1 for 100 classes)
        A      below 0, what log(0) counts as, in nats
        """
        super().__init__(task)
        if alpha < 0 or beta < 0 or alpha + beta == 0:
            raise ConfigError(f"alpha = {alpha}, beta = {beta} of loss symmetric_cross_entropy: expected 0 or more, and not both 0")
        if A >= 0:
            raise ConfigError(f"A = {A} of loss symmetric_cross_entropy: expected a number below 0")
        self.alpha, self.beta, self.A = alpha, beta, A

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-alpha log(p) - beta A (1 - p), p the probability given to the label (Wang et al. 2019, equation 7: with one true class, and
        log(0) = A, the reverse -sum of p_k log(y_k) is -A (1 - p)).

        A is the paper's -4; the authors' code has log(1e-4) = -9.2, which is another beta.
        """
        log_p = -functional.cross_entropy(logits, target, reduction="none")
        return -self.alpha * log_p + self.beta * self.A * torch.expm1(log_p)

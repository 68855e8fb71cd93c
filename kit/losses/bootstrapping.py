"""Bootstrapping for noisy labels: part of each label is what the network itself believes."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss


class Bootstrapping(Loss):
    tasks = ("multiclass",)

    def __init__(self, task: str = "", *, hard: bool = False, beta: float = 0.0):
        """
        hard  the network's part is its likeliest class alone, not all its probabilities
        beta  the label's part, above 0 to 1; 1 is cross entropy; 0 is the paper's: 0.95, or 0.8 where hard
        """
        super().__init__(task)
        if not 0 <= beta <= 1:
            raise ConfigError(f"beta = {beta} of loss bootstrapping: expected above 0 and at most 1, or 0 for the paper's")
        self.hard = hard
        self.beta = beta or (0.8 if hard else 0.95)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-sum of (beta y_k + (1 - beta) b_k) log(p_k), with b = p, or 1 at the largest p where hard (Reed et al. 2015, equations 6 and 7).

        The soft form's gradient goes through b too: it is the entropy of p, as the paper says.
        """
        log_p = torch.log_softmax(logits, dim=1)
        own = log_p.max(dim=1).values if self.hard else (torch.exp(log_p) * log_p).sum(dim=1)
        return self.beta * functional.nll_loss(log_p, target, reduction="none") - (1 - self.beta) * own

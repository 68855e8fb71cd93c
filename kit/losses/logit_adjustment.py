"""Logit adjustment for long tails: cross entropy in which a rare class must win by a margin that can be set."""

from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss, class_counts


class LogitAdjustment(Loss):
    tasks = ("multiclass",)
    balances = True

    def __init__(self, task: str = "", *, tau: float = 1.0):
        """tau  0 or more; 0 is cross entropy, 1 is balanced_softmax, more leans further to rare classes"""
        super().__init__(task)
        if tau < 0:
            raise ConfigError(f"tau = {tau} of loss logit_adjustment: expected 0 or more")
        self.tau = tau

    def learn(self, target: Tensor, outputs: int) -> None:
        counts = class_counts(target, outputs)
        self.register_buffer("log_shares", (counts / counts.sum()).log().float())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-log(e^(z_y + tau log s_y) / sum of e^(z_k + tau log s_k)), s_k the share of class k (Menon et al. 2021, equation 10).

        `predict` is the softmax of z as it is, for rows whose shares go with s_k^(1 - tau): with tau = 1 every class is as frequent as any
        other. Do not correct it for equal shares again. A class without training rows counts as having one.
        """
        return functional.cross_entropy(logits + self.tau * self.log_shares.to(logits), target, reduction="none")

"""Balanced softmax for long tails: cross entropy that takes the classes' shares out of what the network learns."""

from torch import Tensor
from torch.nn import functional

from kit.losses._loss import Loss, class_counts


class BalancedSoftmax(Loss):
    tasks = ("multiclass",)
    balances = True

    def learn(self, target: Tensor, outputs: int) -> None:
        self.register_buffer("log_counts", class_counts(target, outputs).log().float())

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-log(n_y e^z_y / sum of n_k e^z_k), n_k the training rows of class k (Ren et al. 2020, equation 4; without their meta sampler).

        Training sees the shares, predictions do not: `predict` is the plain softmax, for rows in which every class is as frequent as any
        other. Do not correct it for equal shares again. A class without training rows counts as having one.
        """
        return functional.cross_entropy(logits + self.log_counts.to(logits), target, reduction="none")

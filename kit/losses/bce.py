"""Binary cross entropy: the negative log likelihood of independent yes-or-no outputs."""

from torch import Tensor
from torch.nn import functional

from kit.losses._loss import Loss, beside


class Bce(Loss):
    tasks = ("binary", "multilabel")

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-y log(p) - (1 - y) log(1 - p) with p = sigmoid(logit), in nats."""
        return functional.binary_cross_entropy_with_logits(logits, beside(logits, target), reduction="none").mean(dim=1)

"""Cross entropy: the negative log likelihood of the one true class."""

from torch import Tensor
from torch.nn import functional

from kit.losses._loss import Loss


class CrossEntropy(Loss):
    tasks = ("multiclass",)

    def __init__(self, task: str = "", *, smoothing: float = 0.0):
        """smoothing  0..1, the share of the truth spread evenly over all classes (Szegedy et al. 2016, section 7)"""
        super().__init__(task)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-log(p of the true class) with p = softmax(logits), in nats."""
        return functional.cross_entropy(logits, target, reduction="none", label_smoothing=self.smoothing)

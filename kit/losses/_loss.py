"""What all losses share: which tasks they serve, and how an output becomes a prediction."""

from typing import ClassVar, Literal

from torch import Tensor, nn


class Loss(nn.Module):
    """One of the losses in this folder: `forward(logits, target)` gives (n,) losses, a mean over outputs, before any row weight.

    binary      logits (n, 1), target (n,) 0 or 1
    multiclass  logits (n, classes), target (n,) int64
    multilabel  logits (n, labels), target (n, labels) 0 or 1
    regression  logits (n, targets), target (n,) or (n, targets)
    """

    tasks: ClassVar[tuple[str, ...]]
    unit: ClassVar[Literal["", "deviation", "mean"]] = ""  # of the target in training: less its mean in deviations; in means; as it is

    def __init__(self, task: str = ""):
        super().__init__()
        self.task = task or self.tasks[0]

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions in the target's space, of the same shape."""
        return logits

    def in_units_of(self, unit: Tensor) -> None:
        """Called before training with the unit (targets,) that targets were divided by, for options that have the target's unit."""


def beside(logits: Tensor, target: Tensor) -> Tensor:
    """The target in the shape and type of the logits."""
    return target.reshape(logits.shape).to(logits.dtype)

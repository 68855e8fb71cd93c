"""What all losses share: which tasks they serve, what they learn before training, and how an output becomes a prediction."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn


class Loss(nn.Module):
    """One of the losses in this folder: `forward(logits, target)` gives (n,) losses, a mean over outputs, before any row weight.

    binary      logits (n, 1), target (n,) 0 or 1
    multiclass  logits (n, classes), target (n,) int64
    multilabel  logits (n, labels), target (n, labels) 0 or 1
    regression  logits (n, targets), target (n,) or (n, targets)

    A loss that `remembers` is told which rows it sees, `forward(logits, target, rows)`, with rows (n,) int64 positions among the training
    rows of `learn`, or None for targets that are not the rows' own: a mixed batch is asked for twice, the second time with its partners'.
    What it keeps of them is in its `state_dict()`, which belongs into the checkpoints of a training that must go on where it was.

    A loss that `embeds` takes embeddings (n, width) in place of logits, for networks that give such. It has weights of its own, which
    `build` makes, and which are trained, averaged and saved with the network's: `predict` needs them.
    """

    tasks: ClassVar[tuple[str, ...]]
    unit: ClassVar[Literal["", "deviation", "mean"]] = ""  # of the target in training: less its mean in deviations; in means; as it is
    remembers: ClassVar[bool] = False
    embeds: ClassVar[bool] = False
    balances: ClassVar[bool] = False  # whether it takes the classes' shares out of what is learned

    def __init__(self, task: str = ""):
        super().__init__()
        self.task = task or self.tasks[0]

    def learn(self, target: Tensor, outputs: int) -> None:
        """Called once before training with the targets of the fold's training rows, as `forward` takes them, and the number of outputs.

        What a loss takes from them it keeps as buffers. `predict` needs none: a model that was read from its files has not learned again.
        """

    def build(self, width: int, outputs: int) -> None:
        """Makes the weights of a loss that embeds, drawn from torch's generator: before training, and before saved ones are read in."""

    def predict(self, logits: Tensor) -> Tensor:
        """Predictions in the target's space, of the same shape: probabilities of classes (they sum to 1) or of labels, else values."""
        if self.task == "multiclass":
            return torch.softmax(logits, dim=1)
        return logits if self.task == "regression" else torch.sigmoid(logits)

    def in_units_of(self, unit: Tensor) -> None:
        """Called before training with the unit (targets,) that targets were divided by, for options that have the target's unit."""


def beside(logits: Tensor, target: Tensor) -> Tensor:
    """The target in the shape and type of the logits."""
    return target.reshape(logits.shape).to(logits.dtype)


def class_counts(target: Tensor, classes: int) -> Tensor:
    """(classes,) float64 rows of each class; one without any counts as 1, so that its logarithm and its inverse stay finite."""
    return torch.bincount(target, minlength=classes).double().clamp(min=1)

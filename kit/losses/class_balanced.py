"""Class-balanced weights: cross entropy in which rows of a rare class, or a rare yes of a label, weigh more."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside, class_counts


class ClassBalanced(Loss):
    tasks = ("multiclass", "multilabel", "binary")

    def __init__(self, task: str = "", *, beta: float = 0.999):
        """beta  0 to below 1; 0 weighs all rows alike, near 1 by the inverse of the class's rows; 0.999 stops counting near 1000 rows"""
        super().__init__(task)
        if not 0 <= beta < 1:
            raise ConfigError(f"beta = {beta} of loss class_balanced: expected 0 or more and below 1")
        self.beta = beta

    def learn(self, target: Tensor, outputs: int) -> None:
        if self.task == "multiclass":
            self.register_buffer("weight", self._weights(class_counts(target, outputs), len(target)))
        else:
            yes = target.reshape(len(target), outputs).double().sum(dim=0)
            counts = torch.stack([len(target) - yes, yes]).clamp(min=1)
            self.register_buffer("weight", self._weights(counts, len(target)))

    def _weights(self, counts: Tensor, rows: int) -> Tensor:
        """(classes,), or (2, labels) for no and yes: over the training rows, for each label, their mean is 1."""
        effective = -torch.expm1(counts * math.log(self.beta)) if self.beta else torch.ones_like(counts)  # 1 - beta^n
        weights = 1 / effective
        return (weights / ((counts * weights).sum(dim=0) / rows)).float()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """w -log(p of the truth), with w proportional to (1 - beta) / (1 - beta^n), n the training rows of the true class (Cui et al. 2019,
        equation 8; with sigmoids equation 11).

        The weights' mean over training rows is 1, where the paper's sum to the number of classes: the learning rate keeps its meaning.
        A row may have many labels, so each label's yes and no are two classes of their own, where the paper weighs all outputs of a row by
        its one class. A class without training rows weighs what one with a single row would.
        """
        weight = self.weight.to(logits)
        if self.task == "multiclass":
            return weight[target] * functional.cross_entropy(logits, target, reduction="none")
        target = beside(logits, target)
        weight = target * weight[1] + (1 - target) * weight[0]
        return (weight * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean(dim=1)

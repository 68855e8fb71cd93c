"""Early-learning regularisation for noisy labels: what was said of a row early on is held against its label."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss


class EarlyLearning(Loss):
    tasks = ("multiclass",)
    remembers = True

    def __init__(self, task: str = "", *, beta: float = 0.7, strength: float = 3.0):
        """
        beta      0 to below 1, the share of its memory that a row keeps at each visit
        strength  0 or more, the paper's lambda (7, with beta = 0.9, for 100 classes); 0 is cross entropy
        """
        super().__init__(task)
        if not 0 <= beta < 1:
            raise ConfigError(f"beta = {beta} of loss early_learning: expected 0 or more and below 1")
        if strength < 0:
            raise ConfigError(f"strength = {strength} of loss early_learning: expected 0 or more")
        self.beta, self.strength = beta, strength

    def learn(self, target: Tensor, outputs: int) -> None:
        """Makes room for a memory of (rows, classes) float32, at 0: for a million rows of 1000 classes 4 GB, in each checkpoint too."""
        self.register_buffer("memory", torch.zeros(len(target), outputs))

    def forward(self, logits: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """-log(p_y) + strength log(1 - <p, t>), t the row's memory, which is first moved to beta t + (1 - beta) p (Liu et al. 2020, equation
        7, section 4.3 and algorithm 1; without the two networks of their ELR+). It may be below 0.

        rows  (n,) positions; a row that stands there several times, once for each member of an ensemble, remembers their mean.
              None: cross entropy alone, which neither looks at the memory nor moves it

        1 - <p, t> counts as at least 1e-4, where the authors' code keeps each p within 1e-4 of 0 and 1. In a mixed batch the memory holds
        what was said of the mixed picture, and the second term has the weight of the picture's own target; ELR+ asks for the unmixed one
        and mixes memories too. It is for a training in one process: several would each remember only the rows that they saw.
        """
        loss = functional.cross_entropy(logits, target, reduction="none")
        if rows is None:
            return loss
        p = torch.softmax(logits, dim=1)
        told = self._remember(p.detach(), rows).to(p)
        return loss + self.strength * (1 - (p * told).sum(dim=1)).clamp(min=1e-4).log()

    def _remember(self, p: Tensor, rows: Tensor) -> Tensor:
        """(n, classes) memories of the rows, with p in them."""
        times = torch.zeros_like(self.memory[:, 0]).index_add_(0, rows, torch.ones_like(rows, dtype=self.memory.dtype))
        self.memory[rows] = self.beta * self.memory[rows]
        self.memory.index_add_(0, rows, (1 - self.beta) * p.to(self.memory) / times[rows, None])
        return self.memory[rows]

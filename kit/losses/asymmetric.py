"""Asymmetric loss for many labels of which few are true: a "no" that is easily right counts little or nothing."""

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import ConfigError
from kit.losses._loss import Loss, beside


class Asymmetric(Loss):
    tasks = ("multilabel", "binary")

    def __init__(self, task: str = "", *, gamma_plus: float = 0.0, gamma_minus: float = 4.0, margin: float = 0.05):
        """
        gamma_plus   0 or more, how much less a true label counts that is nearly right; 0 is not at all less
        gamma_minus  0 or more, the same for labels that are not there
        margin       0 to below 1, a probability: an absent label given no more than this costs nothing
        """
        super().__init__(task)
        for name, gamma in (("gamma_plus", gamma_plus), ("gamma_minus", gamma_minus)):
            if gamma < 0:
                raise ConfigError(f"{name} = {gamma} of loss asymmetric: expected 0 or more")
        if not 0 <= margin < 1:
            raise ConfigError(f"margin = {margin} of loss asymmetric: expected a probability, 0 or more and below 1")
        self.gamma_plus, self.gamma_minus, self.margin = gamma_plus, gamma_minus, margin

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """-(1 - p)^gamma_plus log(p) for a label that is there, -s^gamma_minus log(1 - s) with s = max(p - margin, 0) for one that is not
        (Ridnik et al. 2021, equations 5 and 7).

        A mean over labels where the authors' code sums. Gradients go through the factors too, where their code can leave that out.
        """
        target = beside(logits, target)
        log_p, log_rest = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        there = torch.exp(self.gamma_plus * log_rest) * log_p
        shifted = (torch.sigmoid(logits) - self.margin).clamp(min=1e-12)  # not 0, where a power below 1 has no finite slope
        log_shifted_rest = torch.logaddexp(log_rest, logits.new_full((), self.margin).log()).clamp(max=0)  # log(1 - s), finite at margin 0 too
        return -(target * there + (1 - target) * shifted**self.gamma_minus * log_shifted_rest).mean(dim=1)

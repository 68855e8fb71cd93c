"""CurricularFace: ArcFace that turns to the hard classes of a row the more, the further the training is."""

from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import Tensor
from torch.nn import functional

from kit.losses._margin import Margin, Steady

_MOVES = 0.01  # share of a batch in the running mean, as in the authors' code


class Curricular(Margin):
    """ArcFace (see loss arcface) in which the cosine c of a wrong class that exceeds cos(a_y + m) counts as c (t + c), with t the running mean
    of the true classes' cosines over batches (Huang et al. 2020): near 0 at first, which eases hard classes, and larger later.

    A batch is judged by the t of the batches before it and moves it afterwards, while training only: the authors' code moves it first.
    Where several processes train, the first one's t holds.
    """

    def __init__(self, task: str = "", *, margin: float = 28.6, scale: float = 30.0):
        """
        margin  degrees, 0 to below 90; 28.6 is the paper's 0.5 radians
        scale   of the cosines before the softmax; the paper's is 64
        """
        super().__init__(task, margin=margin, scale=scale)

    def _angular(self, **given: Any) -> ArcFaceLoss:
        return _Angular(**given)


class _Angular(Steady, ArcFaceLoss):
    def __init__(self, **given: Any):
        super().__init__(**given)
        self.register_buffer("t", torch.zeros(()))

    def compute_loss(self, embeddings: Tensor, labels: Tensor, *unused: Any) -> dict[str, Any]:
        cosine = self.get_cosine(embeddings)  # (n, classes)
        rows = torch.arange(len(labels), device=labels.device)
        true = cosine[rows, labels]
        asked = self.modify_cosine_of_target_classes(true)
        counted = torch.where(cosine > asked[:, None], cosine * (self.t + cosine), cosine)
        counted = counted.index_put((rows, labels), asked)
        if self.training:
            with torch.no_grad():
                self.t.lerp_(true.mean(), _MOVES)
        losses = functional.cross_entropy(self.scale_logits(counted), labels, reduction="none")
        return {"loss": {"losses": losses}}

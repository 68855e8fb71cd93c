"""The sum of what a detector measures of its own errors: classes, boxes, and whatever else its architecture tells apart.

Which formulas they are is the architecture's affair: focal loss and GIoU for FCOS, Hungarian matching for DETR and its like, RPN and heads for R-CNN.
"""

from typing import ClassVar

import torch
from torch import Tensor

from kit.losses._loss import Loss

_KINDS = {"boxes": ("box", "reg", "giou", "ctrness", "fgl", "ddf"), "masks": ("mask", "dice")}  # words in the names of an architecture's parts


class Detection(Loss):
    tasks: ClassVar[tuple[str, ...]] = ("detection", "segmentation")
    sums: ClassVar[bool] = True  # parts by name, where other losses take logits

    def __init__(self, task: str = "", *, classes: float = 1.0, boxes: float = 1.0, masks: float = 1.0):
        """
        classes  weight of the parts that tell what an object is, and where there is any
        boxes    weight of those that tell where it lies
        masks    weight of those that tell its outline
        """
        super().__init__(task)
        self.weights = {"classes": classes, "boxes": boxes, "masks": masks}

    def forward(self, parts: dict[str, Tensor], target: Tensor) -> Tensor:
        """(n,) the batch's mean loss, for each of its pictures the same.

        parts   scalars by the architecture's own names
        target  (n,) anything: what is true the network was given with its pictures
        """
        total = sum((self.weights[self.kind(name)] * value.float() for name, value in parts.items()), torch.zeros((), device=target.device))
        return total.expand(len(target))

    @staticmethod
    def kind(name: str) -> str:
        """ "classes", "boxes" or "masks", for the name of a part."""
        return next((kind for kind, words in _KINDS.items() if any(word in name for word in words)), "classes")

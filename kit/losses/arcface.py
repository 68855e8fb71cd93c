"""ArcFace: cross entropy of cosines between an embedding and each class, where the true class must win by an angle."""

from typing import Any

from pytorch_metric_learning.losses import ArcFaceLoss

from kit.losses._margin import Margin, Steady


class Arcface(Margin):
    """-log(e^(s cos(a_y + m)) / (e^(s cos(a_y + m)) + sum over j != y of e^(s cos a_j))), a_j the angle to class j (Deng et al. 2019, equation 3).

    Where a_y + m passes 180 degrees the cosine would rise again, and cos a_y - m sin m (m in radians) stands in, as in the authors' code.
    """

    def __init__(self, task: str = "", *, margin: float = 28.6, scale: float = 30.0):
        """
        margin  degrees, 0 to below 90; 28.6 is the paper's 0.5 radians
        scale   of the cosines before the softmax; the paper's 64 is for hundreds of thousands of classes
        """
        super().__init__(task, margin=margin, scale=scale)

    def _angular(self, **given: Any) -> ArcFaceLoss:
        return _Angular(**given)


class _Angular(Steady, ArcFaceLoss):
    pass

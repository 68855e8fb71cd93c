"""Sub-centre ArcFace: a class has several directions, and an embedding need only be near one of them."""

from typing import Any

from pytorch_metric_learning.losses import SubCenterArcFaceLoss

from kit.errors import ConfigError
from kit.losses._margin import Margin, Steady


class SubCentreArcface(Margin):
    """ArcFace (see loss arcface) whose cosine to a class is the greatest of those to its sub-centres (Deng et al. 2020, "Sub-center
    ArcFace"): pictures with a wrong label gather at one of their own and leave the others clean."""

    def __init__(self, task: str = "", *, margin: float = 28.6, scale: float = 30.0, centres: int = 3):
        """
        margin   degrees, 0 to below 90; 28.6 is 0.5 radians
        scale    of the cosines before the softmax
        centres  of each class, 1 or more; 1 is arcface
        """
        super().__init__(task, margin=margin, scale=scale)
        if centres < 1:
            raise ConfigError(f"centres = {centres} of loss sub_centre_arcface: expected 1 or more")
        self.centres = centres

    def _angular(self, **given: Any) -> SubCenterArcFaceLoss:
        return _Angular(**given, sub_centers=self.centres)


class _Angular(Steady, SubCenterArcFaceLoss):
    pass

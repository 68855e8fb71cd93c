"""Masks of objects: Mask R-CNN of torchvision, its head on any trunk of timm, or Mask2Former of Hugging Face."""

from kit.zoo._inputs import Inputs
from kit.zoo.detector import Detector


class Segmenter(Detector):
    tasks = ("segmentation",)
    masks = True

    def __init__(
        self,
        inputs: Inputs,
        *,
        architecture: str = "maskrcnn_resnet50_fpn_v2",
        trunk: str = "",
        weights: str = "hub",
        channels: int = 256,
        strides: list[int] = [4, 8, 16, 32],
        coarser: int = 1,
        regions: int = 512,
        least_score: float = 0.05,
        most: int = 100,
    ):
        """
        architecture  of torchvision; with a trunk mask_rcnn; or Mask2Former of Hugging Face, by its name on the hub
                      ("facebook/mask2former-swin-small-coco-instance") or a folder
        trunk, weights, channels, strides, coarser, regions, least_score, most  as in model detector
        """
        super().__init__(
            inputs, architecture=architecture, trunk=trunk, weights=weights, channels=channels, strides=strides, coarser=coarser, regions=regions,
            least_score=least_score, most=most,
        )  # fmt: skip

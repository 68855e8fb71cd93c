"""Boxes around objects: torchvision's detectors, one of their heads on any trunk of timm, or a detector of Hugging Face."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit import backbones
from kit.registry import needed
from kit.zoo._inputs import Inputs
from kit.zoo._pyramid import Pyramid
from kit.zoo._region_networks import HEADS, named, on_trunk


class Detector(nn.Module):
    takes = ("image",)
    tasks = ("detection",)  # that it serves
    finds = True  # objects in pictures, not an answer a row
    usual_lr = 5e-4
    masks = False  # whether objects have outlines, too

    def __init__(
        self,
        inputs: Inputs,
        *,
        architecture: str = "fasterrcnn_resnet50_fpn_v2",
        trunk: str = "",
        weights: str = "hub",
        channels: int = 256,
        strides: list[int] = [8, 16, 32],
        coarser: int = 2,
        regions: int = 512,
        least_score: float = 0.05,
        most: int = 100,
    ):
        """
        architecture  a detector of torchvision by its name; with a trunk the head on it: fcos, retinanet or faster_rcnn; or one of Hugging Face,
                      by its name on the hub ("ustc-community/dfine-small-coco") or a folder
        trunk         an architecture of timm
        weights       "hub" (COCO's of a detector, the trunk's own of a trunk), "package" (of a trunk), "none", or a file; of Hugging Face a folder
        channels      of the pyramid on a trunk; fcos needs a multiple of 32
        strides       of the trunk's maps that the pyramid is made of, pixels: the least is a quarter of the smallest object, or so
        coarser       0..2 levels beyond them, each of twice the stride
        regions       of a picture that the second stage of faster_rcnn and mask_rcnn on a trunk learns from; it asks about twice as many
        least_score   0..1, below which nothing is found
        most          objects of a picture
        """
        super().__init__()
        self.weights = weights
        same = {"classes": inputs.outputs, "weights": weights, "most": most, "least_score": least_score}
        if of_hugging_face(architecture):
            self.body = needed("kit.zoo._query_networks", f'model.architecture = "{architecture}"').QueryNetwork(architecture, masks=self.masks, **same)
        elif trunk:
            self.body = on_trunk(architecture, trunk, side=inputs.side, channels=channels, strides=strides, coarser=coarser, regions=regions, **same)
        else:
            self.body = named(architecture, side=inputs.side, masks=self.masks, **same)

    @classmethod
    def problems_of(cls, *, architecture: str = "fasterrcnn_resnet50_fpn_v2", trunk: str = "", channels: int = 256, **options: Any) -> list[str]:
        """What of the options does not go together."""
        heads = [h for h in HEADS if h.startswith("mask") == cls.masks]
        problems = []
        if trunk and architecture not in heads:
            problems.append(f'model.trunk = "{trunk}" carries a head, and model.architecture = "{architecture}" is none\nset it to {" or ".join(heads)}')
        if not trunk and architecture in HEADS:
            problems.append(f'model.architecture = "{architecture}" is a head that needs a trunk\nname one of timm: model.trunk = "resnet50"')
        if trunk and architecture == "fcos" and channels % 32:
            problems.append(f"model.channels = {channels}: fcos normalises by 32 groups, expected a multiple of 32")
        return problems

    def start(self) -> None:
        """Fills in the pretrained weights; called once, before training."""
        self.body.load()

    def keep(self, folder: Path) -> None:
        """Writes what rebuilding this network needs besides its options."""
        if hasattr(self.body, "keep"):
            self.body.keep(folder)

    @staticmethod
    def kept(options: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The options of the network that `keep` wrote of."""
        return {**options, "architecture": str(folder)}

    def forward(self, batch: dict[str, Tensor]) -> Any:
        """In training the parts of the loss, scalars by name; else what is found in each picture: boxes in its pixels, scores, labels."""
        pictures = batch["image"].float() / 255
        if not self.training:
            return self.body.found(pictures)
        boxes, labels, masks = [], [], [] if self.masks else None
        for n, names in enumerate(batch["labels"]):
            there = names >= 0
            boxes.append(batch["boxes"][n][there])
            labels.append(names[there])
            if masks is not None:
                each = torch.arange(1, 1 + int(there.sum()), device=names.device)
                masks.append((batch["instances"][n][None] == each[:, None, None]).to(torch.uint8))
        return self.body.losses(pictures, boxes, labels, masks)

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the stem of the trunk; what stands on the trunk is the top."""
        layers: dict[str, int] = {}
        for name, module in self.named_modules():
            if isinstance(module, Pyramid):
                layers |= {f"{name}.body.{inner}": layer for inner, layer in backbones.layer_of(module.body).items()}
        top = max(layers.values(), default=-1) + 1
        if not layers:  # of a detector whose trunk is not timm's, the trunk is one layer
            return {name: int(name in self.head()) for name, _ in self.named_parameters()}
        return {name: layers.get(name, top) for name, _ in self.named_parameters()}

    def head(self) -> set[str]:
        """The parameters beside the trunk's."""
        trunk = [m for m in self.modules() if type(m).__name__ in ("Pyramid", "BackboneWithFPN")]
        own = {id(p) for m in trunk for p in m.body.parameters()}
        return {name for name, p in self.named_parameters() if id(p) not in own}


def of_hugging_face(architecture: str) -> bool:
    return "/" in architecture or Path(architecture).is_dir()

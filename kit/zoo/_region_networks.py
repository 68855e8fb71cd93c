"""Detectors of torchvision: by its own names, or one of its heads on any trunk of timm."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn
from torchvision.models import detection as detectors
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from kit import backbones
from kit.errors import ConfigError, did_you_mean
from kit.weights import read
from kit.zoo._pyramid import Pyramid

HEADS = ("fcos", "retinanet", "faster_rcnn", "mask_rcnn")
_RATIOS = (0.5, 1.0, 2.0)  # height to width of anchors
_OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # sizes of RetinaNet's anchors of one level (Lin et al. 2017, arXiv:1708.02002, section 4)
_ANCHOR_STRIDES = 4  # side of a level's smallest anchor, in strides


class RegionNetwork(nn.Module):
    """A detector of torchvision as kit trains it: squares of one size go in, so its own resizing has nothing to do."""

    def __init__(self, detector: nn.Module, load: Callable[[], None]):
        """load  fills in the weights to start from; processes that train together are sent it, so it is no lambda"""
        super().__init__()
        self.body, self.load = detector, load

    def losses(self, pictures: Tensor, boxes: list[Tensor], labels: list[Tensor], masks: list[Tensor] | None) -> dict[str, Tensor]:
        """
        pictures  (b, 3, side, side) 0..1
        boxes     (k, 4) a picture, pixels; labels (k,) class positions; masks (k, side, side) uint8
        """
        targets: list[dict[str, Tensor]] = [{"boxes": own, "labels": names + 1} for own, names in zip(boxes, labels)]  # 0 is the background
        if masks is not None:
            targets = [{**target, "masks": own} for target, own in zip(targets, masks)]
        return self.body(list(pictures), targets)

    def found(self, pictures: Tensor) -> list[dict[str, Tensor]]:
        """boxes (k, 4), scores (k,), labels (k,) of each picture, the surest first; and masks (k, side, side) 0..1, where it gives them."""
        found = self.body(list(pictures))
        for own in found:
            own["labels"] = own["labels"] - 1
            if "masks" in own:
                own["masks"] = own["masks"][:, 0]
        return [{k: v[own["labels"] >= 0] for k, v in own.items()} for own in found]


def named(architecture: str, *, classes: int, side: int, weights: str, most: int, least_score: float, masks: bool) -> RegionNetwork:
    """One of torchvision's own, such as "fasterrcnn_resnet50_fpn_v2". Raises ConfigError for a name that it does not know."""
    known = [n for n in list_models(module=detectors) if n.startswith("mask") == masks and not n.startswith("keypoint")]
    if architecture not in known:
        raise ConfigError(f'torchvision has no such detector as "{architecture}"{did_you_mean(architecture, known)}\nit has {", ".join(known)}')
    sides = {} if architecture.startswith("ssd") else {"min_size": side, "max_size": side}
    two_stage = "rcnn" in architecture
    prefix = "box_" if two_stage else ""
    limits = {f"{prefix}score_thresh": least_score, f"{prefix}detections_per_img": most}
    body = get_model(architecture, weights=None, weights_backbone=None, num_classes=classes + 1, **sides, **limits)
    return RegionNetwork(body, partial(_load_named, body, architecture, weights))


def _load_named(body: nn.Module, architecture: str, weights: str) -> None:
    """COCO's weights but for what tells the classes apart. Raises ConfigError where they cannot be had, or are another network's."""
    if weights == "none":
        return
    if weights == "package":
        raise ConfigError(f'model.weights = "package": no package holds weights of "{architecture}"\nset it to "hub", "none" or a file; or name a trunk: model.trunk')
    if weights == "hub":
        try:
            given = get_model_weights(architecture).DEFAULT.get_state_dict(check_hash=True)
        except (URLError, OSError) as error:
            raise ConfigError(
                f'the weights of "{architecture}" are not on this machine and cannot be fetched: {error}\n'
                'fetch them where there is a network, and name the file: model.weights = "FILE"; or set model.weights = "none"'
            ) from error
    else:
        given = read(Path(weights))
    fill_all_but_classes(body, given, weights)


def fill_all_but_classes(body: nn.Module, given: dict[str, Tensor], source: str) -> None:
    """Sets all tensors that fit. Raises ConfigError unless all that do not are of the shape of a layer of classes."""
    own = body.state_dict()
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    lacking = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked")]
    wrong = [k for k in lacking if k not in given or given[k].shape[1:] != own[k].shape[1:]]
    if wrong or not fitting:
        raise ConfigError(f"{source} does not fit the network: {len(wrong)} of {len(own)} tensors are missing or of another shape: {', '.join(wrong[:3])}")
    body.load_state_dict(fitting, strict=False)


def on_trunk(
    head: str, trunk: str, *, classes: int, side: int, weights: str, channels: int, strides: list[int], coarser: int, regions: int, most: int, least_score: float
) -> RegionNetwork:
    """A head of torchvision on a trunk of timm."""
    pyramid = Pyramid(trunk, channels=channels, strides=strides, coarser=coarser)
    mean, deviation = (t.tolist() for t in backbones.mean_and_deviation(pyramid.body))
    same: dict[str, Any] = {"min_size": side, "max_size": side, "image_mean": mean, "image_std": deviation}
    if head in ("fcos", "retinanet"):
        limits = {"score_thresh": least_score, "detections_per_img": most, "topk_candidates": 10 * most}
        if head == "fcos":
            sizes = tuple((stride,) for stride in pyramid.strides)
            anchors = AnchorGenerator(sizes, ((1.0,),) * len(sizes))
            body = detectors.FCOS(pyramid, classes + 1, anchor_generator=anchors, head=_FloatHead(channels, 1, classes + 1), **limits, **same)
        else:
            sizes = tuple(tuple(_ANCHOR_STRIDES * stride * octave for octave in _OCTAVES) for stride in pyramid.strides)
            anchors = AnchorGenerator(sizes, (_RATIOS,) * len(sizes))
            body = detectors.RetinaNet(pyramid, classes + 1, anchor_generator=anchors, **limits, **same)
    else:
        sizes = tuple((_ANCHOR_STRIDES * stride,) for stride in pyramid.strides)
        limits = {"box_score_thresh": least_score, "box_detections_per_img": most, "box_batch_size_per_image": regions}
        limits |= {"rpn_post_nms_top_n_train": 4 * regions, "rpn_post_nms_top_n_test": 2 * regions}  # torchvision's own proportions
        anchors = AnchorGenerator(sizes, (_RATIOS,) * len(sizes))
        network = detectors.MaskRCNN if head == "mask_rcnn" else detectors.FasterRCNN
        heads = _pooled(pyramid, channels, classes + 1, masks=head == "mask_rcnn")
        body = network(pyramid, rpn_anchor_generator=anchors, **heads, **limits, **same)
    return RegionNetwork(body, partial(backbones.load, pyramid.body, trunk, weights))


def _pooled(pyramid: Pyramid, channels: int, classes: int, *, masks: bool) -> dict[str, nn.Module]:
    """Boxes, and masks, cut out of all levels of the trunk's own, and the heads on them, as wide as the pyramid: torchvision's at 256 channels."""
    names = [str(n) for n in range(len(pyramid.places))]
    wide = 4 * channels
    parts = {
        "box_roi_pool": MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
        "box_head": TwoMLPHead(channels * 7**2, wide),
        "box_predictor": FastRCNNPredictor(wide, classes),
    }
    if masks:
        parts["mask_roi_pool"] = MultiScaleRoIAlign(names, output_size=14, sampling_ratio=2)
        parts["mask_head"] = MaskRCNNHeads(channels, (channels,) * 4, 1)
        parts["mask_predictor"] = MaskRCNNPredictor(channels, channels, classes)
    return parts


class _FloatHead(FCOSHead):
    """FCOS's head, whose outputs are single precision: its losses are sums over all places, which half precision cannot hold."""

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {name: value.float() for name, value in super().forward(x).items()}

"""Detectors and segmenters of Hugging Face that ask by queries (DETR, RT-DETR v2, D-FINE, Mask2Former): by name on the hub, or from a folder."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoImageProcessor, AutoModelForObjectDetection, AutoModelForUniversalSegmentation

from kit import huggingface
from kit.errors import ConfigError
from kit.files import write_json


class QueryNetwork(nn.Module):
    """Pictures, boxes and labels as RegionNetwork takes them."""

    def __init__(self, architecture: str, *, classes: int, weights: str, most: int, least_score: float, masks: bool):
        super().__init__()
        self.architecture, self.weights, self.classes, self.most, self.least_score, self.masks = architecture, weights, classes, most, least_score, masks
        self.family = AutoModelForUniversalSegmentation if masks else AutoModelForObjectDetection
        config = huggingface.config(architecture)
        config.num_labels = classes
        config.id2label = {n: str(n) for n in range(classes)}
        config.label2id = {str(n): n for n in range(classes)}
        if hasattr(config, "use_pretrained_backbone"):
            config.use_pretrained_backbone = False  # all weights come with the detector's, or none do
        self.config = config
        self.body = self.family.from_config(config)
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("deviation", torch.ones(1, 3, 1, 1))

    def load(self) -> None:
        """The pretrained weights, but for what tells the classes apart, and the scale of pixels that goes with them."""
        if self.weights == "none":
            return
        if self.weights not in ("hub",) and not Path(self.weights).is_dir():
            raise ConfigError(f'model.weights = "{self.weights}": of a detector of Hugging Face expected "hub", "none", or a folder as save_pretrained writes it')
        place = self.architecture if self.weights == "hub" else self.weights
        given = huggingface.read(self.family.from_pretrained, place, "the weights", dtype=torch.float32, config=self.config, ignore_mismatched_sizes=True)
        self.body.load_state_dict(given.state_dict())
        processor = huggingface.read(AutoImageProcessor.from_pretrained, place, "the scale of pixels")
        if getattr(processor, "do_normalize", False):
            self.mean.copy_(torch.tensor(processor.image_mean).view(1, 3, 1, 1))
            self.deviation.copy_(torch.tensor(processor.image_std).view(1, 3, 1, 1))

    def keep(self, folder: Path) -> None:
        """Writes the checkpoint's sizes, so that no hub is asked again."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", json.loads(self.config.to_json_string(use_diff=False)))

    def losses(self, pictures: Tensor, boxes: list[Tensor], labels: list[Tensor], masks: list[Tensor] | None) -> dict[str, Tensor]:
        """The architecture's own weighted sum, as one part."""
        x = (pictures - self.mean) / self.deviation
        if self.masks:
            given = self.body(pixel_values=x, mask_labels=[own.float() for own in masks], class_labels=labels)
        else:
            side = pictures.shape[-1]
            targets = [{"class_labels": names, "boxes": _centred(own) / side} for own, names in zip(boxes, labels)]
            given = self.body(pixel_values=x, labels=targets)
        return {"loss": given.loss.reshape(())}

    def found(self, pictures: Tensor) -> list[dict[str, Tensor]]:
        """As RegionNetwork gives them."""
        given = self.body(pixel_values=(pictures - self.mean) / self.deviation)
        side = pictures.shape[-1]
        logits = given.class_queries_logits if self.masks else given.logits
        scores = logits.float().softmax(-1)[..., :-1] if self._has_background(logits) else logits.float().sigmoid()  # (b, queries, classes)
        found = []
        for n in range(len(pictures)):
            best, place = scores[n].flatten().topk(min(self.most, scores[n].numel()))
            query, label = place // scores.shape[2], place % scores.shape[2]
            sure = best >= self.least_score
            query, label, best = query[sure], label[sure], best[sure]
            if self.masks:
                shape = interpolate(given.masks_queries_logits[n, query][None].float(), (side, side), mode="bilinear", align_corners=False)[0].sigmoid()
                found.append({"boxes": _around(shape > 0.5), "scores": best * _certainty(shape), "labels": label, "masks": shape})
            else:
                found.append({"boxes": _cornered(given.pred_boxes[n, query].float() * side), "scores": best, "labels": label})
        return found

    def _has_background(self, logits: Tensor) -> bool:
        return logits.shape[-1] == self.classes + 1


def _centred(boxes: Tensor) -> Tensor:
    """(k, 4) corners to middle, width and height."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat([(low + high) / 2, high - low], dim=1)


def _cornered(boxes: Tensor) -> Tensor:
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat([middle - half, middle + half], dim=1)


def _around(masks: Tensor) -> Tensor:
    """(k, 4) boxes of (k, side, side) bool; zeros for an empty one."""
    boxes = torch.zeros(len(masks), 4)
    for n, mask in enumerate(masks):
        rows, columns = torch.nonzero(mask.any(1)).flatten(), torch.nonzero(mask.any(0)).flatten()
        if len(rows):
            boxes[n] = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
    return boxes.to(masks.device)


def _certainty(shape: Tensor) -> Tensor:
    """(k,) mean probability within each mask, by which Mask2Former's own scores are multiplied (Cheng et al. 2022, section 4.1)."""
    inside = shape > 0.5
    return (shape * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)

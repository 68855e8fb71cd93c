"""A network of the zoo that finds objects: boxes go with the pictures into training, and come back in pixels of each picture."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from kit.encoders import Examples
from kit.errors import ConfigError
from kit.estimators import Setup
from kit.estimators.neural import Neural, device_of
from kit.folding import Folding
from kit.found import Found, Mask
from kit.fusing import fused
from kit.heap import keeping
from kit.masks import of_pixels, of_runs
from kit.tasks.segmentation import joined
from kit.transforms._objects import back
from kit.zoo._asking import HALVES
from kit.zoo._loading import Looks, loader
from kit.zoo._object_views import Labelled, ObjectViews, flat
from kit.zoo._preparation import Rows
from kit.zoo._seeing import answerable
from kit.zoo.detector import of_hugging_face

_AT_ONCE = 16  # looks


class Detecting(Neural):
    media_views = {"image": ObjectViews}

    def __init__(self, setup: Setup, network: type, network_options: dict[str, Any], **options: Any):
        """options  as Neural's. Raises ConfigError for what cannot be done with boxes."""
        super().__init__(setup, network, network_options, **options)
        problems = []
        if self.augment.resize == "crop":
            problems.append('augment.resize = "crop": prediction would see the middle of a picture alone\nset it to "pad" or "squash"')
        problems += [f"augment.{name}: boxes of two pictures cannot be mixed: set it to 0" for name in ("mixup", "cutmix") if getattr(self.augment, name)]
        if of_hugging_face(network_options.get("architecture", "")) and set(self.loss.weights.values()) != {1.0}:
            problems.append("train.loss: a detector of Hugging Face weighs the parts of its loss by its own config: leave classes, boxes and masks at 1")
        given, shares = self.options, self.options["devices"] * self.options["accumulate"]
        if given["batch_size"] and given["batch_size"] < shares:
            problems.append(f"train.batch_size = {given['batch_size']}: a step's pictures are those of all devices and parts together, and {given['devices']} x {given['accumulate']} need one each\nset it to {shares} or more")
        if problems:
            raise ConfigError("\n".join(problems))

    def _fit_target(self, target: np.ndarray) -> None:
        """There is nothing to scale."""

    def _mean_answer(self, train: Examples) -> np.ndarray:
        if train.weight is not None:
            raise ConfigError("input.columns.weight: a detector's loss weighs objects, not pictures: leave it out")
        return np.zeros(self.setup.outputs)

    def _training_rows(self, train: Examples) -> Rows:
        rows = self._prepared(train.features)
        n = len(train)
        media = {"image": Labelled(rows.media["image"], train.target)}
        return replace(rows, media=media, target=torch.zeros(n), weight=torch.ones(n))

    def _identity(self, train: Examples, plan: Any, looking: Any) -> str:
        return super()._identity(replace(train, target=flat(train.target)), plan, looking)

    @keeping()
    @torch.inference_mode()
    def predict(self, rows: Examples) -> list[Found]:
        """(n,) Found whose labels are class positions; none where there is no picture."""
        torch.set_num_threads(self.setup.threads)
        device, feeding = device_of(self.options["accelerator"]), self._feeding()
        network = self.network.to(device, memory_format=torch.channels_last if feeding.channels_last else torch.contiguous_format)
        answers = [Found.of([], boxes=[], masks=[] if network.masks else None) for _ in range(len(rows))]
        there = np.flatnonzero(answerable(rows.features, self.takes, self.optional))
        if not len(there):
            return answers
        prepared = self._prepared(rows.features.take(there))
        looks, pictures = Looks(prepared, self.views), prepared.media["image"]
        each = int(looks.counts[0])
        steps = np.array_split(np.arange(len(there)), -(-len(there) * each // _AT_ONCE))
        asked = [(np.repeat(some, each), np.tile(np.arange(each), len(some))) for some in steps if len(some)]
        half = HALVES.get(feeding.precision)
        workers = feeding.workers if len(asked) > 2 * feeding.workers else 0
        with Folding(network) as folding:
            for (some, look), batch in zip(asked, loader(looks, asked, workers=workers, prefetch=feeding.prefetch, device=device)):
                with folding.passing(), torch.autocast(device.type, half) if half is not None else nullcontext():
                    given = network({k: v.to(device) for k, v in batch.items()})
                for first in range(0, len(some), each):
                    n = int(some[first])
                    answers[there[n]] = self._together(given[first : first + each], look[first : first + each], pictures, n)
        self.network.cpu()
        return answers

    def _together(self, given: list[dict[str, torch.Tensor]], looks: np.ndarray, pictures: Any, n: int) -> Found:
        """What the looks at one picture found, in its pixels."""
        (height, width), small = pictures.full_size(n), pictures[n].shape
        views = self.views["image"].plain
        parts = []
        for own, look in zip(given, looks.tolist()):
            scale = np.array([width / small[1], height / small[0]] * 2)
            boxes = back(own["boxes"].double().cpu().numpy(), views[look], small[0], small[1]) * scale
            masks = None
            if "masks" in own:
                window = [side * ratio for side, ratio in zip(views[look].window(*small[:2]), scale[[1, 0, 1, 0]].tolist())]
                shapes = own["masks"].float().cpu().numpy()
                masks = [outlined(shape, box, window, views[look].mirrored, height, width) for shape, box in zip(shapes, boxes)]
            found = Found.of(own["labels"].cpu().numpy(), boxes=boxes, masks=masks, scores=own["scores"].double().cpu().numpy())
            parts.append(found.take(((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)))
        if not self.network.masks:
            return fused(parts)
        return joined(parts, np.ones(len(parts)) / len(parts)) if len(parts) > 1 else parts[0]


def outlined(shape: np.ndarray, box: np.ndarray, window: list[float], mirrored: bool, height: int, width: int) -> Mask:
    """The pixels of a (height, width) picture within the box whose probability is above a half.

    shape   (side, side) probabilities in the view's pixels
    window  top, left, height and width of the view, in the picture's pixels
    """
    side = len(shape)
    x1, y1 = np.floor(box[:2]).astype(int).clip(0).tolist()
    x2, y2 = np.minimum(np.ceil(box[2:]).astype(int), [width, height]).tolist()
    if x2 <= x1 or y2 <= y1:
        return Mask(np.zeros(0, np.int64), np.zeros(0, np.int64))
    top, left, tall, wide = window
    x = (np.arange(x1, x2) + 0.5 - left) * side / wide
    y = (np.arange(y1, y2) + 0.5 - top) * side / tall
    x = side - x if mirrored else x
    columns, rows = np.meshgrid((x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32))
    inside = cv2.remap(np.ascontiguousarray(shape, np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) > 0.5
    apart = np.zeros((len(inside), inside.shape[1] + 1), bool)  # a column between the rows, so that no run goes from one to the next
    apart[:, :-1] = inside
    runs = of_pixels(apart)
    row, column = np.divmod(runs.starts, apart.shape[1])
    return of_runs((y1 + row) * width + x1 + column, runs.lengths)

"""Pictures with the objects in them, as a detector is trained on: boxes and masks follow each random view."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kit.album import Pictures
from kit.found import Found
from kit.transforms._objects import Objects
from kit.zoo._views import Batch, PictureViews


@dataclass(frozen=True)
class Labelled:
    """Pictures and what is in each: in pixels of the picture before it was made smaller, labels as class positions.

    found  (n,) Found; those with masks have boxes too
    """

    pictures: Pictures
    found: np.ndarray
    kind = "image"

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def there(self) -> np.ndarray:
        return self.pictures.there

    @property
    def key(self) -> str:
        return hashlib.sha256(self.pictures.key.encode() + flat(self.found).tobytes()).hexdigest()[:16]

    def release(self) -> None:
        self.pictures.release()

    def take(self, rows: np.ndarray) -> "Labelled":
        return Labelled(self.pictures.take(rows), self.found[rows])


def flat(found: np.ndarray) -> np.ndarray:
    """All that some Found hold, as numbers: for hashes."""
    parts = [np.array([len(own), *own.labels, *own.boxes.ravel()], dtype=np.float64) for own in found]
    parts += [np.concatenate([mask.starts, mask.lengths]).astype(np.float64) for own in found for mask in own.masks or []]
    return np.concatenate(parts) if parts else np.zeros(0)


class ObjectViews(PictureViews):
    """As PictureViews, and for training `boxes` (b, k, 4) float32 and `labels` (b, k) int64, -1 where a picture has fewer; of masks `instances`
    (b, side, side) int32, 1 + the position among the k."""

    def __init__(self, transforms: Any, size: int):
        super().__init__(transforms, size)
        self.objects = Objects(transforms)

    def training(self, block: Labelled, rows: np.ndarray, seed: int, side: int) -> Batch:
        self.transforms.seed(seed)
        seen, labels = [], []
        for n in rows.tolist():
            own: Found = block.found[n].take(~block.found[n].ignored)
            picture = block.pictures[n]
            height, width = block.pictures.full_size(n)
            scale = np.array([picture.shape[1] / width, picture.shape[0] / height] * 2)
            instances = None if own.masks is None else map_of(own, height, width, picture.shape[0], picture.shape[1])
            seen.append(self.objects.training(side, picture, own.boxes * scale, instances))
            labels.append(own.labels[seen[-1].kept])
        block.release()
        most = max([len(names) for names in labels] + [1])
        boxes, codes = np.zeros((len(seen), most, 4), np.float32), np.full((len(seen), most), -1, np.int64)
        for row, own, names in zip(range(len(seen)), seen, labels):
            boxes[row, : len(names)], codes[row, : len(names)] = own.boxes, names
        pictures = torch.from_numpy(np.stack([own.picture for own in seen])).permute(0, 3, 1, 2)
        batch = {"image": pictures, "boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(codes)}
        if seen and seen[0].instances is not None:
            batch["instances"] = torch.from_numpy(np.stack([_renumbered(own.instances, own.kept) for own in seen]))
        return batch


def map_of(found: Found, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) int32: of each pixel the object, 1 + its position, 0 for none; of objects that overlap the later one."""
    whole = np.zeros(height * width, np.int32)
    for n, mask in enumerate(found.masks or [], start=1):
        for start, length in zip(mask.starts.tolist(), mask.lengths.tolist()):
            whole[start : start + length] = n
    whole = whole.reshape(height, width)
    if (rows, columns) == (height, width):
        return whole
    down, across = (((np.arange(count) + 0.5) * full / count).astype(np.int64) for count, full in ((rows, height), (columns, width)))
    return whole[down[:, None], across]


def _renumbered(instances: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The map with 1 + the position among those kept; 0 for the others."""
    order = np.zeros(int(max(instances.max(), kept.max(initial=-1) + 1)) + 1, np.int32)
    order[kept + 1] = np.arange(1, len(kept) + 1)
    return order[instances]

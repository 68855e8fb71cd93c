"""Torchvision: pictures changed as tensors by its v2 functions, without PIL; needs no library beyond torch's own."""

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from kit.transforms import Strength
from kit.transforms._library import (
    BLUR,
    COLOURED,
    ERASED_AREA,
    ERASED_ASPECTS,
    NOISE,
    PERSPECTIVE,
    POSTERIZE_BITS,
    TURNED,
    Change,
    Library,
    drawn,
)


class Torchvision(Library):
    """Its random transforms draw from torch's global numbers, which belong to training. So its functions are called, with numbers drawn here."""

    @staticmethod
    def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
        own = picture.copy()  # torch warns of read-only memory; and resizing a part of a larger picture takes half as long again
        return _array(functional.resize(_tensor(own), [height, width], antialias=True))

    @staticmethod
    def mirrored(picture: np.ndarray) -> np.ndarray:
        return _array(functional.horizontal_flip(_tensor(picture)))

    def changes(self, size: int, strength: Strength) -> Change | None:
        return _Changes(self.random, strength) if strength != Strength(strength.least_area) else None


@dataclass(frozen=True)
class _Changes:
    chance: random.Random
    strength: Strength

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        chance, strength = self.chance, self.strength
        image = functional.to_dtype(_tensor(picture), torch.float32, scale=True)  # (3, size, size) in 0..1
        if (strength.turn_degrees or strength.shift or strength.zoom) and chance.random() < TURNED:
            image = _turned(image, chance, strength)
        if strength.colour and chance.random() < COLOURED:
            changes = [functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation]
            for change in chance.sample(changes, len(changes)):
                image = change(image, chance.uniform(1 - strength.colour, 1 + strength.colour))
        if strength.effects:
            for effect in sorted(chance.sample(range(len(_EFFECTS)), 2)):
                if chance.random() < strength.effects:
                    image = _EFFECTS[effect](image, chance)
        if strength.erase and chance.random() < strength.erase:
            image = _erased(image, chance)
        return _array(functional.to_dtype(image, torch.uint8, scale=True))


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)  # a view: (h, w, 3) -> (3, h, w)


def _array(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).contiguous().numpy()


def _generator(chance: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(chance.getrandbits(63))


def _turned(image: Tensor, chance: random.Random, strength: Strength) -> Tensor:
    """Turned, shifted and scaled about its middle, and mirrored beyond its edges (functional.affine would leave black corners)."""
    angle = math.radians(chance.uniform(-strength.turn_degrees, strength.turn_degrees))
    scale = chance.uniform(1 - strength.zoom, 1 + strength.zoom)
    right, down = (2 * chance.uniform(-strength.shift, strength.shift) for _ in range(2))  # the grid's side is 2 long
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    grid = torch.nn.functional.affine_grid(
        torch.tensor([[[cosine, sine, right], [-sine, cosine, down]]]), [1, *image.shape], align_corners=False
    )
    return torch.nn.functional.grid_sample(image[None], grid, padding_mode="reflection", align_corners=False)[0]


def _blurred(image: Tensor, chance: random.Random) -> Tensor:
    """Gaussian, down and then across: functional.gaussian_blur takes the whole square at once, ten times as long."""
    size = image.shape[1]
    deviation = chance.uniform(BLUR[0] * size, BLUR[1] * size)
    reach = int(deviation * 3.5)
    weights = [math.exp(-0.5 * (n / deviation) ** 2) for n in range(-reach, reach + 1)]
    for axis, margins in ((1, [0, reach]), (2, [reach, 0])):
        padded = functional.pad(image, margins, padding_mode="reflect")
        image = torch.zeros_like(image)
        for n, weight in enumerate(weights):
            image.add_(padded.narrow(axis, n, size), alpha=weight / sum(weights))
    return image


def _grey(image: Tensor, chance: random.Random) -> Tensor:
    return functional.rgb_to_grayscale(image, num_output_channels=3)


def _posterized(image: Tensor, chance: random.Random) -> Tensor:
    return functional.posterize(image, chance.randint(*POSTERIZE_BITS))


def _noisy(image: Tensor, chance: random.Random) -> Tensor:
    noise = torch.randn(image.shape[1:], generator=_generator(chance))
    return (image + noise * drawn(chance, NOISE)).clamp_(0, 1)


def _perspective(image: Tensor, chance: random.Random) -> Tensor:
    """The corners move in by a normal distance, and what they span fills the picture."""
    last = image.shape[1] - 1
    deviation = drawn(chance, PERSPECTIVE)
    corners = [[0, 0], [last, 0], [last, last], [0, last]]
    moved = [[abs(at - min(abs(chance.gauss(0, deviation)), 0.45) * last) for at in corner] for corner in corners]
    return functional.perspective(image, moved, corners)


_EFFECTS = (_blurred, _grey, _posterized, _noisy, _perspective)


def _erased(image: Tensor, chance: random.Random) -> Tensor:
    size = image.shape[1]
    area, aspect = drawn(chance, ERASED_AREA) * size * size, drawn(chance, ERASED_ASPECTS, "log")
    height = min(size, max(1, round(math.sqrt(area / aspect))))
    width = min(size, max(1, round(math.sqrt(area * aspect))))
    noise = torch.rand((3, height, width), generator=_generator(chance))
    return functional.erase(image, chance.randint(0, size - height), chance.randint(0, size - width), height, width, noise)

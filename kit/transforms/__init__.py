"""Transforms turn a decoded picture of any size into what a network sees: uint8 (size, size, 3), random in training and plain in prediction.

Each file is a library that does it. All of them read [augment] alike and give the same kind of pictures, so that a competition may
name whichever is installed, or is quicker on its machine.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from kit.errors import ConfigError, bullets, did_you_mean
from kit.registry import names

SMALLEST = 8  # pixels: below it the blur of the heavy recipe is wider than the picture


@dataclass(frozen=True)
class Strength:
    """The numbers of a recipe. Zero, and a least area of 1, change nothing."""

    least_area: float  # 0..1 of the picture's area, that a random crop keeps at least
    turn_degrees: float = 0.0  # either way
    shift: float = 0.0  # 0..1 of the side, either way, down and across
    zoom: float = 0.0  # the scale is 1 - zoom to 1 + zoom
    colour: float = 0.0  # the factors of brightness, contrast and saturation are 1 - colour to 1 + colour
    effects: float = 0.0  # 0..1: two effects are picked, and each is applied with this probability
    erase: float = 0.0  # 0..1 of the pictures lose a rectangle to noise


RECIPES = {
    "light": Strength(least_area=0.7),
    "medium": Strength(least_area=0.5, turn_degrees=15.0, shift=0.06, zoom=0.1, colour=0.2),
    "heavy": Strength(least_area=0.3, turn_degrees=15.0, shift=0.06, zoom=0.1, colour=0.4, effects=0.5, erase=0.25),
}


class Augment:
    def __init__(
        self,
        *,
        transforms: str = "albumentations",
        recipe: Literal["none", "light", "medium", "heavy"] = "light",
        size: int = 224,
        first_size: int = 0,
        flip: bool = True,
        turns: bool = False,
        least_area: float = -1.0,
        turn_degrees: float = -1.0,
        erase: float = -1.0,
        resize: Literal["crop", "squash", "pad"] = "crop",
        centre: float = 1.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        mix_share: float = 1.0,
        views: list[Literal["flip", "crops", "scales"]] = [],
    ):
        """
        transforms    the library: albumentations or torchvision
        recipe        how much training pictures are changed.
                      none: not at all, they are what prediction sees;
                      light: a random crop of at least 0.7 of the area, 3:4 to 4:3, and mirrored or not;
                      medium: a crop of at least 0.5, turned, shifted and scaled, other brightness, contrast and saturation;
                      heavy: a crop of at least 0.3, colours changed twice as much, up to two of blur, greyscale, posterize, noise
                      and perspective, and a rectangle erased in a quarter of the pictures
        size          pixels, height and width of what the network sees, at least 8
        first_size    pixels that training starts with, growing to `size`; 0 is `size` all along
        flip          training pictures are mirrored left to right, half of them; false where that changes the answer, as for digits and text
        turns         training pictures are turned by a quarter, a half, three quarters of a circle or not at all: for what has no top, such as
                      the ground from above
        least_area    0..1 of the picture's area, above 0, that a random crop keeps at least; below 0 is the recipe's own, as for the next two
        turn_degrees  0..180, most that a picture is turned either way
        erase         0..1, share of pictures in which a rectangle (2 to 25 % of the area) is replaced by noise
        resize        how a picture gets square in prediction, and under recipe none.
                      crop: the short side fits and the middle is taken; squash: both sides fit, and the aspect is lost;
                      pad: the long side fits, and the rest has the mean colour of the picture's edge
        centre        0..1, above 0: the share of its side that prediction sees (of the short side under crop, of each under squash, of
                      the padded square under pad); 0.875 is 256 pixels cropped to 224, timm's crop_pct
        mixup         alpha of the Beta distribution that two pictures are mixed with (Zhang et al. 2018); 0 is off
        cutmix        alpha of the Beta distribution of the area that another picture takes (Yun et al. 2019); 0 is off
        mix_share     0..1 of the batches that mixup or cutmix changes
        views         what prediction averages over, besides the plain view.
                      crops: the four corners and the middle, at 1.15 times the plain view's scale;
                      scales: the plain view at 0.85 and 1.2 times its scale; flip: every view mirrored too, which doubles them

        Raises ConfigError with all values that are out of range.
        """
        self.transforms, self.recipe, self.size, self.first_size, self.flip = transforms, recipe, size, first_size, flip
        self.turns = turns
        self.least_area, self.turn_degrees, self.erase, self.resize, self.centre = least_area, turn_degrees, erase, resize, centre
        self.mixup, self.cutmix, self.mix_share, self.views = mixup, cutmix, mix_share, views
        problems = self._problems()
        if problems:
            raise ConfigError(bullets(problems))

    def _problems(self) -> list[str]:
        problems = []

        def expect(right: bool, name: str, expected: str) -> None:
            if not right:
                problems.append(f"augment.{name} = {getattr(self, name)!r}: expected {expected}")

        own = "or -1 for the recipe's own"
        if not self.transforms.startswith("./") and self.transforms not in names("transforms"):
            problems.append(
                f'augment.transforms = "{self.transforms}": no such library{did_you_mean(self.transforms, names("transforms"))}'
            )
        expect(self.size >= SMALLEST, "size", f"at least {SMALLEST} pixels")
        expect(
            self.first_size == 0 or SMALLEST <= self.first_size <= max(self.size, SMALLEST),
            "first_size",
            f"{SMALLEST} pixels to augment.size, or 0 for augment.size",
        )
        expect(self.least_area < 0 or 0 < self.least_area <= 1, "least_area", f"a share above 0 and at most 1, {own}")
        expect(self.turn_degrees <= 180, "turn_degrees", f"0 to 180 degrees, {own}")
        expect(self.erase <= 1, "erase", f"a share from 0 to 1, {own}")
        expect(0 < self.centre <= 1, "centre", "a share above 0 and at most 1")
        for name in ("mixup", "cutmix"):
            expect(0 <= getattr(self, name) < math.inf, name, "0 for none, or an alpha above 0")
        expect(0 <= self.mix_share <= 1, "mix_share", "a share from 0 to 1")
        expect(len(set(self.views)) == len(self.views), "views", "each once")
        if "flip" in self.views and not self.flip:
            problems.append(
                'augment.views names "flip" beside augment.flip = false: no mirrored picture was learned from\ntake one of them out'
            )
        given = [name for name in ("least_area", "turn_degrees", "erase") if getattr(self, name) >= 0]
        if self.recipe == "none" and given:
            problems.append(
                f'augment.recipe = "none" changes no picture, but augment.{given[0]} is set\nname recipe "light", or set it to -1'
            )
        return problems

    @property
    def strength(self) -> Strength:
        """The recipe's numbers, or those given instead of them. There are none for recipe none."""
        given = {name: getattr(self, name) for name in ("least_area", "turn_degrees", "erase") if getattr(self, name) >= 0}
        return replace(RECIPES[self.recipe], **given)

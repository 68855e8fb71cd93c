"""Mixes the pictures or sounds of a batch with one another, on the device: mixup and cutmix."""

import torch
from torch import Tensor


def mixed(pictures: Tensor, *, mixup: float, cutmix: float, share: float) -> tuple[Tensor, Tensor | None, float]:
    """(pictures, partners, weight of a picture's own target): each picture and a partner from its batch, blended (mixup, Zhang et al. 2018)
    or with a rectangle of the partner pasted in (cutmix, Yun et al. 2019).

    pictures       (n, channels, h, w), or anything else with rows where only mixup is asked for
    mixup, cutmix  alpha of the Beta distribution that the weight is drawn from; 0 is never; if both are given, each has half of the batches
    share          0..1, of the batches that are mixed
    partners       (n,) int64, or None for a batch that stays as it is

    What is drawn comes from torch's CPU generator, the same on every kind of device.
    """
    both = bool(mixup) and bool(cutmix)
    if not (mixup or cutmix) or len(pictures) < 2 or torch.rand(()).item() >= share:
        return pictures, None, 1.0
    pasted = torch.rand(()).item() < 0.5 if both else bool(cutmix)
    alpha = cutmix if pasted else mixup
    own = float(torch.distributions.Beta(alpha, alpha).sample())
    own = max(own, 1 - own)  # the pairs are the same with their partners exchanged: a picture is at least half itself
    partners = torch.randperm(len(pictures)).to(pictures.device)
    if not pasted:
        return own * pictures.float() + (1 - own) * pictures[partners].float(), partners, own
    height, width = pictures.shape[2:]
    side = (1 - own) ** 0.5
    middle_y, middle_x = torch.rand(()).item() * height, torch.rand(()).item() * width
    top, bottom = (min(max(round(middle_y + sign * side * height / 2), 0), height) for sign in (-1, 1))
    left, right = (min(max(round(middle_x + sign * side * width / 2), 0), width) for sign in (-1, 1))
    pictures = pictures.clone()
    pictures[:, :, top:bottom, left:right] = pictures[partners, :, top:bottom, left:right]
    return pictures, partners, 1 - (bottom - top) * (right - left) / (height * width)

"""Depthwise convolutions in bfloat16 whose gradients a processor computes in reasonable time.

There oneDNN takes up to a hundred times as long as the forward pass for the weights' gradient of a kernel larger than 3x3, and for the inputs'
gradient of a strided one (torch 2.14): more than half of an EfficientNet's training step. Here a larger kernel's gradient is put together
from those of 3x3 tiles, and a strided input's is computed in float32. The values are the same but for the order of summing.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad
from torch.overrides import TorchFunctionMode

_TILE = 3  # the largest kernel whose gradient is computed at once


class QuickDepthwise(TorchFunctionMode):
    """Within it, depthwise convolutions of pictures that a processor computes in bfloat16 have these gradients; all else is torch's own."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if function is not torch.conv2d or not torch.is_grad_enabled():
            return function(*args, **kwargs)
        return _convolved(*args, **kwargs)


def quick_depthwise(device: torch.device) -> AbstractContextManager:
    """For the forward pass of a training step: nothing on devices that have no need of it, where each call would go through Python for nothing."""
    return QuickDepthwise() if device.type == "cpu" else nullcontext()


def _convolved(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
    half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
    depthwise = input.device.type == "cpu" and half == torch.bfloat16 and input.dim() == 4 and groups == input.shape[1] == weight.shape[0]
    if not depthwise or _pair(dilation) != (1, 1) or isinstance(padding, str) or (max(weight.shape[2:]) <= _TILE and max(_pair(stride)) == 1):
        return conv2d(input, weight, bias, stride, padding, dilation, groups)
    return _Depthwise.apply(input.to(half), weight.to(half), None if bias is None else bias.to(half), _pair(stride), _pair(padding))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(input, weight, bias, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        of_input = _of_input(given, input, weight, ctx.stride, ctx.padding) if wanted[0] else None
        of_weight = _of_weight(given, input, weight, ctx.stride, ctx.padding) if wanted[1] else None
        return of_input, of_weight, given.sum(dim=(0, 2, 3)) if wanted[2] else None, None, None


def _of_input(given: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    if max(stride) > 1:
        return _gradients(given.float(), input.float(), weight.float(), stride, padding, (True, False, False))[0].to(input.dtype)
    return _gradients(given, input, weight, stride, padding, (True, False, False))[0]


def _of_weight(given: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """(channels, 1, h, w), tile by tile: a tile's gradient is that of a small kernel which sees the picture from the tile's place on."""
    height, width = weight.shape[2:]
    if max(height, width) <= _TILE:
        return _gradients(given, input, weight, stride, padding, (False, True, False))[1]
    seen = pad(input, (padding[1], padding[1], padding[0], padding[0]))
    found = torch.empty_like(weight, memory_format=torch.contiguous_format)
    for top in _starts(height):
        for left in _starts(width):
            tile = weight[:, :, top : top + _TILE, left : left + _TILE]
            reach = [(n - 1) * s + side for n, s, side in zip(given.shape[2:], stride, tile.shape[2:])]
            part = seen[:, :, top : top + reach[0], left : left + reach[1]].contiguous(memory_format=torch.channels_last)
            found[:, :, top : top + _TILE, left : left + _TILE] = _gradients(given, part, tile.contiguous(), stride, (0, 0), (False, True, False))[1]
    return found


def _starts(side: int) -> list[int]:
    """Where tiles begin, such that they cover a kernel's side; the last ones may overlap, as they agree where they do."""
    return sorted({min(start, max(side - _TILE, 0)) for start in range(0, side, _TILE)})


def _gradients(given: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int], which: tuple[bool, bool, bool]) -> Any:
    return torch.ops.aten.convolution_backward(given, input, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), which)

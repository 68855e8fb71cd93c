"""Depthwise convolutions in bfloat16 have the gradients that float32 has, whatever the kernel, the stride and the picture."""

import pytest
import torch
from torch.nn.functional import conv2d

from kit.zoo._depthwise import QuickDepthwise, _Depthwise, _starts


def gradients(x, w, b, given, dtype=torch.float32, **how):
    x, w, b = (t.detach().to(dtype).requires_grad_() for t in (x, w, b))
    found = conv2d(x, w, b, groups=len(w), **how)
    found.backward(given.to(dtype))
    return found, x.grad, w.grad, b.grad


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, (5, 3), 4])
@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize("padding", [0, 2, (1, 2)])
def test_gradients_are_those_of_single_precision(kernel, stride, padding):
    torch.manual_seed(0)
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    x, w, b = torch.randn(2, 6, 11, 9), torch.randn(6, 1, *sides), torch.randn(6)
    x, w, b = (t.bfloat16().float() for t in (x, w, b))  # what is rounded is the same on both sides
    given = torch.randn_like(conv2d(x, w, b, stride, padding, groups=6)).bfloat16().float()
    exact = gradients(x, w, b, given, stride=stride, padding=padding)
    with QuickDepthwise():
        quick = gradients(x.contiguous(memory_format=torch.channels_last), w, b, given, torch.bfloat16, stride=stride, padding=padding)
    for one, other in zip(exact, quick):
        assert other.dtype == torch.bfloat16
        torch.testing.assert_close(other.float(), one, rtol=0.02, atol=0.02 * one.abs().max().item())


def test_tiles_cover_a_kernel():
    for side in range(1, 12):
        covered = {place for start in _starts(side) for place in range(start, min(start + 3, side))}
        assert covered == set(range(side)) and max(_starts(side)) <= max(side - 3, 0)


def made(function):
    """Names of the nodes that lead to what the function gives."""
    node, names = function.grad_fn, []
    while node is not None:
        names.append(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    return names


@pytest.mark.parametrize(
    "quick, channels, groups, kernel, half",
    [(True, 4, 4, 5, True), (False, 4, 4, 5, False), (False, 4, 4, 3, True), (False, 4, 2, 5, True), (False, 4, 1, 5, True)],
)
def test_only_what_is_slow_is_taken_over(quick, channels, groups, kernel, half):
    x, layer = torch.randn(1, channels, 8, 8), torch.nn.Conv2d(channels, channels, kernel, groups=groups, padding=kernel // 2)
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = layer(x)
    assert (_Depthwise.__name__ + "Backward" in made(found)) == quick


def test_parameters_keep_gradients_of_their_own_precision_under_autocast():
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 4, 5, groups=4, padding=2)
    x = torch.randn(2, 4, 8, 8)
    found = []
    for quick in (False, True):
        layer.zero_grad()
        with QuickDepthwise() if quick else torch.autocast("cpu", enabled=False), torch.autocast("cpu", torch.bfloat16):
            value = layer(x).float().square().mean()
        value.backward()
        found.append([p.grad.clone() for p in layer.parameters()])
    for one, other in zip(*found):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03 * one.abs().max().item())


def test_without_gradients_nothing_is_kept():
    layer = torch.nn.Conv2d(4, 4, 5, groups=4).bfloat16()
    with QuickDepthwise(), torch.no_grad():
        assert not layer(torch.randn(1, 4, 8, 8).bfloat16()).requires_grad

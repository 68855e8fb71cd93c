"""Batch norms that stand still, folded into the convolutions before them: each of their maps is written and read once less.

Where the lower half of an EfficientNet is frozen, its norms are a good part of a training step on a processor. Which norm follows which convolution is seen in a pass, whatever the
architecture: the very tensor that the one gave is what the other was given, and nothing else took it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from typing import Any, Self
from weakref import ref

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Folding:
    """Of a network whose weights do not move as long as they are folded.

    with Folding(network) as folding:
        for batch in batches:
            with folding.passing():
                network(batch)
    """

    def __init__(self, network: nn.Module):
        self.network = network
        self.seen = False
        self.changed: list[nn.Module] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def passing(self) -> AbstractContextManager:
        """Around each pass. The first is as ever; after it, all norms are folded that keep their statistics and, if it recorded gradients, whose weights and convolutions' weights are frozen."""
        return nullcontext() if self.seen else self._watching()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        learning = torch.is_grad_enabled()
        still = [m for m in self.network.modules() if not (learning and any(p.requires_grad for p in m.parameters(recurse=False)))]
        uses, pairs = _Uses(), []

        def took(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if (output := uses.of(inputs[0])) is not None:
                pairs.append((output, module))

        hooks = [m.register_forward_hook(uses.gave) for m in still if isinstance(m, nn.Conv2d)]
        hooks += [m.register_forward_pre_hook(took) for m in still if isinstance(m, nn.BatchNorm2d) and not m.training and _known(m)]
        try:
            with uses if hooks else nullcontext():
                yield
        finally:
            for hook in hooks:
                hook.remove()
        self.seen = True
        convs, norms = [output.conv for output, _ in pairs], [norm for _, norm in pairs]
        for output, norm in pairs:
            if output.uses == convs.count(output.conv) == norms.count(norm) == 1:
                self._fold(output.conv, norm)

    @torch.no_grad()
    def _fold(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        scale = (norm.running_var + norm.eps).rsqrt() * (1.0 if norm.weight is None else norm.weight)
        shift = (0.0 if norm.bias is None else norm.bias) - norm.running_mean * scale
        bias = shift if conv.bias is None else shift + conv.bias * scale
        weight = (conv.weight * scale.view(-1, 1, 1, 1)).to(memory_format=_format(conv.weight))
        other = copy(conv)
        other._parameters = {"weight": nn.Parameter(weight, requires_grad=False), "bias": nn.Parameter(bias, requires_grad=False)}
        conv.forward, norm.forward = other.forward, _rest(norm).forward  # a module itself would become their child
        self.changed += [conv, norm]

    def undo(self) -> None:
        """The network is as it was."""
        for module in self.changed:
            del module.forward
        self.changed, self.seen = [], False


@dataclass
class _Output:
    """What a convolution gave, and how many calculations took it."""

    conv: nn.Conv2d
    tensor: ref[Tensor]
    uses: int = 0


class _Uses(TorchFunctionMode):
    """Counts, within it, how often the outputs of convolutions are used."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[int, _Output] = {}

    def gave(self, conv: nn.Module, _: Any, output: Tensor) -> None:
        self.outputs[id(output)] = _Output(conv, ref(output))

    def of(self, tensor: Any) -> _Output | None:
        output = self.outputs.get(id(tensor))
        return output if output is not None and output.tensor() is tensor else None  # else another one at the place of one that is gone

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        found = function(*args, **kwargs)
        if isinstance(found, (Tensor, tuple, list)) and not isinstance(found, torch.Size):  # asking for a shape is no use
            for given in (*args, *kwargs.values()):
                for tensor in given if isinstance(given, (tuple, list)) else [given]:
                    if (output := self.of(tensor)) is not None:
                        output.uses += 1
        return found


def _known(norm: nn.BatchNorm2d) -> bool:
    """Whether it is torch's own, or timm's, which has the activation in it."""
    return norm.running_mean is not None and (type(norm) is nn.BatchNorm2d or {"drop", "act"} <= norm._modules.keys())


def _rest(norm: nn.BatchNorm2d) -> Any:
    return nn.Identity() if type(norm) is nn.BatchNorm2d else nn.Sequential(norm.drop, norm.act)


def _format(weight: Tensor) -> torch.memory_format:
    return torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format

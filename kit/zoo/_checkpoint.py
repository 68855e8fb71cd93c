"""Epoch checkpoints: network, optimiser and averaged weights in one safetensors file, whole or absent, with no pickle in it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning_fabric.plugins import CheckpointIO
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from kit.files import whole

NAME = "epoch.safetensors"
_GROUP = "group"  # in the place of a part of the state: counts of a group of parameters


@dataclass
class Progress:
    """Where a training stands.

    epochs     finished ones
    network    its state
    optimizer  "<what>.<part>.<parameter>" -> tensor; a part is "network" or "loss"
    averaged   "<part>.<parameter or buffer>" -> its moving average, if there is one
    loss       its state: weights of its own, and what it remembers of the rows
    history    "epoch", "loss" and "lr" -> a number for each finished epoch: the epoch counted from 1, the mean loss, the highest lr of its last step
    """

    epochs: int = 0
    network: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    averaged: dict[str, Tensor] = field(default_factory=dict)
    loss: dict[str, Tensor] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)

    def into(self, part: str, module: nn.Module) -> None:
        """Gives a module its part's state as it predicts: averaged, where there are averages."""
        module.load_state_dict(getattr(self, part))
        averages = {k.removeprefix(f"{part}."): v for k, v in self.averaged.items() if k.startswith(f"{part}.")}
        module.load_state_dict(averages, strict=False)  # after the state: of tied weights one name alone has an average


def write(folder: Path, progress: Progress, identity: str) -> None:
    """identity  of the training: one with another does not go on from here"""
    tensors = {f"{part}.{k}": v for part in ("network", "optimizer", "averaged", "loss") for k, v in getattr(progress, part).items()}
    with whole(folder / NAME) as temporary:
        metadata = {"epochs": str(progress.epochs), "identity": identity, "history": json.dumps(progress.history)}
        safetensors.torch.save_file({k: alone(v) for k, v in tensors.items()}, temporary, metadata)


def read(folder: Path, identity: str) -> Progress:
    """The progress of the same training, or none."""
    path = folder / NAME
    if not path.is_file():
        return Progress()
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        if metadata["identity"] != identity:
            return Progress()
        progress = Progress(int(metadata["epochs"]), history=json.loads(metadata.get("history", "{}")))
        for key in file.keys():  # noqa: SIM118  the file is no dict
            part, _, name = key.partition(".")
            getattr(progress, part)[name] = file.get_tensor(key)
    return progress


def state_of(optimizer: Optimizer, trained: nn.Module) -> dict[str, Tensor]:
    """trained  the network and its loss as parts of one module"""
    held = _inner(optimizer).state
    named = [(f"{what}.{name}", v) for name, p in trained.named_parameters() for what, v in held.get(p, {}).items()]
    counted = [(f"{_GROUP}.{n}.{what}", v) for n, group in enumerate(optimizer.param_groups) for what, v in group.items() if what.endswith("step") and isinstance(v, int | Tensor)]
    return {key: torch.as_tensor(v) for key, v in [*named, *counted] if v is not None}


def _inner(optimizer: Optimizer) -> Optimizer:
    """Lookahead keeps its slow weights in what it is around."""
    return getattr(optimizer, "_base_optimizer", optimizer)


def restore(optimizer: Optimizer, trained: nn.Module, state: dict[str, Tensor]) -> None:
    parameters = dict(trained.named_parameters())
    on_device = {id(p) for group in optimizer.param_groups if group.get("fused") or group.get("capturable") for p in group["params"]}
    for key, value in state.items():
        what, _, name = key.partition(".")
        if what == _GROUP:  # some count their steps once a group
            n, _, entry = name.partition(".")
            optimizer.param_groups[int(n)][entry] = value if value.is_floating_point() else int(value)
            continue
        counts = not value.is_floating_point() and value.dim() == 0  # torch's sparse Adam counts its steps in a plain int
        parameter = parameters[name]
        if value.shape == parameter.shape:  # laid out as the parameter is, which a file does not keep
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        elif id(parameter) in on_device:  # the steps that are counted, too: a fused kernel reads them there
            value = value.to(parameter.device)
        _inner(optimizer).state[parameter][what] = int(value) if counts else value


def alone(tensor: Tensor) -> Tensor:
    """A copy: tied weights are two names of one tensor, which the format refuses."""
    return tensor.detach().to("cpu", copy=True).contiguous()


class SafetensorsIO(CheckpointIO):
    """How trained weights come back from the processes of a training on many devices."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        safetensors.torch.save_file({k: alone(v) for k, v in checkpoint.items()}, path)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return safetensors.torch.load_file(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink()
        Path(path).parent.rmdir()  # the temporary folder that was made for it

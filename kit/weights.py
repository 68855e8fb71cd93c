"""Reads a file of weights into a network: tensors alone, so that no file can run code."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from kit.errors import ConfigError, shorten


def read(path: Path, part: str = "body") -> dict[str, Tensor]:
    """name -> tensor of a file of weights, or of a part of the network that it is of, wrappers taken off. Raises ConfigError where it holds none."""
    if not path.is_file():
        raise ConfigError(f'model.weights = "{path}": no such file; expected "hub", "package", "none" or the path of a file of weights')
    held = _held(path)
    for wrapper in ("state_dict_ema", "state_dict", "model"):
        if isinstance(held.get(wrapper), dict):
            held = held[wrapper]
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor)}
    if not tensors:
        raise ConfigError(f"{path} holds no weights: expected names and tensors")
    for prefix in (f"network.trunk.{part}.", f"network.{part}.", f"{part}.", "module."):
        if any(k.startswith(prefix) for k in tensors):
            tensors = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return tensors


def _held(path: Path) -> dict:
    try:
        if path.suffix != ".safetensors":
            held = torch.load(path, map_location="cpu", weights_only=True)
        else:
            with safe_open(path, "pt") as file:
                if "denoising" in (file.metadata() or {}):
                    raise ConfigError(f'model.weights = "{path}" was learned from tables, and this model looks at pictures\nlearn from those: kit pretrain COMPETITION pretrain.method=simclr')
            held = load_file(path)
    except UnpicklingError as error:
        raise ConfigError(
            f"{path} holds more than tensors, or is damaged; code in it is never run, so it is not read\n"
            'save its tensors alone where you trust the file: safetensors.torch.save_file(checkpoint["state_dict"], "weights.safetensors")'
        ) from error
    except (SafetensorError, RuntimeError, EOFError, IndexError, KeyError, ValueError) as error:  # torch says the last five of damaged files
        raise ConfigError(f"{path} cannot be read as weights: {str(error).splitlines()[0] if str(error) else type(error).__name__}\nis it whole, and a .safetensors, .pth or .bin file?") from error
    if not isinstance(held, dict):
        raise ConfigError(f"{path} holds no weights: expected names and tensors, found {type(held).__name__}")
    return held


def fill(network: nn.Module, given: dict[str, Tensor], source: str) -> None:
    """Sets the network's tensors, the head's only where they fit. Raises ConfigError where any other is missing or of another shape."""
    own = network.state_dict()
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    head = {k for k in own if any(k.startswith(f"{name}.") for name in _heads(network))}
    lacking = [k for k in own if k not in fitting and k not in head and not k.endswith(".num_batches_tracked")]  # which older files lack, and nothing reads
    if lacking:
        raise ConfigError(
            f"{source} does not fit the network: {len(lacking)} of {len(own)} tensors are missing or of another shape: {shorten(lacking, 3)}\n"
            "name the architecture that the weights were trained with: model.architecture"
        )
    network.load_state_dict(fitting, strict=False)


def _heads(network: nn.Module) -> tuple[str, ...]:
    named = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)

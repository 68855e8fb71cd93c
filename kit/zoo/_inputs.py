"""What a network for tables is given, and the layer that makes one row of numbers of it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

LARGE = 2**14  # tables of more rows than this get sparse gradients: a step then costs what the batch holds, not what the table holds

Numbers = Literal["plain", "piecewise", "periodic"]


@dataclass(frozen=True)
class Inputs:
    """What the batches hold, and how many numbers a network gives for a row.

    dense    columns of `dense` (n, dense) float, scaled, with no missing ones
    sizes    codes of each column of `codes` (n, columns) int64; 0 is missing or never seen in training
    sparse   columns of the n-grams, given as `bag_indices`, `bag_offsets` (n,) and `bag_weights`, as an EmbeddingBag takes them
    outputs  columns of the network's output: (n, outputs), or (n, members, outputs) for an ensemble in one network
    side     pixels: pictures are given as `image` (n, 3, side, side) uint8; 0 where there are none
    vocabulary  of the tokens, given as `tokens` (n, l) int64, 0 where padded, `mask` (n, l) bool and `segments` (n, l) int64, the text column
             that each is of; 0 where there are no texts
    longest  tokens of a row in a batch, the special ones included
    rate     samples a second of sounds, given as `sound` (n, samples) float32 in -1..1; 0 where there are none
    seconds  of a sound in a batch
    """

    dense: int
    sizes: tuple[int, ...]
    sparse: int
    outputs: int
    side: int = 0
    vocabulary: int = 0
    longest: int = 0
    rate: int = 0
    seconds: float = 0.0


class InputLayer(nn.Module):
    """Numbers, plain or embedded, beside the embeddings of all categories and the weighted sum of those of all n-grams: (n, width)."""

    def __init__(self, inputs: Inputs, *, numbers: Numbers, bins: int, number_width: int, category_width: int, ngram_width: int):
        super().__init__()
        self.numbers = {"plain": None, "piecewise": Piecewise, "periodic": Periodic}[numbers] if inputs.dense else None
        self.dense = inputs.dense
        self.width = inputs.dense
        if self.numbers is not None:
            self.numbers = self.numbers(inputs.dense, bins, number_width)
            self.width = inputs.dense * number_width
        self.categories = self.ngrams = None
        if inputs.sizes:
            self.categories = Categories(inputs.sizes, category_width)
            self.width += len(inputs.sizes) * category_width
        if inputs.sparse:
            self.ngrams = nn.EmbeddingBag(inputs.sparse, ngram_width, mode="sum", sparse=inputs.sparse > LARGE)
            self.width += ngram_width
        assert self.width, "a network needs at least one column"

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        parts = []
        if self.dense:
            parts.append(batch["dense"] if self.numbers is None else self.numbers(batch["dense"]))
        if self.categories is not None:
            parts.append(self.categories(batch["codes"]))
        if self.ngrams is not None:
            parts.append(self.ngrams(batch["bag_indices"], batch["bag_offsets"], per_sample_weights=batch["bag_weights"]))
        return torch.cat(parts, dim=1)


class Categories(nn.Module):
    """One table for the codes of all columns: (n, columns) to (n, columns x width).

    Code 0 starts at zero, and stays there if no training row has it.
    """

    def __init__(self, sizes: tuple[int, ...], width: int):
        super().__init__()
        self.table = nn.Embedding(sum(sizes), width, sparse=sum(sizes) > LARGE)
        starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        with torch.no_grad():
            self.table.weight[starts] = 0.0

    def forward(self, codes: Tensor) -> Tensor:
        return self.table(codes + self.starts).flatten(1)


class Piecewise(nn.Module):
    """Piecewise-linear embeddings of numbers (Gorishniy et al. 2022, section 3.2): (n, columns) to (n, columns x width).

    Bins are quantiles of the normal distribution, which scaled columns follow, and need not be learned. As in TabM's version of them a
    linear term stands beside, and the bins' weights start at zero.
    """

    def __init__(self, columns: int, bins: int, width: int):
        super().__init__()
        edges = torch.special.ndtri(torch.linspace(0.01, 0.99, bins + 1))
        self.register_buffer("left", edges[:-1], persistent=False)
        self.register_buffer("widths", edges.diff(), persistent=False)
        least, most = torch.zeros(bins), torch.ones(bins)
        least[0], most[-1] = -torch.inf, torch.inf  # the outer bins have no outer end
        self.register_buffer("least", least, persistent=False)
        self.register_buffer("most", most, persistent=False)
        self.slope = nn.Parameter(torch.empty(columns, width).uniform_(-1.0, 1.0))
        self.offset = nn.Parameter(torch.empty(columns, width).uniform_(-1.0, 1.0))
        self.weight = nn.Parameter(torch.zeros(columns, bins, width))

    def forward(self, x: Tensor) -> Tensor:
        filled = ((x[:, :, None] - self.left) / self.widths).clamp(self.least, self.most)  # (n, columns, bins)
        return (x[:, :, None] * self.slope + self.offset + torch.einsum("ncb,cbw->ncw", filled, self.weight)).flatten(1)


class Periodic(nn.Module):
    """Periodic embeddings of numbers (Gorishniy et al. 2022, section 3.3): (n, columns) to (n, columns x width).

    Deviations: one linear map serves all columns, and the number itself stands beside its waves.
    """

    def __init__(self, columns: int, bins: int, width: int):
        """bins  frequencies of a column"""
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(columns, bins) * 0.1)
        self.mix = nn.Linear(2 * bins + 1, width)

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * torch.pi * x[:, :, None] * self.frequency  # (n, columns, bins), radians
        return torch.relu(self.mix(torch.cat([angle.cos(), angle.sin(), x[:, :, None]], dim=2))).flatten(1)

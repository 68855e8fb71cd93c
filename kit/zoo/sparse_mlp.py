"""Every feature hashed into one table of embeddings, summed, then a perceptron: for wide text and large categories, never densified."""

import math

import torch
from torch import Tensor, nn

from kit.zoo._inputs import Inputs

_MULTIPLIER = 2654435761  # Knuth's multiplicative hash: odd, so that it loses nothing where the table has room for every feature


class SparseMlp(nn.Module):
    def __init__(
        self,
        inputs: Inputs,
        *,
        rows: int = 2**18,
        embedding: int = 32,
        bins: int = 8,
        width: int = 128,
        layers: int = 2,
        dropout: float = 0.3,
    ):
        """
        rows       of the table, a power of two; it is made smaller where all features fit into less
        embedding  width of the table
        bins       of a number: it is a feature with its value as weight, and one feature for the bin it falls into
        width      of each layer behind the table
        layers     behind the table
        dropout    0..1, share of a layer's outputs that a training step leaves out
        """
        super().__init__()
        starts = torch.tensor([0, inputs.dense, inputs.dense * bins, *inputs.sizes]).cumsum(0)
        features = int(starts[-1]) + inputs.sparse
        self.dense, self.sparse = inputs.dense, inputs.sparse
        self.rows = 2 ** math.ceil(math.log2(max(min(rows, features), 2)))
        self.register_buffer("starts", starts, persistent=False)  # of: numbers, their bins, each category column, n-grams
        self.register_buffer("edges", torch.special.ndtri(torch.linspace(0, 1, bins + 1)[1:-1]), persistent=False)
        self.register_buffer("columns", torch.arange(inputs.dense), persistent=False)
        self.table = nn.EmbeddingBag(self.rows, embedding, mode="sum", sparse=True)
        nn.init.normal_(self.table.weight, std=embedding**-0.5)
        blocks, size = [nn.LayerNorm(embedding)], embedding
        for _ in range(layers):
            blocks += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.hidden = nn.Sequential(*blocks, nn.Linear(size, inputs.outputs))
        self.bins = bins

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        dense, codes = batch["dense"], batch["codes"]
        binned = self.starts[1] + self.columns * self.bins + torch.bucketize(dense, self.edges)
        values = self.columns.expand(len(dense), -1)
        features = torch.cat([values, binned, self.starts[2:-1] + codes], dim=1)  # (n, fixed)
        known = (codes > 0).to(dense.dtype)  # what is missing or unseen weighs nothing
        weights = torch.cat([dense, torch.ones_like(dense), known], dim=1)
        summed = self._summed(features.flatten(), torch.arange(len(dense), device=dense.device) * features.shape[1], weights.flatten())
        if self.sparse:
            summed = summed + self._summed(batch["bag_indices"] + self.starts[-1], batch["bag_offsets"], batch["bag_weights"])
        return self.hidden(summed)

    def _summed(self, features: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """(n, embedding)"""
        return self.table(features * _MULTIPLIER % self.rows, offsets, per_sample_weights=weights)

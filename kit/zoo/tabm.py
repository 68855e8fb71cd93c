"""TabM: many perceptrons in one network that share all weights but their scaling adapters; their mean is the prediction.

Gorishniy et al. 2024 (https://arxiv.org/abs/2410.24210), section 3.3. Deviations: categories are embedded, not one-hot, and the first
adapters are signs whether numbers are embedded or not.
"""

import torch
from torch import Tensor, nn

from kit.space import Real, Whole
from kit.zoo._inputs import InputLayer, Inputs, Numbers


class Tabm(nn.Module):
    space = {"width": Whole(32, 512, log=True), "layers": Whole(1, 4), "dropout": Real(0.0, 0.5), "bins": Whole(4, 48, log=True)}
    usual_lr = 3e-3

    def __init__(
        self,
        inputs: Inputs,
        *,
        members: int = 16,
        width: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
        numbers: Numbers = "piecewise",
        bins: int = 16,
        number_width: int = 8,
        category_width: int = 8,
        ngram_width: int = 32,
    ):
        """
        members         perceptrons in the ensemble (k in the paper, there 32)
        width           of each layer
        layers          hidden ones
        dropout         0..1, share of a layer's outputs that a training step leaves out
        numbers         as they are, or embedded piecewise-linearly or periodically
        bins            of a number's embedding; frequencies if it is periodic
        number_width    of a number's embedding
        category_width  of a category's embedding
        ngram_width     of an n-gram's embedding
        """
        super().__init__()
        self.members = members
        self.given = InputLayer(
            inputs, numbers=numbers, bins=bins, number_width=number_width, category_width=category_width, ngram_width=ngram_width
        )
        blocks, size = [], self.given.width
        for layer in range(layers):
            blocks += [_SharedLinear(members, size, width, signs=layer == 0), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.hidden = nn.Sequential(*blocks)
        bound = size**-0.5
        self.head = nn.Parameter(torch.empty(members, size, inputs.outputs).uniform_(-bound, bound))  # each member has its own
        self.head_bias = nn.Parameter(torch.empty(members, inputs.outputs).uniform_(-bound, bound))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, members, outputs)"""
        x = self.given(batch)[:, None].expand(-1, self.members, -1)  # (n, members, width)
        return torch.einsum("nkw,kwo->nko", self.hidden(x), self.head) + self.head_bias


class _SharedLinear(nn.Module):
    """A BatchEnsemble layer (Wen et al. 2020): member k computes s_k * W (r_k * x) + b_k, with one W for all."""

    def __init__(self, members: int, inputs: int, outputs: int, *, signs: bool):
        """signs  r starts as random signs, which make the members differ; else all adapters start at one (TabM, section 3.3)"""
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound))
        self.r = nn.Parameter(torch.randint(2, (members, inputs)) * 2.0 - 1 if signs else torch.ones(members, inputs))
        self.s = nn.Parameter(torch.ones(members, outputs))
        self.b = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.r) @ self.weight * self.s + self.b

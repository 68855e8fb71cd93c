"""A multilayer perceptron for tables: embedded categories and n-grams beside scaled numbers."""

from typing import Literal

from torch import Tensor, nn

from kit.space import Real, Whole
from kit.zoo._inputs import InputLayer, Inputs, Numbers

_NORMS = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}


class Mlp(nn.Module):
    space = {"width": Whole(32, 1024, log=True), "layers": Whole(1, 4), "dropout": Real(0.0, 0.6)}
    def __init__(
        self,
        inputs: Inputs,
        *,
        width: int = 256,
        layers: int = 2,
        dropout: float = 0.3,
        residual: bool = False,
        norm: Literal["layer", "batch", "none"] = "layer",
        numbers: Numbers = "piecewise",
        bins: int = 16,
        number_width: int = 8,
        category_width: int = 8,
        ngram_width: int = 32,
    ):
        """
        width           of each layer
        layers          hidden ones; with residual, blocks of two
        dropout         0..1, share of a layer's outputs that a training step leaves out
        residual        blocks that add to their input (the ResNet of Gorishniy et al. 2021)
        numbers         as they are, or embedded piecewise-linearly or periodically
        bins            of a number's embedding; frequencies if it is periodic
        number_width    of a number's embedding
        category_width  of a category's embedding
        ngram_width     of an n-gram's embedding
        """
        super().__init__()
        self.given = InputLayer(
            inputs, numbers=numbers, bins=bins, number_width=number_width, category_width=category_width, ngram_width=ngram_width
        )
        if residual:
            blocks = [nn.Linear(self.given.width, width), *(_Residual(width, dropout, _NORMS[norm]) for _ in range(layers))]
            blocks += [_NORMS[norm](width), nn.ReLU()]
        else:
            blocks, size = [], self.given.width
            for _ in range(layers):
                blocks += [nn.Linear(size, width), _NORMS[norm](width), nn.ReLU(), nn.Dropout(dropout)]
                size = width
        self.hidden = nn.Sequential(*blocks)
        self.head = nn.Linear(width if blocks else self.given.width, inputs.outputs)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.head(self.hidden(self.given(batch)))


class _Residual(nn.Module):
    def __init__(self, width: int, dropout: float, norm: type[nn.Module]):
        super().__init__()
        self.inner = nn.Sequential(
            norm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)

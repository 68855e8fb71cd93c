"""What a network that reads a row's text or hears its sound is given besides: the numbers, categories and n-grams of its other columns."""

from typing import Any

import torch
from torch import Tensor, nn

from kit.zoo._inputs import LARGE, InputLayer, Inputs

_COLUMNS = 8  # of text that are told apart: those from the eighth on are one
_NUMBERS: dict[str, Any] = {"numbers": "piecewise", "bins": 16, "number_width": 8, "category_width": 8, "ngram_width": 32}


class Beside(nn.Module):
    """Puts the table's other columns behind a row's features: (n, wide) to (n, wide + width). Without such columns it changes nothing."""

    def __init__(self, inputs: Inputs):
        super().__init__()
        self.given = InputLayer(inputs, **_NUMBERS) if inputs.dense or inputs.sizes or inputs.sparse else None
        self.width = 0 if self.given is None else self.given.width

    def forward(self, features: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return features if self.given is None else torch.cat([features, self.given(batch)], dim=1)


class Embedded(nn.Module):
    """Tokens as vectors, of scratch: (n, l) to (n, l, width), zero where no token is. The column that a token is of is added."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width, sparse=vocabulary > LARGE)
        self.columns = nn.Embedding(_COLUMNS, width)
        nn.init.normal_(self.table.weight, std=0.5)
        nn.init.zeros_(self.columns.weight)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        vectors = self.table(batch["tokens"]) + self.columns(batch["segments"].clamp(max=_COLUMNS - 1))
        return vectors * batch["mask"][..., None]

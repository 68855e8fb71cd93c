"""Convolutions over a text's tokens, and the greatest value of each (Kim 2014): phrases that tell, wherever they stand."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from kit.zoo._beside import Beside, Embedded
from kit.zoo._inputs import Inputs


class TextCnn(nn.Module):
    takes = ("text",)
    usual_lr = 2e-3
    SMALL = {"embedding": 16, "channels": 16}  # what tests of every network ask for

    def __init__(self, inputs: Inputs, *, embedding: int = 128, channels: int = 128, sizes: list[int] = [2, 3, 4, 5], dropout: float = 0.4):
        """
        embedding  width of a token's vector, learned from nothing
        channels   filters of each size
        sizes      tokens that a filter looks at
        dropout    0..1, share of the vectors' and of the pooled values that a training step leaves out
        """
        super().__init__()
        assert inputs.vocabulary, "this network reads texts"
        self.embedded = Embedded(inputs.vocabulary, embedding)
        self.filters = nn.ModuleList(nn.Conv1d(embedding, channels, size) for size in sizes)
        self.beside = Beside(inputs)
        self.drop = nn.Dropout(dropout)
        self.width = channels * len(sizes) + self.beside.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        x = self.drop(self.embedded(batch)).transpose(1, 2)  # (n, embedding, l)
        mask = batch["mask"][:, None]
        found = []
        for one in self.filters:  # a filter begins at each token, and looks at zeros behind the last: padding adds nothing
            found.append((torch.relu(one(pad(x, (0, one.kernel_size[0] - 1)))) * mask).amax(dim=2))
        return self.beside(torch.cat(found, dim=1), batch)

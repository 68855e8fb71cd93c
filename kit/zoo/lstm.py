"""A text read word by word from both ends (bidirectional LSTM), pooled to the mean and the greatest value of each state."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kit.zoo._beside import Beside, Embedded
from kit.zoo._inputs import Inputs


class Lstm(nn.Module):
    takes = ("text",)
    usual_lr = 2e-3
    SMALL = {"embedding": 16, "states": 16}  # what tests of every network ask for

    def __init__(self, inputs: Inputs, *, embedding: int = 128, states: int = 128, layers: int = 1, dropout: float = 0.4):
        """
        embedding  width of a token's vector, learned from nothing
        states     of each direction
        layers     that read one above the other
        dropout    0..1, share of the vectors' and of the pooled values that a training step leaves out
        """
        super().__init__()
        assert inputs.vocabulary, "this network reads texts"
        self.embedded = Embedded(inputs.vocabulary, embedding)
        self.reader = nn.LSTM(embedding, states, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0)
        self.beside = Beside(inputs)
        self.drop = nn.Dropout(dropout)
        self.width = 4 * states + self.beside.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        x, mask = self.drop(self.embedded(batch)), batch["mask"]
        lengths = mask.sum(dim=1).clamp(min=1)  # of a row without any token, the one that pads it
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=x.shape[1])  # (n, l, 2 x states)
        mask = mask[..., None]
        mean = (states * mask).sum(dim=1) / lengths[:, None]
        greatest = states.masked_fill(~mask, -1.0).amax(dim=1)  # states lie in -1..1
        return self.beside(torch.cat([mean, greatest], dim=1), batch)

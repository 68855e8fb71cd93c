"""RealMLP: a perceptron whose parts and starting values were chosen on many tables, so that it need not be tuned.

After Holzmüller, Grinsztajn and Steinwart 2024 (https://arxiv.org/abs/2407.04491), section 3 and appendix A. In it: small categories one-hot and
large ones embedded; numbers beside their waves (PBLD); a factor for each input; linear layers in the neural tangent parametrisation; activations
that each neuron learns its share of; a rate of its own for factors, biases, activations and waves. Beyond the paper: several perceptrons
side by side, whose mean is the prediction. Options elsewhere: train.numbers = "robust" is its scaling with smooth clipping, train.loss =
{ name = "cross_entropy", smoothing = 0.1 } its smoothed labels. Not in it: dropout and weight decay that fade, four waves of the learning
rate, a shorter memory of squared gradients, biases and scales that start from data, and the epoch that was best on watched rows.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from kit.space import Choice, Real, Whole
from kit.zoo._inputs import LARGE, Categories, Inputs

_SMALL = 9  # codes of a column, missing among them, up to which it is one-hot
_RATES = {"factor": 6.0, "weight": 1.0, "bias": 0.1, "activation": 0.1, "waves": 0.1}  # of learning, as in the paper
_UNIT = 5.0  # weights are kept in such units: lr 0.008 and weight decay 0.1 of the loop then are the paper's 0.04 and 0.02
_SPREAD = 0.1  # deviation of the waves' frequencies at the start
_ACTIVATIONS = {"selu": nn.functional.selu, "mish": nn.functional.mish}


class Realmlp(nn.Module):
    space = {
        "width": Whole(32, 512, log=True), "layers": Whole(1, 4), "dropout": Real(0.0, 0.5), "frequencies": Whole(4, 48, log=True), "activation": Choice(("selu", "mish")),
    }  # fmt: skip
    usual_lr = 8e-3
    SMALL = {"members": 2, "width": 64, "layers": 2}

    def __init__(
        self,
        inputs: Inputs,
        *,
        members: int = 4,
        width: int = 256,
        layers: int = 3,
        dropout: float = 0.15,
        activation: Literal["selu", "mish"] = "selu",
        frequencies: int = 16,
        number_width: int = 4,
        category_width: int = 8,
        ngram_width: int = 32,
    ):
        """
        members         perceptrons side by side (in the paper 1); they share only the embeddings of numbers, large categories and n-grams
        width           of each layer
        layers          hidden ones
        dropout         0..1, share of a layer's outputs that a training step leaves out
        activation      in the paper selu for classes and mish for numbers
        frequencies     of a number's waves
        number_width    of a number's embedding, the number itself among it; 1 is the number alone
        category_width  of the embedding of a category of a column with more than 8
        ngram_width     of an n-gram's embedding
        """
        super().__init__()
        self.members = members
        self.given = _Given(inputs, frequencies, number_width, category_width, ngram_width)
        self.factor = _Learned(torch.ones(members, self.given.width), _RATES["factor"])
        blocks, size = [], self.given.width
        for _ in range(layers):
            blocks += [_Linear(members, size, width), _Partly(members, width, activation), nn.Dropout(dropout)]
            size = width
        self.hidden = nn.Sequential(*blocks, _Linear(members, size, inputs.outputs))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs), or of several members (n, members, outputs)"""
        x = self.given(batch) * self.factor()[:, None]  # (members, n, width)
        found = self.hidden(x)
        return found[0] if self.members == 1 else found.transpose(0, 1)


class _Learned(nn.Module):
    """A tensor that learns at `rate` times the learning rate, since it is kept divided by it: an optimiser like Adam takes
    steps of the same length whatever the gradient's scale. Weight decay is for what keeps its dimensions."""

    def __init__(self, start: Tensor, rate: float, *, decays: bool = False):
        super().__init__()
        self.scale, self.shape = rate * _UNIT, start.shape
        kept = start / self.scale
        self.kept = nn.Parameter(kept if decays else kept.flatten())

    def forward(self) -> Tensor:
        return self.kept.view(self.shape) * self.scale


class _Linear(nn.Module):
    """W x / sqrt(inputs) + b, for each member its own, both from the standard normal distribution: (members, n, inputs) to (members, n, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int):
        super().__init__()
        self.norm = inputs**-0.5
        self.weight = _Learned(torch.randn(members, inputs, outputs), _RATES["weight"], decays=True)
        self.bias = _Learned(torch.randn(members, outputs), _RATES["bias"])

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias()[:, None], x, self.weight() * self.norm)


class _Partly(nn.Module):
    """x + a (f(x) - x), with a learned share a of the activation f for each neuron, 1 at the start."""

    def __init__(self, members: int, width: int, activation: str):
        super().__init__()
        self.activation = _ACTIVATIONS[activation]
        self.share = _Learned(torch.ones(members, width), _RATES["activation"])

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(x), self.share()[:, None])


class _Given(nn.Module):
    """Numbers with their waves, small categories one-hot, embeddings of large ones, and the sum of those of n-grams: (n, width)."""

    def __init__(self, inputs: Inputs, frequencies: int, number_width: int, category_width: int, ngram_width: int):
        super().__init__()
        self.dense = inputs.dense
        self.width = inputs.dense * number_width
        self.waves = _Waves(inputs.dense, frequencies, number_width - 1) if inputs.dense and number_width > 1 else None
        small = [n for n, size in enumerate(inputs.sizes) if size <= _SMALL]
        large = [n for n, size in enumerate(inputs.sizes) if size > _SMALL]
        self.one_hot = _OneHot(inputs.sizes, small) if small else None
        self.width += self.one_hot.width if small else 0
        self.register_buffer("large", torch.tensor(large), persistent=False)
        self.categories = Categories(tuple(inputs.sizes[n] for n in large), category_width) if large else None
        self.category_norm = category_width**0.5  # the table's entries are this much smaller than normal ones
        self.width += len(large) * category_width
        self.ngrams = nn.EmbeddingBag(inputs.sparse, ngram_width, mode="sum", sparse=inputs.sparse > LARGE) if inputs.sparse else None
        self.width += ngram_width if inputs.sparse else 0
        assert self.width, "a network needs at least one column"

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        dense, codes = batch["dense"], batch["codes"]
        parts = [dense]
        if self.waves is not None:
            parts.append(self.waves(dense))
        if self.one_hot is not None:
            parts.append(self.one_hot(codes, dense.dtype))
        if self.categories is not None:
            parts.append(self.categories(codes[:, self.large]) * self.category_norm)
        if self.ngrams is not None:
            parts.append(self.ngrams(batch["bag_indices"], batch["bag_offsets"], per_sample_weights=batch["bag_weights"]))
        return torch.cat(parts, dim=1)


class _Waves(nn.Module):
    """A linear map of cos(2 pi (w x + b)) for each number, with frequencies w and phases b of its own: (n, columns) to (n, columns x width)."""

    def __init__(self, columns: int, frequencies: int, width: int):
        super().__init__()
        self.frequency = _Learned(torch.randn(columns, frequencies) * _SPREAD, _RATES["waves"])
        self.phase = _Learned(torch.rand(columns, frequencies) - 0.5, _RATES["waves"])
        bound = frequencies**-0.5
        self.weight = _Learned(torch.empty(columns, frequencies, width).uniform_(-bound, bound), _RATES["waves"])
        self.bias = _Learned(torch.empty(columns, width).uniform_(-bound, bound), _RATES["waves"])

    def forward(self, x: Tensor) -> Tensor:
        turns = x[:, :, None] * self.frequency() + self.phase()  # (n, columns, frequencies)
        return (torch.einsum("ncf,cfw->ncw", torch.cos(2 * torch.pi * turns), self.weight()) + self.bias()).flatten(1)


class _OneHot(nn.Module):
    """A number for each code of the columns, 1 where it is the row's and 0 elsewhere, so that code 0 is all zeros; one number, -1 or 1, for a column of two."""

    def __init__(self, sizes: tuple[int, ...], columns: list[int]):
        super().__init__()
        told = [(n, code, -1) for n in columns if sizes[n] != 3 for code in range(1, sizes[n])] + [(n, 2, 1) for n in columns if sizes[n] == 3]
        column, code, opposite = torch.tensor(told).T if told else torch.empty(3, 0, dtype=torch.int64)
        self.width = len(told)
        self.register_buffer("column", column, persistent=False)
        self.register_buffer("code", code, persistent=False)
        self.register_buffer("opposite", opposite, persistent=False)

    def forward(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        own = codes[:, self.column]  # (n, width)
        return (own == self.code).to(dtype) - (own == self.opposite).to(dtype)

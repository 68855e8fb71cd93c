"""Learns what is hidden from what is around it: hidden words of a text, told by the network that reads the rest.

The network's own pooling and head have no part in it: what learns is its body, from which a later run starts.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kit.errors import ConfigError
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Supervised
from kit.zoo._unlabelled import learned, plan_of
from kit.zoo._views import TextViews

_AS_MASK, _AS_ANOTHER = 0.8, 0.1  # of the chosen tokens, as in Devlin et al. 2019, section 3.1; the rest stay as they are


class Guessing(nn.Module):
    """A network, and what tells a hidden token from the last layer's output in its place: as BERT's head, with the embeddings' own table."""

    def __init__(self, network: nn.Module, vocabulary: int):
        super().__init__()
        self.network = network
        table = network.body.get_input_embeddings()
        wide, inner = network.body.config.hidden_size, table.weight.shape[1]
        self.change = nn.Sequential(nn.Linear(wide, inner), nn.GELU(), nn.LayerNorm(inner))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, batch: dict[str, Tensor], hidden: Tensor) -> Tensor:
        """(k, vocabulary) for the hidden places. hidden (n, l) bool, k of them True"""
        x, _ = self.network.places(batch)
        table = self.network.body.get_input_embeddings().weight[: len(self.bias)]
        return self.change(x[hidden]) @ table.T.to(x.dtype) + self.bias


class MaskedWords(Supervised):
    """Trains a Guessing network: the mean cross entropy of the hidden tokens."""

    def __init__(self, *given: Any, masked: int, special: tuple[int, ...], share: float):
        """
        masked   id that stands for a hidden token
        special  ids that are never hidden
        share    0..1, of the tokens that are hidden
        """
        super().__init__(*given)
        self.masked, self.special, self.share = masked, torch.tensor(special, dtype=torch.long), share

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        vocabulary = len(self.network.bias)
        tokens, hidden = concealed(batch["tokens"], batch["mask"], masked=self.masked, special=self.special, share=self.share, vocabulary=vocabulary)
        guesses = self.network({**batch, "tokens": tokens}, hidden).float()
        return cross_entropy(guesses, batch["tokens"][hidden], reduction="sum") / hidden.sum().clamp(min=1)


def concealed(tokens: Tensor, mask: Tensor, *, masked: int, special: Tensor, share: float, vocabulary: int) -> tuple[Tensor, Tensor]:
    """(tokens with some of them changed, (n, l) bool, which are to be told), by torch's random numbers.

    tokens  (n, l) int64
    mask    (n, l) bool, True where a token is
    """
    chance, change = torch.rand(tokens.shape, device=tokens.device), torch.rand(tokens.shape, device=tokens.device)
    hidden = (chance < share) & mask & ~torch.isin(tokens, special.to(tokens.device))
    another = torch.randint(vocabulary, tokens.shape, device=tokens.device)
    changed = torch.where(change < _AS_MASK, torch.full_like(tokens, masked), torch.where(change < _AS_MASK + _AS_ANOTHER, another, tokens))
    return torch.where(hidden, changed, tokens), hidden


def masked(
    network: nn.Module,
    rows: Rows,
    ids: np.ndarray,
    setup: Any,
    looking: Looking,
    feeding: Feeding,
    checkpoints: Path,
    devices: dict[str, Any],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    share: float,
) -> list[float]:
    """Trains the network in place, and gives the mean loss of each epoch that this process trained.

    rows     with texts; targets are not looked at
    share    0..1, of the tokens that are hidden
    devices  accelerator and devices, as the training takes them
    Raises ConfigError for a network that gives no output for each token, and for a tokenizer that has no sign for a hidden one.
    """
    texts = rows.media.get("text")
    if texts is None or not hasattr(getattr(network, "body", None), "get_input_embeddings"):
        raise ConfigError('pretrain.method = "masked" hides tokens of texts from a network that has an output for each\nname one: model.name = "transformer"')
    if texts.masked < 0:
        raise ConfigError('pretrain.method = "masked": the tokenizer has no sign for a hidden token\nname an architecture that was learned with one, such as "microsoft/deberta-v3-base"')
    plan = plan_of(len(rows), epochs=epochs, batch_size=batch_size, lr=lr, seed=setup.seed, threads=setup.threads)
    both = Guessing(network, texts.vocabulary)
    special = (*texts.first, *texts.last, texts.padding)
    identity = f"{len(rows)} {plan} {looking} {feeding.precision} {texts.key} {texts.masked} {share}"
    told = {"masked": texts.masked, "special": special, "share": share}
    return learned(MaskedWords, both, rows, ids, plan, checkpoints, identity, setup.progress, devices=devices, views={"text": TextViews()}, looking=looking, feeding=feeding, **told)

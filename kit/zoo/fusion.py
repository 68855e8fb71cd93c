"""Many kinds of columns in one network: an encoder for each kind that is there, weighed row by row and answered together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from kit.errors import KitError
from kit.registry import check_options, find, takes_of
from kit.zoo._inputs import InputLayer, Inputs

_USUAL = {"image": "timm", "text": "text_cnn", "audio": "spectrogram"}  # the encoder of a kind, where none is named


class Fusion(nn.Module):
    takes = ("image", "text", "audio")
    optional = True  # a row is answered from what it has
    usual_lr = 5e-4
    SMALL = {  # what tests of every network ask for
        "width": 16,
        "image": {"name": "convnet", "width": 8, "blocks": 2},
        "text": {"name": "text_cnn", "embedding": 16, "channels": 16},
        "audio": {"name": "audio_cnn", "width": 8, "blocks": 2, "mels": 16, "hop_ms": 20.0},
    }

    def __init__(
        self,
        inputs: Inputs,
        *,
        image: dict[str, Any] = {},
        text: dict[str, Any] = {},
        audio: dict[str, Any] = {},
        width: int = 256,
        drop_kinds: float = 0.1,
        dropout: float = 0.2,
        category_width: int = 8,
    ):
        """
        image, text, audio  the encoder of this kind of column: `name` of a network of the zoo (timm, text_cnn and spectrogram where it is not
                            given), and that network's own options
        width               of what is made of each kind
        drop_kinds          0..1, share of a training step's rows for which a kind is taken as missing (Neverova et al. 2016, section 3.3)
        dropout             0..1, share of the last hidden layer that a training step leaves out
        category_width      of a category's embedding

        What stands for a missing picture, text or sound is learned.
        """
        super().__init__()
        self.drop_kinds = drop_kinds
        there = {"image": inputs.side, "text": inputs.vocabulary, "audio": inputs.rate}
        alone = replace(inputs, dense=0, sizes=(), sparse=0, outputs=0)
        self.encoders = nn.ModuleDict()
        for kind, given in (("image", image), ("text", text), ("audio", audio)):
            if there[kind]:
                part, options = _encoder(kind, given)
                self.encoders[kind] = part(alone, **options)
        self.table = None
        if inputs.dense or inputs.sizes or inputs.sparse:
            first = InputLayer(inputs, numbers="piecewise", bins=16, number_width=4, category_width=category_width, ngram_width=64)
            self.table = nn.Sequential(first, nn.Linear(first.width, 2 * width), nn.GELU(), nn.Dropout(dropout))
        widths = {kind: encoder.width for kind, encoder in self.encoders.items()} | ({"table": 2 * width} if self.table is not None else {})
        self.projections = nn.ModuleDict({kind: nn.Sequential(nn.Linear(wide, width), nn.LayerNorm(width), nn.GELU()) for kind, wide in widths.items()})
        self.missing = nn.ParameterDict({kind: nn.Parameter(torch.zeros(width)) for kind in self.encoders})
        self.weigh = nn.Linear(width * len(widths), len(widths))
        nn.init.zeros_(self.weigh.weight)  # all kinds count alike until something else is learned
        nn.init.zeros_(self.weigh.bias)
        self.hidden = nn.Linear(width * len(widths), width)
        self.drop, self.width = nn.Dropout(dropout), width
        self.last = nn.Linear(width, inputs.outputs) if inputs.outputs else nn.Identity()

    @staticmethod
    def tokenizer_for(*, text: dict[str, Any] = {}, **others: Any) -> str:
        part, options = _encoder("text", text)
        return part.tokenizer_for(**options) if hasattr(part, "tokenizer_for") else ""

    @staticmethod
    def problems_of(*, image: dict[str, Any] = {}, text: dict[str, Any] = {}, audio: dict[str, Any] = {}, **others: Any) -> list[str]:
        """What is wrong with the options of the encoders, as sentences."""
        problems = []
        for kind, given in (("image", image), ("text", text), ("audio", audio)):
            if not given:  # perhaps there is no such column, and its libraries need not be installed
                continue
            try:
                part, options = _encoder(kind, given)
            except KitError as error:
                problems.append(f"model.{kind}.name: {error}")
                continue
            wrong = check_options(part, options, f"model.{kind}")
            if not wrong and hasattr(part, "problems_of"):
                wrong = [problem.replace("model.", f"model.{kind}.") for problem in part.problems_of(**options)]
            problems += wrong
            if kind not in takes_of(part, options):
                problems.append(f'model.{kind}.name = "{given.get("name", _USUAL[kind])}" is no network for columns of kind {kind}')
        return problems

    def keep(self, folder: Path) -> None:
        """Writes what rebuilding the encoders needs besides their options."""
        for kind, encoder in self.encoders.items():
            if hasattr(encoder, "keep"):
                encoder.keep(folder / kind)

    @staticmethod
    def kept(options: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The options of the network that `keep` wrote of."""
        found = dict(options)
        for path in folder.iterdir():
            part, given = _encoder(path.name, options.get(path.name, {}))
            found[path.name] = {"name": options[path.name].get("name", _USUAL[path.name]), **part.kept(given, path)}
        return found

    def start(self) -> None:
        """Fills in the pretrained weights of those encoders that have any; called once, before training."""
        for encoder in self.encoders.values():
            if hasattr(encoder, "start"):
                encoder.start()

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the stem of each encoder; all that is not an encoder is at the top."""
        found = {}
        for kind, encoder in self.encoders.items():
            layers = encoder.layers() if hasattr(encoder, "layers") else {name: 0 for name, _ in encoder.named_parameters()}
            top = max(layers.values(), default=0)
            found |= {f"encoders.{kind}.{name}": layer - top for name, layer in layers.items()}
        lowest = min(found.values(), default=0)
        found = {name: layer - lowest for name, layer in found.items()}
        return found | dict.fromkeys(self.head(), 1 - lowest)

    def head(self) -> set[str]:
        """The parameters that are never pretrained."""
        return {name for name, _ in self.named_parameters() if not name.startswith("encoders.")}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        found = {kind: self.projections[kind](encoder.features(batch)) for kind, encoder in self.encoders.items()}
        if found:
            kept = self._kept(batch)  # (n, kinds)
            found = {kind: torch.where(kept[:, n, None], x, self.missing[kind].to(x.dtype)) for n, (kind, x) in enumerate(found.items())}
        if self.table is not None:
            found["table"] = self.projections["table"](self.table(batch))
        shares = self.weigh(torch.cat(list(found.values()), dim=1)).softmax(dim=1) * len(found)  # (n, kinds), 1 on average
        return gelu(self.hidden(torch.cat([shares[:, n, None] * x for n, x in enumerate(found.values())], dim=1)))

    def _kept(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, kinds) bool: what is there, less what this training step drops; a row never loses all of it."""
        there = torch.stack([batch[f"{kind}_there"] for kind in self.encoders], dim=1)
        if not self.training or not self.drop_kinds:
            return there
        kept = there & (torch.rand(there.shape, device="cpu").to(there.device) >= self.drop_kinds)
        return torch.where(kept.any(dim=1, keepdim=True), kept, there)


def _encoder(kind: str, given: dict[str, Any]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The network that reads columns of this kind, and its options."""
    return find("zoo", given.get("name", _USUAL[kind])), {k: v for k, v in given.items() if k != "name"}

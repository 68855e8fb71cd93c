"""Any encoder of Hugging Face by name, from a folder or from a package, pooled: the usual start for texts, and one for sounds."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from kit import huggingface
from kit.errors import ConfigError
from kit.files import write_json
from kit.zoo._beside import Beside
from kit.zoo._inputs import Inputs
from kit.zoo._waveforms import Heard, heard_by

_USUAL = "microsoft/deberta-v3-base"
_BLOCK = re.compile(r"(?:^|\.)(?:layer|layers|h|block|blocks)\.(\d+)\.")


class Transformer(nn.Module):
    takes = ("text",)
    usual_lr = 5e-5
    SMALL = {"architecture": "bert", "weights": "none", "width": 32, "blocks": 2, "heads": 2}  # what tests of every network ask for

    def __init__(
        self,
        inputs: Inputs,
        *,
        architecture: str = _USUAL,
        weights: str = "hub",
        reads: Literal["text", "audio"] = "text",
        pooling: Literal["mean", "cls", "attention"] = "mean",
        dropout: float = 0.1,
        width: int = 0,
        blocks: int = 4,
        heads: int = 4,
    ):
        """
        architecture  a name on the hub, a folder as save_pretrained writes it, "package", or with a width a kind, such as "bert"
        weights       "hub" (the architecture's own, fetched once, then kept; a folder's own), "package" (installed with pip), "none", a folder,
                      or a file: of `kit pretrain`, or another run's model.safetensors
        reads         the kind of column: text as tokens, audio as waves or log-mel spectra, whichever the architecture takes
        pooling       of the last layer's outputs: their mean, that of the first token, or a mean whose weights are learned
        dropout       0..1, share of the pooled features that a training step leaves out
        width         of a new architecture, for weights "none"; 0 keeps the sizes that the architecture has
        blocks        of a new architecture
        heads         of its attention; they divide the width
        """
        super().__init__()
        self.architecture, self.weights, self.pooling = architecture, weights, pooling
        self.made = bool(width)
        if width:
            config = _made(inputs, architecture, weights, reads, width, blocks, heads)
        else:
            config = huggingface.config(huggingface.source(architecture, weights))
        self.body = huggingface.create(config)
        self.hears: Heard | None = heard_by(config, inputs) if reads == "audio" else None
        if reads == "text":
            _check_reads(config, architecture, inputs)
        self.told = int(getattr(config, "type_vocab_size", 0) or 0)  # kinds of segments that it tells apart
        inner = config.hidden_size
        self.asked = nn.Sequential(nn.Linear(inner, inner), nn.Tanh(), nn.Linear(inner, 1)) if pooling == "attention" else None
        self.beside = Beside(inputs)
        self.drop = nn.Dropout(dropout)
        self.width = inner + self.beside.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    @staticmethod
    def takes_for(*, reads: str = "text", **options: Any) -> tuple[str, ...]:
        """The column kinds that a network with these options takes."""
        return (reads,)

    @staticmethod
    def problems_of(*, architecture: str = _USUAL, reads: str = "text", **options: Any) -> list[str]:
        """What is wrong with the options, as sentences."""
        if reads != "audio" or architecture != _USUAL:
            return []
        return [
            f'model.reads = "audio": model.architecture = "{architecture}" reads texts\n'
            'name one like AST, wav2vec2, HuBERT or WavLM, such as model.architecture = "MIT/ast-finetuned-audioset-10-10-0.4593", or a folder'
        ]

    @staticmethod
    def tokenizer_for(*, architecture: str = _USUAL, weights: str = "hub", reads: str = "text", width: int = 0, **options: Any) -> str:
        """Where the tokenizer of a network with these options is read from; "" where it is learned from the training rows."""
        if reads != "text":
            return ""
        if weights.endswith(".safetensors") and huggingface.kept_tokenizer(Path(weights).parent):
            return str(Path(weights).parent)  # weights and tokens belong together
        return "" if width else huggingface.source(architecture, weights)

    @staticmethod
    def lr_for(*, weights: str = "hub", width: int = 0, **options: Any) -> float:
        """The usual lr: what has learned already is changed in small steps, the smaller the more it has learned."""
        return 1e-3 if weights == "none" else 5e-4 if width else Transformer.usual_lr

    def keep(self, folder: Path) -> None:
        """Writes what rebuilding this network needs besides its options: the checkpoint's sizes, so that no hub is asked again."""
        if not self.made:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "config.json", json.loads(self.body.config.to_json_string(use_diff=False)))

    @staticmethod
    def kept(options: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The options of the network that `keep` wrote of."""
        return options if options.get("width") else {**options, "architecture": str(folder), "weights": "hub"}

    def start(self) -> None:
        """Fills in the pretrained weights; called once, before training."""
        huggingface.load(self.body, self.architecture, self.weights)

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer: 0 are the embeddings, 1 the first block; what pools and answers lies above all blocks."""
        blocks = {name: int(found[1]) + 1 for name, _ in self.body.named_parameters() if (found := _BLOCK.search(name))}
        top = max(blocks.values(), default=0) + 1
        names, layers, begun = [name for name, _ in self.body.named_parameters()], {}, False
        for name in names:
            begun = begun or name in blocks
            layers[f"body.{name}"] = blocks.get(name, top if begun and "embed" not in name else 0)
        return layers | dict.fromkeys(self.head(), top)

    def head(self) -> set[str]:
        """The parameters that are never pretrained."""
        return {name for name, _ in self.named_parameters() if not name.startswith("body.")}

    def top(self) -> nn.Module:
        """The module that makes the outputs of the pooled features."""
        return self.last

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        x, mask = self.places(batch)
        if self.pooling == "cls":
            pooled = x[:, 0]
        else:
            weight = mask.to(x.dtype)
            if self.asked is not None:
                score = self.asked(x)[..., 0].float().masked_fill(~mask, float("-inf"))
                weight = score.softmax(dim=1).to(x.dtype)
            pooled = (x * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
        return self.beside(pooled, batch)

    def places(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """((n, l, width) outputs of the last layer, (n, l) bool, which of them are of a token or of sound): at least one of each row."""
        if self.hears is not None:
            return self.hears(self.body, batch)
        mask = batch["mask"].clone()
        mask[:, 0] |= ~mask.any(dim=1)  # of a row without any token the padding is looked at: a mean over nothing is no number
        kinds = {"token_type_ids": batch["segments"].clamp(max=self.told - 1)} if self.told > 1 else {}
        return self.body(input_ids=batch["tokens"], attention_mask=mask.long(), **kinds).last_hidden_state, mask


def _made(inputs: Inputs, kind: str, weights: str, reads: str, width: int, blocks: int, heads: int) -> Any:
    """The config of a new architecture."""
    if weights in ("hub", "package"):
        raise ConfigError(f'model.weights = "{weights}": an architecture of model.width = {width} is nobody\'s\nset model.weights = "none", or name a file')
    if reads != "text":
        raise ConfigError('model.width makes an architecture for texts anew\nfor model.reads = "audio" name an architecture, or a folder with its config')
    if width % heads:
        raise ConfigError(f"model.heads = {heads} does not divide model.width = {width}")
    same = {"vocab_size": inputs.vocabulary, "max_position_embeddings": max(inputs.longest, 16) + 2, "pad_token_id": 0}
    return huggingface.made(kind, hidden_size=width, num_hidden_layers=blocks, num_attention_heads=heads, intermediate_size=4 * width, **same)


def _check_reads(config: Any, architecture: str, inputs: Inputs) -> None:
    """Raises ConfigError for an architecture that has no embedding for some token, or none for some place."""
    known = getattr(config, "vocab_size", 0)
    if known < inputs.vocabulary:
        raise ConfigError(
            f'model.architecture = "{architecture}" knows {known} tokens, and the texts have {inputs.vocabulary}\n'
            "its folder lacks the tokenizer that its weights were learned with"
        )
    huggingface.check_places(config, architecture, inputs.longest)

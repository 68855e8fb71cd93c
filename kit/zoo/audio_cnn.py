"""A small ConvNet on mel spectrograms, the baseline for sounds: blocks of two 3x3 convolutions, each halving the spectrogram."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kit import weights as files
from kit.zoo._beside import Beside
from kit.zoo._inputs import Inputs
from kit.zoo._sounding import OverTime, Pooling, Sounding
from kit.zoo.convnet import conv


class AudioCnn(Sounding):
    usual_lr = 3e-3
    SMALL = {"width": 8, "blocks": 2, "mels": 16, "hop_ms": 20.0}  # what tests of every network ask for

    def __init__(
        self,
        inputs: Inputs,
        *,
        width: int = 32,
        blocks: int = 4,
        growth: float = 2.0,
        pooling: Pooling = "both",
        dropout: float = 0.3,
        weights: str = "none",
        mels: int = 64,
        hop_ms: float = 20.0,
        **options: Any,
    ):
        """
        width    channels of the first block
        blocks   each halves bands and frames
        growth   of the channels from block to block
        pooling  over the time of a clip
        dropout  0..1, share of the pooled features that a training step leaves out
        weights  "none", or a file: of `kit pretrain`, or another run's model.safetensors
        mels     bands
        hop_ms   from one frame to the next
        options  how spectrograms are made and masked
        """
        super().__init__(inputs, mels=mels, hop_ms=hop_ms, **options)
        self.weights = weights
        self.bands = nn.BatchNorm1d(mels)
        layers, channels = [], 1
        for block in range(blocks):
            wide = round(width * growth**block)
            layers += [*conv(channels, wide), *conv(wide, wide), nn.AvgPool2d(2, ceil_mode=True)]
            channels = wide
        self.body = nn.Sequential(*layers)
        self.pool = OverTime(channels, pooling)
        self.beside = Beside(inputs)
        self.drop = nn.Dropout(dropout)
        self.width = self.pool.width + self.beside.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def start(self) -> None:
        if self.weights != "none":
            for part, own in (("body", self.body), ("bands", self.bands)):  # what the body has learned from are bands as that norm gives them
                files.fill(own, files.read(Path(self.weights), part), self.weights)

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the input."""
        places = {place: n for n, place in enumerate(dict.fromkeys(name.rsplit(".", 1)[0] for name, _ in self.body.named_parameters()))}
        found = {f"body.{name}": places[name.rsplit(".", 1)[0]] for name, _ in self.body.named_parameters()}
        return dict.fromkeys((name for name, _ in self.bands.named_parameters("bands")), 0) | found | dict.fromkeys(self.head(), len(places))

    def head(self) -> set[str]:
        """The parameters that are never pretrained."""
        return {name for name, _ in self.named_parameters() if not name.startswith(("body.", "bands."))}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        spectrograms, heard = self.picture(batch)
        return self.beside(self.pool(self.maps(spectrograms), heard), batch)

    def maps(self, spectrograms: Tensor) -> Tensor:
        """(n, mels, frames) -> (n, channels, mels', time)"""
        return self.body(self.bands(spectrograms)[:, None])

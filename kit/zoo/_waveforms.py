"""Sounds as Hugging Face's audio encoders take them: waves of mean 0 and deviation 1, or the log-mel filter banks of Kaldi."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from kit.errors import ConfigError
from kit.zoo._inputs import Inputs

_RATE = 16_000  # samples a second, of all these encoders
_FRAME_MS = 10  # from one frame of filter banks to the next
_SPECTRA = ("audio-spectrogram-transformer",)
_MEAN, _DEVIATION = -4.2677393, 4.5689974  # of AudioSet's filter banks, as ASTFeatureExtractor has them


class Heard(nn.Module):
    """(encoder, batch) -> ((n, l, width) its outputs, (n, l) bool, which are of sound)."""


def heard_by(config: Any, inputs: Inputs) -> Heard:
    """How the architecture is given sounds. Raises ConfigError for one that takes none, for sounds of another rate, and for more than it hears at once."""
    if inputs.rate != _RATE:
        raise ConfigError(f"encoders.audio.rate = {inputs.rate}: this network hears {_RATE} samples a second\nset encoders.audio.rate = {_RATE}")
    if config.model_type in _SPECTRA:
        most = config.max_length * _FRAME_MS / 1000
        if inputs.seconds > most + 1e-9:
            raise ConfigError(
                f"augment.audio.seconds = {inputs.seconds:g}: this network hears {most:g} seconds at once ({config.max_length} frames of {_FRAME_MS} ms)\n"
                f"set augment.audio.seconds = {most:g} or less: prediction hears longer clips window by window"
            )
        return _Spectra(config)
    if hasattr(config, "conv_stride"):
        config.apply_spec_augment = False  # its random numbers are numpy's, which no seed of the training reaches
        return _Waves()
    raise ConfigError(f'an architecture of kind "{config.model_type}" takes no sounds as this network makes them\nname one like AST, wav2vec2, HuBERT or WavLM')


class _Waves(Heard):
    def forward(self, encoder: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        sound, length = batch["sound"], batch["sound_length"].clamp(min=1)
        real = (torch.arange(sound.shape[1], device=sound.device) < length[:, None]).to(sound.dtype)
        mean = (sound * real).sum(dim=1, keepdim=True) / length[:, None]
        square = ((sound - mean).square() * real).sum(dim=1, keepdim=True) / length[:, None]
        x = encoder((sound - mean) * real / (square + 1e-7).sqrt(), attention_mask=real.long()).last_hidden_state
        held = encoder._get_feat_extract_output_lengths(length).clamp(min=1, max=x.shape[1])
        return x, torch.arange(x.shape[1], device=x.device) < held[:, None]


class _Spectra(Heard):
    """Frames of silence stand behind a shorter sound, as in the encoder's training: all patches are of sound."""

    def __init__(self, config: Any):
        super().__init__()
        self.frames = config.max_length
        self.banks = FilterBanks(config.num_mel_bins)

    def forward(self, encoder: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        banks = self.banks(batch["sound"])[:, : self.frames]
        held = self.banks.frames(batch["sound_length"].clamp(max=batch["sound"].shape[1]))
        banks = banks * (torch.arange(banks.shape[1], device=banks.device) < held[:, None])[..., None]
        banks = nn.functional.pad(banks, (0, 0, 0, self.frames - banks.shape[1]))
        x = encoder((banks - _MEAN) / (2 * _DEVIATION)).last_hidden_state
        return x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)


class FilterBanks(nn.Module):
    """Kaldi's log-mel filter banks: (n, samples) in -1..1 at 16 kHz to (n, frames, mels), frames of 25 ms every 10 ms.

    As ASTFeatureExtractor computes them: mean taken off each frame, pre-emphasis 0.97, Hann window, 512-point power spectrum,
    triangles on Kaldi's mel scale from 20 Hz to 8 kHz, natural logarithm.
    """

    def __init__(self, mels: int):
        super().__init__()
        self.length, self.hop, self.points = 400, 160, 512
        self.register_buffer("window", torch.hann_window(self.length, periodic=False), persistent=False)
        self.register_buffer("triangles", _triangles(mels, self.points), persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """Whole frames in so many samples."""
        return ((samples - self.length).div(self.hop, rounding_mode="floor") + 1).clamp(min=0)

    def forward(self, sound: Tensor) -> Tensor:
        with torch.autocast(sound.device.type, enabled=False):  # the range of a power spectrum is beyond 16-bit floats
            sound = nn.functional.pad(sound.float(), (0, max(self.length - sound.shape[1], 0)))
            frames = sound.unfold(1, self.length, self.hop)  # (n, frames, 400)
            frames = frames - frames.mean(dim=2, keepdim=True)
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
            power = torch.fft.rfft((frames - 0.97 * before) * self.window, self.points).abs().square()
            return (power @ self.triangles).clamp(min=torch.finfo(torch.float32).eps).log()


def _triangles(mels: int, points: int) -> Tensor:
    """(points / 2 + 1, mels)"""
    scale = lambda hertz: 1127.0 * math.log(1.0 + hertz / 700.0)  # noqa: E731
    edges = torch.linspace(scale(20.0), scale(_RATE / 2), mels + 2, dtype=torch.float64)
    bins = 1127.0 * torch.log(1.0 + torch.arange(points // 2 + 1, dtype=torch.float64) * (_RATE / points) / 700.0)[:, None]
    rising, falling = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()

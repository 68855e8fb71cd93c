"""What every network that hears has: a batch of sounds as spectrograms, masked in training, and pooling over time that knows where a clip ends.

Networks of spectrograms subclass Sounding and pass their options on to it.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from kit.errors import ConfigError, bullets
from kit.zoo._inputs import Inputs
from kit.zoo._spectra import LogMel, Pcen

Pooling = Literal["mean", "max", "both", "attention"]
_SILENCE_DB = -99.0  # the least that LogMel gives is -100
_PCEN_WHITE = 6.0  # what counts as loudest: sounds of speech reach it, few go beyond


class Sounding(nn.Module):
    takes = ("audio",)

    def __init__(
        self,
        inputs: Inputs,
        *,
        scale: Literal["log", "pcen"] = "log",
        mels: int = 128,
        window_ms: float = 40.0,
        hop_ms: float = 10.0,
        low_hz: float = 50.0,
        high_hz: float = 0.0,
        range_db: float = 80.0,
        fill: Literal["silence", "repeat"] = "silence",
        time_masks: int = 2,
        time_mask: float = 0.15,
        mel_masks: int = 2,
        mel_mask: float = 0.15,
    ):
        """
        scale       of what is heard: decibels below the sound's own loudest place, or per-channel energy normalisation
        mels        bands
        window_ms   that a frame sees
        hop_ms      from one frame to the next
        low_hz      the lowest band's lower end
        high_hz     the highest band's upper end; 0 is half the rate
        range_db    of decibels, below which there is silence
        fill        behind a clip that is shorter than what is heard at once: silence, or the clip again and again
        time_masks  parts of the time that training hides, each up to `time_mask` (0..1) of the clip (Park et al. 2019, without warping)
        mel_masks   parts of the bands that training hides, each up to `mel_mask` (0..1) of them

        Raises ConfigError with all values that are out of range.
        """
        super().__init__()
        assert inputs.rate, "this network hears sounds"
        problems = _problems(inputs.rate, mels, window_ms, hop_ms, low_hz, high_hz, range_db, time_mask, mel_mask)
        if problems:
            raise ConfigError(bullets(problems))
        seen = {"mels": mels, "window_ms": window_ms, "hop_ms": hop_ms, "low_hz": low_hz, "high_hz": high_hz}
        self.spectra = LogMel(inputs.rate, **seen, range_db=0.0) if scale == "log" else Pcen(inputs.rate, **seen)
        self.scale, self.range_db, self.fill = scale, range_db, fill
        self.masks = (time_masks, time_mask), (mel_masks, mel_mask)

    def picture(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(spectrograms (n, mels, frames) float32 in 0..1, lowest band first, 0 is silence; heard (n, frames) bool: frames of the clip itself)"""
        sound, length = batch["sound"], batch["sound_length"].clamp(min=1)
        if self.fill == "repeat":
            places = torch.arange(sound.shape[1], device=sound.device) % length[:, None]
            sound, length = sound.gather(1, places), torch.full_like(length, sound.shape[1])
        with torch.no_grad():
            found = self.spectra(sound)
            if self.scale == "log":
                loudest = found.amax(dim=(1, 2), keepdim=True)
                found = (1 + (found - loudest) / self.range_db).clamp(min=0) * (loudest > _SILENCE_DB)
            else:
                found = (found / _PCEN_WHITE).clamp(max=1)
        frames = torch.arange(found.shape[2], device=sound.device)
        heard = frames < self.spectra.power.frames(length)[:, None]
        found = found * heard[:, None]  # the last frames reach beyond the clip
        return (self._masked(found, heard) if self.training else found), heard

    def _masked(self, found: Tensor, heard: Tensor) -> Tensor:
        (time_masks, time_mask), (mel_masks, mel_mask) = self.masks
        n, mels, frames = found.shape
        hidden = _stripes(n, frames, heard.sum(dim=1), time_masks, time_mask)[:, None, :]
        hidden = hidden | _stripes(n, mels, torch.full((n,), mels, device=found.device), mel_masks, mel_mask)[:, :, None]
        return found.masked_fill(hidden, 0.0)


def _stripes(n: int, places: int, of: Tensor, count: int, share: float) -> Tensor:
    """(n, places) bool: up to `count` stripes in the first `of` (n,) places, each at most so large a share of them.

    What is drawn comes from torch's CPU generator, the same on every kind of device.
    """
    drawn = torch.rand(2, n, count).to(of.device)
    wide = drawn[0] * share * of[:, None]
    first = drawn[1] * (of[:, None] - wide)
    at = torch.arange(places, device=of.device)[None, None] + 0.5
    return ((at >= first[..., None]) & (at < (first + wide)[..., None])).any(dim=1)


def _problems(
    rate: int, mels: int, window_ms: float, hop_ms: float, low_hz: float, high_hz: float, range_db: float, time_mask: float, mel_mask: float
) -> list[str]:
    told = {
        f"model.mels = {mels}: expected at least 8 bands": mels < 8,
        f"model.window_ms = {window_ms}: expected 2 to 1000": not 2 <= window_ms <= 1000,
        f"model.hop_ms = {hop_ms}: expected at least 1, and at most model.window_ms, or what lies between is not heard": not 1 <= hop_ms <= window_ms,
        f"model.high_hz = {high_hz}: expected at most {rate / 2:g}, half of encoders.audio.rate": high_hz > rate / 2,
        f"model.low_hz = {low_hz}: expected 0 to below model.high_hz": not 0 <= low_hz < (high_hz or rate / 2),
        f"model.range_db = {range_db}: expected 10 to 200": not 10 <= range_db <= 200,
        f"model.time_mask = {time_mask}: expected a share from 0 to 1": not 0 <= time_mask <= 1,
        f"model.mel_mask = {mel_mask}: expected a share from 0 to 1": not 0 <= mel_mask <= 1,
    }
    return [problem for problem, is_so in told.items() if is_so]


class OverTime(nn.Module):
    """What a clip is, of what its parts are: (n, channels, mels, time) and the frames heard, (n, frames) bool, to (n, width).

    Bands are averaged first. "both" is mean and greatest side by side; "attention" a mean whose weights are learned.
    """

    def __init__(self, channels: int, how: Pooling):
        super().__init__()
        self.how, self.width = how, 2 * channels if how == "both" else channels
        self.weigh = nn.Conv1d(channels, 1, 1) if how == "attention" else None

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        x = x.float().mean(dim=2)  # (n, channels, time)
        there = nn.functional.adaptive_max_pool1d(heard[:, None].float(), x.shape[2]) > 0  # (n, 1, time)
        if self.weigh is not None:
            return (x * self.weigh(x).masked_fill(~there, -torch.inf).softmax(dim=2)).sum(dim=2)
        mean = (x * there).sum(dim=2) / there.sum(dim=2)
        if self.how == "mean":
            return mean
        most = x.masked_fill(~there, -torch.inf).amax(dim=2)
        return most if self.how == "max" else torch.cat([mean, most], dim=1)

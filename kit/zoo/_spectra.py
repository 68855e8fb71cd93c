"""Spectrograms of whole batches of sounds, on the device that trains: decibels of mel bands, and their normalised energy.

All is computed in 32 bits: in 16 the powers of quiet sounds vanish.
"""

import torch
from torch import Tensor, nn

from kit import mels as scale

_IN_CACHE = 1 << 19  # samples of frames that are transformed at once on a CPU: more would not stay in its cache between the steps
_BANDS = 16  # that are summed at once: neighbours, which reach over few of the frequencies


class MelPower(nn.Module):
    """(n, samples) -> (n, mels, frames): power in mel bands, frames centred and zeros beyond both ends.

    Equal to librosa.feature.melspectrogram with pad_mode "constant": Slaney's scale, triangles of area 1.
    """

    def __init__(self, rate: int, *, mels: int, window_ms: float, hop_ms: float, low_hz: float, high_hz: float):
        """
        rate       samples a second
        window_ms  that a frame sees; its Fourier transform is of the next power of two
        high_hz    0 is half the rate
        """
        super().__init__()
        window, self.n_fft = scale.fft_size(rate, window_ms)
        self.hop = scale.hop_size(rate, hop_ms)
        self.register_buffer("window", torch.from_numpy(scale.hann(window, self.n_fft)), persistent=False)
        whole = torch.from_numpy(scale.filters(rate, self.n_fft, mels, low_hz, high_hz)).repeat_interleave(2, dim=1)  # for real and imaginary parts
        self.reach = []
        for n, some in enumerate(whole.split(_BANDS)):
            heard = some.any(dim=0).nonzero().flatten().tolist() or [0]
            self.reach.append((heard[0], heard[-1] + 1))
            self.register_buffer(f"filters_{n}", some[:, heard[0] : heard[-1] + 1].contiguous(), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        with torch.autocast(sound.device.type, enabled=False):
            padded = nn.functional.pad(sound.float(), (self.n_fft // 2, self.n_fft // 2))
            frames = padded.unfold(1, self.n_fft, self.hop)  # (n, frames, n_fft), a view
            if sound.device.type != "cpu":
                return self._power(frames)
            at_once = max(1, _IN_CACHE // self.n_fft)
            rows = frames.split(max(1, at_once // frames.shape[1]))
            return torch.cat([torch.cat([self._power(part) for part in some.split(at_once, dim=1)], dim=2) for some in rows])

    def _power(self, frames: Tensor) -> Tensor:
        """(n, mels, frames)"""
        squares = torch.view_as_real(torch.fft.rfft(frames * self.window)).flatten(2).square_()  # (n, frames, 2 x bins)
        filters = (getattr(self, f"filters_{n}") for n in range(len(self.reach)))
        return torch.cat([some @ squares[..., first:last].transpose(1, 2) for some, (first, last) in zip(filters, self.reach)], dim=1)

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames are centred within so many samples: at least one."""
        return samples.div(self.hop, rounding_mode="floor") + 1


class LogMel(nn.Module):
    """(n, samples) -> (n, mels, frames) in dB: librosa.power_to_db of its melspectrogram, with ref=1.

    range_db  what is further below a sound's own loudest place is lifted to that; 0 lifts nothing
    """

    def __init__(
        self,
        rate: int,
        *,
        mels: int = 128,
        window_ms: float = 40.0,
        hop_ms: float = 10.0,
        low_hz: float = 20.0,
        high_hz: float = 0.0,
        range_db: float = 80.0,
        least_power: float = 1e-10,
    ):
        super().__init__()
        self.power = MelPower(rate, mels=mels, window_ms=window_ms, hop_ms=hop_ms, low_hz=low_hz, high_hz=high_hz)
        self.range_db, self.least_power = range_db, least_power

    def forward(self, sound: Tensor) -> Tensor:
        decibels = 10 * self.power(sound).clamp(min=self.least_power).log10()
        if not self.range_db:
            return decibels
        return decibels.maximum(decibels.amax(dim=(1, 2), keepdim=True) - self.range_db)


class Pcen(nn.Module):
    """(n, samples) -> (n, mels, frames): per-channel energy normalisation (Wang et al. 2017, equation 2), which steady noise falls out of.

    As librosa.pcen on its melspectrogram of sounds of 16 bits' range. A smoothed energy S divides: (E / (eps + S)^gain + bias)^power - bias^power.
    """

    def __init__(
        self,
        rate: int,
        *,
        mels: int = 128,
        window_ms: float = 40.0,
        hop_ms: float = 10.0,
        low_hz: float = 20.0,
        high_hz: float = 0.0,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        smoothing_ms: float = 400.0,
        eps: float = 1e-6,
    ):
        """smoothing_ms  time constant of the smoothed energy"""
        super().__init__()
        self.power = MelPower(rate, mels=mels, window_ms=window_ms, hop_ms=hop_ms, low_hz=low_hz, high_hz=high_hz)
        self.gain, self.bias, self.exponent, self.eps = gain, bias, power, eps
        steps = smoothing_ms / 1000 * rate / self.power.hop
        self.share = ((1 + 4 * steps**2) ** 0.5 - 1) / (2 * steps**2)  # of a new frame, as librosa has it from the time constant

    def forward(self, sound: Tensor) -> Tensor:
        energy = self.power(sound) * 2.0**31
        with torch.autocast(sound.device.type, enabled=False):
            smooth = self._smoothed(energy)
            gain = torch.exp(-self.gain * (self.eps + smooth).log())  # the quotient of two small numbers keeps its digits
            return (energy * gain + self.bias) ** self.exponent - self.bias**self.exponent

    def _smoothed(self, energy: Tensor) -> Tensor:
        """M[t] = (1 - share) M[t - 1] + share E[t] with M[-1] = 1, as librosa's filter starts (scipy.signal.lfilter_zi); in blocks of frames."""
        kept, parts = 1 - self.share, []
        before = torch.ones_like(energy[..., :1])
        for block in energy.split(256, dim=-1):
            t = torch.arange(block.shape[-1], device=energy.device, dtype=torch.float32)
            apart = t[:, None] - t  # (frames, frames)
            weights = torch.where(apart >= 0, self.share * kept ** apart.clamp(min=0), 0.0)
            parts.append(block @ weights.T + before * kept ** (t + 1))
            before = parts[-1][..., -1:]
        return torch.cat(parts, dim=-1)

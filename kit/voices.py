"""What a packaged network that tells speakers apart makes of any sound: 256 numbers, computed without a hub.

The weights are those of the package Resemblyzer (Wan et al. 2018, generalised end-to-end loss), whose own code is not run. Voices are not what
most sounds are, but what tells them apart, how a timbre moves in time, is more than the spectra's means say.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import nn

from kit.clips import Recordings
from kit.errors import ConfigError
from kit.mels import filters, hann, hop_size

RATE, MELS, WINDOW_MS, HOP_MS = 16_000, 40, 25.0, 10.0  # as the package's hparams.py has them
WIDTH = 256
_FRAMES, _STEP = 160, 80  # of a part that the network hears, and from one part to the next
_LOUDNESS_DB = -30.0  # to which every sound is brought, in dB of full scale


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, parts: torch.Tensor) -> torch.Tensor:
        """(parts, frames, mels) -> (parts, width) of length 1"""
        _, (last, _) = self.lstm(parts)
        return nn.functional.normalize(torch.relu(self.linear(last[-1])), dim=1)


def _loaded() -> _Network:
    found = importlib.util.find_spec("resemblyzer")
    path = None if found is None or not found.submodule_search_locations else Path(found.submodule_search_locations[0]) / "pretrained.pt"
    if path is None or not path.is_file():
        raise ConfigError('encoders.audio.features = "voice" needs the weights in Resemblyzer, which is not installed\npip install --no-deps Resemblyzer')
    held = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    network = _Network()
    network.load_state_dict({name: tensor for name, tensor in held.items() if name.split(".")[0] in ("lstm", "linear")})
    return network.eval()


@torch.inference_mode()
def frozen_voices(recordings: Recordings, *, threads: int, progress: Callable[[str], None]) -> np.ndarray:
    """(n, 256) float32: the mean over a sound's parts of 1.6 seconds, half overlapping; a shorter sound is repeated. Zeros where there is none.

    Raises ConfigError where the package is not installed.
    """
    network = _loaded()
    torch.set_num_threads(threads)
    values = np.zeros((len(recordings), WIDTH), np.float32)
    for n in np.flatnonzero(recordings.there):
        values[n] = network(torch.from_numpy(_parts(recordings[n], recordings.rate))).mean(dim=0).numpy()
        if n and n % 5000 == 0:
            progress(f"voices of {n} of {len(values)} sounds")
            recordings.release()
    recordings.release()
    return values


def _parts(sound: np.ndarray, rate: int) -> np.ndarray:
    """(parts, frames, mels) float32"""
    if rate != RATE:
        sound = soxr.resample(sound, rate, RATE, quality="HQ")
    hop = hop_size(RATE, HOP_MS)
    sound = np.resize(sound, max(len(sound), _FRAMES * hop)).astype(np.float32)
    sound = sound * np.float32(10 ** (_LOUDNESS_DB / 20) / max(float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))), 1e-5))
    n_fft = round(RATE * WINDOW_MS / 1000)  # 400, no power of two
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, n_fft // 2), n_fft)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * hann(n_fft, n_fft), axis=1))).astype(np.float32)
    heard = power @ filters(RATE, n_fft, MELS, 0.0, 0.0).T  # (frames, mels)
    return np.stack([heard[start : start + _FRAMES] for start in range(0, len(heard) - _FRAMES + 1, _STEP)])

"""Mel spectrograms of one sound in numpy, and the filters that they share with the networks' own on whole batches."""

import math
from functools import lru_cache

import numpy as np

_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3, 1000.0, math.log(6.4) / 27  # Slaney's Auditory Toolbox: linear to 1 kHz, logarithmic above
_LEAST_POWER = 1e-10


def fft_size(rate: int, window_ms: float) -> tuple[int, int]:
    """(samples of a window, samples of its Fourier transform: the next power of two)"""
    window = max(2, round(rate * window_ms / 1000))
    return window, 1 << (window - 1).bit_length()


def hop_size(rate: int, hop_ms: float) -> int:
    """Samples from one frame to the next."""
    return max(1, round(rate * hop_ms / 1000))


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    hz = np.asarray(hz, np.float64)
    above = _BREAK_HZ / _LINEAR_HZ + np.log(np.maximum(hz, 1e-9) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    mel = np.asarray(mel, np.float64)
    break_mel = _BREAK_HZ / _LINEAR_HZ
    return np.where(mel < break_mel, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel)))


@lru_cache(16)
def filters(rate: int, n_fft: int, mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """(mels, n_fft // 2 + 1) float32: triangles of equal width in mels and of area 1 in Hz, as librosa.filters.mel makes them.

    high_hz  0 is half the rate
    """
    high_hz = high_hz or rate / 2
    corners = mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), mels + 2))
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    away = corners[:, None] - bins
    wide = np.diff(corners)
    weights = np.maximum(0, np.minimum(-away[:-2] / wide[:-1, None], away[2:] / wide[1:, None]))
    return (weights * (2.0 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


def hann(window: int, n_fft: int) -> np.ndarray:
    """(n_fft,) float32: a periodic Hann window in the middle of zeros."""
    found = np.zeros(n_fft, np.float32)
    before = (n_fft - window) // 2
    found[before : before + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return found


def log_mel(
    sound: np.ndarray, rate: int, *, mels: int = 64, window_ms: float = 40.0, hop_ms: float = 20.0, low_hz: float = 50.0, high_hz: float = 0.0
) -> np.ndarray:
    """(samples,) float32 -> (mels, frames) float32 in dB of power, frames centred, zeros beyond both ends; at least -100."""
    window, n_fft = fft_size(rate, window_ms)
    padded = np.pad(sound, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: hop_size(rate, hop_ms)]
    power = np.square(np.abs(np.fft.rfft(frames * hann(window, n_fft), axis=1)))  # (frames, bins)
    heard = filters(rate, n_fft, mels, low_hz, high_hz) @ power.T.astype(np.float32)
    return 10 * np.log10(np.maximum(heard, _LEAST_POWER))

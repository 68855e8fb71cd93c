"""Log-mel spectrograms: kit's, of a batch at once in torch, beside librosa's, one sound after another.

    python benchmarks/log_mel.py [--clips 32] [--seconds 5] [--rounds 7] [--small]

The same sounds (noise that rises and falls), rate (32 kHz), windows (40 ms every 10 ms, 128 mel bands) and range (80 dB), with one thread for
both. They take turns in one process, the first round of each is not counted. Prints the seconds of sound that each turns into decibels in a
second, the median ratio of the pairs, and how far apart the decibels are.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before any library starts threads

import librosa
import numpy as np
import torch

from kit.zoo._spectra import LogMel

RATE, MELS, WINDOW_MS, HOP_MS, LOW_HZ = 32_000, 128, 40.0, 10.0, 20.0
LEAST_RATIO, MOST_APART_DB = 2.5, 1e-3


def sounds(count: int, seconds: float) -> np.ndarray:
    """(count, samples) float32"""
    random, t = np.random.default_rng(0), np.arange(round(seconds * RATE)) / RATE
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.2, 3.0, (count, 1)) * t)
    return (random.normal(scale=0.1, size=(count, len(t))) * swell).astype(np.float32)


def librosas(batch: np.ndarray) -> np.ndarray:
    form = {"sr": RATE, "n_fft": 2048, "win_length": 1280, "hop_length": 320, "n_mels": MELS, "fmin": LOW_HZ}
    return np.stack([librosa.power_to_db(librosa.feature.melspectrogram(y=sound, **form)) for sound in batch])


def timed(work: Callable, batch: np.ndarray) -> float:
    began = time.perf_counter()
    work(batch)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32, help="sounds of a batch")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--small", action="store_true", help="4 sounds of a second, one round: does it run?")
    options = parser.parse_args()
    count, seconds, rounds = (4, 1.0, 1) if options.small else (options.clips, options.seconds, options.rounds)
    torch.set_num_threads(1)
    spectra = LogMel(RATE, mels=MELS, window_ms=WINDOW_MS, hop_ms=HOP_MS, low_hz=LOW_HZ)
    ways = {"kit": lambda batch: spectra(torch.from_numpy(batch)), "librosa": librosas}
    batch = sounds(count, seconds)
    apart = float(np.abs(ways["kit"](batch).numpy() - librosas(batch)).max())
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 + rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            took[name].append(timed(ways[name], batch))
    rates = {name: count * seconds / np.array(times[1:]) for name, times in took.items()}
    ratio = float(np.median(rates["kit"] / rates["librosa"]))
    held = ratio >= LEAST_RATIO and apart <= MOST_APART_DB
    print(f"| batches of {count} x {seconds:g} s, one thread | seconds of sound a second |\n|---|---|")
    for name, each in rates.items():
        print(f"| {name} | {np.median(each):.0f} |")
    print(f"| ratio (limit {LEAST_RATIO:g}) | {ratio:.2f} |\n| apart, dB (limit {MOST_APART_DB:g}) | {apart:.1e} |")
    print("limits held" if held else "LIMIT MISSED")
    return not held


if __name__ == "__main__":
    sys.exit(main())

"""Sounds: handed on as they are to a model that takes them, else as columns of what their spectra hold, computed once and shared by all folds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from kit.clips import Clips, Recordings, gather
from kit.encoders import Gathering
from kit.encoders._stored import Gathered, Stored, computed_once
from kit.files import begun_from
from kit.mels import log_mel

_FORMAT = 2  # of the features: one more whenever equal sounds would give others
_MELS, _HOP_MS = 64, 20.0  # of the spectra that are the plainest features
_FINE_HOP_MS = 10.0
_WINDOWS_MS = (0, 30, 60, 120, 250, 500, 1000, 2000, 4000)  # where each begins and the one before it ends
_RANGE_DB = 80.0  # below its loudest place, a sound is silent
_SEEN_SECONDS = 5.0  # of a sound, as a picture of its spectrogram
_AT_ONCE = 256


class Audio(Stored):
    block = Clips

    def __init__(
        self,
        *,
        rate: int = 32_000,
        seconds: float = 60.0,
        trim_db: float = 0.0,
        channels: Literal["mix", "first", "last"] = "mix",
        cache: Literal["auto", "always", "never"] = "auto",
        most_seconds: float = 3600.0,
        most_damaged: float = 0.1,
        features: str = "spectra",
        weights: str = "hub",
    ):
        """
        rate          samples a second, to which sounds are brought
        seconds       of a sound that are kept, from its beginning; 0 is all
        trim_db       silence at both ends, so much below the loudest moment, is cut off; 0 cuts nothing
        channels      their mean, or one of them
        cache         keep decoded sounds on disk: where they fit, always or never
        most_seconds  a file that declares more is not decoded, where all of it would have to be
        most_damaged  0..1, share of the training sounds that may be damaged or missing
        features      for models that take no sounds: "spectra" (of 64 mel bands: mean, deviation, greatest, and how much they change), "envelope" (of
                      32 bands how loud each is in eight windows from the beginning: what tells a stroke from a swell), "voice" (a packaged network that
                      tells speakers apart), or a timm architecture that looks at the spectrogram; "spectra+voice" is both
        weights       of that architecture: "hub", "package" or a file
        """
        self.rate, self.seconds, self.trim_db, self.channels, self.cache = rate, seconds, trim_db, channels, cache
        self.most_seconds, self.most_damaged, self.features, self.weights = most_seconds, most_damaged, features, weights
        self.stores: dict[str, Gathered] = {}

    def gather(self, column: str, cells: np.ndarray, training: int, how: Gathering) -> Gathered:
        """
        cells     (n,) paths or arrays; the first `training` are training rows
        Raises DataError where more than the share of training sounds is damaged, and ConfigError where a package of weights is not installed.
        """
        networks = [part for part in self.features.split("+") if part not in (*_PLAIN, "voice")]
        if self.weights == "package" and networks and "audio" not in how.takes:
            from kit.backbones import check_package  # torch is imported only where a network is asked for

            for network in networks:
                check_package(network)  # before sounds are decoded
        found = gather(
            cells,
            folder=how.folder,
            rate=self.rate,
            seconds=self.seconds,
            trim_db=self.trim_db,
            channels=self.channels,
            cache=self.cache,
            most_seconds=self.most_seconds,
            threads=how.threads,
            progress=how.progress,
        )
        if told := found.described():
            how.progress(f"column {column}: {told}")
        found.check_share(np.arange(training), self.most_damaged, f"the training rows (column {column})")
        return Gathered(found, None if "audio" in how.takes else self._frozen(found, how))

    def _frozen(self, recordings: Recordings, how: Gathering) -> np.ndarray:
        def made() -> np.ndarray:
            values = np.hstack([self._columns(part, recordings, how) for part in self.features.split("+")])
            values[~recordings.there] = np.nan
            return values

        return computed_once(how, "audio", f"{_FORMAT} {recordings.key} {self.features} {self.weights}", begun_from(self.weights), made)

    def _columns(self, part: str, recordings: Recordings, how: Gathering) -> np.ndarray:
        """(n, d) float32 of one kind of features. Torch is imported only where a network is asked for."""
        if part in _PLAIN:
            return _described(recordings, _PLAIN[part], how.threads, how.progress)
        if part == "voice":
            from kit.voices import frozen_voices

            return frozen_voices(recordings, threads=how.threads, progress=how.progress)
        from kit.backbones import frozen_features

        return frozen_features(_Pictures(recordings), part, weights=self.weights, size=0, threads=how.threads, progress=how.progress)


def _spectra(sound: np.ndarray, rate: int) -> np.ndarray:
    """(5 x bands + 1,): of each band its mean, deviation and greatest in dB, the mean and deviation of its change from frame to frame in size; and the
    logarithm of the seconds."""
    decibels = log_mel(sound, rate, mels=_MELS, hop_ms=_HOP_MS)
    decibels = np.maximum(decibels, decibels.max() - _RANGE_DB)
    change = np.abs(np.diff(decibels, axis=1, append=decibels[:, -1:]))
    parts = [f(some, axis=1) for some, f in ((decibels, np.mean), (decibels, np.std), (decibels, np.max), (change, np.mean), (change, np.std))]
    return np.concatenate([*parts, [np.log(len(sound) / rate)]])


def _envelope(sound: np.ndarray, rate: int) -> np.ndarray:
    """(windows x half as many bands,): how the bands go on from the beginning, in dB below the loudest place: a longer window each; silence behind the end."""
    decibels = log_mel(sound, rate, mels=_MELS, hop_ms=_FINE_HOP_MS)
    decibels = np.maximum(decibels - decibels.max(), -_RANGE_DB).reshape(_MELS // 2, 2, -1).mean(axis=1)
    windows = [decibels[:, round(start / _FINE_HOP_MS) : round(end / _FINE_HOP_MS)] for start, end in zip(_WINDOWS_MS, _WINDOWS_MS[1:])]
    return np.concatenate([w.mean(axis=1) if w.shape[1] else np.full(len(w), -_RANGE_DB) for w in windows])


def _described(recordings: Recordings, of_one: Callable[[np.ndarray, int], np.ndarray], threads: int, progress: Callable[[str], None]) -> np.ndarray:
    """(n, d) float32: what `of_one` tells of each sound."""
    parts = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(recordings), _AT_ONCE):
            rows = range(start, min(start + _AT_ONCE, len(recordings)))
            parts.append(np.stack(list(pool.map(lambda row: of_one(recordings[row], recordings.rate), rows))).astype(np.float32))
            recordings.release()
            if start and start % (40 * _AT_ONCE) == 0:
                progress(f"spectra of {start} of {len(recordings)} sounds")
    return np.concatenate(parts) if parts else np.empty((0, len(of_one(np.zeros(1, np.float32), recordings.rate))), np.float32)


_PLAIN = {"spectra": _spectra, "envelope": _envelope}


class _Pictures:
    """Spectrograms as (mels, frames, 3) uint8 pictures, the loudest place white: the first seconds, repeated where a sound is shorter."""

    def __init__(self, recordings: Recordings):
        self.recordings, self.there = recordings, recordings.there

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, position: int) -> np.ndarray:
        rate = self.recordings.rate
        seen = np.resize(self.recordings[position], round(_SEEN_SECONDS * rate))
        decibels = log_mel(seen, rate, mels=2 * _MELS, hop_ms=_HOP_MS)
        grey = np.clip(1 + (decibels - decibels.max()) / _RANGE_DB, 0, 1)[::-1]
        return np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=2)

    def release(self) -> None:
        self.recordings.release()

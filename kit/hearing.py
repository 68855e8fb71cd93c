"""[augment.audio]: which part of a clip a network hears, and how it is changed in training.

Training hears one random part of a clip, prediction all of it, window by window: the answers of the windows are pooled to the clip's.
What masks parts of a spectrogram is an option of the networks that make one.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.fft import irfft, rfft

from kit.archives import identity
from kit.errors import ConfigError, bullets, shorten
from kit.stores import Damaged, each
from kit.tables import MEDIA

_RANGE_DB = 20.0  # noise and background are as loud as the least ratio says, or up to so much quieter
_LOWEST_HZ = 50.0  # below it all frequencies are filtered alike
_CORNERS = (1, 5)  # of a filter's line between the lowest and the highest frequency: at least, and one more than at most
_KEPT, _KEPT_SECONDS = 64, 30.0  # background sounds held in memory, and how much of each: 120 MB at 32 kHz


def divided(augment: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of [augment] that are of pictures, and those of [augment.audio]."""
    return {k: v for k, v in augment.items() if k != "audio"}, augment.get("audio", {})


class Hearing:
    def __init__(
        self,
        *,
        seconds: float = 5.0,
        hop_seconds: float = 0.0,
        most_windows: int = 8,
        pooling: Literal["mean", "max"] = "mean",
        shift: float = 0.0,
        gain_db: float = 0.0,
        speed: float = 0.0,
        filter_db: float = 0.0,
        invert: bool = False,
        noise_db: float = -1.0,
        background: str = "",
        background_db: float = 10.0,
        background_share: float = 0.5,
        mixup: float = 0.0,
    ):
        """
        seconds           that a network hears at once: a random part in training, a window in prediction; shorter clips are heard whole
        hop_seconds       between the beginnings of two windows; 0 is half of `seconds`
        most_windows      of a clip; a longer one is heard in so many, evenly spread
        pooling           of the windows' answers to the clip's: their mean, or for each answer its greatest; those of classes of which a row has one
                          are then divided by their sum
        shift             0..1, share of the silence behind a short clip that may stand before it
        gain_db           by which training makes a clip louder or quieter at most, drawn evenly
        speed             share by which training plays a clip faster or slower at most, its pitch with it
        filter_db         by which training makes some frequencies louder or quieter than others at most, as other rooms, microphones and instruments do
        invert            half of the training clips are turned upside down, which no ear hears and no spectrogram shows
        noise_db          signal over white noise, at the least; half of the training clips get some, up to 20 dB quieter; below 0 is none
        background        folder of sounds (WAV, FLAC, OGG, MP3), parts of whose first 30 seconds are mixed under training clips; "" is none
        background_db     signal over background, at the least; up to 20 dB more is drawn
        background_share  0..1 of the training clips that get a background
        mixup             alpha of the Beta distribution that two clips of a batch are mixed with (Zhang et al. 2018); 0 is off

        Raises ConfigError with all values that are out of range.
        """
        self.seconds, self.hop_seconds, self.most_windows, self.pooling = seconds, hop_seconds, most_windows, pooling
        self.shift, self.gain_db, self.speed, self.filter_db, self.invert, self.noise_db = shift, gain_db, speed, filter_db, invert, noise_db
        self.background, self.background_db, self.background_share = background, background_db, background_share
        self.mixup = mixup
        self._behind: list[Path] = []
        problems = self._problems()
        if problems:
            raise ConfigError(bullets(problems))

    def _problems(self) -> list[str]:
        problems = []

        def expect(right: bool, name: str, expected: str) -> None:
            if not right:
                problems.append(f"augment.audio.{name} = {getattr(self, name)!r}: expected {expected}")

        expect(0.05 <= self.seconds <= 600, "seconds", "0.05 to 600")
        expect(0 <= self.hop_seconds < math.inf, "hop_seconds", "seconds above 0, or 0 for half of augment.audio.seconds")
        expect(self.most_windows >= 1, "most_windows", "at least 1")
        expect(0 <= self.shift <= 1, "shift", "a share from 0 to 1")
        expect(0 <= self.gain_db <= 60, "gain_db", "0 to 60 dB")
        expect(0 <= self.speed <= 0.5, "speed", "a share from 0 to 0.5")
        expect(0 <= self.filter_db <= 60, "filter_db", "0 to 60 dB")
        expect(self.noise_db <= 120, "noise_db", "0 to 120 dB, or below 0 for none")
        expect(-60 <= self.background_db <= 120, "background_db", "-60 to 120 dB")
        expect(0 <= self.background_share <= 1, "background_share", "a share from 0 to 1")
        expect(0 <= self.mixup < math.inf, "mixup", "0 for none, or an alpha above 0")
        if self.background:
            folder = Path(self.background).expanduser()
            self._behind = sorted(p for p in folder.rglob("*") if p.name.lower().endswith(MEDIA["audio"]))
            expect(bool(self._behind), "background", f"a folder that holds sounds ({shorten(MEDIA['audio'])})")
        return problems

    def check_background(self, rate: int, threads: int, progress: Callable[[str], None]) -> None:
        """Leaves out the damaged files of the background, and says how many; called once, before training. Raises ConfigError where none is left."""
        whole = list(each(lambda path: _whole(path, identity(path), rate), [str(path) for path in self._behind], "background sound", threads, progress))
        kept = [path for path, is_whole in zip(self._behind, whole) if is_whole]
        if lost := [path.name for path in self._behind if path not in kept]:
            told = f"{len(lost)} of {len(self._behind)} sounds in augment.audio.background are damaged: {shorten(lost, 3)}"
            if not kept:
                raise ConfigError(f'{told}\naugment.audio.background = "{self.background}": expected a folder with sounds that can be read; name another, or ""')
            progress(f"{told}; they are left out")
        self._behind = kept

    def samples(self, rate: int) -> int:
        """That a network hears at once."""
        return round(self.seconds * rate)

    def windows(self, samples: int, rate: int) -> list[int]:
        """The first sample of each window of a clip; the last window ends where the clip does.

        samples  of the clip
        """
        wide = self.samples(rate)
        if samples <= wide:
            return [0]
        hop = max(1, round((self.hop_seconds or self.seconds / 2) * rate))
        count = min(1 + math.ceil((samples - wide) / hop), self.most_windows)
        if count == 1:
            return [(samples - wide) // 2]
        return [round(n * (samples - wide) / (count - 1)) for n in range(count)]

    def training_view(self, sound: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        """(samples,) float32 in -1..1 -> a changed part of it, at most `samples(rate)` long."""
        wide = self.samples(rate)
        quicker = math.exp(random.uniform(-1, 1) * math.log1p(self.speed)) if self.speed else 1.0
        taken = math.ceil(wide * quicker) + 1 if self.speed else wide
        start = int(random.integers(len(sound) - taken + 1)) if len(sound) > taken else 0
        heard = sound[start : start + taken].astype(np.float32)
        if self.speed and len(heard):
            heard = _played(heard, quicker)[:wide]
        if self.filter_db and len(heard):
            heard = _filtered(heard, rate, self.filter_db, random)
        if self.invert and random.random() < 0.5:
            heard = -heard
        if self.gain_db:
            heard *= _factor(random.uniform(-self.gain_db, self.gain_db))
        if self.background and random.random() < self.background_share:
            behind = _loaded(self._behind[int(random.integers(len(self._behind)))], rate)
            part = np.resize(np.roll(behind, -int(random.integers(len(behind)))), len(heard)).astype(np.float32)
            heard = _mixed(heard, part, self.background_db, random)
        if self.noise_db >= 0 and random.random() < 0.5:
            heard = _mixed(heard, random.standard_normal(len(heard), np.float32), self.noise_db, random)
        if self.shift and len(heard) < wide:
            before = int(random.integers(round(self.shift * (wide - len(heard))) + 1))
            heard = np.concatenate([np.zeros(before, np.float32), heard])
        return heard / max(np.abs(heard).max(initial=0.0), np.float32(1.0))  # cut off at 1, it would have tones that nobody made


def _factor(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _played(heard: np.ndarray, quicker: float) -> np.ndarray:
    """The same sound in 1 / quicker of its time."""
    import soxr  # asked for only where there are sounds to read

    return soxr.resample(heard, quicker, 1.0, quality="LQ")


def _filtered(heard: np.ndarray, rate: int, most_db: float, random: np.random.Generator) -> np.ndarray:
    """Each frequency louder or quieter by a line through random decibels at random octaves, after FilterAugment (Nam, Kim and Park 2022, https://arxiv.org/abs/2110.03282)."""
    bins = rfft(heard)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(heard), 1 / rate), _LOWEST_HZ))
    inner = np.sort(random.uniform(octaves[0], octaves[-1], int(random.integers(*_CORNERS))))
    corners = np.concatenate([octaves[:1], inner, octaves[-1:]])
    decibels = np.interp(octaves, corners, random.uniform(-most_db, most_db, len(corners)))
    return irfft(bins * np.power(10, decibels / 20).astype(np.float32), len(heard))


def _mixed(heard: np.ndarray, other: np.ndarray, least_db: float, random: np.random.Generator) -> np.ndarray:
    """The other sound under what is heard, so much quieter on average; silence gets none."""
    loud, quiet = (float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (heard, other))
    share = _factor(-random.uniform(least_db, least_db + _RANGE_DB))
    return heard + other * (share * np.float32(loud / quiet)) if quiet else heard


@cache
def _whole(path: str, changed: str, rate: int) -> bool:
    """Whether all that is mixed in of a file can be read: asked once for all folds, unless the file has changed."""
    try:
        _loaded(Path(path), rate)
    except Damaged:
        return False
    return True


@lru_cache(_KEPT)
def _loaded(path: Path, rate: int) -> np.ndarray:
    """(samples,) int16 of its beginning."""
    from kit.sounds import decode  # soundfile is asked for only where there are sounds to read

    return decode(str(path), rate=rate, seconds=_KEPT_SECONDS)

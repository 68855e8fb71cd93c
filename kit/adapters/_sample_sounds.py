"""Made sounds for samples of data: a voice at a pitch under some noise, of any length and loudness, so that there is something to learn.

The module has the names of _sample.py, so that adapters of pictures and of sounds make their samples in one way.
"""

import wave
from pathlib import Path

import numpy as np

SHAPES = ("tone", "rasp", "sweep", "clicks")
COLOURS = {"low": 220.0, "middle": 500.0, "high": 1100.0, "top": 2400.0}  # Hz
RATE = 16_000  # samples a second


def draw(random: np.random.Generator, shape: str, colour: str, *, size: float | None = None) -> np.ndarray:
    """(samples,) float64 in -1..1; size makes it longer, 0.5..1 of two seconds."""
    seconds = 2.0 * (random.uniform(0.5, 1.0) if size is None else size)
    return _recorded(random, _voice(random, shape, COLOURS[colour] * random.uniform(0.92, 1.08), seconds))


def draw_thing(random: np.random.Generator, thing: int) -> np.ndarray:
    """One of 48 things, each a voice at a pitch and another one after it."""
    first, pitch, second = thing % 4, thing // 4 % 4, thing // 16 % 3
    pitches = list(COLOURS.values())
    voices = ((SHAPES[first], pitches[pitch]), (SHAPES[(first + 1 + second) % 4], pitches[(pitch + 1 + second) % 4]))
    return _recorded(random, np.concatenate([_voice(random, shape, hz * random.uniform(0.98, 1.02), 0.5) for shape, hz in voices]))


def _voice(random: np.random.Generator, shape: str, hz: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    if shape == "tone":
        return np.sin(2 * np.pi * hz * t) * np.exp(-1.5 * t / seconds)
    if shape == "rasp":
        return np.sign(np.sin(2 * np.pi * hz * t)) * (0.6 + 0.4 * np.sin(2 * np.pi * 12 * t))
    if shape == "sweep":
        return np.sin(2 * np.pi * hz * (t + 0.5 * t**2 / seconds))
    assert shape == "clicks", shape
    phase = (t * 8) % 1.0 / 8  # seconds since the last of eight clicks a second
    return np.sin(2 * np.pi * hz * phase) * np.exp(-60 * phase)


def _recorded(random: np.random.Generator, voice: np.ndarray) -> np.ndarray:
    """At some loudness, after some silence, with the noise of a room."""
    loud = 10 ** random.uniform(-1.2, -0.2)
    before = np.zeros(round(random.uniform(0, 0.3) * RATE))
    heard = np.concatenate([before, voice])
    return np.clip(loud * (heard + random.normal(scale=0.03, size=len(heard))), -1, 1)


def colour_of(random: np.random.Generator, shape: str) -> str:
    """Most often the voice's own, so that the plainest features learn something too."""
    colours = list(COLOURS)
    return colours[SHAPES.index(shape)] if random.random() < 0.75 else str(random.choice(colours))


def save(path: Path, sound: np.ndarray, *, truncated: bool = False) -> None:
    """A WAV of 16 bits, whatever its ending.

    truncated  half of the file, as a broken download leaves it
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * sound).astype("<i2").tobytes())
    if truncated:
        held = path.read_bytes()
        path.write_bytes(held[: len(held) // 2])

"""A sound's file or array goes in, its samples come out as 16 bits of one channel at one rate, or one word for the damage that it has.

Files are told apart by their first bytes, never by their names: WAV, FLAC, OGG and MP3. They are read piece by piece, so that what a header
declares, which may be a lie, is never allocated.
"""

import zlib
from typing import BinaryIO, Literal

import numpy as np
import soundfile
import soxr

from kit.archives import open_file
from kit.errors import DataError
from kit.stores import Damaged

KINDS = ("missing", "empty", "truncated", "not a sound", "not finite", "odd rate", "too long")  # of damage
MOST_SECONDS = 3600.0
RATES = (1_000, 768_000)  # samples a second, the least and the most that a header is believed
_PIECE = 1 << 18  # numbers read at once
_FULL = 32768  # what a sample of 1 would become, which 16 bits just lack
_FRAME_SECONDS, _STEP_SECONDS = 0.04, 0.01  # of which the loudness is compared where silence is trimmed
_UNKNOWN = (0, 0xFFFFFFFF)  # bytes of data, as they are written where the end was not known yet

Channels = Literal["mix", "first", "last"]


def decode(
    source: str | np.ndarray,
    *,
    rate: int,
    seconds: float = 0.0,
    trim_db: float = 0.0,
    channels: Channels = "mix",
    most_seconds: float = MOST_SECONDS,
) -> np.ndarray:
    """The sound as (samples,) int16: 32768 stands for 1.

    source        a path, which may lead into a zip archive, or an array (samples,) or (samples, channels) that has the rate already, of int16
                  or of floats in -1..1; louder floats are divided by the loudest
    rate          samples a second
    seconds       that are kept, from where the sound begins; 0 is all
    trim_db       what is so much below the loudest moment is silence, and cut off at both ends; 0 cuts nothing
    channels      their mean, or one of them
    most_seconds  a file that declares more, where all of it would have to be read, is not
    Raises Damaged; DataError where a file may not be read, or where an array is none of these.
    """
    if isinstance(source, np.ndarray):
        values, own, name = _one_channel(_from_array(source), channels), rate, "an array"
    else:
        values, own = _read(source, 0.0 if trim_db else seconds, channels, most_seconds)
        name = source
    if not len(values):
        raise Damaged("empty", name)
    if not np.isfinite(values).all():
        raise Damaged("not finite", name)
    if own != rate:
        values = soxr.resample(values, own, rate, quality="HQ")
    if trim_db:
        values = _trimmed(values, rate, trim_db)
    if seconds:
        values = values[: round(seconds * rate)]
    if not len(values):
        raise Damaged("empty", name)
    loudest = float(np.abs(values).max())
    return np.clip(np.rint(values * (_FULL / max(loudest, 1.0))), -_FULL, _FULL - 1).astype(np.int16)


def measure(path: str) -> float:
    """Seconds that the header declares. Raises Damaged for what the header alone can tell."""
    with _opened(path) as stream, _sound(stream, path) as sound:
        return sound.frames / sound.samplerate


# --- files -----------------------------------------------------------------------------------------------------------------------


def _read(path: str, seconds: float, channels: Channels, most_seconds: float) -> tuple[np.ndarray, int]:
    """((samples,) float32, samples a second)"""
    with _opened(path) as stream, _sound(stream, path) as sound:
        declared, rate = sound.frames, sound.samplerate
        wanted = min(declared, round(seconds * rate)) if seconds else declared
        if wanted > most_seconds * rate:
            raise Damaged("too long", path)
        pieces, got = [], 0
        try:
            while got < wanted:
                piece = sound.read(min(wanted - got, max(1, _PIECE // sound.channels)), dtype="float32", always_2d=True)
                if not len(piece):
                    break
                got += len(piece)
                pieces.append(_one_channel(piece, channels))
        except soundfile.LibsndfileError as error:
            raise Damaged("truncated", path) from error
        exact = 1.0 if sound.format != "MP3" else 0.95  # what an MP3's header says is a guess
        if got < exact * wanted:
            raise Damaged("truncated", path)
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32), rate


def _opened(path: str) -> BinaryIO:
    try:
        return open_file(path)
    except FileNotFoundError as error:
        raise Damaged("missing", path) from error
    except IsADirectoryError as error:
        raise Damaged("not a sound", path) from error
    except (zlib.error, EOFError) as error:
        raise Damaged("truncated", path) from error


def _sound(stream: BinaryIO, path: str) -> soundfile.SoundFile:
    head = stream.read(12)
    if not head:
        raise Damaged("empty", path)
    wave = head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE"
    if not (wave or head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0")):
        raise Damaged("not a sound", path)
    if head[:4] == b"RIFF":
        _check_wave(stream, path)
    stream.seek(0)
    try:
        sound = soundfile.SoundFile(stream)
    except soundfile.LibsndfileError as error:
        raise Damaged("truncated", path) from error
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise Damaged("odd rate", path)
    return sound


def _check_wave(stream: BinaryIO, path: str) -> None:
    """Raises Damaged where the file ends before its data does: libsndfile believes the file, and says nothing."""
    end = stream.seek(0, 2)
    stream.seek(12)
    while len(head := stream.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        left = end - stream.tell()
        if name == b"data":
            if not left:
                raise Damaged("empty", path)
            if size > left and size not in _UNKNOWN:
                raise Damaged("truncated", path)
            return
        if name == b"fmt " and left >= 8:
            rate = int.from_bytes(stream.read(8)[4:], "little")
            if not RATES[0] <= rate <= RATES[1]:
                raise Damaged("odd rate", path)
            stream.seek(-8, 1)
        stream.seek(size + size % 2, 1)
    raise Damaged("truncated", path)


# --- samples ---------------------------------------------------------------------------------------------------------------------


def _one_channel(values: np.ndarray, channels: Channels) -> np.ndarray:
    """(samples, channels) -> (samples,) float32"""
    if values.shape[1] == 1:
        return values[:, 0]
    return values.mean(axis=1, dtype=np.float32) if channels == "mix" else np.ascontiguousarray(values[:, 0 if channels == "first" else -1])


def _from_array(array: np.ndarray) -> np.ndarray:
    """(samples, channels) float32"""
    if array.dtype.kind != "f" and array.dtype != np.int16 or array.ndim not in (1, 2):
        raise DataError(
            f"a sound is an array of shape {array.shape} and type {array.dtype}\n"
            "expected (samples,) or (samples, channels) of int16, or of floats in -1..1: mend the adapter that makes it"
        )
    values = array.astype(np.float32).reshape(len(array), -1)
    return values / _FULL if array.dtype == np.int16 else values


def _trimmed(values: np.ndarray, rate: int, trim_db: float) -> np.ndarray:
    """Without the quiet at both ends; a sound that is quiet throughout stays whole."""
    step, width = max(1, round(_STEP_SECONDS * rate)), max(1, round(_FRAME_SECONDS * rate))
    energy = np.concatenate([[0.0], np.cumsum(np.square(values, dtype=np.float64))])
    starts = np.arange(0, max(len(values) - width, 0) + 1, step)
    ends = np.minimum(starts + width, len(values))
    ends[-1] = len(values)
    loudness = (energy[ends] - energy[starts]) / (ends - starts)
    heard = np.flatnonzero(loudness >= loudness.max() * 10 ** (-trim_db / 10))
    return values[starts[heard[0]] : ends[heard[-1]]]

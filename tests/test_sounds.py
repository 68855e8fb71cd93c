"""Sounds read from files that are well, and from files that are not: each damage has its word, and none is believed."""

import io
import multiprocessing
import pickle
import struct
import wave
import zipfile

import numpy as np
import pytest

pytest.importorskip("soundfile")  # the extra `audio`

import soundfile

from kit.clips import Clips, gather
from kit.errors import DataError, RunError
from kit.sounds import KINDS, decode, measure
from kit.stores import Damaged

RATE = 16_000


def tone(seconds=0.5, hz=440.0, rate=RATE, loud=0.5):
    return (loud * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def saved(path, sound, rate=RATE, **options):
    soundfile.write(path, sound, rate, **options)
    return str(path)


def kind_of(source, **options):
    with pytest.raises(Damaged) as error:
        decode(source, rate=RATE, **options)
    assert error.value.kind in KINDS
    return error.value.kind


def wav(samples=b"\1\0" * 100, *, declared=None, rate=RATE, bits=16, channels=1, code=1):
    size = len(samples) if declared is None else declared
    form = struct.pack("<HHIIHH", code, channels, rate, min(rate * channels * bits // 8, 2**32 - 1), channels * bits // 8, bits)
    return b"RIFF" + struct.pack("<I", min(36 + size, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + samples


def written(path, content):
    path.write_bytes(content)
    return str(path)


def heard(found):
    return found.astype(np.float32) / 32768


# formats


@pytest.mark.parametrize(("name", "format", "subtype"), [
    ("a.wav", "WAV", "PCM_16"), ("b.wav", "WAV", "PCM_24"), ("c.wav", "WAV", "FLOAT"), ("d.wav", "WAV", "PCM_U8"), ("e.wav", "RF64", "PCM_16"),
    ("f.flac", "FLAC", "PCM_16"), ("g.ogg", "OGG", "VORBIS"), ("h.mp3", "MP3", "MPEG_LAYER_III"), ("flac.wav", "FLAC", "PCM_16"),
])  # fmt: skip
def test_each_format_is_read_whatever_the_file_is_called(tmp_path, name, format, subtype):
    path = saved(tmp_path / name, tone(), format=format, subtype=subtype)
    found = decode(path, rate=RATE)
    assert found.dtype == np.int16 and abs(len(found) - 8000) <= (0 if format != "MP3" else 2400)
    middle = heard(found)[2000:6000]
    peak = np.abs(np.fft.rfft(middle)).argmax() * RATE / 4000
    assert peak == 440.0 and np.abs(middle).max() == pytest.approx(0.5, abs=0.06)


def test_sixteen_bits_are_read_to_the_bit(tmp_path):
    sound = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    assert np.array_equal(decode(saved(tmp_path / "a.wav", sound), rate=RATE), sound)
    assert np.array_equal(decode(saved(tmp_path / "a.flac", sound), rate=RATE), sound)
    assert np.array_equal(decode(sound, rate=RATE), sound)


def test_another_rate_is_brought_to_the_one_asked_for(tmp_path):
    path = saved(tmp_path / "a.wav", tone(1.0, rate=44_100), rate=44_100)
    found = decode(path, rate=RATE)
    assert len(found) == RATE
    assert np.abs(heard(found) - tone(1.0))[500:-500].max() < 1e-3


def test_channels_are_mixed_or_one_is_taken(tmp_path):
    path = saved(tmp_path / "a.wav", np.column_stack([tone(), np.zeros(8000, np.float32)]))
    assert np.abs(heard(decode(path, rate=RATE)) - tone() / 2).max() < 1e-4
    assert np.abs(heard(decode(path, rate=RATE, channels="first")) - tone()).max() < 1e-4
    assert not decode(path, rate=RATE, channels="last").any()


def test_a_file_in_a_zip_is_read(tmp_path):
    held = io.BytesIO()
    soundfile.write(held, tone(), RATE, format="WAV")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a.wav", held.getvalue())
    assert len(decode(f"{tmp_path}/a.zip/train/a.wav", rate=RATE)) == 8000
    assert kind_of(f"{tmp_path}/a.zip/train/b.wav") == "missing"


def test_floats_beyond_one_are_divided_by_the_loudest_and_others_are_not(tmp_path):
    path = saved(tmp_path / "a.wav", 4 * tone(), subtype="FLOAT")
    assert np.abs(decode(path, rate=RATE)).max() == 32767
    assert np.abs(heard(decode(tone(), rate=RATE))).max() == pytest.approx(0.5, abs=1e-3)


# lengths


def test_seconds_are_kept_from_the_beginning(tmp_path):
    path = saved(tmp_path / "a.wav", tone(2.0))
    assert np.array_equal(decode(path, rate=RATE, seconds=0.25), decode(path, rate=RATE)[:4000])
    assert measure(path) == 2.0


def test_silence_is_cut_off_at_both_ends_alone(tmp_path):
    quiet, pause = np.zeros(RATE, np.float32), np.zeros(4000, np.float32)
    sound = np.concatenate([quiet, tone(0.25), pause, tone(0.25), quiet])
    found = decode(sound, rate=RATE, trim_db=40.0)
    assert 12_000 <= len(found) <= 12_000 + 2 * 640  # a frame of 40 ms at either end
    assert len(decode(sound, rate=RATE, trim_db=40.0, seconds=0.5)) == 8000
    assert np.array_equal(decode(quiet, rate=RATE, trim_db=40.0), quiet)  # silence throughout stays


# damage


@pytest.mark.parametrize(("content", "kind"), [
    (b"", "empty"), (wav(b""), "empty"), (wav(b"", declared=2000), "empty"), (b"<html>404</html>", "not a sound"), (b"RIFF\0\0\0\0WEBPVP8 ", "not a sound"),
    (wav(declared=400), "truncated"), (wav(declared=2**32 - 2), "truncated"), (wav()[:30], "truncated"), (b"fLaC" + bytes(30), "truncated"),
    (wav(rate=7), "odd rate"), (wav(rate=2**31), "odd rate"), (wav(struct.pack("<2f", 0.5, np.nan), bits=32, code=3), "not finite"),
    (wav(struct.pack("<2f", 0.5, np.inf), bits=32, code=3), "not finite"), (b"OggS" + bytes(20), "truncated"), (b"\xff\xfb" + bytes(3), "truncated"),
])  # fmt: skip
def test_each_damage_has_its_word(tmp_path, content, kind):
    assert kind_of(written(tmp_path / "a.wav", content)) == kind


def test_what_is_no_file_has_a_word_too(tmp_path):
    assert kind_of(str(tmp_path / "none.wav")) == kind_of(str(tmp_path / "nul\0")) == "missing"
    assert kind_of(str(tmp_path)) == "not a sound"


def test_a_stream_whose_length_was_never_written_is_read_to_its_end(tmp_path):
    path = written(tmp_path / "a.wav", wav(b"\1\0" * 100, declared=0xFFFFFFFF))
    assert len(decode(path, rate=RATE)) == 100


def test_fewer_samples_than_there_are_bytes_for_are_as_many_as_declared(tmp_path):
    assert len(decode(written(tmp_path / "a.wav", wav(b"\1\0" * 100, declared=50)), rate=RATE)) == 25


def test_a_broken_off_flac_is_truncated(tmp_path):
    path = tmp_path / "a.flac"
    saved(path, np.random.default_rng(0).normal(scale=0.1, size=50_000).astype(np.float32))
    path.write_bytes(path.read_bytes()[:40_000])
    assert kind_of(str(path)) == "truncated"


def test_a_flac_that_declares_2_to_the_31_samples_is_refused_before_any_is_read(tmp_path):
    path = tmp_path / "a.flac"
    saved(path, tone())
    content = bytearray(path.read_bytes())
    content[21] = (content[21] & 0xF0) | 0  # STREAMINFO: 36 bits of total samples end at byte 25 (RFC 9639, section 8.2)
    content[22:26] = (2**31).to_bytes(4, "big")
    path.write_bytes(content)
    assert kind_of(str(path), most_seconds=600) == "too long"
    assert len(decode(str(path), rate=RATE, seconds=0.25)) == 4000  # where a beginning is enough


def test_a_long_file_is_refused_where_all_of_it_would_be_read(tmp_path):
    path = saved(tmp_path / "a.wav", tone(2.0))
    assert kind_of(path, most_seconds=1.0) == "too long"
    assert len(decode(path, rate=RATE, seconds=0.5, most_seconds=1.0)) == 8000
    assert kind_of(path, seconds=0.5, trim_db=40.0, most_seconds=1.0) == "too long"


@pytest.mark.parametrize("array", [np.zeros(4, np.int64), np.zeros((2, 2, 2), np.float32), np.array(["a"])])
def test_array_that_is_no_sound_is_the_adapters_mistake(array):
    with pytest.raises(DataError, match=r"^a sound is an array of shape .* and type "):
        decode(array, rate=RATE)


def test_wave_of_the_standard_library_is_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.arange(100, dtype="<i2").tobytes())
    assert decode(str(tmp_path / "a.wav"), rate=RATE).tolist() == list(range(100))


# clips


def made(cells, folder=None, **options):
    given = {"rate": RATE, "cache": "auto", "threads": 2, "progress": lambda line: None, **options}
    return gather(np.array(cells, dtype=object), folder=folder, **given)


def three(tmp_path):
    return [saved(tmp_path / f"{n}.wav", tone(0.1 * n, hz=200 * n)) for n in (1, 2, 3)]


def test_samples_are_the_same_from_the_cache_from_files_and_from_arrays(tmp_path):
    paths = three(tmp_path)
    found = [made(paths, tmp_path / "cache", cache="always"), made(paths, cache="never"), made([decode(p, rate=RATE) for p in paths])]
    assert [list(f.samples) for f in found] == [[1600, 3200, 4800]] * 3
    for n in range(3):
        assert np.array_equal(found[0][n], found[1][n]) and np.array_equal(found[0][n], found[2][n])
    assert found[0][2].dtype == np.float32 and np.abs(found[0][2]).max() == pytest.approx(0.5, abs=1e-3)


def test_a_cache_is_made_once_and_another_rate_is_another_cache(tmp_path):
    lines = []
    paths = three(tmp_path)
    for rate in (RATE, RATE, 8000):
        made(paths, tmp_path / "cache", rate=rate, progress=lines.append)
    assert ["decoded now" in lines[0], "decoded earlier" in lines[1], "decoded now" in lines[2]] == [True] * 3
    assert len(list((tmp_path / "cache").glob("*.i16"))) == 2


def test_a_changed_file_is_decoded_anew(tmp_path):
    paths = three(tmp_path)
    before = made(paths, tmp_path / "cache")
    saved(tmp_path / "1.wav", tone(0.4))
    after = made(paths, tmp_path / "cache")
    assert before.key != after.key and after.samples[0] == 6400


def test_rows_without_a_sound_and_damaged_ones_are_not_there_and_are_silence(tmp_path):
    paths = [*three(tmp_path), "", None, written(tmp_path / "e.wav", wav(b"")), str(tmp_path / "none.wav")]
    found = made(paths, tmp_path / "cache")
    assert found.there.tolist() == [True] * 3 + [False] * 4
    assert found.damage == {"missing": ["none.wav"], "empty": ["e.wav"]}
    assert found[4].tolist() == [0.0] and found.samples[3:].tolist() == [0] * 4
    assert found.described() == "2 of 5 sounds are damaged: 1 missing (none.wav), 1 empty (e.wav)"
    with pytest.raises(DataError, match="too many sounds of the training rows cannot be used: 1 of 4 sounds(.|\n)*raise encoders.audio.most_damaged"):
        found.check_share(np.array([0, 1, 2, 5]), 0.2, "the training rows")
    found.check_share(np.arange(4), 0.0, "the training rows")


def test_clips_are_some_rows_and_their_key_tells_which(tmp_path):
    found = Clips(made(three(tmp_path)), np.array([2, 0, 1]))
    some = found.take(np.array([False, True, True]))
    assert some.seconds.tolist() == [0.1, 0.2] and some.rate == RATE and some.kind == "audio" and len(some) == 2
    assert np.array_equal(some[0], found[1]) and some.there.all()
    assert some.key == found.take(np.array([1, 2])).key != found.key


def test_recordings_may_be_sent_to_another_process(tmp_path):
    for options in ({"folder": tmp_path / "cache"}, {"cache": "never"}):
        found = pickle.loads(pickle.dumps(made(three(tmp_path), **options)))
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(len, (found[1],)) == 3200
        found.release()
        assert len(found[1]) == 3200


def test_a_cache_that_is_gone_says_what_to_do(tmp_path):
    found = made(three(tmp_path), tmp_path / "cache")
    next((tmp_path / "cache").glob("*.i16")).unlink()
    with pytest.raises(RunError, match=r"the decoded sounds in .*\.i16 are gone"):
        found[0]


def test_a_cell_that_is_no_name_is_the_adapters_mistake():
    with pytest.raises(DataError, match=r"^row 1 has 3 \(int\) for a sound"):
        made(["", 3])

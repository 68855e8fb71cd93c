"""Which part of a clip is heard, and how it is changed: within what the options say, and the same for the same random numbers."""

import wave

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.hearing import Hearing

RATE = 1000


def view(sound, seed=0, **options):
    return Hearing(**{"seconds": 1.0, **options}).training_view(np.asarray(sound, np.float32), RATE, np.random.default_rng(seed))


def loudness(x):
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)))


def hum(path):
    """A tone of 400 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 4000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(1600) * 2 * np.pi * 0.1)).astype("<i2").tobytes())


def test_windows_cover_a_clip_from_its_beginning_to_its_end():
    hearing = Hearing(seconds=1.0)
    assert hearing.windows(10, RATE) == hearing.windows(1000, RATE) == [0]
    assert hearing.windows(1001, RATE) == [0, 1]
    assert hearing.windows(2600, RATE) == [0, 400, 800, 1200, 1600]  # half a second apart at most
    assert Hearing(seconds=1.0, hop_seconds=1.0).windows(2600, RATE) == [0, 800, 1600]


def test_a_long_clip_has_no_more_windows_than_asked_for_and_they_are_spread_evenly():
    assert Hearing(seconds=1.0, most_windows=3).windows(100_000, RATE) == [0, 49_500, 99_000]
    assert Hearing(seconds=1.0, most_windows=1).windows(5000, RATE) == [2000]


def test_without_options_a_view_is_a_part_of_the_clip_that_begins_anywhere():
    sound = np.linspace(-0.5, 0.5, 5000, dtype=np.float32)
    begun = set()
    for seed in range(20):
        found = view(sound, seed)
        start = int(np.searchsorted(sound, found[0]))
        assert np.array_equal(found, sound[start : start + 1000])
        begun.add(start)
    assert len(begun) > 15 and np.array_equal(view(sound[:300]), sound[:300])


def test_a_view_leaves_the_clip_as_it_was():
    sound = np.full(500, 0.1, np.float32)
    view(sound, gain_db=10.0, invert=True, noise_db=0.0)
    assert (sound == np.float32(0.1)).all()


def test_a_short_clip_may_begin_later_and_never_loses_a_sample():
    lengths = {len(view(np.full(300, 0.5), seed, shift=0.5)) for seed in range(30)}
    assert min(lengths) >= 300 and max(lengths) <= 650 and len(lengths) > 10
    shifted = view(np.full(300, 0.5), 3, shift=1.0)
    assert (shifted[-300:] == 0.5).all() and not shifted[:-300].any()


def test_gain_is_within_its_range_and_nothing_leaves_minus_one_to_one():
    sound = np.full(100, 0.1, np.float32)
    gains = [20 * np.log10(view(sound, seed, gain_db=6.0)[0] / 0.1) for seed in range(50)]
    assert -6 <= min(gains) < -4 and 4 < max(gains) <= 6
    assert np.abs(view(np.full(100, 0.9), 1, gain_db=60.0)).max() <= 1


def test_a_clip_that_becomes_too_loud_keeps_its_form():
    tone = 0.9 * np.sin(2 * np.pi * 50 * np.arange(1000) / RATE)
    found = next(f for f in (view(tone, seed, gain_db=12.0) for seed in range(50)) if np.abs(f).max() > 0.99)
    spectrum = np.abs(np.fft.rfft(found))
    assert np.abs(found).max() <= 1 and found.dtype == np.float32
    assert 20 * np.log10(np.delete(spectrum, 50).max() / spectrum[50]) < -80  # dB, all that is not the tone


def test_a_clip_played_faster_or_slower_is_higher_or_lower_by_as_much_as_asked():
    pytest.importorskip("soxr")
    tone = 0.5 * np.sin(2 * np.pi * 100 * np.arange(3000) / RATE)
    found = [view(tone, seed, speed=0.25) for seed in range(40)]
    assert {len(f) for f in found} == {1000} and {f.dtype for f in found} == {np.dtype(np.float32)}
    pitches = [int(np.abs(np.fft.rfft(f)).argmax()) for f in found]  # Hz
    assert 79 <= min(pitches) < 85 and 117 < max(pitches) <= 125
    lengths = [len(view(tone[:400], seed, speed=0.25)) for seed in range(40)]  # of a short clip, no sample of which is left out
    assert 320 <= min(lengths) < 340 and 470 < max(lengths) <= 500


def test_a_filter_makes_each_frequency_louder_or_quieter_within_its_range():
    random = np.random.default_rng(0)
    sound = (random.normal(size=1000) * 0.05).astype(np.float32)
    changes = []
    for seed in range(40):
        found = view(sound, seed, filter_db=6.0)
        assert found.dtype == np.float32
        changes.append(20 * np.log10(np.abs(np.fft.rfft(found))[1:-1] / np.abs(np.fft.rfft(sound))[1:-1]))
    changes = np.stack(changes)  # (views, frequencies)
    assert np.abs(changes).max() < 6.01 and changes.min() < -5 and changes.max() > 5
    assert np.mean(np.ptp(changes, axis=1) > 1) > 0.9  # the frequencies of one view differ
    assert np.median(np.abs(np.diff(changes, axis=1))) < 0.05  # dB from one to the next: neighbours go together


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_a_clip_of_hardly_a_sample_is_heard_all_the_same(length):
    pytest.importorskip("soxr")
    assert len(view(np.full(length, 0.5), speed=0.2, filter_db=6.0)) <= max(length, 1) + 1


def test_half_of_the_clips_are_turned_upside_down():
    signs = [view(np.full(10, 0.5), seed, invert=True)[0] for seed in range(100)]
    assert 30 < sum(s < 0 for s in signs) < 70


def test_noise_is_as_far_below_the_clip_as_asked():
    sound = np.sin(np.arange(1000) / 3).astype(np.float32) * 0.3
    ratios = [loudness(sound) - loudness(found - sound) for seed in range(40) if not np.array_equal(found := view(sound, seed, noise_db=10.0), sound)]
    assert 10 < len(ratios) < 30 and 9 < min(ratios) < 15 and 22 < max(ratios) < 31


def test_a_background_is_mixed_under_some_clips(tmp_path):
    pytest.importorskip("soundfile")
    hum(tmp_path / "hum.wav")
    sound = np.sin(np.arange(1000) / 3).astype(np.float32) * 0.3
    given = {"background": str(tmp_path), "background_db": 10.0, "background_share": 0.5}
    added = [found - sound for seed in range(40) if not np.array_equal(found := view(sound, seed, **given), sound)]
    assert 10 < len(added) < 30
    assert {int(np.abs(np.fft.rfft(a)).argmax()) for a in added} <= {398, 399, 400, 401, 402}  # Hz, of a tone shorter than the view, begun anew
    assert 9.9 < min(loudness(sound) - loudness(a) for a in added) < 16


def test_damaged_backgrounds_are_left_out_and_an_error_where_none_is_left(tmp_path):
    pytest.importorskip("soundfile")
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "empty.ogg").write_bytes(b"")
    lines, hearing = [], Hearing(seconds=1.0, background=str(tmp_path), background_share=1.0)
    with pytest.raises(ConfigError, match=r"2 of 2 sounds in augment\.audio\.background are damaged: broken\.wav, empty\.ogg\n.*expected a folder with sounds that can be read"):
        hearing.check_background(RATE, 1, lines.append)
    hum(tmp_path / "hum.wav")
    hearing = Hearing(seconds=1.0, background=str(tmp_path), background_share=1.0)
    hearing.check_background(RATE, 1, lines.append)
    assert lines == ["2 of 3 sounds in augment.audio.background are damaged: broken.wav, empty.ogg; they are left out"]
    for seed in range(20):
        hearing.training_view(np.full(1000, 0.1, np.float32), RATE, np.random.default_rng(seed))
    hearing.check_background(RATE, 1, lines.append)
    assert len(lines) == 1


def test_silence_stays_silence():
    assert not view(np.zeros(500), 1, noise_db=0.0, gain_db=20.0).any()


def test_equal_random_numbers_give_equal_views():
    sound = np.random.default_rng(5).normal(size=5000).astype(np.float32) * 0.1
    options = {"gain_db": 6.0, "noise_db": 10.0, "invert": True, "shift": 1.0, "filter_db": 6.0}
    assert np.array_equal(view(sound, 7, **options), view(sound, 7, **options))
    assert not np.array_equal(view(sound, 7, **options), view(sound, 8, **options))


def test_all_values_out_of_range_are_said_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        Hearing(seconds=0.0, shift=2.0, mixup=-1.0, gain_db=-3.0, speed=0.6, filter_db=-1.0, most_windows=0, background=str(tmp_path), background_share=1.5)
    assert str(error.value).split("\n") == [
        "augment.audio.seconds = 0.0: expected 0.05 to 600",
        "augment.audio.most_windows = 0: expected at least 1",
        "augment.audio.shift = 2.0: expected a share from 0 to 1",
        "augment.audio.gain_db = -3.0: expected 0 to 60 dB",
        "augment.audio.speed = 0.6: expected a share from 0 to 0.5",
        "augment.audio.filter_db = -1.0: expected 0 to 60 dB",
        "augment.audio.background_share = 1.5: expected a share from 0 to 1",
        "augment.audio.mixup = -1.0: expected 0 for none, or an alpha above 0",
        f"augment.audio.background = {str(tmp_path)!r}: expected a folder that holds sounds (.wav, .flac, .ogg, .mp3)",
    ]

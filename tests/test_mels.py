"""Spectrograms equal librosa's, for one sound in numpy and for batches in torch."""

import numpy as np
import pytest

from kit import mels

RATES = [
    (32_000, {"mels": 128, "window_ms": 40.0, "hop_ms": 10.0, "low_hz": 20.0, "high_hz": 0.0}),
    (44_100, {"mels": 64, "window_ms": 46.4, "hop_ms": 11.6, "low_hz": 50.0, "high_hz": 14_000.0}),
    (16_000, {"mels": 40, "window_ms": 25.0, "hop_ms": 10.0, "low_hz": 0.0, "high_hz": 7500.0}),
]


def sounds(rate, seconds=1.5):
    """(4, samples): a falling noise, a sweep, a note with overtones in a quiet room, and a click in silence."""
    random, t = np.random.default_rng(0), np.arange(round(seconds * rate)) / rate
    noise = random.normal(scale=0.1, size=len(t))
    note = sum(0.3 / k * np.sin(2 * np.pi * 330 * k * t) for k in range(1, 9))
    click = np.zeros(len(t))
    click[len(t) // 2] = 1.0
    return np.stack([noise * np.exp(-3 * t), 0.5 * np.sin(2 * np.pi * 300 * t * (1 + t)) + 0.01 * noise, note + 0.01 * noise, click]).astype(np.float32)


def librosas(sound, rate, *, mels, window_ms, hop_ms, low_hz, high_hz):
    librosa = pytest.importorskip("librosa")
    window = round(rate * window_ms / 1000)
    n_fft = 2 ** int(np.ceil(np.log2(window)))
    form = {"n_fft": n_fft, "win_length": window, "hop_length": round(rate * hop_ms / 1000), "n_mels": mels, "fmin": low_hz, "fmax": high_hz or None}
    return librosa.feature.melspectrogram(y=sound, sr=rate, **form)


@pytest.mark.parametrize(("rate", "options"), RATES)
def test_decibels_of_one_sound_are_librosas(rate, options):
    librosa = pytest.importorskip("librosa")
    for sound in sounds(rate):
        expected = librosa.power_to_db(librosas(sound, rate, **options), top_db=None)
        np.testing.assert_allclose(mels.log_mel(sound, rate, **options), expected, atol=1e-3)


@pytest.mark.parametrize(("rate", "options"), RATES)
def test_decibels_of_a_batch_are_librosas(rate, options):
    librosa = pytest.importorskip("librosa")
    torch = pytest.importorskip("torch")
    from kit.zoo._spectra import LogMel

    batch = sounds(rate)
    found = LogMel(rate, **options)(torch.from_numpy(batch)).numpy()
    expected = np.stack([librosa.power_to_db(librosas(sound, rate, **options)) for sound in batch])
    apart = np.abs(found - expected)  # single precision: how it is rounded far below the loudest hangs on the processor
    assert np.quantile(apart, 0.9995) < 1e-3 and apart.max() < 2e-3


@pytest.mark.parametrize("seconds", [0.7, 6.0])  # less and more frames than are smoothed at once
def test_normalised_energy_is_librosas(seconds):
    librosa = pytest.importorskip("librosa")
    torch = pytest.importorskip("torch")
    from kit.zoo._spectra import Pcen

    rate, options = RATES[2]
    batch = sounds(rate, seconds)
    found = Pcen(rate, **options)(torch.from_numpy(batch)).numpy()
    power = np.stack([librosas(sound, rate, **options) for sound in batch])
    expected = librosa.pcen(power * 2**31, sr=rate, hop_length=160)
    assert found.shape == expected.shape and expected.max() > 3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_filters_are_librosas_and_of_area_one():
    librosa = pytest.importorskip("librosa")
    for rate, options in RATES:
        told = {"mels": options["mels"], "low_hz": options["low_hz"], "high_hz": options["high_hz"]}
        expected = librosa.filters.mel(sr=rate, n_fft=4096, n_mels=told["mels"], fmin=told["low_hz"], fmax=told["high_hz"] or None)
        np.testing.assert_allclose(mels.filters(rate, 4096, **told), expected, atol=1e-7)
    area = mels.filters(32_000, 8192, 40, 50.0, 0.0).sum(axis=1) * 32_000 / 8192
    np.testing.assert_allclose(area, 1.0, rtol=0.05)


def test_mels_and_hz_are_one_anothers_inverse():
    hz = np.array([0.0, 100.0, 999.0, 1000.0, 1001.0, 20_000.0])
    np.testing.assert_allclose(mels.mel_to_hz(mels.hz_to_mel(hz)), hz, atol=1e-6)
    assert mels.hz_to_mel(1000.0) == pytest.approx(15.0)  # Slaney: 66.7 Hz a mel up to there


def test_a_tone_lies_in_its_band():
    rate = 16_000
    sound = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    found = mels.log_mel(sound, rate, mels=40, low_hz=0.0)
    centres = mels.mel_to_hz(np.linspace(0, mels.hz_to_mel(8000), 42))[1:-1]
    assert centres[found.mean(axis=1).argmax()] == pytest.approx(1000, rel=0.06)


def test_a_sound_does_not_depend_on_what_it_is_batched_with():
    torch = pytest.importorskip("torch")
    from kit.zoo._spectra import LogMel

    batch = torch.from_numpy(sounds(16_000))
    spectra = LogMel(16_000, mels=40)
    torch.testing.assert_close(spectra(batch)[2:3], spectra(batch[2:3]), rtol=0, atol=1e-5)

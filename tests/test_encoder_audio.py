"""Sounds as columns: the same for all folds, missing where there is no sound, computed once."""

import importlib.util
import wave

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("soundfile")  # the extra `audio`

from kit.encoders import Encoders, Gathering, gathered
from kit.errors import ConfigError, DataError
from kit.tables import Column

SCHEMA = {"size": Column("numeric"), "clip": Column("audio")}
RATE = 16_000
GIVEN = {"audio": {"rate": RATE}}


def tone(path, hz, seconds=0.5):
    return written(path, 8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE))


def written(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return str(path)


def frames(folder, n=6):
    paths = [tone(folder / f"{k}.wav", 300 * (k + 1), 0.25 * (k + 1)) for k in range(n)]
    frame = pd.DataFrame({"size": np.arange(n, dtype=float), "clip": paths}, index=pd.Index([f"{k}" for k in range(n)], name="id"))
    return frame.iloc[:4], frame.iloc[4:]


def test_spectra_are_columns_beside_the_others_and_tell_tones_apart(tmp_path):
    train, test, stores = gathered(*frames(tmp_path), SCHEMA, GIVEN, Gathering())
    encoders = Encoders(SCHEMA, GIVEN, stores=stores)
    features = encoders.fit_transform(train, np.zeros((4, 1)))
    assert features.dense.shape == (4, 1 + 5 * 64 + 1) and features.dense_names[1] == "clip_0"
    loudest = features.dense[:, 1:65].argmax(axis=1)
    assert (np.diff(loudest) > 0).all()  # higher tones lie in higher bands
    np.testing.assert_allclose(features.dense[:, -1], np.log([0.25, 0.5, 0.75, 1.0]), atol=1e-6)
    assert encoders.transform(test).dense[0, 1:65].argmax() > loudest[-1]


def test_an_envelope_tells_a_stroke_from_a_swell_of_the_same_spectrum_however_loud_they_are(tmp_path):
    fading = np.linspace(1, 0.001, RATE) ** 3 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    sounds = [fading, fading[::-1], fading / 8, fading[: RATE // 2]]
    paths = [written(tmp_path / f"{k}.wav", 30_000 * sound) for k, sound in enumerate(sounds)]
    frame = pd.DataFrame({"size": np.zeros(4), "clip": paths}, index=pd.Index(list("abcd"), name="id"))
    given = {"audio": {"rate": RATE, "features": "envelope"}}
    stores = gathered(frame, frame.iloc[:0], SCHEMA, given, Gathering())[2]
    found = stores["clip"].features.reshape(4, 8, 32)
    band = found[0, 0].argmax()
    stroke, swell, quiet, short = found[:, :, band]
    assert (np.diff(stroke[1:6]) < 0).all() and (np.diff(swell[:6]) > 0).all()
    np.testing.assert_allclose(quiet[:5], stroke[:5], atol=0.5)  # relative to its own loudest place
    np.testing.assert_allclose(short[:4], stroke[:4], atol=0.5)
    assert (found[:, 7] == -80).all()  # nothing is heard after the end


def test_a_row_without_a_sound_has_missing_columns_and_no_other_row_changes(tmp_path):
    train, test = frames(tmp_path)
    whole = gathered(train, test, SCHEMA, GIVEN, Gathering())
    lacking = gathered(train, test.assign(clip=[None, test["clip"].iloc[1]]), SCHEMA, GIVEN, Gathering())
    before, after = (Encoders(SCHEMA, GIVEN, stores=s).fit_transform(t, np.zeros((4, 1))) for t, _, s in (whole, lacking))
    assert np.array_equal(before.dense, after.dense)
    encoders = Encoders(SCHEMA, GIVEN, stores=lacking[2])
    encoders.fit_transform(lacking[0], np.zeros((4, 1)))
    found = encoders.transform(lacking[1])
    assert np.isnan(found.dense[0, 1:]).all() and np.isfinite(found.dense[1]).all()


def test_a_model_that_takes_sounds_gets_them_and_no_columns_of_them(tmp_path):
    train, _, stores = gathered(*frames(tmp_path), SCHEMA, GIVEN, Gathering(takes=("audio",)))
    features = Encoders(SCHEMA, GIVEN, stores=stores).fit_transform(train, np.zeros((4, 1)))
    block = features.media["clip"]
    assert features.dense.shape == (4, 1) and block.kind == "audio" and block.rate == RATE and block.seconds.tolist() == [0.25, 0.5, 0.75, 1.0]
    some = features.take(np.array([2, 0]))
    assert np.array_equal(some.media["clip"][1], block[0]) and some.dense[:, 0].tolist() == [2.0, 0.0]


def test_features_are_computed_once_and_read_back_after(tmp_path, monkeypatch):
    train, test = frames(tmp_path)
    how = Gathering(folder=tmp_path / "cache")
    first = gathered(train, test, SCHEMA, GIVEN, how)[2]["clip"].features
    import kit.encoders.audio as module

    monkeypatch.setattr(module, "log_mel", lambda *given, **options: pytest.fail("computed again"))
    assert np.array_equal(gathered(train, test, SCHEMA, GIVEN, how)[2]["clip"].features, first)


def test_features_do_not_depend_on_the_number_of_threads(tmp_path):
    one, four = (gathered(*frames(tmp_path), SCHEMA, GIVEN, Gathering(threads=n))[2]["clip"].features for n in (1, 4))
    assert np.array_equal(one, four)


def test_a_network_of_pictures_looks_at_spectrograms(tmp_path):
    pytest.importorskip("timm")
    options = {"audio": {"rate": RATE, "features": "test_resnet", "weights": "none"}}
    train, test = frames(tmp_path)
    found = gathered(train, test.assign(clip=[None, test["clip"].iloc[1]]), SCHEMA, options, Gathering())[2]["clip"].features
    assert found.shape == (6, 96) and np.isnan(found[4]).all() and np.isfinite(np.delete(found, 4, axis=0)).all()
    assert len({row.tobytes() for row in found}) == 6


def test_too_many_damaged_training_sounds_stop_and_damaged_test_sounds_do_not(tmp_path):
    train, test = frames(tmp_path)
    lines = []
    for path in test["clip"]:
        open(path, "wb").close()
    gathered(train, test, SCHEMA, GIVEN, Gathering(progress=lines.append))
    assert any("2 of 6 sounds are damaged: 2 empty" in line for line in lines)
    open(train["clip"].iloc[0], "wb").close()
    with pytest.raises(DataError, match="too many sounds of the training rows"):
        gathered(train, test, SCHEMA, GIVEN, Gathering())


def test_new_rows_are_gathered_without_training_rows(tmp_path):
    _, test = frames(tmp_path)
    train, rows, stores = gathered(None, test, SCHEMA, GIVEN, Gathering())
    assert train is None and rows["clip"].tolist() == [0, 1] and len(stores["clip"].features) == 2


def test_what_a_network_of_voices_hears_stands_beside_the_spectra(tmp_path):
    pytest.importorskip("torch")
    train, test = frames(tmp_path)
    lacking = test.assign(clip=[None, test["clip"].iloc[1]])
    if importlib.util.find_spec("resemblyzer") is None:
        with pytest.raises(ConfigError, match="needs the weights in Resemblyzer"):
            gathered(train, lacking, SCHEMA, {"audio": {"rate": RATE, "features": "voice"}}, Gathering())
        return
    found = gathered(train, lacking, SCHEMA, {"audio": {"rate": RATE, "features": "spectra+voice"}}, Gathering())[2]["clip"].features
    plain = gathered(train, lacking, SCHEMA, GIVEN, Gathering())[2]["clip"].features
    voices = np.delete(found[:, plain.shape[1] :], 4, axis=0)
    assert np.array_equal(found[:, : plain.shape[1]], plain, equal_nan=True) and np.isnan(found[4]).all()
    assert voices.shape == (5, 256) and ((np.linalg.norm(voices, axis=1) > 0.8) & (np.linalg.norm(voices, axis=1) < 1.001)).all()
    assert len({v.tobytes() for v in voices}) == 5

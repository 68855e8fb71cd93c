"""Networks that hear: they learn, repeat to the byte whatever the number of workers, hear long clips window by window, and predict every row."""

import pickle

import numpy as np
import pytest

pytest.importorskip("soundfile")  # the extra `audio`

import soundfile
import torch

from kit.clips import Clips, gather
from kit.encoders import Examples, Features
from kit.errors import ConfigError, DataError
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.registry import find
from kit.stores import Damaged

RATE = 8000
QUICK = {"epochs": 2, "batch_size": 16, "accelerator": "cpu", "workers": 0, "precision": "32-true", "channels_last": "yes"}
SMALL = {"width": 8, "blocks": 2, "mels": 16, "dropout": 0.0}
HEARD = {"seconds": 0.25}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def noisy(random, hz, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * t) + random.normal(scale=0.05, size=len(t))).astype(np.float32)


def recorded(n=64, *, seed=0, damaged=(), seconds=None):
    """Rows whose class is whether the tone is high."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, n)
    cells = np.empty(n, dtype=object)
    for row in range(n):
        cells[row] = None if row in damaged else noisy(random, (500, 1500)[target[row]], seconds or random.uniform(0.1, 0.5))
    features = Features.of(n)
    features.media["clip"] = Clips(gather(cells, folder=None, rate=RATE, cache="never", threads=1, progress=lambda line: None), np.arange(n))
    return Examples(np.array([f"id{k}" for k in range(n)]), features, target)


def fitted(train, *, heard=HEARD, network=SMALL, checkpoints=None, **options):
    setup = Setup("multiclass", 2, "cross_entropy", augment={"audio": heard}, checkpoints=checkpoints)
    model = Neural(setup, find("zoo", "audio_cnn"), dict(network), **QUICK | options)
    model.fit(train, {})
    return model


def test_a_small_network_learns_which_tone_is_high():
    model = fitted(recorded(128), epochs=5)
    valid = recorded(60, seed=1)
    assert (model.predict(valid).argmax(axis=1) == valid.target).mean() > 0.95


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # tests have a core each
def test_what_is_heard_is_the_same_for_any_number_of_workers():
    heard = {"seconds": 0.2, "shift": 1.0, "gain_db": 6.0, "noise_db": 10.0, "invert": True, "mixup": 0.5}
    alone = fitted(recorded(), heard=heard).predict(recorded(20, seed=1))
    helped = fitted(recorded(), heard=heard, workers=2, prefetch=2).predict(recorded(20, seed=1))
    assert np.array_equal(alone, helped)
    assert not np.array_equal(alone, fitted(recorded(), heard={"seconds": 0.2}).predict(recorded(20, seed=1)))


def test_a_row_without_a_sound_gets_the_mean_answer_of_the_training_rows():
    train = recorded(damaged={0, 5})
    predicted = fitted(train).predict(recorded(10, seed=1, damaged={3}))
    seen = np.delete(train.target, [0, 5])
    assert predicted[3] == pytest.approx([1 - seen.mean(), seen.mean()])
    assert np.isfinite(predicted).all() and len(predicted) == 10


def test_a_long_clip_is_the_mean_of_its_windows_or_the_greatest_of_them():
    model = fitted(recorded())
    random = np.random.default_rng(2)
    parts = [noisy(random, hz, 0.25) for hz in (500, 1500, 500)]
    cells = np.empty(4, dtype=object)
    cells[:] = [np.concatenate(parts), *parts]
    given = Examples(np.array(list("abcd")), Features.of(4))
    given.features.media["clip"] = Clips(gather(cells, folder=None, rate=RATE, cache="never", threads=1, progress=lambda line: None), np.arange(4))
    model.hearing.hop_seconds = 0.25
    whole, *each = model.predict(given)
    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-5)
    model.hearing.pooling = "max"
    greatest = np.max(each, axis=0)
    assert greatest.sum() > 1.0005
    assert model.predict(given)[0].sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(model.predict(given)[0], greatest / greatest.sum(), atol=1e-5)


def test_answers_do_not_depend_on_the_other_rows():
    model, rows = fitted(recorded()), recorded(12, seed=1)
    np.testing.assert_allclose(model.predict(rows)[3:5], model.predict(rows.take(np.array([3, 4]))), atol=1e-5)


def test_a_training_goes_on_after_a_stop_to_the_same_bytes(tmp_path, monkeypatch):
    train, valid = recorded(), recorded(10, seed=1)
    whole = fitted(train, epochs=3).predict(valid)
    from kit.zoo._supervised import Supervised

    ended = Supervised.on_train_epoch_end

    def killed(self):
        ended(self)
        if self.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Supervised, "on_train_epoch_end", killed)
        fitted(train, epochs=3, checkpoints=tmp_path)
    assert np.array_equal(fitted(train, epochs=3, checkpoints=tmp_path).predict(valid), whole)


def test_sounds_are_not_mixed_where_other_columns_stand_beside_them():
    train = recorded()
    train.features.dense, train.features.dense_names = np.random.default_rng(0).normal(size=(len(train), 1)).astype(np.float32), ["size"]
    fitted(train)
    with pytest.raises(ConfigError) as caught:
        fitted(train, heard=HEARD | {"mixup": 0.5})
    assert str(caught.value) == (
        "augment.audio.mixup = 0.5 mixes sounds alone, and this model looks at the other columns beside them\n"
        "set it to 0, or drop the columns: input.drop = [...]"
    )


def test_damaged_backgrounds_do_not_end_a_training(tmp_path):
    soundfile.write(tmp_path / "hum.wav", noisy(np.random.default_rng(0), 400, 0.5), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    heard = HEARD | {"background": str(tmp_path), "background_share": 1.0}
    assert np.isfinite(fitted(recorded(), heard=heard).predict(recorded(4, seed=1))).all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # tests have a core each
def test_damage_that_a_loader_worker_meets_is_told_as_it_is_elsewhere():
    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, row):
            raise Damaged("truncated", "a.wav")

    with pytest.raises(Damaged) as caught:
        list(torch.utils.data.DataLoader(Rows(), num_workers=1))
    assert str(caught.value) == "a.wav is damaged: truncated" == str(Damaged("truncated", "a.wav"))
    again = pickle.loads(pickle.dumps(Damaged("truncated", "a.wav")))
    assert (again.kind, again.name) == ("truncated", "a.wav")


def test_a_table_without_sounds_and_wrong_options_say_so():
    with pytest.raises(DataError, match="no column of sounds, which this model learns from\nname one: input.columns.audio"):
        fitted(Examples(np.array(["a", "b"]), Features.of(2), np.array([0, 1])))
    with pytest.raises(ConfigError, match="augment.audio.seconds = 0.0"):
        fitted(recorded(4), heard={"seconds": 0.0})

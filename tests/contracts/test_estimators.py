"""Every estimator and network, for every task that it can do: learns, repeats itself, and comes back from its files."""

from pathlib import Path

import numpy as np
import pytest

from kit import registry
from kit.album import Pictures, gather
from kit.clips import Clips
from kit.clips import gather as recorded
from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup
from kit.tokens import Tokens

ROWS = 400
LOSS = {"binary": "bce", "multiclass": "cross_entropy", "regression": "mse", "multilabel": "bce"}
OUTPUTS = {"binary": 1, "multiclass": 3, "regression": 1, "multilabel": 2}
MODELS = [n for n in registry.installed("estimators") if n != "neural"] + registry.installed("zoo")
MODELS = [n for n in MODELS if not getattr(registry.find_model(n)[1], "tasks", ())]  # those of one task alone have tests of their own


def _examples(task: str, seed: int, rows: int = ROWS) -> Examples:
    """A number with missing values, a noise column, and a category that matters; beside them a picture, a text and a sound that tell the same."""
    random = np.random.default_rng(seed)
    number, noise, colour = random.normal(size=rows), random.normal(size=rows), random.integers(1, 4, rows)
    signal = 2 * number + (colour == 2) * 2
    target = {
        "binary": (signal > 0.5).astype(float),
        "multiclass": np.digitize(signal, [-0.5, 1.5]),
        "regression": signal,
        "multilabel": np.column_stack([signal > 0, signal > 1]).astype(float),
    }[task]
    dense = np.column_stack([number, noise]).astype(np.float32)
    dense[random.random(rows) < 0.05, 0] = np.nan
    features = Features(dense, ["number", "noise"], colour[:, None].astype(np.int32), ["colour"], [4])
    features.media |= {"photo": _pictures(number, colour, random), "text": _texts(number, colour, random), "noise": _sounds(number, colour, random)}
    return Examples(np.array([f"{n:04d}" for n in range(rows)], dtype=object), features, target)


def _pictures(number: np.ndarray, colour: np.ndarray, random: np.random.Generator) -> Pictures:
    """16 x 16, brighter for larger numbers, with a frame for one of the colours."""
    cells = np.empty(len(number), dtype=object)
    for row, (light, framed) in enumerate(zip(np.clip(120 + 45 * number, 0, 255), colour == 2)):
        pixels = np.clip(light + random.normal(0, 10, (16, 16, 3)), 0, 255)
        if framed:
            pixels[:3], pixels[-3:] = 255, 0
        cells[row] = pixels.astype(np.uint8)
    return Pictures(gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None), np.arange(len(number)))


def _texts(number: np.ndarray, colour: np.ndarray, random: np.random.Generator) -> Tokens:
    """A word for the size of the number, another for the colour, and up to five words that say nothing."""
    words = [[3 + int(size), 10 + c, *random.integers(14, 20, random.integers(6))] for size, c in zip(np.digitize(number, [-1.2, -0.7, -0.3, 0.3, 0.7, 1.2]), colour)]
    body = np.concatenate([random.permutation(row) for row in words]).astype(np.int32)
    starts = np.cumsum([0, *map(len, words)])
    return Tokens(body, starts, np.zeros(len(body), np.int8), [1], [2], 0, 20, 16, f"{random.integers(1 << 30)}")


def _sounds(number: np.ndarray, colour: np.ndarray, random: np.random.Generator) -> Clips:
    """A quarter of a second at 8 kHz: higher for larger numbers, with a hiss for one of the colours."""
    time, cells = np.arange(2000) / 8000, np.empty(len(number), dtype=object)
    for row, (height, hissing) in enumerate(zip(number, colour == 2)):
        tone = 0.3 * np.sin(2 * np.pi * 800 * 2 ** np.clip(height, -2, 2) * time)
        cells[row] = (tone + random.normal(0, 0.1 if hissing else 0.003, len(time))).astype(np.float32)
    return Clips(recorded(cells, folder=None, rate=8000, cache="never", threads=1, progress=lambda line: None), np.arange(len(number)))


def _model(name: str, task: str):
    kind, part = registry.find_model(name)
    loss = "arcface" if _gives_embeddings(name) else LOSS[task]
    setup = Setup(task=task, outputs=OUTPUTS[task], loss=loss, threads=1, augment={"size": 16, "recipe": "none", "audio": {"seconds": 0.25}})
    if kind == "estimators":
        return part(setup)
    return registry.find("estimators", "neural")(setup, part, getattr(part, "SMALL", {}), epochs=15, batch_size=32)


def _gives_embeddings(name: str) -> bool:
    """Networks that give embeddings are for classes alone, by a loss that takes such."""
    kind, part = registry.find_model(name)
    return kind == "zoo" and getattr(part, "embeds", False)


def _fitted(name: str, task: str, train: Examples):
    model = _model(name, task)
    found = model.watch(train, _examples(task, 5, 100)) if model.watches else {}
    model.fit(train, found)
    return model


def _error(task: str, predicted: np.ndarray, truth: np.ndarray) -> float:
    if task == "multiclass":
        truth = np.eye(3)[truth]
    return float(((predicted.reshape(len(truth), -1) - truth.reshape(len(truth), -1)) ** 2).mean())


@pytest.mark.parametrize("task", LOSS)
@pytest.mark.parametrize("name", MODELS)
def test_model_learns_repeats_itself_and_comes_back_from_its_files(name, task, tmp_path):
    train, test = _examples(task, 0), _examples(task, 1, 150)
    try:
        model = _fitted(name, task, train)
    except ConfigError as error:
        pytest.skip(f"{name} says that it cannot: {error}")
    predicted = model.predict(test)
    assert len(predicted) == len(test) and np.isfinite(predicted).all()
    if task != "regression":
        assert predicted.min() >= 0 and predicted.max() <= 1 + 1e-9
    if task == "multiclass":
        assert np.allclose(predicted.sum(axis=1), 1, atol=1e-5)
    constant = np.tile((np.eye(3)[train.target] if task == "multiclass" else train.target.reshape(len(train), -1)).mean(axis=0), (len(test), 1))
    if name != "constant":
        assert _error(task, predicted, test.target) < 0.8 * _error(task, constant, test.target)
    model.save(tmp_path)
    assert not [p for p in Path(tmp_path).iterdir() if p.suffix not in (".json", ".safetensors", ".txt")]
    again = _model(name, task)
    again.load(tmp_path)
    assert np.array_equal(again.predict(test), predicted)
    assert np.array_equal(_fitted(name, task, train).predict(test), predicted)


@pytest.mark.parametrize("name", MODELS)
def test_absurd_rows_to_predict_move_nothing_that_was_fitted(name):
    task = "multiclass" if _gives_embeddings(name) else "binary"
    train, test = _examples(task, 0), _examples(task, 1, 50)
    model = _fitted(name, task, train)
    before = model.predict(test)
    absurd = _examples(task, 2, 50)
    absurd.features.dense[:] = 1e30
    absurd.features.codes[:] = 0
    absurd.features.media = {name: block.take(np.zeros(50, dtype=np.int64)) for name, block in absurd.features.media.items()}
    assert np.isfinite(model.predict(absurd)).all()
    assert np.array_equal(model.predict(test), before)


@pytest.mark.parametrize("name", [n for n in MODELS if getattr(registry.find_model(n)[1], "embeds", False)])
def test_embeddings_are_of_length_1_find_rows_alike_and_come_back_from_the_files(name, tmp_path):
    train, test = _examples("multiclass", 0), _examples("multiclass", 1, 150)
    model = _fitted(name, "multiclass", train)
    embeddings, found = model.embed(train), model.embed(test)
    assert found.dtype == np.float32 and found.shape == (150, embeddings.shape[1])
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(150), abs=1e-5)
    nearest = train.target[(found @ embeddings.T).argmax(axis=1)]
    assert (nearest == test.target).mean() > np.bincount(test.target).max() / 150 + 0.15
    model.save(tmp_path)
    again = _model(name, "multiclass")
    again.load(tmp_path)
    assert np.array_equal(again.embed(test), found)

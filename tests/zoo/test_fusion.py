"""A network of many kinds: what it makes of rows that lack some of them."""

import numpy as np
import pytest
import torch

from kit.album import Pictures, gather
from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.tokens import Tokens
from kit.zoo.fusion import Fusion

pytest.importorskip("albumentations")
SMALL = {"width": 16, "image": {"name": "convnet", "width": 8, "blocks": 2}, "text": {"name": "text_cnn", "embedding": 8, "channels": 8}}


def rows(n=80, *, pictures=True, texts=True, seed=0):
    """The answer is the brightness of the picture plus whether the text has word 4; each third row lacks a picture, each fourth its text."""
    random = np.random.default_rng(seed)
    light, said = random.random(n), random.integers(0, 2, n)
    features = Features.of(n, dense={"noise": random.normal(size=n).astype(np.float32)})
    if pictures:
        cells = np.array([None if k % 3 == 0 else np.full((16, 16, 3), 250 * v, np.uint8) for k, v in enumerate(light)] + [0], dtype=object)[:n]
        features.media["photo"] = Pictures(gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None), np.arange(n))
    if texts:
        bodies = [[] if k % 4 == 0 else [3 + word, 5] for k, word in enumerate(said)]
        starts = np.cumsum([0, *map(len, bodies)])
        body = np.concatenate(bodies).astype(np.int32)
        features.media["text"] = Tokens(body, starts, np.zeros(len(body), np.int8), [1], [2], 0, 6, 8, f"words {seed}")
    return Examples(np.arange(n).astype(str).astype(object), features, light * (np.arange(n) % 3 > 0) + said * (np.arange(n) % 4 > 0))


def build(options=SMALL, **given):
    setup = Setup(task="regression", outputs=1, loss="mse", threads=1, augment={"size": 16, "recipe": "none"} | given.pop("augment", {}))
    return Neural(setup, Fusion, options, **{"epochs": 30, "batch_size": 16, "lr": 5e-3, "precision": "32-true", **given})


def test_rows_are_answered_from_whatever_they_have():
    model, train, test = build(), rows(240), rows(60, seed=1)
    model.fit(train, {})
    wrong = (model.predict(test)[:, 0] - test.target) ** 2
    assert np.isfinite(wrong).all() and wrong.mean() < 0.4 * test.target.var()


@pytest.mark.parametrize("kinds", [{"pictures": False}, {"texts": False}, {"pictures": False, "texts": False}])
def test_a_kind_that_no_row_has_is_not_asked_for(kinds, tmp_path):
    model = build(epochs=2)
    model.fit(rows(40, **kinds), {})
    model.save(tmp_path)
    other = build(epochs=2)
    other.load(tmp_path)
    assert np.array_equal(model.predict(rows(10, **kinds)), other.predict(rows(10, **kinds)))
    assert sorted(other.network.encoders) == [k for k, there in (("image", kinds.get("pictures", True)), ("text", kinds.get("texts", True))) if there]


def test_training_drops_kinds_but_never_all_that_a_row_has():
    model = build(SMALL | {"drop_kinds": 0.9}, epochs=1)
    model.fit(rows(40), {})
    batch = {"image_there": torch.tensor([True, False, True]), "text_there": torch.tensor([True, True, False])}
    model.network.train()
    torch.manual_seed(0)
    drawn = [model.network._kept(batch) for _ in range(200)]
    there = torch.stack([batch["image_there"], batch["text_there"]], dim=1)
    assert all((kept.any(dim=1)).all() and not (kept & ~there).any() for kept in drawn)
    assert {tuple(kept[0].tolist()) for kept in drawn} == {(True, True), (True, False), (False, True)}
    model.network.eval()
    assert torch.equal(model.network._kept(batch), there)


def test_what_is_missing_tells_the_answer_nothing_but_that_it_is_missing():
    model = build(epochs=2)
    model.fit(rows(40), {})
    batch = {
        "dense": torch.zeros(2, 1), "codes": torch.zeros(2, 0, dtype=torch.long), "image": torch.randint(0, 255, (2, 3, 16, 16), dtype=torch.uint8),
        "tokens": torch.tensor([[1, 3, 2], [1, 3, 2]]), "mask": torch.ones(2, 3, dtype=torch.bool), "segments": torch.zeros(2, 3, dtype=torch.long),
        "image_there": torch.tensor([False, False]), "text_there": torch.tensor([True, True]),
    }  # fmt: skip
    first, second = model.network(batch).flatten().tolist()
    assert first == pytest.approx(second, abs=1e-6)


def test_mistakes_in_the_encoders_options_are_said_together():
    with pytest.raises(ConfigError) as error:
        build({"image": {"name": "convnot"}, "text": {"name": "convnet"}, "audio": {"name": "audio_cnn", "widht": 8}})
    said = str(error.value)
    assert 'model.image.name: ' in said and "convnet" in said
    assert 'model.text.name = "convnet" is no network for columns of kind text' in said
    assert "model.audio.widht is not an option here" in said


def test_mixing_pictures_alone_is_refused():
    with pytest.raises(ConfigError, match="augment.mixup and augment.cutmix mix pictures alone"):
        build(augment={"mixup": 0.2})
    with pytest.raises(ConfigError, match="augment.audio.mixup mixes sounds alone"):
        build(augment={"audio": {"mixup": 0.2}})

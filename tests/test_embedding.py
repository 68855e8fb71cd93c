"""Models that embed: losses with weights are trained, averaged, stopped and saved with their network; classes are drawn evenly; labels may lack."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from safetensors.torch import save_file

from kit.album import Pictures, gather
from kit.encoders import Examples, Features
from kit.errors import ConfigError, DataError
from kit.estimators import Setup
from kit.estimators.knn import Knn
from kit.estimators.neural import Neural
from kit.registry import find
from kit.zoo._loading import Order
from kit.zoo._optimizers import optimizer_for
from kit.zoo._supervised import Supervised, _averaged

QUICK = {"epochs": 2, "batch_size": 16, "accelerator": "cpu", "workers": 0, "precision": "32-true", "channels_last": "yes"}
CONV = {"trunk": "convnet", "weights": "none", "width": 8}
SEEN = {"size": 16, "recipe": "none"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(n=48, *, seed=0, missing=(), mirrored=False):
    """Rows of three classes: the left, the right or no half of the picture is bright."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, n)
    pixels = random.integers(0, 60, (n, 16, 16, 3)).astype(np.uint8)
    for picture, answer in zip(pixels, target):
        picture[:, 8 * answer : 8 * answer + 8] += 120
    cells = np.empty(n, dtype=object)
    for row in range(n):
        cells[row] = None if row in missing else np.ascontiguousarray(pixels[row][:, ::-1] if mirrored else pixels[row])
    album = gather(cells, folder=None, size=0, cache="never", most_pixels=10**6, threads=1, progress=lambda line: None)
    features = Features.of(n)
    features.media["photo"] = Pictures(album, np.arange(n))
    return Examples(np.array([f"id{k}" for k in range(n)]), features, target)


def build(name="embedder", loss="arcface", task="multiclass", checkpoints=None, progress=lambda line: None, augment=SEEN, network=CONV, **options):
    setup = Setup(task, 3, loss, progress=progress, checkpoints=checkpoints, augment=dict(augment))
    return Neural(setup, find("zoo", name), dict(network), **QUICK | options)


def fitted(train, **options):
    model = build(**options)
    model.fit(train, {})
    return model


def bytes_of(model):
    rows = drawn(20, seed=1)
    return model.predict(rows).tobytes() + model.embed(rows).tobytes()


@pytest.mark.parametrize("loss", ["arcface", "sub_centre_arcface", "curricular", "dynamic_margin"])
def test_a_picture_lies_nearest_to_pictures_of_its_class(loss):
    train, valid = drawn(192), drawn(60, seed=1)
    model = fitted(train, loss=loss, epochs=6, lr=0.01, sampling="classes")
    p, found = model.predict(valid), model.embed(valid)
    assert (p.argmax(axis=1) == valid.target).mean() > 0.9
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    nearest = (found @ model.embed(train).T).argmax(axis=1)
    assert (train.target[nearest] == valid.target).mean() > 0.9


@pytest.mark.parametrize("loss", ["arcface", "sub_centre_arcface", "curricular", "dynamic_margin"])
def test_a_class_that_is_new_to_further_training_begins_where_its_rows_lie(loss, monkeypatch):
    rows, valid = drawn(192), drawn(60, seed=1)
    model = fitted(rows.take(np.flatnonzero(rows.target != 2)), loss=loss, epochs=6, lr=0.01)
    weight = model.loss.angular.W.detach().clone()
    new = valid.target == 2
    assert (model.predict(valid)[new].argmax(axis=1) == 2).mean() < 0.2 and model.prior[2] == 0
    monkeypatch.setattr(model, "_learn", lambda *_: None)
    model.further(rows)
    model.network.eval()
    assert (model.predict(valid)[new].argmax(axis=1) == 2).mean() > 0.9 and model.prior[2] > 0
    each = weight.shape[1] // 3
    now = model.loss.angular.W.detach()
    assert torch.equal(now[:, : 2 * each], weight[:, : 2 * each]) and torch.equal(now[:, 2 * each + 1 :], weight[:, 2 * each + 1 :])
    assert now[:, 2 * each].norm() == pytest.approx(weight.norm(dim=0).mean().item(), rel=1e-4)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("loss", ["arcface", "sub_centre_arcface", "curricular", "dynamic_margin"])
@pytest.mark.parametrize("options", [{"ema": 0.9}, {"optimizer": "sgd", "sampling": "classes"}, {"head_epochs": 2, "freeze_layers": 1}, {"augment": {"size": 16, "recipe": "light", "mixup": 0.5}}])
def test_a_killed_training_goes_on_to_the_same_bytes_with_the_weights_of_its_loss(loss, options, tmp_path):
    options, lines = options | {"loss": loss, "epochs": 3}, []

    def killed_after_one(line):
        if line.startswith("epoch 1"):
            raise Killed

    with pytest.raises(Killed):
        fitted(drawn(), checkpoints=tmp_path, progress=killed_after_one, **options)
    resumed = fitted(drawn(), checkpoints=tmp_path, progress=lines.append, **options)
    assert lines[0] == "going on after epoch 1 of 3" and len(lines) == 3
    assert bytes_of(resumed) == bytes_of(fitted(drawn(), **options))


def test_a_training_killed_after_its_last_epoch_predicts_by_the_averaged_weights(tmp_path):
    lines = []
    first = fitted(drawn(), checkpoints=tmp_path, ema=0.9)
    second = fitted(drawn(), checkpoints=tmp_path, ema=0.9, progress=lines.append)
    assert lines == ["going on after epoch 2 of 2"]
    assert bytes_of(first) == bytes_of(second)


def test_averages_cover_the_weights_of_a_loss_and_not_what_it_counts_or_remembers():
    curricular, remembering = build(loss="curricular").loss, find("losses", "early_learning")()
    curricular.build(4, 3)
    remembering.learn(torch.tensor([0, 1, 2]), 3)
    network = torch.nn.Linear(1, 1)
    assert set(_averaged(network, curricular)) == {"network.weight", "network.bias", "loss.angular.W"}
    assert set(_averaged(network, remembering)) == {"network.weight", "network.bias"}
    plain, averaged = (fitted(drawn(), ema=ema).loss.angular.W for ema in (0.0, 0.9))
    assert not torch.equal(plain, averaged)


def test_directions_of_classes_decay_as_other_matrices_do():
    loss = build().loss
    loss.build(4, 3)
    groups = optimizer_for(torch.nn.ModuleList([torch.nn.Linear(2, 4), loss]), "adamw", lr=0.1, weight_decay=0.5).param_groups
    assert next(g["weight_decay"] for g in groups if any(p is loss.angular.W for p in g["params"])) == 0.5


def test_they_learn_at_the_rate_of_the_head_and_while_the_trunk_is_frozen():
    states = []

    def look(line):
        if line.startswith("epoch"):
            states.append({k: v.clone() for part in (model.network, model.loss) for k, v in part.state_dict().items()})

    model = build(progress=look, freeze_epochs=1, layer_decay=0.5, epochs=3)
    model.fit(drawn(), {})
    first, second, third = states
    frozen = [k for k in first if k.startswith("trunk.")]
    assert torch.equal(first["trunk.body.0.weight"], build_start()["trunk.body.0.weight"])
    assert not any(torch.equal(first[k], second[k]) for k in frozen if k.endswith("weight"))
    for name in ("angular.W", "project.0.weight", "project.1.running_mean", "power"):
        assert not torch.equal(first[name], second[name]) and not torch.equal(second[name], third[name])
    assert not torch.equal(first["project.1.running_mean"], torch.zeros(8))  # batch norm of the head learns with the head

    layers = Supervised._layers(type("Module", (), {"network": model.network, "loss": model.loss}))
    assert layers["loss.angular.W"] == layers["network.project.0.weight"] == max(layers.values())


def build_start():
    """The state that a training of `drawn()` starts from."""
    model = build()
    model.preparation.fit(drawn().features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model._build().state_dict()


@pytest.mark.parametrize("loss", ["arcface", "sub_centre_arcface", "curricular", "dynamic_margin"])
def test_saved_and_loaded_it_predicts_and_embeds_alike(loss, tmp_path):
    model, other = fitted(drawn(), loss=loss), build(loss=loss)
    model.save(tmp_path)
    other.load(tmp_path)
    assert bytes_of(model) == bytes_of(other)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_views_are_averaged_as_directions_and_brought_to_length_1_again():
    model = fitted(drawn())
    plain, mirrored = model.embed(drawn(6, seed=1)), model.embed(drawn(6, seed=1, mirrored=True))
    model.augment.views = ["flip"]
    model.views["image"].plain = []
    mean = (plain + mirrored) / 2
    assert model.embed(drawn(6, seed=1)) == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-5)


def test_a_row_without_a_picture_has_an_embedding_of_zeros():
    model = fitted(drawn(missing={0, 5}))
    found = model.embed(drawn(10, seed=1, missing={3}))
    assert found[3].tolist() == [0] * 8
    assert np.linalg.norm(np.delete(found, 3, axis=0), axis=1) == pytest.approx(np.ones(9), abs=1e-5)
    assert model.embed(drawn(0)).shape == (0, 8)


def test_the_measurement_takes_real_steps_with_the_loss():
    found = build(precision="auto", channels_last="auto", workers=-1).measure(drawn())
    assert found["precision"] in ("32-true", "bf16-mixed") and set(found) == {"precision", "channels_last", "workers", "prefetch"}


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["arcface", "curricular"])
def test_two_processes_learn_the_weights_of_one_loss(loss):
    train, valid = drawn(192), drawn(60, seed=1)
    model = fitted(train, loss=loss, devices=2, epochs=6, lr=0.01, sampling="classes")
    assert (model.predict(valid).argmax(axis=1) == valid.target).mean() > 0.8
    assert not torch.equal(model.loss.angular.W, fitted(train, loss=loss, epochs=1).loss.angular.W)


def asked(classes, *, epoch=0, seed=0, rank=0, ranks=1):
    order = Order(len(classes), 5, 1, seed, lambda: epoch, rank, ranks, lambda e: 16, np.array(classes))
    return [a.rows.tolist() for a in order]


def test_classes_are_drawn_equally_often_and_rows_of_a_class_too():
    classes = [0] * 40 + [1] * 7 + [4] * 3  # 50 rows: 17, 17 and 16 of each in some order
    rows = [row for batch in asked(classes) for row in batch]
    counts = Counter(classes[row] for row in rows)
    assert len(rows) == 50 and sorted(counts.values()) == [16, 17, 17] and set(counts) == {0, 1, 4}
    times = Counter(rows)
    assert max(times[r] for r in range(40)) == 1
    assert {times[r] for r in range(40, 47)} <= {2, 3} and {times[r] for r in range(47, 50)} <= {5, 6}


def test_the_draw_is_decided_by_seed_and_epoch_and_shared_by_all_processes():
    classes = [0] * 40 + [1] * 7 + [2] * 3
    assert asked(classes) == asked(classes)
    assert asked(classes) != asked(classes, epoch=1) and asked(classes) != asked(classes, seed=1)
    shares = [asked(classes, rank=rank, ranks=2) for rank in (0, 1)]
    together = [sorted(first + second) for first, second in zip(*shares)]
    assert together == [sorted(batch) for batch in asked(classes)]


def test_the_other_rows_of_a_great_class_have_their_turn_in_other_epochs():
    classes = [0] * 40 + [1] * 10
    seen = {row for epoch in range(12) for batch in asked(classes, epoch=epoch) for row in batch}
    assert seen == set(range(50))


def test_sampling_by_class_needs_classes():
    with pytest.raises(ConfigError, match='^train.sampling = "classes": rows of output.task = "regression" are not of one class each\nset train.sampling = "rows"$'):
        build("convnet", "mse", "regression", network={}, sampling="classes")


@pytest.mark.parametrize(
    "given, words",
    [
        (
            {"loss": "cross_entropy"},
            'train.loss = "cross_entropy" takes outputs, and this network gives embeddings\n'
            "set train.loss to one that serves it: arcface, curricular, dynamic_margin, sub_centre_arcface",
        ),
        (
            {"loss": "bce", "task": "binary"},
            'train.loss = "bce" takes outputs, and this network gives embeddings\n'
            'none takes this network\'s embeddings for such a task: name a model that gives outputs, such as model.name = "timm"',
        ),
    ],
)
def test_a_network_that_embeds_needs_a_loss_that_takes_embeddings(given, words):
    with pytest.raises(ConfigError) as caught:
        build(**given)
    assert str(caught.value) == words


def test_a_loss_that_takes_embeddings_needs_a_network_that_embeds():
    with pytest.raises(ConfigError) as caught:
        build("convnet", network={})
    wrong, remedy = str(caught.value).split("\n")
    assert wrong == 'train.loss = "arcface" takes embeddings, and this network gives outputs'
    assert "cross_entropy" in remedy and "arcface" not in remedy


def unlabelled(rows):
    return replace(rows, target=None)


def test_without_labels_the_weights_it_starts_from_are_used_as_they_are(tmp_path):
    trained, lines = fitted(drawn()), []
    trained.save(tmp_path)
    network = CONV | {"weights": str(tmp_path / "model.safetensors")}
    model = fitted(unlabelled(drawn()), network=network, progress=lines.append)
    assert lines == ["no labels: the weights it starts from are used as they are"]
    assert model.embed(drawn(5, seed=1)).shape == (5, 128)  # the trunk's own width: a projection would be drawn by lot
    trunk = trained.network.trunk.state_dict()
    assert all(torch.equal(v, trunk[k]) for k, v in model.network.trunk.state_dict().items())
    assert model.measure(unlabelled(drawn())) == {}
    with pytest.raises(DataError, match="^the training rows had no labels: this model finds what looks alike, and predicts no label$"):
        model.predict(drawn(5))
    model.save(tmp_path)
    other = build(network=network)
    other.load(tmp_path)
    assert np.array_equal(model.embed(drawn(5, seed=1)), other.embed(drawn(5, seed=1)))


def test_weights_learned_from_pictures_alone_are_those_of_what_a_run_without_labels_embeds(tmp_path):
    seen = {"temperature": 0.5, "hidden": 16, "projected": 8, "least_area": 0.3}
    network, losses = build(checkpoints=tmp_path).pretrain(unlabelled(drawn()), method="simclr", epochs=2, batch_size=16, lr=1e-3, **seen)
    assert len(losses) == 2 and network.width == 128 and network.head() == {"power"}
    save_file({f"network.{k}": v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "weights.safetensors")
    model = fitted(unlabelled(drawn()), network=CONV | {"weights": str(tmp_path / "weights.safetensors")})
    assert all(torch.equal(v, network.trunk.state_dict()[k]) for k, v in model.network.trunk.state_dict().items())


def test_without_labels_and_weights_there_is_nothing_to_use():
    with pytest.raises(ConfigError, match='^model.weights = "none": there are no labels to learn weights from'):
        fitted(unlabelled(drawn()))


def test_without_labels_a_network_that_gives_outputs_is_refused():
    with pytest.raises(ConfigError, match='^there are no labels, which this network learns from\nname a model that embeds: model.name = "embedder"$'):
        fitted(unlabelled(drawn()), name="convnet", loss="cross_entropy", network={})


def words(n=40, *, seed=0, width=500):
    """Rows of two classes that share no word, ten words each of their class's hundred; the last column is never filled."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, n)
    columns = np.concatenate([100 * answer + random.choice(100, 10, replace=False) for answer in target])
    sparse = scipy.sparse.csr_matrix((np.ones(10 * n, np.float32), columns, np.arange(n + 1) * 10), shape=(n, width))
    features = Features.of(n)
    features.sparse = sparse
    return Examples(np.array([f"id{k}" for k in range(n)]), features, target)


def test_sparse_rows_are_embedded_by_what_words_go_together(tmp_path):
    model, rows = Knn(Setup("multiclass", 2, "cross_entropy")), words(30, seed=1)
    model.fit(words(400), {})
    found = model.embed(rows)
    assert found.shape[1] <= 256 and np.linalg.norm(found, axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    alike = found @ found.T
    same = rows.target[:, None] == rows.target
    assert np.abs(alike[~same]).max() < 1e-5 < alike[same].mean()
    model.save(tmp_path)
    other = Knn(Setup("multiclass", 2, "cross_entropy"))
    other.load(tmp_path)
    assert np.array_equal(found, other.embed(rows)) and np.array_equal(model.predict(rows), other.predict(rows))


def test_words_that_no_training_row_has_say_nothing():
    model, rows = Knn(Setup("multiclass", 2, "cross_entropy")), words(3, seed=1)
    model.fit(words(400), {})
    filled = rows.features.sparse.tolil()
    filled[0, 499] = 5.0
    more = replace(rows, features=replace(rows.features, sparse=filled.tocsr()))
    assert model.embed(more) == pytest.approx(model.embed(rows), abs=1e-5)


def numbers(values, target=None):
    values = np.array(values, np.float32)
    features = Features.of(len(values), dense={"a": values[:, 0], "b": values[:, 1]})
    return Examples(np.array([f"id{k}" for k in range(len(values))]), features, target)


@pytest.mark.parametrize("scale, expected", [(True, [-1 / 2**0.5, -1 / 2**0.5]), (False, [0.6, 0.8])])
def test_numbers_are_scaled_before_rows_are_brought_to_length_1_unless_told_not_to(scale, expected):
    model = Knn(Setup("multiclass", 2, "cross_entropy"), scale=scale)
    model.fit(numbers([[30, 40], [50, 60]], np.array([0, 1])), {})
    assert model.embed(numbers([[30, 40]]))[0].tolist() == pytest.approx(expected)


def test_knn_without_labels_embeds_and_says_that_it_cannot_predict(tmp_path):
    model, rows = Knn(Setup("multiclass", 0, "cross_entropy")), numbers([[3, 1], [np.nan, np.nan]])
    model.fit(numbers([[0, 1], [4, 5], [8, 0]]), {})
    found = model.embed(rows)
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 0])  # of the second row nothing is known
    model.save(tmp_path)
    other = Knn(Setup("multiclass", 0, "cross_entropy"))
    other.load(tmp_path)
    assert np.array_equal(found, other.embed(rows))
    with pytest.raises(DataError, match="^the training rows had no labels: this model finds what looks alike, and predicts no label$"):
        other.predict(rows)

"""Networks that look at pictures: they learn, repeat to the byte whatever the number of workers, go on after a stop, and predict every row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.album import Pictures, gather
from kit.encoders import Examples, Features
from kit.errors import ConfigError, DataError, TrainingError
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.registry import find
from kit.zoo import _head, _measure, _supervised
from kit.zoo._loading import Order
from kit.zoo._mixing import mixed
from kit.zoo._optimizers import optimizer_for, optimizer_names, shares_of_lr
from kit.zoo._supervised import Looking

QUICK = {"epochs": 2, "batch_size": 16, "accelerator": "cpu", "workers": 0, "precision": "32-true", "channels_last": "yes"}
SMALL = {"width": 4, "blocks": 2, "dropout": 0.0}
SEEN = {"size": 16, "recipe": "none"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(n=64, *, seed=0, damaged=()):
    """Rows whose class is which half of the picture is bright."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, n)
    pixels = random.integers(0, 60, (n, 16, 16, 3)).astype(np.uint8)
    for picture, answer in zip(pixels, target):
        picture[:, 8 * answer : 8 * answer + 8] += 120
    cells = np.empty(n, dtype=object)
    for row in range(n):
        cells[row] = None if row in damaged else pixels[row]
    album = gather(cells, folder=None, size=0, cache="never", most_pixels=10**6, threads=1, progress=lambda line: None)
    features = Features.of(n)
    features.media["photo"] = Pictures(album, np.arange(n))
    return Examples(np.array([f"id{k}" for k in range(n)]), features, target)


def build(name="convnet", loss="cross_entropy", checkpoints=None, progress=lambda line: None, augment=SEEN, network=SMALL, **options):
    setup = Setup("multiclass", 2, loss, progress=progress, checkpoints=checkpoints, augment=dict(augment))
    return Neural(setup, find("zoo", name), dict(network), **QUICK | options)


def fitted(train, **options):
    model = build(**options)
    model.fit(train, {})
    return model


def test_a_convnet_learns_which_half_is_bright():
    model = fitted(drawn(256), epochs=6, lr=0.01)
    valid = drawn(100, seed=1)
    assert (model.predict(valid).argmax(axis=1) == valid.target).mean() > 0.95


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # tests have a core each
def test_random_crops_are_the_same_for_any_number_of_workers():
    seen = {"size": 16, "recipe": "medium"}
    alone = fitted(drawn(), augment=seen).predict(drawn(20, seed=1))
    helped = fitted(drawn(), augment=seen, workers=2, prefetch=2).predict(drawn(20, seed=1))
    assert np.array_equal(alone, helped)


def test_a_row_without_a_picture_gets_the_mean_answer_of_the_training_rows():
    train = drawn(damaged={0, 5})
    model = fitted(train)
    predicted = model.predict(drawn(10, seed=1, damaged={3}))
    seen = np.delete(train.target, [0, 5])
    assert predicted[3] == pytest.approx([1 - seen.mean(), seen.mean()])
    assert np.isfinite(predicted).all() and len(predicted) == 10


def test_rows_without_a_picture_teach_nothing():
    train = drawn(damaged={0, 5})
    changed = replace(train, target=np.where(np.isin(np.arange(64), [0, 5]), 1 - train.target, train.target))
    rows = drawn(10, seed=1)
    assert np.array_equal(fitted(train).predict(rows), fitted(changed).predict(rows))


def test_no_picture_at_all_is_said():
    with pytest.raises(DataError, match="none of the training rows has a picture"):
        fitted(drawn(8, damaged=range(8)))


def test_it_goes_on_after_a_stop_to_the_same_bytes(tmp_path):
    options = {"augment": {"size": 16, "recipe": "light", "mixup": 0.5}, "ema": 0.9, "epochs": 4, "loss": "early_learning", "channels_last": "yes"}
    whole = fitted(drawn(), **options)

    def stop(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(drawn(), checkpoints=tmp_path, progress=stop, **options)
    lines = []
    again = fitted(drawn(), checkpoints=tmp_path, progress=lines.append, **options)
    assert lines[0] == "going on after epoch 2 of 4"
    rows = drawn(20, seed=1)
    assert np.array_equal(whole.predict(rows), again.predict(rows))


def test_saved_and_loaded_it_predicts_alike(tmp_path):
    model = fitted(drawn(damaged={1}), augment={"size": 16, "recipe": "none", "views": ["flip"]})
    model.save(tmp_path)
    other = build(augment={"size": 16, "recipe": "none", "views": ["flip"]})
    other.load(tmp_path)
    rows = drawn(10, seed=1, damaged={2})
    assert np.array_equal(model.predict(rows), other.predict(rows))


def test_views_are_averaged():
    model = fitted(drawn())
    rows = drawn(6, seed=1)
    plain = model.predict(rows)
    flipped_rows = drawn(6, seed=1)
    cells = np.empty(6, dtype=object)
    for n in range(6):
        cells[n] = np.ascontiguousarray(flipped_rows.features.media["photo"][n][:, ::-1])
    album = gather(cells, folder=None, size=0, cache="never", most_pixels=10**6, threads=1, progress=lambda line: None)
    features = Features.of(6)
    features.media["photo"] = Pictures(album, np.arange(6))
    mirrored = model.predict(Examples(flipped_rows.ids, features))
    model.augment.views = ["flip"]
    model.views["image"].plain = []
    assert model.predict(rows) == pytest.approx((plain + mirrored) / 2, abs=1e-5)


def test_parts_of_a_step_give_the_step_of_the_whole():
    """With batch norm the parts' statistics differ, so a network without it is asked."""

    class Flat(torch.nn.Module):
        takes = ("image",)

        def __init__(self, inputs):
            super().__init__()
            self.last = torch.nn.Linear(3 * 16 * 16, inputs.outputs)

        def forward(self, batch):
            return self.last(batch["image"].float().flatten(1) / 255)

    def trained(**options):
        setup = Setup("multiclass", 2, "cross_entropy", augment=dict(SEEN))
        model = Neural(setup, Flat, {}, **QUICK | options)
        model.fit(drawn(), {})
        return model.predict(drawn(20, seed=1))

    assert trained(accumulate=4) == pytest.approx(trained(), abs=1e-5)


def test_a_growing_side_ends_at_the_full_one():
    look = Looking(side=96, first_side=48)
    sides = [look.side_of(epoch, 8) for epoch in range(8)]
    assert sides[0] == 48 and sides[-2:] == [96, 96] and sides == sorted(sides)
    assert [Looking(side=96).side_of(epoch, 3) for epoch in range(3)] == [96, 96, 96]


def test_frozen_epochs_teach_the_head_alone():
    body = {}

    def look(line):
        if line.startswith("epoch"):
            body[line[:7]] = {k: v.clone() for k, v in model.network.state_dict().items()}

    model = build(progress=look, freeze_epochs=1, epochs=2)
    start = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.preparation.fit(drawn().features)
        start = model._build().state_dict()
    model.fit(drawn(), {})
    first, second = body["epoch 1"], body["epoch 2"]
    assert all(torch.equal(first[k], start[k]) for k in start if not k.startswith("last"))
    assert not torch.equal(first["last.weight"], start["last.weight"])
    assert any(not torch.equal(second[k], first[k]) for k in start if not k.startswith("last"))


def test_frozen_layers_and_their_statistics_stay_as_they_were_while_the_others_learn():
    model = build(freeze_layers=2, epochs=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.preparation.fit(drawn().features)
        start = model._build().state_dict()
    model.fit(drawn(), {})
    after = model.network.state_dict()
    frozen = {name.rsplit(".", 1)[0] for name, layer in model.network.layers().items() if layer < 2}
    assert len(frozen) == 2
    assert all(torch.equal(after[k], start[k]) == (k.rsplit(".", 1)[0] in frozen) for k in start)
    assert all(p.requires_grad for p in model.network.parameters())


@pytest.mark.parametrize("asked", [{}, {"freeze_layers": 1}, {"freeze_epochs": 1}])
def test_what_a_network_itself_keeps_fixed_never_learns(asked):
    model = build(epochs=3, **asked)
    built = model._build

    def fixing():
        network = built()
        network.last.bias.requires_grad_(False)
        network.last.bias.fill_(0.25)
        return network

    model._build = fixing
    model.fit(drawn(), {})
    assert model.network.last.bias.tolist() == [0.25] * len(model.network.last.bias)


def test_a_head_that_begins_alone_learns_while_the_body_stands_still(monkeypatch):
    started, kept = {}, _supervised.Supervised.on_train_start

    def look(self):
        started.update({k: v.clone() for k, v in self.network.state_dict().items()})
        kept(self)

    monkeypatch.setattr(_supervised.Supervised, "on_train_start", look)
    lines = []
    model = build(progress=lines.append, head_epochs=5, freeze_layers=2, lr=0.05)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.preparation.fit(drawn().features)
        start = model._build().state_dict()
    model.fit(drawn(), {})
    statistics = {k for k in start if "running" in k or "batches_tracked" in k}
    assert all(torch.equal(started[k], start[k]) for k in start if k not in statistics and not k.startswith("last"))
    assert not torch.equal(started["last.weight"], start["last.weight"])
    assert torch.equal(started["body.1.running_mean"], start["body.1.running_mean"])  # a frozen layer's
    assert not torch.equal(started["body.5.running_mean"], start["body.5.running_mean"])
    assert lines[0].startswith("the head alone, 5 epochs: loss ") and all(p.requires_grad for p in model.network.parameters())
    assert float(lines[0].split()[-1]) < 0.6  # what halves are worth in a body from nothing; guessing is 0.69


def test_a_head_alone_sees_classes_as_often_as_the_training_does(monkeypatch):
    rows = drawn(40)
    rows = replace(rows, target=np.array([0] * 36 + [1] * 4))
    seen, kept = [], _head.row_losses

    def looked(loss, logits, target, *more):
        seen.extend(target.tolist())
        return kept(loss, logits, target, *more)

    monkeypatch.setattr(_head, "row_losses", looked)
    shares = {}
    for sampling in ("rows", "classes"):
        seen.clear()
        build(head_epochs=2, sampling=sampling).fit(rows, {})
        assert len(seen) == 80
        shares[sampling] = np.mean(seen)
    assert shares == {"rows": 0.1, "classes": 0.5}


def test_a_network_without_a_head_to_teach_alone_says_so():
    with pytest.raises(ConfigError, match="train.head_epochs = 3: this network has no head on pooled features"):
        build(name="mlp", augment={}, network={}, head_epochs=3)


def test_features_of_a_head_that_begins_alone_belong_to_their_rows():
    rows = drawn(20)
    model = build(head_epochs=1)
    model.fit(rows, {})
    prepared, plan = model._training_rows(rows), replace(model._plan(20), batch_size=20, batches=1)
    found = _head._features(model.network, model.network.top(), prepared, model.views, plan, model._looking(), model._feeding(), torch.device("cpu"))
    batch = {"image": torch.from_numpy(np.stack([rows.features.media["photo"][n] for n in range(20)])).permute(0, 3, 1, 2)}
    with torch.no_grad():
        torch.testing.assert_close(found, model.network.features(batch), rtol=1e-4, atol=1e-4)


def test_more_frozen_layers_than_there_are_is_an_error():
    with pytest.raises(ConfigError, match="train.freeze_layers = 99: this network has 8 layers under its head"):
        build(freeze_layers=99).fit(drawn(), {})


def test_deeper_layers_learn_more_slowly():
    network = find("zoo", "convnet")(type("I", (), {"outputs": 2, "side": 16})(), **SMALL)
    optimizer = optimizer_for(network, "sgd", lr=1.0, weight_decay=0.0, layer_decay=0.5, layers=network.layers())
    rate = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    top = max(network.layers().values())
    for name, parameter in network.named_parameters():
        assert rate[id(parameter)] == 0.5 ** (top - network.layers()[name])


@pytest.mark.parametrize("alpha", [{"mixup": 0.4, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
def test_a_mixed_picture_holds_as_much_of_its_partner_as_the_loss_is_told(alpha):
    torch.manual_seed(0)
    for _ in range(20):
        pictures = torch.zeros(4, 3, 32, 32)
        pictures += torch.arange(4.0).view(4, 1, 1, 1)
        out, partners, own = mixed(pictures, share=1.0, **alpha)
        expected = own * torch.arange(4.0) + (1 - own) * partners.float()
        assert torch.allclose(out.mean(dim=(1, 2, 3)), expected, atol=1e-4)
        assert own >= 0.4  # cutmix at a border may keep more, never less


def test_no_share_of_batches_leaves_pictures_as_they_are():
    pictures = torch.rand(4, 3, 8, 8)
    out, partners, own = mixed(pictures, mixup=1.0, cutmix=1.0, share=0.0)
    assert out is pictures and partners is None and own == 1.0


def test_every_row_is_in_one_batch_of_an_epoch_and_epochs_differ():
    epoch = 0
    order = Order(10, 3, 2, 0, lambda: epoch, 0, 1, lambda e: 16)
    first = [asked.rows for asked in order]
    assert len(order) == len(first) == 6 and sorted(np.concatenate(first)) == list(range(10))
    epoch = 1
    assert [list(a.rows) for a in order] != [list(rows) for rows in first]


@pytest.mark.parametrize("schedule", ["linear", "polynomial", "exponential", "step", "cosine_restarts", "tanh"])
def test_library_schedules_rise_and_then_fall_from_the_full_rate(schedule):
    rates = shares_of_lr(40, schedule, 0.1)
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert len(rates) == 40 and max(rates) <= 1.0 + 1e-9 and rates[4] > 0.95 and rates[-1] < 0.2


@pytest.mark.parametrize("name", ["radam", "lion", "lamb", "adam"])
def test_optimisers_of_torch_and_timm_learn_by_name(name):
    assert name in optimizer_names()
    fitted(drawn(), optimizer=name)


def test_an_unknown_optimiser_is_said_with_the_nearest():
    with pytest.raises(ConfigError, match='train.optimizer = "adamv" is no optimiser'):
        build(optimizer="adamv")


def test_a_loss_that_is_no_number_stops_with_the_ids():
    with pytest.raises(TrainingError, match="the batch held ids id"):
        fitted(drawn(), lr=1e30, clip_norm=0.0, optimizer="sgd", epochs=4)


def test_the_measurement_leaves_nothing_open_and_changes_nothing():
    lines = []
    open_ = {"precision": "auto", "channels_last": "auto", "workers": -1}
    found = build(progress=lines.append, **open_).measure(drawn())
    assert set(found) == {"precision", "channels_last", "workers", "prefetch"}
    assert found["precision"] in ("32-true", "bf16-mixed") and found["workers"] >= 0 and "chosen" in lines[-1]
    assert build(**QUICK).measure(drawn()) | {"prefetch": 0} == {"precision": "32-true", "channels_last": "yes", "workers": 0, "prefetch": 0}


@pytest.mark.parametrize("half, turns", [(10.0, 1), (2.0, 3), (1.4, 1 + _measure._ROUNDS)])
def test_a_way_that_is_hopeless_is_tried_once_and_one_that_is_beaten_three_times(monkeypatch, half, turns):
    """Half precision on a processor without it: the other ways go on, and it is never chosen."""
    took, calls, now = {"32-true": 1.0, "bf16-mixed": half}, [], [0.0]

    def taking(network, loss, plan, device, precision, channels_last):
        def take(batch):
            calls.append(precision)
            now[0] += took[precision]
            return torch.tensor(1.0)

        return take

    monkeypatch.setattr(_measure, "_taking", taking)
    monkeypatch.setattr(_measure.time, "perf_counter", lambda: now[0])
    seconds = _measure._steps(None, None, {}, None, torch.device("cpu"), [("32-true", "no"), ("bf16-mixed", "no")])
    assert seconds == {("32-true", "no"): 1.0, ("bf16-mixed", "no"): pytest.approx(half)}
    assert calls.count("bf16-mixed") == turns and calls.count("32-true") == 1 + _measure._ROUNDS


@pytest.mark.parametrize("reading, tried", [(0.05, 0), (0.2, 1)])
def test_on_a_processor_workers_are_tried_where_reading_is_a_good_part_of_a_step(monkeypatch, reading, tried):
    fed = []
    monkeypatch.setattr(_measure, "_fed", lambda data, asked, n, *given: fed.append(n) or 1.0)
    monkeypatch.setattr(_measure, "_taking", lambda *given: None)
    options = {"prefetch": 0, "workers": -1}
    workers, _, told = _measure._reading(None, [], reading, 1.0, torch.device("cpu"), None, None, None, ("32-true", "no"), options)
    assert workers == 0 and bool(fed) == bool(tried) and ("next to nothing" in told) != bool(tried)


def test_a_way_that_memory_is_too_small_for_is_left_out_and_all_of_them_are_said(monkeypatch):
    def taking(network, loss, plan, device, precision, channels_last):
        def take(batch):
            if precision in full:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return torch.tensor(1.0)

        return take

    monkeypatch.setattr(_measure, "_taking", taking)
    ways = [("32-true", "no"), ("bf16-mixed", "no")]
    full = ("32-true",)
    seconds = _measure._steps(None, None, {"target": torch.zeros(8)}, None, torch.device("cpu"), ways)
    assert seconds["32-true", "no"] == float("inf") and seconds["bf16-mixed", "no"] < 1
    full = ("32-true", "bf16-mixed")
    with pytest.raises(ConfigError, match="a step of 8 rows does not fit"):
        _measure._steps(None, None, {"target": torch.zeros(8)}, None, torch.device("cpu"), ways)


def test_what_corrects_for_rare_classes_twice_is_refused():
    with pytest.raises(ConfigError, match="both make rare classes count"):
        build(loss="balanced_softmax", sampling="classes")


@pytest.mark.parametrize("option, value", [("epochs", -2), ("lr", -1.0), ("warmup", 1.0), ("devices", 0)])
def test_options_out_of_range_are_said_before_any_data_is_read(option, value):
    with pytest.raises(ConfigError, match=f"train.{option} = {value}"):
        build(**{option: value})


def test_a_growing_side_is_refused_where_the_architecture_is_bound_to_one():
    vit = {"architecture": "vit_tiny_patch16_224", "weights": "none"}
    with pytest.raises(ConfigError, match="augment.first_size = 16: this architecture is bound to one size"):
        build("timm", network=vit, augment={"size": 32, "first_size": 16, "recipe": "none"})
    build("timm", network=vit, augment={"size": 32, "recipe": "none"})


def test_more_parts_than_rows_of_a_step_are_refused():
    with pytest.raises(ConfigError, match="train.accumulate = 24: a step has 16 rows"):
        fitted(drawn(), batch_size=0, accumulate=24)


@pytest.mark.slow
def test_two_processes_train_on_pictures_and_give_finite_predictions():
    model = fitted(drawn(128), devices=2, epochs=4, lr=0.01)
    valid = drawn(40, seed=1)
    assert (model.predict(valid).argmax(axis=1) == valid.target).mean() > 0.8

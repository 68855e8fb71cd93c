"""Networks as estimators: they learn, repeat to the byte, go on after a kill, and say what is wrong."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch

from kit.encoders import Examples, Features
from kit.errors import ConfigError, DataError, TrainingError
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.registry import find

NETWORKS = ["mlp", "sparse_mlp", "tabm"]
QUICK = {"epochs": 3, "batch_size": 16, "accelerator": "cpu"}
SMALL = {"mlp": {"width": 16, "layers": 1}, "sparse_mlp": {"width": 16}, "tabm": {"width": 16, "members": 4, "layers": 1}}


def examples(n=80, *, seed=0, text=True):
    """Two numbers, a category and three words; the answer needs a number, the category and a word together."""
    random = np.random.default_rng(seed)
    dense, codes = random.normal(size=(n, 2)).astype(np.float32), random.integers(1, 4, size=(n, 1)).astype(np.int32)
    words = random.integers(0, 2, size=(n, 3)).astype(np.float32)
    score = 2 * dense[:, 0] + 2 * (codes[:, 0] == 2) + 2 * words[:, 1] - 1.7
    features = Features(dense, ["a", "b"], codes, ["c"], [4], scipy.sparse.csr_matrix(words) if text else None)
    return Examples(np.array([f"id{i}" for i in range(n)]), features, score)


def binary(n=80, seed=0):
    rows = examples(n, seed=seed)
    return replace(rows, target=(rows.target > 0).astype(np.float64))


def build(name="mlp", task="binary", outputs=1, loss="bce", progress=lambda line: None, checkpoints=None, seed=0, **options):
    setup = Setup(task, outputs, loss, seed=seed, progress=progress, checkpoints=checkpoints)
    return Neural(setup, find("zoo", name), SMALL[name], **QUICK | options)


def fitted(train, name="mlp", **options):
    model = build(name, **options)
    model.fit(train, {})
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_two_classes_better_than_their_share(name):
    model = fitted(binary(400), name, epochs=12, lr=0.01)
    valid = binary(200, seed=1)
    p = model.predict(valid)
    assert p.shape == (200, 1)
    right = ((p[:, 0] > 0.5) == valid.target).mean()
    assert right > 0.85 > 0.6 > max(valid.target.mean(), 1 - valid.target.mean())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_many_classes_and_its_probabilities_sum_to_one(name):
    def three(rows):
        return replace(rows, target=np.digitize(rows.target, [-1.0, 1.5]))

    model = fitted(three(examples(400)), name, task="multiclass", outputs=3, loss="cross_entropy", epochs=12, lr=0.01)
    valid = three(examples(200, seed=1))
    p = model.predict(valid)
    assert p.sum(axis=1) == pytest.approx(1)
    assert (p.argmax(axis=1) == valid.target).mean() > 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_many_labels(name):
    def two(rows):
        return replace(rows, target=np.column_stack([rows.target > 0, rows.features.dense[:, 1] > 0]).astype(np.float64))

    model = fitted(two(examples(400)), name, task="multilabel", outputs=2, epochs=12, lr=0.01)
    valid = two(examples(200, seed=1))
    assert (((model.predict(valid) > 0.5) == valid.target).mean(axis=0) > 0.85).all()


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "quantile"])
def test_a_regression_far_from_zero_is_predicted_in_its_own_unit(loss):
    def scaled(rows):
        return replace(rows, target=200_000 + 30_000 * rows.target)

    model = fitted(scaled(examples(400)), task="regression", loss=loss, epochs=12, lr=0.01)
    valid = scaled(examples(200, seed=1))
    error = np.sqrt(((model.predict(valid)[:, 0] - valid.target) ** 2).mean())
    assert error < 0.5 * valid.target.std()


@pytest.mark.parametrize("loss", ["poisson", "tweedie", "mape"])
def test_amounts_are_predicted_in_their_own_unit(loss):
    def amounts(rows):
        return replace(rows, target=1000 * np.exp(0.3 * rows.target))

    model = fitted(amounts(examples(400)), task="regression", loss=loss, epochs=12, lr=0.01)
    valid = amounts(examples(200, seed=1))
    p = model.predict(valid)[:, 0]
    assert np.abs(p / valid.target - 1).mean() < 0.5 * np.abs(np.median(valid.target) / valid.target - 1).mean()


def test_several_targets_of_different_size_are_learned_together():
    def both(rows):
        return replace(rows, target=np.column_stack([rows.target, 1e6 * rows.features.dense[:, 1]]))

    model = fitted(both(examples(400)), task="regression", outputs=2, loss="mse", epochs=12, lr=0.01)
    valid = both(examples(200, seed=1))
    error = np.sqrt(((model.predict(valid) - valid.target) ** 2).mean(axis=0))
    assert (error < 0.5 * valid.target.std(axis=0)).all()


def test_a_row_of_weight_zero_teaches_nothing():
    train = binary(120)
    half = np.arange(120) < 60
    wrong = replace(train, target=np.where(half, train.target, 1 - train.target), weight=np.where(half, 1.0, 0.0))
    right = replace(train, weight=np.where(half, 1.0, 0.0))
    assert fitted(wrong).predict(train).tobytes() == fitted(right).predict(train).tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_numbers_and_unseen_categories_get_a_prediction(name):
    model = fitted(binary(), name)
    rows = binary(4)
    rows.features.dense[:] = np.nan
    rows.features.codes[:] = 0
    rows.features.sparse = scipy.sparse.csr_matrix((4, 3), dtype=np.float32)
    p = model.predict(rows)
    assert np.isfinite(p).all() and len(np.unique(p)) == 1


def test_no_rows_get_no_predictions():
    assert fitted(binary()).predict(binary(0)).shape == (0, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(name):
    train = binary()
    first, second, other = (fitted(train, name, seed=seed).predict(train).tobytes() for seed in (0, 0, 1))
    assert first == second != other


def test_a_network_may_name_the_learning_rate_that_suits_it():
    assert build("tabm")._plan(100).lr == 3e-3
    assert build("mlp")._plan(100).lr == 1e-3
    assert build("tabm", lr=0.5)._plan(100).lr == 0.5


def test_a_training_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fitted(binary())
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd"}, {"optimizer": "nadam"}, {"ema": 0.9, "schedule": "one_cycle"}, {"precision": "bf16-mixed"}])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_killed_training_goes_on_to_the_same_bytes_without_repeating_epochs(name, options, tmp_path):
    train, lines = binary(), []

    def killed_after_two(line):
        lines.append(line)
        if line.startswith("epoch 2"):
            raise Killed

    with pytest.raises(Killed):
        fitted(train, name, progress=killed_after_two, checkpoints=tmp_path, epochs=4, **options)
    resumed = fitted(train, name, progress=lines.append, checkpoints=tmp_path, epochs=4, **options)
    assert [line.split("  ")[0] for line in lines] == ["epoch 1 of 4", "epoch 2 of 4", "going on after epoch 2 of 4", "epoch 3 of 4", "epoch 4 of 4"]
    assert resumed.predict(train).tobytes() == fitted(train, name, epochs=4, **options).predict(train).tobytes()


def test_a_training_killed_after_its_last_epoch_trains_no_more(tmp_path):
    train, lines = binary(), []
    first = fitted(train, checkpoints=tmp_path, ema=0.9)
    second = fitted(train, checkpoints=tmp_path, ema=0.9, progress=lines.append)
    assert lines == ["going on after epoch 3 of 3"]
    assert first.predict(train).tobytes() == second.predict(train).tobytes()


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"seed": 1}, {"epochs": 5}, {"name": "tabm"}, {"loss": "focal"}])
def test_the_checkpoint_of_another_training_is_not_taken(change, tmp_path):
    lines = []
    fitted(binary(), checkpoints=tmp_path)
    fitted(binary(), checkpoints=tmp_path, progress=lines.append, **change)
    assert lines[0].startswith("epoch 1 of")


def test_a_checkpoint_of_other_rows_is_not_taken(tmp_path):
    lines = []
    fitted(binary(), checkpoints=tmp_path)
    fitted(binary(seed=1), checkpoints=tmp_path, progress=lines.append)
    assert lines[0].startswith("epoch 1 of")


@pytest.mark.parametrize("name, options", [("mlp", {}), ("sparse_mlp", {}), ("tabm", {}), ("mlp", {"task": "regression", "loss": "mse", "numbers": "robust"})])
def test_a_saved_model_predicts_the_same_after_loading(name, options, tmp_path):
    train = examples() if "task" in options else binary()
    model = fitted(train, name, **options)
    model.save(tmp_path)
    loaded = build(name, **options)
    loaded.load(tmp_path)
    assert loaded.predict(train).tobytes() == model.predict(train).tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_batch_norm_survives_saving(tmp_path):
    train = binary()
    build_one = lambda: Neural(Setup("binary", 1, "bce"), find("zoo", "mlp"), {"norm": "batch", "width": 8}, **QUICK)  # noqa: E731
    model, loaded = build_one(), build_one()
    model.fit(train, {})
    model.save(tmp_path)
    loaded.load(tmp_path)
    assert loaded.predict(train).tobytes() == model.predict(train).tobytes()


def test_absurd_rows_to_predict_move_nothing_that_was_fitted():
    model = fitted(binary())
    before = {k: v.copy() for k, v in model.preparation.state.items()}
    usual = model.predict(binary())
    absurd = binary(3)
    absurd.features.dense[:] = [[1e30, -1e30], [np.nan, 1e30], [0, 0]]
    assert np.isfinite(model.predict(absurd)).all()
    assert all(np.array_equal(v, before[k]) for k, v in model.preparation.state.items())
    assert model.predict(binary()).tobytes() == usual.tobytes()


def test_ema_predicts_with_averaged_weights():
    train = binary()
    assert fitted(train, ema=0.9).predict(train).tobytes() != fitted(train).predict(train).tobytes()


def test_a_line_tells_the_mean_loss_of_each_epoch():
    lines = []
    fitted(binary(), progress=lines.append, epochs=2, lr=1e-12)
    assert [line.split("  ")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert 0.5 < float(lines[0].split("loss ")[1]) < 1.0  # near log 2: nothing was learned yet


def test_a_loss_that_is_no_number_stops_with_the_batch_and_the_remedy():
    train = binary(32)
    train.target[:] = np.nan
    with pytest.raises(TrainingError) as caught:
        fitted(train, lr=0.02, clip_norm=0.0)
    first, ids, remedy = str(caught.value).split("\n")
    assert first == "the loss is nan in epoch 1 of 3, step 1 of 2"
    assert ids.startswith("the batch held ids id") and ids.endswith(", and 11 more")
    assert remedy == "lower train.lr (now 0.02) or train.clip_norm (now 0; 0 is any), and look at these rows"


def test_an_interrupt_is_an_interrupt_and_not_an_exit_code():
    def interrupted(line):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fitted(binary(), progress=interrupted)
    assert signal.getsignal(signal.SIGINT) == before


def test_a_termination_ends_with_its_exit_code():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        fitted(binary(), progress=lambda line: os.kill(os.getpid(), signal.SIGTERM))
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_training_whose_last_step_ran_away_leaves_no_checkpoint(tmp_path):
    train = binary(16)
    train.target[:] = np.inf
    with pytest.raises(TrainingError):
        fitted(train, checkpoints=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_does_not_serve_the_task_is_refused_with_those_that_do():
    with pytest.raises(ConfigError) as caught:
        build(task="regression", loss="bce")
    assert str(caught.value) == (
        'train.loss = "bce" is a loss for binary, multilabel, and output.task is "regression"\n'
        "set train.loss to one that serves it: huber, mae, mape, mse, poisson, quantile, tweedie"
    )


def test_counts_below_zero_are_refused():
    with pytest.raises(DataError, match=r'the target has \d+ values below zero, and train.loss = "poisson" is for counts'):
        fitted(examples(), task="regression", loss="poisson")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_two_processes_learn_what_one_learns(name, tmp_path):
    train, lines = binary(61), []
    one = fitted(train, name, epochs=4)
    two = fitted(train, name, epochs=4, devices=2, progress=lines.append, checkpoints=tmp_path)
    assert [line.split("  ")[0] for line in lines] == [f"epoch {n} of 4" for n in (1, 2, 3, 4)]
    assert np.abs(one.predict(train) - two.predict(train)).max() < 0.1  # the same batches; dropout differs


@pytest.mark.slow
def test_an_error_in_one_of_two_processes_is_told_as_in_one():
    train = binary(32)
    train.target[:] = np.nan
    with pytest.raises(TrainingError, match=r"^the loss is nan in epoch 1 of 3, step 1 of 2"):
        fitted(train, devices=2)

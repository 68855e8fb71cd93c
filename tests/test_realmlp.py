"""RealMLP: each of its parts does what the paper's formula says, redone by hand, and what learns at a rate of its own does so."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.optim import AdamW

from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.zoo._inputs import Inputs
from kit.zoo.realmlp import Realmlp, _Learned, _Linear, _OneHot, _Partly, _Waves

SMALL = {"width": 16, "layers": 1}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def batch_of(inputs, n=6):
    batch = {"dense": torch.randn(n, inputs.dense), "codes": torch.stack([torch.arange(n) % size for size in inputs.sizes], 1) if inputs.sizes else torch.empty(n, 0, dtype=torch.int64)}
    if inputs.sparse:
        batch |= {"bag_indices": torch.arange(n) % inputs.sparse, "bag_offsets": torch.arange(n), "bag_weights": torch.ones(n)}
    return batch


def examples(n=300, seed=0):
    """The answer needs a number, a small category, a large one and a word together."""
    random = np.random.default_rng(seed)
    dense, words = random.normal(size=(n, 2)).astype(np.float32), random.integers(0, 2, size=(n, 3)).astype(np.float32)
    codes = np.column_stack([random.integers(1, 4, n), random.integers(1, 21, n)]).astype(np.int32)
    score = 2 * dense[:, 0] + 2 * (codes[:, 0] == 2) + (codes[:, 1] > 10) + words[:, 1] - 1.7
    features = Features(dense, ["a", "b"], codes, ["c", "d"], [4, 21], scipy.sparse.csr_matrix(words))
    return Examples(np.array([f"id{i}" for i in range(n)]), features, score)


def fitted(train, task="regression", loss="mse", network=SMALL, checkpoints=None, progress=lambda line: None, **options):
    setup = Setup(task, 1, loss, progress=progress, checkpoints=checkpoints)
    model = Neural(setup, Realmlp, network, **{"epochs": 10, "batch_size": 32, "accelerator": "cpu"} | options)
    model.fit(train, {})
    return model


@pytest.mark.parametrize(
    "inputs",
    [Inputs(3, (), 0, 2), Inputs(0, (4, 3), 0, 2), Inputs(0, (12,), 0, 2), Inputs(0, (), 5, 2), Inputs(3, (4, 12, 1, 9, 10), 5, 2)],
    ids=["numbers", "small categories", "a large category", "n-grams", "all"],
)
@pytest.mark.parametrize("members", [1, 3])
def test_it_takes_each_kind_of_column_alone_and_all_together(inputs, members):
    output = Realmlp(inputs, members=members, **SMALL)(batch_of(inputs))
    assert output.shape == ((6, 2) if members == 1 else (6, 3, 2)) and torch.isfinite(output).all()


def test_a_small_category_is_one_hot_a_missing_one_all_zeros_and_one_of_two_a_sign():
    one_hot = _OneHot((4, 3, 12), [0, 1])
    codes = torch.tensor([[0, 0, 5], [1, 1, 5], [3, 2, 5]])
    assert one_hot.width == 4
    assert one_hot(codes, torch.float32).tolist() == [[0, 0, 0, 0], [1, 0, 0, -1], [0, 0, 1, 1]]


def test_a_column_of_nine_categories_is_embedded_and_one_of_eight_is_not():
    assert Realmlp(Inputs(0, (9,), 0, 1), category_width=5).given.width == 8
    assert Realmlp(Inputs(0, (10,), 0, 1), category_width=5).given.width == 5


def test_waves_are_a_linear_map_of_cosines_for_each_number():
    waves = _Waves(2, 3, 4)
    x = torch.tensor([[0.5, -1.0]])
    by_hand = []
    for column in range(2):
        angle = 2 * np.pi * (x[0, column].item() * waves.frequency()[column] + waves.phase()[column])
        by_hand += (torch.cos(angle) @ waves.weight()[column] + waves.bias()[column]).tolist()
    assert waves(x)[0].tolist() == pytest.approx(by_hand, abs=1e-5)


def test_a_number_stands_beside_its_waves():
    given = Realmlp(Inputs(2, (), 0, 1), number_width=4).given
    x = torch.randn(3, 2)
    assert given.width == 8 and torch.equal(given({"dense": x, "codes": torch.empty(3, 0)})[:, :2], x)
    assert Realmlp(Inputs(2, (), 0, 1), number_width=1).given.waves is None


def test_a_layer_keeps_the_spread_of_what_it_is_given():
    layer = _Linear(1, 400, 300)
    without_bias = layer(torch.randn(1, 200, 400)) - layer.bias()[:, None]
    assert without_bias.std().item() == pytest.approx(1, abs=0.05)  # weights from the standard normal, over the root of the inputs


def test_an_activation_has_the_share_that_its_neuron_learned():
    partly = _Partly(1, 2, "selu")
    x = torch.tensor([[[-1.0, -1.0]]])
    with torch.no_grad():
        partly.share.kept.copy_(torch.tensor([1.0, 0.25]) / partly.share.scale)
    bent = torch.nn.functional.selu(torch.tensor(-1.0)).item()
    assert partly(x).flatten().tolist() == pytest.approx([bent, -1 + 0.25 * (bent + 1)])


@pytest.mark.parametrize("rate", [6.0, 0.1])
def test_a_tensor_of_its_own_rate_moves_as_with_that_learning_rate(rate):
    kept, plain = _Learned(torch.tensor([2.0]), rate), torch.nn.Parameter(torch.tensor([2.0]))
    one, other = AdamW(kept.parameters(), lr=0.002, weight_decay=0.0), AdamW([plain], lr=0.002 * 5 * rate, weight_decay=0.0)
    for optimizer, value in ((one, kept), (other, lambda: plain)):
        for _ in range(5):
            optimizer.zero_grad()
            (value() - 1).square().sum().backward()
            optimizer.step()
    assert abs(plain.item() - 2.0) > 0.004
    assert kept().item() == pytest.approx(plain.item(), abs=1e-5)


def test_only_matrices_decay():
    network = Realmlp(Inputs(3, (4, 12), 0, 1), **SMALL)
    decayed = {name for name, p in network.named_parameters() if p.dim() > 1}
    assert decayed == {"hidden.0.weight.kept", "hidden.3.weight.kept", "given.categories.table.weight"}


def test_members_share_only_their_embeddings():
    inputs = Inputs(3, (4, 12), 0, 1)
    network, batch = Realmlp(inputs, members=3, **SMALL), batch_of(inputs)
    network(batch)[:, 1].sum().backward()  # of the second alone
    for name, p in network.named_parameters():
        touched = p.grad.reshape(3, -1).abs().sum(dim=1) > 0 if not name.startswith("given.") else None
        assert touched is None or touched.tolist() == [False, True, False], name


@pytest.mark.parametrize("options", [{}, {"activation": "mish"}, {"members": 1}], ids=["selu", "mish", "one member"])
def test_numbers_are_learned_from_every_kind_of_column(options):
    valid = examples(seed=1)
    error = valid.target - fitted(examples(), network=SMALL | options).predict(valid)[:, 0]
    assert np.square(error).mean() < 0.2 * valid.target.var()


def test_classes_are_learned():
    train, valid = (replace(rows, target=(rows.target > 0).astype(float)) for rows in (examples(), examples(seed=1)))
    right = (fitted(train, "binary", "bce").predict(valid)[:, 0] > 0.5) == valid.target
    assert right.mean() > 0.85 > 0.7 > max(valid.target.mean(), 1 - valid.target.mean())


def test_a_stop_changes_nothing(tmp_path):
    def stop(line):
        if line.startswith("epoch 2 "):
            raise KeyboardInterrupt

    train, two = examples(64), SMALL | {"members": 2}
    with pytest.raises(KeyboardInterrupt):
        fitted(train, network=two, checkpoints=tmp_path, progress=stop, epochs=4)
    lines = []
    resumed = fitted(train, network=two, checkpoints=tmp_path, progress=lines.append, epochs=4)
    assert lines[0] == "going on after epoch 2 of 4"
    assert resumed.predict(train).tobytes() == fitted(train, network=two, epochs=4).predict(train).tobytes()


def test_it_comes_back_from_its_files_and_unseen_values_get_a_prediction(tmp_path):
    train = examples(64)
    model = fitted(train, epochs=2)
    model.save(tmp_path)
    loaded = Neural(Setup("regression", 1, "mse"), Realmlp, SMALL, epochs=2, batch_size=32, accelerator="cpu")
    loaded.load(tmp_path)
    rows = examples(4)
    rows.features.dense[:] = [np.nan, 1e30]
    rows.features.codes[:] = 0
    rows.features.sparse = scipy.sparse.csr_matrix((4, 3), dtype=np.float32)
    p = loaded.predict(rows)
    assert np.isfinite(p).all() and p.tobytes() == model.predict(rows).tobytes()

"""The tables' networks by themselves: shapes, kinds of input, and what each promises of its inside."""

import numpy as np
import pytest
import scipy.sparse
import torch

from kit.encoders import Features
from kit.registry import find
from kit.zoo._inputs import Categories, Inputs, Piecewise
from kit.zoo._preparation import Preparation
from kit.zoo._supervised import predicted, row_losses

NETWORKS = ["mlp", "sparse_mlp", "tabm"]
KINDS = {"dense": ["dense"], "codes": ["codes"], "sparse": ["sparse"], "all": ["dense", "codes", "sparse"]}


def features(n, kinds, *, width=5):
    random = np.random.default_rng(0)
    dense = random.normal(size=(n, 3)).astype(np.float32) if "dense" in kinds else np.empty((n, 0), np.float32)
    codes = random.integers(0, 4, size=(n, 2)).astype(np.int32) if "codes" in kinds else np.empty((n, 0), np.int32)
    sparse = scipy.sparse.random(n, width, density=0.4, format="csr", dtype=np.float32, random_state=0) if "sparse" in kinds else None
    return Features(dense, ["a", "b", "c"][: dense.shape[1]], codes, ["d", "e"][: codes.shape[1]], [4] * codes.shape[1], sparse)


def prepared(given, outputs=2):
    preparation = Preparation()
    preparation.fit(given)
    rows = preparation.rows(given)
    return preparation.inputs(outputs), rows.batch(torch.arange(len(rows)))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_a_network_takes_each_kind_of_column_alone_and_all_together(name, kinds):
    inputs, batch = prepared(features(6, kinds))
    output = find("zoo", name)(inputs)(batch)
    assert output.shape in ((6, 2), (6, 16, 2))
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("options", [{"residual": True}, {"norm": "batch"}, {"norm": "none"}, {"numbers": "plain"}, {"numbers": "periodic"}, {"layers": 0}])
def test_an_mlp_has_variants(options):
    inputs, batch = prepared(features(6, KINDS["all"]))
    assert find("zoo", "mlp")(inputs, **options)(batch).shape == (6, 2)


def test_rows_of_a_batch_hold_the_n_grams_of_those_rows():
    sparse = scipy.sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 0], [0, 2, 3]], dtype=np.float32))
    given = Features(np.empty((3, 0), np.float32), [], np.empty((3, 0), np.int32), [], [], sparse)
    preparation = Preparation()
    preparation.fit(given)
    batch = preparation.rows(given).batch(torch.tensor([2, 1, 0]))
    assert batch["bag_indices"].tolist() == [1, 2, 0]
    assert batch["bag_offsets"].tolist() == [0, 2, 2]
    assert batch["bag_weights"][:2].norm().item() == pytest.approx(1) == batch["bag_weights"][2].item()


def test_numbers_are_ranked_on_the_normal_curve_and_missing_ones_indicated():
    given = features(0, [])
    given.dense = np.array([[1, 7, 5], [2, 7, np.nan], [1000, 7, 5]], np.float32)  # the second and third say one thing only
    preparation = Preparation()
    preparation.fit(given)
    rows = preparation.rows(given)
    assert preparation.inputs(1).dense == 2
    assert rows.dense[:, 0].tolist() == pytest.approx([-0.9674, 0.0, 0.9674], abs=1e-3)  # the normal quantiles of 1/6, 3/6, 5/6
    assert rows.dense[:, 1].tolist() == [0, 1, 0]


def test_robust_numbers_stay_within_three_whatever_comes():
    given = features(100, ["dense"])
    preparation = Preparation(numbers="robust")
    preparation.fit(given)
    given.dense[0] = [1e30, -1e30, np.nan]
    assert preparation.rows(given).dense[0].tolist() == pytest.approx([3, -3, 0])


def test_a_piecewise_number_fills_its_bins_one_after_the_other():
    embedding = Piecewise(1, 2, 1)
    with torch.no_grad():
        embedding.slope.zero_(), embedding.offset.zero_(), embedding.weight.copy_(torch.tensor([[[1.0], [10.0]]]))
    edge = -embedding.left[0].item()  # edges at -edge, 0, edge
    assert embedding(torch.tensor([[-edge], [-edge / 2], [0.0], [edge], [2 * edge]])).flatten().tolist() == pytest.approx([0, 0.5, 1, 11, 21], abs=1e-5)


def test_an_unseen_category_starts_at_zero_in_every_column():
    assert Categories((3, 2), 4)(torch.tensor([[0, 0]])).tolist() == [[0.0] * 8]


def test_the_sparse_network_has_one_row_for_each_feature_where_there_is_room():
    network = find("zoo", "sparse_mlp")(Inputs(2, (5, 3), 100, 1), bins=4)
    features = torch.arange(2 + 2 * 4 + 8 + 100)
    assert network.rows == 128
    assert len((features * 2654435761 % network.rows).unique()) == len(features)


def test_the_sparse_network_never_densifies():
    """1000 rows of a million columns would be 4 GB; what a step touches is the features in the batch."""
    given = features(1000, KINDS["all"], width=5)
    columns = np.random.default_rng(0).integers(0, 2**20, 10_000)
    given.sparse = scipy.sparse.csr_matrix((np.ones(10_000, np.float32), columns, np.arange(1001) * 10), shape=(1000, 2**20))
    inputs, batch = prepared(given, outputs=1)
    network = find("zoo", "sparse_mlp")(inputs)
    network(batch).sum().backward()
    gradient = network.table.weight.grad
    assert gradient.is_sparse
    assert gradient.coalesce().indices().shape[1] < 15_000 < network.rows


def test_members_of_tabm_differ_and_share_their_matrix():
    inputs, batch = prepared(features(6, KINDS["all"]))
    network = find("zoo", "tabm")(inputs, members=4, dropout=0.0)
    output = network(batch)
    assert output.shape == (6, 4, 2)
    assert (output.std(dim=1) > 0).all()
    assert network.hidden[0].weight.dim() == 2


def test_a_member_of_tabm_is_the_perceptron_that_its_adapters_make():
    inputs, batch = prepared(features(6, KINDS["dense"]), outputs=1)
    network = find("zoo", "tabm")(inputs, members=3, width=8, layers=1)
    network.eval()
    first = network.hidden[0]
    x = network.given(batch)
    by_hand = torch.relu(((x * first.r[1]) @ first.weight) * first.s[1] + first.b[1]) @ network.head[1] + network.head_bias[1]
    assert torch.allclose(network(batch)[:, 1], by_hand, atol=1e-6)


def test_members_learn_each_from_its_own_loss_and_predict_their_mean():
    mse = find("losses", "mse")()
    logits, target = torch.tensor([[[0.0], [4.0]]]), torch.tensor([2.0])
    assert row_losses(mse, logits, target).tolist() == [4.0]  # not the loss of the mean, which is 0
    assert predicted(mse, logits).tolist() == [[2.0]]
    assert predicted(find("losses", "bce")(), torch.tensor([[[0.0], [100.0]]])).tolist() == [[0.75]]  # of probabilities, not of logits

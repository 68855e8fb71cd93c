"""Networks that read tokens from nothing: what they give for each kind of row, and that padding tells them nothing."""

import pytest
import torch

from kit.registry import find
from kit.zoo._inputs import Inputs

READERS = {"text_cnn": {"embedding": 8, "channels": 6}, "lstm": {"embedding": 8, "states": 6}}


def batch_of(rows, *, wide=0, dense=0, codes=0):
    wide = max(wide, max(map(len, rows)), 1)
    tokens = torch.tensor([[*row, *[0] * (wide - len(row))] for row in rows])
    mask = torch.tensor([[n < len(row) for n in range(wide)] for row in rows])
    generator = torch.Generator().manual_seed(0)
    beside = {"dense": torch.randn(len(rows), dense, generator=generator), "codes": torch.ones(len(rows), codes, dtype=torch.long)}
    return {"tokens": tokens, "mask": mask, "segments": torch.zeros_like(tokens), **beside}


def network_of(name, *, outputs=3, dense=0, sizes=(), **options):
    torch.manual_seed(0)
    return find("zoo", name)(Inputs(dense, sizes, 0, outputs, vocabulary=50, longest=16), **READERS[name] | options).eval()


@pytest.mark.parametrize("name", READERS)
def test_rows_of_any_length_give_outputs_and_a_row_without_tokens_is_finite(name):
    network = network_of(name)
    given = network(batch_of([[5, 6, 7, 8, 9, 10], [5], []]))
    assert given.shape == (3, 3) and torch.isfinite(given).all()
    assert torch.isfinite(network(batch_of([[]]))).all()
    assert network.features(batch_of([[5, 6]])).shape == (1, network.width)


@pytest.mark.parametrize("name", READERS)
def test_padding_and_company_change_no_row(name):
    network = network_of(name)
    rows = [[5, 6, 7, 8], [9], []]
    alone = torch.cat([network(batch_of([row])) for row in rows])
    assert torch.allclose(network(batch_of(rows)), alone, atol=1e-6)
    assert torch.allclose(network(batch_of(rows, wide=15)), alone, atol=1e-6)
    other = batch_of(rows, wide=15)
    other["tokens"][~other["mask"]] = 33  # whatever id pads
    assert torch.allclose(network(other), alone, atol=1e-6)


@pytest.mark.parametrize("name", READERS)
def test_the_order_of_the_words_is_read(name):
    network = network_of(name)
    assert not torch.allclose(network(batch_of([[5, 6, 7]])), network(batch_of([[7, 6, 5]])), atol=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_other_columns_stand_beside_the_text(name):
    network = network_of(name, dense=2, sizes=(4,))
    batch = batch_of([[5, 6], [7]], dense=2, codes=1)
    before = network(batch)
    assert not torch.allclose(network({**batch, "dense": batch["dense"] + 1}), before)
    assert not torch.allclose(network({**batch, "codes": batch["codes"] + 1}), before)


@pytest.mark.parametrize("name", READERS)
def test_the_column_of_a_token_is_read_once_it_is_learned(name):
    network = network_of(name)
    torch.nn.init.normal_(network.embedded.columns.weight)
    batch = batch_of([[5, 6, 7]])
    told = {**batch, "segments": torch.tensor([[0, 0, 1]])}
    assert not torch.allclose(network(told), network(batch))
    assert torch.isfinite(network({**batch, "segments": torch.tensor([[0, 0, 99]])})).all()


@pytest.mark.parametrize("name", READERS)
def test_every_weight_learns_and_without_outputs_there_is_no_head(name):
    network = network_of(name)
    network(batch_of([[5, 6, 7, 8, 9], [5, 6]])).square().sum().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None]
    headless = network_of(name, outputs=0)
    assert headless(batch_of([[5]])).shape == (1, headless.width)


def test_a_filter_finds_its_phrase_wherever_it_stands():
    network = find("zoo", "text_cnn")(Inputs(0, (), 0, 1, vocabulary=50, longest=16), **READERS["text_cnn"], sizes=[2]).eval()
    here, there = network.features(batch_of([[5, 6, 40, 41]])), network.features(batch_of([[40, 41, 5, 6]]))
    phrase = network.features(batch_of([[5, 6]]))
    assert (here >= network.features(batch_of([[40, 41]])) - 1e-6).all()
    with torch.no_grad():
        one = network.filters[0]
        x = network.embedded(batch_of([[5, 6]])).transpose(1, 2)
        by_hand = torch.relu(one(x))[..., 0]  # the whole phrase at once
    assert (phrase >= by_hand - 1e-6).all() and (here >= by_hand - 1e-6).all() and (there >= by_hand - 1e-6).all()


def test_a_large_vocabulary_has_sparse_gradients():
    network = find("zoo", "text_cnn")(Inputs(0, (), 0, 1, vocabulary=2**15, longest=16), **READERS["text_cnn"])
    network(batch_of([[5, 6, 7]])).sum().backward()
    assert network.embedded.table.weight.grad.is_sparse


def test_a_bag_of_words_is_the_weighted_sum_of_its_embeddings_mapped_once():
    network = find("zoo", "bag_of_words")(Inputs(0, (), 20, 2), width=4).eval()
    batch = {"bag_indices": torch.tensor([3, 7, 3]), "bag_offsets": torch.tensor([0, 2]), "bag_weights": torch.tensor([0.6, 0.8, 1.0])}
    table = network.given.ngrams.weight
    by_hand = torch.stack([0.6 * table[3] + 0.8 * table[7], table[3]]) @ network.last.weight.T + network.last.bias
    assert torch.allclose(network(batch), by_hand, atol=1e-6)
    assert not hasattr(network, "takes")

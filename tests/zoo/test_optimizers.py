"""Learning rates by step, clipping and weight decay."""

import pytest
import torch
from torch import nn

from kit.zoo._checkpoint import restore, state_of
from kit.zoo._optimizers import clip, optimizer_for, share_of_lr


def test_the_cosine_rises_to_the_full_rate_and_falls_nearly_to_none():
    rates = [share_of_lr(step, 100, "cosine", 0.1) for step in range(100)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == 1
    assert 0 < rates[-1] < 0.01
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_one_cycle_is_highest_after_three_tenths_of_the_steps():
    rates = [share_of_lr(step, 100, "one_cycle", 0.0) for step in range(100)]
    assert rates.index(max(rates)) == 29


def test_a_constant_rate_is_constant_after_its_warmup():
    assert [share_of_lr(step, 4, "constant", 0.5) for step in range(4)] == [0.5, 1, 1, 1]


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.dense = nn.EmbeddingBag(4, 2, mode="sum", sparse=True), nn.Linear(2, 1)

    def loss(self):
        return self.dense(self.table(torch.tensor([[1, 1, 2]]))).sum()


def test_the_norm_of_dense_and_sparse_gradients_is_clipped_together():
    network = Both()
    (network.loss() * 100).backward()
    before = network.dense.weight.grad.clone()
    clip(network, 1.0)
    together = torch.cat([network.table.weight.grad.to_dense().flatten(), network.dense.weight.grad.flatten(), network.dense.bias.grad])
    assert together.norm().item() == pytest.approx(1, rel=1e-4)
    assert torch.allclose(network.dense.weight.grad / before, (network.dense.weight.grad / before)[0, 0])


@pytest.mark.parametrize("name", ["adamw", "nadam", "sgd"])
def test_a_step_moves_the_rows_of_a_table_that_the_batch_holds_and_no_others(name):
    network = Both()
    before = network.table.weight.detach().clone()
    optimizer = optimizer_for(network, name, lr=0.1, weight_decay=0.5)
    network.loss().backward()
    optimizer.step()
    assert (network.table.weight != before).any(dim=1).tolist() == [False, True, True, False]


def test_a_bias_does_not_decay():
    network = nn.Linear(2, 1)
    groups = optimizer_for(network, "adamw", lr=0.1, weight_decay=0.5).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (1, 0.0)]


def test_steps_that_a_fused_kernel_counts_go_on_where_its_parameters_lie():
    """The meta device stands for a GPU: a fused AdamW reads its count of steps there."""
    here, there = nn.Linear(3, 2), nn.Linear(3, 2, device="meta")
    first, second = (optimizer_for(m, "adamw", lr=1e-3, weight_decay=0.0) for m in (here, there))
    here(torch.ones(1, 3)).sum().backward()
    first.step()
    restore(second, there, state_of(first, here))
    assert {v.device.type for v in second.state[there.weight].values()} == {"meta"}


@pytest.mark.parametrize("name", ["adamw", "sgd", "lamb", "adan", "lookahead_adamw"])
def test_every_kind_of_optimiser_goes_on_as_if_it_had_not_stopped(name):
    """Some count their steps once a group, or keep what they remember in an optimiser within."""

    def weights(stop):
        torch.manual_seed(0)
        network = nn.Linear(4, 2)
        optimizer, random = optimizer_for(network, name, lr=0.05, weight_decay=0.0), torch.Generator().manual_seed(1)
        for step in range(14):
            if step == stop:
                state, tensors = {k: v.clone() for k, v in state_of(optimizer, network).items()}, {k: v.clone() for k, v in network.state_dict().items()}
                network = nn.Linear(4, 2)
                network.load_state_dict(tensors)
                optimizer = optimizer_for(network, name, lr=0.05, weight_decay=0.0)
                restore(optimizer, network, state)
            x = torch.randn(16, 4, generator=random)
            optimizer.zero_grad()
            ((network(x) - x[:, :2]) ** 2).mean().backward()
            optimizer.step()
        return network.weight.detach()

    assert torch.equal(weights(None), weights(7))

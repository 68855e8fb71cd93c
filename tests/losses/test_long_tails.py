"""Losses that learn the classes' shares: three training rows of class 0 for one of class 1, worked on paper."""

import math

import pytest
import torch

from kit.registry import find

SHARES = torch.tensor([0, 0, 0, 1])
LOGITS = [[0.5, -1.0], [2.0, 0.0], [-0.3, 0.7]]
CLASSES = [0, 1, 1]


def taught(name, target=SHARES, outputs=2, task="multiclass", **options):
    loss = find("losses", name)(task, **options)
    loss.learn(target, outputs)
    return loss


def test_balanced_softmax_at_equal_logits_is_the_log_of_the_classs_share():
    found = taught("balanced_softmax")(torch.zeros(2, 2), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([-math.log(3 / 4), -math.log(1 / 4)], rel=1e-5)


def test_balanced_softmax_counts_the_rows_of_each_class():
    by_hand = [-math.log((3, 1)[c] * math.exp(zs[c]) / (3 * math.exp(zs[0]) + 1 * math.exp(zs[1]))) for zs, c in zip(LOGITS, CLASSES)]
    assert taught("balanced_softmax")(torch.tensor(LOGITS), torch.tensor(CLASSES)).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_balanced_softmax_predicts_equal_shares_where_nothing_tells_classes_apart():
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = taught("balanced_softmax")
    loss(logits.expand(4, 2), SHARES).sum().backward()
    assert logits.grad.tolist() == [[0.0, 0.0]]  # no training row pulls any further
    assert loss.predict(logits).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_logit_adjustment_adds_its_share_of_the_log_shares(tau):
    weights = [(3 / 4) ** tau, (1 / 4) ** tau]
    by_hand = [
        -math.log(weights[c] * math.exp(zs[c]) / sum(w * math.exp(z) for w, z in zip(weights, zs))) for zs, c in zip(LOGITS, CLASSES)
    ]
    found = taught("logit_adjustment", tau=tau)(torch.tensor(LOGITS), torch.tensor(CLASSES))
    assert found.tolist() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("tau, other", [(0.0, "cross_entropy"), (1.0, "balanced_softmax")])
def test_logit_adjustment_has_two_known_ends(tau, other):
    logits, target = torch.tensor(LOGITS), torch.tensor(CLASSES)
    assert torch.allclose(taught("logit_adjustment", tau=tau)(logits, target), taught(other)(logits, target))


def test_logit_adjustment_predicts_for_the_shares_to_the_power_one_less_tau():
    logits = (0.5 * torch.tensor([3.0, 1.0]).log()).reshape(1, 2).requires_grad_()  # odds of sqrt(3), as tau = 1/2 promises
    taught("logit_adjustment", tau=0.5)(logits.expand(4, 2), SHARES).sum().backward()
    assert logits.grad.flatten().tolist() == pytest.approx([0, 0], abs=1e-6)


def test_weights_go_with_the_inverse_of_the_effective_number_and_are_1_on_average():
    """beta = 1/2: three rows count as 1 + 1/2 + 1/4 = 7/4, one as 1; 4/7 and 1 over their mean (3 x 4/7 + 1) / 4 = 19/28."""
    weights = taught("class_balanced", beta=0.5).weight
    assert weights.tolist() == pytest.approx([16 / 19, 28 / 19])
    assert weights[SHARES].mean().item() == pytest.approx(1)


def test_a_row_weighs_what_its_class_weighs():
    logits, target = torch.tensor(LOGITS), torch.tensor(CLASSES)
    plain = find("losses", "cross_entropy")()(logits, target).tolist()
    by_hand = [(16 / 19, 28 / 19)[c] * loss for loss, c in zip(plain, CLASSES)]
    assert taught("class_balanced", beta=0.5)(logits, target).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_each_labels_yes_and_no_are_classes_of_their_own():
    """The first label is there in one row of four, the second in half of them: 16/19 and 28/19, and nothing to weigh."""
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    loss = taught("class_balanced", target, task="multilabel", beta=0.5)
    assert loss.weight.tolist() == [pytest.approx([16 / 19, 1]), pytest.approx([28 / 19, 1])]
    logits = torch.tensor([[0.3, -0.2]])
    yes, no = (torch.nn.functional.softplus(s * logits)[0].tolist() for s in (-1, 1))
    assert loss(logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx((28 / 19 * yes[0] + no[1]) / 2, rel=1e-5)


def test_a_binary_target_is_flat():
    loss = taught("class_balanced", SHARES.float(), outputs=1, task="binary", beta=0.5)
    assert loss(torch.zeros(2, 1), torch.tensor([0.0, 1.0])).tolist() == pytest.approx([16 / 19 * math.log(2), 28 / 19 * math.log(2)])


@pytest.mark.parametrize("beta, weights", [(0.0, [1, 1]), (1 - 1e-12, [2 / 3, 2])])
def test_weights_reach_from_none_to_the_inverse_of_the_rows(beta, weights):
    assert taught("class_balanced", beta=beta).weight.tolist() == pytest.approx(weights, rel=1e-4)


@pytest.mark.parametrize("name", ["balanced_softmax", "logit_adjustment", "class_balanced"])
def test_a_class_without_rows_is_treated_as_one_with_a_single_row(name):
    loss = taught(name, SHARES, outputs=3)  # class 1 has one row, class 2 has none
    unseen = loss(torch.tensor([[0.2, -0.1, 0.4]]), torch.tensor([2]))
    single = loss(torch.tensor([[0.2, 0.4, -0.1]]), torch.tensor([1]))
    assert unseen.item() == pytest.approx(single.item(), rel=1e-5)

"""Losses for labels that may be wrong, against their formulas in plain Python and against what they promise of a wrong label."""

import math

import pytest
import torch

from kit.registry import find

LOGITS = [[0.5, -1.0, 0.2], [2.0, 0.1, -0.4], [-0.3, 0.7, 1.1]]
CLASSES = [0, 1, 1]


def softmax(zs):
    return [math.exp(z) / sum(math.exp(o) for o in zs) for z in zs]


def build(name, **options):
    return find("losses", name)("multiclass", **options)


def remembering(rows=3, classes=3, **options):
    loss = build("early_learning", **options)
    loss.learn(torch.zeros(rows, dtype=torch.int64), classes)
    return loss


def found(loss, *rows):
    return loss(torch.tensor(LOGITS), torch.tensor(CLASSES), *rows).tolist()


def gradient(loss, logits, target, *rows):
    logits = torch.tensor(logits, requires_grad=True)
    loss(logits, torch.tensor(target), *rows).sum().backward()
    return logits.grad


def test_generalised_cross_entropy_of_a_quarter_at_one_half_is_one():
    """(1 - (1/4)^(1/2)) / (1/2)"""
    assert build("generalised_cross_entropy", q=0.5)(torch.zeros(1, 4), torch.tensor([2])).item() == pytest.approx(1)


def test_generalised_cross_entropy_is_its_formula():
    by_hand = [(1 - softmax(zs)[c] ** 0.7) / 0.7 for zs, c in zip(LOGITS, CLASSES)]
    assert found(build("generalised_cross_entropy")) == pytest.approx(by_hand, rel=1e-5)


def test_generalised_cross_entropy_lies_between_cross_entropy_and_absolute_error():
    assert found(build("generalised_cross_entropy", q=1e-4)) == pytest.approx(found(build("cross_entropy")), rel=1e-3)
    assert found(build("generalised_cross_entropy", q=1.0)) == pytest.approx(
        [1 - softmax(zs)[c] for zs, c in zip(LOGITS, CLASSES)], rel=1e-5
    )


def test_a_label_that_is_hard_to_believe_pulls_less_by_its_probability_to_the_power_q():
    plain, general = (gradient(build(name), LOGITS, CLASSES) for name in ("cross_entropy", "generalised_cross_entropy"))
    believed = torch.tensor([[softmax(zs)[c] ** 0.7] for zs, c in zip(LOGITS, CLASSES)])
    assert torch.allclose(general, believed * plain, atol=1e-6)


def test_symmetric_cross_entropy_adds_the_reverse_with_the_log_of_zero_given():
    def by_hand(zs, c):
        p = softmax(zs)
        return -0.3 * math.log(p[c]) - 0.7 * sum(p[k] * (0.0 if k == c else -5.0) for k in range(3))

    loss = build("symmetric_cross_entropy", alpha=0.3, beta=0.7, A=-5.0)
    assert found(loss) == pytest.approx([by_hand(zs, c) for zs, c in zip(LOGITS, CLASSES)], rel=1e-5)


def test_the_reverse_with_minus_two_is_the_absolute_error():
    by_hand = [sum(abs(p - (k == c)) for k, p in enumerate(softmax(zs))) for zs, c in zip(LOGITS, CLASSES)]
    assert found(build("symmetric_cross_entropy", alpha=0.0, A=-2.0)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("hard, beta", [(False, 0.95), (True, 0.8), (False, 0.4), (True, 0.4)])
def test_bootstrapping_mixes_the_label_with_what_the_network_believes(hard, beta):
    def by_hand(zs, c):
        p = softmax(zs)
        believed = [float(q == max(p)) for q in p] if hard else p
        return -sum((beta * (k == c) + (1 - beta) * believed[k]) * math.log(p[k]) for k in range(3))

    expected = pytest.approx([by_hand(zs, c) for zs, c in zip(LOGITS, CLASSES)], rel=1e-5)
    assert found(build("bootstrapping", hard=hard, beta=beta)) == expected
    if beta != 0.4:  # the paper's
        assert found(build("bootstrapping", hard=hard)) == expected


@pytest.mark.parametrize("hard", [False, True])
def test_bootstrapping_that_believes_the_label_alone_is_cross_entropy(hard):
    assert found(build("bootstrapping", hard=hard, beta=1.0)) == pytest.approx(found(build("cross_entropy")), rel=1e-5)


def test_early_learning_moves_the_memory_then_holds_the_prediction_to_it():
    """Two classes at 1/2 each and beta = 1/2: the memory is 1/4, 1/4 and then 3/8, 3/8, so <p, t> is 1/4 and then 3/8."""
    loss, row = remembering(1, 2, beta=0.5, strength=3.0), torch.tensor([0])
    first, second = (loss(torch.zeros(1, 2), torch.tensor([1]), row).item() for _ in range(2))
    assert first == pytest.approx(math.log(2) + 3 * math.log(3 / 4), rel=1e-5)
    assert second == pytest.approx(math.log(2) + 3 * math.log(5 / 8), rel=1e-5)
    assert loss.memory.tolist() == [[0.375, 0.375]]


def test_early_learning_is_its_formula_over_two_epochs():
    loss, memory = remembering(), [[0.0] * 3 for _ in LOGITS]
    for _ in range(2):
        by_hand = []
        for i, (zs, c) in enumerate(zip(LOGITS, CLASSES)):
            p = softmax(zs)
            memory[i] = [0.7 * t + 0.3 * q for t, q in zip(memory[i], p)]
            by_hand.append(-math.log(p[c]) + 3 * math.log(1 - sum(q * t for q, t in zip(p, memory[i]))))
        assert found(loss, torch.tensor([0, 1, 2])) == pytest.approx(by_hand, rel=1e-4)


def test_memories_are_kept_by_the_rows_position_among_the_training_rows():
    loss = remembering(rows=5)
    found(loss, torch.tensor([4, 0, 2]))
    expected = [softmax(LOGITS[1]), [0.0] * 3, softmax(LOGITS[2]), [0.0] * 3, softmax(LOGITS[0])]
    assert loss.memory.tolist() == [pytest.approx([0.3 * p for p in row]) for row in expected]


def test_targets_that_are_not_the_rows_own_are_neither_remembered_nor_held():
    loss = remembering()
    found(loss, torch.tensor([0, 1, 2]))
    before = loss.memory.clone()
    assert found(loss) == found(build("cross_entropy"))
    assert torch.equal(loss.memory, before)


def test_members_of_an_ensemble_remember_their_mean():
    loss = remembering(rows=2, classes=2, beta=0.5)
    logits = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 0.0], [0.0, 0.0]])  # two members each of rows 0 and 1
    loss(logits, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    assert loss.memory.tolist() == [pytest.approx([0.375, 0.125]), pytest.approx([0.25, 0.25])]


def test_the_gradient_of_early_learning_is_that_of_its_papers_second_lemma():
    """p - y + strength g, g_c = p_c / (1 - <p, t>) sum of (t_k - t_c) p_k: the memory stands still."""
    by_hand = []
    for zs, c in zip(LOGITS, CLASSES):
        p = softmax(zs)
        t = [0.3 * q for q in p]
        rest = 1 - sum(q * m for q, m in zip(p, t))
        by_hand.append([p[j] - (j == c) + 3 * p[j] / rest * sum((t[k] - t[j]) * p[k] for k in range(3)) for j in range(3)])
    assert torch.allclose(gradient(remembering(), LOGITS, CLASSES, torch.tensor([0, 1, 2])), torch.tensor(by_hand), atol=1e-5)


def test_a_label_against_the_memory_pulls_less_and_one_with_it_still_pulls():
    """The row was class 0 for twenty visits at 0.98; cross entropy pulls by 0.98 towards a wrong label, and by 0.02 towards the right one."""
    sure = [[4.0, 0.0]]
    pulls = {}
    for label in (0, 1):
        loss = remembering(1, 2)
        for _ in range(20):
            loss(torch.tensor(sure), torch.tensor([label]), torch.tensor([0]))
        pulls[label] = -gradient(loss, sure, [label], torch.tensor([0]))[0, label].item()
    plain = {label: -gradient(build("cross_entropy"), sure, [label])[0, label].item() for label in (0, 1)}
    assert pulls[1] < 0 < plain[1]  # it does not go over to the wrong label
    assert pulls[0] > 10 * plain[0] > 0


def test_a_memory_that_is_certain_leaves_loss_and_gradient_finite():
    loss, logits = remembering(1, 2), [[1e4, -1e4]]
    for _ in range(200):
        value = loss(torch.tensor(logits), torch.tensor([0]), torch.tensor([0]))
    assert value.item() == pytest.approx(3 * math.log(1e-4))
    assert torch.isfinite(gradient(loss, logits, [0], torch.tensor([0]))).all()

"""What every loss promises, whatever its formula: a new file in kit/losses is tested by being there."""

import copy

import pytest
import torch

from kit import registry

LOGITS = torch.tensor([[0.5, -1.0, 0.2], [2.0, 0.1, -0.4], [-0.3, 0.7, 1.1]])
TARGETS = {
    "binary": torch.tensor([1.0, 0.0, 1.0]),
    "multiclass": torch.tensor([0, 1, 1]),
    "multilabel": torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "regression": torch.tensor([[1.0, 0.2, 2.5], [0.3, 0.9, 1.4], [3.0, 0.1, 0.6]]),
}
NAMES = [n for n in registry.names("losses") if not getattr(registry.find("losses", n), "sums", False)]  # a sum of a network's own parts takes no logits
SERVED = [(name, task) for name in NAMES for task in registry.find("losses", name).tasks]
every = pytest.mark.parametrize("name, task", SERVED)
every_of_logits = pytest.mark.parametrize("name, task", [(n, t) for n, t in SERVED if t != "regression" and not registry.find("losses", n).embeds])
every_that_gives_probabilities = pytest.mark.parametrize("name, task", [(n, t) for n, t in SERVED if t != "regression"])


def logits_for(task):
    return LOGITS[:, :1].clone() if task == "binary" else LOGITS.clone()


def built(name, task, seed=1):
    """The loss as a saved model has it: with weights, if it has any, for embeddings of width 3."""
    loss = registry.find("losses", name)(task)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loss.build(3, logits_for(task).shape[1])
    return loss


def ready(name, task, target=None, seed=1):
    """The loss as a training has it: told the unit, and the targets of the training rows."""
    loss = built(name, task, seed)
    loss.in_units_of(torch.ones(3))
    loss.learn(TARGETS[task] if target is None else target, logits_for(task).shape[1])
    return loss


def ask(loss, logits, target, rows=(0, 1, 2)):
    return loss(logits, target, torch.tensor(rows)) if loss.remembers else loss(logits, target)


def state(loss):
    return {k: v.clone() for k, v in loss.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_names_the_tasks_it_serves_and_says_in_one_line_what_it_is(name):
    served = registry.find("losses", name).tasks
    assert served and set(served) <= set(TARGETS)
    line = registry.describe("losses", name)
    assert line.endswith(".") and len(line) <= 120


@every
def test_predictions_have_the_shape_of_the_logits_and_need_nothing_learned(name, task):
    predicted = built(name, task).double().predict(logits_for(task).double())
    assert predicted.shape == logits_for(task).shape
    if task != "regression":
        assert ((predicted > 0) & (predicted < 1)).all()
    if task == "multiclass":
        assert predicted.sum(dim=1).tolist() == pytest.approx([1, 1, 1])


@every
def test_each_row_has_its_own_loss_whatever_stands_beside_it(name, task):
    together = ask(ready(name, task), logits_for(task), TARGETS[task])
    alone = [ask(ready(name, task), logits_for(task)[i : i + 1], TARGETS[task][i : i + 1], rows=[i]).item() for i in range(3)]
    assert together.shape == (3,) and together.dtype == torch.float32
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


@every
def test_gradients_are_those_of_finite_differences(name, task):
    """Of targets that are not the rows' own: what a loss remembers moves with the logits, and no gradient goes through it."""
    loss = ready(name, task).double().eval()
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGETS[task]), logits_for(task).double().requires_grad_())


@every_of_logits
def test_the_truth_costs_less_than_its_opposite(name, task):
    true = torch.nn.functional.one_hot(TARGETS[task], 3) if task == "multiclass" else TARGETS[task].reshape(3, -1)
    sure = 8.0 * true - 4
    assert (ask(ready(name, task), sure, TARGETS[task]) < ask(ready(name, task), -sure, TARGETS[task])).all()


@every_that_gives_probabilities
@pytest.mark.parametrize("signs", [[1, -1, -1], [-1, 1, 1], [1, 1, 1], [-1, -1, -1]])
def test_losses_and_gradients_are_finite_however_far_the_logits_are(name, task, signs):
    logits = (1e4 * torch.tensor(signs, dtype=torch.float32).repeat(3, 1))[:, : logits_for(task).shape[1]].requires_grad_()
    loss = ready(name, task)
    for _ in range(3):  # the third finds the first two in a memory
        losses = ask(loss, logits, TARGETS[task])
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(logits.grad).all()


@every_that_gives_probabilities
def test_a_class_without_a_training_row_has_a_finite_loss(name, task):
    loss = ready(name, task, target=torch.zeros_like(TARGETS[task]))  # class 0 alone; no label at all
    other = torch.full_like(TARGETS[task], 2 if task == "multiclass" else 1)
    logits = logits_for(task).requires_grad_()
    losses = ask(loss, logits, other)
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(logits.grad).all()


@every
def test_only_what_is_remembered_of_a_row_moves_after_learning_and_only_by_the_rows_own_target(name, task):
    loss = ready(name, task).eval()  # while training a loss may also keep a mean over batches
    ask(loss, logits_for(task), TARGETS[task])
    before = state(loss)
    loss(LOGITS[:, : logits_for(task).shape[1]] * 50, TARGETS[task])  # a batch's second asking, with its partners' targets
    loss.predict(logits_for(task) * 50)
    assert same(state(loss), before)
    ask(loss, logits_for(task)[1:2], TARGETS[task][1:2], rows=[1])
    moved = [k for k, v in state(loss).items() if not torch.equal(v, before[k])]
    assert bool(moved) == loss.remembers
    for key in moved:
        assert (state(loss)[key] != before[key]).any(dim=1).tolist() == [False, True, False]


@every
def test_a_loss_goes_on_from_its_state(name, task):
    loss = ready(name, task)
    ask(loss, logits_for(task), TARGETS[task])
    again = ready(name, task, seed=2)
    again.load_state_dict(state(loss))
    assert torch.equal(ask(again, logits_for(task) + 1, TARGETS[task]), ask(loss, logits_for(task) + 1, TARGETS[task]))


@every
def test_two_losses_share_nothing_that_they_learned(name, task):
    """One for each fold: the second fold's rows must not reach the first fold's loss."""
    first = ready(name, task)
    before = copy.deepcopy(state(first))
    ready(name, task, target=TARGETS[task].flip(0)[:2])
    assert same(state(first), before)

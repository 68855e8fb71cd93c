"""Each loss against its formula, worked in plain Python one number at a time."""

import math

import pytest
import torch

from kit import registry
from kit.errors import ConfigError

LOGITS = [[0.5, -1.0], [2.0, 0.0], [-0.3, 0.7]]
REAL = [[1.0, -2.0], [0.0, 0.5], [3.0, 0.1]]
COUNTS = [[0.0, 2.0], [1.0, 0.0], [4.0, 1.5]]
YES_NO = [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
CLASSES = [0, 1, 1]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def bce(z, y):
    return -math.log(sigmoid(z) if y else 1 - sigmoid(z))


def huber(z, y):
    return (y - z) ** 2 / 2 if abs(y - z) <= 0.8 else 0.8 * (abs(y - z) - 0.4)


def pinball(z, y):
    return 0.9 * (y - z) if y > z else 0.1 * (z - y)


def tweedie(z, y):
    mean = math.exp(z)
    return mean**0.7 / 0.7 - y * mean**-0.3 / -0.3


def focal(z, y):
    right = sigmoid(z) if y else 1 - sigmoid(z)
    return -((1 - right) ** 2) * math.log(right)


def asymmetric(z, y):
    p, shifted = sigmoid(z), max(sigmoid(z) - 0.4, 0)
    return -((1 - p) ** 1.5) * math.log(p) if y else -(shifted**3) * math.log(1 - shifted)


EACH_OUTPUT = [
    ("asymmetric", {"gamma_plus": 1.5, "gamma_minus": 3.0, "margin": 0.4}, YES_NO, asymmetric),
    ("bce", {}, YES_NO, bce),
    ("focal", {}, YES_NO, focal),
    ("mse", {}, REAL, lambda z, y: (y - z) ** 2),
    ("mae", {}, REAL, lambda z, y: abs(y - z)),
    ("mape", {}, REAL, lambda z, y: abs(y - z) / max(abs(y), 1e-3)),
    ("huber", {"delta": 0.8}, REAL, huber),
    ("quantile", {"alpha": 0.9}, REAL, pinball),
    ("poisson", {}, COUNTS, lambda z, y: math.exp(z) - y * z),
    ("tweedie", {"power": 1.3}, COUNTS, tweedie),
]


def build(name, task="", **options):
    loss = registry.find("losses", name)(task, **options)
    loss.in_units_of(torch.ones(2))
    return loss


@pytest.mark.parametrize("name, options, target, formula", EACH_OUTPUT, ids=[e[0] for e in EACH_OUTPUT])
def test_a_row_loses_the_mean_of_the_formula_over_its_outputs(name, options, target, formula):
    by_hand = [sum(formula(z, y) for z, y in zip(zs, ys)) / 2 for zs, ys in zip(LOGITS, target)]
    found = build(name, **options)(torch.tensor(LOGITS), torch.tensor(target))
    assert found.tolist() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name, options, target, formula", EACH_OUTPUT, ids=[e[0] for e in EACH_OUTPUT])
def test_one_output_takes_a_flat_target(name, options, target, formula):
    logits, flat = torch.tensor(LOGITS)[:, :1], torch.tensor(target)[:, 0]
    loss = registry.find("losses", name)(**options)
    assert torch.equal(loss(logits, flat), loss(logits, flat[:, None]))
    assert loss(logits, flat).shape == (3,)


def softmax(zs):
    return [math.exp(z) / sum(math.exp(o) for o in zs) for z in zs]


def test_cross_entropy_is_the_log_of_the_true_class():
    by_hand = [-math.log(softmax(zs)[c]) for zs, c in zip(LOGITS, CLASSES)]
    assert build("cross_entropy")(torch.tensor(LOGITS), torch.tensor(CLASSES)).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_smoothed_cross_entropy_spreads_its_share_over_all_classes():
    by_hand = [-0.8 * math.log(softmax(zs)[c]) - 0.1 * sum(math.log(p) for p in softmax(zs)) for zs, c in zip(LOGITS, CLASSES)]
    assert build("cross_entropy", smoothing=0.2)(torch.tensor(LOGITS), torch.tensor(CLASSES)).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_focal_loss_of_classes_counts_a_sure_row_less():
    by_hand = [-((1 - softmax(zs)[c]) ** 2) * math.log(softmax(zs)[c]) for zs, c in zip(LOGITS, CLASSES)]
    assert build("focal", "multiclass")(torch.tensor(LOGITS), torch.tensor(CLASSES)).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_focal_loss_without_gamma_is_cross_entropy():
    logits = torch.tensor(LOGITS)
    assert torch.allclose(build("focal", gamma=0.0)(logits, torch.tensor(YES_NO)), build("bce")(logits, torch.tensor(YES_NO)))


def test_a_sure_focal_loss_has_a_finite_gradient():
    logits = torch.tensor([[60.0], [-60.0]], requires_grad=True)
    build("focal", gamma=0.5)(logits, torch.tensor([1.0, 0.0])).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_an_absent_label_given_no_more_than_the_margin_costs_nothing_and_pulls_nothing():
    logits = torch.tensor([[-3.0, 0.0]], requires_grad=True)  # probabilities 0.047 and 0.5
    loss = build("asymmetric", margin=0.05)(logits, torch.tensor([[0.0, 0.0]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(-(0.45**4) * math.log(0.55) / 2, rel=1e-5)
    assert logits.grad[0, 0] == 0 < logits.grad[0, 1]


def test_asymmetric_loss_without_powers_and_margin_is_binary_cross_entropy():
    plain = build("asymmetric", gamma_plus=0.0, gamma_minus=0.0, margin=0.0)
    logits = torch.tensor(LOGITS)
    assert torch.allclose(plain(logits, torch.tensor(YES_NO)), build("bce")(logits, torch.tensor(YES_NO)))


@pytest.mark.parametrize(
    "options",
    [{"margin": 0.0}, {"gamma_minus": 0.5}, {"gamma_minus": 0.5, "margin": 0.0}, {"gamma_minus": 0.0, "margin": 0.0}, {"gamma_plus": 0.5}],
)
def test_asymmetric_loss_is_finite_at_the_edges_of_its_options(options):
    logits = torch.tensor([[1e4], [-1e4], [0.0], [1e4], [-1e4], [0.0]], requires_grad=True)
    loss = build("asymmetric", **options)(logits, torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(logits.grad).all()


def test_huber_takes_its_delta_in_the_targets_unit():
    """A target of 100 dollars, told to the loss in units of 50 dollars, is off by 2 units; delta = 25 dollars is half a unit."""
    loss = registry.find("losses", "huber")(delta=25.0)
    loss.in_units_of(torch.tensor([50.0]))
    assert loss(torch.tensor([[0.0]]), torch.tensor([2.0])).tolist() == [0.5 * (2 - 0.25)]


@pytest.mark.parametrize("name", ["poisson", "tweedie"])
def test_a_loss_on_the_logarithm_predicts_its_exponential(name):
    assert build(name).predict(torch.tensor([[0.0]])).item() == 1.0


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("quantile", {"alpha": 1.5}, "alpha = 1.5 of loss quantile: expected a number above 0 and below 1"),
        ("tweedie", {"power": 2.0}, "power = 2.0 of loss tweedie: expected a number above 1 and below 2"),
        ("huber", {"delta": -1.0}, "delta = -1.0 of loss huber: expected 0 or more, in the target's unit"),
        ("focal", {"gamma": -1.0}, "gamma = -1.0 of loss focal: expected 0 or more"),
        ("asymmetric", {"gamma_plus": -1.0}, "gamma_plus = -1.0 of loss asymmetric: expected 0 or more"),
        ("asymmetric", {"gamma_minus": -2.0}, "gamma_minus = -2.0 of loss asymmetric: expected 0 or more"),
        ("asymmetric", {"margin": 1.0}, "margin = 1.0 of loss asymmetric: expected a probability, 0 or more and below 1"),
        ("logit_adjustment", {"tau": -1.0}, "tau = -1.0 of loss logit_adjustment: expected 0 or more"),
        ("class_balanced", {"beta": 1.0}, "beta = 1.0 of loss class_balanced: expected 0 or more and below 1"),
        ("generalised_cross_entropy", {"q": 0.0}, "q = 0.0 of loss generalised_cross_entropy: expected above 0 and at most 1"),
        (
            "symmetric_cross_entropy",
            {"alpha": 0.0, "beta": 0.0},
            "alpha = 0.0, beta = 0.0 of loss symmetric_cross_entropy: expected 0 or more, and not both 0",
        ),
        ("symmetric_cross_entropy", {"A": 4.0}, "A = 4.0 of loss symmetric_cross_entropy: expected a number below 0"),
        ("bootstrapping", {"beta": 1.5}, "beta = 1.5 of loss bootstrapping: expected above 0 and at most 1, or 0 for the paper's"),
        ("early_learning", {"beta": 1.0}, "beta = 1.0 of loss early_learning: expected 0 or more and below 1"),
        ("early_learning", {"strength": -1.0}, "strength = -1.0 of loss early_learning: expected 0 or more"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(name, options, words):
    with pytest.raises(ConfigError, match=f"^{words}$"):
        build(name, **options)

"""Losses with a margin between angles, against their formulas in plain Python and against pytorch-metric-learning."""

import copy
import math

import pytest
import torch
from pytorch_metric_learning import losses as package

from kit import registry
from kit.errors import ConfigError

NAMES = [n for n in registry.names("losses") if registry.find("losses", n).embeds]
EMBEDDINGS = [[0.5, -1.0], [2.0, 0.1], [-0.3, 0.7]]
DIRECTIONS = [[1.0, 0.2, -0.4], [0.3, -2.0, 0.9]]  # of three classes, in columns
CLASSES = [0, 1, 1]
every = pytest.mark.parametrize("name", NAMES)


def build(name, directions=DIRECTIONS, target=(0, 1, 2), **options):
    directions = torch.tensor(directions)
    loss = registry.find("losses", name)("multiclass", **options)
    classes = directions.shape[1] // getattr(loss, "centres", 1)
    loss.learn(torch.tensor(target), classes)
    loss.build(len(directions), classes)
    with torch.no_grad():
        loss.angular.W.copy_(directions)
    return loss


def found(loss):
    return loss(torch.tensor(EMBEDDINGS), torch.tensor(CLASSES)).tolist()


def cosines(embedding, directions=DIRECTIONS):
    length = math.hypot(*embedding)
    return [sum(e * d for e, d in zip(embedding, column)) / length / math.hypot(*column) for column in zip(*directions)]


def moved(cosine, degrees):
    angle, margin = math.acos(cosine), math.radians(degrees)
    return math.cos(angle + margin) if angle + margin <= math.pi else cosine - margin * math.sin(margin)


def cross_entropy(logits, true):
    return -logits[true] + math.log(sum(math.exp(z) for z in logits))


def arcface(cosine, true, degrees, scale):
    return cross_entropy([scale * (moved(c, degrees) if k == true else c) for k, c in enumerate(cosine)], true)


def test_at_right_angles_to_all_a_margin_of_30_degrees_is_half_the_scale():
    """cos(90 + 30 degrees) = -1/2, and the other two classes have cos 90 = 0."""
    loss = build("arcface", [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], margin=30.0, scale=4.0)
    assert loss(torch.tensor([[5.0, 0.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-5)


@pytest.mark.parametrize("margin", [0.0, 17.0, 70.0])
def test_arcface_is_its_formula_in_degrees(margin):
    by_hand = [arcface(cosines(e), c, margin, 8.0) for e, c in zip(EMBEDDINGS, CLASSES)]
    assert found(build("arcface", margin=margin, scale=8.0)) == pytest.approx(by_hand, rel=1e-4)


def test_arcface_is_the_packages_row_by_row():
    loss = build("arcface", margin=20.0, scale=16.0)
    other = package.ArcFaceLoss(num_classes=3, embedding_size=2, margin=20.0, scale=16.0)
    other.load_state_dict(loss.angular.state_dict())
    alone = [other(torch.tensor([e]), torch.tensor([c])).item() for e, c in zip(EMBEDDINGS, CLASSES)]
    assert found(loss) == pytest.approx(alone, rel=1e-5)


def test_a_sub_centre_near_the_embedding_is_enough():
    directions = [[1.0, 0.2, -0.4, 0.8, 0.0, 0.3], [0.3, -2.0, 0.9, 0.8, 1.0, -0.1]]  # two of each class, side by side
    best = [[max(pair) for pair in zip(c[::2], c[1::2])] for c in (cosines(e, directions) for e in EMBEDDINGS)]
    by_hand = [arcface(c, true, 25.0, 8.0) for c, true in zip(best, CLASSES)]
    loss = build("sub_centre_arcface", directions, margin=25.0, scale=8.0, centres=2)
    assert found(loss) == pytest.approx(by_hand, rel=1e-4)
    told = [[math.exp(8 * c) / sum(math.exp(8 * o) for o in row) for c in row] for row in best]
    assert loss.predict(torch.tensor(EMBEDDINGS)).tolist() == [pytest.approx(row, rel=1e-4) for row in told]


def test_one_sub_centre_is_arcface():
    assert found(build("sub_centre_arcface", centres=1)) == pytest.approx(found(build("arcface")), rel=1e-6)


@pytest.mark.parametrize("t", [0.0, 0.6])
def test_a_class_that_is_too_near_counts_by_the_curriculum(t):
    def by_hand(cosine, true):
        asked = moved(cosine[true], 25.0)
        return cross_entropy([8 * (asked if k == true else c * (t + c) if c > asked else c) for k, c in enumerate(cosine)], true)

    loss = build("curricular", margin=25.0, scale=8.0)
    loss.angular.t.fill_(t)
    expected = [by_hand(cosines(e), c) for e, c in zip(EMBEDDINGS, CLASSES)]
    assert any(c > moved(cosines(e)[true], 25.0) for e, true in zip(EMBEDDINGS, CLASSES) for k, c in enumerate(cosines(e)) if k != true)
    assert found(loss) == pytest.approx(expected, rel=1e-4)


def test_the_curriculum_follows_the_true_classes_cosines_while_training_only():
    loss = build("curricular")
    mean = sum(cosines(e)[c] for e, c in zip(EMBEDDINGS, CLASSES)) / 3
    found(loss)
    assert loss.angular.t.item() == pytest.approx(0.01 * mean, rel=1e-4)
    found(loss)
    assert loss.angular.t.item() == pytest.approx(0.01 * mean + 0.99 * 0.01 * mean, rel=1e-4)
    assert "angular.t" in loss.state_dict()
    loss.eval()
    before = loss.angular.t.item()
    found(loss)
    assert loss.angular.t.item() == before


def test_the_rarest_class_has_the_whole_margin_and_the_commonest_the_least():
    """1, 16 and 81 rows and power 1/4: rows to the power -1/4 are 1, 1/2 and 1/3, so the second is a quarter of the way up."""
    target = [0] + [1] * 16 + [2] * 81
    loss = build("dynamic_margin", target=target, margin=30.0, least=6.0)
    assert loss.margins.tolist() == pytest.approx([30, 12, 6], abs=1e-4)
    by_hand = [arcface(cosines(e), c, (30, 12, 6)[c], 30.0) for e, c in zip(EMBEDDINGS, CLASSES)]
    assert found(loss) == pytest.approx(by_hand, rel=1e-4)


def test_classes_of_equal_size_have_the_margin_of_arcface():
    assert found(build("dynamic_margin", margin=20.0)) == pytest.approx(found(build("arcface", margin=20.0)), rel=1e-5)


@every
def test_the_length_of_an_embedding_says_nothing(name):
    loss, embeddings = build(name, [[1.0, 0.2, -0.4] * getattr(registry.find("losses", name)(), "centres", 1)] * 2).eval(), torch.tensor(EMBEDDINGS)
    target = torch.tensor(CLASSES)
    assert torch.allclose(loss(embeddings, target), loss(100 * embeddings, target), rtol=1e-4)
    assert torch.allclose(loss.predict(embeddings), loss.predict(100 * embeddings), rtol=1e-4)


@every
def test_a_margin_makes_the_truth_cost_more_and_changes_no_prediction(name):
    torch.manual_seed(0)
    wide, none = (registry.find("losses", name)(margin=m, **({"least": 0.0} if name == "dynamic_margin" else {})) for m in (30.0, 0.0))
    for loss in (wide, none):
        loss.learn(torch.tensor([0, 1, 2]), 3)
        loss.build(2, 3)
    none.load_state_dict({k: v for k, v in wide.state_dict().items() if k != "margins"}, strict=False)
    embeddings, target = torch.tensor(EMBEDDINGS), torch.tensor(CLASSES)
    assert (wide(embeddings, target) > none(embeddings, target)).all()
    assert torch.equal(wide.predict(embeddings), none.predict(embeddings))


@every
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_embedding_right_at_its_class_or_opposite_has_a_finite_gradient(name, side):
    loss = registry.find("losses", name)()
    loss.learn(torch.tensor([0, 1]), 2)
    loss.build(4, 2)
    embedding = (side * loss.angular.W.detach()[:, :1].T * torch.tensor([[1.0], [3.0], [1e4]])).requires_grad_()
    losses = loss(embedding, torch.tensor([0, 0, 0]))
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(embedding.grad).all() and torch.isfinite(loss.angular.W.grad).all()


@every
def test_angles_are_measured_in_full_precision_inside_autocast(name):
    torch.manual_seed(0)
    loss, embeddings, target = registry.find("losses", name)(), torch.randn(8, 16), torch.arange(8) % 4
    loss.learn(target, 4)
    loss.build(16, 4)
    plain, probabilities = copy.deepcopy(loss)(embeddings, target), loss.predict(embeddings)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(embeddings, target)
        told = loss.predict(embeddings)
    assert half.dtype == torch.float32 and torch.equal(half, plain) and torch.equal(told, probabilities)


@every
def test_a_class_starts_about_as_long_as_1_and_the_seed_decides_where(name):
    lengths = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        loss = registry.find("losses", name)()
        loss.build(400, 5)
        lengths.append(loss.angular.W.detach().norm(dim=0))
    assert lengths[0].tolist() == pytest.approx([1] * len(lengths[0]), abs=0.2)
    assert torch.equal(lengths[0], lengths[1]) and not torch.equal(lengths[0], lengths[2])


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("arcface", {"margin": 90.0}, "margin = 90.0 of loss arcface: expected degrees, 0 or more and below 90"),
        ("curricular", {"margin": -1.0}, "margin = -1.0 of loss curricular: expected degrees, 0 or more and below 90"),
        ("arcface", {"scale": 0.0}, "scale = 0.0 of loss arcface: expected a number above 0"),
        ("sub_centre_arcface", {"centres": 0}, "centres = 0 of loss sub_centre_arcface: expected 1 or more"),
        ("dynamic_margin", {"least": 40.0}, "least = 40.0 of loss dynamic_margin: expected degrees, 0 to margin = 28.6"),
        ("dynamic_margin", {"power": 0.0}, "power = 0.0 of loss dynamic_margin: expected a number above 0"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(name, options, words):
    with pytest.raises(ConfigError, match=f"^{words}$"):
        registry.find("losses", name)(**options)

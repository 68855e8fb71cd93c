"""What every metric keeps, whichever files kit/metrics/ holds."""

import inspect
import types

import numpy as np
import pytest

from kit import registry

NEEDS = {"label", "probability", "ranking", "value", "confidence", "neighbours", "boxes", "masks", "groups"}
LISTS = {"ranking", "confidence", "neighbours", "boxes", "masks", "groups"}  # needs whose predictions are no arrays
OBJECTS = {"boxes", "masks", "groups"}  # whose truth is a list, too
LOSSES = {"mse", "mae", "huber", "quantile", "poisson", "tweedie", "mape", "bce", "cross_entropy"}


@pytest.fixture(params=registry.names("metrics"))
def metric(request) -> types.ModuleType:
    return registry.find("metrics", request.param)


def example(metric):
    given = metric.EXAMPLE
    listed = LISTS & set(needs(metric))
    truth = given["truth"] if OBJECTS & listed else np.array(given["truth"])
    return truth, given["predicted"] if listed else np.array(given["predicted"]), given.get("options", {})


def needs(metric):
    return (metric.needs,) if isinstance(metric.needs, str) else metric.needs


def take(answers, rows):
    return [answers[i] for i in rows] if isinstance(answers, list) else answers[rows]


def perfect(metric, truth, predicted):
    if "confidence" in needs(metric):
        return [(text.split()[0], 1.0) if text else None for text in truth]
    if "neighbours" in needs(metric):
        return [sorted(relevant) for relevant in truth]
    if "groups" in needs(metric):
        return [particles for particles, _ in truth]
    if OBJECTS & set(needs(metric)):
        return list(truth)
    if isinstance(predicted, list):
        return [[answer] for answer in truth]
    return np.eye(predicted.shape[1])[truth] if predicted.ndim > truth.ndim else truth


def test_the_example_has_the_score_worked_by_hand(metric):
    truth, predicted, options = example(metric)
    assert metric.score(truth, predicted, **options) == pytest.approx(metric.EXAMPLE["score"], rel=1e-12)


def test_a_score_is_a_plain_float(metric):
    truth, predicted, options = example(metric)
    assert type(metric.score(truth, predicted, **options)) is float


def test_the_module_says_what_it_measures(metric):
    assert registry.describe("metrics", metric.__name__.split(".")[-1]).endswith((".", ",", ";"))


def test_needs_are_kinds_of_predictions(metric):
    assert needs(metric) and set(needs(metric)) <= NEEDS


def test_optional_attributes_hold_known_values(metric):
    assert type(metric.greater_is_better) is bool
    assert getattr(metric, "loss", "mse") in LOSSES
    assert getattr(metric, "space", None) in (None, "log1p", "log")
    assert 0 < getattr(metric, "threshold", 0.5) < 1


def test_row_order_does_not_matter(metric):
    truth, predicted, options = example(metric)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(truth))
        shuffled = metric.score(take(truth, order), take(predicted, order), **options)
        assert shuffled == pytest.approx(metric.EXAMPLE["score"], rel=1e-12)


def test_a_perfect_prediction_beats_the_example(metric):
    truth, predicted, options = example(metric)
    best = metric.score(truth, perfect(metric, truth, predicted), **options)
    decide = getattr(metric, "greater_is_better_for", lambda **_: metric.greater_is_better)
    gain = best - metric.EXAMPLE["score"]
    assert gain > 0 if decide(**options) else gain < 0


def test_the_score_leaves_its_inputs_alone(metric):
    truth, predicted, options = example(metric)
    metric.score(truth, predicted, **options)
    np.testing.assert_equal((truth, predicted), example(metric)[:2])


def test_the_signature_is_truth_predicted_perhaps_weights_and_keyword_only_options(metric):
    parameters = list(inspect.signature(metric.score).parameters.values())
    given = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert [p.name for p in given] in (["truth", "predicted"], ["truth", "predicted", "weights"])
    assert [p.default for p in given[2:]] in ([], [None])


def test_options_have_annotations_and_defaults_that_fit_them(metric):
    options = registry.options(metric)
    assert all(o.default is not inspect.Parameter.empty for o in options.values())
    assert all(p.annotation is not p.empty for p in inspect.signature(metric.score).parameters.values())
    assert registry.check_options(metric, registry.filled(metric, {}), "score") == []
    assert set(metric.EXAMPLE.get("options", {})) <= set(options)


def test_a_weight_of_two_is_the_row_twice(metric):
    if "weights" not in inspect.signature(metric.score).parameters:
        pytest.skip("takes no weights")
    truth, predicted, options = example(metric)
    weights = 1 + np.arange(len(truth)) % 3
    repeated = np.repeat(np.arange(len(truth)), weights)
    twice = [predicted[row] for row in repeated] if isinstance(predicted, list) else predicted[repeated]
    expected = metric.score(truth[repeated], twice, **options)
    assert metric.score(truth, predicted, weights.astype(float), **options) == pytest.approx(expected, rel=1e-12)


def test_what_an_option_decides_agrees_with_the_plain_value_by_default(metric):
    for attribute in ("greater_is_better", "space"):
        decide = getattr(metric, f"{attribute}_for", None)
        if decide is not None:
            assert decide() == getattr(metric, attribute, None)
            assert {k: p.default for k, p in inspect.signature(decide).parameters.items()} == registry.filled(metric, {})

"""LightGBM as kit calls it: losses by the house's names, rounds found on watched rows, categories and n-grams told apart."""

import numpy as np
import pytest
import scipy.sparse

from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup
from kit.estimators.lightgbm import OBJECTIVES, Lightgbm


def examples(target, *, seed=0, sparse=None, rows=300):
    random = np.random.default_rng(seed)
    dense = random.normal(size=(rows, 2)).astype(np.float32)
    codes = random.integers(0, 4, (rows, 1)).astype(np.int32)
    features = Features(dense, ["a", "b"], codes, ["c"], [4], sparse)
    return Examples(np.arange(rows).astype(str).astype(object), features, target(dense, codes, random))


def amount(dense, codes, random):
    return np.exp(dense[:, 0]) + (codes[:, 0] == 2) + random.exponential(0.1, len(dense))


def setup(loss="mse", task="regression", outputs=1, **options):
    return Setup(task=task, outputs=outputs, loss=loss, loss_options=options)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "quantile", "poisson", "tweedie", "gamma", "mape"])
def test_every_loss_of_a_number_learns(loss):
    train, test = examples(amount), examples(amount, seed=1)
    model = Lightgbm(setup(loss), rounds=60, learning_rate=0.1)
    model.fit(train, {})
    predicted = model.predict(test)[:, 0]
    assert np.corrcoef(predicted, test.target)[0, 1] > 0.8
    assert loss not in ("poisson", "tweedie", "gamma") or predicted.min() > 0


def test_quantile_takes_its_share_from_the_config():
    train = examples(lambda dense, codes, random: random.normal(size=len(dense)), rows=2000)
    low, high = (Lightgbm(setup("quantile", alpha=a), rounds=20).parameters(2000, 0)["alpha"] for a in (0.1, 0.9))
    model = Lightgbm(setup("quantile", alpha=0.9), rounds=50)
    model.fit(train, {})
    assert (low, high) == (0.1, 0.9)
    assert 0.85 < (train.target < model.predict(train)[:, 0]).mean() < 0.95


def test_a_quantile_that_nobody_named_is_the_median():
    train = examples(amount)
    plain, median = Lightgbm(setup("quantile"), rounds=20), Lightgbm(setup("quantile", alpha=0.5), rounds=20)
    plain.fit(train, {})
    median.fit(train, {})
    assert np.array_equal(plain.predict(train), median.predict(train))


def test_huber_bends_at_one_deviation_of_the_target_unless_told():
    assert Lightgbm(setup("huber")).parameters(300, 0, 7.5)["alpha"] == 7.5
    assert Lightgbm(setup("huber", delta=2.0)).parameters(300, 0, 7.5)["alpha"] == 2.0


def test_loss_that_it_does_not_know_is_said_with_those_that_it_knows():
    with pytest.raises(ConfigError, match='train.loss = "focal": model "lightgbm" knows bce, cross_entropy, mse'):
        Lightgbm(setup("focal"))


def test_option_that_a_loss_does_not_have_is_said():
    with pytest.raises(ConfigError, match="train.loss.alpha is no option of tweedie: it takes power"):
        Lightgbm(setup("tweedie", alpha=0.5))


def test_rounds_are_those_at_which_watched_rows_stop_to_gain():
    noise = examples(lambda dense, codes, random: random.normal(size=len(dense)))
    signal, watched = examples(amount), examples(amount, seed=1)
    model = Lightgbm(setup(), patience=20, learning_rate=0.1)
    assert model.watches
    few = model.watch(noise, examples(lambda dense, codes, random: random.normal(size=len(dense)), seed=1))["rounds"]
    many = model.watch(signal, watched)["rounds"]
    assert few[0] < 15 < many[0]
    model.fit(signal, {"rounds": many})
    assert model.boosters[0].current_iteration() == many[0]
    assert not Lightgbm(setup(), rounds=5).watches


def test_several_targets_have_a_booster_each():
    train = examples(lambda dense, codes, random: np.column_stack([dense[:, 0], -dense[:, 0]]))
    model = Lightgbm(setup(outputs=2), rounds=30, learning_rate=0.2)
    model.fit(train, {})
    predicted = model.predict(train)
    assert predicted.shape == (300, 2) and np.corrcoef(predicted.T)[0, 1] < -0.95


def test_several_models_are_averaged():
    train = examples(amount)
    one, three = Lightgbm(setup(), rounds=20), Lightgbm(setup(), rounds=20, models=3)
    one.fit(train, {})
    three.fit(train, {})
    assert len(three.boosters) == 3
    assert np.allclose(three.predict(train)[:, 0], np.mean([b.predict(three._matrix(train.features)) for b in three.boosters], axis=0))


def test_category_is_split_as_one_and_not_by_the_order_of_its_codes():
    train = examples(lambda dense, codes, random: np.isin(codes[:, 0], [1, 3]) * 10.0, rows=1000)
    model = Lightgbm(setup(), rounds=1, learning_rate=1.0, column_share=1.0, row_share=1.0, l2=0.0)
    model.fit(train, {})
    predicted = model.predict(train)[:, 0]
    assert np.abs(predicted - train.target).max() < 0.5
    assert next(iter(model.importances())) == "c"


def test_ngrams_stay_sparse_and_count_together_as_an_importance():
    words = scipy.sparse.random(300, 5000, density=0.002, format="lil", dtype=np.float32, random_state=0)
    words[:, 7] = (np.arange(300) % 2)[:, None]
    train = examples(lambda dense, codes, random: (np.arange(300) % 2) * 5.0, sparse=scipy.sparse.csr_matrix(words))
    model = Lightgbm(setup(), rounds=10, learning_rate=0.3, column_share=1.0)
    model.fit(train, {})
    assert next(iter(model.importances())) == "n-grams"


def test_every_loss_name_of_the_house_is_a_name_here():
    from kit.registry import names

    assert set(OBJECTIVES) - {"gamma"} <= set(names("losses"))

"""LightGBM, XGBoost, CatBoost and extra trees as kit calls them: losses by the house's names, rounds found on watched rows, the libraries' own figures kept."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from kit import registry
from kit.encoders import Examples, Features
from kit.errors import ConfigError, DependencyError, TrainingError
from kit.estimators import Setup
from kit.estimators._boosted import Column, _shares
from kit.estimators.extra_trees import ExtraTrees, _reached, _to_medians

NUMBERS = {
    "lightgbm": ["mse", "mae", "huber", "quantile", "poisson", "tweedie", "gamma", "mape"],
    "xgboost": ["mse", "mae", "quantile", "poisson", "tweedie", "gamma", "mape"],
    "catboost": ["mse", "mae", "huber", "quantile", "poisson", "tweedie", "mape"],
}
LIBRARIES = list(NUMBERS)
EXTRA = LIBRARIES[1:]  # what the extra `boost` installs


def booster(name, given, **options):
    pytest.importorskip(name)  # the extra `boost`
    return registry.find("estimators", name)(given, **options)


def setup(loss="mse", task="regression", outputs=1, **options):
    return Setup(task=task, outputs=outputs, loss=loss, loss_options=options)


def examples(target, *, seed=0, sparse=None, rows=300, weight=None):
    random = np.random.default_rng(seed)
    dense = random.normal(size=(rows, 2)).astype(np.float32)
    codes = random.integers(0, 4, (rows, 1)).astype(np.int32)
    features = Features(dense, ["a", "b"], codes, ["c"], [4], sparse)
    return Examples(np.arange(rows).astype(str).astype(object), features, target(dense, codes, random), weight)


def amount(dense, codes, random):
    return np.exp(dense[:, 0]) + (codes[:, 0] == 2) + random.exponential(0.1, len(dense))


def noise(dense, codes, random):
    return random.normal(size=len(dense))


@pytest.mark.parametrize(("name", "loss"), [(name, loss) for name, losses in NUMBERS.items() for loss in losses])
def test_every_loss_of_a_number_learns(name, loss):
    train, test = examples(amount), examples(amount, seed=1)
    model = booster(name, setup(loss), rounds=100, learning_rate=0.1)
    model.fit(train, {})
    predicted = model.predict(test)[:, 0]
    assert np.corrcoef(predicted, test.target)[0, 1] > 0.8
    if loss in ("mse", "poisson", "tweedie", "gamma"):  # the mean itself, not its logarithm
        assert predicted.mean() == pytest.approx(test.target.mean(), rel=0.15)


@pytest.mark.parametrize("name", LIBRARIES)
def test_quantile_takes_its_share_from_the_config(name):
    train = examples(noise, rows=2000)
    model = booster(name, setup("quantile", alpha=0.9), rounds=60)
    model.fit(train, {})
    assert 0.85 < (train.target < model.predict(train)[:, 0]).mean() < 0.96


@pytest.mark.parametrize("name", LIBRARIES)
def test_options_of_a_loss_are_those_of_the_networks_where_none_is_given(name):
    known = {"quantile": ("alpha", 0.5), "tweedie": ("power", 1.5)}
    for loss, (ours, usual) in known.items():
        model = booster(name, setup(loss))
        assert model.loss_given(7.0) == {model.loss_options[loss][ours]: usual}
        pytest.importorskip("torch")
        assert registry.options(registry.find("losses", loss))[ours].default == usual


def test_huber_bends_at_one_deviation_of_the_target_unless_told():
    assert booster("catboost", setup("huber")).parameters(300, 0, 7.5)["loss_function"] == "Huber:delta=7.5"
    assert booster("catboost", setup("huber", delta=2.0)).parameters(300, 0, 7.5)["loss_function"] == "Huber:delta=2.0"
    assert booster("lightgbm", setup("huber")).parameters(300, 0, 5, 7.5)["alpha"] == 7.5
    assert booster("lightgbm", setup("huber", delta=2.0)).parameters(300, 0, 5, 7.5)["alpha"] == 2.0


@pytest.mark.parametrize("name, share", [("lightgbm", "feature_fraction"), ("xgboost", "colsample_bytree")])
def test_of_few_columns_a_tree_sees_most(name, share):
    """Seven of them where that is not more than most: of seven columns half would be three, and what hangs on four is never seen."""
    shares = [booster(name, setup()).parameters(n, 0, width)[share] for n, width in ((5_000, 7), (5_000, 10), (5_000, 50), (500, 50), (500, 7), (500, 0))]
    assert shares == [0.8, 0.7, 0.6, 0.5, 0.8, 0.8]
    assert booster(name, setup(), column_share=0.3).parameters(5_000, 0, 7)[share] == 0.3


def test_a_boosters_columns_are_those_of_all_kinds():
    sparse = scipy.sparse.csr_matrix(np.eye(3, 40))
    features = Features(np.zeros((3, 2)), ["a", "b"], np.zeros((3, 1), np.int32), ["c"], [2], sparse)
    assert Column(features, np.zeros(3), None).width == 43 and Column(replace(features, sparse=None), np.zeros(3), None).width == 3


def test_absolute_error_as_a_share_of_the_truth_is_that_of_weighted_rows():
    target, predicted = np.array([2.0, -4.0, 0.0, 8.0]), np.array([3.0, -2.0, 0.001, 4.0])
    weight = _shares(target, None)
    assert weight.mean() == pytest.approx(1)
    truth = np.maximum(np.abs(target), 1e-3 * 3.5)  # |y| is 3.5 in the mean
    assert (weight * np.abs(predicted - target)) / weight[0] * 0.5 == pytest.approx(np.abs(predicted - target) / truth)
    assert _shares(target, np.array([1.0, 0.0, 1.0, 2.0])) == pytest.approx(weight * [1, 0, 1, 2])


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("xgboost", setup("focal", "binary"), 'train.loss = "focal": model "xgboost" knows bce for task binary'),
        ("xgboost", setup("huber"), 'train.loss = "huber": model "xgboost" knows mse, mae, quantile, tweedie, poisson, gamma, mape for task regression'),
        ("xgboost", setup("bce"), 'train.loss = "bce": model "xgboost" knows mse, mae'),
        ("lightgbm", setup("focal"), 'train.loss = "focal": model "lightgbm" knows mse, mae, huber'),
        ("lightgbm", setup("mse", "multiclass", 3), 'train.loss = "mse": model "lightgbm" knows cross_entropy, bce for task multiclass'),
        ("lightgbm", setup("tweedie", alpha=0.5), "train.loss.alpha is no option of tweedie: it takes power"),
        ("catboost", setup("gamma"), 'train.loss = "gamma": model "catboost" knows mse, mae, huber'),
        ("catboost", setup("mse", "multiclass", 3), 'train.loss = "mse": model "catboost" knows cross_entropy for task multiclass'),
        ("catboost", setup("tweedie", alpha=0.5), "train.loss.alpha is no option of tweedie: it takes power"),
        ("xgboost", setup("mse", alpha=0.5), "train.loss.alpha is no option of mse: it takes none"),
    ],
)
def test_loss_or_option_that_a_library_does_not_have_is_said(name, given, told):
    with pytest.raises(ConfigError) as error:
        booster(name, given)
    assert told in str(error.value)


@pytest.mark.parametrize("name", EXTRA)
def test_library_that_is_missing_says_which_extra_installs_it(name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, f"kit.estimators.{name}", None)
    monkeypatch.delitem(sys.modules, f"kit.estimators.{name}")
    monkeypatch.setattr(sys, "meta_path", [_Without(name), *sys.meta_path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(DependencyError, match=rf'"{name}" needs {name}, which is not installed\npip install "competition-kit\[boost\]"'):
        registry.find("estimators", name)


class _Without:
    """An import system in which one library is not installed."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("name", LIBRARIES)
def test_rounds_are_those_at_which_watched_rows_stop_to_gain(name):
    nothing, signal = examples(noise), examples(amount)
    model = booster(name, setup(), patience=20, learning_rate=0.1)
    assert model.watches
    few = model.watch(nothing, examples(noise, seed=1))["rounds"]
    many = model.watch(signal, examples(amount, seed=1))["rounds"]
    assert few[0] < many[0] / 2
    model.fit(signal, {"rounds": [float(many[0])]})
    model.fit(signal, {"rounds": [7.0]})
    (made,) = model.boosters
    trees = {"lightgbm": lambda: made.current_iteration(), "xgboost": lambda: made.num_boosted_rounds(), "catboost": lambda: made.model.tree_count_}
    assert trees[name]() == 7
    assert not booster(name, setup(), rounds=5).watches


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_search_ends_with_its_seconds_and_takes_the_best_round_by_then(name):
    signal, watched = examples(amount), examples(amount, seed=1)
    assert booster(name, setup(), seconds=1e-9, learning_rate=0.01).watch(signal, watched)["rounds"] == [1]
    assert booster(name, setup(), seconds=3600.0, learning_rate=0.1).watch(signal, watched) == booster(name, setup(), learning_rate=0.1).watch(signal, watched)


@pytest.mark.parametrize("name", LIBRARIES)
def test_rounds_are_searched_with_the_parameters_of_the_fit_that_uses_them(name, monkeypatch):
    model, sizes = booster(name, setup(), most_rounds=3), []
    monkeypatch.setattr(type(model), "parameters", lambda self, n, *rest, own=type(model).parameters: sizes.append(n) or own(self, n, *rest))
    model.fit(examples(amount, rows=3_100), model.watch(examples(amount, rows=2_500), examples(amount, rows=600)))
    assert sizes == [3_100, 3_100]


@pytest.mark.parametrize("name", [*LIBRARIES, "extra_trees"])
def test_several_targets_are_learned_each(name):
    train = examples(lambda dense, codes, random: np.column_stack([dense[:, 0], -dense[:, 0]]))
    model = ExtraTrees(setup(outputs=2), trees=30) if name == "extra_trees" else booster(name, setup(outputs=2), rounds=50, learning_rate=0.2)
    model.fit(train, {})
    predicted = model.predict(train)
    assert predicted.shape == (300, 2) and np.corrcoef(predicted.T)[0, 1] < -0.95


@pytest.mark.parametrize("name", LIBRARIES)
def test_several_models_differ_by_seed_and_are_averaged(name):
    train = examples(amount)
    each = []
    for seed in (0, 1000, 2000):
        model = booster(name, Setup(task="regression", outputs=1, loss="mse", seed=seed), rounds=20)
        model.fit(train, {})
        each.append(model.predict(train))
    assert not np.array_equal(each[0], each[1])
    three = booster(name, setup(), rounds=20, models=3)
    three.fit(train, {})
    assert np.allclose(three.predict(train), np.mean(each, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", LIBRARIES)
def test_category_is_split_as_one_and_not_by_the_order_of_its_codes(name):
    train = examples(lambda dense, codes, random: np.isin(codes[:, 0], [1, 3]) * 10.0, rows=1000)
    options = {"rounds": 1, "learning_rate": 1.0, "column_share": 1.0, "row_share": 1.0, "l2": 0.0}
    # one cut tells 1 and 3 from 0 and 2 only where a category is one: by their order that takes three
    options |= {"lightgbm": {}, "xgboost": {"depth": 1}, "catboost": {"depth": 2, "one_hot": 8, "random_strength": 0.0}}[name]
    model = booster(name, setup(), **options)
    model.fit(train, {})
    seen = train.features.codes[:, 0] > 0  # what is missing goes its own way
    assert np.abs(model.predict(train)[:, 0] - train.target)[seen | (name != "xgboost")].max() < 0.5
    assert next(iter(model.importances())) == "c"


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_category_never_seen_is_as_a_missing_one(name):
    train = examples(amount)
    model = booster(name, setup(), rounds=20)
    model.fit(train, {})
    new = train.take(np.arange(5))
    new.features.codes[:] = 0
    assert np.isfinite(model.predict(new)).all()


@pytest.mark.parametrize("name", [*LIBRARIES, "extra_trees"])
def test_ngrams_stay_sparse_and_count_together_as_an_importance(name):
    words = scipy.sparse.random(300, 5000, density=0.002, format="lil", dtype=np.float32, random_state=0)
    words[:, 7] = (np.arange(300) % 2)[:, None]
    train = examples(lambda dense, codes, random: (np.arange(300) % 2) * 5.0, sparse=scipy.sparse.csr_matrix(words))
    train.features.dense[:50, 0], train.features.dense[50:60, 0] = 0.0, np.nan
    if name == "extra_trees":
        model = ExtraTrees(setup(), trees=20, column_share=0.5)
    else:
        model = booster(name, setup(), rounds=10, learning_rate=0.3, column_share=1.0)
    model.fit(train, {})
    importances = model.importances if name == "extra_trees" else model.importances()
    assert next(iter(importances)) == "n-grams" and sum(importances.values()) == pytest.approx(1)
    assert np.corrcoef(model.predict(train)[:, 0], train.target)[0, 1] > 0.95


def test_a_number_that_is_zero_is_not_missing_to_xgboost_where_there_are_ngrams():
    random = np.random.default_rng(0)
    dense = random.choice([-1.0, 0.0, 1.0, np.nan], 400).astype(np.float32)[:, None]
    target = np.select([dense[:, 0] == 0, np.isnan(dense[:, 0])], [5.0, -5.0])
    features = Features(dense, ["a"], np.empty((400, 0), np.int32), [], [], scipy.sparse.csr_matrix((400, 3), dtype=np.float32))
    train = Examples(np.arange(400), features, target)
    model = booster("xgboost", setup(), rounds=40, learning_rate=0.3, column_share=1.0, row_share=1.0)
    model.fit(train, {})
    assert np.abs(model.predict(train)[:, 0] - target).max() < 0.1


@pytest.mark.parametrize("name", [*LIBRARIES, "extra_trees"])
def test_rows_of_weight_zero_teach_nothing(name):
    random = np.random.default_rng(0)
    heavy = random.random(600) < 0.5
    train = examples(lambda dense, codes, _: np.where(heavy, dense[:, 0], 50.0), rows=600, weight=heavy.astype(float))
    model = ExtraTrees(setup(), trees=30) if name == "extra_trees" else booster(name, setup(), rounds=150, learning_rate=0.1)
    model.fit(train, {})
    assert np.abs(model.predict(train)[:, 0] - train.features.dense[:, 0])[heavy].mean() < 0.4


@pytest.mark.parametrize("name", [*LIBRARIES, "extra_trees"])
def test_a_class_and_a_label_without_training_rows_get_next_to_nothing(name):
    def model(given):
        return ExtraTrees(given, trees=20) if name == "extra_trees" else booster(name, given, rounds=60, learning_rate=0.3)

    classes = model(setup("cross_entropy", "multiclass", 4))
    train = examples(lambda dense, codes, random: np.where(dense[:, 0] > 0, 1, 3))
    classes.fit(train, {})
    assert classes.predict(train)[:, [0, 2]].max() < 0.01
    labels = model(setup("bce", "multilabel", 3))
    train = examples(lambda dense, codes, random: np.column_stack([dense[:, 0] > 0, np.zeros(300), np.ones(300)]).astype(float))
    labels.fit(train, {})
    p = labels.predict(train)
    assert p[:, 1].max() < 0.05 and p[:, 2].min() > 0.95


@pytest.mark.parametrize("name", [*LIBRARIES, "extra_trees"])
def test_numbers_beyond_float32_are_as_large_as_it_goes(name):
    train = examples(amount)
    train.features.dense = train.features.dense.astype(np.float64)
    train.features.dense[0, 1], train.features.dense[1, 1] = 1e39, np.inf
    model = ExtraTrees(setup(), trees=10) if name == "extra_trees" else booster(name, setup(), rounds=10)
    model.fit(train, {})
    assert np.isfinite(model.predict(train)).all()


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_same_fit_writes_the_same_bytes(name, tmp_path):
    train = examples(amount)
    for folder in ("one", "two"):
        model = booster(name, setup(), rounds=10)
        model.fit(train, {})
        model.save(tmp_path / folder)
    written = [{p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()} for folder in ("one", "two")]
    assert written[0] == written[1] and written[0][f"model-0.{model.kept_as}"]


def test_catboost_says_why_it_cannot_be_fitted_and_writes_no_file_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = examples(amount)
    model = booster("catboost", setup(), rounds=3)
    model.fit(train, {})
    train.features.dense[:], train.features.codes[:] = 1.0, 0
    with pytest.raises(TrainingError, match='model "catboost" cannot be fitted on 300 rows: .*constant'):
        model.fit(train, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LIBRARIES)
def test_losses_go_by_the_houses_names(name):
    pytest.importorskip(name)
    assert set(registry.find("estimators", name).losses) - {"gamma"} <= set(registry.names("losses"))


def test_column_knows_the_deviation_of_its_target():
    features = Features.of(4)
    assert Column(features, np.array([1.0, 1.0, 5.0, 5.0]), None).deviation == 2
    assert Column(features, np.ones(4), None).deviation == 1


@pytest.mark.parametrize("sparse", [False, True])
def test_trees_read_from_arrays_say_what_scikit_learns_own_say(sparse):
    from sklearn.ensemble import ExtraTreesRegressor

    words = scipy.sparse.random(300, 40, density=0.2, format="csr", dtype=np.float32, random_state=0) if sparse else None
    train, test = examples(amount, sparse=words), examples(amount, sparse=words, seed=1)
    model = ExtraTrees(setup(), trees=25)
    model.fit(train, {})
    x = model._values(train)
    own = ExtraTreesRegressor(**model.parameters(*x.shape)).fit(x, train.target)
    assert np.allclose(model.predict(test)[:, 0], own.predict(model._values(test)), rtol=1e-12)
    of_training = [np.bincount(reached) for reached in _reached(model.forest, x)]
    assert sum(len(counts) for counts in of_training) >= 25 and min(c[c > 0].min() for c in of_training) >= 5


def test_leaves_hold_weighted_medians_where_the_loss_is_the_absolute_error():
    values = np.array([9.0, 9.0, 9.0])
    _to_medians(values, np.array([2, 0, 2, 0, 2]), np.array([5.0, 1.0, 7.0, 3.0, 6.0]), np.array([1.0, 3.0, 1.0, 1.0, 1.0]))
    assert values.tolist() == [1.0, 9.0, 6.0]  # of leaf 0, 3 quarters of the weight are at 1; no row is in leaf 1


def test_medians_are_nearer_than_means_where_few_answers_are_far_off():
    def far_off(dense, codes, random):
        return dense[:, 0] + np.where(random.random(len(dense)) < 0.1, 40.0, 0.0)

    train, test = examples(far_off, rows=2000), examples(far_off, rows=2000, seed=1)
    errors = {}
    for loss in ("mse", "mae"):
        model = ExtraTrees(setup(loss), trees=30, min_rows=20)
        model.fit(train, {})
        errors[loss] = np.abs(model.predict(test)[:, 0] - test.target).mean()
    assert errors["mae"] < 0.8 * errors["mse"]


def test_extra_trees_say_which_losses_they_minimise():
    with pytest.raises(ConfigError, match='train.loss = "huber": model "extra_trees" minimises mse, and mae by the medians of its leaves'):
        ExtraTrees(setup("huber"))
    with pytest.raises(ConfigError, match='train.loss = "mae": model "extra_trees" minimises bce$'):
        ExtraTrees(setup("mae", "binary"))

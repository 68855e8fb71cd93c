"""Scores of validated parts: post-processing comes from the other parts, and the interval is the one of a textbook."""

import math

import numpy as np
import pandas as pd
import pytest

from kit.errors import ScoreError
from kit.pipeline import score_line
from kit.predictions import Predictions
from kit.scoring import WEIGHT, Metric, Score, score_folds
from kit.tasks.binary import Binary
from kit.tasks.multiclass import Multiclass


def binary(*labels) -> tuple[Binary, pd.DataFrame]:
    """The task and its truth; ids are a, b, c, …"""
    task = Binary(target="sold")
    truth = pd.DataFrame({"id": [chr(97 + n) for n in range(len(labels))], "sold": [str(v) for v in labels]})
    task.learn(pd.DataFrame({"sold": ["0", "1"]}))
    return task, truth


def part(**p) -> Predictions:
    """Probabilities by id."""
    return Predictions.of(list(p), {"p": np.array(list(p.values()))})


def metric(name, **options) -> Metric:
    return Metric.open(name, options)


# post-processing


def test_threshold_of_a_part_is_fitted_on_the_others():
    # in the first part 0.35 parts the classes, in the second 0.65: a threshold fitted on all of them looks perfect in neither
    task, truth = binary(0, 1, 1, 0, 0, 1)
    parts = [part(a=0.3, b=0.4, c=0.5), part(d=0.5, e=0.6, f=0.7)]
    score, post = score_folds(metric("f1"), task, truth, [parts], {})
    # fitted on the other part: 0.65 calls none of the first positive, 0.35 all of the second
    assert score.folds == [0.0, 2 * 1 / (1 + 3)]
    assert score.pooled == metric("f1").score(task, truth, part(a=0.3, b=0.4, c=0.5, d=0.5, e=0.6, f=0.7), post) > max(score.folds)


def test_threshold_of_noise_does_not_look_better_than_it_is():
    random = np.random.default_rng(0)
    labels, p = random.integers(0, 2, 40), random.random(40)
    task = Binary(target="sold")
    truth = pd.DataFrame({"id": [f"{n:02d}" for n in range(40)], "sold": labels.astype(str)})
    task.learn(truth)
    parts = [Predictions.of(truth["id"][k::8].tolist(), {"p": p[k::8]}) for k in range(8)]
    score, post = score_folds(metric("accuracy"), task, truth, [parts], {"threshold": "fit"})
    in_sample = np.mean((p >= post["threshold"]) == labels)
    assert score.mean < in_sample - 0.05


def test_single_part_keeps_what_its_own_rows_gave():
    task, truth = binary(0, 1, 1)
    score, post = score_folds(metric("f1"), task, truth, [[part(a=0.1, b=0.2, c=0.3)]], {})
    assert score.folds == [1.0] and 0.1 < post["threshold"] <= 0.2


def test_metric_of_probabilities_needs_no_post_processing():
    task, truth = binary(0, 1)
    score, post = score_folds(metric("log_loss"), task, truth, [[part(a=0.5), part(b=0.5)]], {})
    assert post == {} and score.folds == pytest.approx([math.log(2)] * 2)


def test_parts_of_repeats_are_all_scored_and_pooled_by_id():
    task, truth = binary(0, 1)
    repeats = [[part(a=0.2, b=0.8)], [part(a=0.6, b=0.6)]]
    score, _ = score_folds(metric("brier"), task, truth, repeats, {})
    assert score.folds == pytest.approx([0.04, (0.36 + 0.16) / 2])
    assert score.pooled == pytest.approx((0.4**2 + 0.3**2) / 2)  # of the means 0.4 and 0.7


def test_rows_that_no_part_covers_are_not_scored():
    task, truth = binary(0, 1, 1)
    score, _ = score_folds(metric("accuracy"), task, truth, [[part(a=0.2), part(b=0.9)]], {})
    assert score.folds == [1.0, 1.0] and score.pooled == 1.0


# weights


def test_weights_weigh_rows():
    task, truth = binary(1, 1)
    truth[WEIGHT] = [3.0, 1.0]
    assert metric("accuracy").score(task, truth, part(a=0.9, b=0.1), {}) == 3 / 4


def test_class_that_only_rows_of_no_weight_have_is_not_averaged_over():
    task, truth = binary(1, 1, 0)
    truth[WEIGHT] = [1.0, 1.0, 0.0]
    with pytest.raises(ScoreError, match="auc"):
        metric("auc").score(task, truth, part(a=0.9, b=0.1, c=0.5), {})


def test_rows_of_no_weight_alone_have_no_score():
    task, truth = binary(1, 0)
    truth[WEIGHT] = [0.0, 0.0]
    with pytest.raises(ScoreError, match="^accuracy is not defined: all rows have weight 0$"):
        metric("accuracy").score(task, truth, part(a=0.9, b=0.1), {})


# what is said


def test_part_without_a_score_is_named():
    task, truth = binary(0, 1, 1, 1)
    with pytest.raises(ScoreError) as error:
        score_folds(metric("auc"), task, truth, [[part(a=0.1, b=0.2), part(c=0.3, d=0.4)]], {})
    assert str(error.value).split("\n")[-2:] == [
        "in the validated part with ids c, d (different answers: sold: 1)",
        "use fewer folds or a stratified scheme",
    ]


def test_interval_is_student_s():
    score = Score([0.80, 0.82, 0.84, 0.86, 0.88], 0.84)
    error = math.sqrt((0.04**2 + 0.02**2 + 0 + 0.02**2 + 0.04**2) / 4) / math.sqrt(5)
    assert score.mean == pytest.approx(0.84) and score.standard_error == pytest.approx(error)
    assert score.interval == pytest.approx([0.84 - 2.776445 * error, 0.84 + 2.776445 * error])  # t of 0.975 with 4 degrees of freedom


def test_interval_of_two_folds():
    assert Score([0.4, 0.6], 0.5).interval == pytest.approx([0.5 - 12.706205 * 0.1, 0.5 + 12.706205 * 0.1])


def test_one_fold_has_no_interval():
    assert Score([0.4], 0.4).as_dict() == {"mean": 0.4, "standard_error": None, "interval": None, "folds": [0.4], "pooled": 0.4}


@pytest.mark.parametrize(
    ("name", "score", "constant", "line"),
    [
        ("accuracy", Score([0.8, 0.9], 0.85), 0.6, "cv      accuracy 0.85 ± 0.05 (higher is better), constant 0.6, lift +0.25"),
        ("log_loss", Score([0.5], 0.5), 0.75, "cv      log_loss 0.5 (lower is better), constant 0.75, lift +0.25"),
        ("log_loss", Score([0.5], 0.5), 0.25, "cv      log_loss 0.5 (lower is better), constant 0.25, lift -0.25"),
        ("auc", Score([0.5], 0.5), None, "cv      auc 0.5 (higher is better)"),
    ],
)
def test_line_says_the_lift_over_the_constant_with_plus_for_better(name, score, constant, line):
    assert score_line(metric(name), score, None if constant is None else Score([constant], constant)) == line


@pytest.mark.parametrize("name", ["f1_macro", "balanced_accuracy", "mcc", "accuracy"])
def test_classes_as_words_and_as_positions_score_the_same(name):
    """Class factors are fitted on positions: classes that no row has, on either side, must not count there either."""
    random = np.random.default_rng(0)
    words = ["ash", "birch", "cedar", "dogwood"]
    true = np.array(words, dtype=object)[random.integers(0, 3, 300)]  # no dogwood
    p = random.dirichlet([1, 1, 1, 0.2], size=300)
    found = {}
    for kind, names in (("words", words), ("numbers", ["1", "2", "3", "4"])):
        task = Multiclass(target="t")
        told = pd.DataFrame({"id": [str(n) for n in range(300)], "t": pd.Series(true).map(dict(zip(words, names)))})
        task.learn(pd.DataFrame({"id": ["x"] * 4, "t": names}))
        made = Predictions.of(np.array(told["id"], dtype=object), {f"p_{n}": p[:, k] for k, n in enumerate(names)})
        post = task.fit_post(told, made, Metric.open(name, {}), class_factors="fit")
        found[kind] = [*post["class_factors"].values(), Metric.open(name, {}).score(task, told, made, post)]
    assert found["words"] == pytest.approx(found["numbers"], abs=1e-12) and len(set(found["words"][:-1])) > 1


def test_a_metric_of_one_s_own_gets_words_where_class_factors_are_fitted(tmp_path):
    (tmp_path / "costs.py").write_text(
        '"""Missing an ash is dear."""\n\nimport numpy as np\n\nneeds = "label"\ngreater_is_better = True\n\n\n'
        'def score(truth, predicted):\n    assert set(truth) <= {"ash", "birch", "cedar"}, set(truth)\n    return float(np.average(truth == predicted, weights=np.where(truth == "ash", 9.0, 1.0)))\n'
    )
    random = np.random.default_rng(0)
    told = pd.DataFrame({"id": [str(n) for n in range(200)], "t": np.array(["ash", "birch", "cedar"], dtype=object)[random.integers(0, 3, 200)]})
    task = Multiclass(target="t")
    task.learn(told)
    made = Predictions.of(told["id"].to_numpy(dtype=object), dict(zip(["p_ash", "p_birch", "p_cedar"], random.dirichlet([1, 1, 1], size=200).T)))
    factors = task.fit_post(told, made, Metric.open("./costs.py", {}, tmp_path), class_factors="fit")["class_factors"]
    assert factors["ash"] > max(factors["birch"], factors["cedar"])

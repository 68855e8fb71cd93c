"""A known class balance of the test rows: it weighs the score, and it moves the probabilities as far as they need."""

import numpy as np
import pandas as pd
import pytest

from kit.divided import expected
from kit.errors import ConfigError
from kit.files import read_json
from kit.folds import Fold
from kit.predictions import Predictions
from kit.scoring import Metric
from kit.tables import WEIGHT
from kit.tasks.multiclass import Multiclass


def learned(answers):
    task = Multiclass(target="y")
    truth = pd.DataFrame({"id": [f"{n:03d}" for n in range(len(answers))], "y": answers})
    task.learn(truth)
    return task, truth


def test_rows_of_a_common_class_weigh_less_so_that_all_classes_count_alike():
    task, truth = learned(["a", "a", "a", "b"])
    split = [Fold(0, 0, train=np.arange(4), valid=np.arange(4))]
    weighted = expected(task, truth, truth, split, "uniform")
    assert weighted[WEIGHT].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])
    assert task.ratios == {"a": pytest.approx(2 / 3), "b": pytest.approx(2.0)}
    always_a = task.decode(truth["id"], np.tile([1.0, 0.0], (4, 1)))
    assert Metric.open("accuracy", {}).score(task, weighted, always_a, {}) == pytest.approx(0.5)


def test_weights_are_of_the_validated_rows_and_ratios_of_those_learned_from():
    task, truth = learned(["a", "a", "a", "b", "a", "b"])
    split = [Fold(0, 0, train=np.arange(4), valid=np.array([4, 5]))]  # the host's validation is balanced already
    weighted = expected(task, truth, truth, split, "uniform")
    assert weighted[WEIGHT].iloc[4:].tolist() == pytest.approx([1.0, 1.0])
    assert task.ratios["b"] == pytest.approx(2.0)


def test_a_calibrated_model_of_skewed_rows_is_moved_as_bayes_says_and_a_balanced_one_is_not():
    random = np.random.default_rng(0)
    y = np.where(random.random(4000) < 0.9, "a", "b")
    x = random.normal(size=4000) + np.where(y == "b", 1.0, -1.0)
    task, truth = learned(list(y))
    split = [Fold(0, 0, train=np.arange(4000), valid=np.arange(4000))]
    weighted = expected(task, truth, truth, split, "uniform")
    balanced = 1 / (1 + np.exp(-2 * x))  # densities of two normals one from 0: their log ratio is 2 x
    skewed = balanced * 0.1 / (balanced * 0.1 + (1 - balanced) * 0.9)
    powers = []
    for p in (skewed, balanced):
        post = task.fit_post(weighted, task.decode(truth["id"], np.column_stack([1 - p, p])), Metric.open("accuracy", {}))
        powers.append(post["prior"])
    assert powers[0] == pytest.approx(1.0, abs=0.11) and powers[1] == pytest.approx(0.0, abs=0.11)


def test_moved_probabilities_reach_labels_rankings_and_columns_and_sum_to_one():
    task, truth = learned(["a", "b", "c"])
    predictions = task.decode(["0"], np.array([[0.5, 0.3, 0.2]]))
    post = {"class_factors": {"a": 0.1, "b": 1.0, "c": 1.0}}
    assert task.cells(predictions, post, ["y"], "label")["y"].tolist() == ["b"]
    assert task.cells(predictions, post, ["y"], "ranking")["y"].tolist() == ["b c a"]
    wide = task.cells(predictions, post, ["a", "b", "c"], "probability")
    assert [wide[c][0] for c in "abc"] == pytest.approx([0.05 / 0.55, 0.3 / 0.55, 0.2 / 0.55])


def test_lists_of_many_classes_are_moved_too():
    task, _ = learned(["a", "b"])
    predictions = Predictions.of(["0"], {"labels": pd.Series([["a", "b"]]), "scores": pd.Series([[0.6, 0.4]])})
    assert task.cells(predictions, {"class_factors": {"a": 0.5, "b": 1.0}}, ["y"], "ranking")["y"].tolist() == ["b a"]


def test_a_prior_of_other_classes_is_refused():
    task, truth = learned(["a", "b"])
    with pytest.raises(ConfigError, match='expected "uniform", or a share of 0 or more for each class'):
        task.shares({"a": 0.5, "c": 0.5})
    assert task.shares({"a": 3.0, "b": 1.0}) == {"a": 0.75, "b": 0.25}


# where the counts themselves are known


def test_evened_probabilities_sum_to_the_counts_and_keep_the_order_of_rows_within_a_class():
    random = np.random.default_rng(0)
    task, _ = learned(["a", "b", "c"])
    p = random.dirichlet([4.0, 1.0, 0.5], size=200)
    made = task.decode([f"{n:03d}" for n in range(200)], p)
    factors = task.evening(made, {"a": 0.2, "b": 0.3, "c": 0.5})
    evened = task.times(made, factors).rows[["p_a", "p_b", "p_c"]].to_numpy()
    assert evened.mean(axis=0) == pytest.approx([0.2, 0.3, 0.5], abs=1e-6) and evened.sum(axis=1) == pytest.approx(1.0)
    odds = (evened[:, 0] / evened[:, 1]) / (p[:, 0] / p[:, 1])
    assert odds == pytest.approx(odds[0])  # one factor a class, the same for all rows
    assert task.evening(made, {"a": 0.5, "b": 0.5})["c"] == 0.0


def test_rows_count_by_their_weights_where_they_are_evened():
    task, _ = learned(["a", "b"])
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    weight = np.array([1.0, 2.0, 3.0])
    made = task.decode(["0", "1", "2"], p)
    evened = task.times(made, task.evening(made, {"a": 0.5, "b": 0.5}, weight)).rows["p_a"].to_numpy()
    assert evened @ weight / weight.sum() == pytest.approx(0.5, abs=1e-6)


def leaning(table):
    """A table whose training rows are of class 0 three times in four, and whose test rows half the time."""
    random = np.random.default_rng(3)
    counts = {"train": [150, 50], "test": [100, 100]}
    rows = {part: [[c, random.normal() + 1.2 * c] for c in (0, 1) for _ in range(counts[part][c])] for part in counts}
    table.train = [["id", "x", "sold"], *([f"{n:04d}", f"{x:.4f}", str(c)] for n, (c, x) in enumerate(rows["train"]))]
    table.test = [["id", "x"], *([f"t{n:03d}", f"{x:.4f}"] for n, (_, x) in enumerate(rows["test"]))]
    table.sample = [["id", "sold"], *([row[0], "0"] for row in table.test[1:])]
    table.write()


EXACT = ("output.task=multiclass", "output.cells=label", "score.metric=accuracy", "score.prior=uniform", "score.exact=true", "model.name=linear", "model.penalty=1.0", "train.threads=1")


def test_test_rows_and_validated_rows_get_the_counts_that_are_known_of_them(table):
    leaning(table)
    run = table.trained(*EXACT)
    for k in range(2):
        assert Predictions.read(run / f"fold-{k}" / "test.parquet").rows["p_1"].mean() == pytest.approx(0.5, abs=1e-6)
        valid = Predictions.read(run / f"fold-{k}" / "oof.parquet")
        true = pd.Series([row[-1] for row in table.train[1:]], index=[row[0] for row in table.train[1:]])[valid.ids]
        weight = np.where(true == "1", 2.0, 2 / 3)  # half of the rows are to count as of class 1, and a quarter is
        assert valid.rows["p_1"].to_numpy() @ weight / weight.sum() == pytest.approx(weight[true == "1"].sum() / weight.sum(), abs=1e-6)
    told = "moved together to the counts of classes that the host tells"
    assert [told in line for line in read_json(run / "run.json")["exceptions"]] == [True]
    plain = table.trained(*EXACT, "score.exact=false")
    assert read_json(plain / "run.json")["exceptions"] == []
    assert Predictions.read(plain / "test.parquet").rows["p_1"].mean() < 0.4


def test_a_few_new_rows_get_the_factors_of_the_run_s_own_test_rows(table, kit):
    leaning(table)
    run = table.trained(*EXACT)
    before = Predictions.read(run / "test.parquet").rows.set_index("id")["p_1"]
    assert kit("verify", run).code == 0
    table.test, table.sample = table.test[:2], table.sample[:2]
    table.write()
    assert kit("predict", run).code == 0
    now = Predictions.read(next(run.glob("predict-*")) / "test.parquet").rows.set_index("id")["p_1"]
    assert now["t000"] == pytest.approx(before["t000"])


def test_counts_of_very_many_classes_are_refused_before_anything_is_trained(table):
    table.train = [["id", "x", "sold"], *([f"{n:04d}", f"{n % 7}", f"c{n // 2:03d}"] for n in range(420))]
    table.test = [["id", "x"], *([f"t{n:03d}", "1"] for n in range(4))]
    table.sample = [["id", "sold"], *([row[0], "c000"] for row in table.test[1:])]
    table.write()
    assert "score.exact = true: of 210 classes a prediction lists the best alone" in table.complaint(*EXACT)
    assert not list(table.folder.rglob("fold-0"))


def test_counts_of_unnamed_classes_are_refused(table):
    leaning(table)
    with pytest.raises(ConfigError, match="score.exact = true: the counts of which classes"):
        table.trained(*EXACT, "score.prior=")

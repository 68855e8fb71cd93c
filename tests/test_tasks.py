import numpy as np
import pandas as pd
import pytest

from kit.errors import ConfigError, DataError
from kit.predictions import Predictions
from kit.scoring import Metric, score_folds
from kit.tasks._task import labels, numbers
from kit.tasks.binary import Binary
from kit.tasks.multiclass import Multiclass
from kit.tasks.multilabel import Multilabel
from kit.tasks.regression import Regression


def truth(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"id": [f"{i:03d}" for i in range(n)], **columns})


def learned(task, **columns):
    task.learn(truth(**columns))
    return task


def text_cells(task, predictions, post, columns, needs):
    """What a submission holds, read back as kit reads one."""
    cells = task.cells(predictions, post, columns, needs)
    return pd.DataFrame({c: [str(v) for v in values] for c, values in cells.items()}, index=predictions.rows["id"], dtype="str")


def complaint(call, *args, **options):
    with pytest.raises((DataError, ConfigError)) as error:
        call(*args, **options)
    return str(error.value)


# labels and numbers


@pytest.mark.parametrize(
    ("values", "spelled"),
    [
        (["1.0", "0.0"], ["1", "0"]),
        ([1.0, 0.0], ["1", "0"]),
        ([1, 0], ["1", "0"]),
        (["1", "1.0"], ["1", "1"]),
        (["1.5", "1.0"], ["1.5", "1.0"]),
        (["NA", "EU"], ["NA", "EU"]),
        (["nan", "x"], ["nan", "x"]),
        (["007", "8"], ["007", "8"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_labels_have_one_spelling(values, spelled):
    assert labels(pd.Series(values), "train.csv").tolist() == spelled


@pytest.mark.parametrize(
    "values", [["1", "", "0"], ["1", "NA", "0"], ["1.0", "nan", "0.0"], [1.0, np.nan, 0.0], ["a", "", "b"], ["a", None, "b"]]
)
def test_missing_label_is_listed_with_its_id(values):
    series = pd.Series(values, index=["x", "y", "z"], name="sold", dtype=None if isinstance(values[0], float) else "str")
    assert complaint(labels, series, "train.csv").split("\n")[0].endswith(", ids y")


@pytest.mark.parametrize("value", ["", "abc", "inf", None, pd.Timestamp("2020-01-01")])
def test_what_is_no_number_is_listed_with_its_id(value):
    series = pd.Series([value, value], index=["x", "y"], name="price")
    assert complaint(numbers, series, "train.csv").startswith("train.csv column 'price' is not a finite number in 2 rows: x = ")


# binary


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["0", "1"], ["0", "1"]),
        (["no", "yes"], ["no", "yes"]),
        (["True", "False"], ["False", "True"]),
        (["9", "10"], ["9", "10"]),
        (["x", "b"], ["b", "x"]),
    ],
)
def test_positive_class_is_the_likely_one_else_the_last(values, classes):
    assert learned(Binary(target="t"), t=values).classes == classes


def test_positive_class_can_be_named():
    assert learned(Binary(target="t", positive="no"), t=["no", "yes"]).classes == ["yes", "no"]
    assert complaint(learned, Binary(target="t", positive="si"), t=["no", "yes"]) == 'output.positive = "si" is no class of t: no, yes'


def test_binary_target_has_two_classes():
    assert (
        complaint(learned, Binary(target="t"), t=["a", "b", "c"])
        == 't has 3 classes in the training rows, and task "binary" needs two: a, b, c'
    )
    assert complaint(Binary, target=["a", "b"]) == 'task "binary" has one target, and output.target names 2: a, b'


def test_binary_state_restored_is_the_same_task():
    task, other = learned(Binary(target="t"), t=["no", "yes"]), Binary(target="t")
    other.restore(task.state())
    assert other.encode(truth(t=["yes", "no"])).tolist() == [1, 0]


def test_label_that_is_no_class_is_named():
    task = learned(Binary(target="t"), t=["no", "yes"])
    assert complaint(task.encode, truth(t=["maybe", "no"])) == "the truth holds labels that are no class: maybe\nclasses are no, yes"


@pytest.mark.parametrize("columns", [["t"], ["no", "yes"], ["yes", "no"]])
def test_binary_probabilities_written_and_read_again_are_equal(columns):
    task = learned(Binary(target="t"), t=["no", "yes"])
    made = task.decode(["b", "a"], np.array([0.25, 0.9]))
    again = task.read_cells(text_cells(task, made, {}, columns, "probability"), columns, "probability")
    assert again.rows["p"].tolist() == pytest.approx([0.9, 0.25])


def test_binary_labels_follow_the_threshold_and_are_read_again():
    task = learned(Binary(target="t"), t=["no", "yes"])
    made = task.decode(["a", "b"], np.array([0.3, 0.5]))
    cells = text_cells(task, made, {"threshold": 0.4}, ["t"], "label")
    assert cells["t"].tolist() == ["no", "yes"]
    assert task.read_cells(cells, ["t"], "label").rows["p"].tolist() == [0, 1]


@pytest.mark.parametrize("columns", [["low", "high"], ["no", "maybe", "yes"]])
def test_columns_that_are_no_classes_are_named(columns):
    task = learned(Binary(target="t"), t=["no", "yes"])
    text = complaint(task.cells, task.decode(["a"], np.array([0.3])), {}, columns, "probability")
    assert text == f"the submission has columns {', '.join(columns)}: expected one, or one for each class: no, yes"


def test_probabilities_beyond_their_range_are_clipped():
    task = learned(Binary(target="t"), t=["0", "1"])
    assert task.decode(["a", "b"], np.array([-0.1, 1.1])).rows["p"].tolist() == [0, 1]


def test_threshold_is_fitted_on_the_other_folds_rows():
    task, metric = learned(Binary(target="t"), t=["0", "1"]), Metric.open("f1", {})
    rng = np.random.default_rng(0)
    true = truth(t=(rng.random(200) < 0.2).astype(int).astype(str))
    p = np.clip(true["t"].astype(int) * 0.15 + rng.random(200) * 0.3, 0, 1)
    parts = [task.decode(true["id"][half], p[half].to_numpy()) for half in (slice(0, 100), slice(100, 200))]
    score, post = score_folds(metric, task, true, [parts], {"threshold": "fit"})
    assert 0 < post["threshold"] < 0.5
    for k, part in enumerate(parts):
        other = parts[1 - k]
        fitted = task.fit_post(true.set_index("id", drop=False).loc[other.ids].reset_index(drop=True), other, metric, threshold="fit")
        own = true.set_index("id", drop=False).loc[part.ids].reset_index(drop=True)
        assert score.folds[k] == metric.score(task, own, part, fitted)


def test_threshold_given_by_the_config_or_by_theory_is_not_fitted():
    task, true = learned(Binary(target="t"), t=["0", "1"]), truth(t=["0", "1"])
    made = task.decode(true["id"], np.array([0.2, 0.3]))
    assert task.fit_post(true, made, Metric.open("f1", {}), threshold=0.7) == {"threshold": 0.7}
    assert task.fit_post(true, made, Metric.open("accuracy", {})) == {"threshold": 0.5}
    assert task.fit_post(true, made, Metric.open("auc", {})) == {}


# averages


def test_average_goes_by_id_and_refuses_other_ids():
    task = learned(Binary(target="t"), t=["0", "1"])
    one, other = task.decode(["a", "b"], np.array([0.2, 0.4])), task.decode(["b", "a"], np.array([0.8, 0.0]))
    assert task.average([one, other]).rows["p"].tolist() == pytest.approx([0.1, 0.6])
    assert task.average([one, other], [3, 1]).rows["p"].tolist() == pytest.approx([0.15, 0.5])
    with pytest.raises(AssertionError, match="the same ids"):
        task.average([one, task.decode(["a", "c"], np.array([0.8, 0.0]))])


def test_regression_is_averaged_in_the_space_of_its_metric():
    task = learned(Regression(target="t", transform="log"), t=[1.0, 100.0])
    parts = [Predictions.of(["a"], {"y": np.array([v])}) for v in (1.0, 100.0)]
    assert task.average(parts).rows["y"].tolist() == pytest.approx([10.0])


# multiclass


def test_classes_are_sorted_as_numbers_where_all_are():
    assert learned(Multiclass(target="t"), t=["10", "9", "-1"]).classes == ["-1", "9", "10"]
    assert learned(Multiclass(target="t"), t=["10", "9", "x"]).classes == ["10", "9", "x"]
    assert complaint(learned, Multiclass(target="t"), t=["x", "x"]).split("\n")[0] == "t has one class in the training rows: x"


def test_multiclass_encodes_positions_and_decodes_columns():
    task = learned(Multiclass(target="t"), t=["b", "a", "c"])
    assert task.encode(truth(t=["c", "a"])).tolist() == [2, 0] and task.outputs == 3
    assert list(task.decode(["x"], np.array([[0.1, 0.2, 0.7]])).rows) == ["id", "p_a", "p_b", "p_c"]


def test_multiclass_probabilities_written_and_read_again_are_equal():
    task = learned(Multiclass(target="t"), t=["a", "b", "c"])
    made = task.decode(["x", "y"], np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    cells = text_cells(task, made, {}, ["c", "a", "b", "d"], "probability")
    assert cells["d"].tolist() == ["0.0", "0.0"]  # the sample may have a class that no training row has
    pd.testing.assert_frame_equal(
        task.read_cells(cells, ["c", "a", "b"], "probability").rows[["p_a", "p_b", "p_c"]], made.rows[["p_a", "p_b", "p_c"]]
    )


def test_class_without_a_column_in_the_sample_is_named():
    task = learned(Multiclass(target="t"), t=["a", "b", "c"])
    text = "the submission has no column for 2 classes: a, c\nits columns are class_a, b"
    assert complaint(task.cells, task.decode(["x"], np.array([[0.1, 0.2, 0.7]])), {}, ["class_a", "b"], "probability") == text
    assert complaint(task.read_cells, pd.DataFrame({"class_a": ["1"], "b": ["0"]}), ["class_a", "b"], "probability") == text


def test_multiclass_label_is_the_likeliest_and_numbers_for_the_metric_where_all_are():
    task = learned(Multiclass(target="t"), t=["3", "5", "10"])
    made = task.decode(["000", "001"], np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    assert text_cells(task, made, {}, ["t"], "label")["t"].tolist() == ["10", "3"]
    true, predicted = task.for_metric("label", truth(t=["5", "3"]), made, {})
    assert true.tolist() == [5, 3] and predicted.tolist() == [10, 3]


def test_factors_of_classes_change_the_likeliest():
    task = learned(Multiclass(target="t"), t=["a", "b"])
    made = task.decode(["x"], np.array([[0.6, 0.4]]))
    assert text_cells(task, made, {"class_factors": {"a": 1.0, "b": 2.0}}, ["t"], "label")["t"].tolist() == ["b"]


def test_best_labels_are_written_in_order_and_read_again():
    task = learned(Multiclass(target="t", top=2), t=["a", "b", "c"])
    made = task.decode(["000"], np.array([[0.1, 0.2, 0.7]]))
    cells = text_cells(task, made, {}, ["t"], "ranking")
    assert cells["t"].tolist() == ["c b"]
    _, ranked = task.for_metric("ranking", truth(t=["a"]), task.read_cells(cells, ["t"], "ranking"), {})
    assert ranked == [["c", "b"]]


def test_above_200_classes_a_prediction_lists_the_best_100(tmp_path):
    names = [f"c{n:03d}" for n in range(201)]
    task = learned(Multiclass(target="t"), t=names)
    raw = np.tile(np.arange(201.0), (2, 1)) / 201
    raw[1] = raw[1, ::-1]
    task.decode(["000", "001"], raw).write(tmp_path / "a.parquet")
    made = Predictions.read(tmp_path / "a.parquet")
    assert list(made.rows) == ["id", "labels", "scores"] and len(made.rows["labels"][0]) == 100
    assert [cell[0] for cell in made.rows["labels"]] == ["c200", "c000"]
    _, first = task.for_metric("label", truth(t=["c200", "c001"]), made, {})
    assert first.tolist() == ["c200", "c000"]
    _, matrix = task.for_metric("probability", truth(t=["c200", "c001"]), made, {})
    assert matrix[0, 200] == raw[0, 200] and matrix[0, 100] == 0  # absent means below the last


def test_lists_of_labels_are_averaged_by_label():
    task = learned(Multiclass(target="t"), t=[f"c{n:03d}" for n in range(201)])
    parts = [
        Predictions.of(["a"], {"labels": pd.Series([names]), "scores": pd.Series([scores])})
        for names, scores in ((["x", "y"], [0.6, 0.4]), (["y", "z"], [0.8, 0.1]))
    ]
    mean = task.average(parts).rows
    assert mean["labels"][0] == ["y", "x", "z"] and mean["scores"][0] == pytest.approx([0.6, 0.3, 0.05])


# multilabel


def test_labels_of_one_cell_are_split_and_no_label_is_legal():
    task = learned(Multilabel(target="t"), t=["a b", "", "c a"])
    assert task.classes == ["a", "b", "c"]
    assert task.encode(truth(t=["b a", ""])).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert task.read_target(pd.DataFrame({"t": ["a b", None]}), "train.csv")["t"].tolist() == ["a b", ""]


def test_multilabel_cells_written_and_read_again_are_equal():
    task = learned(Multilabel(target="t", separator="|"), t=["a|b", "c"])
    made = task.decode(["x", "y"], np.array([[0.6, 0.2, 0.9], [0.1, 0.1, 0.1]]))
    cells = text_cells(task, made, {"threshold": 0.5}, ["t"], "label")
    assert cells["t"].tolist() == ["a|c", ""]
    assert task.read_cells(cells, ["t"], "label").rows[["p_a", "p_b", "p_c"]].to_numpy().tolist() == [[1, 0, 1], [0, 0, 0]]


def test_columns_of_labels_hold_zero_and_one_only():
    task = Multilabel(target=["a", "b"])
    assert task.read_target(pd.DataFrame({"a": ["0", "1"], "b": [1, 0]}), "train.csv")["a"].tolist() == [0, 1]
    assert (
        complaint(task.read_target, pd.DataFrame({"a": ["0", "2"], "b": [1, 0]}), "train.csv")
        == "label columns of train.csv hold more than 0 and 1: a: 2.0"
    )


def test_label_that_only_the_truth_has_is_a_miss():
    task = learned(Multilabel(target="t"), t=["a", "b"])
    made = task.decode(["000"], np.array([[0.9, 0.1]]))
    true, chosen = task.for_metric("label", truth(t=["a z"]), made, {})
    assert true.tolist() == [[1, 0, 1]] and chosen.tolist() == [[1, 0, 0]]


def test_one_threshold_is_fitted_for_all_labels_or_one_for_each():
    task, metric = learned(Multilabel(target=["a", "b"]), a=[0, 1], b=[0, 1]), Metric.open("f1_micro", {})
    true = truth(a=[1, 1, 0, 0], b=[1, 0, 0, 0])
    made = task.decode(true["id"], np.array([[0.2, 0.9], [0.2, 0.6], [0.1, 0.6], [0.1, 0.6]]))
    each = task.fit_post(true, made, metric, threshold="each")["thresholds"]
    assert 0.1 < each[0] <= 0.2 and 0.6 < each[1] <= 0.9
    assert set(task.fit_post(true, made, metric)) == {"threshold"}


# regression


@pytest.mark.parametrize("transform", ["none", "log1p", "log", "sqrt"])
def test_regression_encoded_and_decoded_is_the_same_number(transform):
    task = learned(Regression(target="t", transform=transform), t=[0.5, 3.0, 1e6])
    raw = task.encode(truth(t=[0.5, 3.0, 1e6]))
    assert task.decode(["000", "001", "002"], raw).rows["y"].tolist() == pytest.approx([0.5, 3.0, 1e6])


@pytest.mark.parametrize(("transform", "value"), [("log1p", -1.0), ("log", 0.0), ("sqrt", -0.1)])
def test_target_that_the_transform_is_not_defined_for_is_named(transform, value):
    assert (
        complaint(learned, Regression(target="t", transform=transform), t=[1.0, value])
        == f"t has 1 values that {transform} is not defined for: {value}\nset output.transform"
    )


def test_root_below_zero_means_zero():
    task = learned(Regression(target="t", transform="sqrt"), t=[0.0, 4.0])
    assert task.decode(["a", "b"], np.array([-0.5, 0.5])).rows["y"].tolist() == [0, 0.25]  # the order of predictions is kept


def test_several_targets_have_a_column_each_in_the_sample_under_their_names():
    task = learned(Regression(target=["a", "b"]), a=[1.0, 2.0], b=[3.0, 4.0])
    made = task.decode(["x", "y"], np.array([[1.0, 3.0], [2.0, 4.0]]))
    cells = task.cells(made, {}, ["b", "a"], "value")
    assert cells["a"].tolist() == [1, 2] and cells["b"].tolist() == [3, 4]
    assert complaint(task.cells, made, {}, ["a"], "value") == "the submission has columns a for 2 targets: a, b"


def test_submission_with_columns_in_another_order_is_read_by_name():
    task = learned(Regression(target=["a", "b"]), a=[1.0, 2.0], b=[3.0, 4.0])
    made = task.decode(["x", "y"], np.array([[1.0, 3.0], [2.0, 4.0]]))
    again = task.read_cells(text_cells(task, made, {}, ["b", "a"], "value"), ["b", "a"], "value")
    pd.testing.assert_frame_equal(again.rows[["a", "b"]], made.rows[["a", "b"]])


def test_clip_and_rounding_come_before_the_metric_and_the_submission():
    task, true = learned(Regression(target="t"), t=[0.0, 10.0]), truth(t=[0.0, 10.0])
    made = task.decode(true["id"], np.array([-3.0, 7.6]))
    post = task.fit_post(true, made, Metric.open("rmse", {}), clip="train", round="integer")
    assert post == {"clip": [0.0, 10.0], "round": "integer"}
    assert task.cells(made, post, ["t"], "value")["t"].tolist() == [0, 8]
    assert task.for_metric("value", true, made, post)[1].tolist() == [0, 8]
    assert (
        complaint(task.fit_post, true, made, Metric.open("rmse", {}), clip=[2.0, 1.0])
        == "post.clip = [2.0, 1.0]: expected [lowest, highest]"
    )


def test_cuts_between_legal_values_are_fitted_and_scored_out_of_fold():
    grades = np.tile([0.0, 1.0, 2.0], 40)
    task, metric = learned(Regression(target="t"), t=grades), Metric.open("quadratic_weighted_kappa", {})
    true = truth(t=grades)
    shrunk = task.decode(true["id"], 0.7 + 0.3 * grades + np.random.default_rng(0).normal(scale=0.1, size=120))  # drawn to the middle
    plain = metric.score(task, true, shrunk, {"cuts": [0.5, 1.5], "legal": [0.0, 1.0, 2.0]})
    parts = [shrunk.take(true["id"][k::2].tolist()) for k in (0, 1)]
    score, post = score_folds(metric, task, true, [parts], {})
    assert score.mean > plain + 0.2 and len(post["cuts"]) == 2
    assert set(task.cells(shrunk, post, ["t"], "label")["t"].tolist()) == {0, 1, 2}


def test_legal_values_beyond_a_hundred_cannot_be_rounded_to():
    task, true = learned(Regression(target="t"), t=np.arange(101.0)), truth(t=np.arange(101.0))
    made = task.decode(true["id"], np.zeros(101))
    assert complaint(task.fit_post, true, made, Metric.open("rmse", {}), round="legal").startswith(
        'post.round = "legal": the target has more than 100 different values'
    )

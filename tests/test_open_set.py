"""The multiclass task where a row may be of no class."""

import json

import numpy as np
import pandas as pd
import pytest

from kit.errors import FoldError, KitError
from kit.folds import Fold, Rows, split
from kit.predictions import Predictions, Ranked
from kit.registry import check_options
from kit.scoring import Metric, score_folds
from kit.tables import WEIGHT
from kit.tasks._open_set import ALWAYS, NEVER
from kit.tasks.multiclass import Multiclass

MANY = [f"c{n:03d}" for n in range(201)]  # more classes than have a column each


def truth(classes):
    return pd.DataFrame({"id": [f"{i:03d}" for i in range(len(classes))], "t": pd.Series(classes, dtype=object)})


def open_task(classes, **options):
    task = Multiclass(target="t", open_set=True, **options)
    task.learn(truth(classes))
    return task


def whales(**options):
    return open_task(["w_1", "w_2", "w_3", "new_whale"], **{"unknown": "new_whale", **options})


def text_cells(task, predictions, post, needs):
    cells = task.cells(predictions, post, ["t"], needs)
    return pd.DataFrame({"t": [str(v) for v in cells["t"]]}, index=predictions.rows["id"], dtype="str")


def complaint(call, *args, **options):
    with pytest.raises(KitError) as error:
        call(*args, **options)
    return str(error.value)


# truth


def test_what_stands_for_no_class_is_no_class():
    task = whales()
    assert task.classes == ["w_1", "w_2", "w_3"] and task.outputs == 3
    assert task.encode(truth(["new_whale", "w_3", "w_1"])).tolist() == [-1, 2, 0]
    assert task.encode(truth([])).tolist() == []
    strata, continuous = task.stratify_by(truth(["new_whale", "w_3"]))
    assert strata.tolist() == [-1, "w_3"] and not continuous
    assert "no class: w_9" in complaint(task.encode, truth(["w_9"]))


@pytest.mark.parametrize(
    ("unknown", "values", "read"),
    [
        ("", ["8815", None, "12", ""], ["8815", "", "12", ""]),
        ("", [8815.0, np.nan], ["8815", ""]),
        ("", [None, None], ["", ""]),
        ("", ["8815 12", ""], ["8815 12", ""]),
        ("new_whale", ["1.0", "new_whale", "2"], ["1", "new_whale", "2"]),
    ],
)
def test_rows_of_no_class_are_read_beside_labels_in_one_spelling(unknown, values, read):
    frame = pd.DataFrame({"t": values})
    assert open_task(["1", "2"], unknown=unknown).read_target(frame, "train.csv")["t"].tolist() == read


def test_a_blank_cell_is_missing_where_another_word_stands_for_no_class():
    frame = pd.DataFrame({"t": ["w_1", ""]}, index=["a", "b"])
    assert complaint(whales().read_target, frame, "train.csv").startswith("train.csv column 't' is missing in 1 rows (''), ids b")


def test_a_validated_row_of_a_class_that_is_not_trained_on_is_of_none():
    task, told = whales(), truth(["w_1", "w_2", "w_1", "new_whale", "w_3", "w_3"])
    folds = [Fold(0, 0, np.array([2, 4, 5]), np.array([0, 1, 3])), Fold(0, 1, np.array([0, 1]), np.array([2, 4]))]
    assert task.out_of_fold(told, folds)["t"].tolist() == ["w_1", "new_whale", "w_1", "new_whale", "new_whale", "w_3"]
    assert told["t"].tolist() == ["w_1", "w_2", "w_1", "new_whale", "w_3", "w_3"]


def test_truth_out_of_fold_against_a_loop_over_rows():
    rng = np.random.default_rng(0)
    for seed in range(20):
        told = truth([f"w_{n}" for n in rng.integers(0, 25, 60)] + ["new_whale"] * 5)
        task = whales()
        folds = split(Rows(told["id"].to_numpy(dtype=object), target=task.stratify_by(told)[0]), scheme="open_set", seed=seed)
        made, classes = task.out_of_fold(told, folds)["t"].tolist(), told["t"].tolist()
        for fold in folds:
            for row in fold.valid:
                known = any(classes[other] == classes[row] for other in fold.train)
                assert made[row] == (classes[row] if known else "new_whale")
        assert "new_whale" in set(made[:60])


def test_truth_of_a_closed_set_is_left_alone_and_of_an_open_one_needs_one_fold_a_row():
    told = truth(["a", "b", "a", "b"])
    folds = split(Rows(told["id"].to_numpy(dtype=object)), count=2, repeats=2)
    closed = Multiclass(target="t")
    assert closed.out_of_fold(told, folds) is told
    with pytest.raises(FoldError, match="^the folds validate 4 rows more than once"):
        open_task(["a", "b"]).out_of_fold(told, folds)


# predictions


def test_the_best_of_each_row_fill_columns_or_lists():
    found = Ranked(np.array([[2, 0], [1, -1], [-1, -1]]), np.array([[0.7, 0.2], [0.4, 9.0], [9.0, 9.0]]))
    columns = whales().decode(["a", "b", "c"], found).rows
    assert columns[["p_w_1", "p_w_2", "p_w_3"]].to_numpy().tolist() == [[0.2, 0, 0.7], [0, 0.4, 0], [0, 0, 0]]
    lists = open_task(MANY).decode(["a", "b", "c"], found).rows
    assert [list(names) for names in lists["labels"]] == [["c002", "c000"], ["c001"], []]
    assert [list(scores) for scores in lists["scores"]] == [[0.7, 0.2], [0.4], []]


def test_listed_classes_are_sorted_and_those_of_no_score_left_out():
    found = Ranked(np.array([[5, 3, 4, 6]]), np.array([[0.2, 0.2, 0.9, 0.0]]))
    rows = open_task(MANY).decode(["a"], found).rows
    assert list(rows["labels"][0]) == ["c004", "c005", "c003"]
    closed = Multiclass(target="t")
    closed.learn(truth(MANY))
    assert len(closed.decode(["a"], np.eye(201)[:1]).rows["labels"][0]) == 100


def test_dense_and_ranked_scores_give_the_same_lists():
    scores = np.random.default_rng(0).random((5, 201))
    order = np.argsort(-scores, axis=1)[:, :120]
    dense = open_task(MANY).decode(list("abcde"), scores).rows
    ranked = open_task(MANY).decode(list("abcde"), Ranked(order, np.take_along_axis(scores, order, 1))).rows
    for name in ("labels", "scores"):
        assert [list(cell) for cell in dense[name]] == [list(cell) for cell in ranked[name]]


@pytest.mark.parametrize("task", [whales(), open_task(MANY)])
def test_scores_that_are_no_numbers_are_refused(task):
    found = Ranked(np.array([[0, 1], [1, -1]]), np.array([[0.5, np.nan], [0.5, np.nan]]))
    assert "not finite numbers" in complaint(task.decode, ["a", "b"], found)
    assert len(task.decode(["b"], Ranked(found.positions[1:], found.scores[1:])).ids) == 1  # beyond -1 nothing is read
    if len(task.classes) > 200:
        assert "not finite numbers: ids a" in complaint(task.decode, ["a"], np.full((1, 201), np.nan))


def test_rows_with_nothing_listed_survive_a_file_and_a_mean(tmp_path):
    task = open_task(MANY)
    nothing = task.decode(["a"], Ranked(np.array([[-1]]), np.array([[0.0]])))
    nothing.write(tmp_path / "a.parquet")
    again = Predictions.read(tmp_path / "a.parquet")
    assert task.for_metric("confidence", truth(["c001"]).assign(id="a"), again, {})[1] == [None]
    some = task.decode(["a"], Ranked(np.array([[7]]), np.array([[0.8]])))
    mean = task.average([nothing, some]).rows
    assert mean["labels"][0] == ["c007"] and mean["scores"][0] == [0.4]


# no class among the ranked


def test_no_class_stands_before_the_classes_that_score_less():
    task = whales()
    made = task.decode(["000"], np.array([[0.3, 0.6, 0.1]]))
    for least, expected in (
        (0.7, ["new_whale", "w_2", "w_1", "w_3"]),
        (0.6, ["w_2", "new_whale", "w_1", "w_3"]),
        (0.2, ["w_2", "w_1", "new_whale", "w_3"]),
        (NEVER, ["w_2", "w_1", "w_3", "new_whale"]),
        (ALWAYS, ["new_whale", "w_2", "w_1", "w_3"]),
    ):
        assert task.for_metric("ranking", truth(["w_1"]), made, {"unknown": least})[1] == [expected]
        assert task.for_metric("label", truth(["w_1"]), made, {"unknown": least})[1].tolist() == expected[:1]
    assert task.for_metric("ranking", truth(["w_1"]), made, {})[1] == [["w_2", "w_1", "w_3"]]


def test_cells_of_labels_hold_no_class_at_its_place():
    task = whales(top=3)
    made = task.decode(["000", "001"], np.array([[0.3, 0.6, 0.1], [0, 0, 0]]))
    cells = text_cells(task, made, {"unknown": 0.5}, "ranking")
    assert cells["t"].tolist() == ["w_2 new_whale w_1", "new_whale"]
    again = task.read_cells(cells, ["t"], "ranking")
    assert task.for_metric("ranking", truth(["w_1", "w_1"]), again, {})[1] == [["w_2", "new_whale", "w_1"], ["new_whale"]]


def test_a_label_cell_is_blank_for_no_class_and_read_again():
    task = open_task(["8815", "12"], cells="label")
    made = task.decode(["000", "001", "002"], np.array([[0.3, 0.6], [0.2, 0.1], [0, 0]]))
    cells = text_cells(task, made, {"unknown": 0.5}, "label")
    assert cells["t"].tolist() == ["8815", "", ""]
    true, first = task.for_metric("label", truth(["8815", "", "12"]), task.read_cells(cells, ["t"], "label"), {})
    assert (true == first).tolist() == [True, True, False]


def test_the_score_of_no_class_is_fitted_on_the_other_folds_rows():
    rng, task, metric = np.random.default_rng(0), whales(), Metric.open("map_at_k", {"k": 5})
    told = truth([f"w_{1 + n % 3}" if n % 5 else "new_whale" for n in range(300)])
    codes = task.encode(told)
    scores = rng.uniform(0, 0.3, (300, 3))
    scores[codes >= 0, codes[codes >= 0]] += 0.5  # rows of no class score 0.3 at most, others 0.5 at least
    parts = [task.decode(told["id"][half], scores[half]) for half in (slice(0, 150), slice(150, 300))]
    score, post = score_folds(metric, task, told, [parts], {})
    assert 0.3 <= post["unknown"] <= 0.55 and score.mean > 0.99
    assert json.loads(json.dumps(post, allow_nan=False)) == post
    by_id = told.set_index("id", drop=False)
    for k, part in enumerate(parts):
        own, other = (by_id.loc[p.ids].reset_index(drop=True) for p in (part, parts[1 - k]))
        assert score.folds[k] == metric.score(task, own, part, task.fit_post(other, parts[1 - k], metric))


@pytest.mark.parametrize("metric", [Metric.open("map_at_k", {"k": 1}), Metric.open("accuracy", {}), Metric.open("top_k_error", {"k": 1})])
@pytest.mark.parametrize("names", [["w_1", "w_2", "w_3"], [*MANY]])
def test_all_or_none_of_no_class_is_found_whatever_the_scores(metric, names):
    task, scores = open_task(names, unknown="new_whale"), np.random.default_rng(0).random((40, len(names)))
    for classes, least in ((["new_whale"] * 40, ALWAYS), ([task.classes[k] for k in scores.argmax(axis=1)], NEVER)):
        told = truth(classes)
        made = task.decode(told["id"], scores)
        post = task.fit_post(told, made, metric)
        assert metric.score(task, told, made, post) == (1 if metric.greater_is_better else 0)
        assert post["unknown"] == least
        assert json.loads(json.dumps(post, allow_nan=False)) == post


def test_the_fitted_score_is_about_as_good_as_the_best_of_all():
    rng, task, metric = np.random.default_rng(1), whales(), Metric.open("map_at_k", {})
    told = truth(rng.choice(["w_1", "w_2", "w_3", "new_whale"], 200).tolist())
    scores = rng.random((200, 3)) * np.where(task.encode(told) < 0, 0.6, 1)[:, None]
    made = task.decode(told["id"], scores)
    quality = {least: metric.score(task, told, made, {"unknown": least}) for least in [NEVER, *np.unique(scores.max(axis=1)), ALWAYS]}
    assert quality[task.fit_post(told, made, metric)["unknown"]] > max(quality.values()) - 0.01


def test_rows_of_weight_zero_move_no_fitted_score():
    task, metric = whales(), Metric.open("accuracy", {})
    told = truth(["w_1", "w_2", "new_whale", "new_whale"]).assign(**{WEIGHT: [1.0, 1.0, 0.0, 0.0]})
    made = task.decode(told["id"], np.array([[0.5, 0, 0], [0, 0.4, 0], [0.9, 0, 0], [0, 0.9, 0]]))
    assert task.fit_post(told, made, metric)["unknown"] <= 0.4


def test_a_score_of_no_class_may_be_given():
    task, told = whales(), truth(["w_1"])
    made = task.decode(told["id"], np.array([[0.5, 0, 0]]))
    assert task.fit_post(told, made, Metric.open("accuracy", {}), unknown=0.7) == {"unknown": 0.7}
    assert check_options(task.fit_post, {"unknown": 0.7}, "post") == check_options(task.fit_post, {"unknown": "fit"}, "post") == []


# confidence


def test_the_surest_class_is_told_with_its_score_and_nothing_where_there_is_none():
    task = open_task(["8815", "12"])
    made = task.decode(["000", "001"], np.array([[0.03, 0.01], [0, 0]]))
    true, told = task.for_metric("confidence", truth(["8815 7", ""]), made, {})
    assert true.tolist() == ["8815 7", ""] and told == [("12", 0.03), None]
    assert whales().for_metric("confidence", truth(["new_whale"]), whales().decode(["000"], np.eye(3)[:1]), {})[0].tolist() == [""]
    assert task.fit_post(truth(["8815", ""]), made, Metric.open("gap", {})) == {}


def test_cells_of_label_and_confidence_are_written_and_read_again():
    task = open_task(["8815", "12"], cells="label_confidence")
    made = task.decode(["000", "001", "002"], np.array([[1 / 3, 0.01], [0, 0], [0, 1e-7]]))
    cells = text_cells(task, made, {}, "confidence")
    assert cells["t"].tolist() == ["12 0.3333333333333333", "", "8815 1e-07"]
    told = truth(["12", "12", ""])
    again = task.read_cells(cells, ["t"], "confidence")
    assert task.for_metric("confidence", told, again, {})[1] == task.for_metric("confidence", told, made, {})[1]
    assert text_cells(open_task(["8815", "12"]), made, {}, "confidence").equals(cells)  # the metric says so where the config does not


def test_a_class_that_no_training_row_has_is_read_and_wrong():
    task = open_task(["8815", "12"])
    cells = pd.DataFrame({"t": ["7 0.5", " 12  0.25 ", None, "12 0"]}, index=["000", "001", "002", "003"])
    made = task.read_cells(cells, ["t"], "confidence")
    assert task.for_metric("confidence", truth(["12"] * 4), made, {})[1] == [("7", 0.5), ("12", 0.25), None, ("12", 0.0)]
    assert Metric.open("gap", {}).score(task, truth(["12"] * 4), made, {}) == pytest.approx((1 / 2 + 2 / 3) / 4)


def test_cells_that_are_no_label_and_confidence_are_named_together():
    cells = pd.DataFrame({"t": ["8815", "8815 0.1 12 0.2", "8815 high", "8815 nan", "8815 0.1", ""]}, index=list("abcdef"))
    assert complaint(open_task(["8815", "12"]).read_cells, cells, ["t"], "confidence") == (
        "4 cells of column 't' are no label and confidence, as in \"8815 0.03\": a: '8815', b: '8815 0.1 12 0.2', c: '8815 high', d: '8815 nan'\n"
        "a blank cell says that there is none"
    )


def test_a_class_with_a_space_cannot_stand_beside_its_confidence():
    task = open_task(["Big Ben", "12"])
    made = task.decode(["000"], np.array([[0.1, 0.5]]))
    assert complaint(task.cells, made, {}, ["t"], "confidence").startswith("1 classes hold a space, and \"class confidence\" is parted by one: 'Big Ben'")


def test_a_closed_set_tells_its_confidence_too():
    task = Multiclass(target="t")
    task.learn(truth(["a", "b"]))
    made = task.decode(["000", "001"], np.array([[0.3, 0.7], [1.0, 0.0]]))
    assert Metric.open("gap", {}).score(task, truth(["b", "b"]), made, {}) == 1 / 2 / 2


# what does not go together


def test_options_that_do_not_go_with_an_open_set_are_told_together():
    assert complaint(Multiclass, target="t", unknown="x") == 'output.unknown = "x": rows of no class go with output.open_set = true'
    assert complaint(Multiclass, target="t", open_set=True, cells="probabilities").startswith('output.cells = "probabilities"')
    assert complaint(Multiclass, target="t", open_set=True, cells="labels").startswith('output.cells = "labels": a list cannot hold a blank')
    made = open_task(["a", "b"]).decode(["000"], np.array([[0.3, 0.7]]))
    assert complaint(open_task(["a", "b"]).for_metric, "ranking", truth(["a"]), made, {}).startswith("output.unknown is a blank cell")


def test_metrics_of_probabilities_and_priors_do_not_go_with_an_open_set():
    task = whales()
    assert "the task gives label, ranking, confidence" in complaint(Metric.open("log_loss", {}).needs, task.gives)
    assert complaint(task.shares, "uniform").startswith("score.prior: with output.open_set = true")


def test_post_processing_that_does_not_go_with_the_set_is_refused():
    task, told = whales(), truth(["w_1"])
    made = task.decode(told["id"], np.array([[0.5, 0, 0]]))
    told_both = complaint(task.fit_post, told, made, Metric.open("gap", {}), class_factors="fit", unknown=0.5).split("\n")
    assert [line.split(":")[0] for line in told_both] == ['post.class_factors = "fit"', "post.unknown = 0.5"]
    closed = Multiclass(target="t")
    closed.learn(truth(["a", "b"]))
    made = closed.decode(["000"], np.array([[0.5, 0.5]]))
    assert complaint(closed.fit_post, truth(["a"]), made, Metric.open("accuracy", {}), unknown=0.5).startswith("post.unknown = 0.5: ")

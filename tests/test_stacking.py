"""Weights of runs: the space they are found in, what they come to on examples that can be worked by hand, and that they see no row that they are scored on."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import lsq_linear

from kit import honest, stacking
from kit.combining import Members, Rule, space_of
from kit.honest import drawn_again, hidden, interval, nested, told
from kit.predictions import Predictions
from kit.scoring import Metric, score_folds
from kit.stacking import METHODS, Judge, greedy, stack, steady
from kit.tables import WEIGHT
from kit.tasks.binary import Binary
from kit.tasks.multiclass import Multiclass
from kit.tasks.multilabel import Multilabel
from kit.tasks.regression import Regression


def ids(n):
    return [f"{k:04d}" for k in range(n)]


def frame(**columns):
    return pd.DataFrame({"id": ids(len(next(iter(columns.values())))), **columns})


def metric(name, **options):
    return Metric.open(name, options)


def values(*runs):
    return [Predictions.of(ids(len(y)), {"y": np.array(y, dtype=float)}) for y in runs]


def chances(*runs):
    return [Predictions.of(ids(len(p)), {"p": np.array(p, dtype=float)}) for p in runs]


def judged(task, truth, name, parts=2, **options):
    """What judges all rows; every so-manieth row is of one part."""
    task.learn(truth)
    return Judge(task, metric(name), truth, [np.arange(k, len(truth), parts) for k in range(parts)], options)


def numbers(made, column="y"):
    return made.rows[column].tolist()


# the space


@pytest.mark.parametrize(
    ("task", "name", "options", "space"),
    [
        (Binary(target="t"), "auc", {}, "rank"),
        (Binary(target="t"), "gini", {}, "rank"),
        (Binary(target="t"), "average_precision", {}, "rank"),
        (Binary(target="t"), "log_loss", {}, "logit"),
        (Binary(target="t"), "brier", {}, "probability"),
        (Binary(target="t"), "accuracy", {}, "probability"),
        (Regression(target="t"), "rmse", {}, "value"),
        (Regression(target="t", transform="sqrt"), "mae", {}, "sqrt"),
        (Regression(target="t"), "rmsle", {}, "log1p"),
        (Regression(target="t"), "rmse_of_logs", {}, "log"),
        (Regression(target="t"), "spearman", {}, "rank"),
        (Regression(target="t"), "columnwise_mean", {"of": "spearman"}, "rank"),
        (Regression(target="t"), "columnwise_mean", {"of": "rmsle"}, "log1p"),
    ],
)
def test_the_metric_says_in_which_space_runs_are_combined(task, name, options, space):
    assert space_of(task, metric(name, **options), chances([0.1, 0.9])[0]) == space


def test_lists_are_the_task_s_own_to_average():
    listed = Predictions.of(ids(1), {"labels": pd.Series([["a"]]), "scores": pd.Series([[1.0]])})
    assert space_of(Multiclass(target="t"), metric("map_at_k"), listed) == "task"


@pytest.mark.parametrize(
    ("space", "runs", "weights", "mean"),
    [
        ("value", ([1.0], [4.0]), (2, 1), [2.0]),
        ("log", ([1.0], [8.0]), (2, 1), [2.0]),
        ("log1p", ([0.0], [7.0]), (2, 1), [1.0]),
        ("sqrt", ([1.0], [9.0]), (1, 1), [4.0]),
    ],
)
def test_values_have_their_mean_in_the_space(space, runs, weights, mean):
    made = Members.of(Regression(target="t"), space, values(*runs)).by(Rule(weights, space))
    assert numbers(made) == pytest.approx(mean)


def test_log_odds_have_a_mean_in_which_opposites_cancel():
    made = Members.of(Binary(target="t"), "logit", chances([0.2, 0.5], [0.8, 0.9])).by(Rule((1, 1), "logit"))
    assert numbers(made, "p") == pytest.approx([0.5, 0.75])  # odds 1 and 9: their geometric mean is 3


def test_classes_have_the_normalised_geometric_mean():
    runs = [Predictions.of(ids(1), {"p_a": [a], "p_b": [1 - a]}) for a in (0.5, 0.9)]
    made = Members.of(Multiclass(target="t"), "logit", runs).by(Rule((1, 1), "logit"))
    assert (made.rows["p_a"][0], made.rows["p_b"][0]) == pytest.approx((0.75, 0.25))


def test_ranks_are_those_among_what_the_run_predicted_out_of_fold():
    known, new = chances([0.1, 0.2, 0.3, 0.4], [0.01, 0.02, 0.03, 0.04]), chances([0.25, 0.4], [0.001, 0.05])
    made = Members.of(Binary(target="t"), "rank", new, known).by(Rule((1, 1), "rank"))
    assert numbers(made, "p") == pytest.approx([(2 / 4 + 0) / 2, (3.5 / 4 + 1) / 2])  # an equal one counts half


def test_ranks_of_values_stay_in_the_runs_range():
    known = values([10.0, 20.0, 30.0], [0.0, 50.0, 100.0])
    made = Members.of(Regression(target="t"), "rank", known, known).by(Rule((1, 1), "rank"))
    assert numbers(made) == pytest.approx([5 + 60 * share for share in (1 / 6, 3 / 6, 5 / 6)])  # least 5 and greatest 65 on average


def test_a_rule_survives_json():
    rule = Rule((0.25, 0.75), "rank", (0.5,))
    assert Rule.read({"runs": ["a", "b"], "method": "stack", **rule.as_dict()}) == rule
    assert Rule.read({"runs": ["a", "b"], "weights": [1, 2]}) == Rule((1, 2))  # of a run without a method


# greedy selection


def test_greedy_takes_a_run_twice_where_that_is_best():
    y, error = np.arange(8.0), np.array([1, -1, 2, -2, 1, -1, 2, -2.0])
    judge = judged(Regression(target="t"), frame(t=y), "rmse")
    rule = greedy(Members.of(judge.task, "value", values(y + error, y - 2 * error)), judge, [[0], [1]])
    assert rule.weights == pytest.approx((2 / 3, 1 / 3))  # the errors cancel


def test_greedy_is_never_behind_the_best_run_on_its_rows():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    runs = [np.clip(0.5 + 0.1 * labels + random.normal(scale=s, size=200), 0.01, 0.99) for s in (0.1, 0.2, 0.3)]
    judge = judged(Binary(target="t"), frame(t=labels.astype(str)), "f1", parts=5)
    members = Members.of(judge.task, "probability", chances(*runs))
    made = [members.by(rule) for rule in (greedy(members, judge, [[0], [1], [2]]), Rule((1, 0, 0), "probability"))]
    scores = [judge.quality(m, judge.post(m)) for m in made]
    assert scores[0] >= scores[1]


def test_steady_weights_are_half_selected_and_half_those_of_the_best_third():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    runs = [np.clip(0.5 + 0.1 * labels + random.normal(scale=s, size=300), 0.01, 0.99) for s in (0.3, 0.1, 0.2, 0.15, 0.4, 0.5, 0.6)]
    judge = judged(Binary(target="t"), frame(t=labels.astype(str)), "log_loss", parts=5)
    members, groups = Members.of(judge.task, "logit", chances(*runs)), [[n] for n in range(7)]
    order = np.argsort([-np.log(np.where(labels == 1, r, 1 - r)).mean() for r in runs])[:3]
    selected, found = np.array(greedy(members, judge, groups).weights), np.array(steady(members, judge, groups).weights)
    assert sorted(order.tolist()) == [1, 2, 3] and found.sum() == pytest.approx(1.0)
    assert found.tolist() == pytest.approx(((selected + np.isin(range(7), order) / 3) / 2).tolist())
    few = Members.of(judge.task, "logit", chances(*runs[:2]))  # of two, the better one alone
    assert steady(few, judge, [[0], [1]]).weights == pytest.approx(((np.array(greedy(few, judge, [[0], [1]]).weights) + [0, 1]) / 2).tolist())


def test_greedy_scores_rows_by_their_weight():
    truth = frame(t=[0.0, 0.0, 0.0, 0.0]).assign(**{WEIGHT: [1.0, 1.0, 0.0, 0.0]})
    judge = judged(Regression(target="t"), truth, "rmse")
    members = Members.of(judge.task, "value", values([0, 0, 9, 9], [1, 1, 0, 0]))
    assert greedy(members, judge, [[0], [1]]).weights == (1.0, 0.0)


def test_greedy_on_many_rows_looks_at_some(monkeypatch):
    monkeypatch.setattr(stacking, "_MOST_ROWS", 4)
    y = np.zeros(16)
    far = np.where(np.arange(16) < 8, 0.0, 5.0)
    judge = Judge(Regression(target="t"), metric("rmse"), frame(t=y), [np.arange(8), np.arange(8, 16)], {})
    members = Members.of(judge.task, "value", values(far, y))
    assert greedy(members, judge, [[0], [1]]).weights == (0.0, 1.0)  # both parts are among the rows that it looks at


def test_lists_are_selected_by_the_task_s_own_average():
    task = Multiclass(target="t")
    truth = frame(t=["a", "b", "a", "b"])
    right, wrong = [["a"], ["b"], ["a"], ["b"]], [["b"], ["a"], ["b"], ["a"]]
    runs = [Predictions.of(ids(4), {"labels": pd.Series(names), "scores": pd.Series([[1.0]] * 4)}) for names in (wrong, right)]
    judge = judged(task, truth, "map_at_k")
    assert greedy(Members.of(task, "task", runs), judge, [[0], [1]]) == Rule((0.0, 1.0), "task")


# the stack


def test_stack_of_values_is_least_squares_with_weights_of_at_least_0():
    random = np.random.default_rng(0)
    y = random.normal(size=400)
    runs = [y + random.normal(scale=1, size=400), y + random.normal(scale=2, size=400), -y + random.normal(size=400)]
    judge = judged(Regression(target="t"), frame(t=y + 3), "rmse")
    rule = stack(Members.of(judge.task, "value", values(*runs)), judge, [[0], [1], [2]])
    columns = np.column_stack([*runs, np.ones(400)])
    slow = lsq_linear(columns, y + 3, bounds=([0, 0, 0, -np.inf], np.inf)).x
    assert rule.weights == pytest.approx(slow[:3], abs=0.05) and rule.weights[2] == 0.0
    assert rule.bias == pytest.approx(slow[3:], abs=0.05)


def test_penalty_draws_weights_to_the_mean_of_runs_that_few_rows_cannot_tell_apart():
    random = np.random.default_rng(1)
    y = random.normal(size=30)
    runs = [y + random.normal(scale=1, size=30) for _ in range(6)]
    judge = judged(Regression(target="t"), frame(t=y), "rmse", parts=5)
    rule = stack(Members.of(judge.task, "value", values(*runs)), judge, [[n] for n in range(6)])
    slow = lsq_linear(np.column_stack([*runs, np.ones(30)]), y, bounds=([0] * 6 + [-np.inf], np.inf)).x[:6]
    assert np.std(rule.weights) < np.std(slow)


def test_stack_of_log_odds_undoes_what_is_too_timid():
    random = np.random.default_rng(0)
    odds = random.normal(scale=2, size=2000)
    labels = random.random(2000) < 1 / (1 + np.exp(-odds))
    timid = 1 / (1 + np.exp(-(odds / 2 + 1)))
    judge = judged(Binary(target="t"), frame(t=labels.astype(int).astype(str)), "log_loss")
    rule = stack(Members.of(judge.task, "logit", chances(timid, timid)), judge, [[0], [1]])
    assert sum(rule.weights) == pytest.approx(2, abs=0.2) and rule.bias == pytest.approx((-2,), abs=0.25)


@pytest.mark.parametrize("exclusive", [True, False])
def test_slope_of_the_log_loss_is_that_of_finite_differences(exclusive):
    random = np.random.default_rng(0)
    runs, weight, found = random.normal(size=(2, 5, 3)), random.random(5), random.random(5)
    target = np.eye(3)[random.integers(0, 3, 5)]
    _, slope = stacking._log_loss(found, runs, target, weight, exclusive)
    steps = [stacking._log_loss(found + sign * 1e-6 * np.eye(5)[k], runs, target, weight, exclusive)[0] for k in range(5) for sign in (1, -1)]
    assert slope == pytest.approx([(a - b) / 2e-6 for a, b in zip(steps[::2], steps[1::2])], abs=1e-6)


def test_stack_of_noise_falls_back_to_the_mean_of_the_truth():
    random = np.random.default_rng(0)
    y = random.normal(loc=5, size=200)
    judge = judged(Regression(target="t"), frame(t=y), "rmse", parts=5)
    members = Members.of(judge.task, "value", values(*random.normal(size=(4, 200))))
    assert np.std(numbers(members.by(stack(members, judge, [[n] for n in range(4)])))) < 0.25
    assert np.mean(numbers(members.by(stack(members, judge, [[n] for n in range(4)])))) == pytest.approx(y.mean())


def test_targets_of_several_units_count_alike():
    random = np.random.default_rng(0)
    small, large = random.normal(size=1000), 1000 * random.normal(size=1000)
    task = Regression(target=["s", "l"])
    judge = judged(task, frame(s=small, l=large), "columnwise_mean")
    good, bad = {"s": small, "l": large + 1000 * random.normal(size=1000)}, {"s": small + random.normal(size=1000), "l": large}
    rule = stack(Members.of(task, "value", [Predictions.of(ids(1000), run) for run in (good, bad)]), judge, [[0], [1]])
    assert rule.weights[0] == pytest.approx(rule.weights[1], rel=0.2) and len(rule.bias) == 2


@pytest.mark.parametrize(("name", "space"), [("auc", "rank"), ("log_loss", "logit"), ("brier", "probability")])
def test_stack_of_classes_and_labels_gives_probabilities(name, space):
    random = np.random.default_rng(0)
    classes = random.integers(0, 3, 120)
    for task, truth in ((Multiclass(target="t"), frame(t=np.array(list("abc"))[classes])), (Multilabel(target=list("abc")), frame(**dict(zip("abc", np.eye(3)[:, classes]))))):
        runs = []
        for _ in range(2):
            p = np.eye(3)[classes] + random.random((120, 3))
            runs.append(Predictions.of(ids(120), dict(zip(["p_a", "p_b", "p_c"], (p / p.sum(axis=1, keepdims=True)).T))))
        judge = judged(task, truth, name)
        made = Members.of(task, space, runs, runs)
        p = made.by(stack(made, judge, [[0], [1]])).rows[["p_a", "p_b", "p_c"]].to_numpy()
        assert p.min() >= 0 and p.max() <= 1
        if isinstance(task, Multiclass) and space != "rank":
            assert p.sum(axis=1) == pytest.approx(1)


def test_runs_that_differ_by_their_seed_share_a_weight():
    y = np.arange(12.0)
    error = np.tile([1.0, -1.0], 6)
    judge = judged(Regression(target="t"), frame(t=y), "rmse")
    members = Members.of(judge.task, "value", values(y + 2 * error, y, y + 4 * error))
    for method in METHODS.values():
        rule = method(members, judge, [[0, 2], [1]])
        assert rule.weights[0] == rule.weights[2] < rule.weights[1]


# the honest score


def case(method, name, flipped=()):
    """Of 60 rows in 3 parts, the blend's predictions and score of the first part; of `flipped` rows the answers are turned round."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    runs = [np.clip(0.5 + c * (labels - 0.5) + random.normal(scale=0.2, size=60), 0.01, 0.99) for c in (0.3, 0.2, 0.1)]
    for row in flipped:
        labels[row] = 1 - labels[row]
    judge = judged(Binary(target="t"), frame(t=labels.astype(str)), name, parts=3, **({"threshold": "fit"} if name == "f1" else {}))
    known = chances(*runs)
    members = Members.of(judge.task, space_of(judge.task, judge.metric, known[0]), known, known)
    return members, judge, nested(members, judge, lambda m, j: METHODS[method](m, j, [[0], [1], [2]]), judge.parts)


@pytest.mark.parametrize("name", ["auc", "log_loss", "f1"])
@pytest.mark.parametrize("method", METHODS)
def test_no_answer_of_a_part_moves_what_is_predicted_for_it(method, name):
    first = range(0, 60, 3)
    _, judge, plain = case(method, name)
    _, _, turned = case(method, name, flipped=first)
    own = list(first)
    assert plain.oof.rows["p"][own].tolist() == turned.oof.rows["p"][own].tolist()
    part = [np.asarray(each.given[0][2]) for each in (plain, turned)]
    assert part[0].tolist() == part[1].tolist()  # labels, too: the threshold comes from the other parts
    others = sorted(set(range(60)) - set(own))
    assert plain.oof.rows["p"][others].tolist() != turned.oof.rows["p"][others].tolist()


def test_a_fixed_rule_has_the_score_that_any_run_has():
    members, judge, _ = case("best", "f1")
    made = members.by(Rule((1, 1, 1), "probability"))
    parts = [Predictions.of(made.ids[own], {"p": made.rows["p"].to_numpy()[own]}) for own in judge.parts]
    expected, post = score_folds(judge.metric, judge.task, judge.truth, [parts], judge.options)
    found = told(judge, made, [made])
    assert (found.score, found.post) == (expected, post)


def test_weights_of_noise_flatter_themselves_in_sample_and_not_in_the_honest_score():
    gains, inside, within = [], [], 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        judge = judged(Binary(target="t"), frame(t=(random.random(150) < 0.5).astype(int).astype(str)), "auc", parts=5)
        runs = chances(*random.random((8, 150)))
        members = Members.of(judge.task, "rank", runs, runs)

        def fit(some, by):
            return greedy(some, by, [[n] for n in range(8)])

        found = nested(members, judge, fit, judge.parts)
        inside.append(judge.quality(members.by(fit(members, judge)), {}) - 0.5)
        gains.append(found.score.mean - 0.5)
        low, high = interval(gains[-1], drawn_again(judge, [found])[:, 0])
        within += low <= 0 <= high
    assert min(inside) > 0.03  # on the rows that they were found on, all of them seem to know something
    assert within >= 5 and abs(np.mean(gains)) < np.mean(inside) / 2


def test_rows_drawn_again_spread_as_the_textbook_says(monkeypatch):
    random = np.random.default_rng(0)
    error = random.normal(size=300)
    judge = judged(Regression(target="t"), frame(t=np.zeros(300)), "mae", parts=1)
    made = values(error)[0]
    found = told(judge, made, [made])
    expected = np.abs(error).std() / math.sqrt(300)
    assert drawn_again(judge, [found])[:, 0].std() == pytest.approx(expected, rel=0.15)
    monkeypatch.setitem(honest._MOST_DRAWN, "array", 75)  # a fourth of the rows: twice the spread, halved
    assert drawn_again(judge, [found])[:, 0].std() == pytest.approx(expected, rel=0.15)


def test_contenders_are_drawn_the_same_rows():
    judge = judged(Regression(target="t"), frame(t=np.zeros(50)), "mae")
    made = values(np.random.default_rng(0).random(50))[0]
    shifted = values(made.rows["y"] + 1)[0]
    draws = drawn_again(judge, [told(judge, m, [m]) for m in (made, shifted)])
    assert (draws[:, 1] - draws[:, 0]).tolist() == pytest.approx([1.0] * len(draws)) and draws[:, 0].std() > 0.01


def test_no_interval_where_most_draws_have_no_score():
    judge, made = judged(Binary(target="t"), frame(t=list("0101")), "auc", parts=1), chances([0.1, 0.9, 0.1, 0.9])[0]
    assert drawn_again(judge, [told(judge, made, [made])]) is not None  # most draws of four rows hold both answers
    judge = Judge(judge.task, judge.metric, judge.truth, [np.array([0, 1]), np.array([2, 3])], {})
    assert drawn_again(judge, [told(judge, made, [made])]) is None  # a fourth of those of two and two do


def test_cuts_of_one_part_hold_each_row_once_and_groups_together():
    task = Binary(target="t")
    cuts = hidden(task, frame(t=["0", "1"] * 50), np.arange(100) // 4)
    assert sorted(np.concatenate(cuts).tolist()) == list(range(100)) and len(cuts) == 5
    assert all(len(set(own // 4)) * 4 == len(own) for own in cuts)


@pytest.mark.parametrize("rare", [5, 8, 11])
def test_cuts_of_one_part_have_rows_of_a_rare_class_each(rare):
    cuts = hidden(Binary(target="t"), frame(t=["1"] * rare + ["0"] * (500 - rare)), None)
    assert sorted(np.concatenate(cuts).tolist()) == list(range(500)) and len(cuts) == 5
    assert {int((own < rare).sum()) for own in cuts} <= {rare // 5, -(-rare // 5)}


def test_a_part_that_is_hidden_leaves_the_other_cuts_to_judge_by():
    judge = judged(Regression(target="t"), frame(t=np.arange(50.0)), "rmse", parts=1)
    members, cuts, seen = Members.of(judge.task, "value", values(np.zeros(50), np.ones(50))), hidden(judge.task, judge.truth, np.arange(50) // 5), []

    def fit(some, by):
        seen.append([sorted(set(by.truth["t"].to_numpy()[own] // 5)) for own in by.parts])
        return Rule((1.0, 0.0), "value")

    nested(members, judge, fit, cuts)
    groups = [sorted(set(own // 5)) for own in cuts]
    assert seen == [[own for own in groups if own != held] for held in groups]


# tasks without a mean of numbers


def test_boxes_are_selected_by_what_their_fusion_scores():
    pytest.importorskip("ensemble_boxes")
    from kit.found import Found
    from kit.tasks.detection import Detection

    task, there = Detection(target="t"), [0.0, 0.0, 9.0, 9.0]
    truth = frame(t=pd.Series([Found.of(["cat"], boxes=[there]) for _ in range(4)], dtype=object))
    task.learn(truth)
    runs = [task.decode(ids(4), [Found.of(np.array([0]), boxes=[box], scores=[0.9]) for _ in range(4)]) for box in ([50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 10.0, 10.0])]
    judge = Judge(task, metric("coco_map"), truth, [np.array([0, 1]), np.array([2, 3])], {})
    members = Members.of(task, space_of(task, judge.metric, runs[0]), runs)
    found = nested(members, judge, lambda m, j: greedy(m, j, [[0], [1]]), judge.parts)
    assert greedy(members, judge, [[0], [1]]) == Rule((0.0, 1.0), "task") and found.score.mean == 1.0


def test_of_groups_the_best_run_on_the_other_parts_answers():
    from kit.tasks.clustering import Clustering

    class Tracks:
        hit_id, particle, weight = np.arange(6), np.array([1, 1, 1, 2, 2, 2]), np.full(6, 1 / 6)

        def read(self):
            return self

    task = Clustering(target="t")
    truth = frame(t=pd.Series([Tracks() for _ in range(4)], dtype=object))
    right, wrong = ([(np.arange(6), np.array(groups))] * 4 for groups in ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]))
    runs = [task.decode(ids(4), told) for told in (wrong, right)]
    judge = Judge(task, metric("trackml"), truth, [np.array([0, 1]), np.array([2, 3])], {})
    members = Members.of(task, space_of(task, judge.metric, runs[0]), runs)
    found = nested(members, judge, lambda m, j: METHODS["best"](m, j, [[0], [1]]), judge.parts)
    assert found.score.mean == pytest.approx(1.0) and drawn_again(judge, [found]).tolist() == pytest.approx(np.ones((50, 1)))


def test_a_stack_for_absolute_errors_keeps_to_the_middle_of_a_long_tail():
    """Rare delays of hours move the mean, and with it the biases of least squares; the median stays."""
    random = np.random.default_rng(0)
    usual = random.normal(size=2000)
    y = usual + random.normal(scale=0.3, size=2000) + 40 * (random.random(2000) < 0.04)
    runs = [usual + random.normal(scale=s, size=2000) for s in (0.2, 0.4)]
    found = {}
    for name in ("mae", "rmse"):
        judge = judged(Regression(target="t"), frame(t=y), name, parts=5)
        members = Members.of(judge.task, "value", values(*runs))
        made = members.by(stack(members, judge, [[0], [1]]))
        found[name] = float(np.abs(made.aligned(judge.truth["id"])["y"].to_numpy() - y).mean()), made
    best = min(np.abs(r - y).mean() for r in runs)
    assert found["mae"][0] < best and found["rmse"][0] > best + 0.5
    middle = np.median(y - found["mae"][1].aligned(judge.truth["id"])["y"].to_numpy())
    assert abs(middle) < 0.05

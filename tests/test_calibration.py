"""Calibration: what is fitted, by hand where that can be done, and that a run scores it on other folds and replays it."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from kit import calibration, runs
from kit.errors import ConfigError
from kit.fitting import Says
from kit.predict import predict
from kit.predictions import Predictions
from kit.scoring import Metric, score_folds
from kit.tasks.binary import Binary
from kit.tasks.multiclass import Multiclass

METHODS = ("temperature", "platt", "isotonic")


def drawn(n=20000, classes=2):
    """(log-odds against the last class, what happened)."""
    random = np.random.default_rng(0)
    if classes == 2:
        odds = random.normal(scale=2, size=n)
        return odds, (random.random(n) < expit(odds)).astype(np.int64)
    logs = random.normal(scale=1.5, size=(n, classes))
    p = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    return p, (random.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)


def test_temperature_of_log_odds_that_are_three_times_too_large_is_three():
    odds, true = drawn()
    assert calibration.fit("temperature", expit(3 * odds), true)["temperature"] == pytest.approx(3, rel=0.1)


def test_temperature_of_several_classes_is_found_likewise():
    p, true = drawn(classes=3)
    sharp = p**2 / (p**2).sum(axis=1, keepdims=True)
    found = calibration.fit("temperature", sharp, true)
    assert found["temperature"] == pytest.approx(2, rel=0.1)
    assert calibration.calibrated(found, sharp) == pytest.approx(p, abs=0.05)


def test_platt_undoes_a_slope_and_a_shift():
    odds, true = drawn()
    found = calibration.fit("platt", expit(2 * odds + 1), true)
    assert found["slope"] == pytest.approx([0.5], rel=0.1) and found["shift"] == pytest.approx([-0.5], abs=0.1)


def test_platt_gives_each_class_its_own():
    p, true = drawn(classes=3)
    bent = p * np.array([4.0, 1.0, 1.0])
    bent /= bent.sum(axis=1, keepdims=True)
    assert calibration.calibrated(calibration.fit("platt", bent, true), bent) == pytest.approx(p, abs=0.06)


def test_isotonic_pools_neighbours_that_fall():
    found = calibration.fit("isotonic", np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1]))["steps"][0]
    edge = 1 / 6  # of four rows
    assert (found["from"], found["to"]) == (pytest.approx([0.1, 0.2, 0.3, 0.4]), pytest.approx([edge, 0.5, 0.5, 1 - edge]))


def test_isotonic_counts_equal_probabilities_together_and_by_weight():
    found = calibration.fit("isotonic", np.array([0.5, 0.5]), np.array([0, 1]), np.array([1.0, 2.0]))["steps"][0]
    assert found["to"] == pytest.approx([2 / 3])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_fitted_is_json_and_gives_probabilities(method, classes):
    p, true = drawn(300, classes)
    p = expit(p) if classes == 2 else p
    found = calibration.fit(method, p, true)
    bent = calibration.calibrated(json.loads(json.dumps(found)), np.vstack([p, np.eye(3)]) if classes == 3 else np.r_[p, 0.0, 1.0])
    assert np.isfinite(bent).all() and bent.min() > 0 and bent.max() < 1
    assert classes == 2 or bent.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_are_all_right_do_not_run_away(method):
    p = np.array([0.1, 0.2, 0.8, 0.9])
    bent = calibration.calibrated(calibration.fit(method, p, np.array([0, 0, 1, 1])), p)
    assert 0 < bent.min() < bent.max() < 1


def parts(p, truth):
    return [Predictions.of(truth["id"][k::4].tolist(), {name: values[k::4] for name, values in p.items()}) for k in range(4)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", [Binary(target="t"), Multiclass(target="t")])
def test_a_part_is_calibrated_by_the_others_and_gains_where_it_is_needed(method, task):
    odds, true = drawn(2000)
    truth = pd.DataFrame({"id": [f"{n:05d}" for n in range(2000)], "t": true.astype(str)})
    task.learn(truth)
    p = expit(3 * odds)
    columns = {"p": p} if isinstance(task, Binary) else {"p_0": 1 - p, "p_1": p}
    repeats, metric = [parts(columns, truth)], Metric.open("log_loss", {})
    plain, bent = (score_folds(metric, task, truth, repeats, options)[0] for options in ({}, {"calibrate": method}))
    assert bent.mean < plain.mean - 0.05
    own, others = repeats[0][0], truth[np.arange(2000) % 4 > 0].reset_index(drop=True)
    rest = Predictions.of(others["id"].tolist(), {name: values[np.arange(2000) % 4 > 0] for name, values in columns.items()})
    post = task.fit_post(others, rest, metric, calibrate=method)
    assert bent.folds[0] == metric.score(task, truth[::4].reset_index(drop=True), own, post)


def test_a_threshold_is_one_of_calibrated_probabilities():
    odds, true = drawn(2000)
    truth = pd.DataFrame({"id": [f"{n:05d}" for n in range(2000)], "t": true.astype(str)})
    task = Binary(target="t")
    task.learn(truth)
    made = Predictions.of(truth["id"].tolist(), {"p": expit(odds - 3)})
    post = task.fit_post(truth, made, Metric.open("accuracy", {}), calibrate="platt")
    assert post["threshold"] == 0.5
    bent = task.for_metric("label", truth, made, post)[1]
    assert (bent == (odds > 0)).mean() > 0.97
    assert logit(calibration.calibrated(post["calibrated"], expit(odds - 3))) == pytest.approx(odds, abs=0.6)


def test_factors_of_classes_are_fitted_after_it():
    p, true = drawn(600, 3)
    truth = pd.DataFrame({"id": [f"{n:05d}" for n in range(600)], "t": np.array(list("abc"))[true]})
    task = Multiclass(target="t")
    task.learn(truth)
    made = Predictions.of(truth["id"].tolist(), dict(zip(["p_a", "p_b", "p_c"], p.T)))
    post = task.fit_post(truth, made, Metric.open("f1_macro", {}), calibrate="temperature")
    assert set(post) == {"calibrated", "class_factors"}


@pytest.mark.parametrize("options", [{"open_set": True}, {}])
def test_what_has_no_probabilities_of_all_classes_is_refused(options):
    task = Multiclass(target="t", **options)
    truth = pd.DataFrame({"id": ["a", "b"], "t": ["x", "y"]})
    task.learn(truth)
    made = Predictions.of(["a", "b"], {"labels": pd.Series([["x"], ["y"]]), "scores": pd.Series([[1.0], [1.0]])})
    with pytest.raises(ConfigError, match='^post.calibrate = "platt": (rows of no class|lists of the best 100 classes) have no prob'):
        task.fit_post(truth, made, Metric.open("accuracy", {}), calibrate="platt")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_keeps_its_calibration_and_replays_it(table, method):
    plain, run = (runs.open_run(table.trained(*words)) for words in ((), (f"post.calibrate={method}",)))
    assert run.info["post"]["calibrated"]["method"] == method
    read = [pd.read_csv(r.folder / "submission.csv")["sold"].to_numpy() for r in (plain, run)]
    assert read[1] == pytest.approx(calibration.calibrated(run.info["post"]["calibrated"], read[0]))
    assert predict(run, table.data, Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_a_method_that_is_none_is_said_before_any_training(table):
    assert 'post.calibrate = "sigmoid"' in table.complaint("post.calibrate=sigmoid").replace("'", '"')

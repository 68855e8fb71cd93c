"""Differences of runs: the corrected test on paper, how often it errs, and what `kit runs` says of it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from kit.cli import app
from kit.comparing import against_best, corrected_t_test, leaderboard, ratio_of, with_leaderboard
from kit.errors import RunError
from kit.runs import Run

FOLDS = "id,repeat,fold,role\n" + "".join(f"{id},0,{fold},{'valid' if id % 3 == fold else 'train'}\n" for fold in range(3) for id in range(6))


def test_corrected_test_is_the_formula_on_paper():
    mean, error, p = corrected_t_test([0.8, 0.9, 1.0], [0.7, 0.6, 0.5], 0.5)  # differences 0.1, 0.3, 0.5: variance 0.04
    assert mean == pytest.approx(0.3) and error == pytest.approx(math.sqrt(0.04 * (1 / 3 + 1 / 2)))
    assert p == pytest.approx(2 * stats.t.sf(0.3 / error, 2))


def test_without_shared_rows_it_is_the_plain_paired_test():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 10))
    assert corrected_t_test(list(one), list(other), 0.0)[2] == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_scores_that_are_the_same_differ_by_nothing_and_a_constant_gain_is_no_noise():
    assert corrected_t_test([0.5, 0.7], [0.5, 0.7], 0.25) == (0.0, 0.0, 1.0)
    assert corrected_t_test([2.0, 3.0], [1.0, 2.0], 0.25) == (1.0, 0.0, 0.0)


def test_correction_keeps_its_promise_where_folds_share_training_rows():
    """Two learners that are equally good: ridge on ten columns of noise, and on ten others. Cross-validated ten times, folds vary together."""
    random = np.random.default_rng(0)
    found = {0.0: 0, 1 / 4: 0}
    trials = 100
    for _ in range(trials):
        x, y = random.normal(size=(60, 20)), random.normal(size=60)
        scores = [[], []]
        for _ in range(4):
            part = random.permutation(60) % 5
            for k in range(5):
                train, valid = part != k, part == k
                for learner, columns in enumerate((slice(0, 10), slice(10, 20))):
                    own = x[train, columns]
                    weights = np.linalg.solve(own.T @ own + np.eye(10), own.T @ y[train])
                    scores[learner].append(float(((x[valid, columns] @ weights - y[valid]) ** 2).mean()))
        for ratio in found:
            found[ratio] += corrected_t_test(*scores, ratio)[2] < 0.05
    assert found[1 / 4] <= 12 < found[0.0]  # of 100, at 5 %


def made(folder: Path, name: str, scores: list[float], **more) -> Run:
    (folder / name).mkdir(parents=True)
    (folder / name / "folds.csv").write_text(FOLDS)
    info = {"state": "finished", "metric": "auc", "greater_is_better": True, "score": {"mean": float(np.mean(scores)), "standard_error": 0.01, "folds": scores}}
    info |= {"folds": "abc", "covered": 6, "validated": 6, "seconds": 1.0} | more
    (folder / name / "run.json").write_text(json.dumps(info))
    return Run(folder / name, info)


def test_ratio_is_counted_from_the_folds_file(tmp_path):
    run = made(tmp_path, "1-knn", [0.5, 0.5, 0.5])
    assert ratio_of(run.folder / "folds.csv") == 2 / 4
    with pytest.raises(RunError, match="folds.csv is missing: is its folder a whole run"):
        ratio_of(tmp_path / "folds.csv")


def test_only_runs_of_the_same_folds_and_metric_that_cover_all_are_compared(tmp_path):
    runs = [
        made(tmp_path, "1-best", [0.90, 0.91, 0.92]),
        made(tmp_path, "2-noise", [0.91, 0.88, 0.92]),
        made(tmp_path, "3-worse", [0.70, 0.71, 0.71]),
        made(tmp_path, "4-same", [0.90, 0.91, 0.92]),
        made(tmp_path, "5-others", [0.99, 0.99, 0.99], folds="xyz"),
        made(tmp_path, "6-part", [0.99, 0.99, 0.99], covered=2),
        made(tmp_path, "7-mixed", [0.95, 0.95, 0.96], folds="mixed"),
        made(tmp_path, "8-metric", [0.95, 0.95, 0.96], metric="accuracy"),
    ]
    told = against_best(runs)
    assert set(told) == {"1-best", "2-noise", "3-worse", "4-same"}
    assert told["1-best"] == "the best of 4 with the same folds" and told["4-same"] == "the same as 1-best"
    assert told["2-noise"].startswith("-0.00667 ± ") and told["2-noise"].endswith(": noise") and " to 1-best, p 0." in told["2-noise"]
    assert told["3-worse"].endswith(": worse")


def test_where_lower_is_better_the_lowest_is_the_best(tmp_path):
    runs = [made(tmp_path, name, scores, greater_is_better=False) for name, scores in (("1-low", [0.1, 0.2, 0.1]), ("2-high", [0.8, 0.9, 0.8]))]
    assert against_best(runs)["1-low"] == "the best of 2 with the same folds"


def test_leaderboard_is_a_number_or_public_and_private(tmp_path):
    assert leaderboard(made(tmp_path, "1-a", [0.5, 0.6, 0.7])) is None
    assert leaderboard(made(tmp_path, "2-a", [0.5, 0.6, 0.7], leaderboard=0.77)) == 0.77
    assert leaderboard(made(tmp_path, "3-a", [0.5, 0.6, 0.7], leaderboard={"public": 0.7, "private": None})) == 0.7
    assert leaderboard(made(tmp_path, "4-a", [0.5, 0.6, 0.7], leaderboard={"public": 0.7, "private": 0.6})) == 0.6
    with pytest.raises(RunError, match="expected a number, or public and private"):
        leaderboard(made(tmp_path, "5-a", [0.5, 0.6, 0.7], leaderboard="0.7"))


def test_rank_correlation_of_cv_and_leaderboard_needs_three_runs(tmp_path):
    runs = [made(tmp_path, f"{n}-a", [cv, cv], leaderboard=shown) for n, (cv, shown) in enumerate([(0.5, 0.4), (0.6, 0.5), (0.7, 0.8), (0.8, 0.7)])]
    assert with_leaderboard(runs[:2]) == ""
    assert with_leaderboard(runs) == "cv and leaderboard have a rank correlation of 0.80 over 4 runs; the leaderboard is -0.05 beside the cv"


def test_runs_says_what_is_noise_behind_the_columns_that_it_had(table):
    runs = table.folder / "runs"
    made(runs, "1-knn", [0.7, 0.71, 0.71], leaderboard=0.72)
    made(runs, "2-linear", [0.90, 0.91, 0.92], leaderboard=0.9, asked=["model.c=2"])
    made(runs, "3-mlp", [0.91, 0.88, 0.92], leaderboard=0.91)
    done = CliRunner().invoke(app, ["runs", "toy"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "2-linear  auc 0.91 ± 0.01  1.0 s  model.c=2  | leaderboard 0.9  | the best of 3 with the same folds"
    assert lines[1].startswith("3-mlp     auc 0.903333 ± 0.01  1.0 s  | leaderboard 0.91  | -0.00667 ± ") and lines[1].endswith(": noise")
    assert lines[2].endswith(": worse") and lines[3].startswith("cv and leaderboard have a rank correlation of 0.50 over 3 runs")

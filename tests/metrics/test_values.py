"""Metrics of values: squared, absolute and relative errors, correlations, and the mean over target columns."""

import math

import numpy as np
import pytest

from kit.errors import ConfigError, ScoreError
from kit.metrics import (
    columnwise_mean,
    mae,
    mape,
    median_absolute_error,
    pearson,
    r2,
    rmse,
    rmse_of_logs,
    rmsle,
    smape,
    spearman,
)

SAME = np.array([0.1, 0.1, 0.1])  # the mean of three times 0.1 is not 0.1
THREE = np.array([1.0, 2.0, 4.0])


def test_rmse_counts_a_large_miss_more_than_two_small_ones():
    assert rmse.score(np.zeros(2), np.array([0.0, 2.0])) > rmse.score(np.zeros(2), np.array([1.0, 1.0]))


def test_rmse_of_several_targets_is_one_root_over_all():
    truth, predicted = np.zeros((2, 2)), np.array([[1.0, 3.0], [1.0, 3.0]])
    assert rmse.score(truth, predicted) == math.sqrt((1 + 9) / 2)
    assert columnwise_mean.score(truth, predicted) == (1 + 3) / 2


def test_rmsle_takes_zeros():
    assert rmsle.score(np.array([0.0]), np.array([math.e - 1])) == pytest.approx(1)


def test_rmsle_refuses_predictions_of_minus_one_or_less():
    with pytest.raises(ScoreError) as caught:
        rmsle.score(np.zeros(3), np.array([-0.5, -1.0, -2.5]))
    assert str(caught.value) == (
        "rmsle is not defined: 2 of 3 predictions are -1 or less: -1.0, -2.5\n"
        "clip predictions at 0, or use rmse where the truth can be negative"
    )


def test_rmse_of_logs_is_the_same_for_a_price_doubled_or_halved():
    price = np.array([100.0])
    assert rmse_of_logs.score(price, 2 * price) == pytest.approx(rmse_of_logs.score(price, price / 2))


@pytest.mark.parametrize("price", [0.0, -3.0])
def test_rmse_of_logs_refuses_predictions_of_zero_or_less(price):
    with pytest.raises(ScoreError) as caught:
        rmse_of_logs.score(np.array([1.0, 2.0]), np.array([1.0, price]))
    assert str(caught.value) == (
        f"rmse_of_logs is not defined: 1 of 2 predictions are 0 or less: {price}\n"
        "clip predictions above 0, or use rmsle where the truth can be 0"
    )


def test_rmse_of_logs_refuses_a_truth_of_zero():
    with pytest.raises(ScoreError, match="1 of 2 true values are 0 or less: 0.0"):
        rmse_of_logs.score(np.array([0.0, 2.0]), np.array([1.0, 1.0]))


def test_mae_weighs_rows():
    assert mae.score(np.zeros(2), np.array([1.0, 5.0]), np.array([3.0, 1.0])) == (3 * 1 + 1 * 5) / 4


def test_median_absolute_error_ignores_one_wild_row():
    assert median_absolute_error.score(np.zeros(3), np.array([1.0, -2.0, 1e9])) == 2


def test_median_absolute_error_of_an_even_number_of_rows_is_between_the_middle_two():
    assert median_absolute_error.score(np.zeros(2), np.array([1.0, 2.0])) == 1.5


def test_mape_counts_zero_predicted_as_zero_as_right():
    assert mape.score(np.array([0.0, 2.0]), np.array([0.0, 1.0])) == (0 + 1 / 2) / 2


def test_mape_of_a_truth_of_zero_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        mape.score(np.array([0.0, 0.0, 2.0]), np.array([0.5, 0.0, 1.0]))
    assert str(caught.value) == (
        "mape is not defined: 1 of 3 true values are 0, but predicted as 0.5\nuse smape or mae where the truth can be 0"
    )


def test_smape_of_the_wrong_sign_is_200_per_cent():
    assert smape.score(np.array([2.0]), np.array([-2.0])) == 200


def test_smape_counts_zero_predicted_as_zero_as_right():
    assert smape.score(np.array([0.0]), np.array([0.0])) == 0


def test_r2_of_the_mean_is_zero():
    assert r2.score(THREE, np.full(3, 7 / 3)) == pytest.approx(0)


def test_r2_is_negative_where_the_mean_would_do_better():
    assert r2.score(np.array([0.0, 2.0]), np.array([2.0, 0.0])) == 1 - (4 + 4) / (1 + 1)


def test_r2_of_a_constant_truth_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        r2.score(SAME, THREE)
    assert str(caught.value) == "r2 is not defined: the truth is the same in all 3 rows\nuse fewer folds, or rmse"


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_correlation_with_a_constant_truth_is_not_defined(metric):
    with pytest.raises(ScoreError) as caught:
        metric.score(SAME, THREE)
    assert str(caught.value) == "correlation is not defined: the truth is the same in all 3 rows\nuse fewer folds, or rmse"


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_correlation_with_a_constant_prediction_is_chance(metric):
    assert metric.score(THREE, SAME) == 0


def test_pearson_ignores_scale_and_offset():
    assert pearson.score(THREE, 5 - 2 * THREE) == pytest.approx(-1)


def test_pearson_never_exceeds_one():
    values = np.array([0.1, 0.2, 0.7])
    assert pearson.score(values, 3 * values) <= 1


def test_spearman_looks_at_ranks_only():
    assert spearman.score(THREE, np.array([1.0, 10.0, 1e6])) == pytest.approx(1)


def test_spearman_gives_tied_rows_their_mean_rank():
    assert spearman.score(THREE, np.array([1.0, 1.0, 2.0])) == pytest.approx(1.5 / math.sqrt(2 * 1.5))  # ranks 1.5, 1.5, 3


@pytest.mark.parametrize("metric", [mae, mape, smape, median_absolute_error, r2, pearson, spearman])
def test_several_targets_are_averaged(metric):
    truth, predicted = np.column_stack([THREE, THREE[::-1]]), np.column_stack([[1.0, 2, 3], [2.0, 2, 9]])
    alone = [metric.score(truth[:, i], predicted[:, i]) for i in range(2)]
    assert metric.score(truth, predicted) == pytest.approx(sum(alone) / 2)


def test_columnwise_mean_takes_one_target_too():
    assert columnwise_mean.score(THREE, THREE + 1, of="mae") == 1


def test_columnwise_mean_has_the_direction_of_its_metric():
    assert columnwise_mean.greater_is_better_for(of="r2")
    assert not columnwise_mean.greater_is_better_for(of="rmse")


def test_columnwise_mean_has_the_space_of_its_metric():
    assert columnwise_mean.space_for(of="rmsle") == "log1p"
    assert columnwise_mean.space_for(of="rmse") is None


def test_columnwise_mean_names_the_target_that_cannot_be_scored():
    with pytest.raises(ScoreError) as caught:
        columnwise_mean.score(np.column_stack([THREE, SAME]), np.column_stack([THREE, THREE]), of="r2")
    assert (
        str(caught.value) == "target 1 (counted from 0): r2 is not defined: the truth is the same in all 3 rows\nuse fewer folds, or rmse"
    )


def test_columnwise_mean_refuses_a_metric_of_labels():
    with pytest.raises(ConfigError) as caught:
        columnwise_mean.score(THREE, THREE, of="accuracy")
    assert str(caught.value) == ('columnwise_mean: of = "accuracy" takes label, not values\nuse a metric of values such as rmse, mae or r2')


def test_columnwise_mean_of_an_unknown_metric_suggests_one():
    with pytest.raises(ConfigError, match='no metric "rmsee" \\(did you mean "rmse"\\?\\)'):
        columnwise_mean.score(THREE, THREE, of="rmsee")

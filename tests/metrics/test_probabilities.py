"""Metrics of probabilities: log loss, Brier, AUC, average precision, Gini."""

import math

import numpy as np
import pytest

from kit.errors import ScoreError
from kit.metrics import auc, average_precision, brier, gini, log_loss


def test_log_loss_of_a_sure_and_wrong_row_is_finite():
    assert log_loss.score(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-15))


def test_log_loss_of_float32_is_finite():
    assert log_loss.score(np.array([0]), np.array([1.0], np.float32)) == pytest.approx(-math.log(1e-15), rel=1e-3)


def test_log_loss_divides_a_multiclass_row_by_its_sum():
    assert log_loss.score(np.array([2]), np.array([[1.0, 1.0, 2.0]])) == pytest.approx(-math.log(2 / 4))


def test_log_loss_clips_after_dividing_by_the_sum():
    assert log_loss.score(np.array([0]), np.array([[0.0, 1e-20]])) == pytest.approx(-math.log(1e-15))


def test_log_loss_of_a_multilabel_task_is_the_mean_of_its_columns():
    truth, predicted = np.array([[1, 0], [0, 0]]), np.array([[0.5, 0.5], [0.5, 0.2]])
    assert log_loss.score(truth, predicted) == pytest.approx(-(3 * math.log(0.5) + math.log(0.8)) / 4)


def test_log_loss_of_a_row_that_sums_to_zero_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        log_loss.score(np.array([0, 1, 1]), np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    assert str(caught.value) == (
        "log_loss is not defined: 2 of 3 rows of probabilities do not sum to more than 0 (rows 1, 2)\n"
        "give some class of each row a probability above 0"
    )


def test_brier_of_two_classes_is_twice_the_binary_one():
    assert brier.score(np.array([1]), np.array([0.75])) == 0.25**2
    assert brier.score(np.array([1]), np.array([[0.25, 0.75]])) == 2 * 0.25**2


def test_brier_of_a_multilabel_task_is_the_mean_of_its_columns():
    assert brier.score(np.array([[1, 0]]), np.array([[0.5, 0.0]])) == (0.5**2 + 0) / 2


def test_auc_counts_a_tie_half():
    assert auc.score(np.array([0, 1]), np.array([0.5, 0.5])) == 1 / 2


def test_auc_of_several_classes_is_the_mean_over_classes():
    truth = np.array([0, 1, 2])
    predicted = np.array([[0.6, 0.2, 0.2], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])  # class 0: one of two pairs; 1: a win and a tie less half
    assert auc.score(truth, predicted) == pytest.approx((1 / 2 + 1.5 / 2 + 1) / 3)


def test_auc_does_not_ask_that_probabilities_sum_to_one():
    truth, predicted = np.array([0, 1, 2]), np.array([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    assert auc.score(truth, predicted) == 1


def test_auc_of_a_multilabel_task_is_the_mean_of_its_columns():
    truth, predicted = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.9], [0.1, 0.1]])
    assert auc.score(truth, predicted) == (1 + 0) / 2


def test_auc_of_one_class_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        auc.score(np.array([1, 1, 1]), np.array([0.1, 0.2, 0.3]))
    assert str(caught.value) == "auc is not defined: all 3 rows are of class 1\nuse stratified folds, or fewer of them"


def test_auc_names_every_class_that_is_missing():
    with pytest.raises(ScoreError) as caught:
        auc.score(np.array([0, 2]), np.full((2, 4), 0.25))
    assert str(caught.value) == (
        "auc is not defined for 2 of 4 classes, which hold none or all of 2 rows: class 1, 3 (counted from 0)\n"
        "use stratified folds, or fewer of them"
    )


def test_average_precision_lets_tied_rows_enter_together():
    assert average_precision.score(np.array([1, 0]), np.array([0.5, 0.5])) == 1 / 2


def test_average_precision_of_all_positive_rows_is_one():
    assert average_precision.score(np.array([1, 1]), np.array([0.1, 0.9])) == 1


def test_average_precision_of_a_multilabel_task_is_the_mean_of_its_columns():
    truth, predicted = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.9], [0.1, 0.1]])
    assert average_precision.score(truth, predicted) == (1 + 1 / 2) / 2


def test_average_precision_without_positive_rows_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        average_precision.score(np.array([0, 0]), np.array([0.1, 0.2]))
    assert str(caught.value) == "average_precision is not defined: none of 2 rows is positive\nuse stratified folds, or fewer of them"


def test_average_precision_names_every_class_that_is_missing():
    with pytest.raises(ScoreError) as caught:
        average_precision.score(np.array([0, 2]), np.full((2, 4), 0.25))
    assert str(caught.value) == (
        "average_precision is not defined for 2 of 4 classes, which hold none of 2 rows: class 1, 3 (counted from 0)\n"
        "use stratified folds, or fewer of them"
    )


def test_gini_of_a_binary_task_is_twice_auc_less_one():
    truth, predicted = np.array([0, 1, 0, 1, 1]), np.array([0.2, 0.2, 0.9, 0.5, 0.9])
    assert gini.score(truth, predicted) == pytest.approx(2 * auc.score(truth, predicted) - 1)


def test_gini_of_a_constant_prediction_is_zero():
    assert gini.score(np.array([1.0, 2.0, 5.0]), np.array([3.0, 3.0, 3.0])) == 0


def test_gini_of_tied_predictions_does_not_depend_on_row_order():
    truth, tied = np.array([1.0, 2.0, 5.0]), np.array([3.0, 3.0, 4.0])
    assert gini.score(truth, tied) == gini.score(truth[[1, 0, 2]], tied)


def test_gini_looks_at_the_order_of_predictions_only():
    truth, predicted = np.array([1.0, 2.0, 5.0]), np.array([0.1, 0.3, 0.2])
    assert gini.score(truth, predicted) == gini.score(truth, np.exp(10 * predicted))


def test_gini_of_a_constant_truth_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        gini.score(np.array([0.1, 0.1, 0.1]), np.array([1.0, 2.0, 3.0]))
    assert str(caught.value) == "gini is not defined: the truth is the same in all 3 rows\nuse stratified folds, or fewer of them"


def test_gini_refuses_several_classes():
    with pytest.raises(ScoreError) as caught:
        gini.score(np.array([0, 1, 2]), np.full((3, 3), 1 / 3))
    assert str(caught.value) == "gini takes one probability a row, not one for each of 3 classes\nuse auc"

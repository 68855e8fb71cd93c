"""Metrics of labels: balanced accuracy, Matthews' coefficient, the F family, kappa."""

import numpy as np
import pytest

from kit.errors import ScoreError
from kit.metrics import accuracy, balanced_accuracy, f1, f1_macro, f1_micro, f1_samples, f1_weighted, f_beta, mcc, quadratic_weighted_kappa

TWO_LABELS = np.array([[1, 0], [0, 1]])


def test_balanced_accuracy_weighs_a_rare_class_like_a_common_one():
    truth, predicted = np.array(["cat"] * 9 + ["dog"]), np.array(["cat"] * 10)
    assert accuracy.score(truth, predicted) == 9 / 10
    assert balanced_accuracy.score(truth, predicted) == (9 / 9 + 0 / 1) / 2


def test_balanced_accuracy_leaves_out_a_class_that_is_never_true():
    assert balanced_accuracy.score(np.array([0, 0, 1]), np.array([0, 7, 1])) == (1 / 2 + 1) / 2


def test_mcc_of_the_opposite_labels_is_minus_one():
    assert mcc.score(np.array([0, 1, 1, 0]), np.array([1, 0, 0, 1])) == pytest.approx(-1)


def test_mcc_of_a_constant_prediction_is_chance():
    assert mcc.score(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0


def test_mcc_of_three_classes_is_one_for_perfect_labels():
    truth = np.array(["a", "b", "c", "a"])
    assert mcc.score(truth, truth) == pytest.approx(1)


def test_mcc_of_one_true_class_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        mcc.score(np.array([1, 1]), np.array([0, 1]))
    assert str(caught.value) == "mcc is not defined: all 2 rows have the label 1\nuse stratified folds, or fewer of them"


@pytest.mark.parametrize("metric", [mcc, balanced_accuracy])
def test_a_metric_of_one_label_a_row_refuses_a_multilabel_matrix(metric):
    with pytest.raises(ScoreError) as caught:
        metric.score(TWO_LABELS, TWO_LABELS)
    assert str(caught.value) == (
        "this metric takes one label a row, but truth has 2 label columns\n"
        "use a multilabel metric: f1_micro, f1_macro, f1_weighted or f1_samples"
    )


def test_f1_does_not_count_true_negatives():
    few, many = np.array([1, 1, 0]), np.array([1, 1, 0] + [0] * 100)
    wrong = np.array([1, 0, 1])
    assert f1.score(few, wrong) == f1.score(many, np.append(wrong, np.zeros(100, int))) == 2 * 1 / (2 + 2)


def test_f1_of_no_hits_is_zero():
    assert f1.score(np.array([1, 0]), np.array([0, 0])) == 0


def test_f1_without_true_or_predicted_positives_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        f1.score(np.array([0, 0]), np.array([0, 0]))
    assert str(caught.value) == "the F score is not defined: none of 2 rows is positive\nuse stratified folds, or fewer of them"


def test_f1_refuses_a_multilabel_matrix_and_names_the_metrics_that_take_one():
    with pytest.raises(ScoreError) as caught:
        f1.score(TWO_LABELS, TWO_LABELS)
    assert str(caught.value) == (
        "the F score of one positive class is not defined for 2 label columns\n"
        'use f1_micro, f1_macro, f1_weighted or f1_samples, or f_beta with another average than "binary"'
    )


@pytest.mark.parametrize("dtype", [str, object])
def test_f1_refuses_labels_other_than_0_and_1(dtype):
    with pytest.raises(ScoreError) as caught:
        f1.score(np.array(["cat", "dog"], dtype), np.array(["cat", "cow"], dtype))
    assert str(caught.value) == (
        "the F score of one positive class takes the labels 0 and 1, not cat, dog, cow\n"
        'use f1_micro, f1_macro or f1_weighted, or f_beta with another average than "binary"'
    )


def test_f1_samples_refuses_one_label_a_row():
    with pytest.raises(ScoreError) as caught:
        f1_samples.score(np.array([0, 1]), np.array([0, 1]))
    assert str(caught.value) == "an F score by samples is not defined for one label a row\nuse f1_micro, f1_macro or f1_weighted"


def test_f1_samples_counts_a_row_without_labels_zero():
    truth = np.array([[0, 0], [1, 0]])
    assert f1_samples.score(truth, truth) == (0 + 1) / 2


def test_f1_micro_of_one_label_a_row_is_accuracy():
    truth, predicted = np.array(["a", "b", "c", "a"]), np.array(["a", "b", "a", "b"])
    assert f1_micro.score(truth, predicted) == accuracy.score(truth, predicted) == 2 / 4


def test_f1_macro_counts_a_class_that_is_only_predicted_zero():
    assert f1_macro.score(np.array([0, 0]), np.array([0, 1])) == (2 * 1 / (2 + 1) + 0) / 2


def test_f1_weighted_ignores_a_class_that_is_only_predicted():
    assert f1_weighted.score(np.array([0, 0]), np.array([0, 1])) == 2 * 1 / (2 + 1)


def test_f_beta_above_one_favours_recall():
    truth = np.array([1, 1, 1, 0])
    all_found, all_right = np.array([1, 1, 1, 1]), np.array([1, 1, 0, 0])
    assert f_beta.score(truth, all_found, beta=2) > f_beta.score(truth, all_right, beta=2)
    assert f_beta.score(truth, all_found, beta=0.5) < f_beta.score(truth, all_right, beta=0.5)


def test_f_beta_of_zero_is_precision():
    assert f_beta.score(np.array([1, 0, 1]), np.array([1, 1, 0]), beta=0) == 1 / 2


def test_texts_of_pandas_and_of_numpy_score_alike():
    truth, predicted = ["a", "b", "b"], ["a", "a", "b"]
    assert f1_macro.score(np.array(truth, object), np.array(predicted, object)) == f1_macro.score(np.array(truth), np.array(predicted))


def test_kappa_counts_a_far_miss_more_than_a_near_one():
    truth = np.array([1, 2, 3, 4])
    score = quadratic_weighted_kappa.score
    assert score(truth, np.array([1, 2, 3, 1])) < score(truth, np.array([1, 2, 3, 3])) < score(truth, truth) == 1


def test_kappa_of_one_rating_on_both_sides_is_one():
    assert quadratic_weighted_kappa.score(np.array([3, 3]), np.array([3, 3])) == 1


def test_kappa_of_a_constant_prediction_is_zero():
    assert quadratic_weighted_kappa.score(np.array([1, 2, 3]), np.array([2, 2, 2])) == 0


def test_kappa_refuses_labels_that_are_not_whole_numbers():
    with pytest.raises(ScoreError) as caught:
        quadratic_weighted_kappa.score(np.array(["good", "bad", "3", "bad"], object), np.array([1, 2, 3, 4]))
    assert str(caught.value) == (
        "quadratic_weighted_kappa takes whole numbers, but 3 of 4 labels of the truth are not: good, bad\n"
        "use ratings such as 0, 1, 2 as target, or another metric"
    )


def test_kappa_refuses_predictions_between_two_ratings():
    with pytest.raises(ScoreError, match="1 of 2 labels of the prediction are not: 1.5"):
        quadratic_weighted_kappa.score(np.array([1, 2]), np.array([1, 1.5]))


def test_kappa_refuses_a_multilabel_matrix():
    with pytest.raises(ScoreError) as caught:
        quadratic_weighted_kappa.score(TWO_LABELS, TWO_LABELS)
    assert str(caught.value) == "quadratic_weighted_kappa takes one rating a row, but the truth has 2 label columns"

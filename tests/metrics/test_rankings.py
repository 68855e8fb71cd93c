"""Metrics of rankings: MAP at k and top-k error with one true answer a row, neighbours of a query, answers ordered by confidence."""

import numpy as np
import pytest

from kit.errors import ConfigError, ScoreError
from kit.metrics import gap, map_at_k, recall_at_k, retrieval_map_at_k, top_k_error


def test_map_at_k_counts_only_the_first_hit():
    truth, ranked = ["a"], [["b", "a", "a"]]
    assert map_at_k.score(truth, ranked, k=3) == 1 / 2  # found at rank 2


def test_map_at_k_lets_a_repeated_wrong_answer_keep_its_rank():
    assert map_at_k.score(["a"], [["b", "b", "a"]], k=3) == 1 / 3


def test_map_at_k_ignores_answers_after_the_first_k():
    assert map_at_k.score(["a"], [["b", "c", "a"]], k=2) == 0


def test_map_at_k_counts_a_blank_row_zero():
    assert map_at_k.score(["a", "b"], [[], ["b"]], k=5) == (0 + 1) / 2


def test_map_at_k_takes_a_matrix_of_whole_numbers():
    assert map_at_k.score(np.array([7, 8]), np.array([[7, 8], [7, 8]]), k=2) == (1 + 1 / 2) / 2


def test_top_k_error_does_not_care_at_which_rank():
    truth = ["a", "a"]
    assert top_k_error.score(truth, [["a", "b", "c"], ["b", "c", "a"]], k=3) == 0


def test_top_k_error_of_one_is_one_less_accuracy():
    assert top_k_error.score(["a", "b", "c", "d"], [["a"], ["c", "b"], ["c"], ["d"]], k=1) == 1 - 3 / 4


def test_top_k_error_counts_a_blank_row_as_wrong():
    assert top_k_error.score(["a"], [[]]) == 1


def test_neighbours_are_scored_by_the_precision_at_each_relevant_rank():
    assert retrieval_map_at_k.score([{"a", "b"}], [["a", "x", "b"]]) == (1 + 2 / 3) / 2
    assert retrieval_map_at_k.score([{"a", "b", "c"}], [["x", "a"]]) == 1 / 2 / 3  # what is not found counts


def test_more_relevant_ids_than_k_are_not_asked_for():
    assert retrieval_map_at_k.score([{"a", "b", "c"}], [["a", "b", "c"]], k=2) == 1


def test_a_repeated_neighbour_keeps_its_rank_and_scores_once():
    assert retrieval_map_at_k.score([{"a", "b"}], [["a", "a", "b"]]) == (1 + 2 / 3) / 2
    assert recall_at_k.score([{"b"}], [["a", "a", "b"]], k=2) == 0


def test_queries_without_anything_relevant_are_left_out_and_blank_lists_are_not():
    truth, ranked = [{"a"}, set(), {"b"}], [["a"], ["a", "b"], []]
    assert retrieval_map_at_k.score(truth, ranked) == 1 / 2
    assert recall_at_k.score(truth, ranked) == 1 / 2


def test_recall_asks_for_one_relevant_id_only():
    assert recall_at_k.score([{"a", "b", "c"}], [["x", "c"]], k=2) == 1
    assert recall_at_k.score([{"a", "b", "c"}], [["x", "c"]], k=1) == 0


@pytest.mark.parametrize("metric", [retrieval_map_at_k, recall_at_k])
def test_queries_that_all_do_not_count_leave_nothing_to_score(metric):
    with pytest.raises(ScoreError, match="is not defined: nothing is relevant to any query"):
        metric.score([set()], [["a"]])


def test_gap_goes_from_the_surest_answer_down():
    assert gap.score(["a", "b"], [("x", 0.9), ("b", 0.1)]) == 1 / 2 / 2
    assert gap.score(["a", "b"], [("x", 0.1), ("b", 0.9)]) == 1 / 2


def test_gap_counts_an_answer_where_there_is_no_class_as_wrong_and_no_answer_not_at_all():
    assert gap.score(["", "b"], [("b", 0.9), ("b", 0.1)]) == 1 / 2
    assert gap.score(["", "b"], [None, ("b", 0.1)]) == 1
    assert gap.score(["a", "b"], [None, ("b", 0.1)]) == 1 / 2
    assert gap.score(["a"], [None]) == 0


def test_gap_takes_any_of_several_true_classes():
    assert gap.score(["8815 12"], [("12", 0.5)]) == 1
    assert gap.score(["8815 12"], [("1", 0.5)]) == 0


def test_gap_takes_equal_confidences_in_the_order_of_the_rows():
    assert gap.score(["a", "b"], [("a", 0.5), ("x", 0.5)]) == 1 / 2
    assert gap.score(["b", "a"], [("x", 0.5), ("a", 0.5)]) == 1 / 2 / 2


def test_gap_without_any_true_class_is_not_defined():
    with pytest.raises(ScoreError) as caught:
        gap.score(["", ""], [("a", 0.5), None])
    assert str(caught.value) == "gap is not defined: no row has a true class"


@pytest.mark.parametrize("metric", [map_at_k, top_k_error, retrieval_map_at_k, recall_at_k])
def test_k_below_one_is_a_mistake_in_the_config(metric):
    with pytest.raises(ConfigError) as caught:
        metric.score(["a"], [["a"]], k=0)
    assert str(caught.value) == f"{metric.__name__.split('.')[-1]}: k = 0, but the first answer is 1"

"""Metrics of rankings: MAP at k and top-k error, with one true answer a row."""

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.metrics import map_at_k, top_k_error


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


@pytest.mark.parametrize("metric", [map_at_k, top_k_error])
def test_k_below_one_is_a_mistake_in_the_config(metric):
    with pytest.raises(ConfigError) as caught:
        metric.score(["a"], [["a"]], k=0)
    assert str(caught.value) == f"{metric.__name__.split('.')[-1]}: k = 0, but the first answer is 1"

"""Rows of tokens: cut, padded and taken so that no token is lost and none is made up."""

import numpy as np
import pytest

from kit.tokens import Tokens


def tokens(bodies, *, first=(101,), last=(102,), longest=8, padding=0, segments=None):
    ids = np.concatenate([np.asarray(b, np.int32) for b in bodies]) if bodies else np.empty(0, np.int32)
    starts = np.append(0, np.cumsum([len(b) for b in bodies])).astype(np.int64)
    told = np.zeros(len(ids), np.int8) if segments is None else np.asarray(segments, np.int8)
    return Tokens(ids, starts, told, list(first), list(last), padding, 200, longest, "made")


def test_a_batch_is_as_wide_as_its_longest_row_and_masks_the_rest():
    batch = tokens([[1, 2, 3], [], [4]]).padded(np.array([0, 2, 1]))
    assert batch["tokens"].tolist() == [[101, 1, 2, 3, 102], [101, 4, 102, 0, 0], [101, 102, 0, 0, 0]]
    assert batch["mask"].sum(axis=1).tolist() == [5, 3, 2]
    assert batch["tokens"].dtype == np.int64 == batch["segments"].dtype and batch["mask"].dtype == bool


def test_padding_is_the_tokenizers_own():
    assert tokens([[7], [8, 9]], padding=1).padded(np.arange(2))["tokens"].tolist() == [[101, 7, 102, 1], [101, 8, 9, 102]]


def test_rows_without_any_token_are_one_masked_padding_token():
    batch = tokens([[], []], first=(), last=()).padded(np.arange(2))
    assert batch["tokens"].tolist() == [[0], [0]] and not batch["mask"].any()


def test_special_tokens_are_of_the_column_that_they_stand_beside():
    batch = tokens([[1, 2, 3]], segments=[0, 0, 1]).padded(np.array([0]))
    assert batch["segments"].tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize("body, windows", [(0, 1), (6, 1), (7, 2), (9, 2), (10, 3), (12, 3), (13, 4)])
def test_windows_overlap_by_half_and_lose_no_token(body, windows):
    given = tokens([list(range(1, body + 1))])  # 6 tokens fit beside the two special ones, and a window begins every 3
    assert given.window_counts.tolist() == [windows]
    batch = given.padded(np.zeros(windows, np.int64), np.arange(windows))
    seen = batch["tokens"][:, 1:-1]
    assert set(seen[batch["mask"][:, 1:-1] & (seen < 101)].tolist()) >= set(range(1, body + 1))
    assert batch["tokens"].shape[1] <= 8 and (batch["tokens"][:, 0] == 101).all()
    if body > 6:
        assert batch["mask"].all() and batch["tokens"][-1, -2] == body and np.diff(seen[:, 0]).tolist() == [3] * (windows - 2) + [body - 6 - 3 * (windows - 2)]


def test_each_row_shows_the_window_that_is_asked_for():
    given = tokens([list(range(1, 13)), [50, 51]])
    batch = given.padded(np.array([0, 1, 0]), np.array([1, 0, 2]))
    assert batch["tokens"].tolist() == [[101, 4, 5, 6, 7, 8, 9, 102], [101, 50, 51, 102, 0, 0, 0, 0], [101, 7, 8, 9, 10, 11, 12, 102]]


def test_taken_rows_are_those_rows_and_the_key_names_them():
    given = tokens([[1, 2], [], [3], [4, 5, 6]], segments=[0, 1, 0, 0, 1, 1])
    some = given.take(np.array([3, 0, 3]))
    assert len(some) == 3 and some.lengths.tolist() == [5, 4, 5] and some.there.all()
    assert some.ids.tolist() == [4, 5, 6, 1, 2, 4, 5, 6] and some.segments.tolist() == [0, 1, 1, 0, 1, 0, 1, 1]
    assert given.take(np.array([False, True, True, False])).there.tolist() == [False, True]
    assert some.key == given.take(np.array([3, 0, 3])).key != given.take(np.array([0, 3, 3])).key
    assert len(given.take(np.zeros(4, bool))) == 0


def test_padded_rows_are_those_of_a_slow_loop():
    random = np.random.default_rng(0)
    bodies = [random.integers(1, 99, random.integers(0, 30)).tolist() for _ in range(40)]
    given = tokens(bodies, longest=12)
    rows = random.permutation(40)[:25]
    windows = np.array([random.integers(given.window_counts[r]) for r in rows])
    batch = given.padded(rows, windows)
    for n, (row, window) in enumerate(zip(rows, windows)):
        begin = max(min(window * 5, len(bodies[row]) - 10), 0)
        expected = [101, *bodies[row][begin : begin + 10], 102]
        assert batch["tokens"][n][batch["mask"][n]].tolist() == expected


def test_a_window_without_room_is_refused():
    with pytest.raises(AssertionError, match="no room"):
        tokens([[1]], longest=2)

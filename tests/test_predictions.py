import numpy as np
import pandas as pd
import pytest

from kit.errors import DataError, RunError
from kit.predictions import Predictions, joined


def test_rows_are_sorted_by_id_as_text():
    made = Predictions.of(["b", "10", "9"], {"p": np.array([0.1, 0.2, 0.3])})
    assert made.ids.tolist() == ["10", "9", "b"] and made.rows["p"].tolist() == [0.2, 0.3, 0.1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_ids(value):
    with pytest.raises(DataError) as error:
        Predictions.of(["a", "b", "c"], {"p": np.array([0.5, value, value])})
    assert str(error.value) == "2 predictions of p are not finite numbers, for ids b, c"


def test_written_and_read_again_they_are_equal(tmp_path):
    made = Predictions.of(["b", "007", "1e5"], {"p": np.array([0.1, 1 / 3, 1e-300]), "labels": pd.Series([["x", "y"], ["z"], ["x"]])})
    made.write(tmp_path / "a.parquet")
    again = Predictions.read(tmp_path / "a.parquet")
    assert again.ids.tolist() == made.ids.tolist()
    assert again.rows["p"].tolist() == made.rows["p"].tolist()
    assert [list(cell) for cell in again.rows["labels"]] == [["z"], ["x"], ["x", "y"]]


def test_id_with_many_answers_and_id_with_none_survive_being_written(tmp_path):
    rows = pd.DataFrame({"id": ["a", "a", "c"], "label": [3, 2**60 + 1, 1], "score": [0.9, 0.8, 0.7]})
    Predictions(np.array(["a", "b", "c", "d"]), rows).write(tmp_path / "a.parquet")
    again = Predictions.read(tmp_path / "a.parquet")
    assert again.ids.tolist() == ["a", "b", "c", "d"]
    pd.testing.assert_frame_equal(again.rows, rows, check_dtype=False)
    assert again.rows["label"].dtype == np.int64  # 2**60 + 1 is no float


def test_nothing_found_anywhere_survives_being_written(tmp_path):
    Predictions(np.array(["a", "b"]), pd.DataFrame({"id": pd.Series([], dtype="str"), "score": []})).write(tmp_path / "a.parquet")
    again = Predictions.read(tmp_path / "a.parquet")
    assert again.ids.tolist() == ["a", "b"] and len(again.rows) == 0


def test_a_hundred_thousand_rows_are_written_in_a_moment(tmp_path):
    made = Predictions.of([f"{n:06d}" for n in range(100_000)], {"p": np.zeros(100_000)})
    made.write(tmp_path / "a.parquet")  # took half a minute when ids were compared one with all
    assert len(Predictions.read(tmp_path / "a.parquet").ids) == 100_000


def test_aligned_gives_rows_in_the_order_asked_for():
    made = Predictions.of(["a", "b", "c"], {"p": np.array([1.0, 2.0, 3.0])})
    assert made.aligned(["c", "a"])["p"].tolist() == [3.0, 1.0]


def test_ids_that_are_not_covered_are_listed():
    made = Predictions.of(["a"], {"p": np.array([1.0])})
    with pytest.raises(DataError) as error:
        made.aligned(["z", "a", "y"])
    assert str(error.value) == "2 ids have no prediction: y, z"


def test_take_keeps_what_is_covered():
    made = Predictions(np.array(["a", "b", "c"]), pd.DataFrame({"id": ["a", "a", "c"], "score": [1, 2, 3]}))
    taken = made.take(["b", "a", "z"])
    assert taken.ids.tolist() == ["a", "b"] and taken.rows["score"].tolist() == [1, 2]


def test_joined_parts_are_sorted_and_share_no_id():
    one, other = (Predictions.of(ids, {"p": np.array([1.0, 2.0])}) for ids in (["d", "a"], ["c", "b"]))
    assert joined([one, other]).ids.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(AssertionError, match="an id is covered twice"):
        joined([one, one])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"oof.parquet is missing: is its run finished\?"):
        Predictions.read(tmp_path / "oof.parquet")

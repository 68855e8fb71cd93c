import numpy as np
import pandas as pd
import pytest

from kit import submission
from kit.errors import SubmissionError
from kit.tables import JOINT

IDS = pd.Index(["1", "2", "3"], dtype="str")


def frame(ids, values):
    return pd.DataFrame({"id": ids, "y": values})


def test_rows_in_any_order_are_well():
    submission.check(frame(["3", "1", "2"], [0.1, 0.2, 0.3]), ["id"], ["y"], IDS)


def test_everything_wrong_with_rows_is_said_at_once():
    with pytest.raises(SubmissionError) as error:
        submission.check(frame(["1", "1", "4", "5"], [0.1, np.nan, np.inf, 0.2]), ["id"], ["y"], IDS)
    assert str(error.value).split("\n") == [
        "the submission has 2 ids that should not be there: 4, 5",
        "the submission has 2 ids missing: 2, 3",
        "the submission has 1 ids more than once: 1",
        "column y is not a finite number in 2 rows: ids 1, 4",
    ]


def test_missing_words_are_counted():
    with pytest.raises(SubmissionError) as error:
        submission.check(frame(["1", "2", "3"], ["a", None, "b"]), ["id"], ["y"], IDS)
    assert str(error.value) == "column y is missing in 1 rows: ids 2"


def test_columns_must_be_those_of_the_sample_in_its_order():
    with pytest.raises(SubmissionError) as error:
        submission.check(frame(["1"], [1])[["y", "id"]], ["id"], ["y"], IDS)
    assert str(error.value) == "the submission has columns y, id, and should have id, y"


def test_ids_of_several_columns_are_compared_together():
    rows = pd.DataFrame({"event": ["1", "1"], "hit": ["1", "2"], "y": [0, 1]})
    submission.check(rows, ["event", "hit"], ["y"], pd.Index([f"1{JOINT}1", f"1{JOINT}2"]))
    with pytest.raises(SubmissionError, match="1 ids missing: 1/2"):
        submission.check(rows[:1], ["event", "hit"], ["y"], pd.Index([f"1{JOINT}1", f"1{JOINT}2"]))


def test_numbers_are_written_with_the_digits_that_give_them_back(tmp_path):
    values = [1 / 3, 1e-300, 0.1 + 0.2, 123456789.125]
    submission.write(pd.DataFrame({"id": ["0012", "a,b", 'c"d', "e"], "y": values}), tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_text().split("\n")
    assert lines == ["id,y", "0012,0.3333333333333333", '"a,b",1e-300', '"c""d",0.30000000000000004', "e,123456789.125", ""]
    assert [float(line.split(",")[-1]) for line in lines[1:-1]] == values

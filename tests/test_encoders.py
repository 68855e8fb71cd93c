import numpy as np
import pandas as pd
import pytest

from kit.encoders import Encoders, Features
from kit.errors import ConfigError
from kit.files import read_json
from kit.tables import Column

SCHEMA = {"size": Column("numeric"), "colour": Column("category"), "listed": Column("date"), "words": Column("text")}
OPTIONS = {"category": {"means": ["colour"], "counts": ["colour"]}, "text": {"size": 32}}


def rows(n=12, seed=0):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=n),
            "colour": pd.Series(random.choice(["red", "green", "blue"], n), dtype="str"),
            "listed": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 500, n), unit="D"),
            "words": pd.Series([" ".join(random.choice(["old", "new", "bike"], 3)) for _ in range(n)], dtype="str"),
        }
    )
    return frame, (random.random(n) > 0.5).astype(float)[:, None]


def encoded(schema, frame, goal=None, other=None, options=None, group=None):
    """Features of the frame it is fitted on, or of `other`."""
    encoders = Encoders(schema, options or {})
    found = encoders.fit_transform(frame, np.zeros((len(frame), 1)) if goal is None else goal, group)
    return found if other is None else encoders.transform(other)


def same(one: Features, other: Features):
    np.testing.assert_array_equal(one.dense, other.dense)
    np.testing.assert_array_equal(one.codes, other.codes)
    assert (one.dense_names, one.code_names, one.sizes) == (other.dense_names, other.code_names, other.sizes)
    assert (one.sparse is None) == (other.sparse is None) and (one.sparse is None or (one.sparse != other.sparse).nnz == 0)


# all


def test_nothing_is_learned_from_rows_that_are_only_transformed(tmp_path):
    frame, goal = rows()
    encoders = Encoders(SCHEMA, OPTIONS)
    first = encoders.fit_transform(frame, goal)
    encoders.save(tmp_path / "before.json")
    absurd = pd.DataFrame(
        {
            "size": [1e300, -np.inf],
            "colour": ["purple", None],
            "listed": pd.to_datetime(["1700-01-01", None]),
            "words": ["xyzzy " * 500, None],
        }
    )
    encoders.transform(absurd.astype({"colour": "str", "words": "str"}))
    encoders.save(tmp_path / "after.json")
    assert (tmp_path / "before.json").read_bytes() == (tmp_path / "after.json").read_bytes()
    same(encoders.fit_transform(frame, goal), first)


def test_row_is_encoded_alike_in_any_company():
    frame, goal = rows()
    encoders = Encoders(SCHEMA, OPTIONS)
    encoders.fit_transform(frame, goal)
    together, alone = encoders.transform(frame), encoders.transform(frame[3:4])
    np.testing.assert_array_equal(together.dense[3:4], alone.dense)
    np.testing.assert_array_equal(together.codes[3:4], alone.codes)


def test_saved_and_loaded_they_encode_alike(tmp_path):
    frame, goal = rows()
    encoders = Encoders(SCHEMA, OPTIONS)
    encoders.fit_transform(frame, goal)
    encoders.save(tmp_path / "encoders.json")
    other, _ = rows(seed=1)
    same(Encoders.load(tmp_path / "encoders.json").transform(other), encoders.transform(other))
    assert read_json(tmp_path / "encoders.json")["schema"]["listed"] == ["date", ""]


def test_table_of_codes_alone_has_no_dense_column():
    found = encoded({"c": Column("category")}, pd.DataFrame({"c": ["a", "b"]}, dtype="str"))
    assert found.dense.shape == (2, 0) and found.codes.tolist() == [[1], [2]] and len(found) == 2


# numbers


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2**24], "float32"),
        ([1, 2**24 + 1], "float64"),
        ([1.0, 2**24 + 1, np.nan], "float64"),  # whole numbers beside a missing one are read as floats
        ([0.5, 2.0**24 + 1], "float32"),
        ([0.5, 1e300], "float64"),
        ([np.inf, 1.5], "float32"),
        ([np.nan, np.nan], "float32"),
    ],
)
def test_numbers_are_as_wide_as_they_must_be(values, dtype):
    found = encoded({"x": Column("numeric")}, pd.DataFrame({"x": values}))
    assert found.dense.dtype == dtype
    finite = np.isfinite(np.asarray(values, dtype=float))
    if dtype == "float64":
        np.testing.assert_array_equal(found.dense[finite, 0], np.asarray(values, dtype=float)[finite])


def test_infinite_is_missing_and_too_large_is_the_largest():
    frame = pd.DataFrame({"x": [0.5, 1.5]})
    found = encoded({"x": Column("numeric")}, frame, other=pd.DataFrame({"x": [np.inf, -np.inf, 1e300, -1e300, np.nan]}))
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(found.dense[:, 0], np.array([np.nan, np.nan, largest, -largest, np.nan], np.float32))


# categories


def test_category_never_seen_and_missing_one_have_code_zero():
    frame = pd.DataFrame({"c": ["b", "a", None, "b"]}, dtype="str")
    found = encoded({"c": Column("category")}, frame, other=pd.DataFrame({"c": ["a", "b", "z", None]}, dtype="str"))
    assert found.codes[:, 0].tolist() == [1, 2, 0, 0] and found.sizes == [3]


def test_rare_categories_share_the_code_of_those_never_seen():
    frame = pd.DataFrame({"c": ["b", "a", "b"]}, dtype="str")
    found = encoded({"c": Column("category")}, frame, options={"category": {"min_count": 2}})
    assert found.codes[:, 0].tolist() == [1, 0, 1] and found.sizes == [2]


def test_codes_do_not_depend_on_the_order_of_rows():
    frame, goal = rows()
    turned = encoded(SCHEMA, frame[::-1], goal[::-1])
    np.testing.assert_array_equal(encoded(SCHEMA, frame, goal).codes, turned.codes[::-1])


def means(frame, goal, **options):
    return encoded({"c": Column("category")}, frame, goal, options={"category": {"means": ["c"], **options}})


def test_mean_of_a_training_row_leaves_its_own_answer_out():
    frame, goal = pd.DataFrame({"c": ["a"] * 6 + ["b"] * 6}, dtype="str"), np.arange(12.0)[:, None]
    before = means(frame, goal, inner_folds=12).dense[:, 0]
    for row in range(12):
        other = goal.copy()
        other[row] = 1e6
        after = means(frame, other, inner_folds=12).dense[:, 0]
        assert after[row] == before[row]
        assert (np.delete(after, row) != np.delete(before, row)).all()


def test_mean_of_another_row_is_that_of_all_training_rows_drawn_to_the_overall_mean():
    frame, goal = pd.DataFrame({"c": ["a", "a", "b"]}, dtype="str"), np.array([[1.0], [0.0], [1.0]])
    found = encoded(
        {"c": Column("category")},
        frame,
        goal,
        pd.DataFrame({"c": ["a", "b", "z", None]}, dtype="str"),
        {"category": {"means": ["c"], "smoothing": 2.0}},
    )
    overall = 2 / 3
    assert found.dense[:, 0] == pytest.approx([(1 + 2 * overall) / 4, (1 + 2 * overall) / 3, overall, overall])


def test_rows_of_one_group_are_not_in_each_others_means():
    frame = pd.DataFrame({"c": ["a"] * 6}, dtype="str")
    group = np.array([0, 0, 1, 1, 2, 2])
    options = {"category": {"means": ["c"], "inner_folds": 3}}
    before = encoded({"c": Column("category")}, frame, np.zeros((6, 1)), options=options, group=group).dense[:, 0]
    after = encoded({"c": Column("category")}, frame, np.array([[9.0], [0], [0], [0], [0], [0]]), options=options, group=group).dense[:, 0]
    assert (after != before).tolist() == [False, False, True, True, True, True]


def test_several_goals_give_a_mean_each_and_means_only_leaves_codes_out():
    found = means(pd.DataFrame({"c": ["a", "b"] * 5}, dtype="str"), np.eye(10)[:, :3], means_only=True)
    assert found.dense_names == ["mean of c (0)", "mean of c (1)", "mean of c (2)"] and found.code_names == []


def test_counts_are_those_of_training_rows():
    frame = pd.DataFrame({"c": ["b", "a", "b"]}, dtype="str")
    found = encoded(
        {"c": Column("category")}, frame, other=pd.DataFrame({"c": ["b", "z"]}, dtype="str"), options={"category": {"counts": ["c"]}}
    )
    assert found.dense[:, 0].tolist() == [2, 0] and found.dense_names == ["count of c"]


def test_unknown_column_and_a_single_inner_fold_are_named():
    frame = pd.DataFrame({"colour": ["a", "b"]}, dtype="str")
    for options, text in (
        ({"means": ["color"]}, '"color", which is no category column (did you mean "colour"?)'),
        ({"inner_folds": 1}, "inner_folds is 1: expected at least 2"),
    ):
        with pytest.raises(ConfigError) as error:
            encoded({"colour": Column("category")}, frame, options={"category": options})
        assert text in str(error.value)


# dates


def test_date_becomes_its_parts_and_the_days_since_the_first():
    frame = pd.DataFrame({"d": pd.to_datetime(["2020-02-29 13:45", "2020-03-01 00:00", "2021-01-01 06:30"])})
    found = encoded({"d": Column("date")}, frame)
    by_name = dict(zip(found.dense_names, found.dense.T.tolist()))
    assert by_name["year of d"] == [2020, 2020, 2021] and by_name["month of d"] == [2, 3, 1] and by_name["day of d"] == [29, 1, 1]
    assert by_name["weekday of d"] == [5, 6, 4] and by_name["day_of_year of d"] == [60, 61, 1]
    assert by_name["hour of d"] == [13, 0, 6] and by_name["minute of d"] == [45, 0, 30]
    assert by_name["elapsed of d"] == pytest.approx([0, 10.25 / 24, 306 + 16.75 / 24])


def test_parts_that_never_vary_in_training_are_left_out():
    frame = pd.DataFrame({"d": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    assert encoded({"d": Column("date")}, frame).dense_names == ["day of d", "weekday of d", "day_of_year of d", "elapsed of d"]


def test_days_between_two_dates_are_a_feature_and_missing_where_one_is():
    frame = pd.DataFrame(
        {"a": pd.to_datetime(["2020-01-01", "2020-01-05", None]), "b": pd.to_datetime(["2020-01-03", "2020-01-05", "2020-01-05"])}
    )
    found = encoded({"a": Column("date"), "b": Column("date")}, frame, options={"date": {"parts": ["day"]}})
    assert found.dense_names == ["day of a", "day of b", "days from b to a"]
    np.testing.assert_array_equal(found.dense, np.array([[1, 3, -2], [5, 5, 0], [np.nan, 5, np.nan]], np.float32))


# text


def test_words_and_pairs_of_words_are_counted():
    frame = pd.DataFrame({"t": ["red bike", "red bike red", None]}, dtype="str")
    found = encoded({"t": Column("text")}, frame, options={"text": {"size": 1 << 16, "min_count": 2}})
    assert found.dense[:, 0].tolist() == [8, 12, 0] and found.dense_names == ["length of t"]
    assert sorted(found.sparse.toarray()[1].tolist()) == [1, 1, 2]  # "bike", "red bike", and "red" twice; "bike red" is in one row only
    assert found.sparse.toarray()[2].tolist() == [0, 0, 0]

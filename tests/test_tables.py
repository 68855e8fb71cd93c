import gzip
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from kit.errors import DataError
from kit.reading import locate, read
from kit.tables import JOINT, Column, infer_kind, typed, with_ids


@pytest.fixture
def csv(tmp_path):
    def write(content, **options):
        (tmp_path / "a.csv").write_text(content, encoding="utf-8")
        return read(tmp_path / "a.csv", **options)

    return write


def says(error, *lines):
    assert str(error.value).split("\n") == list(lines)


# reading


def test_numbers_dates_and_words_are_told_apart_by_their_values(csv):
    frame = csv("n,x,d,w\n1,1.5,2020-01-31,a\n2,,2020-02-01 10:00:00,\n")
    assert frame.dtypes.astype(str).to_dict() == {"n": "int64", "x": "float64", "d": "datetime64[s]", "w": "str"}
    assert frame["w"].tolist() == ["a", ""]


def test_na_is_missing_among_numbers_and_a_word_among_words(csv):
    frame = csv("n,w\n1,NA\nNA,EU\n")
    assert frame["n"].isna().tolist() == [False, True]
    assert frame["w"].tolist() == ["NA", "EU"]


def test_columns_asked_for_as_text_keep_their_spelling(csv):
    frame = csv("id,n\n007,007\n1e5,8\n,9\n", text=["id", "not there"])
    assert frame["id"].tolist() == ["007", "1e5", ""]
    assert frame["n"].tolist() == [7, 8, 9]
    assert csv("id,n\n007,007\n", text=None)["n"].tolist() == ["007"]


def test_true_and_false_are_one_and_zero(csv):
    frame = csv("a,b\nTrue,false\nFALSE,\n")
    assert frame["a"].tolist() == [1, 0]
    assert frame["b"].iloc[0] == 0 and np.isnan(frame["b"].iloc[1])


def test_times_of_day_are_words(csv):
    assert csv("t\n12:30:00\n08:15:00\n")["t"].tolist() == ["12:30:00", "08:15:00"]


def test_dates_with_a_zone_are_utc_without_one(csv):
    assert csv("d\n2020-01-01T02:00:00+02:00\n")["d"].tolist() == [pd.Timestamp("2020-01-01 00:00")]


def test_separator_named_by_the_config_wins(csv):
    assert list(csv("a,b;c\n1,2;3\n", separator=";")) == ["a,b", "c"]


def test_separator_is_the_most_frequent_mark_outside_quotes(csv):
    assert list(csv('"a,b,c";d\n1;2\n')) == ["a,b,c", "d"]


def test_header_alone_is_a_table_without_rows(csv):
    assert csv("a,b").shape == (0, 2)


def test_header_with_an_open_quote_is_named(csv):
    with pytest.raises(DataError, match=r"a\.csv (cannot be read as CSV|has a header that cannot be read)"):
        csv('"a,b\n1,2\n' + "3,4\n" * 50_000)


def test_quote_in_the_middle_of_a_field_is_a_mark_of_its_own(csv):
    assert csv('a,b\n1,5" pipe\n2,pipe\n')["b"].tolist() == ['5" pipe', "pipe"]


def test_blank_lines_are_no_rows(csv):
    assert csv("\n\na,b\n1,2\n\n3,4\n\n").shape == (2, 2)


def test_whole_numbers_beyond_64_bits_are_floats(csv):
    assert csv("a\n123456789012345678901\n2\n")["a"].tolist() == [123456789012345678901.0, 2.0]


def test_file_is_found_as_kaggle_packs_it(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    with zipfile.ZipFile(tmp_path / "b.csv.zip", "w") as archive:
        archive.writestr("b.csv", "x\n2\n")
        archive.writestr("__MACOSX/b.csv", "rubbish")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("c.csv", "x\n3\n")
    assert [read(tmp_path / f"{name}.csv")["x"].tolist() for name in "abc"] == [[1], [2], [3]]
    assert locate(tmp_path / "c.csv") == tmp_path / "c.zip"


def test_archive_of_several_tables_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "x\n3\n")
        archive.writestr("b.csv", "x\n3\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.csv")
    says(error, f"{tmp_path}/a.zip should hold one CSV file, and holds 2: a.csv, b.csv", "unzip it beside itself")


def test_parquet_gives_the_same_frame_as_csv(tmp_path, csv):
    text = "id,n,w,d\n1,1.5,a,2020-01-01\n2,,b,2020-01-02\n"
    table = pa.table(
        {
            "id": pa.array([1, 2]),
            "n": [1.5, None],
            "w": pa.array(["a", "b"]).dictionary_encode(),
            "d": pa.array(["2020-01-01", "2020-01-02"]).cast(pa.date32()),
        }
    )
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "a.parquet", text=["id"]), csv(text, text=["id"]), check_dtype=False)
    assert read(tmp_path / "a.parquet", text=["id"])["id"].tolist() == ["1", "2"]


def test_decimals_and_booleans_of_parquet_are_numbers(tmp_path):
    pa.parquet.write_table(pa.table({"d": pa.array([1, 2]).cast(pa.decimal128(22, 2)), "b": [True, None]}), tmp_path / "a.parquet")
    frame = read(tmp_path / "a.parquet")
    assert frame["d"].tolist() == [1.0, 2.0] and frame["b"].dtype == np.float64


def test_half_a_parquet_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=rf"^{tmp_path}/a.parquet cannot be read as parquet: "):
        read(tmp_path / "a.parquet")


# ids


def test_rows_are_sorted_by_id_as_text():
    frame = with_ids(pd.DataFrame({"id": ["10", "9", "010"], "x": [1, 2, 3]}), ["id"], "a.csv")
    assert frame.index.tolist() == ["010", "10", "9"] and frame["x"].tolist() == [3, 1, 2]


def test_id_of_several_columns_is_shown_with_a_slash():
    frame = pd.DataFrame({"event": ["1", "1", "2"], "hit": ["7", "8", "7"], "x": 0})
    assert with_ids(frame, ["event", "hit"], "a.csv").index.tolist() == [f"1{JOINT}7", f"1{JOINT}8", f"2{JOINT}7"]
    with pytest.raises(DataError, match=r"^a.csv has 1 ids on more than one row: 1/7\n"):
        with_ids(pd.concat([frame, frame[:1]]), ["event", "hit"], "a.csv")


def test_part_of_an_id_may_not_be_blank():
    frame = pd.DataFrame({"event": ["1", "", None], "hit": ["7", "8", "7"], "x": 0})
    with pytest.raises(DataError) as error:
        with_ids(frame, ["event", "hit"], "a.csv")
    says(error, "a.csv has 2 rows without an id, the first at data row 2", "column event, hit names each row")


def test_rows_without_ids_are_named_by_what_they_hold():
    frame = pd.DataFrame({"x": [1, 2, 2], "w": ["a", "b", "b"]})
    ids = with_ids(frame.copy(), [], "a.csv").index
    assert with_ids(frame[::-1].copy(), [], "a.csv").index.tolist() == ids.tolist()
    assert len(set(ids)) == 3  # equal rows are counted


# kinds


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([1, 2], Column("numeric")),
        ([1.5, None], Column("numeric")),
        (["red", "green", ""], Column("category")),
        (["", ""], Column("category")),
        (["a.jpg", "b.JPG"], Column("image")),
        (["a.wav", "b.wav"], Column("audio")),
        (["31.12.2020", "01.02.2021"], Column("date", "%d.%m.%Y")),
        (["12/31/2020", "01/02/2021"], Column("date", "%m/%d/%Y")),
        (["Jan 5, 2020", "Feb 6, 2021"], Column("date", "%b %d, %Y")),
        (["31.12.2020", "soon"], Column("category")),
        (["a red bike for sale here", "an old chair, one leg short"], Column("text")),
        (["one two three four"] * 10, Column("category")),  # long, and always the same
    ],
)
def test_kind_is_inferred_from_the_values(values, column):
    series = pd.Series(values, dtype="str") if isinstance(values[0], str) else pd.Series(values)
    assert infer_kind(series) == column


def test_date_format_must_fit_every_value_not_just_the_first():
    days = pd.Series(pd.date_range("2000-01-01", periods=3000).strftime("%d.%m.%Y"))
    assert infer_kind(days) == Column("date", "%d.%m.%Y")
    assert infer_kind(pd.concat([days, pd.Series(["never"])])).kind == "category"


def test_typed_columns_have_the_type_of_their_kind():
    schema = {"n": Column("numeric"), "d": Column("date", "%d.%m.%Y"), "w": Column("category")}
    frame = pd.DataFrame({"n": ["1", "NA"], "d": ["31.12.2020", ""], "w": ["a", ""], "more": 0}, dtype="str")
    made = typed(frame, schema, "test.csv")
    assert list(made) == ["n", "d", "w"]
    assert made["n"].iloc[0] == 1.0 and made["d"].iloc[0] == pd.Timestamp("2020-12-31") and made["w"].iloc[0] == "a"
    assert made.iloc[1].isna().all()


def test_column_without_any_value_is_missing_whatever_its_kind():
    frame = pd.DataFrame({name: [np.nan, np.nan] for name in "ndw"})
    made = typed(frame, {"n": Column("numeric"), "d": Column("date"), "w": Column("text")}, "test.csv")
    assert made.isna().all(axis=None)
    assert [str(t) for t in made.dtypes] == ["float32", "datetime64[s]", "str"]


def test_all_that_is_wrong_with_columns_is_said_at_once():
    frame = pd.DataFrame({"n": ["1", "two", "two"], "d": [2019, 2020, 2021]})
    with pytest.raises(DataError) as error:
        typed(frame, {"n": Column("numeric"), "d": Column("date"), "w": Column("text")}, "test.csv")
    says(
        error,
        "test.csv column 'n' holds two in 2 rows: it is a numeric column in the training rows",
        "test.csv column 'd' holds 2019, 2020, 2021 in 3 rows: it is a date column in the training rows",
        "test.csv lacks column 'w', which the training rows have",
        "mend the file, or set the column's kind, for example input.columns.category = [...]",
    )


def test_a_date_is_no_number_of_nanoseconds():
    with pytest.raises(DataError, match="column 'n' holds 2020-01-01"):
        typed(pd.DataFrame({"n": pd.to_datetime(["2020-01-01"])}), {"n": Column("numeric")}, "test.csv")


def test_decimal_commas_between_semicolons_are_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("id;size;word\n1;1,5;a\n2;-20,25;b\n3;;c\n")
    frame = read(tmp_path / "a.csv", text=["id"])
    assert frame["size"].tolist()[:2] == [1.5, -20.25] and frame["word"].tolist() == ["a", "b", "c"]


def test_a_comma_within_words_between_semicolons_changes_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("id;size;word\n1;1.5;7,8\n2;2.5;b\n")
    frame = read(tmp_path / "a.csv", text=["id"])
    assert frame["size"].tolist() == [1.5, 2.5] and frame["word"].tolist() == ["7,8", "b"]


def test_column_renamed_in_test_is_named_with_the_one_it_may_be():
    with pytest.raises(DataError, match=r"""test.csv lacks column 'Income', which the training rows have \(did you mean "income"\?\)"""):
        typed(pd.DataFrame({"income": [1.0]}), {"Income": Column("numeric")}, "test.csv")

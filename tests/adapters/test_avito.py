"""Avito: what is made of adverts, of those that nobody was asked about, and of the days that they were up."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.competition import open_competition, shipped
from kit.errors import DataError
from kit.files import fingerprint
from kit.registry import own_module

COMMON = "item_id,user_id,region,city,parent_category_name,category_name,param_1,param_2,param_3,title,description,price,item_seq_number,activation_date,user_type"
PERIODS = "item_id,activation_date,date_from,date_to"


def line(item: str, user: str, *, category: str = "Авто", param: str = "", title: str = "Ford", description: str = "", price: str = "", date: str = "2017-03-15") -> str:
    return f"{item},{user},Омск,Омск,Транспорт,{category},{param},,,{title},{description},{price},7,{date},Private"


def write(folder: Path, name: str, header: str, *rows: str) -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def adapter(folder: Path):
    return open_competition("avito", preset="fast").open_adapter(folder)


@pytest.fixture
def sample(tmp_path):
    adapter(tmp_path).write_sample(tmp_path, 60)
    return tmp_path


@pytest.fixture
def few(tmp_path):
    """Three training adverts and two test adverts, of three users; no files besides."""
    pictures = "image,image_top_1"
    write(
        tmp_path, "train.csv", f"{COMMON},{pictures},deal_probability",
        line("a1", "u1", price="9", title="Ford") + ",,,0.5", line("a2", "u1", price="99", title="Ford") + ",,,0", line("a3", "u2", category="Дом", param="Стол") + ",,,0.25",
    )  # fmt: skip
    write(tmp_path, "test.csv", f"{COMMON},{pictures}", line("b1", "u3", price="999", title="FORD focus") + ",,", line("b2", "u1", category="Дом", price="0") + ",,")
    write(tmp_path, "sample_submission.csv", "item_id,deal_probability", "b1,0", "b2,0")
    return tmp_path


def made(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training rows, test rows) with all features, before columns of one value are left out."""
    found = adapter(folder)
    train, test = found.read_train().drop(columns="deal_probability"), found.read_test(["image_top_1"])
    everyone = pd.concat([train, test])
    return found.features(train, everyone), found.features(test, everyone)


# what adverts tell themselves and one another


def test_prices_are_logs_and_parameters_one_text(few):
    train, test = made(few)
    assert train.loc["a1", "log_price"] == pytest.approx(np.log(10)) and np.isnan(train.loc["a3", "log_price"])
    assert list(train["params"]) == ["", "", "Стол"]
    assert test.loc["b1", "title_capitals"] == 0.4 and test.loc["b1", "title_words"] == 2  # FORD focus


def test_counts_and_medians_are_over_training_and_test_rows(few):
    train, test = made(few)
    assert np.expm1(train["user_adverts"]).tolist() == pytest.approx([3, 3, 1])
    assert test.loc["b2", "user_categories"] == 2 and test.loc["b2", "user_titles"] == pytest.approx(1 / 3)
    assert train["price_to_category"].tolist()[:2] == pytest.approx([-np.log(10), 0])  # the median of 9, 99 and 999
    assert test.loc["b2", "price_to_user"] == pytest.approx(-np.log(10))  # 0 among 9, 99 and 0


def test_no_feature_moves_with_the_answers(few):
    before = adapter(few).tables()
    text = (few / "train.csv").read_text(encoding="utf-8")
    (few / "train.csv").write_text(text.replace(",0.5\n", ",0.9\n").replace(",0.25\n", ",0\n"), encoding="utf-8")
    after = adapter(few).tables()
    assert before.truth["deal_probability"].tolist() != after.truth["deal_probability"].tolist()
    pd.testing.assert_frame_equal(before.train, after.train)
    pd.testing.assert_frame_equal(before.test, after.test)


# what the active files tell


@pytest.fixture
def more(few):
    """Two days of active adverts beside the training rows, one day beside the test rows; a period for each but one."""
    write(few, "train_active.csv", COMMON, line("c1", "u1", price="0"), line("c2", "u1", price="99", date="2017-03-16", title="Стол"), line("c3", "u9"))
    write(few, "test_active.csv", COMMON, line("d1", "u3", date="2017-04-12"))
    write(few, "periods_train.csv", PERIODS, "c1,2017-03-15,2017-03-15,2017-03-18", "c1,2017-03-15,2017-03-20,2017-03-25", "c2,2017-03-16,2017-03-16,2017-03-17")
    write(few, "periods_test.csv", PERIODS)
    return few


def told(folder: Path):
    active = own_module(shipped("competitions") / "avito", "active")
    return active.told(folder, {"user_id": pd.Index(["u1", "u2", "u3"]), "title": pd.Index(["Ford"])})


def test_days_and_listings_are_means_over_the_adverts_of_a_user(more):
    frames, notes = told(more)
    users = frames["user_id"]
    assert not notes
    assert users.loc["u1"].to_dict() == pytest.approx({"active": 2 / 2, "days_up": (8 + 1) / 2, "listings": 3 / 2, "log_price": np.log(100) / 2})
    assert users.loc["u2", "active"] == 0 and users.loc["u2", ["days_up", "listings", "log_price"]].isna().all()
    assert users.loc["u3", "active"] == 1 and np.isnan(users.loc["u3", "days_up"])  # one advert in the one day of the test's file, without a period
    assert frames["title"].loc["Ford", "active"] == 2 / 2 + 1  # adverts a day: those of users that nobody asked for count too


def test_the_size_of_a_piece_changes_nothing(more, monkeypatch):
    whole, _ = told(more)
    monkeypatch.setattr(own_module(shipped("competitions") / "avito", "active"), "PIECE", 2)
    pieces, _ = told(more)
    for key, frame in whole.items():
        pd.testing.assert_frame_equal(frame, pieces[key])


def test_rows_hold_what_is_told_of_their_user_and_prices_as_distances(more):
    train, test = made(more)
    assert train.loc["a1", "user_days_up"] == 4.5 and np.isnan(train.loc["a3", "user_days_up"])
    assert train.loc["a1", "user_log_price"] == pytest.approx(np.log(10) - np.log(100) / 2)
    assert np.expm1(test["user_active"]).tolist() == pytest.approx([1, 1]) and np.expm1(train["user_active"]).tolist() == pytest.approx([1, 1, 0])


def test_packed_files_are_read_as_they_are(more):
    expected, _ = told(more)
    for name in ("train_active.csv", "test_active.csv"):
        with zipfile.ZipFile(more / f"{name}.zip", "w") as archive:
            archive.write(more / name, name)
        (more / name).unlink()
    (more / "periods_train.csv.gz").write_bytes(gzip.compress((more / "periods_train.csv").read_bytes()))
    (more / "periods_train.csv").unlink()
    found, _ = told(more)
    for key, frame in expected.items():
        pd.testing.assert_frame_equal(frame, found[key])


def test_without_the_active_files_their_columns_are_left_out_with_a_note(few):
    tables = adapter(few).tables()
    assert "no train_active.csv, test_active.csv, so nothing is known of adverts besides the training and the test rows" in tables.notes
    assert not [name for name in tables.schema if name.endswith(("_active", "_days_up", "_listings"))]


def test_without_one_of_the_periods_files_days_are_left_out_with_a_note(more):
    (more / "periods_test.csv").unlink()
    frames, notes = told(more)
    assert notes == ["no periods_test.csv, so nothing is known of the days that adverts were up"]
    assert list(frames["user_id"].columns) == ["active", "log_price"]


def test_a_file_without_a_needed_column_is_said(more):
    write(more, "test_active.csv", "item_id,user_id,title,price", "d1,u3,Ford,1")
    with pytest.raises(DataError, match=r"(?s)test_active.csv cannot be read: .*activation_date.*\nexpected columns item_id, user_id, title, price, activation_date"):
        told(more)


def test_what_is_no_date_is_said(more):
    write(more, "periods_train.csv", PERIODS, "c1,2017-03-15,2017-03-15,soon", "c2,2017-03-15,2017-03-15,2017-03-16")
    with pytest.raises(DataError, match=r"periods_train.csv column 'date_to' holds 1 values that are no date: 'soon'\nexpected such as 2017-03-28"):
        told(more)


def test_the_active_files_are_part_of_the_fingerprint(more):
    found = adapter(more)
    before = fingerprint(found.files()), fingerprint(found.test_files())
    write(more, "periods_test.csv", PERIODS, "d1,2017-04-12,2017-04-12,2017-04-13")
    assert fingerprint(found.files()) != before[0] and fingerprint(found.test_files()) != before[1]


# the sample


def test_the_sample_has_the_files_and_the_columns_of_kaggle(sample):
    archives = ["test_jpg.zip", "train_jpg.zip"]
    tables = ["periods_test.csv", "periods_train.csv", "sample_submission.csv", "test.csv", "test_active.csv", "train.csv", "train_active.csv"]
    assert sorted(p.name for p in sample.iterdir()) == sorted(archives + tables)
    heads = {name: (sample / name).read_text(encoding="utf-8").splitlines()[0] for name in tables}
    assert heads["train.csv"] == f"{COMMON},image,image_top_1,deal_probability" and heads["test.csv"] == f"{COMMON},image,image_top_1"
    assert heads["train_active.csv"] == heads["test_active.csv"] == COMMON and heads["periods_train.csv"] == PERIODS
    with zipfile.ZipFile(sample / "train_jpg.zip") as archive:
        names = archive.namelist()
    images = pd.read_csv(sample / "train.csv")["image"].dropna()
    assert sorted(names) == sorted(f"data/competition_files/train_jpg/{image}.jpg" for image in images)


def test_the_sample_is_the_same_each_time(sample, tmp_path_factory):
    other = tmp_path_factory.mktemp("again")
    adapter(other).write_sample(other, 60)
    assert {p.name: p.read_bytes() for p in sample.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}


def test_each_kind_of_column_is_in_the_sample_tables(sample):
    tables = adapter(sample).tables()
    assert {column.kind for column in tables.schema.values()} == {"numeric", "category", "date", "text", "image"}
    assert tables.of_kind("text") == ["title", "description", "params"] and "image_top_1" in tables.of_kind("category")
    assert tables.train["image"].isna().any() and tables.train["image"].notna().any()
    assert len(tables.roles["group"]) == len(tables.train) and "user_id" not in tables.schema

"""Folders of pictures, labelled by a table or by the names of their folders."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.adapters.image import Image
from kit.divided import split_rows
from kit.errors import DataError
from kit.folds import split
from kit.pictures import decode
from kit.registry import find
from kit.tables import Column


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def opened(folder: Path, kind: str = "multiclass", target: str | list[str] = "kind", **options) -> Image:
    return Image(folder, find("tasks", kind)(target=target), **options)


def relative(rows: pd.DataFrame, folder: Path) -> dict[str, str]:
    return {id: os.path.relpath(path, folder) for id, path in rows["image"].items()}


# labels are folders


def test_the_folder_is_the_label_and_the_name_the_id(tmp_path):
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.PNG", "train/dog/.c.png", "test/1.webp", "test/2.jpeg")
    found = opened(tmp_path)
    tables = found.tables()
    assert dict(zip(tables.truth["id"], tables.truth["kind"])) == {"a": "cat", "b": "dog"}
    assert relative(tables.train, tmp_path) == {"a": "train/cat/a.jpg", "b": "train/dog/b.PNG"}
    assert relative(tables.test, tmp_path) == {"1": "test/1.webp", "2": "test/2.jpeg"}
    assert tables.schema == {"image": Column("image")} and found.layout("label") == (["id"], ["kind"])
    assert list(found.check_sample(tables.test.index)) == ["1", "2"]


def test_names_that_are_in_several_folders_are_told_apart_by_their_paths(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/x/1.jpg", "test/y/1.jpg")
    tables = opened(tmp_path).tables()
    assert list(tables.train.index) == ["cat/1.jpg", "dog/1.jpg"]
    assert relative(tables.test, tmp_path) == {"x/1.jpg": "test/x/1.jpg", "y/1.jpg": "test/y/1.jpg"}


def test_test_rows_are_those_of_the_sample_whether_or_not_their_pictures_are_there(tmp_path):
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/deep/1.jpg", "test/2.jpg", "test/9.jpg")
    (tmp_path / "sample.csv").write_text("name,kind\n2.jpg,cat\n1.jpg,cat\n3.jpg,cat\n")
    found = opened(tmp_path, sample_submission="sample.csv", id="name")
    tables = found.tables()
    assert relative(tables.test, tmp_path) == {"1.jpg": "test/deep/1.jpg", "2.jpg": "test/2.jpg", "3.jpg": "test/3.jpg"}
    assert tables.notes == [f"1 pictures in {tmp_path}/test are of no row of sample.csv: 9.jpg"]
    assert list(found.check_sample(tables.test.index)) == ["2.jpg", "1.jpg", "3.jpg"]


def test_all_that_is_wrong_in_a_folder_is_said_at_once(tmp_path):
    touch(tmp_path, "train/a.jpg", "train/cat/b.jpg", "train/cat/old/c.jpg", "train/cat/notes.txt", "test/1.jpg")
    with pytest.raises(DataError) as error:
        opened(tmp_path, columns={"group": ["owner"]}).tables()
    assert str(error.value).split("\n") == [
        "1 of 3 pictures lie in train itself, in no folder of a class: a.jpg",
        "1 pictures lie deeper than train/<class>/: cat/old/c.jpg; say which folder is the class: input.class_folder",
        "input.columns: pictures in folders have no columns",
    ]


@pytest.mark.parametrize(("which", "classes"), [("first", ["plant", "plant", "bird"]), ("last", ["3", "4", "3"]), ("all", ["plant/3", "plant/4", "bird/3"])])
def test_of_folders_in_folders_the_config_says_which_is_the_class(tmp_path, which, classes):
    touch(tmp_path, "train/plant/3/a.jpg", "train/plant/4/b.jpg", "train/bird/3/c.jpg", "test/1.jpg")
    assert list(opened(tmp_path, class_folder=which).tables().truth["kind"]) == classes


def test_folders_that_are_missing_or_empty_are_named(tmp_path):
    touch(tmp_path, "train.csv", "images/a.jpg")
    with pytest.raises(DataError, match=r'^no folder .*/train: expected train/<class>/<picture>, or .* input.train = "train.csv"\n.* holds images/, train.csv$'):
        opened(tmp_path).tables()
    touch(tmp_path, "train/cat/readme.txt")
    with pytest.raises(DataError, match=r"^no picture in .*/train: expected train/<class>/<picture>"):
        opened(tmp_path).tables()
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg")
    with pytest.raises(DataError, match=r"^no picture in .*/test, and no sample submission is named: there is nothing to predict"):
        opened(tmp_path).tables()


def test_files_that_are_no_pictures_are_told(tmp_path):
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "train/dog/notes.txt", "test/1.jpg")
    assert opened(tmp_path).tables().notes == ["1 files in train have no picture's ending, so left out: dog/notes.txt"]


def test_the_hosts_validation_folder_is_the_given_fold_and_its_names_may_repeat(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "val/cat/1.jpg", "val/dog/3.jpg", "test/1.jpg")
    found = opened(tmp_path, valid="val")
    tables = found.tables()
    (fold,) = split(split_rows(tables, found.task, "given"), scheme="given")
    ids = tables.train.index
    assert list(ids[fold.valid]) == ["validation/1", "validation/3"] and list(ids[fold.train]) == ["1", "2"]
    assert relative(tables.train, tmp_path)["validation/1"] == "val/cat/1.jpg"


def test_folders_of_other_names_and_in_zips_are_read(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("train/cat/a.jpg", "train/dog/b.jpg", "test/1.jpg"):
            archive.writestr(name, b"")
    tables = opened(tmp_path, train="all.zip/train", test="all.zip/test").tables()
    assert relative(tables.train, tmp_path) == {"a": "all.zip/train/cat/a.jpg", "b": "all.zip/train/dog/b.jpg"}
    assert relative(tables.test, tmp_path) == {"1": "all.zip/test/1.jpg"}


# labels are in a table


@pytest.mark.parametrize("ids", [("01", "02", "03"), ("01.jpg", "02.jpg", "03.jpg")])
def test_ids_of_a_table_have_their_endings_or_not(tmp_path, ids):
    touch(tmp_path, "train/01.jpg", "train/02.jpg", "test/03.jpg")
    (tmp_path / "train.csv").write_text(f"id,kind\n{ids[0]},cat\n{ids[1]},dog\n")
    (tmp_path / "sample.csv").write_text(f"id,kind\n{ids[2]},cat\n")
    tables = opened(tmp_path, train="train.csv", sample_submission="sample.csv").tables()
    assert relative(tables.train, tmp_path) == {ids[0]: "train/01.jpg", ids[1]: "train/02.jpg"}
    assert relative(tables.test, tmp_path) == {ids[2]: "test/03.jpg"}


def test_without_a_sample_the_test_rows_are_the_pictures_of_the_test_folder(tmp_path):
    touch(tmp_path, "train_images/1.jpg", "train_images/2.jpg", "test_images/3.jpg")
    (tmp_path / "train.csv").write_text("id,kind\n1,cat\n2,dog\n")
    tables = opened(tmp_path, train="train.csv", pictures="{part}_images/{id}.jpg").tables()
    assert relative(tables.test, tmp_path) == {"3": "test_images/3.jpg"}


def test_test_rows_in_the_folder_of_the_training_pictures_need_a_list(tmp_path):
    touch(tmp_path, "images/1.jpg", "images/2.jpg", "images/3.jpg")
    (tmp_path / "train.csv").write_text("id,kind\n1,cat\n2,dog\n")
    with pytest.raises(DataError, match=r'input.pictures = "images/\{id\}" does not tell which pictures are test rows\nname the sample submission'):
        opened(tmp_path, train="train.csv", pictures="images/{id}").tables()


def test_a_test_table_brings_other_columns_along(tmp_path):
    touch(tmp_path, "train/1.jpg", "train/2.jpg", "test/3.jpg")
    (tmp_path / "train.csv").write_text("id,age,kind\n1,20,cat\n2,30,dog\n")
    (tmp_path / "test.csv").write_text("id,age\n3,25\n")
    assert {n: c.kind for n, c in opened(tmp_path, train="train.csv", test="test.csv").tables().schema.items()} == {"age": "numeric", "image": "image"}


def test_a_picture_may_have_several_labels_or_none(tmp_path):
    touch(tmp_path, "train/1.jpg", "train/2.jpg", "test/3.jpg")
    (tmp_path / "train.csv").write_text("id,kind\n1,cat dog\n2,\n")
    found = opened(tmp_path, kind="multilabel", train="train.csv")
    assert found.task.encode(found.tables().truth).tolist() == [[1.0, 1.0], [0.0, 0.0]]


# the rest of the way


def test_new_rows_are_those_of_another_test_folder(tmp_path):
    touch(tmp_path, "test/8.jpg")
    found = opened(tmp_path, sample_submission="sample.csv")
    found.follow(["id"], ["kind"])
    assert list(found.new_rows({"image": Column("image")}).index) == ["8"]
    assert list(found.check_sample(pd.Index(["8"]))) == ["8"]


def test_a_submission_is_graded_as_it_was_written(tmp_path):
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "test/1.jpg", "test/2.jpg")
    found = opened(tmp_path)
    tables = found.tables()
    predictions = found.task.decode(tables.test.index, np.array([[0.9, 0.1], [0.2, 0.8]]))
    found.submission(predictions, {}, "label").to_csv(tmp_path / "mine.csv", index=False)
    assert (tmp_path / "mine.csv").read_text() == "id,kind\n1,cat\n2,dog\n"
    (tmp_path / "answers.csv").write_text("id,kind\n1,cat\n2,cat\n")
    read = found.read_submission(tmp_path / "mine.csv", "label")
    true, given = found.task.for_metric("label", found.answers(tmp_path / "answers.csv"), read, {})
    assert list(true) == ["cat", "cat"] and list(given) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("kind", "target", "options"),
    [
        ("multiclass", "kind", {}),
        ("multiclass", "kind", {"sample_submission": "sample_submission.csv", "valid": "validation"}),
        ("binary", "kind", {"train": "train.csv", "test": "test.csv", "pictures": "images/{id}.jpg", "id": "name"}),
        ("multilabel", "kinds", {"train": "train.csv", "valid": "validation.csv", "sample_submission": "s.csv", "pictures": "{part}_images/{id}.jpeg"}),
        ("multilabel", ["circle", "cross", "red"], {"train": "train.csv", "sample_submission": "s.csv"}),
        ("regression", "size", {"train": "train.csv", "sample_submission": "s.csv"}),
    ],
)
def test_a_sample_has_the_layout_that_the_options_say(tmp_path, kind, target, options):
    found = opened(tmp_path, kind, target, **options)
    found.write_sample(tmp_path, rows=60)
    tables = found.tables()
    assert len(tables.train) > 30 and len(tables.test) > 8 and not tables.notes
    found.check_sample(tables.test.index)
    found.task.encode(tables.truth)
    pictures = [decode(path) for path in (tables.train["image"].iloc[0], tables.test["image"].iloc[0])]
    assert {p.shape for p in pictures} == {(40, 40, 3)} and not np.array_equal(*pictures)


def test_a_sample_is_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        opened(tmp_path).write_sample(tmp_path / name, rows=20)
    files = [{p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.png")} for name in ("a", "b")]
    assert len(files[0]) == 20 and files[0] == files[1]

"""Tables of any kind with a column of pictures: which cells become which paths."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.adapters._places import Folder
from kit.adapters.tabular import Tabular
from kit.errors import DataError
from kit.registry import find
from kit.tables import Column, typed, with_ids


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def adapter(folder: Path, train: str, test: str, **options) -> Tabular:
    (folder / "train.csv").write_text(train)
    (folder / "test.csv").write_text(test)
    return Tabular(folder, find("tasks", "binary")(target="sold"), **options)


def paths(column: pd.Series, folder: Path) -> list[str | float]:
    """Relative ones, "" where missing."""
    return ["" if pd.isna(path) else os.path.relpath(path, folder) for path in column]


# cells that name files


def test_cells_are_looked_for_below_the_data_folder_and_blank_ones_stay_missing(tmp_path):
    touch(tmp_path, "photos/a.jpg")
    told = adapter(tmp_path, "id,photo,sold\n1,photos/a.jpg,0\n2,,1\n3,photos/b.jpg,1\n", "id,photo\n4,photos/a.jpg\n", columns={"image": ["photo"]})
    tables = told.tables()
    assert tables.schema == {"photo": Column("image")}
    assert list(tables.train["photo"].isna()) == [False, True, False]
    assert tables.train["photo"].iloc[0] == f"{tmp_path}/photos/a.jpg"
    assert tables.train["photo"].iloc[2] == f"{tmp_path}/photos/b.jpg"  # named and not there: counted later, and no mistake here


def test_a_column_of_pictures_is_found_by_its_endings(tmp_path):
    touch(tmp_path, "a.jpg")
    tables = adapter(tmp_path, "id,photo,sold\n1,a.jpg,0\n2,b.PNG,1\n", "id,photo\n4,a.jpg\n").tables()
    assert tables.schema == {"photo": Column("image")} and not tables.notes


def test_names_of_files_that_are_nowhere_are_left_out_with_a_note_unless_the_config_asks_for_them(tmp_path):
    texts = "id,photo,size,sold\n1,/web/a.jpg,3,0\n2,b.jpg,4,1\n", "id,photo,size\n4,a.jpg,5\n"
    tables = adapter(tmp_path, *texts).tables()
    assert list(tables.schema) == ["size"]
    assert tables.notes == [f"names pictures, none of which is in {tmp_path}, so left out: photo"]
    texts = "id,photo,size,sold\n1,a.jpg,3,0\n2,b.jpg,4,1\n", "id,photo,size\n4,a.jpg,5\n"
    with pytest.raises(DataError, match=r"^none of the 2 pictures of train.csv is there: .*a.jpg.*\n.* holds test.csv, train.csv\ninput.pictures says where"):
        adapter(tmp_path, *texts, columns={"image": ["photo"]}).tables()


@pytest.mark.parametrize("cell", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg"])
def test_no_cell_leads_out_of_the_data_folder(tmp_path, cell):
    touch(tmp_path, "a.jpg")
    told = adapter(tmp_path, f"id,photo,sold\n1,a.jpg,0\n2,{cell},1\n", "id,photo\n4,a.jpg\n", columns={"image": ["photo"]})
    with pytest.raises(DataError, match=r"column 'photo' names 1 pictures out of the data folder"):
        told.tables()


# a pattern for the pictures of ids


def test_a_pattern_makes_a_column_of_pictures_from_ids(tmp_path):
    touch(tmp_path, "train/007.png", "train/8.PNG", "test/9.webp")
    tables = adapter(tmp_path, "id,sold\n007,0\n8,1\n10,1\n", "id\n9\n", pictures="{part}/{id}").tables()
    assert tables.schema == {"image": Column("image")}
    assert dict(zip(tables.train.index, paths(tables.train["image"], tmp_path))) == {"007": "train/007.png", "8": "train/8.PNG", "10": "train/10"}
    assert paths(tables.test["image"], tmp_path) == ["test/9.webp"]


def test_a_pattern_may_name_a_column_and_a_folder_in_a_zip(tmp_path):
    for part, name in (("train", "h1"), ("test", "0012")):
        with zipfile.ZipFile(tmp_path / f"{part}_jpg.zip", "w") as archive:
            archive.writestr(f"data/{part}_jpg/{name}.jpg", b"")
            archive.writestr("__MACOSX/._h2.jpg", b"")
    texts = "id,image,size,sold\n1,h1,1,0\n2,,2,1\n3,h2,2,1\n", "id,image,size\n4,0012,1\n"
    tables = adapter(tmp_path, *texts, pictures="{part}_jpg.zip/data/{part}_jpg/{image}.jpg").tables()
    inside = "train_jpg.zip/data/train_jpg"
    assert paths(tables.train["image"], tmp_path) == [f"{inside}/h1.jpg", "", f"{inside}/h2.jpg"]
    assert paths(tables.test["image"], tmp_path) == ["test_jpg.zip/data/test_jpg/0012.jpg"]  # read as text: no number loses its zeros


def test_parts_of_a_composite_id_name_folders(tmp_path):
    touch(tmp_path, "scenes/a/1.jpg", "scenes/b/1.jpg")
    texts = "scene,frame,sold\na,1,0\nb,1,1\n", "scene,frame\na,1\n"
    found = adapter(tmp_path, *texts, id=["scene", "frame"], pictures="scenes/{scene}/{frame}").tables()
    assert paths(found.train["image"], tmp_path) == ["scenes/a/1.jpg", "scenes/b/1.jpg"]


def test_rows_by_position_have_the_pictures_of_their_ids(tmp_path):
    touch(tmp_path, "test/1.jpg", "test/2.jpg", "train/x.jpg")
    (tmp_path / "sample.csv").write_text("row,sold\n2,0\n1,0\n")
    found = adapter(tmp_path, "size,sold\n1,0\n2,1\n", "size\n5\n6\n", id="row", id_by_position=True, sample_submission="sample.csv", pictures="{part}/{id}")
    tested = found.read_test()
    assert dict(zip(tested["size"], paths(tested["image"], tmp_path))) == {5: "test/2.jpg", 6: "test/1.jpg"}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{part}/{id}_{soled}.jpg", 'no column {soled} (did you mean "sold"?)'),
        ("{part}/a.jpg", "names one picture for all rows"),
        ("../{id}.jpg", "leads out of the data folder"),
        ("/tmp/{id}.jpg", "leads out of the data folder"),
    ],
)
def test_a_wrong_pattern_is_said(tmp_path, pattern, said):
    with pytest.raises(DataError) as error:
        adapter(tmp_path, "id,sold\n1,0\n2,1\n", "id\n3\n", pictures=pattern).tables()
    assert f'input.pictures = "{pattern}"' in str(error.value) and said in str(error.value)


def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path):
    touch(tmp_path, "train/1.jpg")
    with pytest.raises(DataError, match=r"1 rows name a picture out of the data folder: \.\./\.\./x"):
        adapter(tmp_path, "id,sold\n1,0\n../../x,1\n", "id\n3\n", pictures="train/{id}").tables()


def test_pictures_that_are_still_packed_are_hinted_at(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("train/1.jpg", b"")
    with pytest.raises(DataError, match=r"none of the 2 pictures of train.csv is there(.|\n)*unzip train.zip, or name it as a folder, such as train.zip/\{id\}"):
        adapter(tmp_path, "id,sold\n1,0\n2,1\n", "id\n3\n", pictures="{part}/{id}").tables()


def test_new_rows_find_their_pictures_by_the_schema_of_a_run(tmp_path):
    touch(tmp_path, "test/9.png")
    found = adapter(tmp_path, "id,sold\n1,0\n2,1\n", "id\n9\n", pictures="{part}/{id}")
    assert paths(found.new_rows({"image": Column("image")})["image"], tmp_path) == ["test/9.png"]


def test_a_picture_added_to_a_folder_changes_the_fingerprint(tmp_path):
    from kit.files import fingerprint

    touch(tmp_path, "train/1.png", "test/9.png")
    found = adapter(tmp_path, "id,sold\n1,0\n2,1\n", "id\n9\n", pictures="{part}/{id}")
    before = fingerprint(found.files()), fingerprint(found.test_files())
    touch(tmp_path, "train/2.png")
    assert fingerprint(found.files()) != before[0] and fingerprint(found.test_files()) == before[1]


# what a folder holds


def test_a_name_is_found_as_it_is_then_with_another_ending_then_in_a_folder_below(tmp_path):
    touch(tmp_path, "in/a.jpg", "in/b.JPEG", "in/c.gif", "in/deep/er/d.png", "in/E.png", "in/.a.png", "in/f", "in/g.txt")
    found = Folder(tmp_path, "in").find(["a.jpg", "b", "c.jpg", "d", "e", "f.jpg", "g", "deep/er/d", "a.jpg.jpg"])
    assert found == ["a.jpg", "b.JPEG", "c.gif", "deep/er/d.png", "E.png", "f", None, "deep/er/d.png", "a.jpg"]


def test_a_name_that_fits_two_pictures_is_an_error_and_ids_that_differ_in_case_are_two(tmp_path):
    touch(tmp_path, "in/a.jpg", "in/a.png", "in/B.jpg", "in/b.jpg", "in/x/c.png", "in/y/c.png")
    folder = Folder(tmp_path, "in")
    assert folder.find(["B", "b", "a.png"]) == ["B.jpg", "b.jpg", "a.png"]
    with pytest.raises(DataError, match=r"^2 names fit several pictures in .*in: a is a.jpg or a.png, c is x/c.png or y/c.png\n"):
        folder.find(["a", "B", "c"])


def test_below_the_data_folder_itself_no_picture_of_another_part_is_taken(tmp_path):
    touch(tmp_path, "test/1.jpg")
    assert Folder(tmp_path, "").find(["1.jpg"]) == [None]


def test_each_folder_is_read_once_and_no_file_is_asked_for_by_name(tmp_path, monkeypatch):
    touch(tmp_path, *(f"train/{n}.jpg" for n in range(50)), "train/more/50.jpg", "test/51.jpg")
    rows = "".join(f"{n},{n % 2}\n" for n in range(51))
    found = adapter(tmp_path, f"id,sold\n{rows}", "id\n51\n", pictures="{part}/{id}")
    read, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(os.path.relpath(path, tmp_path)) or scandir(path))
    found.read_train()
    found.read_train()
    assert read == ["train", "train/more"]


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    touch(tmp_path, "elsewhere/b.jpg")
    assert Folder(tmp_path, "in").media == ["a.jpg", "other/b.jpg"]


def test_a_name_that_is_no_text_is_said(tmp_path):
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.jpg")).touch()
    with pytest.raises(DataError, match=r"holds 1 files whose names are not UTF-8"):
        Folder(tmp_path, "in")


# arrays


def test_arrays_stay_as_they_are_and_are_told_apart_by_their_bytes():
    cells = np.empty(3, dtype=object)
    for n in range(3):
        cells[n] = np.full((2, 2), n % 2, np.uint8)
    rows = with_ids(pd.DataFrame({"label": ["a", "b", "a"], "image": cells}), [], "train.csv")
    assert rows.index.is_unique and len({i.split("-")[0] for i in rows.index}) == 2  # the first and the third are equal
    frame = typed(rows, {"image": Column("image")}, "train.csv")
    assert all(any(kept is cell for cell in cells) for kept in frame["image"])

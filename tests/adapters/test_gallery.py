"""Rows beside those of train and test: the gallery that queries look through, and training rows that another competition lends."""

import os
from pathlib import Path

import pandas as pd
import pytest

from kit.adapters._lender import Lender
from kit.adapters.image import Image
from kit.adapters.tabular import Tabular
from kit.competition import open_competition
from kit.errors import ConfigError, DataError, KitError
from kit.registry import find
from kit.tables import Column


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(folder: Path, **tables: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)


def retrieval(**options):
    return find("tasks", "retrieval")(**{"target": "found", "label": "kind", **options})


def relative(rows: pd.DataFrame, folder: Path) -> dict[str, str]:
    return {id: os.path.relpath(path, folder) for id, path in rows["image"].items()}


# the gallery


def test_queries_gallery_and_labels_of_gallery_pictures(tmp_path):
    touch(tmp_path, "queries/q.jpg", "gallery/b.jpg", "gallery/a.PNG", "gallery/q.jpg")
    write(tmp_path, labels="id,kind\na,cat\nb.jpg,dog\n")
    found = Image(tmp_path, retrieval(), train="labels.csv", test="queries", gallery="gallery")
    tables = found.tables()
    assert relative(tables.gallery, tmp_path) == {"a": "gallery/a.PNG", "b": "gallery/b.jpg", "q": "gallery/q.jpg"}  # q is a query too
    assert relative(tables.test, tmp_path) == {"q": "queries/q.jpg"}
    assert relative(tables.train, tmp_path) == {"a": "gallery/a.PNG", "b.jpg": "gallery/b.jpg"}
    assert dict(zip(tables.truth["id"], tables.truth["found"])) == {"a": "cat", "b.jpg": "dog"}
    assert tables.schema == {"image": Column("image")} and found.layout("neighbours") == (["id"], ["found"])


def test_training_pictures_in_a_folder_of_their_own_are_looked_for_there(tmp_path):
    touch(tmp_path, "queries/q.jpg", "gallery/a.jpg", "train/a.jpg", "train/c.jpg")
    write(tmp_path, labels="id,kind\na,cat\nc,dog\n")
    tables = Image(tmp_path, retrieval(), train="labels.csv", test="queries", gallery="gallery").tables()
    assert relative(tables.train, tmp_path) == {"a": "train/a.jpg", "c": "train/c.jpg"}
    assert relative(tables.gallery, tmp_path) == {"a": "gallery/a.jpg"}


def test_the_part_of_a_gallerys_table_is_its_name_and_a_missing_picture_is_a_row_all_the_same(tmp_path):
    touch(tmp_path, "test/00q.jpg", "index/01.jpg", "train/1.jpg", "train/2.jpg")
    write(tmp_path, index="id,url\n02,None\n01,u\n", test="id,url\n00q,u\n", train="id,kind,url\n1,cat,u\n2,dog,v\n", sample="id,images\n00q,01 02\n")
    found = Image(tmp_path, retrieval(), train="train.csv", test="test.csv", gallery="index.csv", sample_submission="sample.csv", drop=["url"])
    tables = found.tables()
    assert relative(tables.gallery, tmp_path) == {"01": "index/01.jpg", "02": "index/02"}
    assert list(found.check_sample(tables.test.index)) == ["00q"] and found.layout("neighbours") == (["id"], ["images"])
    assert found.new_gallery(tables.schema).equals(tables.gallery) and found.new_rows(tables.schema).equals(tables.test)


def test_the_gallery_is_of_the_data_that_a_prediction_reads(tmp_path):
    touch(tmp_path, "queries/q.jpg", "gallery/a.jpg", "gallery/b.jpg")
    write(tmp_path, labels="id,kind\na,cat\nb,dog\n")
    found = Image(tmp_path, retrieval(), train="labels.csv", test="queries", gallery="gallery")
    assert {p.name for p in found.test_files()} == {"queries", "gallery"}
    assert {p.name for p in found.files()} == {"queries", "gallery", "labels.csv"}


def test_a_gallery_of_a_table_is_typed_as_the_training_rows_are(tmp_path):
    write(tmp_path, train="id,size,colour,kind\n1,1.5,red,cat\n2,2.5,blue,dog\n", test="id,size,colour\n3,4.5,red\n", stock="id,size,colour\n8,,green\n7,1,\n")
    tables = Tabular(tmp_path, retrieval(), gallery="stock.csv").tables()
    assert list(tables.gallery.index) == ["7", "8"] and tables.gallery.dtypes.equals(tables.test.dtypes)
    assert tables.gallery["colour"].isna().tolist() == [True, False]


def test_training_rows_may_be_the_gallery(tmp_path):
    write(tmp_path, train="id,size,kind\n1,1.5,cat\n2,2.5,dog\n", test="id,size\n3,4\n")
    tables = Tabular(tmp_path, retrieval(), gallery="train.csv").tables()
    assert tables.gallery.equals(tables.train)


def test_without_labels_the_gallery_stands_in_the_place_of_training_rows(tmp_path):
    touch(tmp_path, "queries/q.jpg", "gallery/a.jpg", "gallery/b.jpg")
    found = Image(tmp_path, retrieval(), train="", test="queries", gallery="gallery")
    tables = found.tables()
    assert tables.truth is None and not found.labelled
    assert tables.train.equals(tables.gallery) and list(tables.gallery.index) == ["a", "b"]
    assert {p.name for p in found.files()} == {"queries", "gallery"}


class WithShare(Tabular):
    """How many rows of all have its colour."""

    def made_features(self):
        return ["alike"]

    def features(self, rows, everyone):
        return rows.assign(alike=rows["colour"].map(everyone["colour"].value_counts()))


@pytest.mark.parametrize("train", ["train.csv", ""])
def test_features_see_every_row_once(tmp_path, train):
    write(tmp_path, train="id,colour,kind\n1,red,cat\n2,blue,dog\n", test="id,colour\n3,red\n4,blue\n", stock="id,colour\n7,red\n8,red\n9,blue\n")
    found = WithShare(tmp_path, retrieval(), train=train, gallery="stock.csv")
    tables = found.tables()
    assert tables.test["alike"].tolist() == ([4, 3] if train else [3, 2])
    assert found.new_rows(tables.schema).equals(tables.test) and found.new_gallery(tables.schema).equals(tables.gallery)


def test_ids_that_would_break_a_list_of_ids_are_refused(tmp_path):
    touch(tmp_path, "queries/q.jpg", "gallery/my cat.jpg", "gallery/b.jpg")
    with pytest.raises(DataError) as error:
        Image(tmp_path, retrieval(), train="", test="queries", gallery="gallery").tables()
    assert str(error.value) == "1 ids of gallery hold a space, which stands between the ids of an answer: 'my cat'\nrename them"


def test_a_gallery_that_is_empty_or_names_no_rows_is_said(tmp_path):
    touch(tmp_path, "queries/q.jpg")
    with pytest.raises(DataError, match=r"^no picture in .*/gallery, there is nothing to find\n.* holds queries/"):
        Image(tmp_path, retrieval(), train="", test="queries", gallery="gallery").tables()
    with pytest.raises(DataError, match=r'^input.pictures = "all/\{id\}" does not tell which pictures are the gallery\'s\nname a table of them \(input.gallery\), or put \{part\} into'):
        Image(tmp_path, retrieval(), train="", test="queries", gallery="gallery", pictures="all/{id}").tables()
    write(tmp_path, train="id,a,kind\n1,1,cat\n2,2,dog\n", test="id,a\n3,3\n", none="id,a\n", nameless="ids,a\n3,4\n")
    with pytest.raises(DataError, match=r"^none.csv has a header and no rows: there is nothing to find$"):
        Tabular(tmp_path, retrieval(), gallery="none.csv").tables()
    with pytest.raises(DataError, match=r'^nameless.csv has no id column "id" \(did you mean "ids"\?\): what is found is named by it$'):
        Tabular(tmp_path, retrieval(), gallery="nameless.csv").tables()


def test_options_that_do_not_go_together_are_said_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        Tabular(tmp_path, retrieval(), id=["a", "b"], valid="v.csv", labels_from="other")
    assert str(error.value).split("\n") == [
        'input.gallery is missing: task "retrieval" ranks its rows for each row of test.csv',
        "input.gallery: what is found is named by its id: give the one column of ids, input.id",
        "input.valid: no host validates rows that input.labels_from names: leave one of them out",
    ]
    with pytest.raises(ConfigError) as error:
        Tabular(tmp_path, find("tasks", "regression")(target="y"), train="", gallery="g.csv", labels_data="there")
    assert str(error.value).split("\n") == [
        'input.gallery is for task "retrieval", and the task is "regression"',
        "input.train is missing: only retrieval, and a competition with labels_from, do without one",
        "input.labels_data says where the files of input.labels_from are, which is not given",
    ]


# another competition's labels


OTHER = """
kaggle = "cats-2018"
[input]
adapter = "image"
train = "train.csv"
drop = ["url"]
[output]
target = "animal"
task = "multiclass"
open_set = true
unknown = "nobody"
[score]
metric = "map_at_k"
[model]
name = "a model that is not installed"
"""
OWN = """
[input]
adapter = "image"
test = "queries"
gallery = "gallery"
labels_from = "cats"
[output]
target = "found"
task = "retrieval"
[score]
metric = "retrieval_map_at_k"
folds = { scheme = "classes", count = 2 }
[model]
name = "knn"
"""
ROWS = "id,animal,url\n7,cat,u\n8,nobody,v\n3,dog,w\n"


@pytest.fixture
def two(tmp_path, monkeypatch):
    """./competitions/cats, and ./competitions/finding, which learns from its labels and has its data in ./files/finding."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("cats", OTHER), ("finding", OWN)):
        Path("competitions", name).mkdir(parents=True)
        Path("competitions", name, "config.toml").write_text(text)
    touch(Path("files/finding"), "queries/q.jpg", "gallery/a.jpg")
    return Path("files/finding")


def lend(folder: Path) -> Path:
    write(folder, train=ROWS)
    touch(folder, "train/3.jpg", "train/7.jpg", "train/8.jpg", "test/1.jpg")
    return folder


def opened(data: Path, *overrides: str):
    return open_competition("finding", overrides=list(overrides)).open_adapter(data)


def test_the_lenders_rows_have_its_name_before_their_ids_and_their_pictures_in_its_folder(two):
    there = lend(two / "cats-2018")
    found = opened(two)
    tables = found.tables()
    assert relative(tables.train, there) == {"cats/3": "train/3.jpg", "cats/7": "train/7.jpg"}
    assert dict(zip(tables.truth["id"], tables.truth["found"])) == {"cats/3": "dog", "cats/7": "cat"}
    assert relative(tables.gallery, two) == {"a": "gallery/a.jpg"}
    assert "1 of the 3 training rows of cats are of no class, so left out" in tables.notes and found.labelled
    assert {str(p.relative_to(two)) for p in found.files()} == {"queries", "gallery", "cats-2018/train.csv", "cats-2018/train"}
    assert {p.name for p in found.test_files()} == {"queries", "gallery"}


@pytest.mark.parametrize("where", ["files/finding/cats-2018", "files/finding/cats", "files/cats-2018", "files/cats", "competitions/cats/data"])
def test_the_lenders_files_are_found(two, where):
    there = lend(Path(where))
    assert relative(opened(two).tables().train, there)["cats/3"] == "train/3.jpg"


def test_the_nearer_folder_goes_before_the_farther_and_the_one_that_is_named_before_all(two):
    for where in ("files/finding/cats", "files/cats-2018", "competitions/cats/data", "elsewhere"):
        lend(Path(where))
    assert relative(opened(two).tables().train, Path("files/finding/cats"))["cats/3"] == "train/3.jpg"
    assert relative(opened(two, "input.labels_data=elsewhere").tables().train, Path("elsewhere"))["cats/3"] == "train/3.jpg"


def test_files_that_are_nowhere_are_looked_for_only_when_they_are_read(two):
    found = opened(two)
    assert len(found.new_rows({"image": Column("image")})) == 1
    with pytest.raises(KitError) as error:
        found.tables()
    first, _, last = str(error.value).split("\n")
    assert first == "no data for cats: competitions/cats/data is missing or empty"
    assert last == (
        "finding learns from its labels: they may also be in files/finding/cats-2018 or files/finding/cats or files/cats-2018 or files/cats, "
        "or where input.labels_data says"
    )
    with pytest.raises(KitError, match=r"^input.labels_data = nowhere: no such folder$"):
        opened(two, "input.labels_data=nowhere").tables()


def test_the_label_has_the_borrowers_name(two):
    lend(two / "cats")
    tables = opened(two, "output.label=kind").tables()
    assert list(tables.truth["found"]) == ["dog", "cat"] and list(tables.schema) == ["image"]


def test_a_class_may_be_asked_for_too(two):
    lend(two / "cats")
    text = OWN.replace('gallery = "gallery"\n', "").replace('task = "retrieval"', 'task = "multiclass"').replace("retrieval_map_at_k", "accuracy")
    Path("competitions/finding/config.toml").write_text(text)
    found = opened(two)
    assert list(found.tables().truth["found"]) == ["dog", "cat"] and found.task.classes == ["cat", "dog"]


def test_pictures_named_in_cells_are_the_lenders_too(two, tmp_path):
    lend(two / "cats")
    write(two / "cats", train="id,animal,photo\n7,cat,train/7.jpg\n3,dog,train/3.jpg\n")
    write(two, test="id,photo\nq,queries/q.jpg\n", stock="id,photo\na,gallery/a.jpg\n")
    other = Tabular(two / "cats", find("tasks", "multiclass")(target="animal"))
    found = Tabular(two, retrieval(), gallery="stock.csv", labels_from="cats")
    found.lender = Lender("cats", "cats", lambda folder: other)
    tables = found.tables()
    assert tables.train["photo"].tolist() == [f"{two}/cats/train/3.jpg", f"{two}/cats/train/7.jpg"]
    assert tables.gallery["photo"].tolist() == [f"{two}/gallery/a.jpg"]


def test_columns_that_the_lenders_rows_lack_are_named(two):
    lend(two / "cats")
    with pytest.raises(DataError, match=r'^input.drop: cats\'s train.csv has no column "ulr" \(did you mean "url"\?\)$'):
        opened(two, 'input.drop=["ulr"]').tables()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('task = "multiclass"\nopen_set = true\nunknown = "nobody"', 'task = "regression"', 'its answers are of task "regression": expected one class a row'),
        ('train = "train.csv"', 'labels_from = "titanic"', 'its labels are those of "titanic" itself: name that one'),
    ],
)
def test_a_competition_without_classes_of_its_own_lends_none(two, old, new, said):
    lend(two / "cats")
    Path("competitions/cats/config.toml").write_text(OTHER.replace(old, new).replace("map_at_k", "rmse" if "regression" in new else "map_at_k"))
    with pytest.raises(ConfigError) as error:
        opened(two).tables()
    assert str(error.value) == f'input.labels_from = "cats": {said}'


def test_a_lender_whose_rows_are_all_of_no_class_is_said(two):
    lend(two / "cats")
    write(two / "cats", train="id,animal,url\n7,nobody,u\n8,nobody,v\n")
    with pytest.raises(DataError, match=r"^none of the 2 rows of cats's train.csv is of a class: there is nothing to learn from it$"):
        opened(two).tables()


# samples


@pytest.mark.parametrize("train", ["labels.csv", "train", ""])
def test_a_retrievals_sample_has_the_layout_that_the_options_say(tmp_path, train):
    found = Image(tmp_path, retrieval(), train=train, test="queries", gallery="index.csv", sample_submission="sample.csv")
    found.write_sample(tmp_path)
    tables = Image(tmp_path, retrieval(), train=train, test="queries", gallery="index.csv", sample_submission="sample.csv").tables()
    assert (tables.truth is None) == (train == "") and len(tables.gallery) > len(tables.test) > 40
    assert all(Path(path).is_file() for frame in (tables.train, tables.test, tables.gallery) for path in frame["image"])
    if train:
        assert tables.truth["found"].value_counts().min() >= 4


def test_a_sample_of_an_open_set_has_test_rows_of_no_class(tmp_path):
    task = find("tasks", "multiclass")(target="kind", open_set=True, unknown="new", cells="labels")
    found = Image(tmp_path, task, train="train.csv", sample_submission="sample.csv")
    found.write_sample(tmp_path)
    tables = found.tables()
    assert (tables.truth["kind"] == "new").sum() == 8 and len(task.classes) == 24 and (task.encode(tables.truth) == -1).sum() == 8
    assert set(found.sample()["kind"].str.split().str.len()) == {5} and found.sample()["kind"].iloc[0].startswith("new ")
    assert len(found.check_sample(tables.test.index)) == 24 * 2 + 8 * 3


HEADERS = {
    "landmarks": {
        "index.csv": "id,url", "test.csv": "id,url", "sample_submission.csv": "id,images",
        "landmark-recognition-challenge/train.csv": "id,url,landmark_id", "landmark-recognition-challenge/test.csv": "id,url",
        "landmark-recognition-challenge/sample_submission.csv": "id,landmarks",
    },
    "landmark-recognition": {"train.csv": "id,url,landmark_id", "test.csv": "id,url", "sample_submission.csv": "id,landmarks"},
    "whale": {"train.csv": "Image,Id", "sample_submission.csv": "Image,Id"},
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_a_competitions_sample_has_its_exact_layout(tmp_path, name):
    open_competition(name).open_adapter(tmp_path).write_sample(tmp_path)
    files = [p.relative_to(tmp_path) for p in sorted(tmp_path.rglob("*")) if p.is_file()]
    assert {str(p): (tmp_path / p).read_text().split("\n")[0] for p in files if p.suffix == ".csv"} == HEADERS[name]
    digits = 8 if name == "whale" else 16
    assert all(p.suffix == ".csv" or (p.suffix == ".jpg" and len(p.stem) == digits and int(p.stem, 16) >= 0) for p in files)
    rows = pd.read_csv(tmp_path / "sample_submission.csv", dtype=str).iloc[:, 1]
    assert rows.str.fullmatch({"landmarks": r"[0-9a-f]{16}( [0-9a-f]{16}){2}", "whale": r"new_whale( w_[0-9a-f]{7}){4}"}.get(name, r"\d+ 0\.\d+")).all()


def test_what_cannot_be_had_any_more_is_in_the_lists_of_landmarks(tmp_path):
    open_competition("landmark-recognition").open_adapter(tmp_path).write_sample(tmp_path)
    for part in ("train", "test"):
        listed = pd.read_csv(tmp_path / f"{part}.csv", dtype=str, keep_default_na=False)
        missing = [id for id in listed["id"] if not (tmp_path / part / f"{id}.jpg").is_file()]
        assert missing == list(listed["id"][listed["url"] == "None"]) and len(missing) < 5
    assert (pd.read_csv(tmp_path / "train.csv", keep_default_na=False)["url"] == "None").any()

"""Pictures in JSON files: three dialects, one label or several, and all that can be wrong with them."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.adapters.image_json import ImageJson
from kit.competition import locate, open_competition
from kit.divided import split_rows
from kit.errors import ConfigError, DataError, KitError
from kit.folds import split
from kit.pictures import decode
from kit.registry import find
from kit.stores import Damaged
from kit.tables import Column

COCO = {
    "train.json": {
        "images": [{"id": 7, "file_name": "pics/a.jpg"}, {"id": 8, "file_name": "pics/b.jpg"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 0}, {"id": 2, "image_id": 8, "category_id": 3}],
        "categories": [{"id": 0, "name": "x", "supercategory": "s"}, {"id": 3, "name": "y"}],
    },
    "test.json": {"images": [{"id": 9, "file_name": "pics/c.jpg"}]},
}
FURNITURE = {
    "train.json": {
        "images": [{"image_id": 1, "url": ["http://x/1"]}, {"image_id": 2, "url": ["http://x/2"]}],
        "annotations": [{"image_id": 1, "label_id": 10}, {"image_id": 2, "label_id": 9}],
    },
    "validation.json": {
        "images": [{"image_id": 1, "url": ["http://x/3"]}, {"image_id": 3, "url": ["http://x/4"]}],
        "annotations": [{"image_id": 1, "label_id": 9}, {"image_id": 3, "label_id": 10}],
    },
    "test.json": {"images": [{"image_id": 1, "url": ["http://x/5"]}, {"image_id": 2, "url": ["http://x/6"]}]},
}
FASHION = {
    "train.json": {
        "info": {"year": 2018},
        "images": [{"url": "http://x/1", "imageId": "1"}, {"url": "http://x/2", "imageId": "2"}, {"url": "http://x/2", "imageId": "3"}],
        "annotations": [{"labelId": ["95", "66"], "imageId": "1"}, {"labelId": ["66"], "imageId": "2"}],
    },
    "test.json": {"images": [{"url": "http://x/3", "imageId": "1"}]},
}


def written(folder: Path, files: dict[str, object]) -> Path:
    for name, held in files.items():
        (folder / name).write_text(held if isinstance(held, str) else json.dumps(held))
    return folder


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def opened(folder: Path, kind: str = "multiclass", **options) -> ImageJson:
    return ImageJson(folder, find("tasks", kind)(target="label"), **options)


def relative(rows: pd.DataFrame, folder: Path) -> dict[str, str]:
    return {id: "" if pd.isna(path) else os.path.relpath(path, folder) for id, path in rows["image"].items()}


def truth(tables) -> dict[str, str]:
    return dict(zip(tables.truth["id"], tables.truth["label"]))


def wrong(folder: Path, kind: str = "multiclass", **options) -> list[str]:
    with pytest.raises(DataError) as error:
        opened(folder, kind, **options).tables()
    return str(error.value).split("\n")


# dialects


def test_coco_lists_say_where_pictures_lie_and_which_category_they_have(tmp_path):
    touch(written(tmp_path, COCO), "pics/a.jpg", "pics/c.jpg")
    tables = opened(tmp_path).tables()
    assert truth(tables) == {"7": "0", "8": "3"} and tables.schema == {"image": Column("image")}
    assert relative(tables.train, tmp_path) == {"7": "pics/a.jpg", "8": "pics/b.jpg"}
    assert relative(tables.test, tmp_path) == {"9": "pics/c.jpg"}


def test_file_names_may_lie_in_a_folder_that_the_config_names(tmp_path):
    touch(written(tmp_path, COCO), "images/train/pics/a.jpg", "images/test/pics/c.jpg")
    tables = opened(tmp_path, pictures="images/{part}/{file_name}").tables()
    assert relative(tables.train, tmp_path)["7"] == "images/train/pics/a.jpg" and relative(tables.test, tmp_path)["9"] == "images/test/pics/c.jpg"


def test_lists_of_urls_lead_to_the_pictures_that_a_script_fetched(tmp_path):
    touch(written(tmp_path, FURNITURE), "train/1.jpg", "validation/1.PNG", "test/2.jpeg")
    tables = opened(tmp_path, valid="validation.json").tables()
    assert truth(tables) == {"1": "10", "2": "9", "validation/1": "9", "validation/3": "10"}
    assert relative(tables.train, tmp_path) == {
        "1": "train/1.jpg",
        "2": "train/2.jpg",  # not fetched: named all the same
        "validation/1": "validation/1.PNG",
        "validation/3": "validation/3.jpg",
    }
    assert relative(tables.test, tmp_path) == {"1": "test/1.jpg", "2": "test/2.jpeg"}


def test_a_pattern_of_file_names_needs_file_names(tmp_path):
    written(tmp_path, FURNITURE)
    assert wrong(tmp_path, pictures="{part}/{file_name}") == ['input.pictures = "{part}/{file_name}", but the images have no file_name: expected a pattern of {id}']
    assert wrong(tmp_path, pictures="{part}/{name}.jpg")[0].startswith('input.pictures = "{part}/{name}.jpg": no column {name} (did you mean "file_name"?)')


def test_numbers_may_be_text_and_labels_lists(tmp_path):
    touch(written(tmp_path, FASHION), "train/1.jpg", "test/1.jpg")
    found = opened(tmp_path, kind="multilabel")
    tables = found.tables()
    assert truth(tables) == {"1": "95 66", "2": "66", "3": ""}  # none is legal
    assert found.task.classes == ["66", "95"]


def test_the_spelling_of_the_challenges_page_is_read_too(tmp_path):
    page = {"images": [{"image_id": 1, "url": ["u"]}, {"image_id": 2.0, "url": ["u"]}], "annotations": [{"image_id": 1, "label_id": [95, 66, 66]}, {"image_id": 2, "label_id": []}]}
    touch(written(tmp_path, {"train.json": page, "test.json": {"images": page["images"]}}), "train/1.jpg", "test/2.jpg")
    assert truth(opened(tmp_path, kind="multilabel").tables()) == {"1": "95 66", "2": ""}


def test_several_annotations_of_one_image_are_its_labels(tmp_path):
    more = [{"id": 3, "image_id": 7, "category_id": 3}, {"id": 4, "image_id": 7, "category_id": 0}]
    train = {**COCO["train.json"], "annotations": COCO["train.json"]["annotations"] + more}
    touch(written(tmp_path, {**COCO, "train.json": train}), "pics/a.jpg", "pics/c.jpg")
    assert truth(opened(tmp_path, kind="multilabel").tables()) == {"7": "0 3", "8": "3"}
    assert wrong(tmp_path) == ['train.json: 1 of 2 images have several labels, which output.task = "multilabel" is for; ids 7']


def test_a_packed_list_is_read(tmp_path):
    touch(written(tmp_path, COCO), "pics/a.jpg", "pics/c.jpg")
    (tmp_path / "train.json.gz").write_bytes(gzip.compress((tmp_path / "train.json").read_bytes()))
    (tmp_path / "train.json").unlink()
    assert truth(opened(tmp_path).tables()) == {"7": "0", "8": "3"}


# rows


def test_validation_rows_are_the_given_fold_and_stay_apart_from_training_rows_of_the_same_number(tmp_path):
    touch(written(tmp_path, FURNITURE), "train/1.jpg", "test/1.jpg")
    found = opened(tmp_path, valid="validation.json")
    tables = found.tables()
    (fold,) = split(split_rows(tables, found.task, "given"), scheme="given")
    assert list(tables.train.index[fold.valid]) == ["validation/1", "validation/3"] and list(tables.train.index[fold.train]) == ["1", "2"]


def test_validation_rows_of_other_numbers_keep_their_ids(tmp_path):
    held = {"images": [{"image_id": 5, "url": []}], "annotations": [{"image_id": 5, "label_id": 9}]}
    touch(written(tmp_path, {**FURNITURE, "validation.json": held}), "train/1.jpg", "test/1.jpg")
    assert list(opened(tmp_path, valid="validation.json").tables().train.index) == ["1", "2", "5"]


def test_every_row_of_the_sample_is_a_test_row(tmp_path):
    touch(written(tmp_path, {**FURNITURE, "sample.csv": "id,label\n2,9\n77,9\n"}), "train/1.jpg", "test/2.jpg")
    found = opened(tmp_path, sample_submission="sample.csv")
    tables = found.tables()
    assert relative(tables.test, tmp_path) == {"2": "test/2.jpg", "77": "test/77.jpg"}
    assert tables.notes == [
        "1 ids of sample.csv are not in test.json, and are rows all the same: 77",
        "1 images of test.json are not in sample.csv, so left out: 1",
    ]
    assert list(found.check_sample(tables.test.index)) == ["2", "77"]


def test_a_row_whose_file_no_list_names_has_no_picture(tmp_path):
    touch(written(tmp_path, {**COCO, "sample.csv": "id,label\n9,0\n10,0\n"}), "pics/a.jpg", "pics/c.jpg")
    assert relative(opened(tmp_path, sample_submission="sample.csv").tables().test, tmp_path) == {"10": "", "9": "pics/c.jpg"}


def test_a_sample_of_another_competition_is_an_error(tmp_path):
    touch(written(tmp_path, {**FURNITURE, "sample.csv": "id,label\nx,9\ny,9\n"}), "train/1.jpg")
    assert wrong(tmp_path, sample_submission="sample.csv")[0] == "none of the 2 ids of sample.csv is in test.json: x, y"


def test_without_any_picture_the_message_says_where_they_were_looked_for(tmp_path):
    written(tmp_path, FURNITURE)
    assert wrong(tmp_path)[0] == f"none of the 2 pictures of train.json is there: {tmp_path}/train/1.jpg, {tmp_path}/train/2.jpg"


def test_classes_are_learned_without_any_picture(tmp_path):
    found = opened(written(tmp_path, FURNITURE), valid="validation.json")
    assert set(found.truth(found.read_train())["label"]) == {"9", "10"}  # as grading does


def test_new_rows_are_those_of_a_new_list(tmp_path):
    touch(written(tmp_path, FURNITURE), "test/1.jpg")
    found = opened(tmp_path, sample_submission="sample.csv")
    found.follow(["id"], ["label"])
    assert relative(found.new_rows({"image": Column("image")}), tmp_path) == {"1": "test/1.jpg", "2": "test/2.jpg"}
    assert list(found.check_sample(pd.Index(["2", "1"]))) == ["1", "2"]


# what is wrong


def test_all_mistakes_of_all_files_are_said_at_once_with_counts(tmp_path):
    train = {
        "images": [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 3}, {"id": None}, {"id": True}],
        "annotations": [
            {"image_id": 1, "category_id": 5},
            {"image_id": 9, "category_id": 5},
            {"image_id": None, "category_id": 5},
            {"image_id": 2, "category_id": 1.5},
            {"image_id": 2, "category_id": 6},
        ],
        "categories": [{"id": 5}],
    }
    valid = {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}], "annotations": [{"image_id": 1, "category_id": 5}]}
    written(tmp_path, {"train.json": train, "validation.json": valid, "test.json": {"pictures": []}})
    assert wrong(tmp_path, valid="validation.json") == [
        'train.json: 2 of 6 images have no usable "id", such as None, True',
        "train.json: 1 of 6 images have an id of several others too, ids 1",
        "train.json: 2 of 5 annotations are of images that it does not list: 9, None",
        'train.json: 1 of 5 annotations have no usable "category_id", such as 1.5',
        "train.json: 1 of 3 images have no annotation, and each needs a label; ids 3",
        "train.json: 1 labels are the id of none of its 1 categories: 6",
        "validation.json: 1 of 2 images have no file_name as others do, ids 2",
        "validation.json: 1 of 2 images have no annotation, and each needs a label; ids 2",
        'test.json has no list of objects "images"; its keys are pictures',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [{"id": 1}, {"id"', "train.json is not JSON, line 1, column 29: Expecting ':' delimiter; is it whole? fetch it again"),
        ("", "train.json is not JSON, line 1, column 1: Expecting value; is it whole? fetch it again"),
        ("[" * 100_000, "train.json is not JSON, maximum recursion depth exceeded"),
        ("[1, 2]", 'train.json has no list of objects "images"; it is a list'),
        ('{"images": [1], "annotations": []}', 'train.json has no list of objects "images"; its keys are images, annotations'),
        ('{"images": []}', 'train.json has no list of objects "annotations"; its keys are images'),
        ('{"images": [], "annotations": []}', "train.json: images have none of the keys image_id, imageId, id: there are none"),
        ('{"images": [{"name": 1}], "annotations": [{"x": 1}]}', "train.json: images have none of the keys image_id, imageId, id: the first has name"),
        ('{"images": [{"id": 1}], "annotations": [{"x": 1}]}', "train.json: annotations have none of the keys image_id, imageId: the first has x"),
        ('{"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": []}]}', "none of the keys category_id, label_id, labelId: the first has image_id, bbox"),
    ],
)
def test_a_file_of_another_kind_is_said(tmp_path, text, said):
    written(tmp_path, {**FURNITURE, "train.json": text})
    assert said in "\n".join(wrong(tmp_path))


def test_bytes_that_are_no_text_are_said(tmp_path):
    written(tmp_path, FURNITURE)
    (tmp_path / "train.json").write_bytes(b'{"images": "\xff\xfe"}')
    assert "train.json is not JSON, 'utf-8' codec can't decode byte 0xff" in wrong(tmp_path)[0]


def test_a_missing_file_is_named(tmp_path):
    written(tmp_path, {"train.json": FURNITURE["train.json"]})
    assert wrong(tmp_path)[0] == f"no test.json in {tmp_path}"


def test_no_file_name_leads_out_of_the_data_folder(tmp_path):
    train = {**COCO["train.json"], "images": [{"id": 7, "file_name": "../a.jpg"}, {"id": 8, "file_name": "pics/b.jpg"}]}
    touch(written(tmp_path, {**COCO, "train.json": train}), "pics/b.jpg", "pics/c.jpg")
    assert wrong(tmp_path)[0] == "column 'file_name' names 1 pictures out of the data folder: ../a.jpg"


def test_labels_that_hold_the_separator_are_refused(tmp_path):
    train = {**FASHION["train.json"], "annotations": [{"imageId": "1", "labelId": ["long coat"]}]}
    written(tmp_path, {**FASHION, "train.json": train})
    assert wrong(tmp_path, kind="multilabel") == ["""train.json: 1 of 1 annotations have no usable "labelId", such as ['long coat']"""]


def test_annotations_are_one_target(tmp_path):
    with pytest.raises(ConfigError, match=r"output.target names 2 targets"):
        ImageJson(tmp_path, find("tasks", "multilabel")(target=["a", "b"]))


def test_annotations_of_the_test_pictures_are_not_used_and_told(tmp_path):
    held = {**COCO["test.json"], "annotations": [{"image_id": 9, "category_id": 0}]}
    touch(written(tmp_path, {**COCO, "test.json": held}), "pics/a.jpg", "pics/c.jpg")
    assert opened(tmp_path).tables().notes == ["test.json holds annotations: they are not used"]


# samples


@pytest.mark.parametrize(("kind", "options"), [("multiclass", {}), ("multilabel", {"valid": "val.json"}), ("binary", {"sample_submission": "s.csv", "pictures": "images/{part}/{file_name}"})])
def test_a_sample_in_cocos_form_reads_back(tmp_path, kind, options):
    found = opened(tmp_path, kind, **options)
    found.write_sample(tmp_path, rows=60)
    tables = found.tables()
    found.check_sample(tables.test.index)
    found.task.encode(tables.truth)
    assert len(tables.train) + len(tables.test) == 60 and not tables.notes


KEYS = {
    "furniture": ({"image_id", "url"}, {"image_id", "label_id"}, {"images", "annotations"}, int),
    "fashion": ({"imageId", "url"}, {"imageId", "labelId"}, {"info", "images", "annotations"}, list),
    "inaturalist": (
        {"id", "width", "height", "file_name", "license", "rights_holder"},
        {"id", "image_id", "category_id"},
        {"info", "images", "licenses", "categories", "annotations"},
        int,
    ),
}
SAMPLES = {"furniture": "sample_submission_randomlabel.csv", "fashion": "sample_submission.csv", "inaturalist": "kaggle_sample_submission.csv"}
FIRST = {"furniture": ["id,predicted", "1,1"], "fashion": ["image_id,label_id", "1,1 2"]}


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, Path]:
    folders = {}
    for name in KEYS:
        folders[name] = tmp_path_factory.mktemp(name)
        open_competition(str(locate(f"competitions/{name}"))).open_adapter(folders[name]).write_sample(folders[name])
    return folders


@pytest.mark.parametrize("name", KEYS)
def test_a_competitions_sample_has_its_exact_layout(samples, name):
    folder, (image, annotation, heading, label) = samples[name], KEYS[name]
    found = open_competition(str(locate(f"competitions/{name}"))).open_adapter(folder)
    held = {file: json.loads((folder / file).read_text()) for file in (found.train_file, found.valid_file, found.test_file)}
    train, valid, test = held.values()
    assert set(train) == heading and set(test) == heading - {"annotations", "categories"}
    assert set(train["images"][0]) == image and set(train["annotations"][0]) == annotation
    assert isinstance(train["annotations"][0][next(k for k in annotation if k in ("label_id", "labelId", "category_id"))], label)
    assert 120 <= len(train["images"]) <= 200 and len(valid["images"]) > 20 and len(test["images"]) > 30
    lines = (folder / SAMPLES[name]).read_text().split("\n")
    assert lines[:2] == FIRST.get(name, [lines[0], lines[1]]) and len(lines) == len(test["images"]) + 2
    if name == "inaturalist":
        assert lines[0] == "id,predicted" and lines[1].endswith(",0 1 2")
        assert {Path(i["file_name"]).parts[0] for i in train["images"]} == {"train_val2018"} and {len(Path(i["file_name"]).parts) for i in train["images"]} == {4}
        assert {i["file_name"].split("/")[0] for i in test["images"]} == {"test2018"}
    else:
        numbers = [int(i.get("image_id", i.get("imageId"))) for i in valid["images"]]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", KEYS)
def test_a_competitions_sample_loads_with_one_picture_missing_and_one_broken_off_in_each_part(samples, name):
    competition = open_competition(str(locate(f"competitions/{name}")))
    found = competition.open_adapter(samples[name])
    tables = found.tables()
    assert not tables.notes and (tables.roles["given"] == 0).sum() > 20
    kinds = {}
    for part, rows in (("train", tables.train), ("test", tables.test)):
        for path in rows["image"]:
            try:
                assert decode(path).shape == (40, 40, 3)
            except Damaged as damage:
                kinds.setdefault(part, []).append(damage.kind)
    assert {part: sorted(found) for part, found in kinds.items()} == {"train": ["missing", "truncated"], "test": ["missing", "truncated"]}
    assert len(found.task.classes) == (8 if name == "fashion" else 4)


@pytest.mark.parametrize("name", KEYS)
def test_a_competitions_submission_is_graded_as_it_was_written(samples, name, tmp_path):
    competition = open_competition(str(locate(f"competitions/{name}")))
    found, metric = competition.open_adapter(samples[name]), competition.metric()
    tables, needs = found.tables(), metric.needs(found.task.gives)
    raw = np.random.default_rng(0).dirichlet(np.ones(len(found.task.classes)), len(tables.test))
    predictions = found.task.decode(tables.test.index, raw)
    found.submission(predictions, {"threshold": 0.1}, needs).to_csv(tmp_path / "mine.csv", index=False)
    cells = pd.read_csv(tmp_path / "mine.csv", dtype=str, keep_default_na=False).iloc[:, 1].str.split()
    assert set(cells.str.len()) == {"furniture": {1}, "inaturalist": {3}}.get(name, set(cells.str.len()))
    read = found.read_submission(tmp_path / "mine.csv", needs)
    answers = pd.DataFrame({"id": tables.test.index, found.task.targets[0]: found.task.classes[1]})
    assert metric.score(found.task, answers, read, {}) == pytest.approx(metric.score(found.task, answers, predictions, {"threshold": 0.1}))


def test_grading_needs_no_pictures(samples, tmp_path):
    from kit.predict import grade

    competition = open_competition(str(locate("competitions/furniture")))
    for file in ("train.json", "validation.json", "test.json", SAMPLES["furniture"]):
        (tmp_path / file).write_bytes((samples["furniture"] / file).read_bytes())
    submitted = tmp_path / SAMPLES["furniture"]
    answers = tmp_path / "answers.csv"
    answers.write_text(submitted.read_text().replace(",1\n", ",1\n", 1).replace("2,1\n", "2,3\n", 1))
    rows = len(submitted.read_text().split("\n")) - 2
    assert grade(competition, submitted, answers, tmp_path) == pytest.approx(1 / rows)
    with pytest.raises(KitError, match=r"is missing in|lacks"):
        answers.write_text("id,predicted\n1,\n")
        grade(competition, submitted, answers, tmp_path)

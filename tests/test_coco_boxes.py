"""COCO's JSON and tables of boxes become rows with boxes; what is wrong with them is cut, counted, or told all at once."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.adapters.detection import Detection
from kit.errors import ConfigError, DataError
from kit.tasks.detection import Detection as Task

OPEN_IMAGES = {"ImageID": "id", "LabelName": "label", "XMin": "x1", "XMax": "x2", "YMin": "y1", "YMax": "y2"}
CATEGORIES = [{"id": 90, "name": "cat"}, {"id": 3, "name": "dog"}]


def pictures(folder, *names, side=(40, 30)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((side[1], side[0], 3), np.uint8)).save(folder / name)


def image(id, name, **more) -> dict:
    return {"id": id, "file_name": name, "width": 40, "height": 30, **more}


def box(id, image_id, bbox, category=3, **more) -> dict:
    return {"id": id, "image_id": image_id, "category_id": category, "bbox": bbox, "iscrowd": 0, "area": 1.0, **more}


def coco(path, images, annotations, categories=CATEGORIES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def adapter(root, *, inclusive=False, **options) -> Detection:
    return Detection(root, Task(target="boxes", inclusive=inclusive), **{"train": "train.json", "test": "test", **options})


@pytest.fixture
def folder(tmp_path):
    """Three pictures to learn from, one of them without a box, and one to search."""
    pictures(tmp_path / "train", "a.png", "b.png", "c.png")
    pictures(tmp_path / "test", "t.png")
    coco(tmp_path / "train.json", [image(70, "a.png"), image(8, "b.png"), image(9, "c.png")], [
        box(5, 8, [1, 2, 10, 20], 90), box(2, 70, [0.5, 0, 3.25, 4]), box(9, 8, [5, 5, 6, 6], iscrowd=1),
    ])  # fmt: skip
    return tmp_path


def test_ids_in_any_order_meet_and_a_picture_without_annotations_holds_nothing(folder):
    tables = adapter(folder).tables()
    assert tables.train.index.tolist() == ["70", "8", "9"] and tables.test.index.tolist() == ["t"]
    assert [path.split("/")[-1] for path in tables.train["image"]] == ["a.png", "b.png", "c.png"]
    a, b, c = tables.truth["boxes"]
    assert a.labels.tolist() == ["dog"] and a.boxes.tolist() == [[0.5, 0, 3.75, 4]]
    assert b.labels.tolist() == ["cat", "dog"] and b.boxes.tolist() == [[1, 2, 11, 22], [5, 5, 11, 11]]
    assert b.ignored.tolist() == [False, True] and len(c) == 0
    assert tables.notes == [] and list(tables.schema) == ["image"]


def test_of_files_that_count_the_last_pixel_a_box_ends_one_earlier(folder):
    assert adapter(folder, inclusive=True).tables().truth["boxes"].iloc[1].boxes[0].tolist() == [1, 2, 10, 21]


def test_pictures_may_be_called_by_their_files_and_boxes_by_ids_of_categories(folder):
    tables = adapter(folder, ids="file_name", labels="id").tables()
    assert tables.train.index.tolist() == ["a", "b", "c"] and tables.truth["boxes"].iloc[1].labels.tolist() == ["90", "3"]


def test_pictures_without_annotations_can_be_left_out(folder):
    tables = adapter(folder, unannotated="leave").tables()
    assert tables.train.index.tolist() == ["70", "8"] and "1 of 3 pictures of train.json have no annotation, left out: 9" in tables.notes


def test_several_files_are_learned_from_together_whatever_their_categories_ids(folder):
    coco(folder / "lists/train_1.json", [image(1, "a.png"), image(2, "b.png")], [box(1, 1, [0, 0, 5, 5], 1)], [{"id": 1, "name": "cat"}])
    coco(folder / "lists/train_2.json", [image(1, "a.png"), image(3, "c.png")], [box(1, 1, [9, 9, 5, 5], 1), box(2, 3, [0, 0, 5, 5], 2)], [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}])
    tables = adapter(folder, train="lists/train_*.json").tables()
    assert [own.labels.tolist() for own in tables.truth["boxes"]] == [["cat", "dog"], [], ["cat"]]
    with pytest.raises(DataError, match='1 category ids mean one thing in one file and another in the next: 1 is cat and dog; set input.labels = "name"'):
        adapter(folder, train="lists/train_*.json", labels="id").tables()


def test_an_id_of_two_pictures_in_two_files_is_refused_unless_they_are_called_by_their_files(folder):
    coco(folder / "train_1.json", [image(1, "a.png")], [box(1, 1, [0, 0, 5, 5])])
    coco(folder / "train_2.json", [image(1, "b.png")], [box(1, 1, [9, 9, 5, 5])])
    with pytest.raises(DataError, match='train_2.json: 1 ids are of other pictures in other files: 1; set input.ids = "file_name"'):
        adapter(folder, train="train_*.json").tables()
    assert adapter(folder, train="train_*.json", ids="file_name").tables().train.index.tolist() == ["a", "b"]


def test_boxes_are_cut_to_the_picture_and_those_of_no_size_or_place_are_counted(folder):
    coco(folder / "train.json", [image(1, "a.png"), image(2, "b.png")], [
        box(1, 1, [-3, 2, 60, 12]), box(2, 1, [9, 9, 0, 5]), box(3, 1, [9, 9, 5, -2]), box(4, 1, [50, 2, 5, 5]), box(5, 1, [38, 28, 2.5, 2.5]), box(6, 2, [0, 0, 40, 30]),
    ])  # fmt: skip
    tables = adapter(folder).tables()
    assert tables.truth["boxes"].iloc[0].boxes.tolist() == [[0, 2, 40, 14], [38, 28, 40, 30]]
    assert tables.notes == [
        "boxes of train.json that were dropped: 2 no wider or no higher than nothing, 1 outside the picture",
        "1 of 6 boxes of train.json reach beyond their picture, and were cut to it",
    ]


def test_a_file_whose_boxes_are_mostly_none_is_refused(folder):
    coco(folder / "train.json", [image(1, "a.png")], [box(1, 1, [20, 20, 0, 5]), box(2, 1, [90, 2, 5, 5]), box(3, 1, [1, 1, 5, 5])])
    with pytest.raises(DataError, match="2 of 3 boxes of train.json are none: 1 no wider.*1 outside the picture"):
        adapter(folder).tables()


def test_all_that_is_wrong_in_all_files_is_told_at_once(folder):
    coco(folder / "train_1.json", [image(1, "a.png"), image(1, "b.png"), image(None, "c.png")], [
        box(1, 1, [0, 0, 5, 5]), box(2, 77, [0, 0, 5, 5]), box(3, 1, [0, float("nan"), 5, 5]), box(4, 1, [0, 5, 5]), box(5, 1, [0, 0, 5, 5], 12),
    ])  # fmt: skip
    coco(folder / "train_2.json", [image(3, "a.png")], [], [{"id": 1, "name": "traffic light"}, {"id": 1, "name": ""}])
    (folder / "train_3.json").write_text('{"images": [}')
    (folder / "train_4.json").write_text('{"images": []}')
    with pytest.raises(DataError) as caught:
        adapter(folder, train="train_*.json").tables()
    for told in (
        'train_1.json: 1 of 3 images have no usable "id", such as None', "train_1.json: 1 of 3 images have an id of several others too, ids 1",
        "train_1.json: 1 of 5 annotations are of images that it does not list: 77",
        'train_1.json: 2 of 5 annotations have no "bbox" of four finite numbers [x, y, width, height], such as [0, NaN, 5, 5], [0, 5, 5]',
        'train_1.json: 1 of 2 category ids of annotations are none of "categories": 12',
        "train_2.json: 1 of 2 categories have an id of several others too, ids 1", "train_2.json: 1 of 2 categories have no name, ids 1",
        "train_3.json is not JSON, line 1, column 13", 'train_4.json has no list of objects "annotations"; its keys are images',
    ):  # fmt: skip
        assert told in str(caught.value)


def test_names_of_two_words_cannot_stand_in_a_cell(folder):
    coco(folder / "train.json", [image(1, "a.png"), image(2, "b.png")], [box(1, 1, [0, 0, 5, 5])], [{"id": 3, "name": "traffic light"}])
    with pytest.raises(DataError, match="""1 labels hold a space.*'traffic light'; set input.labels = "id\""""):
        adapter(folder).tables()
    assert adapter(folder, labels="id").tables().truth["boxes"].iloc[0].labels.tolist() == ["3"]


def test_annotations_that_are_there_twice_count_once_and_shared_ids_are_told(folder):
    coco(folder / "train.json", [image(1, "a.png"), image(2, "b.png")], [box(1, 1, [0, 0, 5, 5]), box(1, 1, [0, 0, 5, 5]), box(1, 1, [9, 9, 5, 5])])
    tables = adapter(folder).tables()
    assert len(tables.truth["boxes"].iloc[0]) == 2
    assert tables.notes == ["train.json: 1 of 3 annotations repeat another one, id, box and all, so left out", "train.json: 1 of 3 annotations have the id of another box, and are boxes all the same"]


def test_test_pictures_may_be_listed_in_json_and_a_sample_says_which_count(folder):
    pictures(folder / "test", "u.png")
    (folder / "test.json").write_text(json.dumps({"images": [image(4, "t.png"), image(30, "u.png")]}))
    assert adapter(folder, test="test.json").tables().test.index.tolist() == ["30", "4"]
    (folder / "sample.csv").write_text("ImageId,boxes\n4,\n99,\n")
    tables = adapter(folder, test="test.json", sample_submission="sample.csv").tables()
    assert tables.test.index.tolist() == ["4", "99"] and tables.test["image"].isna().tolist() == [False, True]
    assert any("1 ids of sample.csv are not in test.json, and are rows all the same: 99" in note for note in tables.notes)


def test_keys_of_images_may_be_groups(folder):
    coco(folder / "train.json", [image(1, "a.png", place="x"), image(2, "b.png", place="y")], [box(1, 1, [0, 0, 5, 5])])
    tables = adapter(folder, columns={"group": ["place"]}).tables()
    assert tables.roles["group"].tolist() == ["x", "y"] and list(tables.schema) == ["image"]
    with pytest.raises(DataError, match='input.columns: images of train.json have no "plaec".*did you mean "place"'):
        adapter(folder, columns={"group": ["plaec"]}).tables()


def test_answers_may_be_coco_json(folder):
    truth = adapter(folder).answers(folder / "train.json")
    assert truth["id"].tolist() == ["70", "8", "9"] and [len(own) for own in truth["boxes"]] == [1, 2, 0]


# --- tables ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells, text, units", [
    ({"label": "label", "x1": "x1", "y1": "y1", "x2": "x2", "y2": "y2"}, "ImageId,label,x1,y1,x2,y2\na,dog,4,6,20,15\na,cat,0,0,10,30\nb,dog,1,1,2,3\n", "pixels"),
    ({"kind": "label", "l": "x1", "t": "y1", "w": "width", "h": "height"}, "ImageId,kind,l,t,w,h\na,dog,4,6,16,9\na,cat,0,0,10,30\nb,dog,1,1,1,2\n", "pixels"),
    (OPEN_IMAGES, "ImageID,LabelName,XMin,XMax,YMin,YMax\na,dog,.1,.5,.2,.5\na,cat,0,.25,0,1\nb,dog,.025,.05,.0333333333,.1\n", "shares"),
    ({"source": "label", "bbox": "x1 y1 width height"}, 'ImageId,bbox,source\na,"[4.0, 6.0, 16.0, 9.0]",dog\na,"[0, 0, 10, 30]",cat\nb,"[1, 1, 1, 2]",dog\n', "pixels"),
    ({"all": "label x1 y1 width height"}, "ImageId,all\na,dog 4 6 16 9 cat 0 0 10 30\nb,dog 1 1 1 2\n", "pixels"),
], ids=["corners", "sizes", "shares", "one cell a box", "one cell a picture"])  # fmt: skip
def test_tables_of_all_layouts_say_the_same(folder, cells, text, units):
    (folder / "train.csv").write_text(text)
    tables = adapter(folder, train="train.csv", cells=cells, units=units).tables()
    a, b = tables.truth["boxes"]
    assert tables.train.index.tolist() == ["a", "b"] and a.labels.tolist() == ["dog", "cat"] and b.labels.tolist() == ["dog"]
    assert np.allclose(a.boxes, [[4, 6, 20, 15], [0, 0, 10, 30]]) and np.allclose(b.boxes, [[1, 1, 2, 3]], atol=1e-6)
    assert any("1 pictures in" in note and "are named by no row of train.csv, left out" in note for note in tables.notes)


def test_shares_and_sizes_end_one_earlier_where_the_last_pixel_counts_and_corners_are_as_they_are(folder):
    (folder / "train.csv").write_text("ImageId,label,x1,y1,x2,y2\na,dog,0,0,39,29\nb,,,,,\n")
    assert adapter(folder, train="train.csv", inclusive=True).tables().truth["boxes"].iloc[0].boxes.tolist() == [[0, 0, 39, 29]]
    (folder / "train.csv").write_text("ImageId,label,x1,y1,x2,y2\na,dog,0,0,1,1\nb,,,,,\n")
    assert adapter(folder, train="train.csv", units="shares", inclusive=True).tables().truth["boxes"].iloc[0].boxes.tolist() == [[0, 0, 39, 29]]


def test_blank_rows_and_pictures_that_no_row_names_may_hold_nothing(folder):
    (folder / "train.csv").write_text("ImageId,label,x1,y1,x2,y2\na,dog,4,6,20,15\nb,none,,,,\n")
    tables = adapter(folder, train="train.csv", unannotated="empty").tables()
    assert tables.train.index.tolist() == ["a", "b", "c"] and [len(own) for own in tables.truth["boxes"]] == [1, 0, 0]
    with pytest.raises(ConfigError, match='input.unannotated = "empty".*does not tell which pictures are of train.csv'):
        adapter(folder, train="train.csv", unannotated="empty", pictures="train/{id}.png").tables()


def test_boxes_of_one_class_need_no_column_of_it_and_endings_may_stand_in_ids(folder):
    (folder / "train.csv").write_text("image,x,y,w,h,flag\na.png,4,6,16,9,0\nb.png,1,1,4,4,1\n")
    cells = {"image": "id", "x": "x1", "y": "y1", "w": "width", "h": "height", "flag": "ignored"}
    truth = adapter(folder, train="train.csv", cells=cells, one_label="wheat").tables().truth
    assert truth["id"].tolist() == ["a.png", "b.png"] and [own.labels.tolist() for own in truth["boxes"]] == [["wheat"], ["wheat"]]
    assert [own.ignored.tolist() for own in truth["boxes"]] == [[False], [True]]


def test_a_table_is_refused_with_all_that_is_wrong_in_it(folder):
    (folder / "train.csv").write_text('ImageId,label,x1,y1,x2,y2\na,dog,left,6,20,15\na,,4,6,20,15\nb,"hot dog",1,1,5,5\n,dog,1,1,5,5\nb,dog,1,,5,5\n')
    with pytest.raises(DataError) as caught:
        adapter(folder, train="train.csv").tables()
    for told in ("1 rows have no ImageId", "2 rows have no finite number in x1, y1, x2, y2, such as a: left, 6", "1 boxes have no label", "1 labels hold a space"):
        assert told in str(caught.value)
    (folder / "train.csv").write_text("ImageId,all\na,dog 4 6 16\nb,dog 1 1 1 2\n")
    with pytest.raises(DataError, match="1 cells of column all are not \"label x1 y1 width height\": a: 'dog 4 6 16'"):
        adapter(folder, train="train.csv", cells={"all": "label x1 y1 width height"}).tables()
    with pytest.raises(DataError, match='(?s)train.csv has no column "x1".*input.cells says what columns hold'):
        adapter(folder, train="train.csv", cells={"all": "label", "x1": "x1 y1 x2 y2"}).tables()


@pytest.mark.parametrize("row, units, told", [("a,dog,.1,.2,.5,.5", "pixels", 'set input.units = "shares"'), ("a,dog,4,6,20,15", "shares", 'beyond any share.*set input.units = "pixels"')])
def test_corners_in_other_units_than_are_said_are_told(folder, row, units, told):
    (folder / "train.csv").write_text(f"ImageId,label,x1,y1,x2,y2\n{row}\n")
    with pytest.raises(DataError, match=told):
        adapter(folder, train="train.csv", units=units).tables()


def test_pictures_that_cannot_be_measured_are_told(folder):
    (folder / "train/b.png").write_bytes(b"broken")
    (folder / "train.csv").write_text("ImageId,label,x1,y1,x2,y2\na,dog,0,0,.5,.5\nb,dog,0,0,.5,.5\nc,,,,,\n")
    tables = adapter(folder, train="train.csv", units="shares").tables()
    assert tables.train.index.tolist() == ["a", "c"] and any("1 of 3 pictures cannot be measured, left out" in note for note in tables.notes)
    (folder / "train.csv").write_text("ImageId,label,x1,y1,x2,y2\nx,dog,0,0,.5,.5\n")
    with pytest.raises(DataError, match="none of the 1 pictures can be read"):
        adapter(folder, train="train.csv", units="shares").tables()


def test_options_that_do_nothing_or_do_not_go_together_are_refused_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        adapter(tmp_path, boxes="A/{id}.xml", clips=True, units="shares", one_label="x")
    assert all(f"input.{key} is for a" in str(caught.value) for key in ("boxes", "clips", "units", "one_label"))
    with pytest.raises(ConfigError) as caught:
        adapter(tmp_path, train="train.csv", ids="file_name", labels="id", cells={"a": "label x1", "b": "y1", "c": "widht", "d": "x2 y2", "e": "height"})
    for told in ("input.ids is for a JSON file", "input.labels is for a JSON file", 'input.cells: "widht" is not what a cell may hold', 'did you mean "width"', 'names both "y2" and "height"', "groups of column a repeat"):
        assert told in str(caught.value)
    with pytest.raises(ConfigError, match='input.train = "train": expected a list'):
        adapter(tmp_path, train="train")
    with pytest.raises(ConfigError, match='input.cells names no column for "label": if all boxes are of one class, input.one_label'):
        adapter(tmp_path, train="train.csv", cells={"b": "x1 y1 x2 y2"})


@pytest.mark.parametrize("options, parts", [
    ({"train": "annotations/instances_train2017.json", "valid": "annotations/instances_val2017.json", "test": "test2017"}, ["train2017", "val2017", "test2017"]),
    ({"train": "train/_annotations.coco.json", "valid": "valid/_annotations.coco.json", "test": "test/_annotations.coco.json"}, ["train", "valid", "test"]),
    ({"train": "latest.csv", "valid": "held.csv", "test": "test.csv"}, ["train", "validation", "test"]),
    ({"train": "ImageSets/train_1.txt", "valid": "ImageSets/val.txt", "test": "ImageSets/test.txt"}, ["train", "val", "test"]),
])  # fmt: skip
def test_the_part_of_a_pattern_is_the_word_of_the_name_or_its_folder(tmp_path, options, parts):
    made = adapter(tmp_path, **options)
    assert [made._part(part) for part in ("train", "validation", "test")] == parts


@pytest.mark.parametrize("options", [
    {"train": "train.json", "valid": "val.json", "test": "test.json"},
    {"train": "train.csv", "cells": OPEN_IMAGES, "units": "shares", "test": "test.csv"},
    {"train": "train.csv", "cells": {"all": "label x1 y1 x2 y2"}},
    {"train": "train.csv", "cells": {"kind": "label", "bbox": "x1 y1 width height"}},
], ids=lambda options: str(options.get("cells", "json"))[:30])  # fmt: skip
def test_a_sample_is_in_the_layout_that_the_config_says_and_holds_the_same_boxes(tmp_path, options):
    made = adapter(tmp_path, sample_submission="sample.csv", **options)
    made.write_sample(tmp_path, rows=6)
    tables = made.tables()
    assert len(tables.test) == 2 and len(tables.train) == (8 if "valid" in options else 6)
    other = adapter(tmp_path / "lists", inclusive=True, train="ImageSets/train.txt", test="ImageSets/test.txt")
    other.write_sample(tmp_path / "lists", rows=6)
    drawn, read = ([own for own in some.truth["boxes"]][:6] for some in (other.tables(), tables))
    by_size = lambda found: sorted(np.concatenate([own.boxes for own in found]).round(3).tolist())  # noqa: E731
    if "valid" not in options:
        assert np.allclose(by_size(read), np.array(by_size(drawn)) + [0, 0, 1, 1], atol=1e-3)
    assert pd.read_csv(tmp_path / "sample.csv").columns.tolist() == ["ImageId", "boxes"]

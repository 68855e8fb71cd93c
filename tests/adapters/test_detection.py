"""Lists of pictures and VOC annotations become rows with boxes; clips become frames; what is wrong is counted or told."""

import numpy as np
import pytest
from PIL import Image

from kit.adapters._voc import text
from kit.adapters.detection import Detection
from kit.errors import ConfigError, DataError
from kit.found import Found
from kit.tasks.detection import Detection as Task


def picture(path, side=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((side[1], side[0], 3), np.uint8)).save(path, format="JPEG")


def written(root, ids, part="train", *, annotated=True, boxes=None):
    for id in ids:
        picture(root / f"Data/{part}/{id}.JPEG")
        if annotated:
            path = root / f"Annotations/{part}/{id}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(["dog"], boxes or [[1, 2, 10, 12]], 40, 30))


def lists(root, **named):
    for name, lines in named.items():
        path = root / f"ImageSets/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))


def adapter(root, *, inclusive=True, **options) -> Detection:
    return Detection(root, Task(target="boxes", inclusive=inclusive), **options)


def test_lists_become_rows_each_once_whatever_stands_behind_an_id(tmp_path):
    written(tmp_path, ["a/1", "a/2"])
    written(tmp_path, ["t1"], "test", annotated=False)
    lists(tmp_path, train_1=["a/1 1", "a/2 -1"], train_2=["a/1 0", "", "a/2 1"], test=["t1 1"])
    tables = adapter(tmp_path, train="ImageSets/train_*.txt").tables()
    assert tables.train.index.tolist() == ["a/1", "a/2"] and tables.test.index.tolist() == ["t1"]
    assert tables.train["image"].iloc[0].endswith("Data/train/a/1.JPEG")
    found = tables.truth["boxes"].iloc[0]
    assert found.labels.tolist() == ["dog"] and found.boxes.tolist() == [[1, 2, 10, 12]]


def test_a_list_that_names_clips_becomes_their_frames_which_share_a_group(tmp_path):
    written(tmp_path, [f"c{k}/{n:06d}" for k in (0, 1) for n in range(4)])
    written(tmp_path, ["v/000000", "v/000001"], "val")
    written(tmp_path, ["t/000000"], "test", annotated=False)
    lists(tmp_path, train=["c0 1", "c1 1"], val=["v/000000 1", "v/000001 2"], test=["t/000000 1"])
    tables = adapter(tmp_path, clips=True, every=2, valid="ImageSets/val.txt").tables()
    assert tables.train.index.tolist() == ["c0/000000", "c0/000002", "c1/000000", "c1/000002", "v/000000", "v/000001"]
    assert tables.roles["group"].tolist() == ["c0", "c0", "c1", "c1", "v", "v"] and tables.roles["given"].tolist() == [-1, -1, -1, -1, 0, 0]
    assert tables.truth["boxes"].iloc[0].clip == "c0"
    assert list(tables.schema) == ["image"]


def test_only_training_clips_are_thinned(tmp_path):
    written(tmp_path, [f"c/{n}" for n in range(4)])
    written(tmp_path, [f"v/{n}" for n in range(4)], "val")
    written(tmp_path, [f"t/{n}" for n in range(4)], "test", annotated=False)
    lists(tmp_path, train=["c"], val=["v"], test=["t"])
    tables = adapter(tmp_path, clips=True, every=3, valid="ImageSets/val.txt").tables()
    assert tables.train.index.tolist() == ["c/0", "c/3", "v/0", "v/1", "v/2", "v/3"] and tables.test.index.tolist() == ["t/0", "t/1", "t/2", "t/3"]


@pytest.mark.parametrize("unannotated, rows, told", [("leave", ["1", "3"], "left out"), ("empty", ["1", "2", "3"], "nothing to find")])
def test_pictures_without_an_annotation_are_told(tmp_path, unannotated, rows, told):
    written(tmp_path, ["1", "3"])
    picture(tmp_path / "Data/train/2.JPEG")
    written(tmp_path, ["t"], "test", annotated=False)
    lists(tmp_path, train=["1", "2", "3"], test=["t"])
    tables = adapter(tmp_path, unannotated=unannotated).tables()
    assert tables.train.index.tolist() == rows
    assert any("1 of 3 pictures" in note and told in note for note in tables.notes)


def test_boxes_are_cut_to_the_picture_and_those_of_no_size_or_place_are_counted(tmp_path):
    written(tmp_path, ["1", "2"])
    (tmp_path / "Annotations/train/1.xml").write_text(text(["dog"] * 4, [[-3, 2, 50, 12], [9, 9, 5, 12], [60, 2, 70, 12], [7, 7, 7, 7]], 40, 30))
    written(tmp_path, ["t"], "test", annotated=False)
    lists(tmp_path, train=["1", "2"], test=["t"])
    tables = adapter(tmp_path).tables()
    assert tables.truth["boxes"].iloc[0].boxes.tolist() == [[0, 2, 39, 12], [7, 7, 7, 7]]
    assert any("1 no wider or no higher than nothing, 1 outside the picture" in note for note in tables.notes)


def test_corners_beyond_their_boxes_are_read_as_such(tmp_path):
    written(tmp_path, ["1"], boxes=[[0, 0, 40, 30]])
    written(tmp_path, ["2"])
    (tmp_path / "Annotations/train/2.xml").write_text(text(["dog"] * 4, [[7, 7, 7, 9], [30, 20, 45, 33], [40, 2, 50, 9], [7, 7, 8, 8]], 40, 30))
    written(tmp_path, ["t"], "test", annotated=False)
    lists(tmp_path, train=["1", "2"], test=["t"])
    tables = adapter(tmp_path, inclusive=False).tables()
    assert [found.boxes.tolist() for found in tables.truth["boxes"]] == [[[0, 0, 40, 30]], [[30, 20, 40, 30], [7, 7, 8, 8]]]
    assert any("1 no wider or no higher than nothing, 1 outside the picture" in note for note in tables.notes)


def test_a_sample_counts_corners_as_the_config_says(tmp_path):
    found = []
    for inclusive in (True, False):
        made = adapter(tmp_path / str(inclusive), inclusive=inclusive)
        made.write_sample(made.data, rows=6)
        found.append([own.boxes for own in made.tables().truth["boxes"]])
    assert all(np.array_equal(closed + [0, 0, 1, 1], beyond) for closed, beyond in zip(*found))


def test_a_difficult_object_is_ignored(tmp_path):
    written(tmp_path, ["1"])
    path = tmp_path / "Annotations/train/1.xml"
    path.write_text(path.read_text().replace("<name>dog</name>", "<name>dog</name><difficult>1</difficult>", 1))
    written(tmp_path, ["2"])
    written(tmp_path, ["t"], "test", annotated=False)
    lists(tmp_path, train=["1", "2"], test=["t"])
    assert [found.ignored.tolist() for found in adapter(tmp_path).tables().truth["boxes"]] == [[True], [False]]


def test_all_annotations_that_cannot_be_used_are_told(tmp_path):
    written(tmp_path, ["1", "2", "3", "4"])
    (tmp_path / "Annotations/train/1.xml").write_text("<annotation><obj")
    (tmp_path / "Annotations/train/2.xml").write_text("<annotation><object><name>dog</name></object></annotation>")
    (tmp_path / "Annotations/train/3.xml").write_text(text(["dog"], [["left", 2, 3, 4]], 40, 30))
    lists(tmp_path, train=["1", "2", "3", "4"], test=["t"])
    with pytest.raises(DataError, match="(?s)3 annotations.*1.xml is not XML.*2.xml has an object without name or bndbox.*3.xml says xmin = 'left'"):
        adapter(tmp_path).tables()


def test_missing_lists_and_missing_annotations_say_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="no list ImageSets/train.txt"):
        adapter(tmp_path).tables()
    lists(tmp_path, train=["1"], test=["t"])
    picture(tmp_path / "Data/train/1.JPEG")
    with pytest.raises(DataError, match="none of the 1 pictures of ImageSets/train.txt has an annotation: expected Annotations/train/1.xml"):
        adapter(tmp_path).tables()
    with pytest.raises(ConfigError, match="input.every = 0"):
        adapter(tmp_path, every=0)


def test_answers_are_groups_without_scores_and_a_blank_is_nothing(tmp_path):
    (tmp_path / "answers.csv").write_text("ImageId,boxes\nb,dog 1 2 3 4 cat 0 0 9 9\na,\n")
    truth = adapter(tmp_path).answers(tmp_path / "answers.csv")
    assert truth["id"].tolist() == ["a", "b"] and [len(found) for found in truth["boxes"]] == [0, 2]
    assert isinstance(truth["boxes"].iloc[0], Found)

"""Instance pictures become objects, and objects rows of a submission and back."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit import pipeline
from kit.adapters import _instances
from kit.adapters._instances import Values, gathered
from kit.adapters.segmentation import Segmentation
from kit.competition import open_competition
from kit.errors import ConfigError, DataError
from kit.predictions import Predictions
from kit.registry import find
from kit.tasks.segmentation import Segmentation as Task

CELLS = {"Label": "label", "Pixels": "pixels", "Sure": "score", "Runs": "mask"}
BACKGROUND = np.zeros((2, 4), np.uint16)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def data(tmp_path) -> Path:
    """Three frames of two clips to learn from, one to test; 4 x 2 pixels."""
    frames = {"a1": [[1001, 1001, 0, 7], [0, 2001, 2001, 255]], "a2": [[1001, 1002, 0, 0], [0, 0, 0, 0]], "b1": [[0, 0, 3001, 0], [0, 0, 0, 0]]}
    for name, values in frames.items():
        save(tmp_path / f"train/{name}.png", np.full((2, 4, 3), 90, np.uint8))
        save(tmp_path / f"values/{name}_ids.png", np.array(values, dtype=np.uint16))
    for name in ("t1", "t2"):
        save(tmp_path / f"test/{name}.png", np.full((2, 4, 3), 90, np.uint8))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/first.txt").write_text("train\\a1.png\tvalues\\a1_ids.png\ntrain\\a2.png\n")
    (tmp_path / "lists/second.txt").write_text("b1.png\n\n")
    (tmp_path / "sample.csv").write_text("Id,Pixels,Label,Sure,Runs\nt1,1,1,1,0 1|\nt1,1,1,1,1 1|\n")
    return tmp_path


def adapter(data: Path, task: Task | None = None, **options) -> Segmentation:
    told = {"id": "Id", "labels": "values/{id}_ids.png", "ignored": [255], "groups": {"7": "2"}, "clips": "lists", "cells": CELLS, "sample_submission": "sample.csv", "clip": "Clip"}
    return Segmentation(data, task or Task(target="Runs", disjoint=True), **{**told, **options})


def objects(found) -> list[tuple]:
    return [(label, mask.starts.tolist(), mask.lengths.tolist(), bool(ignored)) for label, mask, ignored in zip(found.labels, found.masks, found.ignored)]


def test_values_become_objects_and_regions_to_ignore(data):
    tables = adapter(data).tables()
    assert tables.truth["id"].tolist() == ["a1", "a2", "b1"]
    first, second, third = tables.truth["Runs"]
    assert objects(first) == [("2", [3], [1], True), ("", [7], [1], True), ("1", [0], [2], False), ("2", [5], [2], False)]
    assert objects(second) == [("1", [0], [1], False), ("1", [1], [1], False)]
    assert objects(third) == [("3", [2], [1], False)]
    assert first.boxes.tolist() == [[3, 0, 4, 1], [3, 1, 4, 2], [0, 0, 2, 1], [1, 1, 3, 2]]


def test_frames_of_a_clip_are_a_group(data):
    tables = adapter(data).tables()
    assert tables.roles["group"].tolist() == ["first", "first", "second"]
    assert [found.clip for found in tables.truth["Runs"]] == ["first", "first", "second"]
    assert list(tables.schema) == ["image"] and tables.test.index.tolist() == ["t1", "t2"]


def test_frames_that_no_list_names_count_as_one_clip_and_are_told(data):
    (data / "lists/second.txt").unlink()
    tables = adapter(data).tables()
    assert tables.roles["group"].tolist() == ["first", "first", ""]
    assert "1 training pictures are in no list of lists, and count as one clip: b1" in tables.notes


def test_a_frame_of_two_clips_is_an_error(data):
    (data / "lists/third.txt").write_text("b1.png\n")
    with pytest.raises(DataError, match="1 frames are in two lists of .*lists: b1"):
        adapter(data).tables()


def test_without_lists_frames_are_pictures(data):
    assert "group" not in adapter(data, clips="").tables().roles


def test_training_pictures_without_values_are_left_out_and_told(data):
    (data / "values/a2_ids.png").unlink()
    tables = adapter(data, most_damaged=0.5).tables()
    assert tables.train.index.tolist() == tables.truth["id"].tolist() == tables.roles["group"].index.tolist() == ["a1", "b1"]
    assert "1 of 3 training pictures have no instance picture that can be read, so left out: values/a2_ids.png: missing" in tables.notes


def test_too_many_pictures_without_values_are_an_error(data):
    (data / "values/a2_ids.png").unlink()
    (data / "values/b1_ids.png").write_bytes((data / "values/b1_ids.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"2 of 3 instance pictures cannot be used: values/a2_ids.png: missing, values/b1_ids.png: not a whole picture\n"):
        adapter(data).tables()


def test_values_in_colours_are_damage(data):
    save(data / "values/a1_ids.png", np.zeros((2, 4, 3), np.uint8))
    with pytest.raises(DataError, match="a1_ids.png: in colours \\(RGB\\), where a pixel should be one number"):
        adapter(data).tables()


def test_values_are_read_once_and_kept(data, tmp_path, monkeypatch):
    made = adapter(data)
    made.cache = tmp_path / "cache"
    before = made.tables().truth["Runs"]
    assert len(list(made.cache.iterdir())) == 1
    monkeypatch.setattr(_instances, "read", lambda path: pytest.fail("read again"))
    after = made.tables().truth["Runs"]
    assert [objects(found) for found in after] == [objects(found) for found in before]
    assert [found.boxes.tolist() for found in after] == [found.boxes.tolist() for found in before]


def test_what_is_kept_is_read_anew_when_a_file_changes(data, tmp_path):
    paths, values = [str(data / "values/a1_ids.png")], Values(1000, frozenset(), {})
    how = {"folder": tmp_path / "cache", "threads": 2, "progress": lambda line: None}
    gathered(paths, values, **how)
    save(data / "values/a1_ids.png", BACKGROUND + 5000)
    found, damage = gathered(paths, values, **how)
    assert objects(found[0]) == [("5", [0], [8], False)] and not damage


def predicted(made: Segmentation):
    frame = pd.DataFrame({"id": ["t2", "t2"], "label": ["1", "2"], "score": [0.9, 0.25], "rle": ["0 2|5 1|", "6 2|"]})
    return Predictions.many(["t1", "t2"], frame)


def test_a_submission_has_a_row_an_object_in_the_samples_columns(data):
    made = adapter(data)
    assert made.layout("masks") == (["Id"], ["Pixels", "Label", "Sure", "Runs"])
    frame = made.submission(predicted(made), {}, "masks")
    assert frame.columns.tolist() == ["Id", "Pixels", "Label", "Sure", "Runs"]
    assert frame.to_numpy().tolist() == [["t2", 3, "1", 0.9, "0 2|5 1|"], ["t2", 2, "2", 0.25, "6 2|"]]


@pytest.mark.parametrize("dialect", ["rows_from_0", "columns_from_1", "coco_counts", "coco"])
def test_a_submission_comes_back_in_every_dialect(data, dialect):
    made = adapter(data, dialect=dialect)
    given = predicted(made)
    path = data / "submission.csv"
    made.submission(given, {}, "masks").to_csv(path, index=False)
    back = made.read_submission(path, "masks")
    assert back.ids.tolist() == ["t1", "t2"] and back.rows.to_numpy().tolist() == given.rows.to_numpy().tolist()


def test_columns_of_a_submission_are_found_by_name(data):
    (data / "given.csv").write_text("Runs,Sure,Label,Pixels,Id\n0 2|,0.5,1,2,t1\n")
    assert adapter(data).read_submission(data / "given.csv", "masks").rows.to_numpy().tolist() == [["t1", "1", 0.5, "0 2|"]]


def test_all_that_is_wrong_in_a_submission_is_said_at_once(data):
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt1,1,2,high,0 2|\nt2,1,2,0.5,0 2|1 1|\nt2,1,1,0.5,x\n")
    with pytest.raises(DataError) as error:
        adapter(data).read_submission(data / "given.csv", "masks")
    assert "2 masks of" in str(error.value) and "t2: '0 2|1 1|' is no mask in dialect rows_from_0: two runs share a pixel" in str(error.value)
    assert "column Sure is not a finite number in 1 rows: ids t1" in str(error.value)


def test_a_submission_is_read_as_it_is_written(data):
    lines = ["t1,1,4,0.0000004,0 4|", "t1,1,4,0.0000001,2 4|", "t1,2,1,0.9,7 1|", "t1,2,0,0.8,"]
    (data / "given.csv").write_text("\n".join(["Id,Label,Pixels,Sure,Runs", *lines]) + "\n")
    read = adapter(data, Task(target="Runs", disjoint=True, least_score=0.5, most=1)).read_submission(data / "given.csv", "masks")
    assert read.rows.to_numpy().tolist() == [["t1", "1", 4e-7, "0 4|"], ["t1", "1", 1e-7, "2 4|"], ["t1", "2", 0.9, "7 1|"]]  # what has no pixel is no object
    assert read.ids.tolist() == ["t1", "t2"]


@pytest.mark.parametrize("dialect", ["rows_from_0", "columns_from_1"])
def test_ids_of_no_picture_are_refused_in_grading(data, dialect):
    (data / "answers.csv").write_text("Id,Label,Pixels,Runs\nt2,1,2,1 2\n")
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt1.png,1,2,0.5,1 2\nt2.png,1,2,0.5,1 2\n")
    made = adapter(data, dialect=dialect)
    made.answers(data / "answers.csv")
    with pytest.raises(DataError, match=r"2 ids of .*given.csv are of no picture to find anything in: t1.png, t2.png\nexpected ids like t1, t2, the names"):
        made.read_submission(data / "given.csv", "masks")


def test_without_the_test_pictures_ids_are_refused_where_the_answers_know_none(data):
    (data / "answers.csv").write_text("Id,Label,Pixels,Runs\nt2,1,2,0 2|\n")
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt2.png,1,2,0.5,0 2|\n")
    made = adapter(data, test="elsewhere")
    made.answers(data / "answers.csv")
    with pytest.raises(DataError, match=r"1 ids of .*given.csv are of no picture .*: t2.png\nexpected ids like t2, the names"):
        made.read_submission(data / "given.csv", "masks")
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt1,1,2,0.5,0 2|\nt2,1,2,0.5,0 2|\n")  # in t1 nothing may be true
    assert made.read_submission(data / "given.csv", "masks").ids.tolist() == ["t1", "t2"]


def test_a_run_beyond_its_picture_is_refused_with_its_row(data):
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt1,1,8,0.5,0 8|\nt1,1,5,0.5,1000 5|\n")
    with pytest.raises(DataError, match="1 masks of .*given.csv cannot be read: data row 2, id t1: a mask goes to pixel 1004, and a picture of 4 x 2 has 8"):
        adapter(data).read_submission(data / "given.csv", "masks")


def test_a_wrong_number_of_pixels_is_said(data):
    (data / "given.csv").write_text("Id,Label,Pixels,Sure,Runs\nt1,1,3,0.5,0 2|\n")
    with pytest.raises(DataError, match="column Pixels is not the number of the mask's pixels in 1 rows: ids t1"):
        adapter(data).read_submission(data / "given.csv", "masks")


def test_a_submission_without_a_column_is_refused(data):
    (data / "given.csv").write_text("Id,Label,Sure,Runs\nt1,1,0.5,0 2|\n")
    with pytest.raises(DataError, match="lacks column Pixels; it has Id, Label, Sure, Runs"):
        adapter(data).read_submission(data / "given.csv", "masks")


def test_answers_say_what_is_to_be_ignored_and_pictures_without_rows_are_empty(data):
    (data / "answers.csv").write_text("Id,Label,Pixels,Sure,Runs,Clip\nt2,1,2,1.0,0 2|,road\nt2,7,1,1.0,3 1|,road\nt2,255,1,1.0,4 1|,road\n")
    truth = adapter(data).answers(data / "answers.csv")
    assert truth["id"].tolist() == ["t1", "t2"]
    assert len(truth["Runs"][0]) == 0 and truth["Runs"][1].clip == "road"
    assert objects(truth["Runs"][1]) == [("1", [0], [2], False), ("2", [3], [1], True), ("", [4], [1], True)]


def test_lists_of_test_clips_come_before_the_answers_column(data):
    (data / "tested").mkdir()
    (data / "tested/road.txt").write_text("t1.png\nt2.png\n")
    (data / "answers.csv").write_text("Id,Label,Pixels,Sure,Runs,Clip\nt2,1,2,1.0,0 2|,other\n")
    truth = adapter(data, test_clips="tested").answers(data / "answers.csv")
    assert [found.clip for found in truth["Runs"]] == ["road", "road"]


def test_test_frames_whose_clip_nobody_names_count_as_one_clip_and_are_told(data):
    (data / "tested").mkdir()
    (data / "tested/road.txt").write_text("t1.png\n")
    (data / "answers.csv").write_text("Id,Label,Pixels,Runs\nt2,1,2,0 2|\n")
    made = adapter(data, test_clips="tested")
    assert [found.clip for found in made.answers(data / "answers.csv")["Runs"]] == ["road", ""]
    path = re.escape(str(data / "answers.csv"))
    (note,) = made.notes
    assert re.fullmatch(f"1 of 2 test pictures have their clip in no list of tested nor column Clip of {path}, and count as one clip: t2", note)
    plain = adapter(data, clips="", clip="")
    plain.answers(data / "answers.csv")
    assert plain.notes == []


def test_answers_are_their_own_best_submission(data):
    (data / "answers.csv").write_text("Id,Label,Pixels,Sure,Runs,Clip\nt2,1,2,1.0,0 2|,x\nt2,7,1,1.0,3 1|,x\n")
    made = adapter(data)
    truth = made.answers(data / "answers.csv")
    made.task.learn(truth)
    back = made.read_submission(data / "answers.csv", "masks")
    assert find("metrics", "wad_map").score(*made.task.for_metric("masks", truth, back, {})) == 1


def test_a_sample_of_other_columns_is_refused(data):
    (data / "sample.csv").write_text("Id,Label,Sure,Runs,Extra\nt1,1,1,0 1|,x\n")
    with pytest.raises(DataError, match="sample.csv has a column Extra that input.cells says nothing of\nsample.csv has no column Pixels"):
        adapter(data).layout("masks")


def test_a_sample_of_other_pictures_is_refused(data):
    made = adapter(data)
    made.check_sample(made.tables().test.index)
    (data / "sample.csv").write_text("Id,Pixels,Label,Sure,Runs\nt9,1,1,1,0 1|\n")
    with pytest.raises(DataError, match="1 ids of sample.csv are of no picture in test: t9"):
        made.check_sample(made.tables().test.index)


def test_options_that_do_not_go_together_are_told_at_once(data):
    with pytest.raises(ConfigError) as error:
        adapter(data, cells={"Label": "labl", "Runs": "mask"}, groups={"x": "1"}, divisor=0)
    told = str(error.value).splitlines()
    assert 'input.groups: "x" is no whole number' in told
    assert 'input.cells: "labl" is not what a cell may hold (did you mean "label"?)' in told
    assert 'input.cells names no column for "score"' in told and "input.divisor = 0: expected 1 or more" in told
    with pytest.raises(ConfigError, match='output.target = "Other" is not the column of masks, which is "Runs" by input.cells'):
        adapter(data, task=Task(target="Other"))


# -- the challenge on the road


def test_a_submission_for_the_road_is_read_by_an_independent_decoder(tmp_path, monkeypatch):
    """Trained on its sample: every row is what its runs say, no two rows of a frame share a pixel."""
    monkeypatch.chdir(tmp_path)
    competition = open_competition("wad-segmentation", overrides=["model.name=nearest"])
    competition.open_adapter(tmp_path / "data").write_sample(tmp_path / "data")
    run = pipeline.train(competition, tmp_path / "data", pipeline.Says())
    lines = (run.folder / "submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,LabelId,PixelCount,Confidence,EncodedPixels" and len(lines) > 10
    with Image.open(next((tmp_path / "data/test").iterdir())) as picture:
        width, height = picture.size
    taken: dict[str, set[int]] = {}
    for line in lines[1:]:
        id, label, count, sure, runs = line.split(",")
        assert re.fullmatch(r"[0-9a-f]{32}", id) and re.fullmatch(r"(\d+ \d+\|)+", runs) and 0 < float(sure) <= 1
        pixels = [p for pair in runs.strip("|").split("|") for p in range(int(pair.split()[0]), sum(map(int, pair.split())))]
        assert label in ("33", "36") and len(pixels) == int(count) and max(pixels) < width * height
        assert not taken.setdefault(id, set()) & set(pixels)
        taken[id] |= set(pixels)


def test_the_roads_sample_has_the_challenges_layout(tmp_path):
    competition = open_competition("wad-segmentation")
    competition.open_adapter(tmp_path).write_sample(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "sample_submission.csv", "test", "test_video_list_and_name_mapping", "train_color", "train_label", "train_video_list",
    ]  # fmt: skip
    assert {p.name for p in (tmp_path / "test_video_list_and_name_mapping").iterdir()} == {"list_test", "list_test_mapping"}
    with Image.open(next((tmp_path / "train_label").glob("170908_*_Camera_5_instanceIds.png"))) as picture:
        values = np.asarray(picture)
    assert values.dtype == np.uint16 and set(np.unique(values // 1000)) & {33, 36}
    assert tomllib.loads((Path(competition.folder) / "config.toml").read_text())["kaggle"] == "cvpr-2018-autonomous-driving"

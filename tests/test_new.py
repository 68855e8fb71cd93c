import gzip
import json
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit import apart, new, pipeline
from kit.competition import open_competition
from kit.errors import KitError
from kit.fitting import Says

N, M = 120, 40  # training and test rows


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def numbers(n, seed):
    return np.random.default_rng(seed).normal(size=n).round(3)


def rows(n=N, seed=0, **columns):
    return pd.DataFrame({"id": [f"{seed}-{k:04d}" for k in range(n)], "size": numbers(n, seed), "weight": numbers(n, seed + 50), **columns})


def write(folder="files", **tables):
    """tables by file stem; a name with a suffix is written as it says."""
    Path(folder).mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(Path(folder, f"{name}.csv"), index=False)
    return Path(folder)


def usual(answers, sample=0, train=None, test=None, target="target"):
    train = rows() if train is None else train
    test = rows(M, 1) if test is None else test
    return write(train=train.assign(**{target: answers}), test=test, sample_submission=test[["id"]].assign(**{target: sample}))


def made(data, *overrides, name="shop"):
    """(config, evidence lines)"""
    lines = []
    folder = new.make(name, data, None, list(overrides), Says(progress=lines.append))
    return tomllib.loads((folder / "config.toml").read_text()), lines


def line(lines, topic):
    return next(text for text in lines if text.startswith(f"{topic} "))


def zero_one(n=N):
    return [k % 2 for k in range(n)]


# files


def test_files_are_told_apart_by_their_columns():
    test = rows(M, 1)
    data = write(customers_2018=rows().assign(left=zero_one()), customers_2019=test, how_to_answer=test[["id"]].assign(left=0))
    config, lines = made(data)
    assert config["input"] == {
        "adapter": "tabular",
        "data": str(data.resolve()),
        "train": "customers_2018.csv",
        "test": "customers_2019.csv",
        "sample_submission": "how_to_answer.csv",
        "id": "id",
    }
    assert "target   left: in how_to_answer.csv and customers_2018.csv, not in customers_2019.csv" in lines


def test_packed_and_other_formats_are_read():
    test, Path_ = rows(M, 1), Path("files")
    Path_.mkdir()
    rows().assign(target=zero_one()).to_csv(Path_ / "train.csv.gz", index=False)
    test.to_parquet(Path_ / "test.parquet")
    with zipfile.ZipFile(Path_ / "sample.zip", "w") as archive:
        archive.writestr("sample.tsv", test[["id"]].assign(target=0).to_csv(index=False, sep="\t"))
    config, _ = made(Path_)
    assert [config["input"][k] for k in ("train", "test", "sample_submission")] == ["train.csv.gz", "test.parquet", "sample.zip"]


def test_unrelated_files_are_ignored_and_named():
    data = usual(zero_one())
    (data / "data_description.txt").write_text("size: in metres")
    (data / "empty.csv").write_text("")
    write(dictionary=pd.DataFrame({"column": ["size"], "meaning": ["metres"]}))
    (data / "train.csv.gz").write_bytes(gzip.compress((data / "train.csv").read_bytes()))
    config, lines = made(data)
    assert config["input"]["train"] == "train.csv"
    ignored = line(lines, "ignored")
    assert all(word in ignored for word in ("data_description.txt", "empty.csv (empty)", "dictionary.csv", "train.csv.gz (a packed copy)"))


def test_without_a_test_file_the_error_says_what_was_seen():
    with pytest.raises(KitError, match=r"there is no test file") as caught:
        made(write(train=rows().assign(target=1)))
    assert "train.csv: id, size, weight, target" in str(caught.value) and "input.test=FILE" in str(caught.value)


def test_two_files_of_one_layout_are_not_chosen_between():
    data = usual(zero_one())
    write(a=rows(), b=rows(seed=2))
    for name in ("test", "sample_submission"):
        (data / f"{name}.csv").unlink()
    with pytest.raises(KitError, match=r"2 files in .*files could be test: a.csv, b.csv\nname one, such as input.test=a.csv"):
        made(data)
    assert made(data, "input.test=b.csv")[0]["input"]["test"] == "b.csv"


# ids


def test_id_unique_only_together_is_composite():
    pair = {"event": np.repeat(np.arange(N // 4), 4), "hit": np.tile(np.arange(4), N // 4)}
    train, test = (
        rows().drop(columns="id").assign(**pair),
        rows(M, 1).drop(columns="id").assign(**{k: v[:M] + (k == "event") * 500 for k, v in pair.items()}),
    )
    data = write(train=train.assign(target=zero_one()), test=test, sample=test[["event", "hit"]].assign(target=0))
    config, lines = made(data)
    assert config["input"]["id"] == ["event", "hit"] and "unique only together" in line(lines, "id")


def test_ids_by_position_where_test_rows_have_none():
    test = rows(M, 1).drop(columns="id")
    data = write(train=rows().drop(columns="id").assign(target=zero_one()), test=test, sample=pd.DataFrame({"Id": range(M), "target": 0}))
    config, lines = made(data)
    assert config["input"]["id"] == "Id" and config["input"]["id_by_position"] is True
    assert "the n-th row has the n-th id" in line(lines, "id")


def test_id_of_another_name_is_found_by_its_values():
    test = rows(M, 1)
    data = write(train=rows().assign(target=zero_one()), test=test, sample=pd.DataFrame({"row": test["id"][::-1], "target": 0}))
    config, lines = made(data)
    assert config["input"]["id"] == "id" and "its values are those of row in sample.csv" in line(lines, "id")


def test_sample_of_other_ids_is_an_error():
    data = usual(zero_one())
    write(sample_submission=pd.DataFrame({"id": ["x", "y"], "target": 0}))
    with pytest.raises(KitError, match=r"have other ids in id: 2 are in the sample alone, 40 in the test alone"):
        made(data)


def test_repeated_training_ids_are_an_error():
    with pytest.raises(KitError, match=r"id does not name a row of train.csv: 1 rows repeat"):
        made(usual(zero_one(), train=rows().assign(id=["a", "a", *map(str, range(N - 2))])))


# target, task, metric


@pytest.mark.parametrize(
    ("answers", "sample", "task", "guessed", "metric"),
    [
        (zero_one(), 0, "binary", False, "accuracy"),
        (zero_one(), 0.5, "binary", False, "auc"),
        (["yes", "no"] * 60, "no", "binary", False, "accuracy"),
        (["low", "middle", "high"] * 40, "low", "multiclass", False, "accuracy"),
        ([k % 4 for k in range(N)], 0, "multiclass", True, "accuracy"),
        ([k % 4 for k in range(N)], 1.5, "regression", True, "rmse"),
        ([k // 2 for k in range(N)], 0, "regression", True, "rmse"),
        ([k * 3 for k in range(N)], 0, "regression", False, "rmse"),
        ([k % 4 + 0.5 for k in range(N)], 0, "regression", False, "rmse"),
        (["a", "b", "a b", "c", "b c", "a c"] * 20, "a", "multilabel", True, "f1_micro"),
        (["tropical storm", "hurricane", "other low", "tropical wave"] * 30, "hurricane", "multiclass", False, "accuracy"),
    ],
)
def test_task_follows_the_answers_and_the_sample(answers, sample, task, guessed, metric):
    config, lines = made(usual(answers, sample))
    assert (config["output"]["task"], config["score"]["metric"]) == (task, metric)
    assert ("(guess)" in line(lines, "task")) is guessed
    assert f"{metric} (guess): " in line(lines, "metric") and "score.metric=... changes it" in line(lines, "metric")


def test_metric_given_decides_the_task():
    data = usual([k % 4 for k in range(N)])
    assert made(data, "score.metric=rmse", name="a")[0]["output"]["task"] == "regression"
    config, lines = made(data, "score.metric=log_loss", name="b")
    assert config["output"]["task"] == "multiclass" and config["score"]["metric"] == "log_loss"
    assert line(lines, "metric") == "metric   log_loss: as given"


def test_a_column_a_class_is_multiclass():
    test = rows(M, 1)
    data = write(
        train=rows().assign(kind=[k % 3 for k in range(N)]), test=test, sample=test[["id"]].assign(**{"0": 0.3, "1": 0.3, "2": 0.4})
    )
    config, lines = made(data)
    assert config["output"] == {"target": "kind", "task": "multiclass"} and config["score"]["metric"] == "log_loss"
    assert "its values in train.csv are the columns of sample.csv: 0, 1, 2" in line(lines, "target")


def test_several_targets_are_labels_or_numbers():
    test = rows(M, 1)
    labels = write("a", train=rows().assign(x=zero_one(), y=zero_one()[::-1]), test=test, sample=test[["id"]].assign(x=0, y=0))
    values = write("b", train=rows().assign(x=numbers(N, 3), y=numbers(N, 4)), test=test, sample=test[["id"]].assign(x=0, y=0))
    assert made(labels, name="a")[0]["output"] == {"target": ["x", "y"], "task": "multilabel"}
    assert made(values, name="b")[0]["output"] == {"target": ["x", "y"], "task": "regression"}


def test_two_candidate_targets_need_a_word():
    data = write(train=rows().assign(casual=numbers(N, 3), count=numbers(N, 4)), test=rows(M, 1))
    with pytest.raises(
        KitError, match=r"which column is the target.*casual, count\nthere is no sample submission\ngive it: output.target="
    ):
        made(data)
    assert made(data, "output.target=count")[0]["output"] == {"target": "count", "task": "regression"}


def test_unknown_target_gets_a_near_one():
    with pytest.raises(KitError, match=r'no file in .*files has the target column "traget" .did you mean "target"'):
        made(usual(zero_one()), "output.target=traget")


# columns


def test_code_columns_are_categories_and_counts_are_not():
    columns = {"zip_code": [k % 6 for k in range(N)], "rooms": [k % 5 for k in range(N)]}
    test = rows(M, 1, **{k: v[:M] for k, v in columns.items()})
    config, lines = made(usual(zero_one(), train=rows(**columns), test=test))
    assert config["input"]["columns"] == {"category": ["zip_code"]} and "zip_code (guess): 6 whole numbers" in line(lines, "category")


def test_pictures_are_found_by_name_and_by_id():
    data = usual(zero_one(), train=rows(photo=[f"{k}.jpg" for k in range(N)]), test=rows(M, 1, photo=[f"{k}.jpg" for k in range(M)]))
    (data / "photos").mkdir()
    (data / "scans").mkdir()
    for k in range(N):
        (data / "photos" / f"{k}.jpg").touch()
        (data / "scans" / f"0-{k:04d}.png").touch()
    _, lines = made(data)
    assert "image    photo: names files such as 0.jpg; of 120, 120 are in photos/" in lines
    assert any(text.startswith("image    scans/<id>.png: 120 of 120 training ids") for text in lines)


# pictures


def touch(folder, *names):
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path(folder)


def read_as(data, name="shop"):
    """The tables that the config made of `data` leads to."""
    opened = open_competition(name)
    adapter = opened.open_adapter(opened.data(None, False))
    tables = adapter.tables()
    adapter.check_sample(tables.test.index)
    return tables


def test_folders_that_are_classes_make_a_config_of_pictures():
    data = touch("files", *(f"train/{kind}/{n}{kind}.jpg" for kind in ("cat", "dog", "owl") for n in range(5)), "test/7.png", "test/8.png", "notes.txt")
    config, lines = made(data)
    assert config["input"] == {"adapter": "image", "data": str(data.resolve()), "train": "train", "test": "test"}
    assert config["output"] == {"target": "class", "task": "multiclass"} and config["score"] == {"metric": "accuracy", "folds": {"scheme": "stratified", "count": 5}}
    assert config["model"]["name"] == "timm" and config["preset"]["fast"]["model"]["weights"] == "package"
    assert line(lines, "train") == "train    train/: 15 pictures in 3 folders, such as train/cat/0cat.jpg"
    assert line(lines, "ignored") == "ignored  notes.txt"
    assert list(read_as(data).test.index) == ["7", "8"]
    assert open_competition("shop", preset="fast").config.augment["size"] == 96


def test_folders_of_other_names_a_sample_and_the_hosts_validation_pictures_are_found():
    pictures = [f"{part}/{kind}/{part}{n}.jpg" for part in ("photos", "valid") for kind in ("cat", "dog") for n in range(3)]
    data = touch("files", *[p.replace(".jpg", f"{k}.jpg") for k, p in enumerate(pictures)], "unknown_test/a.jpg", "unknown_test/b.jpg")
    write(submit=pd.DataFrame({"name": ["b.jpg", "a.jpg"], "animal": ["cat", "cat"]}))
    config, lines = made(data)
    assert {k: config["input"][k] for k in ("train", "valid", "test", "sample_submission", "id")} == {
        "train": "photos", "valid": "valid", "test": "unknown_test", "sample_submission": "submit.csv", "id": "name",
    }  # fmt: skip
    assert (config["output"]["target"], config["output"]["task"]) == ("animal", "binary")
    assert config["score"]["folds"] == "given" and line(lines, "folds") == "folds    given: the host's own validation pictures: valid"
    tables = read_as(data)
    assert list(tables.test.index) == ["a.jpg", "b.jpg"] and (tables.roles["given"] == 0).sum() == 6


def test_folders_in_folders_are_a_guess_that_can_be_settled():
    data = touch("files", *(f"train/{top}/{low}/{top}{low}{n}.jpg" for top in "ab" for low in "xy" for n in range(5)), "test/1.jpg")
    config, lines = made(data)
    assert config["input"]["class_folder"] == "all" and "(guess): they lie 2 deep; input.class_folder=first or last" in line(lines, "class")
    assert set(read_as(data).truth["class"]) == {"a/x", "a/y", "b/x", "b/y"}
    assert made(data, "input.class_folder=first", name="b")[0]["output"]["task"] == "binary"


def test_classes_without_a_test_folder_say_so():
    data = touch("files", "train/cat/1.jpg", "train/dog/2.jpg")
    with pytest.raises(KitError, match=r"there is no folder of test pictures in .*files\nname it: input.test=NAME"):
        made(data)


def test_a_table_of_names_and_a_sample_make_a_config_of_pictures():
    data = touch("files", *(f"train/w{n}.jpg" for n in range(20)), *(f"test/t{n}.jpg" for n in range(6)))
    write(
        train=pd.DataFrame({"Image": [f"w{n}.jpg" for n in range(20)], "Id": ["a", "b"] * 10}),
        sample_submission=pd.DataFrame({"Image": [f"t{n}.jpg" for n in range(6)], "Id": "b a"}),
    )
    config, lines = made(data)
    assert config["input"] == {
        "adapter": "image", "data": str(data.resolve()), "train": "train.csv", "test": "test", "id": "Image", "sample_submission": "sample_submission.csv",
    }  # fmt: skip
    assert line(lines, "id") == "id       Image: its values name pictures in train/"
    assert (config["output"]["target"], config["output"]["task"]) == ("Id", "binary")
    assert len(read_as(data).test) == 6


def test_a_sample_with_a_column_a_class_is_not_taken_for_the_labels():
    data = touch("files", *(f"train/w{n}.jpg" for n in range(30)), *(f"test/t{n}.jpg" for n in range(6)))
    write(
        labels=pd.DataFrame({"id": [f"w{n}" for n in range(30)], "breed": ["pug", "boxer", "collie"] * 10}),
        sample_submission=pd.DataFrame({"id": [f"t{n}" for n in range(6)], "boxer": 1 / 3, "collie": 1 / 3, "pug": 1 / 3}),
    )
    config, _ = made(data)
    assert config["input"]["train"] == "labels.csv" and config["output"] == {"target": "breed", "task": "multiclass"}
    assert config["score"]["metric"] == "log_loss" and len(read_as(data).test) == 6


def test_several_labels_in_a_cell_of_the_sample_are_ranked():
    data = touch("files", *(f"train/w{n}.jpg" for n in range(30)), "test/t0.jpg")
    write(
        train=pd.DataFrame({"Image": [f"w{n}.jpg" for n in range(30)], "Id": ["a", "b", "c"] * 10}),
        sample_submission=pd.DataFrame({"Image": ["t0.jpg"], "Id": "b a c"}),
    )
    config, lines = made(data)
    assert config["output"] == {"target": "Id", "task": "multiclass", "cells": "labels", "top": 3}
    assert config["score"]["metric"] == {"name": "map_at_k", "k": 3} and "lists 3 labels in a cell" in line(lines, "metric")


def test_without_a_sample_the_pictures_of_the_test_folder_are_the_rows():
    data = touch("files", *(f"train_images/{n}.jpg" for n in range(20)), *(f"test_images/{n}.jpg" for n in range(20, 24)))
    write(labels=pd.DataFrame({"name": range(20), "grade": [k % 4 for k in range(20)]}))
    config, lines = made(data)
    assert config["input"]["pictures"] == "{part}_images/{id}" and config["input"]["train"] == "labels.csv"
    assert line(lines, "test") == "test     test_images/: the rows are the 4 pictures in it"
    assert list(read_as(data).test.index) == ["20", "21", "22", "23"]


def test_pictures_beside_tables_become_a_column():
    columns = {"photo": [f"{k}.jpg" for k in range(N)]}
    data = usual(zero_one(), train=rows(**columns), test=rows(M, 1, photo=columns["photo"][:M]))
    touch(data / "photos", *columns["photo"])
    config, lines = made(data)
    assert config["input"]["pictures"] == "photos/{photo}" and config["input"]["adapter"] == "tabular" and config["model"] == {"name": "lightgbm"}
    tables = read_as(data)
    assert {n: c.kind for n, c in tables.schema.items()} == {"size": "numeric", "weight": "numeric", "image": "image"}
    assert tables.train["image"].iloc[0].endswith("/photos/0.jpg")


def test_tables_of_ids_alone_learn_from_their_pictures():
    train, test = rows()[["id"]], rows(M, 1)[["id"]]
    data = usual(zero_one(), train=train, test=test)
    touch(data, *(f"train/{i}.jpg" for i in train["id"]), *(f"test/{i}.jpg" for i in test["id"]))
    config, lines = made(data)
    assert config["input"]["pictures"] == "{part}/{id}" and config["model"]["name"] == "timm"
    assert "image    train/<id>.jpg: 120 of 120 training ids looked for name a file there" in lines
    assert len(read_as(data).test) == M


def listed_images(part, n, first=1, **more):
    return {"images": [{"id": k, "file_name": f"{part}/{k}.jpg", **more} for k in range(first, first + n)]}


def put(data, **files):
    Path(data).mkdir(exist_ok=True)
    for name, held in files.items():
        Path(data, f"{name}.json").write_text(json.dumps(held))
    return Path(data)


def annotated(images, labels, key="category_id"):
    return {**images, "annotations": [{"image_id": i["id"], key: label} for i, label in zip(images["images"], labels)]}


def test_lists_of_coco_make_a_config_of_pictures():
    data = put(
        "files",
        instances_train2017=annotated(listed_images("pics", 12), [1, 2, 3] * 4),
        instances_val2017=annotated(listed_images("pics", 6, 13), [1, 2, 3] * 2),
        image_info_test2017=listed_images("pics", 4, 19),
        captions={"sentences": []},
    )
    touch(data, *(f"pics/{n}.jpg" for n in range(1, 23)))
    write(sample_submission=pd.DataFrame({"id": range(19, 23), "category": 1}))
    config, lines = made(data)
    assert config["input"] == {
        "adapter": "image_json", "data": str(data.resolve()), "train": "instances_train2017.json", "valid": "instances_val2017.json",
        "test": "image_info_test2017.json", "sample_submission": "sample_submission.csv",
    }  # fmt: skip
    assert config["output"] == {"target": "category", "task": "multiclass"} and config["score"] == {"metric": "accuracy", "folds": "given"}
    assert line(lines, "pictures") == "pictures {file_name}: 100% of instances_train2017, 100% of image_info_test2017 are there, of the first 200 looked for"
    assert line(lines, "ignored") == "ignored  captions.json"
    tables = read_as(data)
    assert len(tables.train) == 18 and len(tables.test) == 4


def test_lists_of_urls_with_several_labels_are_multilabel():
    images = {"images": [{"imageId": str(n), "url": "u"} for n in range(1, 9)]}
    labels = [["4"], ["4", "9"], [], ["9"], ["9"], ["4"], ["4", "9"], ["9"]]
    data = put(
        "files",
        train={**images, "annotations": [{"imageId": str(n), "labelId": some} for n, some in enumerate(labels, 1)]},
        test={"images": [{"imageId": "1", "url": "u"}, {"imageId": "2", "url": "u"}]},
    )
    touch(data, *(f"images/train/{n}.png" for n in range(1, 8)), "images/test/2.png")
    config, lines = made(data)
    assert config["input"]["pictures"] == "images/{part}/{id}" and config["output"] == {"target": "label", "task": "multilabel"}
    assert line(lines, "task") == "task     multilabel: 1.1 labels an image, from 0 to 2; 2 classes"
    tables = read_as(data)
    assert dict(zip(tables.truth["id"], tables.truth["label"]))["2"] == "4 9" and list(tables.test.index) == ["1", "2"]


def test_lists_that_are_wrong_or_without_test_images_are_said():
    data = put("files", train=annotated(listed_images("pics", 2), [1]))
    with pytest.raises(KitError, match=r"there is no list of test images in .*files\nname it: input.test=NAME"):
        made(data)
    put("files", test=listed_images("pics", 2), train={**listed_images("pics", 2), "annotations": [{"image_id": 9, "category_id": 1}]})
    with pytest.raises(KitError, match=r"train.json: 1 of 1 annotations are of images that it does not list: 9"):
        made(data)


def test_images_that_are_not_there_yet_are_a_guess():
    data = put("files", train=annotated(listed_images("pics", 4), [1, 2, 1, 2]), test=listed_images("pics", 2, 5))
    config, lines = made(data)
    assert "pictures" not in config["input"]
    assert "(guess): they are not there" in line(lines, "pictures") and "input.pictures=... says where they lie" in line(lines, "pictures")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"pixel{n}" for n in range(64)], {"adapter": "image_pixels"}),
        ([f"{r}x{c}" for r in range(1, 10) for c in range(1, 10)], {"adapter": "image_pixels", "pixels": ""}),
        ([f"p_{n}" for n in range(300)], {"adapter": "image_pixels", "pixels": "p_"}),
        ([f"pixel{n}" for n in range(65)], {"adapter": "tabular"}),
        ([f"pixel{n}" for n in range(49)], {"adapter": "tabular"}),
    ],
)
def test_pixels_in_columns_become_pictures(names, expected):
    random = np.random.default_rng(0)
    frames = [pd.DataFrame(random.integers(0, 256, (n, len(names))), columns=names) for n in (N, M)]
    data = write(train=frames[0].assign(label=[k % 4 for k in range(N)]), test=frames[1], sample_submission=pd.DataFrame({"ImageId": range(1, M + 1), "Label": 0}))
    config, lines = made(data)
    assert {k: config["input"][k] for k in ("adapter", "pixels") if k in config["input"]} == expected
    assert config["input"]["id"] == "ImageId" and config["input"]["id_by_position"] is True
    if expected["adapter"] == "image_pixels":
        side = int((len(names) if len(names) != 300 else 100) ** 0.5)
        assert f"{len(names)} columns of whole numbers from 0 to 255: pictures of {side} x {side}" in line(lines, "pixels")
        assert config["model"] == {"name": "convnet"} and config["augment"]["size"] == side
        assert list(read_as(data).schema) == ["image"]


def test_numbered_columns_that_are_no_pixels_stay_columns():
    values = np.random.default_rng(0).normal(size=(N + M, 64)).round(3)
    frames = [pd.DataFrame(values[part], columns=[f"v{n}" for n in range(64)]) for part in (slice(N), slice(N, None))]
    data = write(train=frames[0].assign(id=range(N), target=zero_one()), test=frames[1].assign(id=range(N, N + M)))
    assert made(data)[0]["input"]["adapter"] == "tabular"


# queries and a gallery, and rows that may be of no class


def landmarks(**tables):
    """index.csv, test.csv and pictures of both, as a retrieval competition hands them out."""
    touch("files", *(f"index/i{n}.jpg" for n in range(20)), *(f"test/q{n}.jpg" for n in range(6)))
    return write(
        index=pd.DataFrame({"id": [f"i{n}" for n in range(20)], "url": "https://x.invalid/a.jpg"}),
        test=pd.DataFrame({"id": [f"q{n}" for n in range(6)], "url": "https://x.invalid/b.jpg"}),
        **({"sample_submission": pd.DataFrame({"id": [f"q{n}" for n in range(6)], "images": "i3 i7"})} | tables),
    )


def test_a_gallery_that_the_sample_answers_with_is_a_retrieval_without_labels():
    config, lines = made(landmarks())
    assert config["input"] == {
        "adapter": "image", "data": str(Path("files").resolve()), "train": "", "test": "test.csv", "gallery": "index.csv",
        "sample_submission": "sample_submission.csv", "drop": ["url"],
    }  # fmt: skip
    assert config["output"] == {"target": "images", "task": "retrieval"} and config["score"] == {"metric": "retrieval_map_at_k"}
    assert config["model"]["name"] == config["preset"]["fast"]["model"]["name"] == "embedder"
    assert line(lines, "gallery") == "gallery  index.csv: 20 rows; the answers of sample_submission.csv are ids of it"
    assert "input.labels_from=COMPETITION learns from another's" in line(lines, "labels")
    tables = read_as("files")
    assert tables.truth is None and len(tables.gallery) == 20 and list(tables.schema) == ["image"]


def test_labels_of_gallery_pictures_are_found_and_hold_out_whole_classes():
    config, lines = made(landmarks(labels=pd.DataFrame({"id": [f"i{n}" for n in range(12)], "place": [f"p{n // 3}" for n in range(12)]})))
    assert config["input"]["train"] == "labels.csv" and config["output"]["label"] == "place"
    assert config["score"]["folds"] == {"scheme": "classes", "count": 4}
    assert line(lines, "labels") == "labels   place of labels.csv: 4 of 3 to 3 pictures"
    tables = read_as("files")
    assert len(tables.train) == 12 and tables.train["image"].iloc[0].endswith("/index/i0.jpg")


def test_folders_of_queries_and_gallery_are_found_by_their_names():
    data = touch("files", "notes.txt", *(f"gallery/i{n}.png" for n in range(8)), *(f"queries/q{n}.png" for n in range(3)))
    config, lines = made(data)
    assert {k: config["input"][k] for k in ("train", "test", "gallery")} == {"train": "", "test": "queries", "gallery": "gallery"}
    assert config["output"]["target"] == "images" and "sample_submission" not in config["input"]
    assert line(lines, "gallery") == "gallery  gallery: 8 pictures, and it is called so"
    assert list(read_as(data).test.index) == ["q0", "q1", "q2"]


def test_labels_of_another_competition_leave_the_training_file_out():
    config, _ = made(landmarks(), "input.labels_from=landmark-recognition")
    assert "train" not in config["input"] and "drop" not in config["input"] and config["score"]["folds"] == {"scheme": "classes", "count": 5}
    with pytest.raises(KitError, match=r'^input.labels_from: no competition "landmark-recogniton" \(did you mean "landmark-recognition"\?\)'):
        made(landmarks(), "input.labels_from=landmark-recogniton", name="b")


def test_a_table_called_index_beside_train_and_test_is_no_gallery():
    test = rows(M, 1)
    data = write(train=rows().assign(left=zero_one()), test=test, index=rows(M, 2), sample_submission=test[["id"]].assign(left=0))
    assert made(data)[0]["output"]["task"] == "binary"


def test_labels_with_a_confidence_are_of_an_open_set():
    data = touch("files", *(f"train/a{n}.jpg" for n in range(20)), *(f"test/b{n}.jpg" for n in range(6)))
    url = "https://x.invalid/some/long/path/{}"
    write(
        train=pd.DataFrame({"id": [f"a{n}" for n in range(20)], "url": [url.format(n) for n in range(20)], "landmark_id": [100 + n % 5 for n in range(20)]}),
        test=pd.DataFrame({"id": [f"b{n}" for n in range(6)], "url": [url.format(n) for n in range(6)]}),
        sample_submission=pd.DataFrame({"id": [f"b{n}" for n in range(6)], "landmarks": ["103 0.03", ""] * 3}),
    )
    config, lines = made(data)
    assert config["output"] == {"target": "landmark_id", "task": "multiclass", "open_set": True, "cells": "label_confidence"}
    assert config["score"] == {"metric": "gap", "folds": {"scheme": "open_set", "count": 5}} and config["input"]["drop"] == ["url"]
    assert config["model"]["name"] == "embedder" and config["train"] == {"loss": "arcface"}
    assert line(lines, "task") == "task     multiclass: sample_submission.csv holds a label and a number, which is how sure it is"
    assert len(read_as(data).test) == 6


@pytest.mark.parametrize(("word", "is_open"), [("new_whale", True), ("unknown", True), ("newton", False)])
def test_a_label_that_sounds_like_none_of_the_others_is_of_an_open_set(word, is_open):
    data = touch("files", *(f"train/w{n}.jpg" for n in range(30)), "test/t0.jpg")
    write(
        train=pd.DataFrame({"Image": [f"w{n}.jpg" for n in range(30)], "Id": [word, "w_b", "w_c"] * 10}),
        sample_submission=pd.DataFrame({"Image": ["t0.jpg"], "Id": f"{word} w_b w_c"}),
    )
    config, lines = made(data)
    assert config["output"].get("open_set", False) is is_open and config["output"]["top"] == 3
    if is_open:
        assert config["output"]["unknown"] == word and config["score"]["folds"] == {"scheme": "open_set", "count": 5}
        assert f'"{word}" sounds like none of the others; output.open_set=false if not' in line(lines, "open")


# time


def dated(first, last, n, seed, **columns):
    days = pd.date_range(first, last)
    return rows(n, seed, sold=days[np.sort(np.random.default_rng(seed).integers(0, len(days), n))].strftime("%Y-%m-%d"), **columns)


def test_later_test_rows_make_folds_go_forward():
    data = usual(numbers(N, 7), train=dated("2020-01-01", "2021-12-31", N, 0), test=dated("2022-01-01", "2022-02-28", M, 1))
    config, lines = made(data)
    folds = config["score"]["folds"]
    assert folds["scheme"] == "time" and 50 <= folds["size"] <= 65 and folds["count"] == 5
    assert config["input"]["columns"] == {"time": ["sold"], "date": ["sold"]}
    assert "100% of the test rows are later" in line(lines, "time")


def test_date_parts_that_training_rows_never_saw_are_left_out():
    two_years = usual(numbers(N, 7), train=dated("2020-01-01", "2021-12-31", N, 0), test=dated("2022-01-01", "2022-02-28", M, 1))
    assert "month" in made(two_years, name="long")[0]["encoders"]["date"]["parts"]
    ten_months = usual(numbers(N, 7), train=dated("2020-01-01", "2020-10-31", N, 0), test=dated("2020-11-01", "2020-12-31", M, 1))
    config, lines = made(ten_months, name="short")
    parts = config["encoders"]["date"]["parts"]
    assert "weekday" in parts and "day" in parts and not {"month", "day_of_year", "year", "elapsed"} & set(parts)
    assert "month, day_of_year: test rows hold values that no training row has" in line(lines, "date")


def test_columns_that_rise_with_the_date_are_dropped():
    train, test = dated("2020-01-01", "2020-10-31", N, 0, serial=range(N)), dated("2020-11-01", "2020-12-31", M, 1, serial=range(N, N + M))
    train["month"], test["month"] = (pd.to_datetime(t["sold"]).dt.month for t in (train, test))
    config, lines = made(usual(numbers(N, 7), train=train, test=test))
    assert sorted(config["input"]["drop"]) == ["month", "serial"] and "dropped  month: moves with time" in line(lines, "dropped") + line(
        lines[::-1], "dropped"
    )


def test_year_and_month_numbers_make_a_date():
    def monthly(n, seed, start):
        months = np.sort(np.arange(n) * 40 // N) + start
        return rows(n, seed, year=2018 + months // 12, month=months % 12 + 1)

    config, _ = made(usual(numbers(N, 7), train=monthly(N, 0, 0), test=monthly(M, 1, 40)), "model.rounds=5")
    assert config["input"]["columns"] == {"time": ["year", "month"], "numeric": ["month"]}
    assert config["score"]["folds"]["scheme"] == "time"
    assert trained()["metric"] == "rmse"


def test_a_counter_that_goes_on_in_test_is_a_time():
    train, test = rows(week=np.arange(N) // 2), rows(M, 1, week=np.arange(M) // 2 + N // 2)
    config, _ = made(usual(numbers(N, 7), train=train, test=test))
    assert config["input"]["columns"] == {"time": ["week"]} and config["score"]["folds"] == {"scheme": "time", "count": 2, "size": 20}


def test_rising_row_ids_are_no_time():
    train, test = rows().assign(id=range(N)), rows(M, 1, row_id=range(N, N + M)).assign(id=range(N, N + M))
    config, _ = made(usual(zero_one(), train=train.assign(row_id=range(N)), test=test))
    assert config["score"]["folds"]["scheme"] == "stratified" and config["input"]["drop"] == ["row_id"]


def test_dates_that_overlap_raise_no_alarm():
    train, test = dated("2020-01-01", "2020-12-31", N, 0), dated("2020-03-01", "2020-12-31", M, 1)
    config, _ = made(usual(zero_one(), train=train, test=test))
    assert config["score"]["folds"] == {"scheme": "stratified", "count": 5} and "columns" not in config["input"]


# entities


def test_new_entities_in_test_make_group_folds():
    train, test = rows(patient=[f"p{k // 6}" for k in range(N)]), rows(M, 1, patient=[f"q{k // 6}" for k in range(M)])
    config, lines = made(usual(zero_one(), train=train, test=test))
    assert config["score"]["folds"] == {"scheme": "stratified_group", "count": 5} and config["input"]["columns"] == {"group": ["patient"]}
    assert "100% of the test rows are of others than the 20 in train, which have 6 rows each; a random split would show 0" in line(
        lines, "group"
    )
    assert made(usual(numbers(N, 7), train=train, test=test), name="b")[0]["score"]["folds"]["scheme"] == "group"


def test_a_group_that_is_given_is_taken():
    data = usual(zero_one(), train=rows(town=[f"t{k % 9}" for k in range(N)]), test=rows(M, 1, town="t1"))
    assert made(data, 'input.columns.group=["town"]')[0]["score"]["folds"] == {"scheme": "stratified_group", "count": 5}
    with pytest.raises(KitError, match=r'input.columns: train.csv has no column "twon" .did you mean "town"'):
        made(data, 'input.columns.group=["twon"]', name="b")


def test_numbered_entities_are_no_counter():
    train, test = rows(patient_id=np.arange(N) // 6), rows(M, 1, patient_id=np.arange(M) // 6 + 100)
    assert made(usual(zero_one(), train=train, test=test))[0]["input"]["columns"] == {"group": ["patient_id"]}


def test_entities_may_be_named_by_two_columns_together():
    storms = [(name, year) for year in range(2000, 2020) for name in "ABCDEFGH"]
    held = set(np.random.default_rng(0).choice(len(storms), 40, replace=False).tolist())
    parts = [[s for k, s in enumerate(storms) if (k in held) is test for _ in range(5)] for test in (False, True)]
    train, test = (rows(len(p), seed, name=[n for n, _ in p], year=[y for _, y in p]) for seed, p in enumerate(parts))
    config, lines = made(usual(zero_one(len(train)), train=train, test=test), "model.rounds=5")
    assert config["input"]["columns"] == {"group": ["name", "year"], "numeric": ["year"]}
    assert "neither column alone is apart" in line(lines, "group")
    assert trained()["rows"] == len(train)


def test_shared_rare_and_continuous_values_raise_no_alarm():
    random = np.random.default_rng(5)
    everyone = rows(N + M, 2, town=random.choice(list("abcdefgh"), N + M), ticket=[f"t{k}" for k in random.integers(0, 400, N + M)])
    everyone["price"] = random.normal(size=N + M).round(1)
    order = random.permutation(N + M)
    config, lines = made(usual(zero_one(), train=everyone.iloc[order[:N]], test=everyone.iloc[order[N:]]))
    assert config["score"]["folds"]["scheme"] == "stratified" and not any(text.startswith(("group", "time")) for text in lines)


def test_chance_of_an_unseen_value_against_random_splits():
    values = np.repeat(np.arange(50), [1, 2, 3, 4, 5] * 10)
    shares = []
    for seed in range(200):
        drawn = np.random.default_rng(seed).permutation(values)
        shares.append(apart.unseen(drawn[:100], drawn[100:]))
    observed, expected = np.mean(shares, axis=0)
    assert abs(observed - expected) < 0.02


def test_new_entities_that_last_through_time_make_group_time_folds():
    def panel(n, seed, first, prefix):
        return rows(n, seed, week=np.arange(n) // 12 + first, shop=[f"{prefix}{k % 12}" for k in range(n)])

    config, _ = made(usual(numbers(N, 7), train=panel(N, 0, 0, "a"), test=panel(M, 1, 10, "b")))
    assert config["score"]["folds"]["scheme"] == "group_time" and config["input"]["columns"] == {"time": ["week"], "group": ["shop"]}


def test_rare_classes_lower_the_number_of_folds():
    answers = ["a"] * 57 + ["b"] * 60 + ["c"] * 3
    assert made(usual(answers, "a"), name="a")[0]["score"]["folds"] == {"scheme": "stratified", "count": 3}
    answers = ["a"] * 59 + ["b"] * 60 + ["c"]
    config, lines = made(usual(answers, "a"), name="b")
    assert config["score"]["folds"]["scheme"] == "kfold" and "class c has 1 rows" in line(lines, "folds")


# the folder


def trained(name="shop"):
    opened = open_competition(name)
    return pipeline.train(opened, opened.data(None, False), Says()).info


@pytest.mark.parametrize("answers", [zero_one(), ["low", "middle", "high"] * 40, [k * 3 for k in range(N)]])
def test_what_is_written_trains_at_once(answers):
    made(usual(answers, answers[0]), "model.rounds=5")
    assert trained()["state"] == "finished"


def test_forward_folds_train_at_once():
    made(
        usual(numbers(N, 7), train=dated("2020-01-01", "2020-10-31", N, 0), test=dated("2020-11-01", "2020-12-31", M, 1)), "model.rounds=5"
    )
    assert trained()["covered"] < N  # the first block of time is never validated


def test_overrides_are_written_over_what_was_inferred():
    config, _ = made(usual(zero_one()), "score.folds.count=3", "model.name=linear", "title=My shop")
    assert config["score"]["folds"] == {"scheme": "stratified", "count": 3}
    assert config["model"]["name"] == "linear" and config["title"] == "My shop"
    assert made(usual(zero_one()), "score.folds=kfold", name="b")[0]["score"]["folds"] in ("kfold", {"scheme": "kfold"})


def test_config_carries_the_evidence_as_comments():
    made(usual(zero_one(), 0.5))
    text = Path("competitions/shop/config.toml").read_text()
    assert (
        "# in sample_submission.csv and train.csv, not in test.csv\ntarget = " in text
        and "# guess: sample_submission.csv holds fractions" in text
    )


def test_hostile_column_names_stay_on_their_line():
    evil = 'x"]\n[model]\nname = "./net.py"\x1b[2J #'
    data = usual(zero_one(), target=evil)
    config, lines = made(data)
    assert config["output"]["target"] == evil and config["model"] == {"name": "lightgbm"}
    assert all(text.isprintable() for text in lines)


@pytest.mark.parametrize("name", ["../up", "/tmp/x", "a/b", "", ".", "..", ".hidden", "-x", "a\nb", "x" * 101])
def test_hostile_names_are_refused(name):
    with pytest.raises(KitError, match=r"cannot be a competition's name"):
        new.make(name, None, "tabular", [], Says())
    assert list(Path().iterdir()) == []


def test_an_existing_folder_is_left_as_it_is():
    Path("competitions/titanic").mkdir(parents=True)
    Path("competitions/titanic/mine.txt").write_text("mine")
    with pytest.raises(KitError, match=r"competitions/titanic is there already, and was left as it is"):
        new.make("titanic", None, None, [], Says())
    assert [p.name for p in Path("competitions/titanic").iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    data = usual(zero_one())
    monkeypatch.setattr(new, "write_text", full)
    with pytest.raises(KitError, match=r"cannot make competitions/shop: No space left on device"):
        made(data)
    assert not Path("competitions").exists()


def test_a_wrong_override_makes_no_folder():
    with pytest.raises(KitError, match=r'no metric "acuracy" .did you mean "accuracy"'):
        made(usual(zero_one()), "score.metric=acuracy")
    assert not Path("competitions").exists()


def test_unknown_name_says_what_can_be_done():
    with pytest.raises(KitError) as caught:
        new.make("titanik", None, None, [], Says())
    assert str(caught.value).startswith('no recipe "titanik" (did you mean "titanic"?)\n') and "kit new titanik --from DATA_DIR" in str(
        caught.value
    )


def test_a_recipe_is_copied_without_its_runs():
    folder = new.make("titanic", None, None, [], Says())
    assert folder == Path("competitions/titanic") and (folder / "config.toml").is_file()
    assert not (folder / "runs").exists() and not (folder / "sample").exists()


def test_a_template_keeps_its_comments_under_overrides():
    data = usual(zero_one())
    folder = new.make("mine", data, "tabular", ["score.metric=accuracy"], Says())
    text = (folder / "config.toml").read_text()
    assert "# what is the input?" in text and 'metric = "accuracy"' in text
    assert tomllib.loads(text)["input"]["data"] == str(data.resolve())


def test_template_trains_on_its_sample():
    folder = new.make("mine", None, "tabular", ["model.rounds=5"], Says())
    opened = open_competition("mine")
    opened.open_adapter(folder / "sample").write_sample(folder / "sample")
    assert pipeline.train(opened, folder / "sample", Says()).info["state"] == "finished"


def test_a_name_that_has_a_recipe_is_inferred_anew_from_data():
    config, _ = made(usual(zero_one()), name="titanic")
    assert config["output"]["target"] == "target"


def test_making_a_folder_runs_no_code():
    Path("templates/mine").mkdir(parents=True)
    Path("templates/mine/config.toml").write_text(Path(new.listed("templates")["tabular"], "config.toml").read_text())
    Path("templates/mine/adapter.py").write_text("raise SystemExit('was run')")
    new.make("copy", None, "mine", [], Says())
    assert Path("competitions/copy/adapter.py").is_file()


def test_missing_folders_are_named():
    with pytest.raises(KitError, match=r"--from nowhere: no such folder"):
        made(Path("nowhere"))
    with pytest.raises(KitError, match=r'no template "tabula" .did you mean "tabular"'):
        new.make("x", None, "tabula", [], Says())


def test_positive_class_of_words_is_the_rarer_and_a_guess(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "files"
    data.mkdir()
    rows = [f"r{n},{n % 7},{'bad' if n % 4 == 0 else 'good'}" for n in range(40)]
    (data / "train.csv").write_text("id,size,loan\n" + "\n".join(rows) + "\n")
    (data / "test.csv").write_text("id,size\n" + "\n".join(f"t{n},{n % 7}" for n in range(12)) + "\n")
    (data / "sample_submission.csv").write_text("id,loan\n" + "\n".join(f"t{n},0.5" for n in range(12)) + "\n")
    lines = []
    new.make("loans", data, None, [], Says(progress=lines.append))
    assert any(line == "positive bad (guess): the rarer class (10 of 40 rows); output.positive=... changes it" for line in lines)
    assert tomllib.loads(Path("competitions/loans/config.toml").read_text())["output"]["positive"] == "bad"


# sounds


def test_folders_that_are_classes_make_a_config_of_sounds():
    data = touch("files", *(f"train/{kind}/{n}{kind}.wav" for kind in ("cat", "dog", "owl") for n in range(5)), "test/7.ogg", "test/8.flac", "cover.jpg")
    config, lines = made(data)
    assert config["input"] == {"adapter": "audio", "data": str(data.resolve()), "train": "train", "test": "test"}
    assert config["output"] == {"target": "class", "task": "multiclass"} and config["model"]["name"] == "spectrogram"
    assert line(lines, "train") == "train    train/: 15 sounds in 3 folders, such as train/cat/0cat.wav"
    assert list(read_as(data).test.index) == ["7", "8"]
    fast = open_competition("shop", preset="fast").config
    assert fast.model["weights"] == "package" and fast.augment == {"audio": {"seconds": 2.0, "mixup": 0.5}}


def test_a_table_of_names_of_sounds_is_read_as_freesound_hands_it_out():
    names = [f"{n:08x}.wav" for n in range(46)]
    data = touch("files", *(f"audio_train/{n}" for n in names[:40]), *(f"audio_test/{n}" for n in names[40:]))
    write(
        train=pd.DataFrame({"fname": names[:40], "label": ["Bark", "Bass_drum", "Cello", "Flute"] * 10, "manually_verified": [1, 0] * 20}),
        sample_submission=pd.DataFrame({"fname": names[40:], "label": "Bark Cello Flute"}),
    )
    config, lines = made(data)
    assert config["input"] == {
        "adapter": "audio", "data": str(data.resolve()), "train": "train.csv", "test": "test", "id": "fname", "sounds": "audio_{part}/{id}",
        "columns": {"weight": ["manually_verified"]}, "weights": {"0": 0.5, "1": 1.0}, "sample_submission": "sample_submission.csv",
    }  # fmt: skip
    assert line(lines, "weights") == "weights  manually_verified: 0 counts half (guess): 50% of the training rows"
    assert config["output"] == {"target": "label", "task": "multiclass", "cells": "labels", "top": 3}
    tables = read_as(data)
    assert tables.roles["weight"].tolist() == [1.0, 0.5] * 20 and tables.train["audio"].iloc[0].endswith("/audio_train/00000000.wav")


def test_sounds_beside_tables_become_a_column():
    columns = {"clip": [f"{k}.ogg" for k in range(N)]}
    data = usual(zero_one(), train=rows(**columns), test=rows(M, 1, clip=columns["clip"][:M]))
    touch(data / "clips", *columns["clip"])
    config, _ = made(data)
    assert config["input"]["sounds"] == "clips/{clip}" and config["input"]["adapter"] == "audio" and config["model"] == {"name": "lightgbm"}
    tables = read_as(data)
    assert {n: c.kind for n, c in tables.schema.items()} == {"size": "numeric", "weight": "numeric", "audio": "audio"}
    assert tables.test["audio"].iloc[0].endswith("/clips/0.ogg")


def test_tables_of_ids_alone_learn_from_their_sounds():
    train, test = rows()[["id"]], rows(M, 1)[["id"]]
    data = usual(zero_one(), train=train, test=test)
    touch(data, *(f"train/{i}.wav" for i in train["id"]), *(f"test/{i}.wav" for i in test["id"]))
    config, _ = made(data)
    assert config["input"]["sounds"] == "{part}/{id}" and config["model"]["name"] == "spectrogram"
    assert len(read_as(data).test) == M

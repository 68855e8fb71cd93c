"""Folders and tables of sounds: the rows and their files, weights by what cells say, and samples that can be read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("PIL")  # the extra `image`: the adapter of pictures makes their samples too

from kit.adapters.audio import Audio
from kit.adapters.tabular import Tabular
from kit.competition import open_competition
from kit.errors import ConfigError, DataError
from kit.registry import find
from kit.tables import Column


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def opened(folder, kind="multiclass", target="kind", **options) -> Audio:
    return Audio(folder, find("tasks", kind)(target=target), **options)


def relative(frame: pd.DataFrame, folder: Path) -> dict[str, str]:
    return {id: str(Path(path).relative_to(folder)) for id, path in frame["audio"].items()}


def test_a_folder_a_class_and_a_folder_of_test_sounds(tmp_path):
    touch(tmp_path, "train/dog/a.wav", "train/cat/b.ogg", "train/cat/notes.txt", "test/1.flac", "test/2.MP3", "test/cover.jpg")
    tables = opened(tmp_path).tables()
    assert relative(tables.train, tmp_path) == {"a": "train/dog/a.wav", "b": "train/cat/b.ogg"}
    assert relative(tables.test, tmp_path) == {"1": "test/1.flac", "2": "test/2.MP3"}
    assert tables.schema == {"audio": Column("audio")} and list(tables.truth["kind"]) == ["dog", "cat"]
    assert tables.notes == ["1 files in train have no sound's ending, so left out: cat/notes.txt"]


def test_a_table_of_names_and_labels(tmp_path):
    touch(tmp_path, "audio_train/0012.wav", "audio_train/b.wav", "audio_test/c.wav")
    (tmp_path / "train.csv").write_text("fname,kind\n0012.wav,cat\nb.wav,dog\n")
    (tmp_path / "sample.csv").write_text("fname,kind\nc.wav,cat\nd.wav,cat\n")
    tables = opened(tmp_path, train="train.csv", sample_submission="sample.csv", id="fname", sounds="audio_{part}/{id}").tables()
    assert relative(tables.train, tmp_path) == {"0012.wav": "audio_train/0012.wav", "b.wav": "audio_train/b.wav"}
    assert relative(tables.test, tmp_path) == {"c.wav": "audio_test/c.wav", "d.wav": "audio_test/d.wav"}  # named and not there: a row all the same


def test_sounds_that_are_nowhere_are_said(tmp_path):
    (tmp_path / "train.csv").write_text("id,kind\n1,cat\n2,dog\n")
    (tmp_path / "sample.csv").write_text("id,kind\n3,cat\n")
    with pytest.raises(DataError, match=r'^none of the 2 sounds of train.csv is there(.|\n)*input.sounds says where they lie, such as "\{part\}/\{id\}.wav"'):
        opened(tmp_path, train="train.csv", sample_submission="sample.csv").tables()
    with pytest.raises(DataError, match='no sound in .*: expected train/<class>/<sound>'):
        touch(tmp_path, "train/a.jpg")
        opened(tmp_path).tables()


def test_a_wrong_pattern_is_said_by_the_name_of_its_option(tmp_path):
    touch(tmp_path, "train/1.wav", "test/2.wav")
    (tmp_path / "train.csv").write_text("id,kind\n1,cat\n2,dog\n")
    with pytest.raises(DataError, match=r'input.sounds = "\{part\}/a.wav" names one sound for all rows'):
        opened(tmp_path, train="train.csv", sounds="{part}/a.wav").tables()


# weights


VERIFIED = "id,kind,verified\n1,cat,1\n2,dog,0\n3,dog,1\n"


def weighed(folder, weights, text=VERIFIED):
    touch(folder, "train/1.wav", "train/2.wav", "train/3.wav", "test/4.wav")
    (folder / "train.csv").write_text(text)
    return opened(folder, train="train.csv", columns={"weight": ["verified"]}, weights=weights).tables()


def test_cells_count_as_the_config_says(tmp_path):
    tables = weighed(tmp_path, {"0": 0.25, "1": 1.0})
    assert tables.roles["weight"].tolist() == [1.0, 0.25, 1.0] and list(tables.schema) == ["audio"]


def test_a_cell_that_is_not_named_is_its_own_weight(tmp_path):
    assert weighed(tmp_path, {"0": 0.25}).roles["weight"].tolist() == [1.0, 0.25, 1.0]
    words = VERIFIED.replace(",1\n", ",yes\n").replace(",0\n", ",no\n")
    assert weighed(tmp_path, {"yes": 1.0, "no": 0.5}, words).roles["weight"].tolist() == [1.0, 0.5, 1.0]


def test_weights_of_cells_that_are_nowhere_and_weights_without_a_column_are_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"input.weights: no row of train.csv has 2 in its column 'verified'\nit holds 1, 0"):
        weighed(tmp_path, {"2": 0.25})
    with pytest.raises(ConfigError) as error:
        opened(tmp_path, weights={"0": -1.0})
    assert [line[:40] for line in str(error.value).split("\n")] == ["input.weights says what cells count as, ", "input.weights.0 = -1.0: expected a numbe"]


# a table with a column of sounds


def test_cells_of_any_table_may_name_sounds(tmp_path):
    touch(tmp_path, "clips/a.ogg", "clips/b.ogg")
    (tmp_path / "train.csv").write_text("id,clip,size,sold\n1,clips/a.ogg,2,0\n2,,3,1\n")
    (tmp_path / "test.csv").write_text("id,clip,size\n3,clips/b.ogg,4\n")
    tables = Tabular(tmp_path, find("tasks", "binary")(target="sold"), columns={"audio": ["clip"]}).tables()
    assert tables.schema == {"clip": Column("audio"), "size": Column("numeric")}
    assert tables.train["clip"].iloc[0] == f"{tmp_path}/clips/a.ogg" and pd.isna(tables.train["clip"].iloc[1])


def test_names_of_sounds_that_are_nowhere_are_left_out_with_a_note(tmp_path):
    (tmp_path / "train.csv").write_text("id,clip,size,sold\n1,a.mp3,2,0\n2,b.mp3,3,1\n")
    (tmp_path / "test.csv").write_text("id,clip,size\n3,c.mp3,4\n")
    tables = Tabular(tmp_path, find("tasks", "binary")(target="sold")).tables()
    assert tables.notes == [f"names sounds, none of which is in {tmp_path}, so left out: clip"]


# samples


@pytest.mark.parametrize(
    ("kind", "target", "options"),
    [
        ("multiclass", "kind", {}),
        ("binary", "kind", {"train": "train.csv", "test": "test.csv", "sounds": "clips/{id}.wav", "id": "name"}),
        ("multilabel", "kinds", {"train": "train.csv", "sample_submission": "s.csv"}),
        ("regression", "size", {"train": "train.csv", "sample_submission": "s.csv"}),
    ],
)
def test_a_sample_has_the_layout_that_the_options_say(tmp_path, kind, target, options):
    sounds = pytest.importorskip("kit.sounds")
    found = opened(tmp_path, kind, target, **options)
    found.write_sample(tmp_path, rows=40)
    tables = found.tables()
    assert len(tables.train) > 20 and len(tables.test) > 4 and not tables.notes
    found.check_sample(tables.test.index)
    found.task.encode(tables.truth)
    heard = [sounds.decode(path, rate=16_000) for path in (tables.train["audio"].iloc[0], tables.test["audio"].iloc[0])]
    assert all(len(h) > 8000 for h in heard) and not np.array_equal(*heard)


def test_a_sample_of_an_open_set_has_things_that_training_lacks(tmp_path):
    found = Audio(tmp_path, find("tasks", "multiclass")(target="kind", open_set=True, unknown="none"), train="train.csv", sample_submission="s.csv")
    found.write_sample(tmp_path)
    tables = found.tables()
    assert len(tables.train) > 100 and (tables.truth["kind"] == "none").any() and all(Path(p).is_file() for p in tables.test["audio"])


def test_freesounds_sample_has_its_layout(tmp_path):
    adapter = open_competition("freesound", overrides=["model.name=constant"]).open_adapter(tmp_path)
    adapter.write_sample(tmp_path)
    train, sample = pd.read_csv(tmp_path / "train.csv"), pd.read_csv(tmp_path / "sample_submission.csv")
    assert list(train) == ["fname", "label", "manually_verified"] and list(sample) == ["fname", "label"]
    assert train["fname"].str.fullmatch("[0-9a-f]{8}.wav").all() and set(train["manually_verified"]) == {0, 1}
    assert sorted(p.name for p in (tmp_path / "audio_train").iterdir()) == sorted(train["fname"])
    assert sorted(p.name for p in (tmp_path / "audio_test").iterdir()) == sorted(sample["fname"])
    assert [p.stat().st_size for p in (tmp_path / "audio_test").iterdir() if p.stat().st_size < 1000] == [44] * 3
    tables = adapter.tables()
    assert set(tables.roles["weight"]) == {0.5, 1.0} and list(tables.schema) == ["audio"]
    assert (sample["label"].str.split().str.len() == 3).all()


def test_freesounds_padding_is_not_scored(tmp_path):
    adapter = open_competition("freesound", overrides=["model.name=constant"]).open_adapter(tmp_path)
    (tmp_path / "answers.csv").write_text("fname,label\na.wav,Flute\nb.wav,\nc.wav,Bark\n")
    assert adapter.answers(tmp_path / "answers.csv").to_dict("list") == {"id": ["a.wav", "c.wav"], "label": ["Flute", "Bark"]}
    with pytest.raises(DataError, match="column 'label' is missing in 1 rows"):
        adapter.truth(pd.DataFrame({"label": ["Flute", ""]}, index=["a", "b"]), "train.csv")

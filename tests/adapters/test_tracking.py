"""The adapter of events: which events there are, and submissions that hold each hit of each test event once."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from kit import pipeline
from kit.adapters.tracking import Tracking
from kit.competition import open_competition
from kit.errors import DataError, KitError
from kit.predict import grade
from kit.submission import check
from kit.tables import JOINT
from kit.tasks.clustering import Clustering

CONFIG = """
[input]
adapter = "tracking"
sample_submission = "sample_submission.csv"

[output]
target = "track_id"
task = "clustering"

[score]
metric = "trackml"
folds = { scheme = "kfold", count = 2 }

[model]
name = "helix"
radii = 40
origins = 8

[train]
threads = 1
"""


@pytest.fixture
def data(tmp_path):
    _adapter(tmp_path).write_sample(tmp_path, rows=6)
    return tmp_path


def _adapter(folder, **given) -> Tracking:
    return Tracking(folder, Clustering(target="track_id"), **{"sample_submission": "sample_submission.csv", **given})


def _everything(adapter, ids=None):
    """All hits of a test event in one track."""
    events = adapter.read_test()["event"]
    ids = ids or list(events.index)
    hits = [pd.read_csv(f"{events[id]}-hits.csv")["hit_id"].to_numpy() for id in ids]
    return adapter.task.decode(ids, [(own, np.zeros(len(own))) for own in hits])


def test_a_row_is_an_event_and_names_its_files(data):
    tables = _adapter(data).tables()
    assert list(tables.train.index) == ["1000", "1001", "1002", "1003", "1004"] and list(tables.test.index) == ["0"]
    assert tables.schema["event"].kind == "points" and tables.train["event"].iloc[0].endswith("train_100_events/event000001000")
    tracks = tables.truth["track_id"].iloc[0].read()
    assert tracks.weight.sum() == pytest.approx(1) and (tracks.particle > 2**52).any()


def test_events_in_a_zip_are_found_and_those_without_truth_are_left_out_with_a_word(data):
    (data / "train_100_events" / "event000001002-truth.csv").unlink()
    with zipfile.ZipFile(data / "test.zip", "w") as archive:
        for path in sorted((data / "test").iterdir()):
            archive.write(path, f"test/{path.name}")
            path.unlink()
    (data / "test").rmdir()
    adapter = _adapter(data)
    tables = adapter.tables()
    assert "1002" not in tables.train.index and any("1 events of train_100_events have no file of truth" in note for note in tables.notes)
    assert tables.test["event"].iloc[0].endswith("test.zip/test/event000000000") and data / "test.zip" in adapter.test_files()


def test_an_event_of_two_folders_and_a_folder_without_events_are_named(data):
    with pytest.raises(DataError, match="5 events are in train_100_events, train_100_events more than once: 1000"):
        _adapter(data, train=["train_100_events", "train_100_events"]).read_train()
    (data / "none").mkdir()
    with pytest.raises(DataError, match="no events in .*none: expected files such as event000001000-hits.csv"):
        _adapter(data, train="none").read_train()


def test_a_submission_has_each_hit_of_each_test_event_once_and_is_read_back(data):
    adapter = _adapter(data)
    predicted = _everything(adapter)
    frame = adapter.submission(predicted, {}, "groups")
    assert list(frame) == ["event_id", "hit_id", "track_id"]
    check(frame, *adapter.layout("groups"), adapter.submission_ids(predicted.ids))
    frame.to_csv(data / "mine.csv", index=False)
    pd.testing.assert_frame_equal(adapter.read_submission(data / "mine.csv", "groups").rows, predicted.rows)


@pytest.mark.parametrize("sample", ["sample_submission.csv", ""])
def test_hits_that_were_not_predicted_are_tracks_of_their_own(sample, data):
    adapter = _adapter(data, sample_submission=sample)
    frame = adapter.submission(adapter.task.nothing(["0"]), {}, "groups")
    assert frame["track_id"].is_unique and len(frame) == len(pd.read_csv(data / "sample_submission.csv"))
    check(frame, *adapter.layout("groups"), adapter.submission_ids(np.array(["0"])))


def test_events_are_in_the_order_of_their_numbers_not_of_their_text(tmp_path):
    rows = [(n, hit, 0) for n in (10, 9) for hit in (2, 1)]
    pd.DataFrame(rows, columns=["event_id", "hit_id", "track_id"]).to_csv(tmp_path / "sample_submission.csv", index=False)
    adapter = _adapter(tmp_path)
    predicted = adapter.task.decode(["10", "9"], [([1, 2], [3, 4]), ([1, 2], [5, 6])])
    assert adapter.submission(predicted, {}, "groups").to_numpy().tolist() == [[9, 1, 5], [9, 2, 6], [10, 1, 3], [10, 2, 4]]
    assert set(adapter.submission_ids(predicted.ids)) == {f"{event}{JOINT}{hit}" for event in (9, 10) for hit in (1, 2)}


def test_a_sample_of_other_events_is_an_error(data):
    text = (data / "sample_submission.csv").read_text()
    (data / "sample_submission.csv").write_text(text + "77,1,0\n")
    with pytest.raises(DataError, match="1 ids of sample_submission.csv are not in test: 77"):
        _adapter(data).check_sample(pd.Index(["0"]))


def test_submissions_with_a_hit_twice_a_missing_column_and_words_for_numbers_are_refused(tmp_path):
    adapter = _adapter(tmp_path)
    for text, told in (
        ("event_id,hit_id,track_id\n0,1,2\n0,1,3\n", "1 hits on more than one row"),
        ("event_id,hit_id,track\n0,1,2\n", "no column track_id"),
        ("event_id,hit_id,track_id\n0,1,a\n", "column track_id is not a whole number"),
        ("event_id,hit_id,track_id\n0,1,\n0,2,1\n", "column track_id is not a whole number"),
    ):
        (tmp_path / "s.csv").write_text(text)
        with pytest.raises(DataError, match=told):
            adapter.read_submission(tmp_path / "s.csv", "groups")


def test_a_run_is_graded_from_its_files_as_the_metric_says(data, monkeypatch):
    monkeypatch.chdir(data)
    folder = data / "competitions" / "toy"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG)
    competition = open_competition("toy")
    run = pipeline.train(competition, data, pipeline.Says())
    assert run.info["score"]["mean"] > 0.2 and run.info["constant"] == 0
    first = pd.read_csv(data / "train_100_events" / "event000001000-truth.csv")
    rows = first.assign(event_id=1000)
    rows[["event_id", "hit_id", "particle_id", "weight"]].to_csv(data / "answers.csv", index=False)
    rows.assign(track_id=rows["particle_id"])[["event_id", "hit_id", "track_id"]].to_csv(data / "perfect.csv", index=False)
    assert grade(competition, data / "perfect.csv", data / "answers.csv", None) == pytest.approx(1)
    rows.assign(track_id=1, hit_id=rows["hit_id"] + 1)[["event_id", "hit_id", "track_id"]].to_csv(data / "other.csv", index=False)
    with pytest.raises(KitError, match="event 1000 has 1 predicted hits that are not in it"):
        grade(competition, data / "other.csv", data / "answers.csv", None)

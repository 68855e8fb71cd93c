"""An event's files: sorted by hit, packed or not, and each kind of damage by its word."""

import gzip
import zipfile

import numpy as np
import pytest

from kit import events
from kit.encoders import Gathering
from kit.encoders.points import Points
from kit.errors import ConfigError, DataError
from kit.events import TracksFile, read_event
from kit.stores import Damaged

HITS = "hit_id,x,y,z,volume_id,layer_id,module_id\n2,3.5,0,-1e2,8,2,7\n1,1,2,3,9,4,5\n"
TRUTH = "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n2,0,0,0,0,0,0,0,0\n1,4503599644147713,0,0,0,0,0,0,1.5e-4\n"
CELLS = "hit_id,ch0,ch1,value\n2,10,700,0.25\n2,12,700,0.5\n1,3,4,0.125\n9,1,1,1\n"


def _event(folder, name="event000001000", **parts) -> str:
    for part, text in {"hits": HITS, "truth": TRUTH, "cells": CELLS, **parts}.items():
        if text is not None:
            (folder / f"{name}-{part}.csv").write_text(text)
    return f"{folder}/{name}"


def test_hits_and_truth_are_in_the_order_of_their_numbers(tmp_path):
    prefix = _event(tmp_path)
    event, tracks = read_event(prefix), TracksFile(prefix).read()
    assert event.hit_id.tolist() == [1, 2] and event.xyz.tolist() == [[1, 2, 3], [3.5, 0, -100]] and event.module.tolist() == [[9, 4, 5], [8, 2, 7]]
    assert tracks.particle.tolist() == [4503599644147713, 0] and tracks.weight.tolist() == [1.5e-4, 0]


def test_cells_are_counted_summed_and_measured_for_each_hit(tmp_path):
    assert read_event(_event(tmp_path)).cells().tolist() == [[1, 0.125, 1, 1], [2, 0.75, 3, 1]]
    assert read_event(_event(tmp_path, "event000000002", cells=None)).cells().tolist() == [[0] * 4] * 2


def test_packed_files_and_files_in_a_zip_are_read_alike(tmp_path):
    prefix = _event(tmp_path)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "event000001000-hits.csv.gz").write_bytes(gzip.compress(HITS.encode()))
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("train/event000001000-hits.csv", HITS)
    for other in (f"{tmp_path}/packed/event000001000", f"{tmp_path}/train.zip/train/event000001000"):
        assert np.array_equal(read_event(other).xyz, read_event(prefix).xyz)


@pytest.mark.parametrize(
    ("word", "hits"),
    [
        ("missing", None), ("empty", "\n"), ("truncated", HITS + "3,1,2"), ("truncated", HITS + "3,1,2,,8,2,7\n"), ("not a table", "<html>no such page</html>\n"),
        ("not a table", HITS + "3,one,2,3,8,2,7\n"), ("not finite", HITS + "3,inf,2,3,8,2,7\n"), ("hits twice", HITS + "2,1,2,3,8,2,7\n"),
    ],
)  # fmt: skip
def test_damage_has_a_word(word, hits, tmp_path):
    with pytest.raises(Damaged) as error:
        read_event(_event(tmp_path, hits=hits))
    assert error.value.kind == word


def test_a_broken_gzip_is_truncated(tmp_path):
    (tmp_path / "event000000001-hits.csv.gz").write_bytes(gzip.compress(HITS.encode())[:-9])
    with pytest.raises(Damaged, match="truncated"):
        read_event(f"{tmp_path}/event000000001")


def test_a_store_reads_an_event_when_it_is_asked_for_and_counts_what_is_damaged(tmp_path):
    whole, broken = _event(tmp_path), _event(tmp_path, "event000000002", hits="hit_id,x\n1,2\n")
    told = []
    store = events.gather(np.array([whole, broken, f"{tmp_path}/event000000003", "", whole], dtype=object), progress=told.append)
    assert "events 3" in told[0] and "1 missing" in told[0]
    assert store.there.tolist() == [True, True, False, False, True]
    assert [len(store[n]) for n in range(5)] == [2, 0, 0, 0, 2]
    assert store.there.tolist() == [True, False, False, False, True] and store.counted() == "1 missing, 1 not a table"


def test_the_encoder_refuses_too_many_missing_events_and_models_that_take_none(tmp_path):
    cells = np.array([_event(tmp_path), f"{tmp_path}/event000000003"], dtype=object)
    with pytest.raises(DataError, match="1 of 2 events are damaged: 1 missing"):
        Points().gather("event", cells, 2, Gathering(takes=("points",)))
    with pytest.raises(ConfigError, match="holds events of hits"):
        Points().gather("event", cells, 2, Gathering())
    assert len(Points().gather("event", cells, 1, Gathering(takes=("points",))).store) == 2  # test events may be missing

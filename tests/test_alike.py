"""Near copies of one picture share a group, a chain of them too, and never across classes."""

from dataclasses import replace

import numpy as np
import pytest

from kit.alike import chained
from kit.competition import open_competition
from kit.divided import divided
from kit.errors import KitError


def about(angle: float) -> list[float]:
    return [np.cos(angle), np.sin(angle), 0.0]


def test_a_chain_of_similar_rows_is_one_group():
    steps = [0.0, 0.4, 0.8, np.pi, np.pi + 0.4, np.pi + 0.8]  # neighbours at 0.92, ends at 0.70; the mean of all is 0
    found = chained(np.array([about(a) for a in steps]), np.zeros(6, np.int64), 0.9)
    assert len(set(found[:3])) == 1 and len(set(found[3:])) == 1 and found[0] != found[3]


def test_rows_of_several_classes_are_in_several_groups():
    features = np.array([about(0), about(0), about(np.pi), about(np.pi)])
    assert len(set(chained(features, np.array([0, 1, 0, 1]), 0.9))) == 4
    assert len(set(chained(features, np.array([-1, -1, 0, 0]), 0.9))) == 2


def test_a_row_without_features_is_alone():
    features = np.array([about(0), [np.nan] * 3, about(0), [np.nan] * 3, about(np.pi), about(np.pi)])
    found = chained(features, np.zeros(6, np.int64), 0.9)
    assert found[0] == found[2] and found[4] == found[5] and len(set(found)) == 4


def test_groups_do_not_depend_on_the_scale_or_place_of_the_features():
    random = np.random.default_rng(0)
    features, target = random.normal(size=(60, 8)), random.integers(0, 5, 60)
    one, other = chained(features, target, 0.3), chained(features * 7 + 3, target, 0.3)
    np.testing.assert_array_equal(one, other)


def test_copies_share_a_fold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    competition = open_competition("landmark-recognition", overrides=["score.alike=0.6", "model.name=constant", "encoders.image.features=pixels", "score.folds.only=0"])
    competition.open_adapter(tmp_path).write_sample(tmp_path / "sample")
    adapter = competition.open_adapter(tmp_path / "sample")
    tables = adapter.tables()
    rows, split, _ = divided(competition, tables, adapter.task)
    assert len(set(rows.group)) < len(rows.ids)
    for fold in split:
        assert not set(rows.group[fold.train]) & set(rows.group[fold.valid])


def test_a_scheme_that_looks_at_no_group_is_refused():
    with pytest.raises(KitError, match="score.alike makes groups"):
        open_competition("landmark-recognition", overrides=["score.alike=0.9", "score.folds=stratified", "model.name=constant"])


def test_a_table_without_pictures_says_so(table):
    assert "score.alike compares pictures or sounds" in table.complaint("score.alike=0.9", "score.folds=holdout")


def test_clips_that_sound_alike_share_a_fold(tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    competition = open_competition("freesound", overrides=["score.alike=0.97", "model.name=constant", "encoders.audio.rate=16000"])
    competition.open_adapter(tmp_path).write_sample(tmp_path / "sample", rows=80)
    adapter = competition.open_adapter(tmp_path / "sample")
    rows, split, _ = divided(competition, adapter.tables(), adapter.task)
    assert 5 < len(set(rows.group)) < len(rows.ids)
    for fold in split:
        assert not set(rows.group[fold.train]) & set(rows.group[fold.valid])


def test_clips_are_alike_by_their_spectra_and_by_how_these_go_on(tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    from kit.encoders import audio

    monkeypatch.chdir(tmp_path)
    chance, groups = np.random.default_rng(0), {}
    for changed in ("nothing", "spectra", "envelope"):
        with monkeypatch.context() as patched:
            if changed != "nothing":  # no two clips are alike in it
                patched.setitem(audio._PLAIN, changed, lambda sound, rate: chance.normal(size=50))
            opened = open_competition("freesound", overrides=["score.alike=0.92", "model.name=constant", "encoders.audio.rate=16000"])
            competition = replace(opened, home=tmp_path / changed)  # and with it the features that are kept
            if not (tmp_path / "sample").is_dir():
                competition.open_adapter(tmp_path).write_sample(tmp_path / "sample", rows=80)
            adapter = competition.open_adapter(tmp_path / "sample")
            rows = divided(competition, adapter.tables(), adapter.task)[0]
            groups[changed] = len(set(rows.group))
    assert groups["nothing"] < groups["spectra"] == groups["envelope"] == len(rows.ids)


def test_clips_keep_their_folds_whatever_features_a_model_is_given(tmp_path, monkeypatch):
    """With a network's features in the place of spectra other clips would be alike, and two models' scores could not be compared."""
    pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    found = []
    for features in ("spectra", "a network that is not even looked for"):
        competition = open_competition("freesound", overrides=["score.alike=0.97", "model.name=constant", "encoders.audio.rate=16000", f"encoders.audio.features={features}"])
        if not (tmp_path / "sample").is_dir():
            competition.open_adapter(tmp_path).write_sample(tmp_path / "sample", rows=80)
        adapter = competition.open_adapter(tmp_path / "sample")
        found.append(divided(competition, adapter.tables(), adapter.task)[0].group)
    assert (found[0] == found[1]).all()

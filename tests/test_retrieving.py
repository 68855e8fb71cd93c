"""A fold's rows as queries: never found in what was made with them, and models that meet in their mean similarity."""

import numpy as np
import pandas as pd
import pytest

faiss = pytest.importorskip("faiss")

from kit.folds import Fold  # noqa: E402
from kit.retrieving import GALLERY, QUERIES, Validated, gains, searched, write, write_valid  # noqa: E402
from kit.scoring import Metric  # noqa: E402
from kit.searching import Search, Shards  # noqa: E402
from kit.tasks.retrieval import Retrieval, parts_of  # noqa: E402

CLASSES, EACH = 30, 4


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def table():
    """Rows whose vectors lie about their class's."""
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(CLASSES), EACH)
    vectors = unit(random.normal(size=(CLASSES, 16))[codes] + 0.9 * random.normal(size=(len(codes), 16)))
    return pd.DataFrame({"place": np.arange(len(codes))}, index=pd.Index([f"r{n:03d}" for n in range(len(codes))], name="id")), codes, vectors


@pytest.fixture
def fold(table):
    _, codes, _ = table
    return Fold(0, 0, np.flatnonzero(codes >= 10), np.flatnonzero(codes < 10))


@pytest.fixture
def validated(table, fold, tmp_path):
    frame, codes, vectors = table
    write_valid(tmp_path, frame, fold, pd.Series(codes, index=frame.index), 60, 0, lambda rows: vectors[rows["place"]])
    return Validated.open(tmp_path, pd.Series(codes, index=frame.index))


def truth_of(table, fold) -> tuple[Retrieval, pd.DataFrame]:
    frame, codes, _ = table
    task = Retrieval(target="images")
    truth = pd.DataFrame({"id": frame.index, "images": codes.astype(str)})
    task.learn(truth)
    return task, task.out_of_fold(truth, [fold])


def test_distractors_are_training_rows_and_fill_up_to_the_gallery(validated, fold, table):
    assert len(validated.ids) == 40 and len(validated.distractor_ids) == 20
    assert set(validated.distractor_ids) <= set(table[0].index[fold.train])


def test_no_distractor_is_of_a_class_that_is_asked_for(table, tmp_path):
    frame, codes, vectors = table
    shared = Fold(0, 0, np.arange(1, len(codes)), np.array([0]))  # by rows: the class of the validated one is in training too
    write_valid(tmp_path, frame, shared, pd.Series(codes, index=frame.index), 1000, 0, lambda rows: vectors[rows["place"]])
    assert set(Shards.open(tmp_path / "distractors").ids) == set(frame.index[codes != 0])


def test_a_query_finds_rows_of_other_parts_only_and_never_itself(validated, table, fold):
    task, _ = truth_of(table, fold)
    found = validated.predictions(Search(neighbours=60, database=2, expansion=2), task).rows.set_index("id")["neighbours"]
    part_of = dict(zip(validated.ids, validated.parts))
    assert set(found.index) == set(validated.ids)
    for id, names in found.items():
        assert id not in names
        assert all(part_of.get(name, -1) != part_of[id] for name in names)
        assert set(names) == {n for n in validated.ids if part_of[n] != part_of[id]} | set(validated.distractor_ids)


def test_what_is_relevant_can_be_found(validated, table, fold):
    task, truth = truth_of(table, fold)
    found = validated.predictions(Search(neighbours=60), task).rows.set_index("id")["neighbours"]
    asked = truth.set_index("id")["images"]
    for id, names in found.items():
        assert set(asked[id].split()) <= set(names)


def test_the_steps_are_scored_one_after_another(validated, table, fold):
    task, truth = truth_of(table, fold)
    scores = gains(Search(neighbours=60, expansion=2, database=2), task, Metric.open("retrieval_map_at_k", {}), truth, [validated])
    assert list(scores) == ["plain", "database", "expansion"]
    whole = Metric.open("retrieval_map_at_k", {}).score(task, truth[truth["id"].isin(validated.ids)].reset_index(drop=True), validated.predictions(Search(neighbours=60, expansion=2, database=2), task), {})
    assert scores["expansion"] == whole and 0 < scores["plain"] < 1


def test_models_meet_in_their_mean_similarity(table, tmp_path):
    frame, _, _ = table
    random = np.random.default_rng(1)
    made = [unit(random.normal(size=(len(frame), width))) for width in (8, 12)]
    folders = [tmp_path / "fold-0", tmp_path / "fold-1"]
    for folder, vectors in zip(folders, made):
        for name, rows in ((QUERIES, frame.iloc[:20]), (GALLERY, frame.iloc[20:])):
            write(folder / name, rows, lambda rows, vectors=vectors: vectors[rows["place"]])
    found = searched(Search(neighbours=5), Retrieval(target="images"), folders).rows.set_index("id")
    mean = sum(v[:20] @ v[20:].T for v in made) / 2
    for n in range(20):
        best = np.argsort(-mean[n])[:5]
        assert list(found.loc[f"r{n:03d}", "neighbours"]) == [f"r{20 + k:03d}" for k in best]
        assert list(found.loc[f"r{n:03d}", "scores"]) == pytest.approx(mean[n, best], abs=1e-6)


def test_vectors_are_written_a_part_at_a_time(table, tmp_path, monkeypatch):
    frame, _, vectors = table
    monkeypatch.setattr("kit.retrieving._AT_ONCE", 7)
    asked = []
    write(tmp_path / "v", frame, lambda rows: asked.append(len(rows)) or vectors[rows["place"]])
    assert max(asked) == 7 and sum(asked) == len(frame)
    np.testing.assert_array_equal(Shards.open(tmp_path / "v").vectors(), vectors)


def test_parts_of_the_fixture_differ_within_a_class(validated, table):
    codes = pd.Series(table[1], index=table[0].index)
    for _, parts in pd.Series(parts_of(codes.loc[list(validated.ids)].to_numpy(), validated.ids)).groupby(codes.loc[list(validated.ids)].to_numpy()):
        assert parts.is_unique

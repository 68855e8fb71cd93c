"""Answers for test rows as labels: of each fold by the model of that fold, never learned by an encoder, never scored, and recorded."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.album import Pictures, gather
from kit.competition import open_competition
from kit.encoders import Examples, Features
from kit.errors import KitError
from kit.files import read_json, write_json
from kit.fitting import Says
from kit.predictions import Predictions
from kit.pseudo import Labels, Pseudo, _below, _labels
from kit.tasks.multiclass import Multiclass
from kit.tokens import Tokens
from kit.tune import tune

LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")
NUMBER = ("output.task=regression", "score.metric=rmse", "score.folds.scheme=kfold")
CLASSES = ("output.task=multiclass", "score.metric=log_loss")


def learned(folder) -> dict[str, bytes]:
    """What was fitted: all files of a fold but its predictions, its time and its curve."""
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.suffix != ".parquet" and f.name != "fold.json"}


def score(run) -> float:
    return read_json(run / "run.json")["score"]["mean"]


def validated(run, fold) -> set[str]:
    rows = pd.read_csv(run / "folds.csv", dtype={"id": str})
    return set(rows.id[(rows.fold == fold) & (rows.role == "valid")])


def answer(path, p) -> None:
    """Another answer for each test row, in the place of a model's."""
    ids = Predictions.read(path).ids
    Predictions.of(ids, {"p": np.broadcast_to(p, len(ids))}).write(path)


def made(table, *, train, test, columns, seed=0):
    """Two clouds of points, one for each class."""
    random = np.random.default_rng(seed)
    sold = np.arange(train + test) % 2
    points = random.normal(size=(len(sold), columns)) + 0.45 * (2 * sold[:, None] - 1)
    names = [f"x{n}" for n in range(columns)]
    rows = [[f"{n:04d}", *(f"{v:.4f}" for v in row)] for n, row in enumerate(points)]
    table.train = [["id", *names, "sold"], *([*row, str(s)] for row, s in zip(rows[:train], sold))]
    table.test = [["id", *names], *rows[train:]]
    table.sample = [["id", "sold"], *([row[0], "0.5"] for row in rows[train:])]
    table.write()


# what it is for


def test_few_labels_and_many_test_rows_gain(table):
    made(table, train=24, test=600, columns=20)
    source = table.trained(*LINEAR)
    taught = table.trained(*LINEAR, f"train.pseudo={source.name}", "train.pseudo_weight=1")
    assert score(taught) < score(source) - 0.05


def test_several_classes_and_numbers_are_learned_from_too(table):
    for row in table.train[1:]:
        row[-1] = str(int(row[-1]) + int(row[2] == "blue"))
    table.write()
    for task in (CLASSES, NUMBER):
        source = table.trained(*task, *LINEAR)
        taught = table.trained(*task, *LINEAR, f"train.pseudo={source.name}")
        assert learned(taught / "fold-0") != learned(source / "fold-0")
        assert score(taught) == pytest.approx(score(source), abs=0.2)


# safe by fold


def of_copies(table):
    """Test rows that are copies of training rows, whose answers nothing foretells: what a model saw it can say by heart."""
    random = np.random.default_rng(1)
    rows = [[f"{n:04d}", f"{random.normal():.4f}", f"{random.normal():.4f}"] for n in range(120)]
    table.train = [["id", "x", "y", "sold"], *([*row, str(random.integers(2))] for row in rows)]
    table.test = [["id", "x", "y"], *([f"t{row[0]}", *row[1:]] for row in rows)]
    table.sample = [["id", "sold"], *([row[0], "0.5"] for row in table.test[1:])]
    table.write()


def test_test_rows_that_copy_validated_rows_do_not_bring_their_answers(table):
    of_copies(table)
    by_heart = ("model.rounds=60", "model.min_rows=1", "model.leaves=60", "score.metric=accuracy", "train.pseudo_weight=1")
    source = table.trained(*by_heart[:-1])
    safe = table.trained(*by_heart, f"train.pseudo={source.name}")
    assert abs(score(safe) - 0.5) < 0.12
    for fold in (0, 1):  # the mean of both models has seen every row
        shutil.copy(source / "test.parquet", source / f"fold-{fold}" / "test.parquet")
    told = table.trained(*by_heart, f"train.pseudo={source.name}")
    assert score(told) > 0.62


def test_labels_of_a_fold_come_from_the_model_of_that_fold_alone(table):
    source = table.trained(*LINEAR)
    before = table.trained(*LINEAR, f"train.pseudo={source.name}")
    answer(source / "fold-1" / "test.parquet", 0.99)
    answer(source / "test.parquet", 0.99)
    after = table.trained(*LINEAR, f"train.pseudo={source.name}")
    assert learned(after / "fold-0") == learned(before / "fold-0")
    assert learned(after / "fold-1") != learned(before / "fold-1")


@pytest.mark.parametrize("rounds", ["model.rounds=5", "model.rounds=0"])
def test_absurd_rows_to_validate_move_nothing_that_was_fitted_on_labels_or_for_them(table, rounds):
    model = (rounds, "model.most_rounds=20", *NUMBER, 'encoders.category.means=["colour"]')
    source = table.trained(*model)
    clean = table.trained(*model, f"train.pseudo={source.name}")
    valid = validated(clean, 0)
    for row in table.train[1:]:
        if row[0] in valid:
            row[1:] = ["1e9", "absurd", "2999-12-31", "1e6"]
    table.write()
    absurd_source = table.trained(*model)
    absurd = table.trained(*model, f"train.pseudo={absurd_source.name}")
    assert learned(absurd / "fold-0") == learned(clean / "fold-0")
    assert learned(absurd / "fold-1") != learned(clean / "fold-1")


def test_encoders_and_the_watched_rounds_are_those_of_the_labelled_rows(table):
    model = ("model.rounds=0", "model.most_rounds=20", 'encoders.category.means=["colour"]')
    for row in table.test[1:]:
        row[2] = "only in test"
    table.write()
    source = table.trained(*model)
    taught = table.trained(*model, f"train.pseudo={source.name}")
    for fold in ("fold-0", "fold-1"):
        assert (taught / fold / "encoders.json").read_bytes() == (source / fold / "encoders.json").read_bytes()
        assert read_json(taught / fold / "fold.json")["found"] == read_json(source / fold / "fold.json")["found"]
        assert learned(taught / fold) != learned(source / fold)


def test_the_score_is_of_the_true_answers_alone(table):
    source = table.trained(*LINEAR)
    taught = table.trained(*LINEAR, f"train.pseudo={source.name}")
    assert (taught / "folds.csv").read_bytes() == (source / "folds.csv").read_bytes()
    info, oof = read_json(taught / "run.json"), Predictions.read(taught / "oof.parquet")
    assert info["covered"] == 60 and set(oof.ids) == {row[0] for row in table.train[1:]}
    assert info["constant"] == read_json(source / "run.json")["constant"]


def test_a_model_of_all_rows_learns_from_the_mean_of_the_folds(table):
    source = table.trained(*LINEAR)
    asked = (*LINEAR, f"train.pseudo={source.name}", "train.final=refit")
    before = table.trained(*asked)
    answer(source / "test.parquet", 0.99)
    after = table.trained(*asked)
    assert learned(after / "refit") != learned(before / "refit")
    assert learned(after / "fold-0") == learned(before / "fold-0")


def test_a_source_may_itself_have_learned_from_answers(table):
    first = table.trained(*LINEAR)
    second = table.trained(*LINEAR, f"train.pseudo={first.name}")
    shutil.rmtree(first)
    third = table.trained(*LINEAR, f"train.pseudo={second.name}")
    assert read_json(third / "run.json")["exceptions"] == ["30 of 30 test rows were trained on, with labels that competitions/toy/runs/2-linear gave them, in each fold its model of that fold"]


# which rows, and what they weigh


def test_only_sure_rows_become_labels_and_the_run_says_how_many(table):
    source = table.trained(*LINEAR)
    sure = [np.maximum(p, 1 - p) >= 0.8 for p in (Predictions.read(source / f"fold-{k}" / "test.parquet").rows["p"] for k in (0, 1))]
    counts = sorted(int(s.sum()) for s in sure)
    assert 0 < counts[0] < counts[1] < 30
    taught = table.trained(*LINEAR, f"train.pseudo={source.name}", "train.pseudo_confidence=0.8")
    told = f"{counts[0]} to {counts[1]} of 30 test rows"
    assert read_json(taught / "run.json")["exceptions"] == [f"{told} were trained on, with labels that {source} gave them, in each fold its model of that fold"]
    assert f"pseudo  {told} with labels of {source}, weight 0.5" in (taught / "log.txt").read_text().splitlines()


def test_labels_of_next_to_no_weight_change_next_to_nothing(table):
    source = table.trained(*LINEAR)
    light = table.trained(*LINEAR, f"train.pseudo={source.name}", "train.pseudo_weight=1e-9")
    heavy = table.trained(*LINEAR, f"train.pseudo={source.name}", "train.pseudo_weight=1")
    p = [Predictions.read(run / "oof.parquet").rows["p"].to_numpy() for run in (source, light, heavy)]
    assert np.abs(p[1] - p[0]).max() < 0.1 < np.abs(p[2] - p[0]).max()  # numbers are scaled by what all rows are like


def test_a_label_weighs_in_the_mean_of_the_labelled_rows():
    labels = Labels(np.array([0, 2]), np.array([1, 0]))
    pseudo = Pseudo(Path("runs/1-linear"), 0.5, "", [labels], labels)
    examples = Examples(np.array(["a", "b"], dtype=object), Features.of(2, dense={"x": np.array([1.0, 2.0])}), np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    both = pseudo.below(examples, Features.of(2, dense={"x": np.array([3.0, 4.0])}), labels, np.array(["c", "d"], dtype=object))
    assert both.ids.tolist() == ["a", "b", "c", "d"] and both.features.dense[:, 0].tolist() == [1, 2, 3, 4]
    assert both.target.tolist() == [1.0, 0.0, 1.0, 0.0] and both.target.dtype == np.float64
    assert both.weight.tolist() == [1.0, 3.0, 1.0, 1.0]


def test_the_likeliest_of_listed_classes_is_the_label():
    task = Multiclass(target="y")
    task.classes = ["a", "b", "c"]
    listed = Predictions.of(["1", "2"], {"labels": pd.Series([["c", "a"], ["b", "c"]]), "scores": pd.Series([[0.9, 0.1], [0.4, 0.3]])})
    labels = _labels(listed, ["2", "1"], task, "multiclass", 0.5)
    assert labels.rows.tolist() == [1] and labels.target.tolist() == [2]
    columns = task.decode(["1", "2"], np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]]))
    assert _labels(columns, ["1", "2"], task, "multiclass", 0.0).target.tolist() == [1, 0]


def test_pictures_are_put_below_pictures():
    cells = np.empty(3, dtype=object)
    cells[:] = [np.full((4, 4, 3), light, np.uint8) for light in (10, 20, 30)]
    album = gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None)
    above, below = (replace(Features.of(len(rows)), media={"photo": Pictures(album, np.array(rows))}) for rows in ([2, 0], [1]))
    photos = _below(above, below).media["photo"]
    assert [int(photos[n][0, 0, 0]) for n in range(3)] == [30, 10, 20] and photos.key != above.media["photo"].key


def test_texts_are_put_below_texts():
    def texts(bodies):
        starts = np.cumsum([0, *map(len, bodies)])
        ids = np.array([t for body in bodies for t in body], np.int32)
        return Tokens(ids, starts, np.zeros(len(ids), np.int8), [1], [2], 0, 20, 16, f"{bodies}")

    above, below = (replace(Features.of(2), media={"words": texts(bodies)}) for bodies in ([[5, 6], [7]], [[], [8, 9]]))
    words = _below(above, below).media["words"]
    assert words.padded(np.arange(4))["tokens"].tolist() == [[1, 5, 6, 2], [1, 7, 2, 0], [1, 2, 0, 0], [1, 8, 9, 2]]
    assert words.key != above.media["words"].key


# the run


def test_the_same_command_goes_on_and_another_answer_of_the_source_is_another_run(table):
    source = table.trained(*LINEAR)
    asked = (*LINEAR, f"train.pseudo={source.name}")
    whole = table.trained(*asked)
    kept = {name: (whole / name).read_bytes() for name in ("oof.parquet", "submission.csv")}
    shutil.rmtree(whole / "fold-1")
    write_json(whole / "run.json", read_json(whole / "run.json") | {"state": "interrupted"})
    assert table.trained(*asked) == whole and read_json(whole / "run.json")["continued"] == 1
    assert {name: (whole / name).read_bytes() for name in kept} == kept
    write_json(whole / "run.json", read_json(whole / "run.json") | {"state": "interrupted"})
    answer(source / "fold-0" / "test.parquet", 0.7)
    assert table.trained(*asked) != whole


def test_the_order_of_rows_in_the_files_does_not_matter(table):
    source = table.trained(*LINEAR)
    first = table.submission(*LINEAR, f"train.pseudo={source.name}")
    for rows in (table.train, table.test):
        rows[1:] = rows[:0:-1]
    table.write()
    source = table.trained(*LINEAR)
    assert table.submission(*LINEAR, f"train.pseudo={source.name}") == first


def test_naming_another_model_keeps_the_source(table):
    source = table.trained(*LINEAR)
    table.config((table.folder / "config.toml").read_text() + f'pseudo = "{source.name}"\n')
    taught = table.trained("model.name=constant")
    assert len(read_json(taught / "run.json")["exceptions"]) == 1


# refusals


def refused(table, *overrides) -> list[str]:
    with pytest.raises(KitError) as error:
        table.trained(*LINEAR, *overrides)
    return str(error.value).split("\n")


def test_a_run_that_is_not_there_is_told_with_those_that_are(table):
    assert refused(table, "train.pseudo=1-linear") == [  # its own name, before it is one
        'train.pseudo = "1-linear" is no run: expected the name of one in competitions/toy/runs, or its path',
        "there are none yet: train one first",
    ]
    table.trained(*LINEAR)
    assert refused(table, "train.pseudo=7-linear")[1] == "there are 1-linear"
    assert len(list((table.folder / "runs").iterdir())) == 1, "a refusal leaves no run behind"


def test_a_run_may_be_named_by_its_path(table):
    source = table.trained(*LINEAR)
    assert read_json(table.trained(*LINEAR, f"train.pseudo={source}") / "run.json")["state"] == "finished"


def test_other_folds_are_refused(table):
    source = table.trained(*LINEAR, "score.folds.seed=1")
    first, *_, remedy = refused(table, f"train.pseudo={source.name}")
    assert first.startswith('train.pseudo = "1-linear" has other folds (') and first.endswith("its model of a fold may have seen rows that the fold validates here")
    assert "the same [score] folds" in remedy


def test_other_data_are_refused(table):
    source = table.trained(*LINEAR)
    table.test[1][1] = "0.1234"
    table.write()
    assert refused(table, f"train.pseudo={source.name}")[0] == 'train.pseudo = "1-linear" was trained on other data files, or on other weights than lie there now'


def test_another_question_is_refused(table):
    source = table.trained(*LINEAR, 'output.positive="0"')
    assert refused(table, f"train.pseudo={source.name}")[0] == 'train.pseudo = "1-linear" answers another question: its task, target or classes are not these'


def test_an_unfinished_source_is_refused(table):
    source = table.trained(*LINEAR)
    write_json(source / "run.json", read_json(source / "run.json") | {"state": "interrupted"})
    assert refused(table, f"train.pseudo={source.name}", "train.seed=1") == [
        'train.pseudo = "1-linear" is not finished (interrupted)',
        "give its training command again, and then this one",
    ]


@pytest.mark.parametrize("how, lacking", [("train.final=refit", "fold-0, fold-1"), ("train.final=last", "fold-0"), ("train.fold=0", "fold-1")])
def test_a_source_that_did_not_answer_by_each_fold_is_refused(table, how, lacking):
    source = table.trained(*LINEAR, how)
    assert refused(table, f"train.pseudo={source.name}")[0] == (
        f'train.pseudo = "1-linear" has no answers for the test rows by its models of {lacking}: they come with train.final=folds and all folds'
    )


def test_a_blend_and_a_run_of_another_competition_are_refused(table):
    source = table.trained(*LINEAR)
    told = read_json(source / "run.json")
    write_json(source / "run.json", told | {"blended": {"runs": ["8-linear", "9-knn"]}})
    assert refused(table, "train.pseudo=1-linear")[1] == "name one of its runs: 8-linear, 9-knn"
    write_json(source / "run.json", told | {"competition": "other"})
    assert refused(table, "train.pseudo=1-linear")[0] == 'train.pseudo = "1-linear" is a run of other, and this is toy'


def test_options_that_cannot_be_are_told_all_at_once(table):
    table.trained(*LINEAR)
    said = refused(table, "train.pseudo=1-linear", "train.pseudo_weight=0", "train.pseudo_confidence=1.5")
    assert [line.split(":")[0] for line in said] == ["train.pseudo_weight = 0", "train.pseudo_confidence = 1.5"]
    assert refused(table, "train.pseudo_weight=0.1")[0] == "train.pseudo_weight = 0.1 does nothing without train.pseudo"
    assert refused(table, *NUMBER, "train.pseudo=1-linear", "train.pseudo_confidence=0.9")[0].endswith('output.task = "regression" does not say how sure it is')
    assert refused(table, "train.pseudo=1-linear", "train.pseudo_confidence=0.9999999")[0] == (
        "train.pseudo_confidence = 0.9999999: of no test row are the answers of 1-linear that sure, those of fold-0, fold-1"
    )


def test_a_task_with_many_answers_a_row_is_refused(table):
    table.trained(*LINEAR)
    for row in table.train[1:]:
        row[-1] = f"{row[2]} {row[-1]}"
    table.write()
    said = refused(table, "output.task=multilabel", "score.metric=f1_micro", "score.folds.scheme=kfold", "train.pseudo=1-linear")
    assert said[0] == 'train.pseudo: answers with output.task = "multilabel" do not become labels; it serves binary, multiclass, regression, where each row has one answer'


def test_a_search_with_folds_of_its_own_is_refused(table):
    pytest.importorskip("optuna")
    table.trained(*LINEAR)
    competition = open_competition("toy")
    with pytest.raises(KitError) as error:
        tune("toy", competition.data(None, False), Says(), preset=None, overrides=["train.pseudo=1-linear"], trials=1, seconds=0, vary=[])
    assert str(error.value).split("\n") == ['train.pseudo = "1-linear" has labels for its own folds, and these are others', 'leave it out here: train.pseudo=""']

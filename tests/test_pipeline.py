"""What a training promises: learned in the fold, uncovered is missing, the same run from its own config, the same answers for new files."""

import math
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from kit import pipeline, runs
from kit import predict as predicting
from kit.competition import open_competition
from kit.config import Config, read
from kit.errors import KitError
from kit.files import read_json
from kit.fitting import Says
from kit.predictions import Predictions
from kit.reading import read as read_table

NUMBER = ("output.task=regression", "score.metric=rmse", "score.folds.scheme=kfold")
CONSTANT = ("model.name=constant", "train.threads=1")
FORWARD = ('input.columns.time=["listed"]', "score.folds.scheme=time")


def training(table) -> pd.DataFrame:
    """The training rows by id; all fields are text."""
    return pd.DataFrame(table.train[1:], columns=table.train[0]).set_index("id")


def answers(table, ids) -> pd.Series:
    return training(table)["sold"].astype(float).loc[list(ids)]


def folds_of(run) -> pd.DataFrame:
    return pd.read_csv(run / "folds.csv", dtype={"id": str})


def part(run, fold, role, repeat=0) -> list[str]:
    """The ids with a role in a fold."""
    rows = folds_of(run)
    return rows.id[(rows.repeat == repeat) & (rows.fold == fold) & (rows.role == role)].tolist()


def predictions(path) -> pd.Series:
    """Predicted numbers by id."""
    return Predictions.read(path).rows.set_index("id").iloc[:, 0]


def submitted(path) -> pd.Series:
    return read_table(path, text=["id"]).set_index("id").iloc[:, 0]


def learned(folder) -> dict[str, bytes]:
    """What was fitted: all files of a fold but its predictions and its time."""
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.suffix != ".parquet" and f.name != "fold.json"}


def with_texts(table):
    words = ["old house by the sea", "new flat in the centre", "small barn with a garden"]
    for rows in (table.train, table.test):
        rows[0].insert(4, "words")
        for n, row in enumerate(rows[1:]):
            row.insert(4, f"{words[n % 3]} number {n}")


def complaint(call, *given) -> str:
    with pytest.raises(KitError) as error:
        call(*given)
    return str(error.value)


# learned in the fold


@pytest.mark.parametrize(
    "model",
    [
        ["model.rounds=5"],
        ["model.rounds=0", "model.most_rounds=30", "model.patience=3"],  # early stopping watches rows of the training part alone
        ["model.name=linear", "model.penalty=1.0", "train.threads=1"],
        ["model.name=knn", "train.threads=1"],
        ["model.name=kmeans", "train.threads=1"],
        ["model.name=constant", "train.threads=1"],
    ],
    ids=lambda words: words[0],
)
def test_absurd_rows_to_validate_move_nothing_that_was_fitted(table, model):
    with_texts(table)
    table.write()
    overrides = (*NUMBER, *model, 'encoders.category.means=["colour"]', 'input.columns.text=["words"]')
    clean = table.trained(*overrides)
    valid = set(part(clean, 0, "valid"))
    for row in table.train[1:]:
        if row[0] in valid:
            row[1:] = ["1e9", "absurd", "2999-12-31", "absurd nonsense", "1e6"]
    table.write()
    absurd = table.trained(*overrides)
    assert learned(absurd / "fold-0") == learned(clean / "fold-0")
    assert learned(absurd / "fold-1") != learned(clean / "fold-1")  # which trains on them
    assert read_json(absurd / "fold-0/fold.json")["found"] == read_json(clean / "fold-0/fold.json")["found"]


def test_absurd_test_rows_move_nothing_that_was_fitted(table):
    with_texts(table)
    table.write()
    clean = table.trained()
    for row in table.test[1:]:
        row[1:] = ["1e9", "absurd", "2999-12-31", "absurd nonsense"]
    table.write()
    absurd = table.trained()
    assert learned(absurd / "fold-0") == learned(clean / "fold-0")
    assert (absurd / "oof.parquet").read_bytes() == (clean / "oof.parquet").read_bytes()


def test_features_of_an_adapter_never_see_the_target(table):
    table.config((table.folder / "config.toml").read_text())
    (table.folder / "adapter.py").write_text(
        "from kit.adapters.tabular import Tabular\n"
        "class Toy(Tabular):\n"
        "    def made_features(self): return ['alike']\n"
        "    def features(self, rows, everyone):\n"
        "        assert 'sold' not in rows and 'sold' not in everyone and len(everyone) == 90\n"
        "        rows['alike'] = rows['colour'].map(everyone['colour'].value_counts())\n"
        "        return rows\n"
    )
    assert "alike" in read_json(table.trained() / "run.json")["schema"]


# folds and what they cover


def test_each_row_is_validated_once_in_each_repeat(table):
    rows = folds_of(table.trained("score.folds.repeats=2"))
    assert set(rows.role) == {"train", "valid"}
    valid = rows[rows.role == "valid"].groupby(["repeat", "id"]).size()
    assert len(valid) == 2 * 60 and (valid == 1).all()
    assert len(rows) == 2 * 2 * 60  # a line for each repeat, fold and row


def test_rows_that_no_fold_predicts_are_missing_and_not_zero(table):
    run = table.trained(*FORWARD)
    info, oof = read_json(run / "run.json"), Predictions.read(run / "oof.parquet")
    valid = set(part(run, 0, "valid")) | set(part(run, 1, "valid"))
    assert set(oof.ids) == valid and len(valid) < 60
    assert (info["covered"], info["validated"], info["rows"]) == (len(valid), len(valid), 60)
    assert part(run, 0, "unused")  # the future of the first block


def test_forward_folds_train_on_the_past_alone(table):
    run = table.trained(*FORWARD)
    listed = training(table)["listed"]
    for fold in (0, 1):
        assert listed[part(run, fold, "train")].max() < listed[part(run, fold, "valid")].min()


def test_one_fold_alone_covers_its_own_rows(table):
    whole, alone = table.trained(), table.trained("train.fold=1")
    assert {p.name for p in alone.glob("fold-*")} == {"fold-1"}
    valid = part(whole, 1, "valid")
    assert list(Predictions.read(alone / "oof.parquet").ids) == valid
    assert predictions(alone / "oof.parquet").tolist() == predictions(whole / "oof.parquet")[valid].tolist()
    assert (alone / "test.parquet").read_bytes() == (whole / "fold-1/test.parquet").read_bytes()
    assert read_json(alone / "run.json")["covered"] == len(valid)
    assert read_json(alone / "run.json")["score"]["interval"] is None


def test_a_fold_that_is_not_there_is_named(table):
    assert table.complaint("train.fold=2") == "there is no fold 2: stratified makes folds 0 to 1"


def test_out_of_fold_rows_of_repeats_are_averaged(table):
    run = table.trained(*NUMBER, *CONSTANT, "score.folds.repeats=3")
    rows = folds_of(run)
    oof = predictions(run / "oof.parquet")
    for id in oof.index[:5]:
        folds = rows[(rows.id == id) & (rows.role == "valid")]
        means = [answers(table, part(run, fold, "train", repeat)).mean() for repeat, fold in zip(folds.repeat, folds.fold)]
        assert len(means) == 3 and oof[id] == pytest.approx(sum(means) / 3)
    assert len(read_json(run / "run.json")["score"]["folds"]) == 6


def test_classes_are_validated_in_repeats_too(table):
    """Only where what is right hangs on the fold, as of an open set, must there be one split."""
    run = table.trained("output.task=multiclass", "score.metric=accuracy", *CONSTANT, "score.folds.repeats=2")
    assert len(read_json(run / "run.json")["score"]["folds"]) == 4


# what predicts the test rows


def test_test_rows_get_the_mean_of_the_folds(table):
    run = table.trained(*NUMBER, *CONSTANT, *FORWARD, "train.final=folds")
    first, second = (answers(table, part(run, fold, "train")).mean() for fold in (0, 1))
    assert first != pytest.approx(second)
    assert submitted(run / "submission.csv").tolist() == pytest.approx([(first + second) / 2] * 30)


def test_test_rows_get_the_last_fold_s_answer(table):
    run = table.trained(*NUMBER, *CONSTANT, *FORWARD, "train.final=last")
    last = answers(table, part(run, 1, "train")).mean()
    assert submitted(run / "submission.csv").tolist() == pytest.approx([last] * 30)


@pytest.mark.parametrize("final", [[], ["train.final=refit"]])
def test_test_rows_get_the_answer_of_one_model_of_all_rows_and_after_forward_folds_by_default(table, final):
    run = table.trained(*NUMBER, *CONSTANT, *FORWARD, *final)
    assert submitted(run / "submission.csv").tolist() == pytest.approx([answers(table, training(table).index).mean()] * 30)
    assert not (run / "fold-0/test.parquet").exists()


@pytest.mark.parametrize("final", ["folds", "last", "refit"])
def test_predict_answers_as_the_run_did(table, final):
    run = runs.open_run(table.trained(f"train.final={final}"))
    assert predicting.predict(run, table.data, Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()


# the run folder


def test_run_json_says_what_the_contract_says(table):
    run = table.trained("train.seed=3")
    info = read_json(run / "run.json")
    assert (info["state"], info["seed"], info["metric"], info["competition"]) == ("finished", 3, "log_loss", "toy")
    assert {"kit", "python", "numpy", "lightgbm"} <= set(info["versions"])
    assert len(info["folds"]) == len(info["data"]) == len(info["command"]) == 16
    assert set(info["score"]) == {"mean", "standard_error", "interval", "folds", "pooled"} and len(info["score"]["folds"]) == 2
    assert info["seconds"] > 0 and info["peak_memory_mb"] > 10
    assert (info["covered"], info["rows"], info["greater_is_better"]) == (60, 60, False)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        (*NUMBER, "score.metric=rmsle", "train.loss.name=huber"),
        (*FORWARD, "score.folds.gap=3"),
        ("model.name=linear", "model.penalty=1.0", "train.fold=1"),
    ],
    ids=lambda words: words[-1] if words else "as it is",
)
def test_training_from_the_run_s_own_config_is_the_same_command(table, overrides):
    run = table.trained(*overrides)
    shutil.copy(run / "config.toml", table.folder / "config.toml")
    again = table.trained()
    assert again != run
    assert read(again / "config.toml") == read(run / "config.toml")
    assert read_json(again / "run.json")["command"] == read_json(run / "run.json")["command"]
    assert (again / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()


def test_resolved_config_says_what_was_left_to_defaults(table):
    config = read(table.trained() / "config.toml")
    usual = {"final": "folds", "loss": {"name": "bce"}, "seed": 0, "threads": 0, "fold": -1, "pseudo": "", "pseudo_weight": 0.5, "pseudo_confidence": 0.0}
    assert config.train | {"threads": 0} == usual
    assert config.score["folds"] == {"scheme": "stratified", "count": 2, "repeats": 1, "seed": 0}


def test_log_holds_the_lines_that_were_said(table):
    said = []
    competition = open_competition("toy")
    run = pipeline.train(competition, table.data, Says(said.append, said.append))
    assert run.folder.joinpath("log.txt").read_text().splitlines() == said
    assert said[0] == "data    60 train rows, 30 test rows, target sold (2 classes)"
    assert said[1:3] == ["folds   2, stratified", "model   lightgbm"]
    assert said[-1].startswith("cv      log_loss ") and ", constant " in said[-1] and ", lift " in said[-1]


# new test files


def new_files(table, rows) -> str:
    """A data folder with a test file alone."""
    folder = table.folder / "later"
    folder.mkdir()
    (folder / "test.csv").write_text("\n".join(",".join(row) for row in [table.test[0], *rows]) + "\n")
    return folder


def test_fewer_new_rows_in_another_order_get_the_answers_they_had(table):
    run = runs.open_run(table.trained())
    rows = random.Random(0).sample(table.test[1:], 7)
    found = submitted(predicting.predict(run, new_files(table, rows), Says()))
    assert found.index.tolist() == [row[0] for row in rows]  # the order of the file
    assert found.tolist() == submitted(run.folder / "submission.csv")[found.index].tolist()


def test_one_new_row_gets_its_answer(table):
    run = runs.open_run(table.trained())
    found = submitted(predicting.predict(run, new_files(table, table.test[3:4]), Says()))
    assert found.tolist() == [submitted(run.folder / "submission.csv")[table.test[3][0]]]


def test_more_new_rows_with_unseen_categories_and_blanks_are_predicted(table):
    run = runs.open_run(table.trained())
    rows = [[f"n{n}", "", "purple", ""] for n in range(100)]
    assert len(submitted(predicting.predict(run, new_files(table, rows), Says()))) == 100


def test_each_set_of_new_files_has_a_folder_of_its_own(table):
    run = runs.open_run(table.trained())
    one = predicting.predict(run, new_files(table, table.test[1:3]), Says())
    (table.folder / "later").rename(table.folder / "earlier")
    for row in table.test[1:]:
        row[1] = "0.5"
    other = predicting.predict(run, new_files(table, table.test[1:3]), Says())
    assert one.parent != other.parent and one.parent.parent == other.parent.parent == run.folder
    assert one.is_file()


def test_packed_new_files_are_told_apart_too(table):
    run = runs.open_run(table.trained())
    folders = []
    for count in (3, 5):
        folder = new_files(table, table.test[1:count])
        pd.read_csv(folder / "test.csv", dtype=str).to_csv(folder / "test.csv.gz", index=False)
        (folder / "test.csv").unlink()
        folders.append(predicting.predict(run, folder, Says()).parent)
        shutil.rmtree(folder)
    assert folders[0] != folders[1]


def test_packed_sample_gives_the_order_of_new_rows(table):
    run = runs.open_run(table.trained())
    folder = new_files(table, table.test[1:4])
    ids = [row[0] for row in table.test[3:0:-1]]
    pd.DataFrame({"id": ids, "sold": 0}).to_csv(folder / "sample_submission.csv.gz", index=False)
    assert submitted(predicting.predict(run, folder, Says())).index.tolist() == ids


def test_new_file_without_a_column_is_named(table):
    run = runs.open_run(table.trained())
    table.test = [row[:2] + row[3:] for row in table.test]
    assert "colour" in complaint(predicting.predict, run, new_files(table, table.test[1:]), Says())


def test_new_rows_for_a_run_of_a_competition_opened_by_its_path_are_predicted(table):
    shutil.copytree(table.folder, "other/place/mine")
    competition = open_competition("other/place/mine")
    run = pipeline.train(competition, competition.folder / "data", Says())
    assert str(run.folder) == "competitions/mine/runs/1-lightgbm"
    assert predicting.predict(runs.open_run(run.folder), competition.folder / "data", Says()).is_file()


def test_predict_reads_the_folder_that_the_config_names(table):
    table.data.rename("files")
    table.config((table.folder / "config.toml").read_text().replace("[input]", '[input]\ndata = "files"'))
    run = runs.open_run(table.trained())
    assert predicting.competition_of(run).data(None, False) == Path("files")


def test_unfinished_run_predicts_nothing(table):
    run = runs.open_run(table.trained())
    run.save(state="interrupted")
    assert complaint(predicting.predict, run, table.data, Says()).startswith("competitions/toy/runs/1-lightgbm is not finished\n")


# weights


def weighted(table):
    """A column of weights: 1, 2, 3, 1, 2, 3, …"""
    for rows in (table.train, table.test):
        for n, row in enumerate(rows):
            row.insert(4, str(n % 3 + 1) if n else "importance")
    table.write()
    return training(table)["importance"].astype(float)


def test_weights_of_rows_weigh_in_training(table):
    weight = weighted(table)
    run = table.trained(*NUMBER, *CONSTANT, 'input.columns.weight=["importance"]', "train.final=refit")
    truth = answers(table, weight.index)
    assert submitted(run / "submission.csv").iloc[0] == pytest.approx((truth * weight).sum() / weight.sum())
    assert truth.mean() != pytest.approx((truth * weight).sum() / weight.sum())


@pytest.mark.parametrize("role", [[], ['input.columns.weight=["importance"]']], ids=["a feature", "a role"])
def test_weights_of_the_score_weigh_the_metric(table, role):
    weight = weighted(table)
    run = table.trained(*NUMBER, *CONSTANT, "score.weight=importance", *role)
    oof = predictions(run / "oof.parquet")
    for fold in (0, 1):
        ids = part(run, fold, "valid")
        squares = (oof[ids] - answers(table, ids)) ** 2 * weight[ids]
        assert read_json(run / "run.json")["score"]["folds"][fold] == pytest.approx(math.sqrt(squares.sum() / weight[ids].sum()))


def test_column_of_weights_that_is_not_there_is_named(table):
    assert table.complaint("score.weight=sise") == 'score.weight = "sise" is no column of the training rows (did you mean "size"?)'


def test_metric_without_weights_refuses_them(table):
    assert 'score.weight: metric "quadratic_weighted_kappa" takes no row weights' in table.complaint(
        "score.weight=size", "score.metric=quadratic_weighted_kappa", "output.task=regression", "score.folds.scheme=kfold"
    )


# tasks


def test_log1p_is_undone_before_anything_is_written(table):
    run = table.trained(*NUMBER, *CONSTANT, "output.transform=log1p", "train.final=refit")
    truth = answers(table, training(table).index)
    assert submitted(run / "submission.csv").iloc[0] == pytest.approx(math.expm1(truth.map(math.log1p).mean()))


def test_space_of_the_metric_is_that_of_training(table):
    run = table.trained(*NUMBER, *CONSTANT, "score.metric=rmsle")
    assert read(run / "config.toml").output["transform"] == "log1p"


def test_several_numbers_a_row_are_scored_column_by_column(table):
    for n, row in enumerate(table.train):
        row.append(str(n * 10.0) if n else "price")
    for row in table.sample:
        row.append("0" if row[0] != "id" else "price")
    table.write()
    run = table.trained(*NUMBER, *CONSTANT, 'output.target=["sold","price"]', "score.metric=columnwise_mean", "train.fold=0")
    valid = training(table).loc[part(run, 0, "valid"), ["sold", "price"]].astype(float)
    train = training(table).loc[part(run, 0, "train"), ["sold", "price"]].astype(float)
    roots = ((valid - train.mean()) ** 2).mean() ** 0.5
    assert read_json(run / "run.json")["score"]["mean"] == pytest.approx(roots.mean())
    rows = read_table(run / "submission.csv", text=["id"])
    assert rows.columns.tolist() == ["id", "sold", "price"]
    assert rows.iloc[0, 1:].astype(float).tolist() == pytest.approx(train.mean().tolist())


def test_labels_of_one_column_are_learned_and_written(table):
    for n, row in enumerate(table.train[1:]):
        row[-1] = " ".join(["big"] * (float(row[1]) > 0) + [row[2]] * (n % 7 > 0))  # some rows have none
    for row in table.sample[1:]:
        row[1] = "red"
    table.write()
    run = table.trained("output.task=multilabel", "score.metric=f1_micro", "score.folds.scheme=kfold", "model.rounds=60")
    cells = read_table(run / "submission.csv", text=["id", "sold"]).set_index("id")["sold"].fillna("")
    assert {label for cell in cells for label in cell.split()} == {"big", "red", "green", "blue"}
    big = {row[0] for row in table.test[1:] if float(row[1]) > 0.3}
    assert sum("big" in cells[id].split() for id in big) > 0.9 * len(big)
    assert read_json(run / "run.json")["score"]["mean"] > 0.8


def test_labels_in_several_columns_are_learned_and_written(table):
    for n, row in enumerate(table.train):
        row[-1:] = ["sold", "red"] if n == 0 else [row[-1], str(int(row[2] == "red"))]
    for n, row in enumerate(table.sample):
        row[1:] = ["sold", "red"] if n == 0 else ["0", "0"]
    table.write()
    run = table.trained("output.task=multilabel", 'output.target=["sold","red"]', "score.metric=f1_micro", "model.rounds=60")
    rows = read_table(run / "submission.csv", text=["id"]).set_index("id")
    assert rows.columns.tolist() == ["sold", "red"] and set(rows["red"]) == {0, 1}
    assert [rows["red"][row[0]] for row in table.test[1:]] == [int(row[2] == "red") for row in table.test[1:]]


def test_more_than_200_classes_are_listed_and_not_spread_over_columns(table):
    header, rows = table.train[0], table.train[1:]
    table.train = [header, *([f"{n:04d}", *rows[n % 60][1:-1], f"c{n // 2:03d}"] for n in range(402))]
    table.test = [table.test[0], *([f"t{row[0]}", *row[1:]] for row in table.test[1:])]
    table.sample = [["id", "sold"], *([row[0], "c000 c001"] for row in table.test[1:])]
    table.write()
    run = table.trained("output.task=multiclass", "score.metric=map_at_k", "score.folds.scheme=kfold", *CONSTANT)
    oof = Predictions.read(run / "oof.parquet")
    assert oof.rows.columns.tolist() == ["id", "labels", "scores"] and {len(names) for names in oof.rows["labels"]} == {100}
    assert {len(cell.split()) for cell in submitted(run / "submission.csv")} == {5}


# grading


def graded(table, submission, truth, *overrides, data=True):
    """The grade of {id: cell} against {id: cell}."""
    for name, cells in (("submission.csv", submission), ("answers.csv", truth)):
        text = "\n".join(["id,sold", *(f"{id},{cell}" for id, cell in cells.items())]) + "\n"
        (table.folder / name).write_text(text)
    competition = open_competition("toy", overrides=list(overrides))
    folder = competition.data(None, False) if data else None
    return predicting.grade(competition, table.folder / "submission.csv", table.folder / "answers.csv", folder)


LABELS = ("score.metric=accuracy",)


@pytest.mark.parametrize("data", [True, False])
def test_rows_are_graded_by_id_in_any_order(table, data):
    assert graded(table, {"c": 1, "a": 0, "b": 1}, {"a": 0, "b": 0, "c": 1}, *LABELS, data=data) == 2 / 3


@pytest.mark.parametrize("one", ["1", "1.0"])
@pytest.mark.parametrize("other", ["1", "1.0"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_label_is_the_same_label_as_a_number(table, one, other, task):
    assert graded(table, {"a": one, "b": "0"}, {"a": other, "b": "0"}, *LABELS, f"output.task={task}") == 1.0


def test_ids_beyond_the_answers_are_not_graded(table):
    assert graded(table, {"a": 0, "b": 1, "z": 1}, {"a": 0, "b": 0}, *LABELS) == 1 / 2


def test_ids_that_a_submission_lacks_are_listed(table):
    assert complaint(graded, table, {"a": 0}, {"a": 0, "b": 0, "c": 1}) == (
        "competitions/toy/submission.csv lacks 2 ids that competitions/toy/answers.csv has: b, c"
    )


def test_blank_number_is_no_prediction(table):
    assert complaint(graded, table, {"a": "", "b": 0.5}, {"a": 0, "b": 1}) == "1 predictions of p are not finite numbers, for ids a"


def test_blank_label_is_none(table):
    assert "ids a" in complaint(graded, table, {"a": "", "b": 1}, {"a": 0, "b": 1}, *LABELS)


def test_blank_cell_of_labels_means_no_label(table):
    labels = ("output.task=multilabel", "score.metric=f1_micro", "score.folds.scheme=kfold")
    for row in table.train[1:]:
        row[-1] = row[2]
    table.write()
    assert graded(table, {"a": "", "b": "red"}, {"a": "", "b": "red blue"}, *labels) == 2 / 3


def test_a_file_that_is_not_there_is_named(table):
    competition = open_competition("toy")
    assert complaint(predicting.grade, competition, table.folder / "none.csv", table.folder / "none.csv", None) == (
        "no file competitions/toy/none.csv"
    )


@pytest.mark.parametrize("data", [True, False])
def test_answers_with_weights_are_graded_by_them(table, data):
    (table.folder / "answers.csv").write_text("id,sold,size\na,1,3\nb,0,1\n")
    (table.folder / "submission.csv").write_text("id,sold\na,1\nb,1\n")
    competition = open_competition("toy", overrides=[*LABELS, "score.weight=size"])
    folder = table.data if data else None
    assert predicting.grade(competition, table.folder / "submission.csv", table.folder / "answers.csv", folder) == 3 / 4


def test_answers_without_the_weights_that_the_score_needs_are_named(table):
    assert complaint(graded, table, {"a": 0}, {"a": 0}, *LABELS, "score.weight=size").startswith(
        'competitions/toy/answers.csv has no column "size", which score.weight names'
    )


def test_a_run_of_config_defaults_is_a_config():
    assert Config(**Config(model={"name": "linear"}).as_dict()) == Config(model={"name": "linear"})

"""A submission is verified, and what was done to it or to its run is found: an edited cell, exchanged rows, another run's file, changed data, a missing model."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kit import blend as blending
from kit import predict as predicting
from kit import runs
from kit.cli import app
from kit.competition import open_competition
from kit.errors import RunError
from kit.files import read_json
from kit.fitting import Says
from kit.predictions import Predictions
from kit.unlike import apart, near
from kit.verify import verify

LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")


def found(path: Path, data: Path | None = None, **options) -> dict[str, str]:
    """what -> state, of a blend's runs the gravest."""
    told: dict[str, str] = {}
    for finding in verify(path, data, Says(), **options):
        told[finding.what] = max(told.get(finding.what, "ok"), finding.state, key=["ok", "note", "not done", "differs"].index)
    return told


def why(path: Path, what: str, data: Path | None = None) -> str:
    return next(f.why for f in verify(path, data, Says()) if f.what == what)


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def put(path: Path, lines: list[list[str]]) -> None:
    path.write_text("".join(",".join(line) + "\n" for line in lines))


ALL = ["recorded", "files", "folds", "versions", "data", "rebuilt", "predicted", "score"]


def test_a_run_as_it_was_left_is_verified_and_is_left_as_it_was(table):
    folder = table.trained()
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = CliRunner().invoke(app, ["verify", str(folder / "submission.csv")])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [[what, "ok"] for what in ALL] and lines[-1] == "verified"
    assert lines[5] == "rebuilt   ok        byte for byte from test.parquet" and lines[6] == "predicted ok        identical predictions for 30 rows"
    score = read_json(folder / "run.json")["score"]["mean"]
    assert lines[7] == f"score     ok        log_loss {score:.6g} out of fold, of 2 folds"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "overrides",
    [
        ("score.metric=accuracy", "post.threshold=fit"),
        ("score.folds.repeats=2",),
        ("train.fold=1",),
        ("train.final=refit",),
        (*LINEAR, "score.metric=auc", "post.calibrate=platt"),
    ],
    ids=["threshold", "repeats", "one-fold", "refit", "calibrated"],
)
def test_runs_of_many_kinds_are_verified(table, overrides):
    assert found(table.trained(*overrides)) == dict.fromkeys(ALL, "ok")


def test_an_edited_cell_is_named_with_its_id(table):
    path = table.trained() / "submission.csv"
    lines = rows(path)
    id, old = lines[5]
    lines[5][1] = "0.999"
    put(path, lines)
    assert found(path) == dict.fromkeys(ALL, "ok") | {"recorded": "differs", "rebuilt": "differs"}
    assert f"p: one row differs, {id}: 0.999 -> {old}".replace("p:", "sold:") in why(path, "rebuilt")
    done = CliRunner().invoke(app, ["verify", str(path)])
    assert done.exit_code == 1 and done.stdout.splitlines()[-1] == "not verified: 2 differ"


def test_exchanged_values_and_another_order_of_rows_are_told_apart(table):
    path = table.trained() / "submission.csv"
    lines = rows(path)
    put(path, [*lines[:3], *lines[:2:-1]])
    assert why(path, "rebuilt") == "the same cells, and another order of rows" and found(path)["recorded"] == "differs"
    lines[1][1], lines[2][1] = lines[2][1], lines[1][1]
    put(path, lines)
    assert f"two rows have exchanged their values: {lines[1][0]}, {lines[2][0]}" in why(path, "rebuilt")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert found(path)["rebuilt"] == "differs"


def test_a_missing_row_is_told(table):
    path = table.trained() / "submission.csv"
    lines = rows(path)
    put(path, lines[:-1])
    assert f"1 of B are not in A: {lines[-1][0]}" in why(path, "rebuilt")


def test_another_runs_file_is_told_by_its_name(table):
    one, other = table.trained(), table.trained(*LINEAR)
    shutil.copy(other / "submission.csv", one / "submission.csv")
    assert found(one) == dict.fromkeys(ALL, "ok") | {"recorded": "differs", "rebuilt": "differs"}
    assert why(one, "recorded").endswith(": it is 2-linear's submission.csv")


def test_a_copy_elsewhere_is_known_by_its_bytes(table, tmp_path):
    table.trained()
    other = table.trained(*LINEAR)
    copy = shutil.copy(other / "submission.csv", tmp_path / "final.csv")
    assert found(copy) == found(copy, competition="toy") == dict.fromkeys(ALL, "ok") and "2-linear" in why(copy, "recorded")
    with pytest.raises(RunError, match="no run of titanic has recorded a file of its bytes"):
        verify(copy, None, Says(), competition="titanic")
    copy.write_text(copy.read_text() + "\n")
    with pytest.raises(RunError, match="is in no run folder, and no run in competitions/.*/runs has recorded a file of its bytes\n.*kit diff .*final.csv RUN"):
        verify(copy, None, Says())


def test_changed_data_are_told_and_nothing_is_predicted_of_them(table):
    path = table.trained()
    table.train[1][1] = "9.9999"
    table.write()
    told = found(path)
    assert (told["data"], told["predicted"], told["score"]) == ("differs", "not done", "not done") and told["rebuilt"] == "ok"
    assert why(path, "data") == f"the files in {table.data} are not those that it was made of"


def test_without_data_the_rest_is_looked_at(table, tmp_path):
    path, kept = table.trained(), tmp_path / "kept"
    shutil.move(table.data, kept)
    told = found(path)
    assert told == dict.fromkeys(ALL, "ok") | dict.fromkeys(["data", "predicted", "score"], "not done")
    assert why(path, "rebuilt").startswith("byte for byte from test.parquet, in its own order of rows")
    done = CliRunner().invoke(app, ["verify", str(path)])
    assert done.exit_code == 0 and done.stdout.splitlines()[-1] == "verified, 3 could not be done"
    assert found(path, kept) == dict.fromkeys(ALL, "ok")
    lines = rows(path / "submission.csv")
    lines[1][1] = "0.5"
    put(path / "submission.csv", lines)
    assert found(path)["rebuilt"] == "differs"


def test_a_missing_or_changed_model_is_named(table):
    path = table.trained()
    model = path / "fold-1" / "model-0.txt"
    text = model.read_text()
    model.write_text(text.replace("leaf_value=", "leaf_value=1"))
    assert (found(path)["files"], found(path)["predicted"]) == ("differs", "not done") and why(path, "files") == "1 changed: fold-1/model-0.txt"
    model.unlink()
    assert why(path, "files") == "1 missing: fold-1/model-0.txt" and why(path, "predicted") == "files of the run are not what they were"
    info = read_json(path / "run.json")
    del info["held"]
    (path / "run.json").write_text(json.dumps(info))
    told = found(path)
    assert (told["recorded"], told["files"], told["predicted"]) == ("not done", "not done", "not done") and "model-0.txt" in why(path, "predicted")


def test_folds_and_scores_that_were_changed_are_told(table):
    path = table.trained()
    folds, told = path / "folds.csv", path / "run.json"
    text, info = folds.read_text(), read_json(told)
    folds.write_text(text.replace('"train"', '"unused"', 1))
    assert found(path)["folds"] == "differs"
    folds.write_text(text)
    told.write_text(json.dumps(info | {"score": info["score"] | {"pooled": info["score"]["pooled"] - 0.01}}))
    assert found(path) == dict.fromkeys(ALL, "ok") | {"score": "differs"}
    told.write_text(json.dumps(info | {"versions": info["versions"] | {"numpy": "1.0"}}))
    assert found(path) == dict.fromkeys(ALL, "ok") | {"versions": "note"} and why(path, "versions").startswith("numpy 1.0 then, ")


def test_a_model_that_says_something_else_now_is_found_by_the_row(table):
    path = table.trained()
    made = Predictions.read(path / "test.parquet")
    made.rows.loc[3, "p"] += 0.25 if made.rows["p"][3] < 0.5 else -0.25
    made.write(path / "test.parquet")
    info = read_json(path / "run.json")
    info["held"]["test.parquet"] = runs.open_run(path).held()["test.parquet"]
    (path / "run.json").write_text(json.dumps(info))
    assert found(path) == dict.fromkeys(ALL, "ok") | {"rebuilt": "differs", "predicted": "differs"}
    assert why(path, "predicted").startswith(f"the largest difference is 0.25, at id {made.rows['id'][3]}; 1 of 30 rows")


@pytest.mark.parametrize("method", ["mean", "greedy"])
def test_blends_are_verified_through_their_runs(table, method):
    given = ("score.metric=accuracy", "post.threshold=fit")
    chosen = [runs.open_run(table.trained(*given)), runs.open_run(table.trained(*given, *LINEAR))]
    run = blending.blend(open_competition("toy", overrides=list(given)), table.data, chosen, [], Says(), method=method)
    assert found(run.folder) == dict.fromkeys([*ALL, "blended"], "ok")
    (chosen[1].folder / "fold-0" / "model.safetensors").unlink()
    told = [f for f in verify(run.folder, None, Says()) if f.state == "differs"]
    assert [str(f) for f in told] == ["files     differs   2-linear: 1 missing: fold-0/model.safetensors"]
    assert found(run.folder)["predicted"] == "not done"


def test_what_was_predicted_later_is_verified_with_its_own_data(table, tmp_path):
    folder = table.trained()
    new = tmp_path / "new"
    new.mkdir()
    pd.DataFrame(table.test[1:21], columns=table.test[0]).to_csv(new / "test.csv", index=False)
    path = predicting.predict(runs.open_run(folder), new, Says())
    told = dict.fromkeys(ALL, "ok")
    assert found(path, new) == told | {"score": "not done"}
    assert found(path)["data"] == "differs"  # the folder of the training data has other test rows
    lines = rows(path)
    lines[1][1] = "0.5"
    put(path, lines)
    assert found(path, new) == told | {"score": "not done", "recorded": "differs", "rebuilt": "differs"}


def test_unfinished_runs_and_files_that_are_not_there_are_refused(table):
    path = table.trained()
    info = read_json(path / "run.json")
    (path / "run.json").write_text(json.dumps(info | {"state": "interrupted"}))
    with pytest.raises(RunError, match="is not finished: it has no submission to trust"):
        verify(path, None, Says())
    with pytest.raises(RunError, match="no file nowhere.csv\nexpected a submission"):
        verify(Path("nowhere.csv"), None, Says())


def test_predictions_are_apart_by_their_worst_row():
    ids = ["a", "b", "c"]
    one = Predictions.of(ids, {"p": np.array([0.1, 0.2, 0.3])})
    assert apart(one, one) == (True, "identical predictions for 3 rows")
    assert apart(one, Predictions.of(ids, {"p": np.array([0.1, 0.2 + 1e-9, 0.3])}))[0]
    assert apart(one, Predictions.of(ids, {"p": np.array([0.1, 0.3, 0.35])})) == (False, "the largest difference is 0.1, at id b; 2 of 3 rows beyond 1e-06")
    assert apart(one, Predictions.of(["a", "b", "d"], {"p": np.zeros(3)})) == (False, "other ids: c, d")
    lists = [Predictions.of(ids, {"neighbours": pd.Series([np.array(n) for n in found]), "scores": pd.Series([np.ones(2)] * 3)}) for found in ([["x", "y"]] * 3, [["x", "y"], ["y", "x"], ["x", "y"]])]
    assert apart(lists[0], lists[0])[0] and apart(*lists) == (False, "another answer at id b; 1 of 3 rows beyond 1e-06")
    assert near({"a": [1.0, "x"]}, {"a": [1.0 + 1e-9, "x"]}) and not near({"a": [1.0]}, {"a": [1.1]}) and not near({"a": 1}, {"b": 1})

"""The command line's contract: what goes to which stream, the last line, the exit code, and data that are never written to."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit import registry
from kit.competition import shipped
from kit.files import read_json

LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")  # a penalty that is given need not be searched for


def state(folder) -> dict:
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in sorted(Path(folder).rglob("*"))}


# train, predict, blend


def test_train_ends_with_the_path_of_its_submission(table, kit):
    done = kit("train", "toy")
    assert done.code == 0 and done.out[-1] == "competitions/toy/runs/1-lightgbm/submission.csv"
    assert Path(done.out[-1]).is_file()


def test_train_says_one_line_a_stage_on_standard_output_and_notes_on_standard_error(table, kit):
    table.column("colour", lambda _: "red")
    table.write()
    done = kit("train", "toy")
    assert [line.split()[0] for line in done.out[:-1]] == ["data", "folds", "model", "fold", "fold", "cv"]
    assert done.err == ["note    one value in all training rows, so left out: colour"]


def test_progress_on_a_terminal_leaves_standard_output_as_it_is(table):
    table.column("colour", lambda _: "red")
    table.write()
    ours, theirs = pty.openpty()
    code = "from kit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "train", "toy"], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    run = done.stdout.splitlines()[-1].removesuffix("/submission.csv")
    done = subprocess.run([sys.executable, "-c", code, "predict", run], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert Path(done.stdout.splitlines()[-1]).is_file()
    assert "note    one value in all training rows, so left out: colour" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # a cursor that was hidden is shown again


def test_values_are_overridden_on_the_command_line(table, kit):
    kit("train", "toy", "model.name=linear", "score.folds.count=3", "train.seed=7", "train.threads=1")
    info = read_json(Path("competitions/toy/runs/1-linear/run.json"))
    assert info["seed"] == 7 and len(info["score"]["folds"]) == 3


def test_preset_is_laid_over_and_the_command_line_over_both(table, kit):
    table.config((table.folder / "config.toml").read_text() + "\n[preset.fast]\nmodel = { rounds = 2, leaves = 3 }\n")
    kit("train", "toy", "model.leaves=4", "--preset", "fast")
    text = Path("competitions/toy/runs/1-lightgbm/config.toml").read_text()
    assert "rounds = 2\n" in text and "leaves = 4\n" in text


def test_one_fold_is_a_quick_look(table, kit):
    done = kit("train", "toy", "--fold", "1")
    assert [line.split()[:2] for line in done.out if line.startswith("fold ")] == [["fold", "1"]]
    assert read_json(Path(done.out[-1]).parent / "run.json")["covered"] == 30


def test_data_elsewhere_are_read_and_never_written_to(table, kit):
    table.data.rename("files")
    before = state("files")
    for words in (
        ["train", "toy"],
        ["check", "toy"],
        ["predict", "competitions/toy/runs/1-lightgbm"],
        ["baselines", "toy", "--models", "constant"],
    ):
        assert kit(*words, "--data", "files").code == 0
    assert state("files") == before


def test_predict_ends_with_the_path_of_its_submission_relative_to_this_folder(table, kit):
    run = Path(kit("train", "toy").out[-1]).parent
    for given in (run, run.resolve()):
        last = kit("predict", given).out[-1]
        assert last.startswith("competitions/toy/runs/1-lightgbm/predict-") and last.endswith("/submission.csv")
        assert Path(last).read_bytes() == (run / "submission.csv").read_bytes()


def test_blend_takes_runs_by_name_and_by_path_and_ends_with_its_submission(table, kit):
    kit("train", "toy")
    kit("train", "toy", *LINEAR)
    done = kit("blend", "toy", "1-lightgbm", "competitions/toy/runs/2-linear", "--weights", "3,1")
    assert done.code == 0 and done.out[-1] == "competitions/toy/runs/3-blend/submission.csv"
    assert [line.split("  ")[-1] for line in done.out[:2]] == ["weight 3", "weight 1"]


def test_blend_without_names_takes_the_best_of_each_model(table, kit):
    for words in ((), LINEAR, ("model.name=constant",)):
        kit("train", "toy", *words)
    done = kit("blend", "toy")
    assert [line.split()[1] for line in done.out if line.startswith("run ")] == ["1-lightgbm", "2-linear"]


def test_weights_that_are_no_numbers_are_named(table, kit):
    done = kit("blend", "toy", "--weights", "a,b")
    assert (done.code, done.out, done.err) == (1, [], ['kit: --weights "a,b": expected numbers with commas between, such as 2,1'])


# sample


def test_sample_is_written_and_trained_on(table, kit):
    table.data.rename("files")
    done = kit("train", "toy", "--sample")
    assert done.code == 0 and Path(done.out[-1]).is_file()
    assert {p.name for p in Path("competitions/toy/sample").iterdir()} == {"train.csv", "test.csv", "sample_submission.csv"}
    before = state("competitions/toy/sample")
    kit("train", "toy", "--sample")
    assert state("competitions/toy/sample") == before


def test_data_writes_the_sample(table, kit):
    done = kit("data", "toy", "--sample")
    assert done.out == ["competitions/toy/sample"] and (Path(done.out[0]) / "train.csv").is_file()
    assert kit("data", "toy").code == 1


def test_without_data_train_says_how_to_get_either(table, kit):
    table.data.rename("files")
    done = kit("train", "toy")
    assert done.code == 1 and done.out == []
    assert done.err == [
        "kit: no data for toy: competitions/toy/data is missing or empty",
        "     put the files from wherever they come from there, name their folder with --data DIR, "
        "or try it on made data: kit train toy --sample",
    ]


# exit codes


@pytest.mark.parametrize(
    "words",
    [
        ["train", "nowhere"],
        ["train", "toy", "model.round=5"],
        ["train", "toy", "--data", "nowhere"],
        ["train", "toy", "--preset", "fast"],
        ["train", "toy", "--fold", "9"],
        ["predict", "nowhere"],
        ["runs", "toy"],
        ["score", "toy", "a.csv", "b.csv"],
        ["list", "modles"],
        ["new", "toy"],
        ["blend", "toy", "1-nothing"],
        ["baselines", "toy", "--models", "constant,liner"],
    ],
    ids=" ".join,
)
def test_what_the_user_can_mend_is_one_message_and_exit_code_1(table, kit, words):
    done = kit(*words)
    assert done.code == 1 and done.out == []
    assert done.err[0].startswith("kit: ") and all(line.startswith("     ") for line in done.err[1:])
    assert not any("Traceback" in line for line in done.err)


@pytest.mark.parametrize(
    "words", [["train"], ["train", "toy", "--folds", "3"], ["trian", "toy"], ["train", "toy", "--fold", "x"]], ids=" ".join
)
def test_wrong_usage_is_exit_code_2(table, kit, words):
    done = kit(*words)
    assert done.code == 2 and done.out == [] and any("Usage: " in line for line in done.err)


def test_our_own_mistake_keeps_its_traceback(table, kit):
    (table.folder / "adapter.py").write_text("raise ZeroDivisionError\n")
    with pytest.raises(ZeroDivisionError):
        kit("train", "toy")


# what there is


@pytest.mark.parametrize("kind", ["competitions", "templates", "models", "folds", *registry.KINDS])
def test_list_has_a_line_for_each(table, kit, kind):
    done = kit("list", kind)
    assert done.code == 0 and done.err == [] and done.out
    names = [line.split()[0] for line in done.out]
    assert names == sorted(names) or kind == "folds"
    expected = {"competitions": "toy", "templates": "tabular", "models": "lightgbm", "folds": "stratified"}.get(kind) or registry.names(
        kind
    )[0]
    assert expected in names


def test_a_broken_config_does_not_hide_the_others(table, kit):
    Path("competitions/broken").mkdir()
    Path("competitions/broken/config.toml").write_text("title = \n")
    done = kit("list")
    ships = [p.parent.name for p in shipped("competitions").glob("*/config.toml")]
    assert done.code == 0 and [line.split()[0] for line in done.out] == sorted(["broken", "toy", *ships])
    (broken,) = [line for line in done.out if line.startswith("broken ")]
    assert broken.split(None, 1)[1].startswith("(config.toml is not TOML: ")


def test_list_and_new_run_no_code(table, kit):
    (table.folder / "adapter.py").write_text(
        "from pathlib import Path\nPath('was run').touch()\nfrom kit.adapters.tabular import Tabular\nclass Toy(Tabular): pass\n"
    )
    kit("list")
    kit("list", "competitions")
    shutil.copytree(table.folder, "templates/mine", ignore=shutil.ignore_patterns("data"))
    assert kit("new", "copy", "--template", "mine").code == 0
    assert not Path("was run").exists()
    kit("check", "toy")
    assert Path("was run").exists()  # the trap works


def test_new_then_train(table, kit):
    done = kit("new", "shop", "--from", table.data)
    assert done.code == 0 and done.out == ["competitions/shop"] and done.err
    done = kit("train", "shop", "model.name=lightgbm", "model.rounds=5")
    assert done.out[-1] == "competitions/shop/runs/1-lightgbm/submission.csv"
    assert kit("predict", Path(done.out[-1]).parent).code == 0


def test_check_prints_its_findings_and_their_number(table, kit):
    assert kit("check", "toy").out == ["nothing found"]
    table.column("colour", lambda _: "red")
    table.write()
    assert kit("check", "toy").out == ["note    one value in all training rows, so left out: colour", "1 finding"]


def test_score_prints_the_number_alone(table, kit):
    Path("s.csv").write_text("id,sold\na,1\nb,1\n")
    Path("a.csv").write_text("id,sold\na,1\nb,0\n")
    done = kit("score", "toy", "s.csv", "a.csv", "score.metric=accuracy")
    assert (done.out, done.err) == (["0.5"], [])


def test_baselines_climb_with_the_lift_of_each_step(table, kit):
    done = kit("baselines", "toy", "--models", "constant,linear", "train.threads=1")
    assert [line.split()[:2] for line in done.out] == [["constant", "log_loss"], ["linear", "log_loss"]]
    assert "lift" not in done.out[0]
    scores = [read_json(Path(f"competitions/toy/runs/{name}/run.json"))["score"]["mean"] for name in ("1-constant", "2-linear")]
    assert done.out[1].split("lift ")[1] == f"{scores[0] - scores[1]:+.4g}"


def test_ladder_with_a_wrong_step_trains_none(table, kit):
    done = kit("baselines", "toy", "--models", "constant,liner")
    assert done.err[0] == 'kit: model.name: no model "liner" (did you mean "linear"?)'
    assert not (table.folder / "runs").exists()


def test_runs_are_listed_best_first_and_say_what_is_partial_or_unfinished(table, kit):
    kit("train", "toy", "model.name=constant")
    kit("train", "toy", "model.rounds=20")
    kit("train", "toy", "--fold", "0", "model.name=constant")
    kit("train", "toy", *LINEAR)
    path = Path("competitions/toy/runs/4-linear/run.json")
    path.write_text(path.read_text().replace('"finished"', '"interrupted"'))
    lines = kit("runs", "toy").out
    assert lines[0].startswith("2-lightgbm  log_loss 0.") and lines[-1] == "4-linear    interrupted"
    assert [line.split()[0] for line in lines if "  30 of 60 rows" in line] == ["3-constant"]
    names = [line.split()[0] for line in lines]  # whole runs by score, then those of one fold, then unfinished ones
    assert names == ["2-lightgbm", "1-constant", "3-constant", "4-linear"]


def test_help_of_every_command_is_on_standard_output(kit):
    done = kit("--help")
    assert done.code == 0 and done.err == []
    for command in ("list", "new", "data", "check", "train", "baselines", "predict", "score", "runs", "blend"):
        assert kit(command, "--help").code == 0

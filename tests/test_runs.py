import fcntl
import multiprocessing
import os

import pytest

from kit import runs
from kit.config import Config
from kit.errors import RunError
from kit.files import read_json, whole, write_json, write_text

CONFIG = Config(model={"name": "linear"}, train={"seed": 0})


def finish(folder, config=CONFIG, data="d", state="finished"):
    with runs.started(folder, config, data) as run:
        run.save(state=state)
    return run.name


# folders


def test_runs_are_numbered_in_the_order_they_began(tmp_path):
    assert [finish(tmp_path) for _ in range(3)] == ["1-linear", "2-linear", "3-linear"]


def test_number_is_one_above_the_highest_whatever_the_model(tmp_path):
    (tmp_path / "9-mlp").mkdir(parents=True)
    (tmp_path / "10-lightgbm").mkdir()
    (tmp_path / "notes").mkdir()
    assert finish(tmp_path) == "11-linear"


def test_own_model_gives_its_run_a_plain_name(tmp_path):
    assert finish(tmp_path, Config(model={"name": "./my net.py"}, train={"seed": 0})) == "1-my-net"


def test_unfinished_run_of_the_same_command_is_continued(tmp_path):
    assert finish(tmp_path, state="interrupted") == "1-linear"
    with runs.started(tmp_path, CONFIG, "d") as run:
        assert run.name == "1-linear" and run.info["state"] == "running" and run.info["continued"] == 1
        run.save(state="finished")
    assert finish(tmp_path) == "2-linear"


@pytest.mark.parametrize(
    ("config", "data"), [(CONFIG, "other data"), (CONFIG.with_("train", seed=1), "d"), (CONFIG.with_("model", penalty=1.0), "d")]
)
def test_another_command_takes_another_folder(tmp_path, config, data):
    finish(tmp_path, state="interrupted")
    assert finish(tmp_path, config, data) == "2-linear"


def test_run_of_another_version_of_kit_is_not_continued(tmp_path, monkeypatch):
    finish(tmp_path, state="interrupted")
    monkeypatch.setattr("kit.__version__", "0.0.0")
    assert finish(tmp_path) == "2-linear"


def test_locked_run_is_left_alone(tmp_path):
    with runs.started(tmp_path, CONFIG, "d") as one, runs.started(tmp_path, CONFIG, "d") as other:
        assert (one.name, other.name) == ("1-linear", "2-linear")


def test_run_whose_process_died_is_unlocked(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_while_running, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9 and read_json(tmp_path / "1-linear" / "run.json")["state"] == "running"
    assert finish(tmp_path) == "1-linear"


def _die_while_running(folder):
    with runs.started(folder, CONFIG, "d"):
        os._exit(9)


def test_run_that_is_finished_while_another_process_waits_for_its_lock_is_not_run_again(tmp_path, monkeypatch):
    finish(tmp_path, state="interrupted")
    flock, path = fcntl.flock, tmp_path / "1-linear" / "run.json"

    def late(handle, how):  # the other process finishes between our look at the state and our lock
        write_json(path, read_json(path) | {"state": "finished"})
        return flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert finish(tmp_path) == "2-linear"


def test_half_written_files_of_a_killed_process_are_swept_away(tmp_path):
    finish(tmp_path, state="interrupted")
    (tmp_path / "1-linear" / "fold-0").mkdir()
    (tmp_path / "1-linear" / "fold-0" / ".oof.parquet.x1y2").touch()
    (tmp_path / "1-linear" / "fold-0" / "oof.parquet").touch()
    finish(tmp_path)
    assert [p.name for p in (tmp_path / "1-linear" / "fold-0").iterdir()] == ["oof.parquet"]


# states


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt(), "interrupted"), (SystemExit(143), "interrupted"), (ValueError("ours"), "failed")]
)
def test_state_says_how_it_ended(tmp_path, error, state):
    with pytest.raises(type(error)), runs.started(tmp_path, CONFIG, "d"):
        raise error
    assert read_json(tmp_path / "1-linear" / "run.json")["state"] == state


def test_run_folder_holds_its_config_and_what_made_it(tmp_path):
    with runs.started(tmp_path, CONFIG, "d") as run:
        run.log("one")
        run.log("two")
        run.save(state="finished")
    info = read_json(run.folder / "run.json")
    assert info["seed"] == 0 and info["data"] == "d" and {"kit", "python", "numpy", "lightgbm"} <= set(info["versions"])
    assert (run.folder / "log.txt").read_text() == "one\ntwo\n"
    assert "penalty" not in (run.folder / "config.toml").read_text()


def test_runs_are_listed_by_number_not_by_name(tmp_path):
    for _ in range(10):
        finish(tmp_path)
    assert [r.name for r in runs.listed(tmp_path)][-2:] == ["9-linear", "10-linear"]
    assert runs.listed(tmp_path / "none") == []


def test_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(RunError) as error:
        runs.open_run(tmp_path)
    assert str(error.value) == f"{tmp_path} is no run folder: it has no run.json\n`kit runs COMPETITION` lists a competition's runs"


# writes that are whole or absent


def test_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ValueError, match="half way"), whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise ValueError("half way")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_json_with_what_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_broken_json_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run.json is not JSON: "):
        read_json(tmp_path / "run.json")

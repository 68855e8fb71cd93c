"""A bundle holds what a notebook without internet needs, and no more; its rehearsal finds what would fail there."""

import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit import bundle as bundling
from kit import notebook, predict, wheels
from kit.adapters.image import Image
from kit.adapters.tabular import Tabular
from kit.bundle import Asked, bundle
from kit.competition import open_competition
from kit.errors import DataError, KitError, RunError
from kit.files import read_json, write_json
from kit.fitting import Says
from kit.fresh import Environment
from kit.hidden import CASES, CannotBeMade, Hidden
from kit.pipeline import train
from kit.predictions import Predictions
from kit.registry import find
from kit.rehearsal import Case, Rehearsal, _apart, _line, _used, contents
from kit.runs import open_run
from kit.tables import Column
from tests.conftest import Table

SECRET = "hunter2"
INDEX = f"https://somebody:{SECRET}@index.invalid/simple"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """A run of the toy table, bundled and rehearsed: its folder, the run, and the lines that were said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bundled"))
        patch.setenv("PIP_INDEX_URL", INDEX)
        run = open_run(Table(Path("competitions/toy")).trained("model.rounds=2").resolve())
        said = []
        out = bundle(run, Path("out").resolve(), None, Says(said.append, said.append), Asked(rows=1000, limit="9h"))
        yield out, run, said


@pytest.fixture
def unseen(table):
    """A finished run of the toy table, not bundled."""
    return open_run(table.trained("model.rounds=2"))


def of_tabular(folder: Path, **options) -> Tabular:
    return Tabular(folder, find("tasks", "binary")(target="sold"), **options)


# the bundle


def test_every_case_of_the_rehearsal_is_valid_and_the_same_files_give_the_runs_predictions(bundled):
    out, _, said = bundled
    told = read_json(out / "bundle.json")
    assert told["rehearsed"] is True and [c["name"] for c in told["rehearsal"]["cases"]] == list(CASES)
    assert {c["name"]: (c["rows"], c["failed"], c["left_out"]) for c in told["rehearsal"]["cases"]} == {
        "a single row": (1, "", ""), "as they are": (30, "", ""), "more rows": (2030, "", ""), "fewer rows": (15, "", ""),
        "shuffled": (30, "", ""), "unseen words": (30, "", ""), "damaged": (30, "", ""),
    }  # fmt: skip
    assert all(c["apart"] <= 1e-6 for c in told["rehearsal"]["cases"] if c["name"] in ("as they are", "shuffled"))
    assert [line.split()[0] for line in said if not line.startswith("rehearsal:")] == ["bundle", "wheels", "fresh", "network", *["case"] * 7, "needs", "time"]


def test_kit_came_from_the_fresh_environment_and_the_network_was_refused(bundled):
    told = read_json(bundled[0] / "bundle.json")["rehearsal"]
    assert told["kit"].startswith("lib/") and told["kit"].endswith("site-packages/kit/__init__.py")
    assert "refused in every Python process" in told["network"] and told["reached"] == []


def test_what_is_needed_is_what_was_imported(bundled):
    needs = read_json(bundled[0] / "bundle.json")["needs"]
    assert {"lightgbm", "pandas", "tomli-w", "pydantic", "competition-kit"} <= set(needs)
    assert not {"torch", "timm", "pytest", "optuna"} & set(needs)
    assert needs["pandas"].startswith(">=")


def test_time_is_told_for_the_expected_rows(bundled):
    time = read_json(bundled[0] / "bundle.json")["time"]
    assert time["rows"] == 1000 and time["fits"] == {"9h": True} and 0 < time["seconds"] < 600


def test_a_bundle_holds_no_training_no_predictions_no_path_and_no_address_of_an_index(bundled):
    out, run, _ = bundled
    names = [name for name in contents(out) if not name.startswith("wheels/")]
    home = "competitions/toy/runs/1-lightgbm"
    folds = [f"{home}/fold-{k}/{name}" for k in (0, 1) for name in ("encoders.json", "fold.json", "model-0.txt", "model.json", "test.parquet")]
    assert sorted(names) == sorted(["bundle.json", "notebook.ipynb", "competitions/toy/config.toml", f"{home}/config.toml", f"{home}/run.json", *folds])
    assert all((out / f"{home}/fold-{k}/test.parquet").stat().st_size == 0 for k in (0, 1))  # a mark, without a prediction
    for name in names:
        text = (out / name).read_text(encoding="utf-8")
        assert not any(word in text for word in (SECRET, "index.invalid", str(run.folder.parents[3])))


def test_the_notebook_is_nbformat_4_and_its_cells_are_python(bundled):
    told = json.loads((bundled[0] / "notebook.ipynb").read_text())
    assert (told["nbformat"], told["nbformat_minor"]) == (4, 5) and told["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell["cell_type"] for cell in told["cells"]] == ["markdown", "code", "code", "code"]
    assert len({cell["id"] for cell in told["cells"]}) == 4 and all(isinstance(line, str) for cell in told["cells"] for line in cell["source"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in told["cells"][1:])
    compile(notebook.script(bundled[0] / "notebook.ipynb"), "notebook", "exec")


def test_the_notebook_names_all_that_is_lacking_at_once(tmp_path):
    bundled = tmp_path / "input/any"
    write_json(bundled / "notebook.ipynb", notebook.notebook("Toy", "toy 1"))
    needs = {"nowhere-to-be-had": ">=2", "pandas": ">=99.1", "numpy": ">=1,<2000"}
    write_json(bundled / "bundle.json", {"bundle": "toy 1", "slug": "toy", "needs": needs, "python": [3, 99]})
    program = tmp_path / "program.py"
    program.write_text(notebook.script(bundled / "notebook.ipynb"))
    told = {**os.environ, notebook.INPUT: str(tmp_path / "input")}
    ask = partial(subprocess.run, [sys.executable, str(program)], capture_output=True, text=True, env=told, cwd=tmp_path)
    assert "the competition's data are not attached" in ask().stderr
    (tmp_path / "input/toy").mkdir()
    lines = ask().stderr.splitlines()
    assert lines[0] == "this machine lacks" and lines[1].startswith("Python 3.99 or later: 3.")
    assert lines[2] == "nowhere-to-be-had>=2: missing" and lines[3] == f"pandas>=99.1: {pd.__version__} is here"
    assert lines[4].startswith("add their wheels where there is a network: kit bundle RUN --wheels 3.") and len(lines) == 5


def test_a_bundle_that_was_not_rehearsed_says_so(unseen, monkeypatch):
    monkeypatch.setattr(bundling, "rehearse", None)
    said = []
    out = bundle(unseen, None, Path("nowhere"), Says(said.append), Asked(rehearsal=False))
    told = read_json(out / "bundle.json")
    assert str(out) == "competitions/toy/bundles/1-lightgbm" and told["rehearsed"] is False and told["rehearsal"] == "not asked for"
    assert said[-1].startswith("case    none")
    assert bundle(unseen, None, None, Says(), Asked(rehearsal=False)) == out  # an earlier bundle is replaced


def test_a_path_of_this_machine_in_the_config_is_left_behind(unseen):
    config = unseen.folder / "config.toml"
    config.write_text(config.read_text().replace("[input]", '[input]\ndata = "/somewhere/private"\n').replace('weights = "none"', 'weights = "/elsewhere/w.safetensors"'))
    out = bundle(unseen, None, None, Says(), Asked(rehearsal=False))
    text = (out / "competitions/toy/runs/1-lightgbm/config.toml").read_text()
    assert "somewhere" not in text and "elsewhere" not in text and 'weights = "w.safetensors"' in text


def test_what_cannot_be_bundled_is_said_before_anything_is_written(unseen, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunError, match="taken is there already, and is no bundle"):
        bundle(unseen, tmp_path / "taken", None, Says())
    with pytest.raises(KitError, match=r'--wheels "three": expected a version of Python'):
        bundle(unseen, None, None, Says(), Asked(python="three"))
    with pytest.raises(KitError, match='--limit "soon": expected a time'):
        bundle(unseen, None, None, Says(), Asked(limit="soon"))
    data = Path("competitions/toy/data/test.csv")
    data.write_text(data.read_text().replace("red", "blue"))
    with pytest.raises(RunError, match="the files that 1-lightgbm was trained on are needed to rehearse it(.|\n)*holds others(.|\n)*--no-rehearsal"):
        bundle(unseen, None, None, Says())
    unseen.save(state="failed")
    with pytest.raises(RunError, match="is not finished"):
        bundle(unseen, None, None, Says())
    assert not Path("competitions/toy/bundles").exists()


def test_a_rehearsal_that_fails_keeps_the_bundle_and_marks_it(table, monkeypatch):
    own = "from kit.adapters.tabular import Tabular\n\n\nclass Toy(Tabular):\n    def features(self, rows, everyone):\n        return rows if len(everyone) == 90 else rows.no_such_thing\n"
    (table.folder / "adapter.py").write_text(own)
    run = open_run(table.trained("model.rounds=2"))
    monkeypatch.setattr(bundling, "rehearse", partial(bundling.rehearse, cases=("a single row",)))
    with pytest.raises(RunError, match="(?s)^1 of 1 rehearsals failed\na single row: AttributeError: .*no_such_thing.*is kept to look at") as error:
        bundle(run, None, None, Says())
    told = read_json(Path("competitions/toy/bundles/1-lightgbm/bundle.json"))
    assert told["rehearsed"] is False and "no_such_thing" in told["rehearsal"]["cases"][0]["failed"] and "rehearsed = false" in str(error.value)
    assert Path("competitions/toy/bundles/1-lightgbm/competitions/toy/adapter.py").read_text() == own


def test_a_bundle_that_takes_longer_than_the_limit_fails(unseen, monkeypatch):
    done = Rehearsal([Case("as they are", 30, 3.0, 2.0, 0.0)], "lib/kit", "refused", [], [], start=2.0, a_row=0.5)
    monkeypatch.setattr(bundling, "rehearse", lambda *given, **more: done)
    with pytest.raises(RunError, match=r"10000 rows would take 83.4 min, and --limit is 1h"):
        bundle(unseen, None, None, Says(), Asked(rows=10_000, limit="1h"))
    said = []
    bundle(unseen, None, None, Says(said.append), Asked(rows=50_000))
    assert said[-1].endswith("50000 rows in 6.9 h; 9 h, with a GPU: fits, 90 min, on the CPU: does not fit")


# time and differences


def test_time_a_row_is_not_moved_by_a_stalled_case():
    rows = [1, 100, 200, 50, 100, 100]
    cases = [Case("", n, 3 + 0.01 * (n - 1), 2 + 0.01 * (n - 1)) for n in rows]
    assert _line(cases) == (3.0, pytest.approx(0.01))
    stalled = [*cases[:-1], Case("", 100, 90.0, 80.0)]
    assert _line(stalled)[1] == pytest.approx(0.01, rel=0.2)
    assert _line([Case("", 4, 3.0, 2.0)])[1] == 0.5 + 2 * 0 / 4  # one count of rows: all of it may be the rows'


def test_predictions_of_other_rows_or_other_words_are_infinitely_apart(tmp_path):
    def kept(name, ids, **columns):
        Predictions.of(ids, columns).write(tmp_path / name)
        return tmp_path / name

    ours = kept("a", ["x", "y"], p=np.array([0.25, 200.0]))
    assert _apart(ours, kept("b", ["x", "y"], p=np.array([0.25, 201.0]))) == pytest.approx(1 / 200)
    assert _apart(ours, kept("c", ["x", "z"], p=np.array([0.25, 200.0]))) == float("inf")
    words = kept("d", ["x"], label=np.array(["cat"], dtype=object))
    assert _apart(words, words) == 0 and _apart(words, kept("e", ["x"], label=np.array(["dog"], dtype=object))) == float("inf")


def test_what_is_used_is_what_kits_modules_name_and_a_competitions_own(tmp_path):
    own, ours = tmp_path / "adapter.py", tmp_path / "ours.py"
    own.write_text("import pytest\nimport json\n")
    ours.write_text("import pandas\nfrom numpy import array\nimport lightgbm\nimport iniconfig\n")
    loaded = {"modules": {"kit.own.toy.adapter": str(own), "kit.pipeline": str(ours)}, "top": ["pandas", "numpy", "pytest", "json", "iniconfig"]}
    assert _used(loaded) == {"pandas", "numpy", "pytest"}  # lightgbm was not imported; iniconfig is not what kit asks for


# the fresh environment


def test_a_process_that_is_not_guarded_is_noticed(tmp_path):
    environment = Environment.made(tmp_path / "fresh", ["tomli-w"])
    libraries = {p.name for p in (tmp_path / "fresh/libraries").iterdir()}
    assert "pandas" in libraries and not {"kit", "tomli_w", "_competition_kit.pth"} & libraries
    done = environment.run(["-c", "import os, sys; print(sorted(os.environ)); import kit"], folder=tmp_path, room=tmp_path, notes=tmp_path, told={})
    assert done.code == 1 and "No module named 'kit'" in done.out and "PYTHONPATH" not in done.out
    assert environment.is_blocked(tmp_path)
    next((tmp_path / "fresh").rglob("rehearsal.pth")).unlink()
    assert not environment.is_blocked(tmp_path)


# wheels


def test_kits_own_wheel_lists_every_file_with_its_hash(tmp_path):
    path = wheels.own_wheel(tmp_path)
    with zipfile.ZipFile(path) as archive:
        record = next(n for n in archive.namelist() if n.endswith("dist-info/RECORD"))
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert {name for name, _, _ in rows} == set(archive.namelist()) and "kit/pipeline.py" in archive.namelist()
        for name, digest, _ in (row for row in rows if row[0] != record):
            assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).decode().rstrip("=")
        about = archive.read(record.replace("RECORD", "METADATA")).decode()
    assert "Requires-Dist: pandas>=3.0\n" in about and "; extra == 'neural'\n" in about
    first = path.read_bytes()
    assert wheels.own_wheel(tmp_path).read_bytes() == first


def test_a_library_built_for_this_machine_is_not_carried(tmp_path):
    with pytest.raises(RunError, match="no wheel of numpy can be written(.|\n)*--wheels"):
        wheels.carried_wheel(tmp_path, "numpy")


def test_wheels_come_from_where_pip_looks_and_its_address_is_never_told(tmp_path, monkeypatch):
    wheels.carried_wheel(tmp_path / "near", "tomli-w")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "near"), "PIP_INDEX_URL": INDEX}.items():
        monkeypatch.setenv(name, value)
    wheels.download(tmp_path / "got", {"tomli-w": ">=1.0"}, python="3.12", platform="x86_64")
    assert [p.name.split("-")[0] for p in (tmp_path / "got").iterdir()] == ["tomli_w"]
    with pytest.raises(RunError, match="(?s)^1 wheels for Python 3.12 on x86_64 could not be downloaded\nnot-there-at-all>=2: ") as error:
        wheels.download(tmp_path / "got", {"not-there-at-all": ">=2"}, python="3.12", platform="x86_64")
    assert SECRET not in str(error.value) and "index.invalid" not in str(error.value)


# test files as a host may swap them in

SCHEMA = {"size": Column("numeric"), "colour": Column("category"), "listed": Column("date")}


def test_a_table_keeps_its_dialect_and_its_sample_goes_along(table, tmp_path):
    table.column("size", lambda value: value.replace(".", ","))
    table.write(separator=";", encoding="latin-1")
    before = {p.name: p.read_bytes() for p in table.data.iterdir()}
    hidden = Hidden(of_tabular(table.data, sample_submission="sample_submission.csv", encoding="latin-1"), SCHEMA)
    ids = hidden.write("more rows", tmp_path / "more")
    assert len(ids) == len(set(ids)) == 2030 and ids[:30] == [row[0] for row in table.test[1:]]
    new = of_tabular(tmp_path / "more", sample_submission="sample_submission.csv", encoding="latin-1")
    assert list(new.sample().index) == ids and sorted(new.read_test().index) == sorted(ids)
    assert pd.api.types.is_float_dtype(new.read_test()["size"])  # 1,5 is a number still
    assert (tmp_path / "more/train.csv").is_symlink() and {p.name: p.read_bytes() for p in table.data.iterdir()} == before


def test_shuffled_files_hold_the_same_rows_in_orders_of_their_own(table, tmp_path):
    Hidden(of_tabular(table.data, sample_submission="sample_submission.csv"), SCHEMA).write("shuffled", tmp_path / "new")
    rows = [line.split(",") for line in (tmp_path / "new/test.csv").read_text().splitlines()]
    sample = [line.split(",")[0] for line in (tmp_path / "new/sample_submission.csv").read_text().splitlines()]
    assert rows != table.test and sorted(rows) == sorted(table.test) and sample != [r[0] for r in rows] and sorted(sample) == sorted(r[0] for r in rows)


def test_unseen_words_and_broken_cells_stand_where_the_schema_says(table, tmp_path):
    hidden = Hidden(of_tabular(table.data), SCHEMA)
    hidden.write("unseen words", tmp_path / "unseen")
    colours = of_tabular(tmp_path / "unseen").read_test()["colour"]
    assert (~colours.isin(["red", "green", "blue"])).sum() == 10
    hidden.write("damaged", tmp_path / "damaged")
    damaged = of_tabular(tmp_path / "damaged").read_test(["listed"])
    assert (damaged["size"] == "?").sum() == 1 and (damaged["listed"] == "?").sum() == 1 and (damaged.fillna("") == "").all(axis=1).sum() == 1


def test_rows_named_by_their_position_stay_so(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "test.csv").write_text("size\n1\n2\n3\n")
    (data / "sample.csv").write_text("id,sold\n1,0\n2,0\n3,0\n")
    hidden = Hidden(of_tabular(data, sample_submission="sample.csv", id_by_position=True), {"size": Column("numeric")})
    ids = hidden.write("more rows", tmp_path / "more")
    assert ids[:3] == ["1", "2", "3"] and len(ids) == 2003
    assert len(of_tabular(tmp_path / "more", sample_submission="sample.csv", id_by_position=True).read_test()) == 2003
    assert not hidden.compares("shuffled") and hidden.compares("as they are")


def pictures(folder: Path, sample: bool) -> Image:
    for n in range(6):
        path = folder / f"test/{n:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([n]) * 10)
    if sample:
        (folder / "sample.csv").write_text("id,class\n" + "".join(f"{n:03d},a\n" for n in range(6)))
    return Image(folder, find("tasks", "multiclass")(target="class"), sample_submission="sample.csv" if sample else "")


@pytest.mark.parametrize("sample", [True, False])
def test_pictures_are_linked_under_new_ids_left_out_and_broken_off(tmp_path, sample):
    hidden = Hidden(pictures(tmp_path / "data", sample), {"image": Column("image")})
    ids = hidden.write("more rows", tmp_path / "more")
    assert len(set(ids)) == 12 and all((tmp_path / f"more/test/{id}.png").read_bytes()[0] == int(id[:3]) for id in ids)
    assert hidden.write("fewer rows", tmp_path / "fewer") == [id for id in ids[:6] if (tmp_path / f"fewer/test/{id}.png").exists()] or sample
    hidden.write("damaged", tmp_path / "damaged")
    assert sorted(p.stat().st_size for p in (tmp_path / "damaged/test").iterdir()) == [0, 5, 10, 10, 10, 10]
    assert all(p.stat().st_size == 10 and not p.is_symlink() for p in (tmp_path / "data/test").iterdir())
    with pytest.raises(CannotBeMade, match="no column of categories or texts"):
        hidden.write("unseen words", tmp_path / "words")


def test_test_files_that_have_no_variation_say_why(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.json").write_text("{}")
    hidden = Hidden(find("adapters", "image_json")(tmp_path / "data", find("tasks", "multiclass")(target="class")), {})
    assert hidden.write("as they are", tmp_path / "same") is None and (tmp_path / "same/test.json").read_text() == "{}"
    with pytest.raises(CannotBeMade, match="adapter imagejson: its test rows are no table"):
        hidden.write("a single row", tmp_path / "one")


# predicting what cannot be mended


def test_a_tolerant_prediction_reads_what_is_no_number_as_missing_and_warns(table, unseen):
    table.test[3][1], table.test[4][3] = "?", "soon"
    table.write()
    with pytest.raises(DataError, match=r"test.csv column 'size' holds \? in 1 rows"):
        predict.predict(unseen, table.data, Says())
    said = []
    path = predict.predict(unseen, table.data, Says(progress=said.append), tolerant=True)
    assert len(path.read_text().splitlines()) == 31
    assert [line.split(" column ")[1].split(" holds")[0] for line in said if line.startswith("warning")] == ["'size'", "'listed'"]


def test_a_single_new_row_with_a_blank_reaches_a_competitions_features_as_text(table):
    """`colour` is dropped, so that the run's schema does not say what it is; a file with one blank alone would be read as a number."""
    (table.folder / "adapter.py").write_text(
        "from kit.adapters.tabular import Tabular\n\n\nclass Toy(Tabular):\n"
        "    def made_features(self):\n        return ['first']\n\n"
        "    def features(self, rows, everyone):\n        return rows.assign(first=rows['colour'].str[0])\n"
    )
    run = open_run(table.trained('input.drop=["colour"]', "model.rounds=2"))
    table.test, table.sample = [table.test[0], ["0060", "0.5", "", "2020-01-01"]], table.sample[:2]
    table.write()
    assert predict.predict(run, table.data, Says()).read_text().startswith("id,sold\n0060,")


# other kinds of runs


@pytest.mark.slow
@pytest.mark.parametrize(
    "template, overrides, case",
    [("image", ["model.name=convnet", "model.width=8"], "damaged"), ("text", ["model.name=text_cnn"], "unseen words"), ("audio", ["model.name=constant"], "damaged")],
    ids=["image", "text", "audio"],
)
def test_templates_are_bundled_and_rehearsed(tmp_path, monkeypatch, template, overrides, case):
    needs = {"image": ("torch", "pytorch_lightning", "PIL", "albumentations"), "text": ("torch", "pytorch_lightning"), "audio": ("soundfile", "soxr")}
    for library in needs[template]:
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    epochs = [] if "model.name=constant" in overrides else ["train.epochs=1"]
    competition = open_competition(f"templates/{template}", overrides=[*overrides, *epochs, "score.folds.count=2", "train.threads=1"])
    data = tmp_path / "data"
    competition.open_adapter(data).write_sample(data)
    run = train(competition, data, Says())
    monkeypatch.setattr(bundling, "rehearse", partial(bundling.rehearse, cases=("as they are", case)))
    out = bundle(run, None, data, Says())
    same, other = read_json(out / "bundle.json")["rehearsal"]["cases"]
    assert not same["failed"] and not other["failed"] and same["apart"] <= 1e-6 and other["rows"] == same["rows"]

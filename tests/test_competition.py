"""A folder opened: its config checked whole, its own code found under a stable name, and never run where it is only listed."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from kit.competition import checked, listed, locate, open_competition, resolved, shipped
from kit.config import read
from kit.errors import ConfigError, KitError


def complaint(table, *overrides, preset=None) -> list[str]:
    with pytest.raises(ConfigError) as error:
        open_competition("toy", preset=preset, overrides=list(overrides))
    return str(error.value).split("\n")


def adapter(table, text):
    (table.folder / "adapter.py").write_text("from kit.adapters.tabular import Tabular\n" + text)


# the config


def test_all_mistakes_are_said_at_once(table):
    assert complaint(
        table, "input.smaple_submission=x", "input.drop=size", "output.positiv=1", "score.metric=log_los", "score.folds.scheme=stratifed",
        "model.round=5", "model.leaves=many", "train.sed=1", "encoders.categry.means=[]", "post.treshold=0.5",
    ) == [
        'input.smaple_submission is not an option here (did you mean "sample_submission"?)',
        "input.drop = 'size': Input should be a valid list",
        'output.positiv is not an option here (did you mean "positive"?)',
        'post.treshold is not an option here (did you mean "threshold"?)',
        'score.metric: no metric "log_los" (did you mean "log_loss"?)',
        'score.folds.scheme = "stratifed" is no fold scheme (did you mean "stratified"?)',
        'model.round is not an option here (did you mean "rounds"?)',
        "model.leaves = 'many': Input should be a valid integer",
        'train.sed is not an option of model "lightgbm", which is no network (did you mean "seed"?)',
        'encoders.categry: no encoder for a column kind "categry" (did you mean "category"?)',
        "in competitions/toy/config.toml and what was laid over it",
    ]  # fmt: skip


def test_missing_keys_are_each_named_once(table):
    table.config('[output]\ntask = "binary"\n')
    assert complaint(table) == [
        "output.target is missing",
        "score.metric is missing",
        "model.name is missing",
        "in competitions/toy/config.toml and what was laid over it",
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("input.adapter=5", "input.adapter must be text, not 5"),
        ("output.task=5", "output.task must be text, not 5"),
        ("output.task=binry", 'output.task: no task "binry" (did you mean "binary"?)'),
        ("model.name=true", "model.name must be text, not True"),
        ("model.name=lightgmb", 'model.name: no model "lightgmb" (did you mean "lightgbm"?)'),
        ("score.metric=5", "score.metric = 5: Input should be"),
        ("score.folds=5", "score.folds = 5: Input should be"),
        ("score.folds.cuont=5", 'score.folds.cuont is not an option here (did you mean "count"?)'),
        ("score.folds.count=five", "score.folds.count = 'five': Input should be a valid integer"),
        ("encoders.numeric=3", "encoders.numeric must be a table, not 3"),
        ("train.loss=5", "train.loss = 5: "),
        ("output.target=5", "output.target = 5: "),
        ("augment.flip=5", "augment.flip = 5: Input should be a valid boolean"),
        ("scroe.metric=auc", 'no section "scroe" for scroe.metric=auc (did you mean "score"?)'),
    ],
)
def test_value_of_no_use_is_named(table, override, said):
    assert complaint(table, override)[0].startswith(said)


def test_metric_that_the_task_does_not_serve_is_named(table):
    assert complaint(table, "output.task=multiclass", "score.metric=rmse")[:2] == [
        'score.metric = "rmse" needs value, and the task gives label, probability, ranking, confidence',
        "name another metric or task",
    ]


def test_unknown_preset_is_named(table):
    assert complaint(table, preset="fast") == ['no preset "fast" in competitions/toy/config.toml']


def test_files_are_not_read_to_find_mistakes(table):
    (table.data / "train.csv").unlink()
    assert complaint(table, "model.round=5")[0].startswith("model.round is not an option here")


def test_a_competition_does_not_learn_from_itself(table):
    assert complaint(table, "input.labels_from=toy")[0] == 'input.labels_from = "toy" is this competition itself: its own labels need no word'


def test_a_lender_that_there_is_not_is_named_with_the_nearest(table):
    assert complaint(table, "input.labels_from=titanik")[0] == 'input.labels_from: no competition "titanik" (did you mean "titanic"?)'


def test_a_lenders_code_is_run_where_it_is_opened_and_not_where_it_is_named(table):
    other = Path("competitions/other")
    other.mkdir()
    (other / "config.toml").write_text((table.folder / "config.toml").read_text())
    (other / "adapter.py").write_text("from pathlib import Path\nfrom kit.adapters.tabular import Tabular\nPath('was run').touch()\nclass Other(Tabular): pass\n")
    named = open_competition("toy", overrides=["input.labels_from=other"])
    assert not Path("was run").exists()
    assert named.open_adapter(table.data).lender.name == "other" and Path("was run").exists()


@pytest.mark.parametrize("asked, inclusive", [
    ([], True),
    (["score.metric=coco_map"], True),
    (["score.metric=voc_map", "output.inclusive=false"], False),
    (['score.metric={name="coco_map", inclusive=false}'], False),
    (['score.metric={name="ilsvrc_map", inclusive=true}', "output.inclusive=false"], True),
])  # fmt: skip
def test_a_metric_counts_a_boxs_last_pixel_as_the_output_does_unless_it_is_told_otherwise(asked, inclusive):
    opened = open_competition("imagenet-detection", overrides=["model.name=nearest", *asked])
    assert opened.metric().options["inclusive"] is inclusive and resolved(opened).score["metric"]["inclusive"] is inclusive


@pytest.mark.parametrize("competition", ["imagenet-video", "wad-segmentation"])
@pytest.mark.parametrize("scheme", ["kfold", "stratified", "time"])
def test_clips_need_folds_that_keep_them_whole(competition, scheme):
    told = f'input.clips: frames of a clip belong into one fold, and score.folds.scheme = "{scheme}" does not look at clips\nname one that does: group or stratified_group'
    with pytest.raises(ConfigError, match=told):
        open_competition(competition, overrides=[f"score.folds={scheme}", "model.name=nearest"])
    assert open_competition(competition, overrides=["score.folds=given", "model.name=nearest"]).folds() == ("given", {})


# where it is


def test_path_and_name_open_the_same(table):
    assert open_competition("competitions/toy") == open_competition("toy") == open_competition("competitions/toy/")


def test_the_name_in_this_folder_goes_before_the_one_that_ships(table):
    assert locate("titanic") == shipped("competitions") / "titanic"
    table.folder.rename("competitions/titanic")
    assert locate("titanic") == Path("competitions/titanic")
    assert locate("competitions/titanic") == Path("competitions/titanic")
    assert listed("competitions")["titanic"] == Path("competitions/titanic")


def test_shipped_competition_is_found_by_name_and_by_path_and_runs_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("titanic", "competitions/titanic"):
        opened = open_competition(name)
        assert opened.folder == shipped("competitions") / "titanic" and opened.home == Path("competitions/titanic")


def test_template_is_opened_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("templates/tabular") == shipped("templates") / "tabular"


@pytest.mark.parametrize("name", ["titanc", "competitions/titanc"])
def test_unknown_competition_is_answered_with_the_nearest(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KitError) as error:
        locate(name)
    assert str(error.value) == (
        f'no competition "{name}" (did you mean "titanic"?)\n`kit new titanc` makes one, `kit list competitions` shows what there is'
    )


def test_data_named_on_the_command_line_go_before_those_of_the_config(table):
    opened = open_competition("toy", overrides=["input.data=elsewhere"])
    assert opened.data(None, False) == Path("elsewhere")
    assert opened.data(table.data, False) == table.data
    assert opened.data(None, True) == Path("competitions/toy/sample")


def test_data_and_sample_are_two_folders(table):
    with pytest.raises(KitError, match="--data competitions/toy/data and --sample name two folders of data: give one of them"):
        open_competition("toy").data(table.data, True)


def test_no_data_says_how_to_get_either(table):
    table.data.rename("files")
    with pytest.raises(KitError) as error:
        open_competition("toy", overrides=["kaggle=toys"]).data(None, False)
    assert str(error.value) == (
        "no data for toy: competitions/toy/data is missing or empty\n"
        "fetch them: kit data toy; or put the files from https://www.kaggle.com/c/toys/data there, name their folder with --data DIR, "
        "or try it on made data: kit train toy --sample"
    )


# its own code


def test_own_adapter_reads_the_files(table):
    adapter(table, "class Toy(Tabular):\n    pass\n")
    assert open_competition("toy").adapter.__name__ == "Toy"


@pytest.mark.parametrize(("text", "count"), [("class A(Tabular): pass\nclass B(Tabular): pass\n", 2), ("", 0)])
def test_adapter_file_defines_one_class(table, text, count):
    adapter(table, text)
    assert complaint(table)[0] == f"input.adapter: competitions/toy/adapter.py must define one class, and defines {count}"


def test_options_of_the_own_adapter_are_checked(table):
    adapter(
        table,
        "class Toy(Tabular):\n    def __init__(self, data, task, *, depth: int = 3, **options):\n"
        "        super().__init__(data, task, **options)\n",
    )
    assert open_competition("toy", overrides=["input.depth=4"]).config.input["depth"] == 4
    assert complaint(table, "input.dept=4")[0] == 'input.dept is not an option here (did you mean "depth"?)'


NET = '''"""The same number for all."""
import numpy as np
class Same:
    watches = False
    def __init__(self, setup, *, answer: float = 0.5): self.answer = answer
    def fit(self, train, found): pass
    def predict(self, rows): return np.full(len(rows), self.answer)
    def save(self, folder): pass
    def load(self, folder): pass
'''


def test_part_in_the_folder_is_imported_under_a_stable_name(table):
    (table.folder / "net.py").write_text(NET)
    _, model, options = open_competition("toy", overrides=["model.name=./net.py", "model.answer=0.25"]).model()
    assert model.__module__ == "kit.own.toy.net" and options == {"answer": 0.25}
    assert pickle.loads(pickle.dumps(model)) is model  # as a loader's worker finds it


def test_another_process_finds_the_part_by_its_name(table):
    (table.folder / "net.py").write_text(NET)
    open_competition("toy", overrides=["model.name=./net.py"])
    told = "import kit.own, importlib; print(importlib.import_module('kit.own.toy.net').Same.__name__)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "Same\n"


def test_own_part_trains(table):
    (table.folder / "net.py").write_text(NET)
    run = table.trained("model.name=./net.py", "model.answer=0.25")
    assert run.name == "1-net"
    assert {line.split(",")[1] for line in (run / "submission.csv").read_text().splitlines()[1:]} == {"0.25"}


def test_two_competitions_of_one_name_in_two_folders_each_run_their_own_code(table, tmp_path, monkeypatch):
    adapter(table, "class First(Tabular): pass\n")
    assert open_competition("toy").adapter.__name__ == "First"
    text = (table.folder / "config.toml").read_text()
    other = tmp_path / "other/competitions/toy"
    other.mkdir(parents=True)
    (other / "config.toml").write_text(text)
    (other / "adapter.py").write_text("from kit.adapters.tabular import Tabular\nclass Second(Tabular): pass\n")
    monkeypatch.chdir(tmp_path / "other")
    assert open_competition("toy").adapter.__name__ == "Second"


def test_reading_a_config_runs_no_code(table):
    adapter(table, "from pathlib import Path\nPath('was run').touch()\nclass Toy(Tabular): pass\n")
    read(table.folder / "config.toml")
    listed("competitions")
    assert not Path("was run").exists()
    checked(read(table.folder / "config.toml"), table.folder)
    assert Path("was run").exists()  # the trap works

"""Learning without labels: no label moves it, it goes on after a stop, its weights serve later runs, and those record it."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

from kit import cli, runs
from kit import predict as predicting
from kit.competition import open_competition
from kit.config import read
from kit.encoders import Features
from kit.errors import ConfigError, DataError, DependencyError, KitError
from kit.files import read_json, write_json
from kit.fitting import Says
from kit.modelling import begun_with
from kit.pretrain import pretrain
from kit.unlabelled import Learned
from kit.zoo._checkpoint import Progress
from kit.zoo._denoising import Denoising, denoised, swapped
from kit.zoo._preparation import Rows
from kit.zoo._unlabelled import Unlabelled, plan_of

SMALL = ("pretrain.epochs=3", "pretrain.width=16", "pretrain.layers=1", "pretrain.width_out=4", "train.threads=1")
LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")
COLUMNS = [f"unlabelled_{n}" for n in range(4)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def learned(*overrides, progress=lambda line: None) -> Path:
    """The weights that `kit pretrain toy` writes."""
    competition = open_competition("toy", overrides=list(overrides))
    return pretrain(competition, competition.data(None, False), Says(progress=progress))


def stop_after_epoch_2(line):
    if line.startswith("epoch 2"):
        raise KeyboardInterrupt


def complaint(call, *given) -> list[str]:
    with pytest.raises(KitError) as error:
        call(*given)
    return str(error.value).split("\n")


def with_flipped_answers(table):
    for row in table.train[1:]:
        row[-1] = str(1 - int(row[-1]))
    table.write()


# noise


def test_a_swapped_cell_holds_the_value_of_its_column_in_another_row():
    dense, codes = torch.arange(12.0).view(4, 3), 100 + torch.arange(8).view(4, 2)
    batch = swapped(dense, codes, torch.arange(5), noise=1.0)
    for column in range(3):
        assert set(batch["dense"][:, column].tolist()) <= set(dense[:, column].tolist())
    assert (batch["dense"] != dense).all() and (batch["codes"] != codes).all()
    assert set(batch["codes"][:, 1].tolist()) <= {101, 103, 105, 107}


def test_columns_of_one_cell_are_swapped_with_the_same_row():
    torch.manual_seed(0)
    values = torch.arange(50.0)
    batch = swapped(torch.stack([values, values + 0.5, values], dim=1), torch.empty(50, 0, dtype=torch.int64), torch.tensor([0, 1, 0]), noise=0.5)
    number, other, sign = batch["dense"].T
    assert torch.equal(number, sign) and not torch.equal(number, other - 0.5)


def test_the_share_of_swapped_cells_is_the_noise():
    torch.manual_seed(0)
    values = torch.arange(1000.0)[:, None].repeat(1, 20)
    batch = swapped(values, torch.empty(1000, 0, dtype=torch.int64), torch.arange(20), noise=0.15)
    assert (batch["dense"] != values).float().mean() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(swapped(values, torch.empty(1000, 0, dtype=torch.int64), torch.arange(20), noise=0.0)["dense"], values)


def test_one_row_alone_has_no_other_to_swap_with():
    batch = swapped(torch.ones(1, 2), torch.ones(1, 1, dtype=torch.int64), torch.arange(3), noise=1.0)
    assert torch.equal(batch["dense"], torch.ones(1, 2))


def test_the_best_constant_answer_has_a_loss_of_one():
    dense = torch.tensor([[0.0, 10.0], [2.0, 30.0], [4.0, 20.0], [6.0, 20.0]])
    codes = torch.tensor([[1, 5], [1, 6], [2, 7], [1, 8]], dtype=torch.int32)
    rows = Rows(dense, codes, target=torch.zeros(4), weight=torch.ones(4))

    class Constant(torch.nn.Module):
        def forward(self, batch):  # means 3 and 20, shares of the codes 1 and 2; a code 0 is never seen
            return torch.tensor([[3.0, 20.0, -1e9, np.log(0.75), np.log(0.25)]]).repeat(len(batch["dense"]), 1)

    plan = plan_of(4, epochs=1, batch_size=4, lr=1.0, seed=0, threads=1)
    given = (Constant(), Unlabelled("multiclass"), rows, np.arange(4), plan, Progress(), None, "")
    module = Denoising(*given, noise=0.5, cell_of=torch.arange(4), rebuilt=(0,), sizes=(3,))  # the second column of codes is looked at alone
    loss = module._loss({"dense": dense, "codes": codes.long(), "weight": torch.full((4,), 0.25)})
    assert loss.item() == pytest.approx(1.0, abs=1e-5)


# what is learned from tables


def told(features, tmp_path, **options):
    usual = {"seed": 0, "threads": 1, "noise": 0.15, "width": 32, "layers": 1, "width_out": 2, "category_width": 4, "most_categories": 9, "epochs": 30, "batch_size": 32, "lr": 3e-3}
    return denoised(features, np.arange(len(features)), tmp_path, lambda line: None, **usual | options)


def related(n=256):
    """Three numbers and a category that follow one hidden number, which nobody is told."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=n)
    dense = np.column_stack([hidden, -hidden, 2 * hidden]).astype(np.float32) + random.normal(scale=0.05, size=(n, 3)).astype(np.float32)
    return hidden, Features(dense, ["a", "b", "c"], (hidden > 0).astype(np.int32)[:, None] + 1, ["d"], [3])


def test_what_rows_have_in_common_is_found_without_labels(tmp_path):
    hidden, features = related()
    network, losses = told(features, tmp_path)
    assert len(losses) == 30 and losses[-1] < 0.5 * losses[0]
    columns = network.columns(features, 1)
    assert columns.shape == (256, 2) and columns.dtype == np.float32
    fit = np.column_stack([columns, np.ones(256)])
    missed = hidden - fit @ np.linalg.lstsq(fit, hidden, rcond=None)[0]
    assert missed.var() < 0.1 * hidden.var()


@pytest.mark.parametrize("part", ["numbers alone", "categories alone", "too many categories", "missing numbers"])
def test_tables_of_any_make_are_learned_from(part, tmp_path):
    _, features = related(40)
    if part == "numbers alone":
        features = replace(features, codes=np.empty((40, 0), np.int32), code_names=[], sizes=[])
    elif part == "categories alone":
        features = replace(features, dense=np.empty((40, 0), np.float32), dense_names=[])
    elif part == "missing numbers":
        features.dense[::3, 1] = np.nan
        features.dense[:, 2] = np.where(np.arange(40) % 2, np.nan, 1.0)  # constant where it is there: only that it's missing can be told
    network, losses = told(features, tmp_path, epochs=2, most_categories=2 if part == "too many categories" else 9)
    assert np.isfinite(losses).all() and np.isfinite(network.columns(features, 1)).all()
    assert network.network.head.out_features == {"numbers alone": 3, "categories alone": 3, "too many categories": 3, "missing numbers": 7}[part]


def test_saved_and_loaded_it_makes_the_same_columns(tmp_path):
    _, features = related(40)
    network, _ = told(features, tmp_path / "checkpoints", epochs=2)
    network.save(tmp_path / "w.safetensors")
    again = type(network).load(tmp_path / "w.safetensors")
    assert np.array_equal(again.columns(features, 1), network.columns(features, 1)) and again.rows == 40
    assert again.columns(features.take(np.arange(0)), 1).shape == (0, 2)


def test_no_label_moves_what_is_learned(table):
    plain = learned(*SMALL)
    with_flipped_answers(table)
    flipped = learned(*SMALL)
    assert flipped != plain
    for name in ("weights.safetensors", "encoders.json"):
        assert (flipped.parent / name).read_bytes() == (plain.parent / name).read_bytes()
    rows = open_competition("toy").open_adapter(table.data).tables().test
    one, other = (Learned.open(path).beside(rows, 1)[COLUMNS] for path in (plain, flipped))
    assert one.equals(other)


def test_encodings_of_the_target_are_not_learned_from(table):
    plain = learned(*SMALL, 'encoders.category.means=["colour"]')
    with_flipped_answers(table)
    assert learned(*SMALL, 'encoders.category.means=["colour"]').read_bytes() == plain.read_bytes()


def test_a_folder_says_what_was_learned_and_from_what(table):
    path = learned(*SMALL, "pretrain.epochs=20", "pretrain.lr=0.02")
    assert path == Path("competitions/toy/pretrained/1-denoising/weights.safetensors")
    info = read_json(path.parent / "run.json")
    assert (info["state"], info["pretrained"], info["rows"], len(info["losses"])) == ("finished", "denoising", 90, 20)
    assert info["losses"][-1] < 0.9 * info["losses"][0]
    assert list((path.parent / "checkpoints").iterdir()) == []
    config = read(path.parent / "config.toml")
    assert config.pretrain["method"] == "denoising" and config.pretrain["noise"] == 0.15
    assert (path.parent / "log.txt").read_text().splitlines()[:2] == [
        "data    90 rows, 60 train and 30 test, without labels",
        "method  denoising, 6 numeric and 1 category columns into 4",
    ]


def test_the_model_that_is_named_plays_no_part_in_what_a_table_teaches(table):
    weights = [learned(*SMALL, f"model.name={name}") for name in ("linear", "mlp")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert [w.parent.name for w in weights] == ["1-denoising", "2-denoising"]


def test_learning_goes_on_after_a_stop_to_the_same_bytes(table):
    whole = learned(*SMALL, "pretrain.epochs=4")
    with pytest.raises(KeyboardInterrupt):
        learned(*SMALL, "pretrain.epochs=4", progress=stop_after_epoch_2)
    stopped = whole.parent.parent / "2-denoising"
    assert read_json(stopped / "run.json")["state"] == "interrupted" and not (stopped / "weights.safetensors").exists()
    lines = []
    assert learned(*SMALL, "pretrain.epochs=4", progress=lines.append) == stopped / "weights.safetensors"
    assert [line.split("  ")[0] for line in lines] == ["going on after epoch 2 of 4", "epoch 3 of 4", "epoch 4 of 4"]
    for name in ("weights.safetensors", "encoders.json"):
        assert (stopped / name).read_bytes() == (whole.parent / name).read_bytes()


def test_another_seed_learns_otherwise(table):
    assert learned(*SMALL).read_bytes() != learned(*SMALL, "train.seed=1").read_bytes()


def test_a_column_that_names_rows_is_left_out_and_said(table):
    for rows in (table.train, table.test):
        rows[0].insert(1, "ticket")
        for n, row in enumerate(rows[1:]):
            row.insert(1, f"T{rows is table.train}{n}")
    table.write()
    lines = []
    path = learned(*SMALL, 'encoders.category.means=["ticket", "colour"]', "encoders.category.means_only=false", progress=lines.append)
    assert lines[0] == "note    nearly a category a row, so left out: ticket"
    assert list(read_json(path.parent / "encoders.json")["schema"]) == ["size", "colour", "listed"]


def test_a_table_with_nothing_to_learn_from_is_said(table):
    for rows in (table.train, table.test):
        rows[0][1:4] = ["words", "more", "last"]
        for n, row in enumerate(rows[1:]):
            row[1:4] = [f"an old house by the sea number {n}"] * 3
    table.write()
    assert complaint(learned, *SMALL, 'input.columns.text=["words", "more", "last"]') == [
        "the tables have no column to learn from: numeric, category, date are looked at",
        "for pictures name a model that looks at them: model.name=timm",
    ]


# later runs


MODELS = {
    "lightgbm": ["model.rounds=3"],
    "linear": ["model.penalty=1.0"],
    "knn": [],
    "kmeans": [],
    "mlp": ["train.epochs=1", "model.width=8"],
    "tabm": ["train.epochs=1", "model.width=8"],
    "sparse_mlp": ["train.epochs=1", "model.width=8"],
}


@pytest.mark.parametrize("name", MODELS)
def test_any_model_of_tables_takes_the_columns_and_its_run_records_them(name, table):
    path = learned(*SMALL)
    run = table.trained(f"model.name={name}", *MODELS[name], f"model.weights={path}", "train.threads=1")
    info = read_json(run / "run.json")
    assert info["exceptions"] == [f"{path} was pretrained on 90 rows of train and test, without labels"]
    assert info["state"] == "finished" and list(info["schema"]) == ["size", "colour", "listed"]
    assert set(COLUMNS) < set(read_json(run / "fold-0" / "encoders.json")["schema"])
    assert "columns 4 more, learned without labels: competitions/toy/pretrained/1-denoising/weights.safetensors" in (run / "log.txt").read_text()
    without = table.trained(f"model.name={name}", *MODELS[name], "train.threads=1")
    assert (run / "oof.parquet").read_bytes() != (without / "oof.parquet").read_bytes()
    assert read_json(without / "run.json")["exceptions"] == [] and not (without / "unlabelled").exists()


def test_all_folds_are_given_the_same_columns(table, monkeypatch):
    path, made, beside = learned(*SMALL), [], Learned.beside
    monkeypatch.setattr(Learned, "beside", lambda *given: made.append(len(given[1])) or beside(*given))
    table.trained(*LINEAR, f"model.weights={path}", "score.folds.count=3")
    assert made == [60, 30]  # training rows and test rows, once each


def test_new_files_get_the_columns_from_the_run_s_own_copy(table):
    path = learned(*SMALL)
    run = runs.open_run(table.trained(*LINEAR, f"model.weights={path}"))
    shutil.rmtree(path.parent)
    assert predicting.predict(run, table.data, Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()
    table.test[1:] = table.test[1:4]
    table.sample[1:] = table.sample[1:4]
    table.write()
    first = pd.read_csv(run.folder / "submission.csv", dtype=str).iloc[:3]["sold"].astype(float)
    alone = pd.read_csv(predicting.predict(run, table.data, Says()), dtype=str)["sold"].astype(float)
    assert alone.tolist() == pytest.approx(first.tolist(), abs=1e-6)


def test_a_run_s_own_config_is_the_same_command_again(table):
    path = learned(*SMALL)
    run = table.trained(*LINEAR, f"model.weights={path}")
    shutil.copy(run / "config.toml", table.folder / "config.toml")
    again = table.trained()
    assert read_json(again / "run.json")["command"] == read_json(run / "run.json")["command"]
    assert (again / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()


@pytest.mark.parametrize("changed", ["weights.safetensors", "encoders.json"])
def test_a_run_from_other_weights_is_another_run(changed, table):
    path = learned(*SMALL)
    first = table.trained(*LINEAR, f"model.weights={path}")
    same = table.trained(*LINEAR, f"model.weights={path}")
    other = learned(*SMALL, "train.seed=1", "encoders.category.min_count=2")
    (path.parent / changed).write_bytes((other.parent / changed).read_bytes())
    second = table.trained(*LINEAR, f"model.weights={path}")
    commands = [read_json(run / "run.json")["command"] for run in (first, same, second)]
    assert commands[0] == commands[1] != commands[2]


def test_weights_of_other_columns_are_refused_before_anything_is_trained(table):
    path = learned(*SMALL)
    table.column("size", lambda value: f"about {float(value):.0f}")
    for rows in (table.train, table.test):
        rows[0][rows[0].index("colour")] = "shade"
    table.write()
    assert table.complaint(*LINEAR, f"model.weights={path}").split("\n") == [
        f'model.weights = "{path}" needs 2 columns that these tables lack or hold as another kind: size (numeric), colour (category)',
        "is it another competition's, or did the columns change since? learn again: kit pretrain COMPETITION",
    ]
    assert not (table.folder / "runs").exists()


def test_columns_that_are_there_already_are_refused(table):
    path = learned(*SMALL)
    for rows in (table.train, table.test):
        rows[0][1:1] = ["unlabelled_0"]
        for n, row in enumerate(rows[1:]):
            row[1:1] = [str(n)]
    table.write()
    assert "makes columns that the tables have already: unlabelled_0" in table.complaint(*LINEAR, f"model.weights={path}")


def test_weights_that_are_of_no_use_are_refused_before_any_data_are_read(table):
    path = learned(*SMALL)
    shutil.rmtree(table.data)
    table.data.mkdir()
    (table.data / "note.txt").touch()
    save_file({"network.body.0.weight": np.zeros((2, 2), np.float32)}, "pictures.safetensors")
    Path("torn.safetensors").write_bytes(path.read_bytes()[:100])
    shutil.copy(path, "alone.safetensors")
    said = {name: table.complaint(*LINEAR, f"model.weights={name}").split("\n") for name in ("none.pt", "pictures.safetensors", "torn.safetensors", "alone.safetensors")}
    assert said["none.pt"][0] == 'model.weights = "none.pt": no such file; expected "none" or the file that `kit pretrain` wrote'
    assert said["pictures.safetensors"] == [
        'model.weights = "pictures.safetensors" was not learned from tables, and this model takes no pictures',
        "make one: kit pretrain COMPETITION pretrain.method=denoising",
    ]
    assert said["torn.safetensors"][0].startswith('model.weights = "torn.safetensors" is no whole file of weights: ')
    assert said["alone.safetensors"] == [
        'model.weights = "alone.safetensors": no encoders.json beside it',
        "the two belong together: copy both, or make one: kit pretrain COMPETITION",
    ]


def test_weights_must_be_a_word_or_a_path(table):
    assert table.complaint(*LINEAR, "model.weights=5").split("\n")[0] == "model.weights = 5: Input should be a valid string"


def test_a_network_of_the_competition_s_own_keeps_its_option_of_the_same_name(table):
    (table.folder / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, inputs, *, weights: int = 3):\n"
        "        super().__init__()\n"
        "        self.last = nn.Linear(inputs.dense, inputs.outputs)\n"
        "    def forward(self, batch): return self.last(batch['dense'])\n"
    )
    run = table.trained("model.name=./net.py", "model.weights=4", "train.epochs=1", "train.threads=1")
    assert read(run / "config.toml").model == {"name": "./net.py", "weights": 4}
    assert read_json(run / "run.json")["exceptions"] == []


# methods


def test_the_model_decides_the_method_and_options_of_the_other_are_refused(table):
    assert open_competition("toy").pretraining()[0] == "denoising"
    pictures = open_competition("toy", overrides=["model.name=convnet"])
    assert pictures.pretraining()[0] == "simclr" and pictures.pretraining()[1]["temperature"] == 0.1
    assert complaint(learned, "pretrain.temperature=0.5") == [
        "pretrain.temperature is not an option here (known: batch_size, category_width, epochs, layers, lr, most_categories, noise, width, width_out)",
        'in method "denoising"; pretrain.method names another: simclr or masked or denoising',
    ]
    assert complaint(learned, "pretrain.method=simclr") == [
        'pretrain.method = "simclr" compares pictures, and model "lightgbm" does not look at them alone',
        "name one that does: model.name=timm",
    ]


def test_options_of_either_method_hinder_no_training_and_wrong_ones_are_named(table):
    table.trained("pretrain.temperature=0.5", "model.rounds=2")
    for override, said in {
        "pretrain.tempreature=0.5": 'pretrain.tempreature is not an option here (did you mean "temperature"?)',
        "pretrain.method=dino": 'pretrain.method = "dino" is no method (known: denoising, masked, simclr)',
        "pretrain.noise=much": "pretrain.noise = 'much': Input should be a valid number",
    }.items():
        with pytest.raises(ConfigError) as error:
            open_competition("toy", overrides=[override])
        assert str(error.value).split("\n")[0] == said


def test_a_model_of_pictures_on_a_table_without_any_is_told_what_to_do(table):
    assert complaint(learned, "model.name=convnet", "output.task=binary", "train.threads=1") == [
        'the rows have no column of pictures, which model "convnet" learns from',
        "name one: input.columns.image = [...]; for what is in a table: pretrain.method=denoising",
    ]


def test_the_last_line_is_the_path_of_the_weights(table, monkeypatch, capsys):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["kit", "pretrain", "toy", *SMALL])
    cli.main()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "competitions/toy/pretrained/1-denoising/weights.safetensors"
    assert [line.split("  ")[0] for line in said.err.splitlines()] == [f"epoch {n} of 3" for n in (1, 2, 3)]


# pictures


PICTURES = """
[input]
adapter = "image_pixels"
sample_submission = "sample_submission.csv"

[output]
target = "half"
task = "multiclass"

[score]
metric = "accuracy"
folds = { scheme = "stratified", count = 2 }

[model]
name = "convnet"
width = 4
blocks = 2

[train]
threads = 1
epochs = 1
precision = "32-true"
channels_last = "yes"
workers = 0

[augment]
size = 16
recipe = "none"

[pretrain]
epochs = 3
batch_size = 16
hidden = 16
projected = 8
"""


@pytest.fixture
def pictures(table):
    """The toy as 60 training and 30 test pictures of 8 x 8 grey pixels, one half of each bright."""
    random = np.random.default_rng(0)
    half = random.integers(0, 2, 90)
    pixels = random.integers(0, 80, (90, 8, 8))
    for picture, bright in zip(pixels, half):
        picture[:, 4 * bright : 4 * bright + 4] += 120
    names = [f"pixel{n}" for n in range(64)]
    rows = [[f"{n:04d}", *map(str, picture.ravel())] for n, picture in enumerate(pixels)]
    table.train = [["id", *names, "half"], *([*row, "left" if not h else "right"] for row, h in zip(rows[:60], half))]
    table.test = [["id", *names], *rows[60:]]
    table.sample = [["id", "half"], *([row[0], "left"] for row in rows[60:])]
    table.config(PICTURES)
    table.write()
    return table


def test_pictures_are_told_apart_better_with_more_epochs(pictures):
    path = learned("pretrain.epochs=20", "pretrain.lr=0.01")
    assert path == Path("competitions/toy/pretrained/1-convnet/weights.safetensors")
    info = read_json(path.parent / "run.json")
    assert (info["state"], info["pretrained"], info["pictures"], len(info["losses"])) == ("finished", "simclr", 90, 20)
    assert info["losses"][-1] < 0.9 * info["losses"][0]
    assert list((path.parent / "checkpoints").iterdir()) == []


def test_no_label_moves_what_pictures_teach(pictures):
    plain = learned()
    for row in pictures.train[1:]:
        row[-1] = {"left": "right", "right": "left"}[row[-1]]
    pictures.write()
    assert learned().read_bytes() == plain.read_bytes()


def test_weights_of_frozen_features_are_recorded_and_another_file_of_their_name_makes_another_run(pictures):
    from safetensors.torch import save_file as save

    trunk = pytest.importorskip("timm").create_model("test_resnet", pretrained=False)
    path = Path("pretrained/weights.safetensors")
    path.parent.mkdir()
    write_json(path.parent / "run.json", {"pretrained": "simclr", "pictures": 90})
    save(trunk.state_dict(), path)
    frozen = (*LINEAR, "encoders.image.features=test_resnet", f"encoders.image.weights={path}")
    run = pictures.trained(*frozen)
    assert read_json(run / "run.json")["exceptions"] == [f"{path} was pretrained on 90 pictures of train and test rows, without labels"]
    assert read_json(pictures.trained(*frozen) / "run.json")["data"] == read_json(run / "run.json")["data"]
    save({k: 2 * v for k, v in trunk.state_dict().items()}, path)
    assert read_json(pictures.trained(*frozen) / "run.json")["data"] != read_json(run / "run.json")["data"]
    assert open_competition("toy", overrides=["encoders.image.features=test_resnet", f"encoders.image.weights={path}"]).takes() == ("image",)
    assert not begun_with(open_competition("toy", overrides=["encoders.image.features=test_resnet", f"encoders.image.weights={path}"])), "a network that looks itself has no frozen features"


def test_a_later_run_starts_from_the_weights_and_records_it(pictures):
    path = learned()
    run = pictures.trained(f"model.weights={path}", "train.lr=1e-12")
    start, end = load_file(path), load_file(run / "fold-0" / "model.safetensors")
    kernels = [k for k, v in start.items() if k.startswith("network.body") and v.ndim == 4]
    assert len(kernels) == 4 and all(np.allclose(end[k], start[k], atol=1e-6) for k in kernels)
    assert read_json(run / "run.json")["exceptions"] == [f"{path} was pretrained on 90 pictures of train and test rows, without labels"]
    without = pictures.trained("train.lr=1e-12")
    assert not np.allclose(load_file(without / "fold-0" / "model.safetensors")[kernels[0]], start[kernels[0]], atol=1e-3)
    assert read_json(without / "run.json")["exceptions"] == []
    assert not (run / "unlabelled").exists()


def test_learning_from_pictures_goes_on_after_a_stop_to_the_same_bytes(pictures):
    whole = learned()
    with pytest.raises(KeyboardInterrupt):
        learned(progress=stop_after_epoch_2)
    lines = []
    again = learned(progress=lines.append)
    assert again.parent.name == "2-convnet" and lines[-2] == "going on after epoch 2 of 3"
    assert again.read_bytes() == whole.read_bytes()


def test_a_stop_after_the_last_epoch_trains_no_more(pictures):
    with pytest.raises(KeyboardInterrupt):
        learned("pretrain.epochs=2", progress=stop_after_epoch_2)
    lines = []
    again = learned("pretrain.epochs=2", progress=lines.append)
    assert lines[-1] == "going on after epoch 2 of 2"
    assert again.read_bytes() == learned("pretrain.epochs=2").read_bytes()


def test_the_path_of_weights_of_pictures_is_printed_last(pictures, monkeypatch, capsys):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["kit", "pretrain", "toy", "pretrain.epochs=1"])
    cli.main()
    assert capsys.readouterr().out.splitlines() == [
        "data    90 pictures of 60 train and 30 test rows, without labels",
        "method  simclr, convnet",
        "competitions/toy/pretrained/1-convnet/weights.safetensors",
    ]


def test_weights_learned_from_tables_are_of_no_use_to_a_model_of_pictures(pictures):
    path = Path("table.safetensors")
    _, features = related(40)
    told(features, Path("checkpoints"), epochs=1)[0].save(path)
    assert pictures.complaint(f"model.weights={path}").split("\n") == [
        'model.weights = "table.safetensors" was learned from tables, and this model looks at pictures',
        "learn from those: kit pretrain COMPETITION pretrain.method=simclr",
    ]


def test_a_model_that_looks_at_no_pictures_finds_nothing_else_to_learn_from(pictures):
    pictures.config(PICTURES[: PICTURES.index("[pretrain]")])
    with pytest.raises(DataError, match="the tables have no column to learn from"):
        learned("model.name=knn", "train.threads=1")


def test_a_library_that_is_not_there_is_named_with_its_extra(pictures, monkeypatch):
    monkeypatch.delitem(sys.modules, "kit.zoo._selfsupervised", raising=False)
    monkeypatch.setitem(sys.modules, "lightly.loss", None)
    with pytest.raises(DependencyError) as error:
        learned()
    assert str(error.value).split("\n") == [
        '"pretrain.method = "simclr"" needs lightly, which is not installed',
        'pip install "competition-kit[pretrain]"',
    ]

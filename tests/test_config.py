import pytest

from kit.competition import open_competition
from kit.config import Config, part, read
from kit.errors import ConfigError

TOML = """
title = "Toy"
[input]
id = "id"
columns = { category = ["colour"], text = ["name"] }
[output]
target = "sold"
task = "binary"
[score]
metric = "log_loss"
folds = { scheme = "stratified", count = 5 }
[model]
name = "lightgbm"
rounds = 100
[train]
seed = 1
loss = "focal"
epochs = 9
[preset.fast]
model = { rounds = 10 }
input = { columns = { text = [] } }
[preset.net]
model = { name = "mlp", width = 8 }
train = { epochs = 2 }
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.toml").write_text(TOML, encoding="utf-8")
    return lambda *overrides, preset=None: read(tmp_path / "config.toml", preset=preset, overrides=overrides)


def complaint(config, *overrides, preset=None):
    with pytest.raises(ConfigError) as error:
        config(*overrides, preset=preset)
    return str(error.value)


def test_values_are_those_of_the_file(config):
    assert config().model == {"name": "lightgbm", "rounds": 100}
    assert config().title == "Toy"


def test_preset_is_laid_over_key_by_key(config):
    fast = config(preset="fast")
    assert fast.model == {"name": "lightgbm", "rounds": 10}
    assert fast.input["columns"] == {"category": ["colour"], "text": []}


def test_override_wins_over_preset(config):
    assert config("model.rounds=3", preset="fast").model["rounds"] == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-4", 1e-4),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ("huber", "huber"),
        ('"5"', "5"),
        ("", ""),
        ("a=b", "a=b"),
        ("0012", "0012"),
    ],
)
def test_value_of_an_override_is_read_as_toml_or_else_is_text(config, text, value):
    assert config(f"output.positive={text}").output["positive"] == value


def test_override_reaches_into_tables(config):
    assert config("score.folds.count=3").score["folds"] == {"scheme": "stratified", "count": 3}
    assert config("train.loss.gamma=2").train["loss"] == {"name": "focal", "gamma": 2}
    assert config("encoders.category.min_count=2").encoders == {"category": {"min_count": 2}}


def test_naming_another_scheme_drops_the_options_of_the_old(config):
    assert config("score.folds=kfold").score["folds"] == {"scheme": "kfold"}
    assert config("score.folds=kfold", "score.folds.count=2").score["folds"] == {"scheme": "kfold", "count": 2}


def test_naming_another_model_drops_the_options_of_the_old(config):
    other = config("model.name=linear")
    assert other.model == {"name": "linear"} and other.train == {"seed": 1}
    assert config("model.name=lightgbm").model["rounds"] == 100  # the same one keeps them
    assert config("model.rounds=7", "model.name=linear").model == {"name": "linear", "rounds": 7}  # what was said with it is kept


def test_preset_that_names_another_model_drops_the_options_of_the_old(config):
    net = config(preset="net")
    assert net.model == {"name": "mlp", "width": 8} and net.train == {"seed": 1, "epochs": 2}


def test_all_mistakes_of_form_are_said_at_once(tmp_path):
    (tmp_path / "config.toml").write_text('modle = 1\ntitle = 3\nscore = "auc"\n[preset.fast]\ntrian = {}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read(tmp_path / "config.toml", preset="fats", overrides=["seed", "trian.seed=1", "model=mlp", "a..b=1"])
    where = tmp_path / "config.toml"
    assert str(error.value).split("\n") == [
        f'{where}: no section "modle" (did you mean "model"?)',
        f"{where}: title must be text, not 3",
        f"{where}: score must be a table, not 'auc'",
        f'{where}: preset.fast: no section "trian" (did you mean "train"?)',
        f'no preset "fats" in {where} (did you mean "fast"?)',
        '"seed" is not KEY=VALUE, for example train.seed=1',
        'no section "trian" for trian.seed=1 (did you mean "train"?)',
        '"model=mlp" replaces a whole section; name a key in it, for example model.name=VALUE',
        '"a..b=1" is not KEY=VALUE, for example train.seed=1',
    ]


def test_preset_that_is_no_table_is_named(tmp_path):
    (tmp_path / "config.toml").write_text('preset = "fast"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"preset must be a table, such as \[preset.fast\], not 'fast'"):
        read(tmp_path / "config.toml")


def test_key_below_a_value_is_named(config):
    assert complaint(config, "train.seed.x=1") == "train.seed.x=1: train.seed is 1, which has no keys of its own"


def test_missing_file_and_broken_toml_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^no .*config.toml\na competition is a folder with a config.toml"):
        read(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text("[score]\nseed = 0012\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.toml is not TOML: .*line 2"):
        read(tmp_path / "config.toml")


def test_config_written_and_read_again_is_equal(tmp_path):
    config = Config(title='Toy \\ "x"', output={"target": ["a", "b"]}, score={"folds": {"scheme": "time", "gap": 1.5}}, train={"seed": 1})
    config.write(tmp_path / "config.toml")
    assert read(tmp_path / "config.toml") == config


def test_option_that_is_none_is_left_out_since_toml_has_no_word_for_it(tmp_path):
    Config(score={"folds": {"scheme": "time", "size": None}}).write(tmp_path / "config.toml")
    assert read(tmp_path / "config.toml").score == {"folds": {"scheme": "time"}}


def test_part_is_a_word_or_a_table():
    assert part("huber") == ("huber", {})
    assert part({"name": "huber", "delta": 1.5}) == ("huber", {"delta": 1.5})
    assert part({"scheme": "time", "gap": 1}, "scheme") == ("time", {"gap": 1})
    assert part(5) == ("5", {})  # which no part is called


def test_all_mistakes_of_meaning_are_said_at_once_before_any_data_is_read(table):
    for file in table.data.iterdir():
        file.unlink()
    with pytest.raises(ConfigError) as error:
        open_competition(
            "toy",
            overrides=[
                "input.tarin=a",
                "output.task=binery",
                "score.metric=log_los",
                "score.folds.cuont=3",
                "model.ruonds=1",
                "train.sead=1",
                'model.leaves="many"',
                "encoders.categry.means=[]",
            ],
        )
    assert str(error.value).split("\n") == [
        'input.tarin is not an option here (did you mean "train"?)',
        'output.task: no task "binery" (did you mean "binary"?)',
        'score.metric: no metric "log_los" (did you mean "log_loss"?)',
        'score.folds.cuont is not an option here (did you mean "count"?)',
        'model.ruonds is not an option here (did you mean "rounds"?)',
        "model.leaves = 'many': Input should be a valid integer",
        'train.sead is not an option of model "lightgbm", which is no network (did you mean "seed"?)',
        'encoders.categry: no encoder for a column kind "categry" (did you mean "category"?)',
        "in competitions/toy/config.toml and what was laid over it",
    ]


def test_what_must_be_there_is_named(table):
    table.config("[model]\n")
    with pytest.raises(ConfigError) as error:
        open_competition("toy")
    assert str(error.value).split("\n")[:4] == [
        "output.target is missing",
        "output.task is missing",
        "score.metric is missing",
        "model.name is missing",
    ]


def test_time_folds_can_be_trained_on_and_the_config_of_the_run_gives_them_again(table):
    run = table.trained("score.folds.scheme=time", "input.columns.time=['listed']", "input.columns.date=['listed']")
    assert read(run / "config.toml").score["folds"] == {"scheme": "time", "count": 2, "repeats": 1, "seed": 0, "gap": 0.0, "purge": 0.0}
    assert read(run / "config.toml").train["final"] == "refit"


def test_naming_another_part_drops_the_options_of_the_old_one(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        'title = "t"\n[model]\nname = "fusion"\nwidth = 8\ntext = { name = "transformer", architecture = "bert" }\n'
        '[score]\nmetric = { name = "map_at_k", k = 5 }\nfolds = { scheme = "open_set", unknown = 0.3 }\n'
        '[preset.fast]\nmodel = { text = { name = "lstm", width = 4 } }\nscore = { metric = { name = "accuracy" }, folds = { scheme = "kfold" } }\n'
        "[preset.same]\nscore = { metric = { k = 3 }, folds = { count = 3 } }\n"
    )
    fast, same = read(path, preset="fast"), read(path, preset="same")
    assert fast.model == {"name": "fusion", "width": 8, "text": {"name": "lstm", "width": 4}}
    assert fast.score["metric"] == {"name": "accuracy"} and fast.score["folds"] == {"scheme": "kfold"}
    assert same.score["metric"] == {"name": "map_at_k", "k": 3} and same.score["folds"] == {"scheme": "open_set", "unknown": 0.3, "count": 3}
    assert read(path, overrides=["model.text.name=lstm"]).model["text"] == {"name": "lstm"}

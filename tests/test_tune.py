"""Trials are scored on folds of their own, resumed from their file, given up when poor; the best becomes a run."""

import pytest

pytest.importorskip("optuna")

from kit import runs, space
from kit.competition import open_competition
from kit.errors import ConfigError
from kit.fitting import Says
from kit.tune import _OTHER_FOLDS, space_of, tune

OVERRIDES = ["model.min_rows=2"]


def tuned(table, trials: int, **options):
    lines = []
    given = {"preset": None, "overrides": OVERRIDES, "seconds": 0.0, "vary": ["model.leaves", "model.l2"], **options}
    return tune("toy", table.data, Says(lines.append, lines.append), trials=trials, **given), lines


def test_the_first_trial_is_the_config_as_it_is_and_the_best_becomes_a_run(table):
    run, lines = tuned(table, 4)
    trials = [line for line in lines if line.startswith("trial")]
    assert len(trials) == 4 and trials[0].endswith("the config as it is") and "leaves=" in trials[1]
    assert run.info["state"] == "finished" and (run.folder / "submission.csv").is_file()
    assert len(runs.listed(table.folder / "runs")) == 1
    assert not list((table.folder / "tuning").rglob("fold-*"))


def test_the_same_command_goes_on_where_it_was_stopped(table):
    tuned(table, 3)
    _, lines = tuned(table, 5)
    assert any(line.startswith("going on after 3 trials") for line in lines)
    assert len([line for line in lines if line.startswith("trial")]) == 2


def test_trials_are_not_scored_on_the_runs_folds(table):
    run, lines = tuned(table, 2)
    own = open_competition("toy", overrides=OVERRIDES).folds()[1].get("seed", 0)
    assert run.info["seed"] == 0 and own == 0 and _OTHER_FOLDS > 0
    told = next(line for line in lines if line.startswith("best"))
    assert f"{run.info['score']['mean']:.6g}" not in told


def test_a_trial_that_cannot_be_trained_stops_nothing(table):
    (table.folder / "fragile.py").write_text(
        "from kit.errors import TrainingError\nfrom kit.estimators.constant import Constant\nfrom kit.space import Choice\n\n"
        "class Fragile(Constant):\n    space = {'breaks': Choice((True,))}\n\n    def __init__(self, setup, *, breaks: bool = False):\n"
        "        super().__init__(setup)\n        self.breaks = breaks\n\n    def fit(self, train, found):\n        if self.breaks:\n"
        "            raise TrainingError('too much')\n        super().fit(train, found)\n"
    )
    _, lines = tuned(table, 3, overrides=["model.name=./fragile.py"], vary=[])
    assert sum("failed" in line for line in lines) == 2 and any("too much" in line for line in lines)
    assert any(line.startswith("options the config as it is") for line in lines)


def test_what_cannot_be_varied_is_told():
    assert isinstance(space_of(open_competition("titanic"), [])["model.leaves"], space.Whole)
    with pytest.raises(ConfigError, match="--vary model.leafs: model \"lightgbm\" has no range for it.*model.leaves"):
        space_of(open_competition("titanic"), ["model.leafs"])
    with pytest.raises(ConfigError, match='model "constant" says no ranges'):
        space_of(open_competition("titanic", overrides=["model.name=constant"]), [])


def test_every_range_is_of_an_option_and_holds_legal_values():
    from kit.registry import find, find_model, installed, options

    for name in (*installed("estimators"), *installed("zoo")):
        part = find("estimators", "neural") if name == "neural" else find_model(name)[1]
        for option, range_ in getattr(part, "space", {}).items():
            assert option in options(part), f"{name}.{option}"
            assert isinstance(range_, space.Choice) and range_.values or range_.low < range_.high, f"{name}.{option}"

"""A budget starts with what is sure, survives what fails or does not end, and goes on where it was stopped."""

import json
import sys
import time

import pytest

from kit import budget, runs
from kit.budget import Step, portfolio, seconds_of, spend
from kit.competition import open_competition
from kit.errors import ConfigError, RunError
from kit.fitting import Says

CONSTANT = Step("constant", ("model.name=constant",), 0.0)
BOOSTER = Step("booster", ("model.rounds=8",), 0.0)
LINEAR = Step("linear", ("model.name=linear",), 0.0)

ENDLESS = """
import time

class Endless:
    watches = False

    def __init__(self, setup):
        self.setup = setup

    def fit(self, train, found):
        time.sleep(600)

    def predict(self, rows):
        raise AssertionError
"""


class Ended:
    """A process whose work was done at once, in this one."""

    over = False

    def __init__(self, code):
        self.code = code


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    """Orders that tests can name: as on a machine that others keep busy."""
    monkeypatch.setattr(budget.machine, "free_cores", lambda: 0.0)


def here(monkeypatch, timed):
    """Steps and blends are no processes: `timed` is given their work, their seconds and what says that they are hopeless, and gives an exit code."""
    monkeypatch.setattr(budget, "Timed", lambda work, seconds, hopeless=None: Ended(timed(work, seconds, hopeless)))


def watched(monkeypatch) -> list[str]:
    """The labels of the steps as they begin."""
    order, begun = [], budget._begun

    def told(at_work, step, *given):
        order.append(step.label)
        job = begun(at_work, step, *given)
        if job is None:
            order.pop()
        return job

    monkeypatch.setattr(budget, "_begun", told)
    return order


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("90", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200), ("1m5s", 65)])
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 minutes", "-5s", "2s", "0m", "1.5h"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(ConfigError, match="expected a time of 5 seconds or more, such as 90s, 10m or 1h30m"):
        seconds_of(text)


def spent(table, steps, seconds=120.0):
    lines = []
    says = Says(lines.append, lines.append)
    found = spend("toy", table.data, says, seconds=seconds, began=time.monotonic(), steps=steps)
    return found, lines


def states(table) -> list[str]:
    return [run.info["state"] for run in runs.listed(table.folder / "runs")]


def test_the_best_run_out_of_fold_is_the_answer_and_all_are_kept(table):
    found, lines = spent(table, [CONSTANT, BOOSTER, LINEAR])
    made = runs.listed(table.folder / "runs")
    assert {r.name.split("-")[1] for r in made} >= {"constant", "lightgbm", "linear"} and set(states(table)) == {"finished"}
    best = min((r for r in made if "blended" not in r.info), key=lambda r: r.info["score"]["mean"])
    blend = min((r for r in made if "blended" in r.info), key=lambda r: r.info["score"]["mean"])
    answer = best if blend.info["honest"]["gain_interval"][1] < 0 else blend
    assert found == answer.folder / "submission.csv" and blend.info["blended"]["method"] == "steady"
    assert any(line.startswith("budget") and f"best: {answer.name}" in line for line in lines)


@pytest.mark.parametrize(("gain", "reach", "wins"), [(-0.01, 0.02, True), (-0.01, 0.005, False), (0.01, 0.02, True)])
def test_a_blend_gives_way_only_to_a_run_that_is_surely_better(table, monkeypatch, gain, reach, wins):
    from kit import blend as blending

    told = blending._Blending._told

    def other(self, *given):
        constant, honest = told(self, *given)
        return constant, honest | {"gain": gain, "gain_interval": [gain - reach, gain + reach]}

    monkeypatch.setattr(blending._Blending, "_told", other)
    found, _ = spent(table, [CONSTANT, BOOSTER, LINEAR])
    assert ("blended" in runs.open_run(found.parent).info) == wins


def test_the_runs_are_blended_as_soon_as_there_are_two(table):
    _, lines = spent(table, [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("linear", ("model.name=linear",), 1e-9)])
    assert any("blend of 2" in line for line in lines)
    assert any("blended" in r.info for r in runs.listed(table.folder / "runs"))


def test_a_step_that_fails_stops_nothing(table, capfd):
    found, lines = spent(table, [CONSTANT, Step("broken", ("model.nonsense=1",), 0.0), BOOSTER])
    assert found.is_file() and any("broken" in line and "failed" in line for line in lines)
    assert "nonsense" in capfd.readouterr().err


def test_a_step_that_does_not_end_is_stopped_in_time_and_can_be_gone_on_with(table):
    (table.folder / "endless.py").write_text(ENDLESS)
    found, lines = spent(table, [CONSTANT, Step("endless", ("model.name=./endless.py",), 0.0)], seconds=12.0)
    assert any("endless" in line and "the time is up" in line for line in lines)
    assert found.parent.name.endswith("constant") and states(table) == ["finished", "interrupted"]


def test_a_step_that_would_not_fit_is_not_begun(table):
    _, lines = spent(table, [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("dear", ("model.name=linear",), 1e9)])
    assert len(states(table)) == 2 and not any("dear" in line for line in lines)


def test_without_any_run_there_is_no_answer_but_a_reason(table):
    with pytest.raises(RunError, match="no step of the portfolio gave a submission in 120 s"):
        spent(table, [Step("broken", ("model.nonsense=1",), 0.0)])


def test_rows_that_cannot_be_read_are_told_once_and_not_by_every_step(table, capfd):
    whole = (table.data / "train.csv").read_text()
    (table.data / "train.csv").write_text(whole.replace("\n", "\n\"", 1))
    with pytest.raises(RunError, match="not even the constant could be trained"):
        spent(table, [CONSTANT, BOOSTER, LINEAR])
    assert capfd.readouterr().err.count("kit: ") == 1 and not list((table.folder / "budgets").glob("*.json"))
    (table.data / "train.csv").write_text(whole)
    found, _ = spent(table, [CONSTANT, BOOSTER])
    assert found.is_file()


def test_what_failed_is_tried_anew_by_the_next_budget(table, capfd):
    for _ in range(2):
        with pytest.raises(RunError, match="no step"):
            spent(table, [Step("broken", ("model.nonsense=1",), 0.0)])
        assert "model.nonsense" in capfd.readouterr().err and not list((table.folder / "budgets").glob("*.json"))


def test_a_run_that_was_stopped_while_its_report_was_written_is_a_run(table, monkeypatch):
    from kit import pipeline

    monkeypatch.setattr(pipeline.reporting, "write", lambda *_: sys.exit(143))
    found, lines = spent(table, [CONSTANT, LINEAR])
    assert found.is_file() and set(states(table)) == {"finished"} and not any("stopped" in line for line in lines)


def test_what_is_told_of_the_configs_own_model_is_not_for_the_others(table):
    """A network's epochs are no option of a booster; where the config's own model is a booster, a step's booster has its defaults all the same."""
    asked = {}
    for own in ("model.name=mlp", "model.leaves=5"):
        competition = open_competition("toy", overrides=[own, "train.seed=3", "score.folds.count=3", *(["train.epochs=2"] if "mlp" in own else [])])
        for step in (CONSTANT, Step("booster", ("model.name=lightgbm", "model.min_rows=30"), 0.0), Step("own", (), 0.0)):
            at_work = budget._Spending("toy", competition, table.data, None, list(competition.asked), Says(), 0.0, 0.0, None)
            asked[own, step.label] = budget._overrides(at_work, step)
    assert asked["model.name=mlp", "constant"] == ["train.seed=3", "score.folds.count=3", "model.name=constant"]
    assert asked["model.name=mlp", "own"] == ["model.name=mlp", "train.seed=3", "score.folds.count=3", "train.epochs=2"]
    assert asked["model.leaves=5", "own"] == ["model.leaves=5", "train.seed=3", "score.folds.count=3"]
    leaves = {o for o in asked["model.leaves=5", "booster"] if o.startswith("model.")}
    held = open_competition("toy", overrides=asked["model.leaves=5", "booster"]).config.model
    assert leaves >= {"model.name=lightgbm", "model.min_rows=30"} and held.get("leaves", 0) == 0 and held["min_rows"] == 30


def test_the_same_command_goes_on_where_it_was_stopped(table):
    calls = []

    def stopping(line):
        calls.append(line)
        if "booster" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spend("toy", table.data, Says(stopping), seconds=120.0, began=time.monotonic(), steps=[CONSTANT, BOOSTER, LINEAR])
    assert len(states(table)) == 2
    _, lines = spent(table, [CONSTANT, BOOSTER, LINEAR])
    assert any(line.startswith("going on after") and "constant, booster" in line for line in lines)
    assert len([r for r in runs.listed(table.folder / "runs") if "blended" not in r.info]) == 3 + 4  # the booster's other seeds, too: what it took is remembered
    spent(table, [CONSTANT])  # a budget that is spent is no hindrance for the next
    assert not list((table.folder / "budgets").glob("*.json"))


def test_the_portfolio_begins_with_what_is_sure_and_holds_the_configs_own_model(table):
    steps = portfolio(open_competition("toy"))
    assert [s.label for s in steps[:3]] == ["constant", budget.BOOSTER, "lightgbm, as the config has it"]
    assert steps[2].overrides == () and len({s.label for s in steps}) == len(steps)


def test_what_a_step_took_is_expected_of_its_family(table, monkeypatch):
    """A booster that took ten times what was expected of it: the next one, which would fit by the table of costs, is not begun in vain."""
    clock, spent_on = [0.0], watched(monkeypatch)
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless):
        clock[0] += {"constant": 1.0, budget.BOOSTER: 2.0, "slow": 80.0, "next": 80.0, "linear": 2.0}[spent_on[-1]]
        return work() or 0

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    booster = ("model.name=lightgbm", "model.rounds=4")
    steps = [CONSTANT, Step(budget.BOOSTER, (*booster, "train.seed=1"), 0.0), Step("slow", (*booster, "train.seed=2"), 4.0), Step("next", (*booster, "train.seed=3"), 5.0), Step("linear", ("model.name=linear",), 2.0)]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    assert spent_on == ["constant", budget.BOOSTER, "slow", "linear"]
    assert [s.family for s in steps] == ["constant", "boosters", "boosters", "boosters", "linear"]


def test_a_booster_whose_searches_were_ended_does_not_make_the_next_look_cheap(table, monkeypatch):
    """Each takes the third of what is left that it is given: those that would be given a fraction of what they need are not begun."""
    clock, begun = [0.0], []
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless=None):
        begun.append(seconds)
        clock[0] += {0: 1.0, 1: 2.0}.get(len(begun) - 1, seconds / 3)
        return work() or 0

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    monkeypatch.setattr(budget, "_more_seeds", lambda at_work, steps: [])
    searching = ("model.name=lightgbm", "model.most_rounds=3")
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), *(Step(f"searching {n}", (*searching, f"train.seed={n}"), 20.0) for n in range(1, 7))]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    needs = 20 * 2.0
    assert len(begun) == 5 and all(left / 3 > 0.4 * needs - 1e-6 for left in begun[2:]), begun


SLOW = """
import time
import numpy as np

class Slow:
    watches = False

    def __init__(self, setup):
        self.setup = setup

    def fit(self, train, found):
        time.sleep(9)

    def predict(self, rows):
        return np.full((len(rows), 1), 0.5)

    def save(self, folder):
        (folder / "model.json").write_text("{}")

    def load(self, folder):
        pass
"""


def test_a_step_whose_first_fold_says_that_it_will_not_end_in_time_is_stopped_and_leaves_the_rest_to_others(table):
    (table.folder / "slow.py").write_text(SLOW)
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("slow", ("model.name=./slow.py",), 0.0), Step("after", ("model.rounds=6",), 0.0)]
    _, lines = spent(table, steps, seconds=20.0)
    slow, after = (next(line for line in lines if f" {label} " in line) for label in ("slow", "after"))
    assert "its folds say that it would not end in time" in slow and 9 < float(slow.split()[-2]) < 12  # the second of two folds would take nine seconds more
    assert "stopped" not in after and states(table)[2:4] == ["interrupted", "finished"]


def test_what_takes_more_than_half_of_what_is_left_waits_for_the_others(table, monkeypatch):
    clock, order = [0.0], watched(monkeypatch)
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless=None):
        clock[0] += 5.0
        return work() or 0

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("dear", ("model.name=linear",), 12.0), Step("cheap", ("model.name=knn",), 2.0)]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)  # 60 seconds for the one, 10 for the other, and 107 are left
    assert order[:4] == ["constant", budget.BOOSTER, "cheap", "dear"]


def test_blends_that_take_long_wait_for_the_end(table, monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless=None):
        blending = "_blended" in work.__code__.co_names
        order.append("blend" if blending else "step")
        clock[0] += 15.0 if blending else 1.0
        return work() or 0

    here(monkeypatch, timed)
    steps = [CONSTANT, BOOSTER, LINEAR, Step("other", ("model.rounds=4",), 0.0), Step("another", ("model.rounds=3",), 0.0)]
    found, _ = spent(table, steps, seconds=120.0)
    assert order[:4] == ["step", "step", "step", "blend"] and order.count("blend") == 2 and order[-1] == "blend"
    last = runs.listed(table.folder / "runs")[-1]
    assert len(last.info["blended"]["runs"]) == order.count("step") - 1  # all but the constant


def test_boosters_that_search_for_rounds_are_told_to_end_in_time(table, monkeypatch):
    """All searches and fits of all folds are to fit into a third of what is left: each fold of so few rows is searched five times and fitted once."""
    clock, left = [0.0], {}
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless=None):
        left[len(left)] = seconds
        clock[0] += 2.0
        try:
            return work() or 0
        except ConfigError:
            return 1

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    searching = ("model.rounds=0", "model.most_rounds=3")
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("searching", searching, 1.0), Step("broken", (*searching, "model.nonsense=1"), 1.0), LINEAR]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    told = {r.name: [float(o.partition("=")[2]) for o in r.info["asked"] if o.startswith("model.seconds=")] for r in runs.listed(table.folder / "runs")}
    assert [name.partition("-")[2] for name in told][:4] == ["constant", "lightgbm", "lightgbm", "linear"]
    first, quick, searched, *rest = told.values()
    folds = len(runs.listed(table.folder / "runs")[2].info["score"]["folds"])
    assert not first and not quick and len(searched) == 1 and not rest[0]
    assert left[2] / 6 < folds * (5 + 1.5) * searched[0] < left[2] / 3


@pytest.mark.parametrize("seconds, rate", [(0.001, None), (4.0, 0.12)])
def test_a_booster_with_time_for_few_rounds_learns_at_a_higher_rate_unless_it_names_its_own(table, monkeypatch, seconds, rate):
    """By what the hundred rounds of the first booster took in a fold."""

    def timed(work, left, hopeless=None):
        ended = work() or 0
        for path in (table.folder / "runs").glob("2-*/fold-*/fold.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))
        return ended

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    monkeypatch.setattr(budget, "_more_seeds", lambda at_work, steps: [])
    searching = ("model.name=lightgbm", "model.most_rounds=3")
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("usual", searching, 0.0), Step("own", (*searching, "model.learning_rate=0.02"), 0.0)]
    spent(table, steps)
    asked = [r.info["asked"] for r in runs.listed(table.folder / "runs")[2:4]]
    rates = [[float(o.partition("=")[2]) for o in told if o.startswith("model.learning_rate=")][-1:] for told in asked]
    assert all(any(o.startswith("model.seconds=") for o in told) for told in asked)
    assert (rates[0] or [0])[0] == (rate or 0) and rates[1] == [0.02]


def test_a_booster_that_needs_more_than_its_share_is_begun_where_its_searches_may_end_sooner(table, monkeypatch):
    """Of 117 seconds left a booster may take 39: one that would take 60 begins, and one that would take 79 waits until the cheap ones had their turn."""
    clock, order = [0.0], watched(monkeypatch)
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless=None):
        clock[0] += 20.0 if order[-1] == "more" else 0.1
        return work() or 0

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    searching = ("model.rounds=0", "model.most_rounds=3")
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("much", (*searching, "train.seed=3"), 790.0), Step("more", searching, 600.0), Step("cheap", ("model.name=knn",), 1.0)]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    assert order[:5] == ["constant", budget.BOOSTER, "more", "cheap", "much"]


def test_a_step_that_goes_on_keeps_the_seconds_that_it_began_with(table, monkeypatch):
    searching = Step("searching", ("model.rounds=0", "model.most_rounds=3"), 0.0)
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), searching]

    def stopped(work, seconds, hopeless=None, own=budget.Timed):
        if len(runs.listed(table.folder / "runs")) == 2:
            raise KeyboardInterrupt
        return own(work, seconds)

    with monkeypatch.context() as patched:
        patched.setattr(budget, "Timed", stopped)
        with pytest.raises(KeyboardInterrupt):
            spent(table, steps)
    (record,) = (table.folder / "budgets").glob("*.json")
    seconds = json.loads(record.read_text())["given"]["searching"]["seconds"]
    spent(table, steps)
    assert f"model.seconds={seconds}" in runs.listed(table.folder / "runs")[2].info["asked"]


def test_what_time_is_left_goes_to_other_seeds_of_the_best_model_the_configs_own_included(table):
    lines = []
    overrides = ["train.seed=7"]
    spend("toy", table.data, Says(lines.append, lines.append), seconds=120.0, began=time.monotonic(), steps=[CONSTANT, Step("lightgbm, as the config has it", (), 0.0)], overrides=overrides)
    made = [r.info["seed"] for r in runs.listed(table.folder / "runs") if "blended" not in r.info and r.name.split("-")[1] != "constant"]
    assert sorted(made) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize(("seconds", "kept_back"), [(20.0, 1.0), (200.0, 4.0)])
def test_time_is_kept_back_for_ending_a_second_at_least(table, monkeypatch, seconds, kept_back):
    given = []
    monkeypatch.setattr(budget.time, "monotonic", lambda: 0.0)
    here(monkeypatch, lambda work, left, hopeless: given.append(left) or work() or 0)
    spend("toy", table.data, Says(), seconds=seconds, began=0.0, steps=[CONSTANT])
    assert given == [seconds - kept_back]


def test_when_the_time_is_up_no_config_is_read_any_more(table, monkeypatch):
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), *(Step(f"searching {n}", ("model.rounds=0", f"train.seed={n}"), 1.0) for n in range(1, 9))]
    clock, read = [0.0], []
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])
    opened = budget.open_competition

    def counted(*given, **options):
        read.append(clock[0])
        return opened(*given, **options)

    def timed(work, seconds, hopeless=None):
        ended = work() or 0
        clock[0] += 1.0 if len(runs.listed(table.folder / "runs")) < 2 else 200.0
        return ended

    monkeypatch.setattr(budget, "open_competition", counted)
    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    assert read and max(read) < 120


def test_searches_of_another_seed_are_expected_to_take_what_the_first_took(table, monkeypatch):
    """A booster whose searches were ended early says nothing of others; of its own seeds it does."""
    clock, order = [0.0], watched(monkeypatch)
    monkeypatch.setattr(budget.time, "monotonic", lambda: clock[0])

    def timed(work, seconds, hopeless):
        clock[0] += {"constant": 1.0, budget.BOOSTER: 2.0}.get(order[-1], 25.0)
        return work() or 0

    here(monkeypatch, timed)
    monkeypatch.setattr(budget, "_blend", lambda at_work: None)
    steps = [CONSTANT, Step(budget.BOOSTER, ("model.rounds=8",), 0.0), Step("searching", ("model.rounds=0", "model.most_rounds=3"), 20.0)]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=steps)
    assert order == ["constant", budget.BOOSTER, "searching", *(f"searching, seed {n}" for n in (1, 2, 3))]  # of 40 with the margin there would be room for two


class Simulated:
    """Processes on a clock of their own: each does its work at once, and ends when its seconds are over."""

    def __init__(self, monkeypatch, took: dict[str, float]):
        self.clock, self.spans = 0.0, []
        self.order = watched(monkeypatch)
        monkeypatch.setattr(budget.time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(budget.machine, "cores", lambda: 2)
        monkeypatch.setattr(budget.machine, "free_cores", lambda: 2.0)
        monkeypatch.setattr(budget, "wait_for_any", self.wait)
        monkeypatch.setattr(budget, "_blend", lambda at_work: None)
        monkeypatch.setattr(budget, "_more_seeds", lambda at_work, steps: [])
        monkeypatch.setattr(budget, "Timed", lambda work, seconds, hopeless: self.begin(work, took[self.order[-1]]))

    def begin(self, work, seconds):
        process = Ended(None)
        process.label, process.work, process.due = self.order[-1], work, self.clock + seconds
        self.spans.append((process.label, self.clock, process.due))
        return process

    def wait(self, running):
        first = min(running, key=lambda one: one.due)
        self.clock, first.code = first.due, first.work() or 0


QUICK = Step(budget.BOOSTER, ("model.rounds=8",), 0.0)


def test_steps_run_side_by_side_once_it_is_known_what_the_first_ones_take(table, monkeypatch):
    """The constant is alone, and while the first booster runs there is only what is cheap; then there are always two."""
    machine = Simulated(monkeypatch, {"constant": 1.0, budget.BOOSTER: 4.0, "linear": 2.0, "a": 9.0, "b": 6.0, "c": 7.0})
    others = [Step(label, ("model.rounds=4", f"train.seed={n}"), 1.5 + n) for n, label in enumerate("abc", 1)]
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=[CONSTANT, QUICK, *others, Step("linear", ("model.name=linear",), 2.0)])
    assert machine.spans == [("constant", 0, 1), (budget.BOOSTER, 1, 5), ("linear", 1, 3), ("a", 5, 14), ("b", 5, 11), ("c", 11, 18)]


def test_where_others_use_the_cores_nothing_runs_beside_the_first_booster(table, monkeypatch):
    machine = Simulated(monkeypatch, {"constant": 1.0, budget.BOOSTER: 4.0, "linear": 2.0, "knn": 2.0})
    monkeypatch.setattr(budget.machine, "free_cores", lambda: 1.0)
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=[CONSTANT, QUICK, *(Step(name, (f"model.name={name}",), 2.0) for name in ("linear", "knn"))])
    assert machine.spans[1:] == [(budget.BOOSTER, 1, 5), ("linear", 5, 7), ("knn", 5, 7)]


def test_one_of_the_steps_that_run_side_by_side_may_take_more_than_half_of_what_is_left(table, monkeypatch):
    """While a long one runs, a second long one waits for those that take less."""
    machine = Simulated(monkeypatch, {"constant": 1.0, budget.BOOSTER: 1.0, "linear": 2.0, "long": 70.0, "longer": 71.0})
    long = [Step(label, (f"model.name={model}",), 90.0) for label, model in (("long", "knn"), ("longer", "extra_trees"))]
    spend("toy", table.data, Says(), seconds=200.0, began=0.0, steps=[CONSTANT, QUICK, *long, Step("linear", ("model.name=linear",), 30.0)])
    assert machine.spans[2:] == [("long", 2, 72), ("linear", 2, 4), ("longer", 4, 75)]


def test_each_of_the_steps_that_run_side_by_side_has_its_share_of_the_cores(table, monkeypatch):
    Simulated(monkeypatch, {"constant": 1.0, budget.BOOSTER: 4.0})
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=[CONSTANT, QUICK])
    assert ["threads = 1" in (r.folder / "config.toml").read_text() for r in runs.listed(table.folder / "runs")] == [True, True]
    assert not any("train.threads" in asked for r in runs.listed(table.folder / "runs") for asked in r.info["asked"])


@pytest.mark.parametrize(("free", "together"), [(1e12, True), (100 * 2**20, False)])
def test_steps_run_one_after_the_other_where_memory_is_short(table, monkeypatch, free, together):
    machine = Simulated(monkeypatch, {"constant": 1.0, budget.BOOSTER: 4.0, "linear": 2.0, "knn": 2.0})
    monkeypatch.setattr(budget.machine, "free_memory", lambda: free)
    spend("toy", table.data, Says(), seconds=120.0, began=0.0, steps=[CONSTANT, QUICK, *(Step(name, (f"model.name={name}",), 3.0) for name in ("linear", "knn"))])
    (_, begun, ended), (_, other, _) = machine.spans[2:]
    assert begun == 5 and (other == begun) == together and (other == ended) != together


@pytest.mark.parametrize(
    ("asked", "cores", "free", "expected"),
    [(0, 2, 2.0, (2, 1)), (0, 2, 1.0, (2, 1)), (0, 2, 0.4, (1, 1)), (0, 1, 1.0, (1, 1)), (0, 64, 63.2, (8, 7)), (0, 64, 1.0, (2, 1)), (0, 6, 5.9, (6, 1)), (2, 8, 8.0, (4, 2)), (4, 2, 2.0, (1, 4)), (1, 64, 64.0, (8, 1))],
)
def test_cores_are_shared_out_by_what_others_leave_of_them(asked, cores, free, expected):
    assert budget._shared(asked, cores, free) == expected


MEETING = """
import os
import time
from pathlib import Path
from kit.estimators.constant import Constant

class Meeting(Constant):
    def fit(self, train, found):
        here = Path(os.environ["KIT_TEST_MEETING"])
        (here / str(os.getpid())).touch()
        until = time.monotonic() + 60
        while len(list(here.iterdir())) < 2:
            assert time.monotonic() < until, "nobody else came"
            time.sleep(0.05)
        return super().fit(train, found)
"""


def test_processes_of_two_steps_really_run_at_the_same_time(table, monkeypatch, tmp_path):
    met = tmp_path / "met"
    met.mkdir()
    monkeypatch.setenv("KIT_TEST_MEETING", str(met))
    monkeypatch.setattr(budget.machine, "cores", lambda: 2)
    monkeypatch.setattr(budget.machine, "free_cores", lambda: 2.0)
    (table.folder / "meeting.py").write_text(MEETING)
    _, lines = spent(table, [CONSTANT, *(Step(label, ("model.name=./meeting.py", f"train.seed={n}"), 0.0) for n, label in enumerate(("one", "other")))])
    assert not any("failed" in line or "stopped" in line for line in lines) and states(table)[:3] == ["finished"] * 3


def test_when_a_budget_is_interrupted_nothing_of_it_goes_on(table, monkeypatch):
    monkeypatch.setattr(budget.machine, "cores", lambda: 2)
    monkeypatch.setattr(budget.machine, "free_cores", lambda: 2.0)
    (table.folder / "endless.py").write_text(ENDLESS)
    begun, timed = [], budget.Timed

    def kept(*given):
        begun.append(timed(*given))
        return begun[-1]

    def interrupted(running):
        if len(running) == 2:
            raise KeyboardInterrupt
        wait(running)

    wait = budget.wait_for_any
    monkeypatch.setattr(budget, "Timed", kept)
    monkeypatch.setattr(budget, "wait_for_any", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spent(table, [CONSTANT, *(Step(label, ("model.name=./endless.py", f"train.seed={n}"), 0.0) for n, label in enumerate(("one", "other")))])
    assert len(begun) == 3 and all(one.code is not None for one in begun)


def test_a_run_is_gone_on_with_by_any_number_of_threads(table):
    from kit.competition import resolved

    told = [runs.command_hash(resolved(open_competition("toy", overrides=[f"train.threads={n}", f"train.seed={seed}"])), "data") for n, seed in ((1, 0), (3, 0), (1, 1))]
    assert told[0] == told[1] != told[2]

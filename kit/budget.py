"""The strongest honest submission that a given time allows: a portfolio of models, what is sure first, each a run of its own.

Every step is a process that can be stopped: no load, no failing model and no lack of time leaves the user without a submission. What is
best so far is the answer, and only something better takes its place: by the score out of fold, and of a blend unless rows drawn again say
that it is worse than its best run, which was chosen for its luck, too (benchmarks/README.md).
"""

import hashlib
import json
import math
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from kit import files, machine, runs
from kit.budget_record import Record
from kit.competition import Competition, open_competition
from kit.config import suits_any_model
from kit.errors import ConfigError, KitError, RunError
from kit.estimators._boosted import usual_rate
from kit.fitting import Says, inner_cuts
from kit.pipeline import UNSCORED, score_line, train
from kit.portfolio import BOOSTER, BOOSTERS, QUICK_ROUNDS, Step, portfolio, side_by_side
from kit.registry import filled, find_model
from kit.runs import Run
from kit.scoring import Score
from kit.timed_process import Timed, stop, wait_for_any

_KEPT_BACK = 0.02  # share of the budget left for ending
_ENDING = 1.0  # seconds of it, at least: what is stopped has half a second to write down where
_LEAST = 5.0  # seconds of a budget
_MARGIN = 1.2  # of what a step is expected to take: one that is stopped has wasted its time
_FIRST = 0.5  # of what is left: a step that takes more waits for others, where it would leave them no room
_SHARE = 1 / 3  # of what is left that a booster may take: what learns slowly is not to keep all others out
_CUT = 0.5  # of that share: a search that took more may have been ended, and says nothing of how little the next would take
_SEARCHING = 0.7  # of a booster's time, for its searches and fits: its predictions and files take time, too
_REFIT = 1.5  # a fit on all rows of a fold takes so many times a search of the same rounds on most of them
_LEARNED = 40.0  # rounds times learning rate that a search should have time for (benchmarks/README.md)
_MOST_RATE = 0.12  # of learning, that a booster with little time gets (likewise)
_LONGER = 1.5  # a blend may take so many times the one before it, which had fewer runs
_BLENDING = 0.1  # share of what is left that a blend may take between two steps; a longer one waits for the end
_AT_ONCE = 8  # steps side by side, at most
_CHEAP = 2.0  # times what the first booster takes: a step that may run beside it, before that is known, where it takes no time from it
_GROWS = 2.0  # a step may take so many times the first booster's memory
_IN_MEMORY = 10.0  # times the size of the files, before that is known
_SEEDS = 5  # of the best kind, when the portfolio is through
_SEEDLESS = ("constant", "linear", "knn", "nearest", "helix", "following")  # models that another seed makes the same again


def seconds_of(text: str, option: str = "--budget") -> float:
    """ "90s", "10m" or "1h30m". Raises ConfigError for anything else, and for less than five seconds."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    given = sum(int(value) * unit for value, unit in zip(found.groups(), (3600, 60, 1)) if value) if found and text.strip() else 0
    if given < _LEAST:
        raise ConfigError(f'{option} "{text}": expected a time of {_LEAST:g} seconds or more, such as 90s, 10m or 1h30m')
    return float(given)


@dataclass
class _Spending:
    """One budget at work.

    at_once  steps that run side by side, with so many `threads` each; 1 and 0, which is all, where a step by itself keeps the machine busy
    spare    whether a second step has a core that nobody else uses
    memory   bytes that all together may take
    tried    the runs of the last blend
    """

    name: str
    competition: Competition
    data: Path
    preset: str | None
    overrides: list[str]
    says: Says
    deadline: float
    seconds: float
    record: Record
    at_once: int = 1
    threads: int = 0
    spare: bool = False
    memory: float = math.inf
    running: list["_Job"] = field(default_factory=list)
    tried: frozenset[str] = frozenset()

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def for_steps(self) -> float:
        """What is left when the last blend's time is kept back."""
        return self.left - _LONGER * self.record.blending

    @property
    def busy(self) -> set[str]:
        return {job.label for job in self.running}

    def save(self) -> None:
        self.record.save(self.seconds - self.left)


@dataclass
class _Job:
    """A step that has begun, or a blend.

    before    the runs that were finished by then
    expected  seconds; with `ending`, where a booster's searches are told to end in time
    long      whether it is expected to take more than half of what is left
    """

    label: str
    process: Timed
    began: float
    before: set[str]
    settle: Callable[[_Spending, "_Job"], None]
    step: Step = Step("", (), 0.0)
    overrides: list[str] = field(default_factory=list)
    expected: float = 0.0
    ending: float = math.inf
    long: bool = False


def spend(
    path_or_name: str,
    data: Path,
    says: Says,
    *,
    seconds: float,
    began: float,
    preset: str | None = None,
    overrides: list[str] = [],
    steps: list[Step] | None = None,
) -> Path:
    """Trains what the time allows and gives the path of the best submission.

    seconds  from `began`, a reading of the monotonic clock
    Raises RunError where no step gave a submission.
    """
    competition = open_competition(path_or_name, preset=preset, overrides=overrides)
    steps = portfolio(competition) if steps is None else steps
    adapter = competition.open_adapter(data)
    told = json.dumps([competition.config.as_dict(), files.fingerprint(adapter.files()), seconds, [s.label for s in steps]], sort_keys=True, default=str)
    record = Record.open(competition.home / "budgets" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json")
    find_model("lightgbm")  # read in once, for all processes
    deadline = began + (seconds - record.used) - max(_KEPT_BACK * seconds, _ENDING)
    at_work = _Spending(path_or_name, competition, data, preset, overrides, says, deadline, seconds, record)
    if side_by_side(competition):
        free = machine.free_cores()
        at_work.at_once, at_work.threads = _shared(competition.config.train.get("threads", 0), machine.cores(), free)
        at_work.spare = round(free) > 1
        at_work.memory = machine.free_memory()
    if record.steps:
        says.progress(f"going on after {record.used:.0f} s of {seconds:.0f}: {', '.join(record.steps)}")
        at_work.tried = frozenset(_run(at_work, record.blends[-1]).info["blended"]["runs"]) if record.blends else frozenset()
    _work(at_work, steps)
    best = _answer(at_work)
    record.close()
    if best is None:
        raise RunError(f"no step of the portfolio gave a submission in {seconds:.0f} s: see the lines above\ngive it more time, or train one model: kit train {path_or_name}")
    ahead = _best(at_work, [n for n in record.steps.values() if n])
    if "blended" in best.info and _quality(ahead) > _quality(best):
        says.result(f"note    {ahead.name} has {ahead.info['metric']} {ahead.info['score']['mean']:.6g}, ahead of the blend by no more than other rows might change: it was chosen for its luck, too")
    says.result(f"budget  {seconds - at_work.left:.1f} s of {seconds:.0f}, {sum(map(bool, record.steps.values()))} runs, best: {best.name}")
    if best.info["score"] != UNSCORED:
        metric, constant = competition.metric(), best.info["constant"]
        score = Score(best.info["score"]["folds"], best.info["score"]["pooled"])
        says.result(score_line(metric, score, None if constant is None else Score([constant], constant)))
    return best.folder / "submission.csv"


def _shared(asked: int, cores: int, free: float) -> tuple[int, int]:
    """(steps at once, threads of each): one more step than there are free cores, since others give way to each of them.

    Threads that wait for one another are what a busy machine makes slow, so that there are more of them than steps only where cores are left.

    asked  threads of each, 0 for as many as there is room for
    """
    if asked:
        return max(1, min(cores // asked, _AT_ONCE)), asked
    at_once = max(1, min(cores, round(free) + 1, _AT_ONCE))
    return at_once, max(1, round(free) // at_once)


def _work(at_work: _Spending, steps: list[Step]) -> None:
    """All that the time allows, as much of it at once as the machine has room for; what is at work is stopped when this one is."""
    running = at_work.running
    try:
        while True:
            while len(running) < at_work.at_once and (job := _next(at_work, steps)):
                running.append(job)
            if not running:
                return
            wait_for_any([job.process for job in running])
            for job in [job for job in running if job.process.code is not None]:
                running.remove(job)
                job.settle(at_work, job)
    finally:
        stop([job.process for job in running])


def _next(at_work: _Spending, steps: list[Step]) -> _Job | None:
    """What begins now: a blend of all that there is where that is quick, the first step that fits, another seed of the best; and a blend that is not quick
    when nothing else is left to do. None where it is better, or all that can be done, to wait. Steps that take more than half of what is left wait for those
    that take less, unless one of them leaves others room beside it.
    """
    record, busy = at_work.record, at_work.busy
    if "constant" in busy:  # it asks for no more than rows that can be read, which all other steps ask for, too
        return None
    if "blend" not in busy and record.blending <= _BLENDING * at_work.left and (job := _blend(at_work)):
        return job
    if not at_work.running or _has_room(at_work):
        later = [s for s in steps if s.label not in record.steps and s.label not in busy and (BOOSTER not in busy or (at_work.spare and 0 < s.cost <= _CHEAP))]
        long = sum(job.long for job in at_work.running)
        for share in (1.0,) if long < at_work.at_once - 1 else (_FIRST, 1.0):
            for step in later:
                if job := _begun(at_work, step, share):
                    return job
        for step, took in [] if BOOSTER in busy else _more_seeds(at_work, [s for s in steps if s.label not in ("constant", BOOSTER)]):
            if job := _begun(at_work, step, 1.0, took):
                return job
    return None if at_work.running else _blend(at_work)


def _has_room(at_work: _Spending) -> bool:
    """Whether there is memory for one step more, by what the first booster took, or else by the size of the files."""
    first = at_work.record.steps.get(BOOSTER)
    size = _run(at_work, first).info["peak_memory_mb"] * 2**20 if first else _IN_MEMORY * sum(path.stat().st_size for path in at_work.competition.open_adapter(at_work.data).files())
    return (len(at_work.running) + 1) * _GROWS * size <= at_work.memory


def _begun(at_work: _Spending, step: Step, share: float, took: float | None = None) -> _Job | None:
    """One step, where it fits into this share of the time that is left.

    took  seconds that another seed of it took, where there is one
    """
    record = at_work.record
    expected = step.cost * record.took.get(BOOSTER, 0.0) * record.slower.get(step.family, 1.0) if took is None else took
    its, left = _SHARE * at_work.for_steps, at_work.for_steps
    fits = not math.isfinite(expected) or _MARGIN * expected <= share * left
    might = step.label not in record.given and its < expected < its / _CUT and _MARGIN * its <= share * left  # where its searches end sooner
    if left <= 0 or not (fits or might):  # asked first: reading a config takes time that is up
        return None
    overrides = _overrides(at_work, step)
    limit = _in_time(at_work, step, overrides)
    if not fits and not limit:
        return None
    if limit:
        record.given[step.label] = limit
        at_work.save()
        overrides += [f"model.{option}={value}" for option, value in limit.items()]
    if might and limit:
        expected = min(expected, its)
    began, before, since = time.monotonic(), {r.name for r in _finished(at_work)}, time.time()
    process = Timed(lambda: _trained(at_work, overrides), at_work.for_steps, lambda: _too_slow(at_work, overrides, since))
    return _Job(step.label, process, began, before, _settled, step, overrides, expected, its, _MARGIN * expected > _FIRST * left)


def _settled(at_work: _Spending, job: _Job) -> None:
    """What a step that has ended has given.

    Raises RunError where the constant fails: it asks for no more than rows that can be read, which all other steps ask for, too.
    """
    record, step, ended = at_work.record, job.step, job.process.code
    took = time.monotonic() - job.began
    if step.label == "constant" and ended == 1:
        record.close()
        raise RunError("not even the constant could be trained, and it needs nothing but the rows: see the error above\nmend what it names, then give the same command again")
    made = _made(at_work, job.overrides, job.before)  # a run whose report was all that it had no time for is a run
    record.steps[step.label] = "" if made is None else made.name
    if made is not None:
        record.took[step.label] = took
        if job.expected > 0 and math.isfinite(job.expected):
            slower, ended_early = record.slower.get(step.family, 1.0), step.label in record.given and took > _CUT * job.ending
            record.slower[step.family] = max(slower, slower * took / job.expected) if ended_early else slower * took / job.expected
    at_work.save()
    stopped = "stopped: the time is up" if at_work.for_steps <= 1 else "stopped: its folds say that it would not end in time"
    why = {0: ""}.get(ended, stopped if ended in (-signal.SIGTERM, -signal.SIGKILL, 143) else "failed")
    _tell(at_work, step.label, made, took, why)


def _overrides(at_work: _Spending, step: Step) -> list[str]:
    """What the run of a step is asked for: a step that names its model gets this model's defaults, whatever the config says of its own."""
    if not any(o.startswith("model.name=") for o in step.overrides):
        return [*at_work.overrides, *step.overrides]
    own = at_work.competition.config.model["name"] in (o.partition("=")[2] for o in step.overrides)
    given = [o for o in at_work.overrides if not o.startswith("model.") and (own or suits_any_model(o))]
    try:
        model = open_competition(at_work.name, preset=at_work.preset, overrides=[*given, *step.overrides]).config.model
        defaults = filled(find_model(model["name"], at_work.competition.folder)[1], {})
    except KitError:  # the step will say so
        return [*given, *step.overrides]
    named = {o.partition("=")[0] for o in step.overrides}
    again = [f"model.{key}={json.dumps(defaults[key])}" for key in model if isinstance(defaults.get(key), bool | int | float | str) and f"model.{key}" not in named]
    return [*given, *step.overrides, *again]


def _in_time(at_work: _Spending, step: Step, overrides: list[str]) -> dict[str, float]:
    """For a booster that searches for its rounds, the seconds of each search, such that all its folds end within its share of what is left.

    Where the first booster's rounds say that this is too little for its usual learning rate, a higher one beside it. Empty for all other models.
    """
    first = at_work.record.steps.get(BOOSTER)
    try:
        model = open_competition(at_work.name, preset=at_work.preset, overrides=overrides).config.model
    except KitError:  # the step will say so
        return {}
    if model["name"] not in BOOSTERS or model.get("rounds") or model.get("seconds") or not first:
        return {}
    if step.label in at_work.record.given:
        return at_work.record.given[step.label]
    quick = _run(at_work, first)
    info = quick.info
    folds = len(info["score"]["folds"]) if info["score"] != UNSCORED else 1
    trained = info["covered"] * (folds - 1) // folds if folds > 1 else info["covered"]
    searches = (folds + (quick.folder / "refit").is_dir()) * (inner_cuts(trained) + _REFIT * int(model.get("models", 1)))
    its = _SHARE * at_work.for_steps - at_work.record.took.get("constant", 0.0)
    found = {"seconds": round(max(_SEARCHING * its / searches, 0.01), 2)}
    its_round = (_of_a_fold(at_work, BOOSTER) - _of_a_fold(at_work, "constant")) / QUICK_ROUNDS
    rate = min(_LEARNED * its_round / found["seconds"], _MOST_RATE)
    if model["name"] == "lightgbm" and not model.get("learning_rate") and rate > usual_rate(trained):  # the first booster's rounds tell of no other library's
        found["learning_rate"] = round(rate, 3)
    return found


def _of_a_fold(at_work: _Spending, label: str) -> float:
    """Seconds that a step took for a fold, the median; 0 where it has none."""
    name = at_work.record.steps.get(label)
    told = [files.read_json(path)["seconds"] for path in _run(at_work, name).folder.glob("fold-*/fold.json")] if name else []
    return statistics.median(told) if told else 0.0


def _too_slow(at_work: _Spending, overrides: list[str], since: float) -> bool:
    """Whether a step, going by the folds that it has written since, cannot end in time: what it would take for nothing is left to others."""
    quick = at_work.record.steps.get(BOOSTER)
    own = [r for r in runs.listed(at_work.competition.home / "runs") if r.info["state"] == "running" and r.info.get("asked") == _asked(at_work, overrides)]
    if not quick or not own:
        return False
    each = {path.parent.name: path for path in own[-1].folder.glob("*/fold.json")}
    seconds = [told["seconds"] for path in each.values() if path.stat().st_mtime >= since and "seconds" in (told := files.read_json(path))]
    missing = [path.parent.name for path in _run(at_work, quick).folder.glob("*/fold.json") if path.parent.name not in each]
    return bool(seconds) and len(missing) * sum(seconds) / len(seconds) > at_work.for_steps


def _asked(at_work: _Spending, overrides: list[str]) -> list[str]:
    return ([f"--preset {at_work.preset}"] if at_work.preset else []) + overrides


def _made(at_work: _Spending, overrides: list[str], before: set[str]) -> Run | None:
    """The run of these overrides that has been finished since, whether it is new or went on."""
    own = [r for r in _finished(at_work) if r.name not in before and r.info.get("asked") == _asked(at_work, overrides)]
    return own[-1] if own else None


def _finished(at_work: _Spending) -> list[Run]:
    return [r for r in runs.listed(at_work.competition.home / "runs") if r.info["state"] == "finished"]


def _trained(at_work: _Spending, overrides: list[str]) -> None:
    competition = open_competition(at_work.name, preset=at_work.preset, overrides=overrides)
    config = competition.config
    if at_work.threads and not config.train.get("threads"):
        competition = replace(competition, config=replace(config, train={**config.train, "threads": at_work.threads}))
    train(competition, at_work.data, Says())  # what it says is in its log: the lines of this budget are its own


def _more_seeds(at_work: _Spending, steps: list[Step]) -> Iterator[tuple[Step, float]]:
    """The best kind of booster or network again with other seeds, and the seconds that it took: their mean is steadier than one."""
    known = {s.label: s for s in steps if at_work.record.steps.get(s.label) and s.label.split(",")[0] not in _SEEDLESS}
    if not known:
        return
    best = _best(at_work, [at_work.record.steps[label] for label in known])
    if best.info["score"] == UNSCORED:
        return
    step = next(s for label, s in known.items() if at_work.record.steps[label] == best.name)
    first = best.info["seed"]
    for seed in range(first + 1, first + _SEEDS):
        again = Step(f"{step.label}, seed {seed}", (*step.overrides, f"train.seed={seed}"), step.cost)
        if again.label not in at_work.record.steps and again.label not in at_work.busy and step.label in at_work.record.took:
            if step.label in at_work.record.given:  # seeds of one model are seeds of the same search
                at_work.record.given.setdefault(again.label, at_work.record.given[step.label])
            yield again, at_work.record.took[step.label]


def _blend(at_work: _Spending) -> _Job | None:
    """A blend of all scored runs of this budget, weights chosen out of fold, where there are two or more, not all in the last one, and time for it."""
    chosen = _to_blend(at_work)
    if len(chosen) < 2 or at_work.left < at_work.record.blending or at_work.tried == set(chosen):
        return None
    at_work.tried = frozenset(chosen)
    began, before = time.monotonic(), {r.name for r in _finished(at_work)}
    return _Job("blend", Timed(lambda: _blended(at_work, chosen), at_work.left), began, before, _has_blended)


def _has_blended(at_work: _Spending, job: _Job) -> None:
    at_work.record.blending = time.monotonic() - job.began
    new = [r for r in _finished(at_work) if r.name not in job.before and "blended" in r.info]
    at_work.record.blends += [r.name for r in new]
    at_work.save()
    for run in new:
        _tell(at_work, f"blend of {len(at_work.tried)}", run, at_work.record.blending, "")


def _to_blend(at_work: _Spending) -> list[str]:
    return [name for label, name in at_work.record.steps.items() if name and label != "constant"]


def _blended(at_work: _Spending, chosen: list[str]) -> None:
    from kit.blend import blend

    folder = at_work.competition.home / "runs"
    with threadpool_limits(at_work.threads or None):
        blend(at_work.competition, at_work.data, [runs.open_run(folder / name) for name in chosen], [], Says(), method="steady")


def _answer(at_work: _Spending) -> Run | None:
    """The best blend, unless it is worse than its best run beyond what other rows might say, or a run that is not in it is better; else the best run."""
    best = _best(at_work, [n for n in at_work.record.steps.values() if n])
    blend = _best(at_work, at_work.record.blends[::-1])
    if blend is None:
        return best
    honest = blend.info["honest"]
    if honest.get("gain_interval", [honest["gain"]])[-1] < 0:
        return best
    return blend if best.name in blend.info["blended"]["runs"] or _quality(blend) >= _quality(best) else best


def _best(at_work: _Spending, names: list[str]) -> Run | None:
    """The run with the best out-of-fold score, the earlier of equal ones; an unscored one where there is no other."""
    found = [_run(at_work, name) for name in names]
    scored = [r for r in found if r.info["score"] != UNSCORED]
    if not scored:
        return found[-1] if found else None
    return max(scored, key=_quality)


def _run(at_work: _Spending, name: str) -> Run:
    return runs.open_run(at_work.competition.home / "runs" / name)


def _quality(run: Run) -> float:
    return (1 if run.info["greater_is_better"] else -1) * run.info["score"]["mean"]


def _tell(at_work: _Spending, label: str, run: Run | None, took: float, why: str) -> None:
    spent = at_work.seconds - at_work.left
    if run is None:
        at_work.says.result(f"{spent:6.1f} s  {label:<32}{why or 'gave no run'}  {took:.1f} s")
        return
    score = "unscored" if run.info["score"] == UNSCORED else f"{run.info['metric']} {run.info['score']['mean']:.6g}"
    best = _answer(at_work)
    at_work.says.result(f"{spent:6.1f} s  {label:<32}{score}  {took:.1f} s" + ("  best so far" if best is not None and best.name == run.name else ""))

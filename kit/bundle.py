"""A run becomes a folder for code competitions, where a notebook predicts hidden test files on a machine without internet.

In it: the notebook, wheels, and of the run what its prediction reads; no training data, no predictions, no path of this machine, and no
address that anything was downloaded from.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit
from kit import notebook, predict, runs, wheels
from kit.budget import seconds_of
from kit.competition import Competition, locate
from kit.config import Config, read
from kit.errors import KitError, RunError, bullets, shorten
from kit.files import fingerprint, write_json
from kit.fitting import Says
from kit.modelling import begun_with, searches
from kit.needs import NAME, installed, needs_of, plain, python_versions, versions_of
from kit.pseudo import files_of, source_of
from kit.rehearsal import LIMITS, Rehearsal, contents, rehearse
from kit.runs import Run
from kit.shards import GALLERY, QUERIES

FILE = "bundle.json"
_KEPT = ("state", "command", "seed", "versions", "competition", "task", "schema", "layout", "metric", "greater_is_better", "post", "blended", "score")  # of run.json
_TRAINING = ("oof.parquet", "test.parquet", "checkpoints", "valid", "distractors")  # of a fold: what prediction does not read
_CONFIGURED = re.compile(r"~?/|[A-Za-z]:\\")  # how a path of this machine begins


@dataclass(frozen=True)
class Asked:
    """
    rehearsal  whether the notebook is run before it is sent
    python     "3.12": wheels for that version are downloaded; "" downloads none
    platform   of Linux, that they are for
    heavy      whether those of hundreds of megabytes are downloaded too
    rows       expected test rows; 0 is as many as the run's test files have
    limit      such as "9h"; "" tells of those that are common, and fails at none
    """

    rehearsal: bool = True
    python: str = ""
    platform: str = "x86_64"
    heavy: bool = False
    rows: int = 0
    limit: str = ""


def bundle(run: Run, out: Path | None, data: Path | None, says: Says, asked: Asked = Asked()) -> Path:
    """Makes the bundle, and rehearses it. Gives its folder, which is there whole or not at all.

    out   competitions/NAME/bundles/RUN where it is None; an earlier bundle there is replaced
    data  the files that the run was trained on; looked for where it is None
    Raises RunError where the run is unfinished, the data are not the run's, or the rehearsal fails: the bundle is then kept, marked so.
    """
    if any(each.info.get("state") != "finished" for each in (run, *_all(run))):
        raise RunError(f"{run.folder} is not finished\ngive its training command again: it goes on where it stopped")
    limit = seconds_of(asked.limit, "--limit") if asked.limit else 0.0
    if asked.python and not re.fullmatch(r"3\.\d+", asked.python):
        raise KitError(f'--wheels "{asked.python}": expected a version of Python such as 3.12')
    competition = predict.competition_of(run)
    out = Path(os.path.relpath(run.folder.resolve().parent.parent / "bundles" / run.name)) if out is None else out
    if out.exists() and not (out / FILE).is_file():
        raise RunError(f"{out} is there already, and is no bundle\nname another folder: --out DIR")
    own = _data_of(run, data) if asked.rehearsal else None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as made:
        room = Path(made) / "bundle"
        room.mkdir()
        told = _filled(room, run, competition, says, asked)
        shutil.rmtree(out, ignore_errors=True)
        room.rename(out)
    _announce(out, told, says)
    if own is None:
        _needed(told, says)
        says.result("case    none: the rehearsal was not asked for, and whether the notebook runs is not known")
        return out
    brought = [name for name, file in told["wheels"].items() if file.endswith("-none-any.whl")]
    done = rehearse(out, run, competition, own, says, slug=told["slug"], without=brought)
    _report(done, says)
    if done.used:
        told |= {"needs": {**versions_of(done.used), NAME: told["needs"][NAME]}, "seen": "imported in the rehearsal"}
    _needed(told, says)
    fits = _time(done, asked, limit, says)
    write_json(out / FILE, told | {"rehearsed": not done.failed, "rehearsal": done.as_dict(), "time": fits})
    if done.failed:
        raise RunError(bullets([f"{len(done.failed)} of {len(done.cases)} rehearsals failed", *done.failed]) + f"\n{out} is kept to look at, and marked: rehearsed = false")
    if limit and not fits["fits"][asked.limit]:
        raise RunError(f"{fits['rows']} rows would take {_span(fits['seconds'])}, and --limit is {asked.limit}\nblend fewer runs, or predict with one fold: train.final=last")
    return out


# --- what is in it ---------------------------------------------------------------------------------------------------------------


def _all(run: Run) -> list[Run]:
    """The runs that a blend is made of, those in between too."""
    named = run.info.get("blended", {}).get("runs", [])
    found = [runs.open_run(run.folder.parent / name) for name in named]
    return [each for member in found for each in (member, *_all(member))]


def _filled(room: Path, run: Run, competition: Competition, says: Says, asked: Asked) -> dict[str, Any]:
    """Everything but the rehearsal: what bundle.json says."""
    home = room / "competitions" / competition.name
    _code(competition.folder, home, competition.config)
    if lent := competition.config.input.get("labels_from"):
        _code(locate(lent), room / "competitions" / locate(lent).resolve().name)
    for each in {r.name: r for r in (run, *_all(run))}.values():
        _models(each, home / "runs" / each.name)
    needs = needs_of(run, competition)
    own = wheels.own_wheel(room / "wheels")
    held = {NAME: own.name}
    for name in wheels.CARRIED:
        if name in needs and not asked.python:
            held[name] = wheels.carried_wheel(room / "wheels", name).name
    if asked.python:
        wanted = {n: v for n, v in needs.items() if n != NAME and (asked.heavy or n not in wheels.HEAVY)}
        says.progress(f"downloading wheels of {shorten(wanted, 20)}")
        wheels.download(room / "wheels", wanted, python=asked.python, platform=asked.platform)
        held = {plain(p.name.split("-")[0]): p.name for p in sorted((room / "wheels").glob("*.whl"))}
    word = f"{competition.name} {run.name} {run.info.get('command', '')}".strip()
    title = competition.config.title or competition.name
    write_json(room / "notebook.ipynb", notebook.notebook(title, word))
    told = {
        "bundle": word,
        "slug": competition.config.kaggle or competition.name,
        "run": f"competitions/{competition.name}/runs/{run.name}",
        "kit": kit.__version__,
        "python": [int(n) for n in re.findall(r"\d+", python_versions())],
        "needs": needs,
        "seen": "by the kind of model, not looked at",
        "versions": run.info.get("versions", {}),
        "wheels": held,
        "rehearsed": False,
        "rehearsal": "not asked for",
    }
    write_json(room / FILE, told)
    return told


def _code(source: Path, target: Path, config: Config | None = None) -> None:
    """A competition's own modules, and its config without where the data lie."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.py")):
        shutil.copyfile(path, target / path.name)
    _portable(config or read(source / "config.toml")).write(target / "config.toml")


def _models(run: Run, target: Path) -> None:
    """What predicting reads of a run: its models, encoders and architectures; a blend has none of its own."""
    target.mkdir(parents=True)
    _portable(read(run.folder / "config.toml")).write(target / "config.toml")
    write_json(target / "run.json", {k: v for k, v in run.info.items() if k in _KEPT})
    if "blended" in run.info:
        return
    searched = searches(predict.competition_of(run).task())
    left = {*_TRAINING, *((QUERIES, GALLERY) if searched else ())}
    for folder in predict.with_models(run, searched):
        shutil.copytree(folder, target / folder.name, ignore=lambda _, names: [n for n in names if n in left or n.startswith(".")])
        (target / folder.name / (QUERIES if searched else "test.parquet")).touch()  # its being there says that this model predicts
    for path in run.folder.iterdir():
        if path.name == "unlabelled":
            shutil.copytree(path, target / path.name)


def _portable(config: Config) -> Config:
    """Without paths of this machine: of those only the name is kept, so that a model which still reads one is found out in the rehearsal."""
    values = config.as_dict()
    values["input"] = {k: v for k, v in values["input"].items() if k not in ("data", "labels_data")}
    return Config(**_without_paths(values))


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_paths(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_paths(v) for v in value]
    return Path(value).name if isinstance(value, str) and _CONFIGURED.match(value) else value


# --- the run's own data ----------------------------------------------------------------------------------------------------------


def _data_of(run: Run, given: Path | None) -> Path:
    """The folder of the files that the run was made from. Raises RunError where none of those that there are is it."""
    member = predict.members(run)[0]
    competition = predict.competition_of(member)
    tried = []
    for sample in (False, True) if given is None else (False,):
        try:
            folder = competition.data(given, sample)
            source = files_of(source_of(competition)) if competition.config.train.get("pseudo") else []
            if fingerprint([*competition.open_adapter(folder).files(), *begun_with(competition), *source]) == member.info["data"]:
                return folder
            tried.append(f"{folder} holds others")
        except KitError as error:
            tried.append(str(error).splitlines()[0])
    raise RunError(
        bullets([f"the files that {run.name} was trained on are needed to rehearse it, and were not found", *tried])
        + "\nname their folder with --data DIR, or leave the rehearsal out: --no-rehearsal"
    )


# --- what is said ----------------------------------------------------------------------------------------------------------------


def _announce(out: Path, told: dict[str, Any], says: Says) -> None:
    held = contents(out)
    says.result(f"bundle  {len(held)} files, {_size(sum(held.values()))}: notebook.ipynb, {len(told['wheels'])} wheels, the models of {Path(told['run']).name}")
    says.result(f"wheels  {', '.join(told['wheels'].values())}")


def _needed(told: dict[str, Any], says: Says) -> None:
    lacking = {n: v for n, v in told["needs"].items() if n not in told["wheels"]}
    known = {n: f"{n}{v} ({here} here)" if (here := installed(n)) else n + v for n, v in lacking.items()}
    says.result(f"needs   {', '.join(known.values())}" if lacking else "needs   nothing besides its wheels")


def _report(done: Rehearsal, says: Says) -> None:
    says.result(f"fresh   kit from {done.kit or 'nowhere'} of a new environment")
    says.result(f"network {done.network}")
    if done.reached:
        says.progress(f"warning it was asked for, and refused: {shorten(done.reached, 3)}")
    for case in (c for c in done.cases if not c.left_out):
        says.result(f"case    {case.line()}")
    reasons: dict[str, list[str]] = {}
    for case in (c for c in done.cases if c.left_out):
        reasons.setdefault(case.left_out, []).append(case.name)
    for reason, names in reasons.items():
        says.result(f"case    {', '.join(names)}: left out, since {reason}")


def _time(done: Rehearsal, asked: Asked, limit: float, says: Says) -> dict[str, Any]:
    """Seconds for the expected rows, and which limits they keep."""
    rows = asked.rows or next((case.rows for case in done.cases if case.name == "as they are"), 1)
    seconds = done.seconds(rows)
    limits = {asked.limit: limit} if limit else LIMITS
    fits = {name: seconds <= most for name, most in limits.items()}
    told = ", ".join(f"{name}: {'fits' if ok else 'does not fit'}" for name, ok in fits.items())
    says.result(f"time    {done.start:.1f} s to start and {done.a_row * 1000:.3g} ms a row, on this machine: {rows} rows in {_span(seconds)}; {told}")
    return {"rows": rows, "seconds": round(seconds, 1), "fits": fits}


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"

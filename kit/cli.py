"""The commands: each parses its words, calls, and prints.

Results go to standard output, progress and errors to standard error. What trains imports pandas and more, so each command imports it
inside: `kit --help` stays quick.
"""

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.errors import KitError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a competition's files to a valid, honestly scored submission.\n\nkit train competitions/titanic",
)


CompetitionName = Annotated[str, typer.Argument(metavar="COMPETITION", help="a folder such as competitions/titanic, or a name")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="config values, such as model.name=mlp train.epochs=5")]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="the data files' folder, instead of data/; never written to")]
Sample = Annotated[bool, typer.Option("--sample", help="use the made data in sample/, writing it if it is not there")]
Preset = Annotated[str | None, typer.Option("--preset", metavar="P", help="a [preset.P] of the config, such as fast")]

_BEGAN = time.monotonic()  # what a budget is counted from
_drawn = ExitStack()  # what is drawn on the terminal, closed before an error is printed


def main() -> None:
    """The command line's way in; the exit code is the contract's: 0 done, 1 mendable, 2 wrong usage, 130 and 143 interrupted."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before any library starts threads: those that spin long stall where cores are shared
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not outlive the forks that read pictures ahead
    try:
        with _drawn:
            if app(standalone_mode=False) == 130:  # the command line library hands an interruption back as a code
                raise KeyboardInterrupt
    except KitError as error:
        first, *rest = str(error).split("\n")
        print("\n".join([f"kit: {first}", *(f"     {line}" for line in rest)]), file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        print("kit: interrupted; the same command goes on where it stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's own usage errors
            error.show()
            sys.exit(error.exit_code)
        raise


# --- what there is ---------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(kind: Annotated[str, typer.Argument(metavar="[KIND]", help="competitions, templates, models, metrics, losses, tasks, encoders, transforms, adapters or folds")] = "competitions") -> None:
    """Lists what there is of a kind, with one line each."""
    from kit import competition, folds, registry
    from kit.errors import did_you_mean

    kinds = {"models": ("estimators", "zoo"), **{k: (k,) for k in registry.KINDS}}
    if kind in ("competitions", "templates"):
        rows = [(n, competition.title(p)) for n, p in competition.listed(kind).items()]
    elif kind == "folds":
        rows = [(n, (f.__doc__ or "").split("\n")[0]) for n, f in folds.SCHEMES.items()]
    elif kind in kinds:
        rows = sorted((n, registry.describe(k, n)) for k in kinds[kind] for n in registry.names(k) if n != "neural" or kind == "estimators")
    else:
        raise KitError(f'no kind "{kind}"{did_you_mean(kind, ["competitions", "templates", "folds", *kinds])}')
    width = max((len(n) for n, _ in rows), default=0) + 2
    for name, line in rows:
        print(f"{name:<{width}}{line}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the competition's name; a known one gets its recipe")],
    data: Annotated[Path | None, typer.Option("--from", metavar="DATA_DIR", help="infer a config from the files here")] = None,
    template: Annotated[str | None, typer.Option("--template", metavar="T", help="start from a template")] = None,
    overrides: Overrides = None,
) -> None:
    """Makes ./competitions/NAME: a known recipe, a template, or a config inferred from data files."""
    from kit import new as making
    from kit.fitting import Says

    folder = making.make(name, data, template, overrides or [], Says(progress=lambda line: print(line, file=sys.stderr)))
    print(folder)


@app.command()
def data(
    competition: CompetitionName,
    sample: Annotated[bool, typer.Option("--sample", help="write a small made data folder into sample/ instead")] = False,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="a folder instead of data/; COMPETITION may then be a name on Kaggle that kit does not know")] = None,
    members: Annotated[int, typer.Option("--members", metavar="N", min=1, help="from how many members on an archive is taken for a trap")] = 100_000,
) -> None:
    """Fetches a competition's files from Kaggle into data/, going on where it stopped; or writes its sample: kit data titanic."""
    if sample:
        return print(_write_sample(competition, None, []))
    from kit import fetching

    slug, folder, coming = fetching.place(competition, into)
    fetching.fetch(slug, folder, coming, _says().progress, members=members)
    print(folder)


@app.command()
def check(competition: CompetitionName, overrides: Overrides = None, data: Data = None, sample: Sample = False, preset: Preset = None) -> None:
    """Checks config, files, ids, leaks and shift: all findings at once."""
    from kit.check import check as checking

    opened, folder = _opened(competition, overrides, data, sample, preset)
    findings = checking(opened, folder)
    for line in findings:
        print(line)
    print(f"{len(findings)} finding{'s' * (len(findings) != 1)}" if findings else "nothing found")


# --- training --------------------------------------------------------------------------------------------------------------------


@app.command()
def train(
    competition: CompetitionName,
    overrides: Overrides = None,
    data: Data = None,
    sample: Sample = False,
    preset: Preset = None,
    fold: Annotated[int | None, typer.Option("--fold", metavar="K", min=0, help="train fold K alone: a quick look")] = None,
    budget: Annotated[str | None, typer.Option("--budget", metavar="TIME", help="the best of what fits into a time, such as 90s, 10m or 1h30m")] = None,
) -> None:
    """Trains every fold, scores out of fold, and writes a checked submission: kit train competitions/titanic."""
    if budget is not None:
        return _spend(competition, overrides or [], data, sample, preset, fold, budget)
    from kit import jointly

    asked = [*(overrides or []), *([] if fold is None else [f"train.fold={fold}"])]
    _, folder = _opened(competition, asked, data, sample, preset)
    print(jointly.train(competition, folder, _says(), preset=preset, overrides=asked).folder / "submission.csv")


def _spend(name: str, overrides: list[str], data: Path | None, sample: bool, preset: str | None, fold: int | None, budget: str) -> None:
    from kit import budget as budgets

    seconds = budgets.seconds_of(budget)
    if fold is not None:
        raise KitError("--budget and --fold: a budget compares models by all folds\ngive one of them")
    _, folder = _opened(name, overrides, data, sample, preset)
    print(budgets.spend(name, folder, _says(), seconds=seconds, began=_BEGAN, preset=preset, overrides=overrides))


@app.command()
def pretrain(competition: CompetitionName, overrides: Overrides = None, data: Data = None, sample: Sample = False, preset: Preset = None) -> None:
    """Learns without labels from train and test rows; prints the weights that model.weights of a later run can start from."""
    from kit import pretrain as learning

    opened, folder = _opened(competition, overrides, data, sample, preset)
    print(learning.pretrain(opened, folder, _says()))


@app.command()
def tune(
    competition: CompetitionName,
    overrides: Overrides = None,
    data: Data = None,
    sample: Sample = False,
    preset: Preset = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", min=1, help="trials in all, those of an earlier call among them")] = 40,
    budget: Annotated[str | None, typer.Option("--budget", metavar="TIME", help="after which no trial is begun, such as 10m")] = None,
    vary: Annotated[str, typer.Option("--vary", metavar="A,B", help="options that alone are varied, such as model.leaves,train.lr")] = "",
) -> None:
    """Searches for better options of the model, and trains the best: kit tune titanic --trials 60."""
    from kit.budget import seconds_of
    from kit.registry import needed

    _, folder = _opened(competition, overrides, data, sample, preset)
    seconds = seconds_of(budget) if budget else 0.0
    asked = {"preset": preset, "overrides": overrides or [], "trials": trials, "seconds": seconds, "vary": [v for v in vary.split(",") if v]}
    run = needed("kit.tune", "kit tune").tune(competition, folder, _says(), **asked)
    print(run.folder / "submission.csv")


@app.command()
def baselines(
    competition: CompetitionName,
    overrides: Overrides = None,
    data: Data = None,
    sample: Sample = False,
    preset: Preset = None,
    models: Annotated[str, typer.Option("--models", metavar="A,B", help="the steps; those of the base install are the default, and mlp where torch is installed")] = "",
) -> None:
    """Climbs the ladder of simple models, with the lift of each step."""
    from kit import baselines as ladder

    _, folder = _opened(competition, overrides, data, sample, preset)
    steps = models.split(",") if models else ladder.ladder(competition, preset=preset, overrides=overrides or [])
    ladder.climb(competition, folder, _says(), preset=preset, overrides=overrides or [], models=steps)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    data: Data = None,
    tolerant: Annotated[bool, typer.Option("--tolerant", help="cells that should be numbers or dates and are none count as missing, with a warning")] = False,
) -> None:
    """Predicts new test files with a run's models, into RUN/predict-<fingerprint>/."""
    from kit import predict as predicting
    from kit import runs

    opened = runs.open_run(run)
    folder = predicting.competition_of(opened).data(data, False)
    print(os.path.relpath(predicting.predict(opened, folder, _says(), tolerant=tolerant)))


@app.command()
def score(
    competition: CompetitionName,
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION")],
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS")],
    overrides: Overrides = None,
    data: Data = None,
) -> None:
    """Grades a submission against an answers file and prints the number alone."""
    from kit import predict as predicting
    from kit.competition import open_competition

    opened = open_competition(competition, overrides=overrides or [])
    try:
        folder = opened.data(data, False)
    except KitError:
        if data is not None:
            raise
        folder = None
    print(repr(predicting.grade(opened, submission, answers, folder, _says())))


@app.command()
def diff(
    one: Annotated[Path, typer.Argument(metavar="A", help="a submission, or a run folder that holds one")],
    other: Annotated[Path, typer.Argument(metavar="B", help="another")],
    competition: Annotated[str, typer.Option("--competition", metavar="COMPETITION", help="whose config names the columns of ids")] = "",
    id: Annotated[str, typer.Option("--id", metavar="A,B", help="the columns of ids; those that the values suggest where none are named")] = "",
) -> None:
    """Compares two submissions by id, and flags what no better model would have changed: kit diff old.csv runs/3-linear."""
    from kit.competition import open_competition
    from kit.diff import diff as compare

    named = id.split(",") if id else []
    if competition and not named:
        told = open_competition(competition).config.input.get("id", "id")
        named = [told] if isinstance(told, str) and told else list(told)
    for line in compare(one, other, id=named):
        print(line)


@app.command()
def pick(
    competition: CompetitionName,
    data: Data = None,
    sample: Sample = False,
    public_share: Annotated[float | None, typer.Option("--public-share", metavar="S", help="share of the test rows that the public leaderboard shows, such as 0.3")] = None,
) -> None:
    """Chooses the two submissions to select for the final, and says why: kit pick titanic --public-share 0.5."""
    from kit.candidates import candidates
    from kit.pick import pick as choose

    opened, folder = _opened(competition, None, data, sample, None)
    why, picks = choose(candidates(opened, folder), share=public_share)
    for line in [*why, *picks]:
        print(line)


@app.command()
def verify(
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION", help="a submission.csv of a run, or a copy of one")],
    data: Data = None,
    competition: Annotated[str, typer.Option("--competition", metavar="COMPETITION", help="among whose runs a copy is looked for, instead of all")] = "",
) -> None:
    """Rebuilds a submission from its run and compares: files, data, predictions, score; exit 1 if anything differs."""
    from kit import verify as verifying

    found = verifying.verify(submission, data, _says(), competition=competition)
    for finding in found:
        print(finding)
    counts = {state: sum(f.state == state for f in found) for state in (verifying.DIFFERS, verifying.NOT_DONE)}
    open_ = f", {counts[verifying.NOT_DONE]} could not be done" * (counts[verifying.NOT_DONE] > 0)
    if counts[verifying.DIFFERS]:
        print(f"not verified: {counts[verifying.DIFFERS]} differ{'s' * (counts[verifying.DIFFERS] == 1)}{open_}")
        sys.exit(1)
    print(f"verified{open_}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    data: Data = None,
) -> None:
    """Writes a run's report.html anew, a page to look at, and prints its path: kit report competitions/titanic/runs/3-lightgbm."""
    from kit import report as reports
    from kit import runs

    print(os.path.relpath(reports.report(runs.open_run(run), data, _says())))


@app.command()
def runs(competition: CompetitionName) -> None:
    """Lists a competition's runs, the best first, and says which differences are noise."""
    from kit import comparing
    from kit import runs as running
    from kit.competition import open_competition

    opened = open_competition(competition)
    found = running.listed(opened.home / "runs")
    if not found:
        raise KitError(f"no runs of {opened.name} in {opened.home / 'runs'}\nkit train {competition}")
    done = [r for r in found if r.info["state"] == "finished" and isinstance(r.info["score"], dict)]
    sign = {True: -1, False: 1}
    done.sort(key=lambda r: (r.info["covered"] < r.info["validated"], r.info["score"]["mean"] * sign[r.info["greater_is_better"]]))  # whole ones first
    width = max(len(r.name) for r in found) + 2
    beside = comparing.against_best(done)
    for run in done:
        info = run.info["score"]
        spread = "" if info["standard_error"] is None else f" ± {info['standard_error']:.2g}"
        part = "" if run.info["covered"] == run.info["validated"] else f"  {run.info['covered']} of {run.info['validated']} rows"
        print(f"{run.name:<{width}}{run.info['metric']} {info['mean']:.6g}{spread}  {run.info['seconds']:.1f} s{part}{_asked(run)}{_beside(run, beside, comparing.leaderboard(run))}")
    for run in found:
        if run not in done and run.info["state"] == "finished":
            print(f"{run.name:<{width}}{run.info['metric']} {run.info['score']}  {run.info['seconds']:.1f} s{_asked(run)}")
        elif run not in done:
            print(f"{run.name:<{width}}{run.info['state']}")
    if line := comparing.with_leaderboard(done):
        print(line)


def _beside(run: Any, beside: dict[str, str], leaderboard: float | None) -> str:
    """Columns behind the others, which tools read by their places."""
    shown = "" if leaderboard is None else f"  | leaderboard {leaderboard:.6g}"
    return shown + (f"  | {beside[run.name]}" if run.name in beside else "")


def _asked(run: Any) -> str:
    return "  " + " ".join(run.info["asked"]) if run.info.get("asked") else ""


@app.command()
def blend(
    competition: CompetitionName,
    chosen: Annotated[list[str] | None, typer.Argument(metavar="[RUN|KEY=VALUE]...", help="run folders or names; none is every finished run of one best model each, with its other seeds")] = None,
    method: Annotated[str, typer.Option("--method", metavar="M", help="mean, greedy selection, steady: half of it and half of the best ones' mean, stack, or best: the best run alone")] = "mean",
    weights: Annotated[str, typer.Option("--weights", metavar="A,B", help="of the mean, one for each run; equal where not given")] = "",
    data: Data = None,
    sample: Sample = False,
) -> None:
    """Blends runs by their predictions into a run of its own: their mean, or by weights found out of fold and scored on other folds."""
    from kit import runs as running
    from kit.blend import as_trained, best_of_each, shares
    from kit.blend import blend as blending
    from kit.competition import resolved

    asked = [c for c in chosen or [] if "=" in c]
    opened, folder = _opened(competition, asked, data, sample, None)
    named = [c for c in chosen or [] if "=" not in c]
    home = opened.home / "runs"
    picked = [running.open_run(Path(c) if Path(c).is_dir() else home / c) for c in named] or best_of_each(running.listed(home), resolved(opened).as_dict()["score"]["metric"], _says().progress)
    try:
        given = [float(w) for w in weights.split(",")] if weights else []
    except ValueError as error:
        raise KitError(f'--weights "{weights}": expected numbers with commas between, such as 2,1') from error
    run = blending(as_trained(opened, picked, asked, _says()), folder, picked, given or (shares(picked) if not named and method == "mean" else []), _says(), method=method)
    print(run.folder / "submission.csv")


@app.command()
def bundle(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="the bundle's folder, instead of competitions/NAME/bundles/RUN")] = None,
    data: Data = None,
    wheels: Annotated[str, typer.Option("--wheels", metavar="VERSION", help="download the wheels that the run needs, for this Python, such as 3.12")] = "",
    platform: Annotated[str, typer.Option("--platform", metavar="P", help="the machine that they are for: x86_64 or aarch64")] = "x86_64",
    heavy: Annotated[bool, typer.Option("--heavy", help="those of hundreds of megabytes too, such as torch")] = False,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, help="test rows to expect; 0 is as many as there are here")] = 0,
    limit: Annotated[str, typer.Option("--limit", metavar="TIME", help="of the code competition, such as 9h: a bundle that takes longer fails")] = "",
    rehearsal: Annotated[bool, typer.Option("--rehearsal/--no-rehearsal", help="run the notebook first, without network, on test files that it has not seen")] = True,
) -> None:
    """Makes a folder for code competitions without internet: notebook, wheels, models; rehearsed first: kit bundle RUN --limit 9h."""
    from kit import bundle as bundling
    from kit import runs

    asked = bundling.Asked(rehearsal, wheels, platform, heavy, rows, limit)
    print(bundling.bundle(runs.open_run(run), out, data, _says(), asked))


@app.command()
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    message: Annotated[str, typer.Option("--message", metavar="M", help="what Kaggle's list shows, instead of the run's name and score")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before it is sent")] = False,
    again: Annotated[bool, typer.Option("--again", help="send a file once more that was sent before")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="send a run that is unscored, partial, or trained on other files than those in data/")] = False,
    data: Data = None,
) -> None:
    """Checks a run's submission, sends it to Kaggle, and writes the public score into the run: kit submit competitions/titanic/runs/1-lightgbm."""
    from kit import runs, submitting

    def sure(what: str) -> bool:
        if not yes and not sys.stdin.isatty():
            raise KitError(f"{what}? there is no terminal to answer on\n--yes says so beforehand")
        if not yes:
            print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)  # the command line library's own question writes on standard output too
        return yes or sys.stdin.readline().strip().lower() in ("y", "yes")

    print(submitting.submit(runs.open_run(run), data, _says(), message=message, sure=sure, again=again, anyway=anyway))


def _opened(name: str, overrides: list[str] | None, data: Path | None, sample: bool, preset: str | None):
    """The competition and the folder of its data; a sample that is not there is written."""
    from kit.competition import open_competition

    opened = open_competition(name, preset=preset, overrides=overrides or [])
    folder = opened.data(data, sample)
    if sample and not folder.is_dir():
        _write_sample(name, preset, overrides or [])
    return opened, folder


def _write_sample(name: str, preset: str | None, overrides: list[str]) -> Path:
    from kit.competition import open_competition

    opened = open_competition(name, preset=preset, overrides=overrides)
    folder = opened.home / "sample"
    opened.open_adapter(folder).write_sample(folder)
    return folder


def _says():
    """Lines to standard output and error; on a terminal, progress is one line that changes, drawn by rich."""
    from kit.fitting import Says

    if not sys.stderr.isatty():
        return Says(lambda line: print(line, flush=True), lambda line: print(line, file=sys.stderr, flush=True))

    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("dots")
    # both streams stay as they are: a path printed inside $(...) must not be drawn on the terminal
    live = Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
    _drawn.callback(live.stop)

    def progress(line: str) -> None:
        if line.startswith(("note", "warning", "going on")):
            live.stop()
            print(line, file=sys.stderr, flush=True)
        else:
            spinner.update(text=Text(line, no_wrap=True))
            live.start()

    def result(line: str) -> None:
        live.stop()
        print(line, flush=True)

    return Says(result, progress)

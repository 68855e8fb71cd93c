"""Train, predict, grade: the whole flow, read from top to bottom.

tables -> folds -> encoders -> model -> predictions -> metric -> post-processing fitted on out-of-fold -> submission -> checks
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, folds, folds_csv, runs, submission
from kit.adapters.tabular import Tabular
from kit.competition import Competition, checked, locate, resolved
from kit.config import part, read
from kit.encoders import Encoders, Examples, Features, Gathering, gathered
from kit.errors import ConfigError, DataError, RunError, ScoreError, SubmissionError, did_you_mean, shorten
from kit.estimators import Setup
from kit.estimators.constant import Constant
from kit.folds import Fold, Rows
from kit.predictions import Predictions
from kit.reading import locate as packed
from kit.registry import find
from kit.runs import Run
from kit.scoring import Metric, Score, pooled, score_folds
from kit.tables import WEIGHT, Column, Tables, infer_kind, weights
from kit.unlabelled import ENCODERS, WEIGHTS, Learned

SMALL, MIDDLE = 5_000, 20_000  # training rows: below, five and three inner cuts are watched instead of one, since one is noisy
MOST_CLASSES = 50  # above, targets are not spread over columns for encodings
_UNLABELLED = "unlabelled"  # folder of a run: the network that made columns for it


@dataclass(frozen=True)
class Says:
    """Where lines go: `result` to standard output, `progress` to standard error."""

    result: Callable[[str], None] = lambda line: None
    progress: Callable[[str], None] = lambda line: None


@dataclass
class Work:
    """What one training needs at every step."""

    competition: Competition
    task: Any
    metric: Metric
    tables: Tables
    rows: Rows
    target: np.ndarray
    weight: np.ndarray | None
    run: Run
    says: Says
    stores: dict[str, Any]

    def progress(self, line: str) -> None:
        self.run.log(line)
        self.says.progress(line)

    def result(self, line: str) -> None:
        self.run.log(line)
        self.says.result(line)


def train(competition: Competition, data: Path, says: Says) -> Run:
    """One run: every fold fitted, out-of-fold rows scored, a checked submission written. Goes on where the same command stopped."""
    began = time.monotonic()
    config = resolved(competition)
    competition = replace(competition, config=config)
    adapter, metric = competition.open_adapter(data), competition.metric()
    takes = _takes(model_of(competition, adapter.task, says.progress, None))  # refuses a loss that it does not know before any data is read
    learned = _learned(competition)
    tables = adapter.tables()
    adapter.check_sample(tables.test.index)
    task = adapter.task
    scheme, options = competition.folds()
    rows = split_rows(tables, task, scheme)
    split = folds.split(rows, scheme=scheme, **options)
    if config.train["fold"] >= len(split):
        raise ConfigError(f"there is no fold {config.train['fold']}: {scheme} makes folds 0 to {len(split) - 1}")
    truth = weighted_truth(tables, config.score["weight"])
    if config.score["prior"]:
        truth = expected(task, truth, tables.truth, split, config.score["prior"])
    schema = tables.schema if learned is None else learned.schema(tables.schema)
    with runs.started(competition.home / "runs", config, files.fingerprint([*adapter.files(), *begun_with(competition)])) as run:
        weight = tables.roles["weight"].to_numpy(dtype=np.float64) if "weight" in tables.roles else None
        work = Work(competition, task, metric, tables, rows, task.encode(tables.truth), weight, run, says, {})
        _announce(work, scheme, split)
        how = Gathering(competition.home / "cache", takes, config.train["threads"], work.progress)
        train_rows, test_rows, work.stores = gathered(tables.train, tables.test, tables.schema, config.encoders, how)
        if learned is not None:
            learned.copy(run.folder / _UNLABELLED)
            train_rows, test_rows = (learned.beside(rows, config.train["threads"]) for rows in (train_rows, test_rows))
            work.result(f"columns {len(learned.names)} more, learned without labels: {learned.source}")
        work.tables = replace(tables, train=train_rows, test=test_rows, schema=schema)
        work.competition = _measured(work, split[0].train)
        run.save(
            competition=competition.name,
            folder=str(competition.folder),
            asked=list(competition.asked),
            task=task.state(),
            schema=_as_json(tables.schema),
            exceptions=[*adapter.exceptions, *([learned.exception] if learned is not None else _pictures_seen(config.model))],
            layout=adapter.layout(metric.needs(task.gives)),
        )
        folds_csv.write(run.folder / "folds.csv", rows.ids, split)
        wanted = range(len(split)) if config.train["fold"] < 0 else [config.train["fold"]]
        final = config.train["final"] if config.train["fold"] < 0 else "folds"
        done = []
        for k in wanted:
            done.append(_fold(work, split[k], k, truth, test=final == "folds" or (final == "last" and k == len(split) - 1)))
        if final == "refit":
            tested = _refit(work)
        else:
            tested = task.average([test for _, test in done if test is not None])
        by_repeat = _by_repeat([split[k] for k in wanted], [valid for valid, _ in done])
        score, post = score_folds(metric, task, truth, by_repeat, config.post)
        oof = pooled(task, by_repeat)
        oof.write(run.folder / "oof.parquet")
        tested.write(run.folder / "test.parquet")
        write_submission(adapter, task, metric, tested, post, run.folder / "submission.csv")
        constant = _constant_score(work, [split[k] for k in wanted], truth)
        run.save(
            state="finished",
            metric=metric.name,
            greater_is_better=metric.greater_is_better,
            score=score.as_dict(),
            constant=None if constant is None else constant.mean,
            post=post,
            folds=folds_csv.fingerprint(rows.ids, split),
            covered=len(oof.ids),
            validated=len(np.unique(np.concatenate([fold.valid for fold in split]))),  # rows that the scheme validates: of the host's own split a part
            rows=len(rows.ids),
            seconds=round(time.monotonic() - began, 2),
            peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        )
        work.result(score_line(metric, score, constant))
    return run


def begun_with(competition: Competition) -> list[Path]:
    """The files that a model starts from: a run from others is another run."""
    weights = competition.config.model.get("weights")
    found = [Path(weights)] if isinstance(weights, str) else []
    if competition.columns_from() is not None:
        found.append(found[0].parent / ENCODERS)
    return [path for path in found if path.is_file()]


def _learned(competition: Competition) -> Learned | None:
    path = competition.columns_from()
    return None if path is None else Learned.open(path)


def _pictures_seen(model: dict[str, Any]) -> list[str]:
    """What the weights that a model starts from have seen of the test rows."""
    weights = model.get("weights")
    told = Path(weights).parent / "run.json" if isinstance(weights, str) else Path()
    if told.is_file() and "pretrained" in (info := files.read_json(told)):
        return [f"{weights} was pretrained on {info['pictures']} pictures of train and test rows, without labels"]
    return []


def _takes(model: Any) -> tuple[str, ...]:
    return getattr(model, "takes", ())


def _measured(work: Work, train: np.ndarray) -> Competition:
    """The competition with what its model measures on this machine, once for a run: frozen in its config from then on."""
    config, run = work.competition.config, work.run
    if "measured" not in run.info:
        model = model_of(work.competition, work.task, work.progress)
        found = {}
        if hasattr(model, "measure") and any(store is not None for store in work.stores.values()):
            encoders = _encoders(work)
            found = model.measure(_encoded(work, encoders, train))
        config.with_("train", **found).write(run.folder / "config.toml")
        run.save(measured=found)
    return replace(work.competition, config=config.with_("train", **run.info["measured"]))


def expected(task, truth: pd.DataFrame, answers: pd.DataFrame, split: list[Fold], prior: str | dict[str, float]) -> pd.DataFrame:
    """The truth with weights under which the validated rows have the class balance that the test rows are known to have.

    The task learns by what the odds of each class differ between the rows that are learned from and the test rows.
    """
    named = answers[task.targets[0]].to_numpy(dtype=object)
    shares = task.shares(prior)
    validated = np.unique(np.concatenate([fold.valid for fold in split]))
    learned = np.concatenate([fold.train for fold in split])
    task.expect({c: share / max((named[learned] == c).mean(), 1 / len(learned)) for c, share in shares.items()})
    scored = pd.Series(named[validated]).value_counts(normalize=True)
    before = truth[WEIGHT].to_numpy() if WEIGHT in truth else np.ones(len(truth))
    return truth.assign(**{WEIGHT: before * np.array([shares[c] / scored.get(c, 1.0) for c in named])})


def split_rows(tables: Tables, task, scheme: str) -> Rows:
    target, continuous = task.stratify_by(tables.truth)
    roles = {name: series.to_numpy() for name, series in tables.roles.items() if name in ("group", "time", "given")}
    for role in {"group": ["group"], "stratified_group": ["group"], "time": ["time"], "group_time": ["group", "time"], "given": ["given"]}.get(scheme, []):
        if role not in roles:
            raise ConfigError(f'score.folds.scheme = "{scheme}" needs a {role} column\nname it: [input] columns = {{ {role} = ["..."] }}')
    if "time" in roles and not np.issubdtype(roles["time"].dtype, np.number) and not np.issubdtype(roles["time"].dtype, np.datetime64):
        roles["time"] = _parsed_time(tables.roles["time"])
    return Rows(ids=tables.train.index.to_numpy(dtype=object), target=target, continuous=continuous, **roles)


def _parsed_time(values: pd.Series) -> np.ndarray:
    inferred = infer_kind(values)
    if inferred.kind != "date":
        raise DataError(f'time column "{values.name}" holds {shorten(values.unique(), 3)}, which are neither numbers nor dates of one form')
    return pd.to_datetime(values, format=inferred.date_format).to_numpy()


def weighted_truth(tables: Tables, column: str) -> pd.DataFrame:
    if not column:
        return tables.truth
    known = {s.name: s for s in tables.roles.values()} | {c: tables.train[c] for c in tables.train}
    if column not in known:
        raise ConfigError(f'score.weight = "{column}" is no column of the training rows{did_you_mean(column, [str(k) for k in known])}')
    return tables.truth.assign(**{WEIGHT: weights(known[column], "the training rows").to_numpy()})  # in the order of train, as truth is


def _announce(work: Work, scheme: str, split: list[Fold]) -> None:
    config, tables, task = work.competition.config, work.tables, work.task
    classes = task.state().get("classes")
    what = f" ({len(classes)} {'labels' if config.output['task'] == 'multilabel' else 'classes'})" if classes else ""
    if config.output["task"] == "binary" and classes[1] not in ("1", "True"):
        what = f" (2 classes, probability of {classes[1]!r})"
    work.result(f"data    {len(tables.train)} train rows, {len(tables.test)} test rows, target {shorten(task.targets, 3)}{what}")
    for note in tables.notes:
        work.progress(f"note    {note}")
    for warning in folds.describe(work.rows, split):
        work.progress(f"warning {warning}")
    repeats = len({f.repeat for f in split})
    work.result(f"folds   {len(split) // repeats}, {scheme}" + (f", {repeats} repeats: {len(split)} models" if repeats > 1 else ""))
    if config.score["prior"]:
        balance = config.score["prior"] if isinstance(config.score["prior"], str) else "as given"
        work.result(f"prior   {balance}: rows are weighted as the classes of the test rows are known to be")
    work.result(f"model   {config.model['name']}")
    if work.run.info["continued"]:
        work.progress(f"going on with {work.run.folder}")


# --- one fold --------------------------------------------------------------------------------------------------------------------


def _fold(work: Work, fold: Fold, k: int, truth: pd.DataFrame, *, test: bool) -> tuple[Predictions, Predictions | None]:
    """The fold's predictions for its validated rows and, if wanted, for the test rows; read back if an earlier process finished it."""
    folder = work.run.folder / f"fold-{k}"
    if not (folder / "fold.json").is_file():
        began = time.monotonic()
        encoders, model, found = _fitted(work, fold.train, folder, f"fold {k}")
        valid = _predicted(work, encoders, model, work.tables.train.iloc[fold.valid])
        valid.write(folder / "oof.parquet")
        if test:
            _predicted(work, encoders, model, work.tables.test).write(folder / "test.parquet")
        own = truth.iloc[fold.valid].reset_index(drop=True)
        try:
            score = work.metric.score(work.task, own, valid, {})  # before post-processing: fitted on these rows it would flatter
        except ScoreError:
            score = None  # the whole of out-of-fold decides, and says what is wrong
        seconds = round(time.monotonic() - began, 2)
        files.write_json(folder / "fold.json", {"repeat": fold.repeat, "fold": fold.fold, "found": found, "score": score, "seconds": seconds})
    _forget_checkpoints(folder)
    info = files.read_json(folder / "fold.json")
    shown = "not defined" if info["score"] is None else f"{info['score']:.6g}"
    work.result(f"fold {k:<3}{work.metric.name} {shown}  {info['seconds']:.1f} s")
    return Predictions.read(folder / "oof.parquet"), Predictions.read(folder / "test.parquet") if test else None


def _refit(work: Work) -> Predictions:
    folder = work.run.folder / "refit"
    if not (folder / "fold.json").is_file():
        encoders, model, found = _fitted(work, np.arange(len(work.rows.ids)), folder, "refit")
        _predicted(work, encoders, model, work.tables.test).write(folder / "test.parquet")
        files.write_json(folder / "fold.json", {"found": found})
    _forget_checkpoints(folder)
    return Predictions.read(folder / "test.parquet")


def _forget_checkpoints(folder: Path) -> None:
    """Only once the fold is finished: until then a kill would have its epochs trained again."""
    for left in (folder / "checkpoints").glob("*") if (folder / "checkpoints").is_dir() else ():
        left.unlink()


def _fitted(work: Work, train: np.ndarray, folder: Path, label: str) -> tuple[Encoders, Any, dict[str, Any]]:
    """Encoders and model fitted on these training rows alone, and saved; what was found by watching is found within them too."""
    model = model_of(work.competition, work.task, lambda line: work.progress(f"{label}  {line}"), folder / "checkpoints")
    found: dict[str, Any] = {}
    if model.watches:
        scheme, options = work.competition.folds()
        many = 5 if len(train) < SMALL else 3 if len(train) < MIDDLE else 1
        inner = work.rows.take(train)
        findings = []
        for kept, watched in folds.cuts(inner, scheme, options.get("seed", 0) + 1, options, how_many=many):
            encoders = _encoders(work)
            examples = _encoded(work, encoders, train[kept])
            findings.append(model.watch(examples, _examples(work, train[watched], encoders.transform(work.tables.train.iloc[train[watched]]))))
        found = {key: [float(v) for v in np.median([f[key] for f in findings], axis=0)] for key in findings[0]}
    encoders = _encoders(work)
    examples = _encoded(work, encoders, train)
    model.fit(examples, found)
    del examples
    encoders.save(folder / "encoders.json")
    model.save(folder)
    return encoders, model, found


def model_of(competition: Competition, task, progress: Callable[[str], None], checkpoints: Path | None = None) -> Any:
    config = competition.config
    loss, loss_options = part(config.train["loss"])
    setup = Setup(
        task=config.output["task"],
        outputs=task.outputs,
        loss=loss,
        loss_options=loss_options,
        seed=config.train["seed"],
        threads=config.train["threads"],
        progress=progress,
        checkpoints=checkpoints,
        augment=config.augment,
    )
    kind, model, options = competition.model()
    if kind == "estimators":
        return model(setup, **options)
    loop = {k: v for k, v in config.train.items() if k not in ("final", "loss", "seed", "threads", "fold")}
    return find("estimators", "neural")(setup, model, options, **loop)


def _encoders(work: Work) -> Encoders:
    config = work.competition.config
    return Encoders(work.tables.schema, config.encoders, config.train["seed"], stores=work.stores)


def _encoded(work: Work, encoders: Encoders, train: np.ndarray) -> Examples:
    target = work.target[train]
    if work.competition.config.output["task"] == "multiclass":
        many = work.task.outputs > MOST_CLASSES
        goal = np.empty((len(train), 0)) if many else np.eye(work.task.outputs)[target]
    else:
        goal = target.reshape(len(train), -1)
    group = None if work.rows.group is None else work.rows.group[train]
    rows = work.tables.train if len(train) == len(work.tables.train) else work.tables.train.iloc[train]
    return _examples(work, train, encoders.fit_transform(rows, goal, group))


def _examples(work: Work, positions: np.ndarray, features: Features) -> Examples:
    weight = None if work.weight is None else work.weight[positions]
    return Examples(work.rows.ids[positions], features, work.target[positions], weight)


def _predicted(work: Work, encoders: Encoders, model: Any, rows: pd.DataFrame) -> Predictions:
    ids = rows.index.to_numpy(dtype=object)
    return work.task.decode(ids, model.predict(Examples(ids, encoders.transform(rows))))


def _by_repeat(split: list[Fold], parts: list[Predictions]) -> list[list[Predictions]]:
    return [[p for f, p in zip(split, parts) if f.repeat == repeat] for repeat in sorted({f.repeat for f in split})]


def _constant_score(work: Work, split: list[Fold], truth: pd.DataFrame) -> Score | None:
    """The same folds with the same answer everywhere; None where the metric is not defined for that."""
    parts = []
    for fold in split:
        model = Constant(_setup_of_constant(work))
        model.fit(Examples(work.rows.ids[fold.train], Features.of(len(fold.train)), work.target[fold.train], None if work.weight is None else work.weight[fold.train]), {})
        ids = work.rows.ids[fold.valid]
        parts.append(work.task.decode(ids, model.predict(Examples(ids, Features.of(len(ids))))))
    try:
        return score_folds(work.metric, work.task, truth, _by_repeat(split, parts), work.competition.config.post)[0]
    except ScoreError:
        return None


def _setup_of_constant(work: Work) -> Setup:
    loss, options = part(work.competition.config.train["loss"])
    return Setup(task=work.competition.config.output["task"], outputs=work.task.outputs, loss=loss, loss_options=options)


def brief(value: float) -> str:
    """Two digits that count, without an exponent for large values."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def score_line(metric: Metric, score: Score, constant: Score | None) -> str:
    spread = "" if score.standard_error is None else f" ± {brief(score.standard_error)}"
    lift = ""
    if constant is not None:
        gain = (score.mean - constant.mean) * (1 if metric.greater_is_better else -1)
        lift = f", constant {constant.mean:.6g}, lift {gain:+.{6 if abs(gain) >= 1000 else 4}g}"
    return f"cv      {metric.name} {score.mean:.6g}{spread} ({'higher' if metric.greater_is_better else 'lower'} is better){lift}"


def write_submission(adapter: Tabular, task, metric: Metric, tested: Predictions, post: dict[str, Any], path: Path) -> None:
    needs = metric.needs(task.gives)
    frame = adapter.submission(tested, post, needs)
    id_columns, columns = adapter.layout(needs)
    submission.check(frame, id_columns, columns, pd.Index(tested.ids, dtype="str"))
    submission.write(frame, path)


# --- after training --------------------------------------------------------------------------------------------------------------


def _as_json(schema: dict[str, Column]) -> dict[str, list[str]]:
    return {name: [column.kind, column.date_format] for name, column in schema.items()}


def competition_of(run: Run) -> Competition:
    """The competition that a run belongs to, with the run's own config."""
    beside = run.folder.resolve().parent.parent
    known = (beside, Path(run.info.get("folder", beside)))
    folder = next((f for f in known if (f / "config.toml").is_file()), None) or locate(run.info["competition"])
    config, data = read(run.folder / "config.toml"), read(folder / "config.toml").input.get("data")
    if "blended" in run.info:  # no model of its own: the simplest stands in its place
        config = replace(config, model={"name": "constant"}, train={})
    return checked(config.with_("input", data=data) if data else config, folder)  # where data lie is no part of a run


def predict(run: Run, data: Path, says: Says) -> Path:
    """The run's models on new test files, into RUN/predict-<fingerprint of the files>/. Gives the submission's path.

    A blend predicts with the runs that it is made of.
    """
    if run.info.get("state") != "finished":
        raise RunError(f"{run.folder} is not finished\ngive its training command again: it goes on where it stopped")
    adapter, metric, tested, models = _tested(run, data, says)
    name = files.fingerprint(adapter.test_files())
    folder = run.folder / f"predict-{name}"
    tested.write(folder / "test.parquet")
    write_submission(adapter, adapter.task, metric, tested, run.info["post"], folder / "submission.csv")
    says.result(f"data    {len(tested.ids)} test rows")
    says.result(f"model   {models} of {run.name}")
    return folder / "submission.csv"


def _tested(run: Run, data: Path, says: Says) -> tuple[Tabular, Metric, Predictions, int]:
    """(adapter, metric, predictions for the new rows, models that made them)."""
    competition = competition_of(run)
    adapter, metric, task = competition.open_adapter(data), competition.metric(), competition.task()
    task.restore(run.info["task"])
    adapter.task = task
    if adapter.sample_file and not _is_there(data / adapter.sample_file):
        says.progress(f"note    no {adapter.sample_file} in {data}: rows in the order of {adapter.test_file}")
        adapter.follow(*run.info["layout"])
    if blended := run.info.get("blended"):
        members = [_tested(runs.open_run(run.folder.parent / name), data, Says()) for name in blended["runs"]]
        return adapter, metric, task.average([m[2] for m in members], blended["weights"]), sum(m[3] for m in members)
    schema = {name: Column(*c) for name, c in run.info["schema"].items()}
    takes = _takes(model_of(competition, task, says.progress))
    how = Gathering(competition.home / "cache", takes, competition.config.train["threads"], says.progress)
    _, rows, stores = gathered(None, adapter.new_rows(schema), schema, competition.config.encoders, how)
    if (run.folder / _UNLABELLED).is_dir():
        rows = Learned.open(run.folder / _UNLABELLED / WEIGHTS).beside(rows, competition.config.train["threads"])
    ids = rows.index.to_numpy(dtype=object)
    parts = []
    folders = [run.folder / "refit"] if (run.folder / "refit").is_dir() else sorted(run.folder.glob("fold-*"), key=lambda p: int(p.name[5:]))
    for folder in folders:
        if not (folder / "test.parquet").is_file():
            continue  # a fold whose model does not predict test rows: train.final = "last"
        encoders = Encoders.load(folder / "encoders.json", stores)
        model = model_of(competition, task, says.progress)
        model.load(folder)
        parts.append(task.decode(ids, model.predict(Examples(ids, encoders.transform(rows)))))
    if not parts:
        raise RunError(f"{run.folder} holds no model: was something removed from it?")
    return adapter, metric, task.average(parts), len(parts)


def _is_there(path: Path) -> bool:
    """As it is, or packed as Kaggle packs it."""
    try:
        return packed(path).is_file()
    except DataError:
        return False


def grade(competition: Competition, submitted: Path, answers: Path, data: Path | None) -> float:
    """The submission's score by the competition's own metric and reading of blanks.

    data  where the training file is, for the classes; without one they are those of the answers
    """
    for path in (submitted, answers):
        if not path.is_file():
            raise SubmissionError(f"no file {path}")
    metric = competition.metric()
    adapter = competition.open_adapter(data if data is not None else answers.parent)
    needs = metric.needs(adapter.task.gives)
    truth = adapter.answers(answers, competition.config.score.get("weight", ""))
    adapter.task.learn(adapter.truth(adapter.read_train(), adapter.train_file) if data is not None else truth)
    predictions = adapter.read_submission(submitted, needs)
    lacking = sorted(set(truth["id"]) - set(predictions.ids))
    if lacking:
        raise SubmissionError(f"{submitted} lacks {len(lacking)} ids that {answers} has: {shorten(lacking)}")
    return metric.score(adapter.task, truth, predictions, {})

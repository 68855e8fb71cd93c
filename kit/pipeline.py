"""Training: the whole flow, read from top to bottom.

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
from kit.competition import Competition, resolved
from kit.config import part
from kit.divided import divided
from kit.encoders import Encoders, Examples, Features, Gathering, gathered
from kit.errors import ConfigError, ScoreError, shorten
from kit.estimators import Setup
from kit.estimators.constant import Constant
from kit.folds import Fold, Rows
from kit.predictions import Predictions
from kit.registry import find, needed
from kit.runs import Run
from kit.scoring import Metric, Score, pooled, score_folds
from kit.tables import Column, Tables
from kit.unlabelled import ENCODERS, Learned

SMALL, MIDDLE = 5_000, 20_000  # training rows: below, five and three inner cuts are watched instead of one, since one is noisy
MOST_CLASSES = 50  # above, targets are not spread over columns for encodings
UNLABELLED = "unlabelled"  # folder of a run: the network that made columns for it
UNSCORED = "unscored"  # in run.json, where there are no labels
QUERIES, GALLERY = "queries", "gallery"  # folders of a fold: the vectors of the test rows and of the gallery
_WANTS_SEARCH = "the search of neighbours"


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
    target: np.ndarray | None
    weight: np.ndarray | None
    run: Run
    says: Says
    stores: dict[str, Any]

    @property
    def searches(self) -> bool:
        return searches(self.task)

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
    takes = takes_of(model_of(competition, adapter.task, says.progress, None))  # refuses a loss that it does not know before any data is read
    learned = _learned(competition)
    tables = adapter.tables()
    adapter.check_sample(tables.test.index)
    task = adapter.task
    rows, split, truth = divided(competition, tables, task, says.progress)
    schema = tables.schema if learned is None else learned.schema(tables.schema)
    with runs.started(competition.home / "runs", config, files.fingerprint([*adapter.files(), *begun_with(competition)])) as run:
        weight = tables.roles["weight"].to_numpy(dtype=np.float64) if "weight" in tables.roles else None
        target = None if tables.truth is None else task.encode(tables.truth)
        work = Work(competition, task, metric, tables, rows, target, weight, run, says, {})
        _announce(work, split)
        how = Gathering(competition.home / "cache", takes, config.train["threads"], work.progress)
        train_rows, test_rows, gallery, work.stores = gathered_with(tables.gallery, tables.train, tables.test, tables.schema, config.encoders, how)
        if learned is not None:
            learned.copy(run.folder / UNLABELLED)
            train_rows, test_rows = (learned.beside(rows, config.train["threads"]) for rows in (train_rows, test_rows))
            work.result(f"columns {len(learned.names)} more, learned without labels: {learned.source}")
        work.tables = replace(tables, train=train_rows, test=test_rows, schema=schema, gallery=gallery)
        work.competition = _measured(work, split[0].train if split else np.arange(len(rows.ids)))
        run.save(
            competition=competition.name,
            folder=str(competition.folder),
            asked=list(competition.asked),
            task=task.state(),
            schema=_as_json(tables.schema),
            exceptions=[*adapter.exceptions, *([learned.exception] if learned is not None else _pictures_seen(config.model)), *_gallery_seen(work)],
            layout=adapter.layout(metric.needs(task.gives)),
        )
        folds_csv.write(run.folder / "folds.csv", rows.ids, split)
        result = _scored(work, split, truth) if split else _unscored(work)
        tested, post = result.pop("tested"), result["post"]
        tested.write(run.folder / "test.parquet")
        write_submission(adapter, task, metric, tested, post, run.folder / "submission.csv")
        run.save(
            state="finished",
            metric=metric.name,
            greater_is_better=metric.greater_is_better,
            **result,
            rows=len(rows.ids),
            seconds=round(time.monotonic() - began, 2),
            peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        )
    return run


def _scored(work: Work, split: list[Fold], truth: pd.DataFrame) -> dict[str, Any]:
    """All folds fitted and scored: what run.json says of it, and `tested`, the predictions for the test rows."""
    run, task, metric, config = work.run, work.task, work.metric, work.competition.config
    wanted = range(len(split)) if config.train["fold"] < 0 else [config.train["fold"]]
    final = config.train["final"] if config.train["fold"] < 0 else "folds"
    validated, tested, answers = [], [], {}
    for k in wanted:
        last = final == "folds" or (final == "last" and k == len(split) - 1)
        validated.append(_fold(work, split[k], k, truth, test=last))
        tested += [run.folder / f"fold-{k}"] if last else []
    if final == "refit":
        tested = [_refit(work)]
    answers = _answered(work, tested)
    by_repeat = _by_repeat([split[k] for k in wanted], validated)
    score, post = score_folds(metric, task, truth, by_repeat, config.post)
    oof = pooled(task, by_repeat)
    oof.write(run.folder / "oof.parquet")
    constant = None if work.searches else _constant_score(work, [split[k] for k in wanted], truth)
    steps = _search_gains(work, [run.folder / f"fold-{k}" for k in wanted], truth) if work.searches else {}
    work.result(score_line(metric, score, constant))
    return {
        "tested": answers,
        "score": score.as_dict(),
        "constant": None if constant is None else constant.mean,
        "post": post,
        "folds": folds_csv.fingerprint(work.rows.ids, split),
        "covered": len(oof.ids),
        "validated": len(np.unique(np.concatenate([fold.valid for fold in split]))),  # rows that the scheme validates: of the host's own split a part
        **steps,
    }


def _unscored(work: Work) -> dict[str, Any]:
    """Without labels there is nothing to score: the model as it is, on the test rows."""
    tested = _answered(work, [_refit(work)])
    work.result(f"cv      {work.metric.name} unscored: there are no labels")
    return {"tested": tested, "score": UNSCORED, "constant": None, "post": {}, "folds": UNSCORED, "covered": 0, "validated": 0}


def _answered(work: Work, folders: list[Path]) -> Predictions:
    """The test rows' predictions by the models of these folders."""
    if work.searches:
        return found_by(work.competition, work.task, folders)
    return work.task.average([Predictions.read(folder / "test.parquet") for folder in folders])


def _search_gains(work: Work, folders: list[Path], truth: pd.DataFrame) -> dict[str, Any]:
    """What each step of the search brings, out of fold."""
    retrieving, search = needed("kit.retrieving", _WANTS_SEARCH), search_of(work.competition)
    if not search.steps:
        return {}
    validated = [retrieving.Validated.open(folder, _codes(work)) for folder in folders]
    steps = retrieving.gains(search, work.task, work.metric, truth, validated)
    work.result("search  " + ", ".join(f"{name} {score:.4f}" for name, score in steps.items()))
    return {"search": steps}


def _codes(work: Work) -> pd.Series:
    return pd.Series(work.target, index=work.rows.ids)


def _gallery_seen(work: Work) -> list[str]:
    if not work.searches or not (steps := search_of(work.competition).steps):
        return []
    return [f"the search's {' and '.join(steps)} are made from the rows of the gallery, which are test rows, without labels"]


def searches(task: Any) -> bool:
    """Whether the answers are rows of a gallery."""
    return getattr(task, "searches", False)


def search_of(competition: Competition) -> Any:
    return needed("kit.searching", _WANTS_SEARCH).Search(**competition.config.search)


def found_by(competition: Competition, task: Any, folders: list[Path]) -> Predictions:
    """What the queries find in the gallery by the vectors in these folders."""
    return needed("kit.retrieving", _WANTS_SEARCH).searched(search_of(competition), task, folders)


def write_vectors(folder: Path, queries: pd.DataFrame, gallery: pd.DataFrame, encoders: Encoders, model: Any) -> None:
    for name, rows in ((QUERIES, queries), (GALLERY, gallery)):
        needed("kit.retrieving", _WANTS_SEARCH).write(folder / name, rows, embedding(encoders, model))


def gathered_with(gallery: pd.DataFrame | None, train: pd.DataFrame | None, test: pd.DataFrame, schema: dict[str, Column], options: dict[str, Any], how: Gathering) -> tuple:
    """(train, test, gallery, stores): `gathered`, with the gallery's rows behind the test rows."""
    if gallery is None:
        train, test, stores = gathered(train, test, schema, options, how)
        return train, test, None, stores
    train, both, stores = gathered(train, pd.concat([test, gallery]), schema, options, how)
    return train, both.iloc[: len(test)], both.iloc[len(test) :], stores


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


def takes_of(model: Any) -> tuple[str, ...]:
    return getattr(model, "takes", ())


def _measured(work: Work, train: np.ndarray) -> Competition:
    """The competition with what its model measures on this machine, once for a run: frozen in its config from then on."""
    config, run = work.competition.config, work.run
    if "measured" not in run.info:
        model = model_of(work.competition, work.task, work.progress)
        found = {}
        if hasattr(model, "measure") and work.target is not None and any(store is not None for store in work.stores.values()):
            encoders = _encoders(work)
            found = model.measure(_encoded(work, encoders, train))
        config.with_("train", **found).write(run.folder / "config.toml")
        run.save(measured=found)
    return replace(work.competition, config=config.with_("train", **run.info["measured"]))


def _announce(work: Work, split: list[Fold]) -> None:
    config, tables, task = work.competition.config, work.tables, work.task
    classes = task.state().get("classes")
    what = f" ({len(classes)} {'labels' if config.output['task'] == 'multilabel' else 'classes'})" if classes else ""
    if config.output["task"] == "binary" and classes[1] not in ("1", "True"):
        what = f" (2 classes, probability of {classes[1]!r})"
    found = "" if tables.gallery is None else f", {len(tables.gallery)} in the gallery"
    work.result(f"data    {len(tables.train)} train rows, {len(tables.test)} test rows{found}, target {shorten(task.targets, 3)}{what}")
    for note in tables.notes:
        work.progress(f"note    {note}")
    for warning in folds.describe(work.rows, split, work.competition.folds()[0]):
        work.progress(f"warning {warning}")
    if split:
        repeats = len({f.repeat for f in split})
        scheme = work.competition.folds()[0]
        work.result(f"folds   {len(split) // repeats}, {scheme}" + (f", {repeats} repeats: {len(split)} models" if repeats > 1 else ""))
    else:
        work.result("folds   none: there are no labels")
    if config.score["prior"]:
        balance = config.score["prior"] if isinstance(config.score["prior"], str) else "as given"
        work.result(f"prior   {balance}: rows are weighted as the classes of the test rows are known to be")
    work.result(f"model   {config.model['name']}")
    if work.run.info["continued"]:
        work.progress(f"going on with {work.run.folder}")


# --- one fold --------------------------------------------------------------------------------------------------------------------


def _fold(work: Work, fold: Fold, k: int, truth: pd.DataFrame, *, test: bool) -> Predictions:
    """The fold's predictions for its validated rows; if wanted, what its model makes of the test rows is written. Read back if an earlier process finished it."""
    folder = work.run.folder / f"fold-{k}"
    if not (folder / "fold.json").is_file():
        began = time.monotonic()
        encoders, model, found = _fitted(work, fold.train, folder, f"fold {k}")
        valid = _validated(work, encoders, model, fold, folder)
        valid.write(folder / "oof.parquet")
        if test:
            _test(work, encoders, model, folder, fold.train)
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
    return Predictions.read(folder / "oof.parquet")


def _refit(work: Work) -> Path:
    """The folder of one model fitted on all rows, with what it makes of the test rows."""
    folder = work.run.folder / "refit"
    if not (folder / "fold.json").is_file():
        known = np.arange(len(work.rows.ids)) if work.target is None or work.target.ndim > 1 or not _open(work.task) else np.flatnonzero(work.target >= 0)
        encoders, model, found = _fitted(work, known, folder, "refit")
        _test(work, encoders, model, folder, known)
        files.write_json(folder / "fold.json", {"found": found})
    _forget_checkpoints(folder)
    return folder


def _open(task: Any) -> bool:
    """Whether a row may be of no class."""
    return getattr(task, "open_set", False)


def _validated(work: Work, encoders: Encoders, model: Any, fold: Fold, folder: Path) -> Predictions:
    if not work.searches:
        return _predicted(work, encoders, model, work.tables.train.iloc[fold.valid])
    retrieving = needed("kit.retrieving", _WANTS_SEARCH)
    seed = work.competition.config.train["seed"]
    retrieving.write_valid(folder, work.tables.train, fold, _codes(work), len(work.tables.gallery), seed, embedding(encoders, model))
    return retrieving.Validated.open(folder, _codes(work)).predictions(search_of(work.competition), work.task)


def _test(work: Work, encoders: Encoders, model: Any, folder: Path, trained: np.ndarray) -> None:
    """Writes what the model makes of the test rows: vectors where they are searched with, else predictions.

    trained  positions of the rows that it was fitted on
    """
    if work.searches:
        write_vectors(folder, work.tables.test, work.tables.gallery, encoders, model)
        return
    if hasattr(model, "remember"):  # the validated rows are done: from now on they may vote, too
        others = np.setdiff1d(np.flatnonzero(work.target >= 0), trained)
        model.remember(_examples(work, others, encoders.transform(work.tables.train.iloc[others])))
        model.save_gallery(folder)
    _predicted(work, encoders, model, work.tables.test).write(folder / "test.parquet")


def embedding(encoders: Encoders, model: Any) -> Callable[[pd.DataFrame], np.ndarray]:
    return lambda rows: model.embed(Examples(rows.index.to_numpy(dtype=object), encoders.transform(rows)))


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


def model_of(competition: Competition, task: Any, progress: Callable[[str], None], checkpoints: Path | None = None) -> Any:
    config = competition.config
    loss, loss_options = part(config.train["loss"])
    setup = Setup(
        task=getattr(task, "learns_as", config.output["task"]),
        outputs=task.outputs,
        loss=loss,
        loss_options=loss_options,
        seed=config.train["seed"],
        threads=config.train["threads"],
        progress=progress,
        checkpoints=checkpoints,
        augment=config.augment,
    )
    kind, part_, options = competition.model()
    if kind == "estimators":
        model = part_(setup, **options)
    else:
        loop = {k: v for k, v in config.train.items() if k not in ("final", "loss", "seed", "threads", "fold")}
        model = find("estimators", "neural")(setup, part_, options, **loop)
    embeds = getattr(model, "embeds", False)
    if searches(task) and not embeds:
        raise ConfigError(f'output.task = "{config.output["task"]}" searches among embeddings, and model "{config.model["name"]}" makes none\nname one that does: model.name=embedder, or knn')
    if _open(task) and embeds:
        return needed("kit.voting", _WANTS_SEARCH).Voting(model, search_of(competition), config.train["threads"])
    return model


def _encoders(work: Work) -> Encoders:
    config = work.competition.config
    return Encoders(work.tables.schema, config.encoders, config.train["seed"], stores=work.stores)


def _encoded(work: Work, encoders: Encoders, train: np.ndarray) -> Examples:
    if work.target is None:
        return _examples(work, train, encoders.fit_transform(work.tables.train.iloc[train], np.empty((len(train), 0))))
    target = work.target[train]
    if getattr(work.task, "learns_as", work.competition.config.output["task"]) == "multiclass":
        many = work.task.outputs > MOST_CLASSES
        goal = np.empty((len(train), 0)) if many else np.eye(work.task.outputs)[target]
    else:
        goal = target.reshape(len(train), -1)
    group = None if work.rows.group is None else work.rows.group[train]
    rows = work.tables.train if len(train) == len(work.tables.train) else work.tables.train.iloc[train]
    return _examples(work, train, encoders.fit_transform(rows, goal, group))


def _examples(work: Work, positions: np.ndarray, features: Features) -> Examples:
    weight = None if work.weight is None else work.weight[positions]
    target = None if work.target is None else work.target[positions]
    return Examples(work.rows.ids[positions], features, target, weight)


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


def _as_json(schema: dict[str, Column]) -> dict[str, list[str]]:
    return {name: [column.kind, column.date_format] for name, column in schema.items()}

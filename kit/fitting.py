"""One part of the rows fitted: encoders and model, what they make of the rows left out and of the test rows, written into the run.

A fold that an earlier process finished is read back.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, folds
from kit.competition import Competition
from kit.encoders import Encoders, Examples, Features
from kit.errors import ConfigError, ScoreError
from kit.estimators import Setup
from kit.estimators.constant import Constant
from kit.folds import Fold, Rows
from kit.modelling import WANTS_SEARCH, embedding, gathered_with, gathering, is_open, model_of, search_of, searches, write_vectors
from kit.predictions import Predictions, joined
from kit.pseudo import Labels, Pseudo
from kit.registry import needed
from kit.runs import Run
from kit.scoring import Metric, Score, score_folds
from kit.tables import WEIGHT, Tables

SMALL, MIDDLE = 5_000, 20_000  # training rows: below, five and three inner cuts are watched instead of one
BALANCE = "balance.json"  # of a fold: class -> factor under which its model gives the test rows their known counts
HISTORY = "history.csv"  # of a fold: the loss at each step of its training
_AT_ONCE = 2**26  # numbers that a model gives for rows of many classes are in memory together: half a gigabyte
MOST_CLASSES = 50  # above, targets are not spread over columns for encodings


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
    pseudo: Pseudo | None = None

    @staticmethod
    def of(
        competition: Competition, task: Any, metric: Metric, tables: Tables, rows: Rows, run: Run, says: Says, pseudo: Pseudo | None = None
    ) -> "Work":
        """Before anything is gathered. Raises ConfigError where labels of another run's folds are asked for, and the caller has folds of its own."""
        if pseudo is None and (named := competition.config.train["pseudo"]):
            raise ConfigError(f'train.pseudo = "{named}" has labels for its own folds, and these are others\nleave it out here: train.pseudo=""')
        weight = tables.roles["weight"].to_numpy(dtype=np.float64) if "weight" in tables.roles else None
        target = None if tables.truth is None else task.encode(tables.truth)
        return Work(competition, task, metric, tables, rows, target, weight, run, says, {}, pseudo)

    def gather(self, model: Any) -> None:
        """Reads the files that cells name, as this model takes them: the cells then are positions in the stores."""
        how, tables = gathering(self.competition, model, self.progress), self.tables
        train, test, gallery, self.stores = gathered_with(tables.gallery, tables.train, tables.test, tables.schema, self.competition.config.encoders, how)
        self.tables = replace(tables, train=train, test=test, gallery=gallery)

    @property
    def searches(self) -> bool:
        return searches(self.task)

    def progress(self, line: str) -> None:
        self.run.log(line)
        self.says.progress(line)

    def result(self, line: str) -> None:
        self.run.log(line)
        self.says.result(line)


def fold_predictions(work: Work, fold: Fold, k: int, truth: pd.DataFrame, *, test: bool) -> Predictions:
    """The fold's predictions for its validated rows; if wanted, what its model makes of the test rows is written. Read back if an earlier process finished it."""
    folder = work.run.folder / f"fold-{k}"
    if not (folder / "fold.json").is_file():
        began = time.monotonic()
        encoders, model, found = _fitted(work, fold.train, folder, f"fold {k}", work.pseudo and work.pseudo.folds[k])
        own = truth.iloc[fold.valid].reset_index(drop=True)
        valid = _validated(work, encoders, model, fold, folder)
        if is_exact(work.competition):
            valid = _evened(work.task, valid, own)
        valid.write(folder / "oof.parquet")
        if test:
            _test(work, encoders, model, folder, fold.train)
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


def refitted(work: Work, begun: Path | None = None) -> Path:
    """The folder of one model fitted on all rows, with what it makes of the test rows.

    begun  the folder of a fold's network, which goes on from there; None begins anew
    """
    folder = work.run.folder / "refit"
    if not (folder / "fold.json").is_file():
        known = np.arange(len(work.rows.ids)) if work.target is None or work.target.ndim > 1 or not is_open(work.task) else np.flatnonzero(work.target >= 0)
        labels = work.pseudo and work.pseudo.everyone
        encoders, model, found = _fitted(work, known, folder, "refit", labels) if begun is None else _further(work, known, folder, begun, labels)
        _test(work, encoders, model, folder, known)
        files.write_json(folder / "fold.json", {"found": found})
    _forget_checkpoints(folder)
    return folder


def _validated(work: Work, encoders: Encoders, model: Any, fold: Fold, folder: Path) -> Predictions:
    if not work.searches:
        return _predicted(work, encoders, model, work.tables.train.iloc[fold.valid])
    retrieving = needed("kit.retrieving", WANTS_SEARCH)
    seed = work.competition.config.train["seed"]
    retrieving.write_valid(folder, work.tables.train, fold, codes(work), len(work.tables.gallery), seed, embedding(encoders, model))
    return retrieving.Validated.open(folder, codes(work)).predictions(search_of(work.competition), work.task)


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
    tested = _predicted(work, encoders, model, work.tables.test)
    if is_exact(work.competition):
        factors = work.task.evening(tested, work.task.shares(work.competition.config.score["prior"]))
        files.write_json(folder / BALANCE, factors)
        tested = work.task.times(tested, factors)
    tested.write(folder / "test.parquet")


def is_exact(competition: Competition) -> bool:
    """Whether the counts of the test rows' classes are known."""
    return bool(competition.config.score.get("exact"))


def _evened(task: Any, valid: Predictions, own: pd.DataFrame) -> Predictions:
    """A fold's predictions with the class counts of its validated rows, which stand for those that are known of the test rows.

    own  truth of the validated rows
    """
    own = own.set_index("id").loc[valid.ids]
    weight = own[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in own else np.ones(len(own))
    shares = pd.Series(weight).groupby(own[task.targets[0]].to_numpy()).sum() / weight.sum()
    return task.times(valid, task.evening(valid, shares.to_dict(), weight))


def _forget_checkpoints(folder: Path) -> None:
    """Only once the fold is finished: until then a kill would have its epochs trained again."""
    for left in (folder / "checkpoints").glob("*") if (folder / "checkpoints").is_dir() else ():
        left.unlink()


def _fitted(work: Work, train: np.ndarray, folder: Path, label: str, labels: Labels | None) -> tuple[Encoders, Any, dict[str, Any]]:
    """Encoders and model fitted on these training rows alone, and saved; what was found by watching is found within them too.

    labels  of test rows, which the model learns from beside them; encoders do not, nor is watched with them: they know the watched rows' answers
    """
    model = model_of(work.competition, work.task, lambda line: work.progress(f"{label}  {line}"), folder / "checkpoints")
    found: dict[str, Any] = {}
    if model.watches:
        scheme, options = work.competition.folds()
        inner, many = work.rows.take(train), inner_cuts(len(train))
        findings = []
        for kept, watched in folds.cuts(inner, scheme, options.get("seed", 0) + 1, options, how_many=many):
            encoders = encoders_of(work)
            examples = encoded(work, encoders, train[kept])
            findings.append(model.watch(examples, _examples(work, train[watched], encoders.transform(work.tables.train.iloc[train[watched]]))))
        found = {key: [float(v) for v in np.median([f[key] for f in findings], axis=0)] for key in findings[0]}
    encoders = encoders_of(work)
    model.fit(_with_labels(work, encoders, encoded(work, encoders, train), labels), found)
    _keep(folder, encoders, model)
    return encoders, model, found


def inner_cuts(n: int) -> int:
    """How often n training rows are cut to watch a part of them: more often where there are few, since one cut is noisy."""
    return 5 if n < SMALL else 3 if n < MIDDLE else 1


def _further(work: Work, train: np.ndarray, folder: Path, begun: Path, labels: Labels | None) -> tuple[Encoders, Any, dict[str, Any]]:
    """The network of a fold after more epochs on these rows, with what the fold knew of columns: they are as wide as it has learned."""
    model = model_of(work.competition, work.task, lambda line: work.progress(f"further  {line}"), folder / "checkpoints")
    model.load(begun)
    encoders = Encoders.load(begun / "encoders.json", work.stores)
    examples = _examples(work, train, encoders.transform(work.tables.train.iloc[train]))
    model.further(_with_labels(work, encoders, examples, labels))
    _keep(folder, encoders, model)
    return encoders, model, {}


def _with_labels(work: Work, encoders: Encoders, examples: Examples, labels: Labels | None) -> Examples:
    """Test rows with labels below the training rows, where there are such."""
    if labels is None:
        return examples
    more = work.tables.test.iloc[labels.rows]
    return work.pseudo.below(examples, encoders.transform(more), labels, more.index.to_numpy(dtype=object))


def _keep(folder: Path, encoders: Encoders, model: Any) -> None:
    encoders.save(folder / "encoders.json")
    model.save(folder)
    if history := getattr(model, "history", None):
        write_history(folder / HISTORY, history)


def write_history(path: Path, columns: dict[str, list[float]]) -> None:
    """
    columns  the step first, such as the epoch; then numbers of as many steps, or of fewer where a curve ended earlier
    """
    rows = zip_longest(*columns.values())
    lines = [",".join(columns), *(",".join("" if v is None else f"{v:.6g}" for v in row) for row in rows)]
    files.write_text(path, "\n".join(lines) + "\n")


def encoders_of(work: Work) -> Encoders:
    config = work.competition.config
    return Encoders(work.tables.schema, config.encoders, config.train["seed"], stores=work.stores)


def encoded(work: Work, encoders: Encoders, train: np.ndarray) -> Examples:
    if work.target is None:
        return _examples(work, train, encoders.fit_transform(work.tables.train.iloc[train], np.empty((len(train), 0))))
    target = work.target[train]
    if getattr(work.task, "learns_as", work.competition.config.output["task"]) == "multiclass":
        many = work.task.outputs > MOST_CLASSES
        goal = np.empty((len(train), 0)) if many else np.eye(work.task.outputs)[target]
    elif target.dtype == object:  # boxes and the like are no numbers that a category could be encoded by
        goal = np.empty((len(train), 0))
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
    return decoded(work.task, model, Examples(rows.index.to_numpy(dtype=object), encoders.transform(rows)))


def decoded(task: Any, model: Any, rows: Examples) -> Predictions:
    """What a model makes of these rows: block by block where there are many classes, since of each row the best few are kept."""
    size = max(_AT_ONCE // task.outputs, 1) if getattr(task, "lists_best", False) else max(len(rows), 1)
    if len(rows) <= size:
        return task.decode(rows.ids, model.predict(rows))
    blocks = [rows.take(np.arange(start, min(start + size, len(rows)))) for start in range(0, len(rows), size)]
    return joined([task.decode(block.ids, model.predict(block)) for block in blocks])


def codes(work: Work) -> pd.Series:
    return pd.Series(work.target, index=work.rows.ids)


def constant_score(work: Work, split: list[Fold], truth: pd.DataFrame) -> Score | None:
    """The same folds with the same answer everywhere; None where the metric is not defined for that.

    Raises ScoreError where it is the true answers of a fold that it is not defined for: no model would have a score there.
    """
    parts = constant_parts(work.competition, work.task, work.rows.ids, work.target, work.weight, split)
    try:
        return score_folds(work.metric, work.task, truth, by_repeat(split, parts), work.competition.config.post)[0]
    except ScoreError as error:
        if error.alike:
            raise
        return None


def constant_parts(competition: Competition, task: Any, ids: np.ndarray, target: np.ndarray, weight: np.ndarray | None, split: list[Fold]) -> list[Predictions]:
    """The same answer for all rows that a fold validates, of those that it trains on; nothing found, where a task has that.

    ids, target, weight  (n,) of the training rows
    """
    if hasattr(task, "nothing"):
        return [task.nothing(ids[fold.valid]) for fold in split]
    loss, options = competition.loss()
    setup = Setup(task=competition.config.output["task"], outputs=task.outputs, loss=loss, loss_options=options)
    parts = []
    for fold in split:
        model, own = Constant(setup), ids[fold.valid]
        model.fit(Examples(ids[fold.train], Features.of(len(fold.train)), target[fold.train], None if weight is None else weight[fold.train]), {})
        one = task.decode(own[:1], model.predict(Examples(own[:1], Features.of(1)))).rows.drop(columns="id")
        parts.append(Predictions.of(own, {name: pd.Series([values.iloc[0]] * len(own), dtype=values.dtype) for name, values in one.items()}))
    return parts


def weights_of(task: Any, metric: Metric, folders: list[Path]) -> list[float] | None:
    """What the models of these folders weigh: the same, unless the task picks the best of them; one of a fold without a score is the last choice."""
    if not task.picks or len(folders) < 2:
        return None
    sign = 1 if metric.greater_is_better else -1
    scores = [files.read_json(folder / "fold.json")["score"] for folder in folders]
    return best_of([-math.inf if score is None else sign * score for score in scores])


def best_of(scores: list[float]) -> list[float]:
    """1 for the first of the greatest, 0 for the others."""
    best = int(np.argmax(scores))
    return [float(n == best) for n in range(len(scores))]


def by_repeat(split: list[Fold], parts: list[Predictions]) -> list[list[Predictions]]:
    return [[p for f, p in zip(split, parts) if f.repeat == repeat] for repeat in sorted({f.repeat for f in split})]

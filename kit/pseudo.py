"""What a run answered for the test rows, as labels that another run learns from beside the true ones: of each fold, by the model of that fold.

Any other model was trained on rows that the fold validates, and would hand their answers on. So both runs must have the same folds, and
a source that was itself trained on such labels is as good as any: its model of a fold has not seen the fold's validated rows either.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from kit import files, folds_csv
from kit.competition import Competition
from kit.config import Training, read
from kit.encoders import Examples, Features
from kit.errors import ConfigError, RunError, bullets, shorten
from kit.folds import Fold
from kit.modelling import begun_with
from kit.predictions import Predictions
from kit.registry import options
from kit.runs import Run, listed, open_run
from kit.tables import Tables
from kit.tokens import Tokens

TASKS = ("binary", "multiclass", "regression")
_CLASSES = ("binary", "multiclass")
_TESTED = "test.parquet"  # of a fold's folder, and of the run's own: the mean of the folds


@dataclass(frozen=True)
class Labels:
    """
    rows    (m,) positions among the test rows
    target  (m,) or (m, targets), as the task encodes it
    """

    rows: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Pseudo:
    """
    source    the run whose answers they are
    weight    of such a row, where the labelled rows weigh 1 in the mean
    data      fingerprint of what the run begins with besides these answers
    folds     labels for each fold, from the source's model of that fold
    everyone  labels for a model of all rows, from the mean of the source's folds; None where there is none such
    """

    source: Path
    weight: float
    data: str
    folds: list[Labels]
    everyone: Labels | None

    def as_dict(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"source": str(self.source), "rows": [len(labels.rows) for labels in self.folds], "data": self.data}

    def exception(self, tested: int) -> str:
        """What was learned of the test rows, in words."""
        return f"{self._counted(tested)} were trained on, with labels that {self.source} gave them, in each fold its model of that fold"

    def told(self, tested: int) -> str:
        """One line for people."""
        return f"{self._counted(tested)} with labels of {self.source}, weight {self.weight:g}"

    def _counted(self, tested: int) -> str:
        counts = [len(labels.rows) for labels in self.folds]
        some = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0])
        return f"{some} of {tested} test rows"

    def below(self, examples: Examples, features: Features, labels: Labels, ids: np.ndarray) -> Examples:
        """The labelled examples, and below them the test rows with these labels.

        features, ids  of the test rows that have labels
        """
        weight = np.ones(len(examples)) if examples.weight is None else examples.weight
        return Examples(
            np.concatenate([examples.ids, ids]),
            _below(examples.features, features),
            np.concatenate([examples.target, labels.target.astype(examples.target.dtype)]),
            np.concatenate([weight, np.full(len(ids), self.weight * weight.mean())]),
        )


def source_of(competition: Competition) -> Run | None:
    """The run that train.pseudo names, or None. Raises ConfigError or RunError for what can be told before any data is read."""
    config = competition.config
    train, task = config.train, config.output["task"]
    if not train.get("pseudo"):  # a run made before there was such an option has none
        usual = {name: option.default for name, option in options(Training).items() if name.startswith("pseudo_")}
        idle = [f"train.{name} = {train[name]} does nothing without train.pseudo\nname a run there, or take it out" for name, value in usual.items() if train.get(name, value) != value]
        if idle:
            raise ConfigError(bullets(idle))
        return None
    problems = []
    if task not in TASKS or config.output.get("open_set"):
        what = "output.open_set = true" if task in TASKS else f'output.task = "{task}"'
        problems.append(f"train.pseudo: answers with {what} do not become labels; it serves {', '.join(TASKS)}, where each row has one answer\ntake it out")
    if not train["pseudo_weight"] > 0:
        problems.append(f"train.pseudo_weight = {train['pseudo_weight']}: expected a number above 0, where a labelled row weighs 1")
    if not 0 <= train["pseudo_confidence"] < 1:
        problems.append(f"train.pseudo_confidence = {train['pseudo_confidence']}: expected a probability, 0 or more and below 1")
    elif train["pseudo_confidence"] and task in TASKS and task not in _CLASSES:
        problems.append(f'train.pseudo_confidence: a prediction with output.task = "{task}" does not say how sure it is\ntake it out, and let train.pseudo_weight speak')
    if problems:
        raise ConfigError(bullets(problems))
    return _checked(_open(competition), competition)


def _open(competition: Competition) -> Run:
    named, runs = competition.config.train["pseudo"], competition.home / "runs"
    folder = runs / named if (runs / named).is_dir() else Path(named)
    if not (folder / "run.json").is_file():
        known = [run.name for run in listed(runs)]
        raise RunError(f'train.pseudo = "{named}" is no run: expected the name of one in {runs}, or its path\nthere are {shorten(known, 20) or "none yet: train one first"}')
    return open_run(folder)


def _checked(run: Run, competition: Competition) -> Run:
    """Raises RunError for a run that cannot have answered fold by fold."""
    what = f'train.pseudo = "{competition.config.train["pseudo"]}"'
    if run.info.get("competition") != competition.name:
        raise RunError(f"{what} is a run of {run.info.get('competition', 'nothing')}, and this is {competition.name}\nname a run of the same competition")
    if run.info["state"] != "finished":
        raise RunError(f"{what} is not finished ({run.info['state']})\ngive its training command again, and then this one")
    if "blended" in run.info:
        members = shorten(run.info["blended"]["runs"], 20)
        raise RunError(f"{what} is a blend, whose weights were found on all folds at once: it has no answer of one fold alone\nname one of its runs: {members}")
    return run


def files_of(source: Run | None) -> list[Path]:
    """What is read of the source: a run that learns from other answers is another run."""
    return [] if source is None else [path for path in (*sorted(source.folder.glob(f"fold-*/{_TESTED}")), source.folder / _TESTED) if path.is_file()]


def labels_of(source: Run, competition: Competition, held: list[Path], tables: Tables, task: Any, split: list[Fold]) -> Pseudo:
    """The source's answers as labels.

    held  the competition's data files
    Raises RunError, with all that is wrong, where the source has other folds, other data or other classes, or lacks a fold's answers.
    """
    what, asked = f'train.pseudo = "{competition.config.train["pseudo"]}"', competition.config
    ids, tested = (frame.index.to_numpy(dtype=object) for frame in (tables.train, tables.test))
    problems = []
    theirs = read(source.folder / "config.toml")
    before = source.info.get("pseudo", source.info)["data"]  # of one that has learned from answers itself, without these
    if before != files.fingerprint([*held, *begun_with(replace(competition, config=theirs))]):
        problems.append(f"{what} was trained on other data files, or on other weights than lie there now")
    if any(theirs.output[key] != asked.output[key] for key in ("task", "target")) or source.info["task"] != task.state():
        problems.append(f"{what} answers another question: its task, target or classes are not these")
    if not split or source.info["folds"] != folds_csv.fingerprint(ids, split):
        problems.append(f"{what} has other folds ({source.info['folds']}): its model of a fold may have seen rows that the fold validates here")
    paths = [source.folder / f"fold-{k}" / _TESTED for k in range(len(split))]
    if lacking := [path.parent.name for path in paths if not path.is_file()]:
        problems.append(f"{what} has no answers for the test rows by its models of {shorten(lacking, 10)}: they come with train.final=folds and all folds")
    if problems:
        raise RunError(bullets(problems) + f"\ntrain a source for this run: its command, with the same [score] folds and train.final=folds, for {competition.name}")
    sure = asked.train["pseudo_confidence"]
    paths += [source.folder / _TESTED] if asked.train["final"] in ("refit", "further") else []
    made = [_labels(Predictions.read(path), tested, task, asked.output["task"], sure) for path in paths]
    if empty := [path.parent.name for path, labels in zip(paths, made) if not len(labels.rows)]:
        raise RunError(f"train.pseudo_confidence = {sure}: of no test row are the answers of {source.name} that sure, those of {shorten(empty, 10)}\nlower it")
    data = files.fingerprint([*held, *begun_with(competition)])
    return Pseudo(source.folder, asked.train["pseudo_weight"], data, made[: len(split)], made[-1] if len(made) > len(split) else None)


def _labels(answers: Predictions, ids: np.ndarray, task: Any, name: str, least: float) -> Labels:
    """
    least  0..1, probability of a row's best class
    """
    frame = answers.aligned(ids)
    if name == "regression":
        values = task.to_mean_space(frame.to_numpy(dtype=np.float64))
        return Labels(np.arange(len(ids)), values[:, 0] if values.shape[1] == 1 else values)
    if name == "binary":
        p = frame["p"].to_numpy()
        best, sure = (p >= 0.5).astype(np.int64), np.maximum(p, 1 - p)
    elif "labels" in frame:  # the best of very many classes, the likeliest first
        place = {c: n for n, c in enumerate(task.classes)}
        best, sure = frame["labels"].map(lambda held: place[held[0]]).to_numpy(), frame["scores"].map(lambda held: held[0]).to_numpy(dtype=np.float64)
    else:
        p = frame[[f"p_{c}" for c in task.classes]].to_numpy()
        best, sure = p.argmax(axis=1), p.max(axis=1)
    rows = np.flatnonzero(sure >= least)
    return Labels(rows, best[rows])


def _below(above: Features, below: Features) -> Features:
    """The features of different rows, made by the same encoders, one below the other."""
    sparse = None if above.sparse is None else scipy.sparse.vstack([above.sparse, below.sparse], format="csr")
    media = {}
    for name, block in above.media.items():
        if isinstance(block, Tokens):
            media[name] = _texts(block, below.media[name])
        else:
            media[name] = replace(block, rows=np.concatenate([block.rows, below.media[name].rows]))
    return replace(above, dense=np.vstack([above.dense, below.dense]), codes=np.vstack([above.codes, below.codes]), sparse=sparse, media=media)


def _texts(above: Tokens, below: Tokens) -> Tokens:
    key = hashlib.sha256(f"{above.key} {below.key}".encode()).hexdigest()[:16]
    starts = np.append(above.starts, above.starts[-1] + below.starts[1:])
    ids, segments = (np.concatenate([getattr(part, name) for part in (above, below)]) for name in ("ids", "segments"))
    return replace(above, ids=ids, starts=starts, segments=segments, key=key)

"""The runs that can be selected, each scored on the same rows: scores out of fold and on the leaderboard, and how their errors go together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kit import config, files, runs
from kit.choosing import MIXED, first_folds
from kit.comparing import leaderboard, ratio_of
from kit.competition import Competition
from kit.divided import answers_by_fold, folded_truth
from kit.errors import KitError, RunError, ScoreError, shorten
from kit.honest import Nested, drawn_again, told
from kit.origins import learned_from
from kit.pipeline import UNSCORED
from kit.predictions import Predictions
from kit.runs import Run
from kit.scoring import Metric
from kit.stacking import Judge
from kit.tables import Tables

MOST = 30  # runs that rows are drawn again for: the best out of fold, and all that are on the leaderboard


@dataclass(frozen=True)
class Candidates:
    """
    own         (n,) scores out of fold on the same rows; None where no run has one
    shown       (n,) scores on the public leaderboard, nan where a run has none
    covariance  (n, n) of the errors of `own`
    folds       of each run its score on each of the same validated parts
    apart       (n, n) bool: whether two runs' submissions are different files
    rows        out-of-fold rows that all of them cover
    tested      rows of the submission
    same_folds  whether all have been trained on the same folds
    notes       which runs are left out, and why
    """

    runs: list[Run]
    metric: str
    greater_is_better: bool
    own: np.ndarray | None
    shown: np.ndarray
    covariance: np.ndarray
    folds: list[list[float]]
    apart: np.ndarray
    rows: int
    tested: int
    same_folds: bool
    notes: list[str]

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]


def candidates(competition: Competition, data: Path) -> Candidates:
    """
    data  the folder whose files the runs must have learned from: a run of a sample is none to select

    Raises RunError where no run can be selected.
    """
    found, metric = runs.listed(competition.home / "runs"), competition.metric()
    if not found:
        raise RunError(f"no runs of {competition.name} in {competition.home / 'runs'}\nkit train {competition.name}")
    notes: list[str] = []

    def keep(some: list[Run], claim: Callable[[Run], bool], why: str) -> list[Run]:
        left = [run.name for run in some if not claim(run)]
        notes.extend([f"note    left out, {why}: {shorten(left)}"] if left else [])
        return [run for run in some if run.name not in left]

    able = keep(found, lambda r: r.info.get("state") == "finished", "not finished")
    able = keep(able, lambda r: r.info["metric"] == metric.name, f"scored by another metric than {metric.name}")
    able = keep(able, lambda r: _of(r, data), f"made of other files than those in {data}")
    able = keep(able, lambda r: (r.folder / "submission.csv").is_file(), "without a submission.csv")
    scored = [run for run in able if run.info["score"] != UNSCORED]
    if scored:
        able = keep(able, lambda r: r in scored, "without an out-of-fold score")
        able = keep(able, lambda r: r.info["covered"] == r.info["validated"], "trained on a part of the folds")
    if not able:
        raise RunError(f"no run of {competition.name} can be selected\n" + "\n".join(note.removeprefix("note    ") for note in notes) + "\ntrain one on the competition's data")
    if not scored:
        return _gathered(able, metric, notes)
    return _scored(competition, data, able, metric, notes, keep)


def _of(run: Run, data: Path) -> bool:
    """Whether a run has learned from the files in this folder; one whose config is read no more has not."""
    try:
        return learned_from(run, data)
    except KitError:
        return False


def _gathered(able: list[Run], metric: Metric, notes: list[str], **more: Any) -> Candidates:
    marks = [files.digest(run.folder / "submission.csv") for run in able]
    blank: dict[str, Any] = {"own": None, "covariance": np.zeros((len(able),) * 2), "folds": [], "rows": 0, "same_folds": False}
    return Candidates(
        runs=able,
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        shown=np.array([public(run) for run in able]),
        apart=np.array([[a != b for b in marks] for a in marks]),
        tested=len(Predictions.read(able[0].folder / "test.parquet").ids),
        notes=notes,
        **(blank | more),
    )


def public(run: Run) -> float:
    """The run's score on the public leaderboard; nan without one. Raises RunError where run.json holds no number."""
    score, told_ = leaderboard(run), run.info.get("leaderboard")
    if isinstance(told_, dict):  # the private score is what is chosen for, and comes when the choice is made
        return float("nan") if told_.get("public") is None else leaderboard(replace(run, info=run.info | {"leaderboard": told_["public"]}))
    return float("nan") if score is None else score


def _scored(competition: Competition, data: Path, able: list[Run], metric: Metric, notes: list[str], keep: Callable) -> Candidates:
    adapter = competition.open_adapter(data)
    tables, task = adapter.tables(), adapter.task
    sign = 1 if metric.greater_is_better else -1
    parts = {run.name: Predictions.read(run.folder / "oof.parquet") for run in able}
    covers: dict[tuple[str, ...], list[str]] = {}
    for name, part in parts.items():
        covers.setdefault(tuple(part.ids), []).append(name)
    ids = max(covers, key=lambda rows: (len(covers[rows]), len(rows)))  # the rows that most runs cover
    able = keep(able, lambda r: parts[r.name].ids.tolist() == list(ids), f"predicted other rows out of fold than the {len(ids)} that most runs did")
    if answers_by_fold(task):
        same = max({r.info["folds"] for r in able}, key=lambda folds: sum(r.info["folds"] == folds for r in able))
        able = keep(able, lambda r: r.info["folds"] == same, "trained on other folds, by which other answers are right")
    kept = {r.name for r in sorted(able, key=lambda r: -sign * r.info["score"]["mean"])[:MOST]}
    able = keep(able, lambda r: r.name in kept or np.isfinite(public(r)), f"beyond the best {MOST}")
    same_folds = len({r.info["folds"] for r in able}) == 1 and able[0].info["folds"] != MIXED
    if not same_folds:
        notes.append("note    the runs were trained on different folds: all are scored on the parts of one of them, each by models that had not seen the row")
    judge = _judge(competition, tables, task, metric, able, np.array(ids, dtype=object))
    scored = [_told(replace(judge, options=config.read(run.folder / "config.toml").post), parts[run.name]) for run in able]
    return _gathered(
        able,
        metric,
        notes,
        own=np.array([n.score.mean for n in scored]),
        covariance=_covariance(judge, scored, able),
        folds=[n.score.folds for n in scored],
        rows=sum(len(own) for own in judge.counted),
        same_folds=same_folds,
    )


def _judge(competition: Competition, tables: Tables, task: Any, metric: Metric, able: list[Run], ids: np.ndarray) -> Judge:
    """By the parts that the first run's folds validate, in the first repeat."""
    everyone = tables.train.index.to_numpy(dtype=object)
    parted = first_folds(able, everyone)
    truth = folded_truth(competition, tables, task, parted).set_index("id", drop=False).loc[ids].reset_index(drop=True)
    place = {id: n for n, id in enumerate(ids)}
    parts = [np.array(sorted(place[id] for id in everyone[f.valid] if id in place), np.int64) for f in parted if f.repeat == 0]
    parts = [own for own in parts if len(own)]
    return Judge(task, metric, truth, parts if sum(map(len, parts)) == len(ids) else [np.arange(len(ids))], competition.config.post)


def _told(judge: Judge, oof: Predictions) -> Nested:
    return told(judge, oof, [oof])


def _covariance(judge: Judge, scored: list[Nested], able: list[Run]) -> np.ndarray:
    """(n, n) of the scores' errors: by rows drawn again, the same for all runs, so that what they have in common counts.

    Where the metric is not defined for half of the draws, by the scores of the same folds.
    """
    draws = drawn_again(judge, scored)
    if draws is not None:
        return np.atleast_2d(np.cov(draws.T))
    folds = np.array([n.score.folds for n in scored])
    path = next((run.folder / "folds.csv" for run in able if (run.folder / "folds.csv").is_file()), None)
    if folds.shape[1] < 2 or path is None:
        raise ScoreError(f"{judge.metric.name} is not defined for rows drawn again, and there is one validated part: how far scores are chance cannot be told\nuse folds with more parts: score.folds.count=5")
    return by_folds(folds, ratio_of(path))


def by_folds(scores: np.ndarray, ratio: float) -> np.ndarray:
    """(n, n) covariance of the means of scores on the same folds: (1 / J + ratio) times that of the scores (Nadeau and Bengio 2003).

    scores  (n, J) of n runs
    ratio   rows validated to rows trained on, of a fold
    """
    return np.atleast_2d(np.cov(scores)) * (1 / scores.shape[1] + ratio)

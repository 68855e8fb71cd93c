"""Runs become one: the plain or weighted mean of their predictions, by id, scored out of fold like any run.

The runs need not share folds, model or modality: they meet by id, through one contract.
"""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, folds_csv, runs
from kit.competition import Competition, resolved
from kit.divided import folded_truth
from kit.errors import RunError, bullets, shorten
from kit.fitting import Says, best_of
from kit.folds import Fold
from kit.pipeline import NO_SCORE, UNSCORED, score_line, write_submission
from kit.predictions import Predictions
from kit.runs import Run
from kit.scoring import Score, score_folds
from kit.tables import Tables

MIXED = "mixed"  # instead of the folds' hash, where the runs' folds differ


def blend(competition: Competition, data: Path, chosen: list[Run], weights: list[float], says: Says) -> Run:
    """A new run whose predictions are the mean of the chosen runs'.

    weights  one a run, or none for equal ones
    Raises RunError where a run is unfinished, of another competition, or covers other rows.
    """
    began = time.monotonic()
    weights = weights or [1.0] * len(chosen)
    _check(competition, chosen, weights)
    config = resolved(competition)
    blended = {"runs": [r.name for r in chosen], "weights": [float(w) for w in weights]}
    config = replace(config, model={"name": "blend", **blended})
    adapter, metric = competition.open_adapter(data), competition.metric()
    tables, task = adapter.tables(), adapter.task
    scored = [r for r in chosen if r.info["score"] != UNSCORED]
    if scored and len(scored) < len(chosen):
        lacking = shorten(r.name for r in chosen if r not in scored)
        raise RunError(f"{lacking} has no out-of-fold predictions: an unscored run blends with unscored ones only")
    with runs.started(competition.home / "runs", config, files.fingerprint(r.folder / "test.parquet" for r in chosen)) as run:
        run.save(
            competition=competition.name,
            folder=str(competition.folder),
            asked=[f"{r.name} x {w:g}" for r, w in zip(chosen, weights)],
            blended=blended,
            task=task.state(),
            layout=adapter.layout(metric.needs(task.gives)),
        )
        if task.picks and scored:
            sign = 1 if metric.greater_is_better else -1
            weights = best_of([sign * r.info["score"]["mean"] for r in chosen])
            says.progress("note    answers of this task have no mean: the best run's are taken")
        tested = _mean(task, [Predictions.read(r.folder / "test.parquet") for r in chosen], weights, "test", says)
        result = _scored(competition, tables, task, chosen, weights, run, says) if scored else dict(NO_SCORE)
        tested.write(run.folder / "test.parquet")
        write_submission(adapter, task, metric, tested, result["post"], run.folder / "submission.csv")
        run.save(
            state="finished",
            metric=metric.name,
            greater_is_better=metric.greater_is_better,
            **result,
            rows=len(tables.train),
            seconds=round(time.monotonic() - began, 2),
        )
        if not scored:
            says.result(f"cv      {metric.name} unscored: there are no labels")
    return run


def _scored(competition: Competition, tables: Tables, task: Any, chosen: list[Run], weights: list[float], run: Run, says: Says) -> dict[str, Any]:
    """The blend's out-of-fold rows, written and scored: what run.json says of it."""
    metric, config, ids = competition.metric(), competition.config, tables.train.index.to_numpy(dtype=object)
    oof = _mean(task, [Predictions.read(r.folder / "oof.parquet") for r in chosen], weights, "out-of-fold", says)
    split = _shared_folds(chosen, ids)
    parted = split or _first_folds(chosen, ids)
    truth = folded_truth(competition, tables, task, parted)
    score, post = score_folds(metric, task, truth, _parts(parted, oof, tables.train.index), config.post)
    if split:
        folds_csv.write(run.folder / "folds.csv", ids, split)
    oof.write(run.folder / "oof.parquet")
    for each, weight in zip(chosen, weights):
        says.result(f"run     {each.name:<24}{metric.name} {each.info['score']['mean']:.6g}  weight {weight:g}")
    sign = 1 if metric.greater_is_better else -1
    best = max(chosen, key=lambda r: sign * r.info["score"]["mean"])
    gain = sign * (score.mean - best.info["score"]["mean"])
    says.result(f"best    {best.name:<24}{metric.name} {best.info['score']['mean']:.6g}: the blend is {'better' if gain > 0 else 'no better'} ({gain:+.4g})")
    constant = chosen[0].info.get("constant")
    says.result(score_line(metric, score, None if constant is None else Score([constant], constant)))
    return {
        "score": score.as_dict(),
        "constant": constant,
        "post": post,
        "folds": chosen[0].info["folds"] if split else MIXED,
        "covered": len(oof.ids),
        "validated": max(r.info["validated"] for r in chosen),
    }


def _check(competition: Competition, chosen: list[Run], weights: list[float]) -> None:
    problems = []
    if len(chosen) < 2:
        problems.append(f"a blend needs two finished runs or more, and there are {len(chosen)}: train another model first")
    if len(weights) != len(chosen):
        problems.append(f"{len(weights)} weights for {len(chosen)} runs: give one for each")
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
        problems.append(f"weights {shorten(weights)}: expected finite numbers, none below zero, and one above")
    for run in chosen:
        if run.info.get("state") != "finished":
            problems.append(f"{run.name} is not finished: give its training command again")
        elif run.info["competition"] != competition.name:
            problems.append(f"{run.name} is a run of {run.info['competition']}, not of {competition.name}")
    if problems:
        raise RunError(bullets(problems))


def _mean(task, parts: list[Predictions], weights: list[float], what: str, says: Says) -> Predictions:
    shared = set(parts[0].ids).intersection(*(set(p.ids) for p in parts[1:]))
    if not shared:
        raise RunError(f"the runs share no {what} row\ndo they come from the same data?")
    beyond = max(len(p.ids) for p in parts) - len(shared)
    if beyond and what == "test":
        raise RunError(f"the runs predict different test rows: {beyond} are not in all of them\ntrain them on the same test file")
    if beyond:
        says.progress(f"note    {beyond} out-of-fold rows that not every run covers are left out of the score")
    return task.average([p.take(list(shared)) for p in parts], weights)


def _shared_folds(chosen: list[Run], ids: np.ndarray) -> list[Fold]:
    """The folds that all runs have in common; none where they differ."""
    if chosen[0].info["folds"] == MIXED or len({r.info["folds"] for r in chosen}) > 1:
        return []
    return folds_csv.read(chosen[0].folder / "folds.csv", ids)


def _first_folds(chosen: list[Run], ids: np.ndarray) -> list[Fold]:
    """Where folds differ, those of the first run that has any: a threshold must not be scored on the rows that it was fitted on."""
    first = next((r for r in chosen if r.info["folds"] != MIXED), None)
    return [] if first is None else folds_csv.read(first.folder / "folds.csv", ids)


def _parts(split: list[Fold], oof: Predictions, ids: pd.Index) -> list[list[Predictions]]:
    """The blend's out-of-fold rows by the parts that the first repeat validates; one part where no run has folds."""
    parts = [oof.take(ids[f.valid]) for f in split if f.repeat == 0]
    return [[p for p in parts if len(p.ids)] or [oof]]


def best_of_each(found: list[Run]) -> list[Run]:
    """The best finished run of each model that covers all rows that its folds validate; blends, and what is not better than the constant, are left out."""
    best: dict[str, Run] = {}
    for run in found:
        model = run.name.split("-", 1)[1]
        if run.info["state"] != "finished" or model == "blend" or run.info.get("score", UNSCORED) == UNSCORED or run.info["covered"] < run.info["validated"]:
            continue
        sign, constant = 1 if run.info["greater_is_better"] else -1, run.info["constant"]
        if constant is not None and sign * run.info["score"]["mean"] <= sign * constant:
            continue
        if model not in best or sign * run.info["score"]["mean"] > sign * best[model].info["score"]["mean"]:
            best[model] = run
    return list(best.values())

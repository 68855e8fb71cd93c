"""Which runs are blended: those that are named, or the best of each model, and what of them is one model with several seeds."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kit import folds_csv
from kit.config import read
from kit.errors import RunError, bullets, shorten
from kit.folds import Fold
from kit.pipeline import UNSCORED
from kit.runs import Run, open_run

MIXED = "mixed"  # instead of the folds' hash, where the runs' folds differ


def check(competition: str, chosen: list[Run], weights: list[float], method: str, methods: list[str]) -> None:
    """Raises RunError with all that is wrong with a choice."""
    problems = []
    if method not in methods:
        problems.append(f'no method "{method}": {", ".join(methods)}')
    if weights and method != "mean":
        problems.append(f"weights {shorten(weights)} are given, and {method} finds its own: leave out one of the two")
    if len(chosen) < 2:
        problems.append(f"a blend needs two finished runs or more, and there are {len(chosen)}: train another model first")
    if weights and len(weights) != len(chosen):
        problems.append(f"{len(weights)} weights for {len(chosen)} runs: give one for each")
    if weights and (not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights)):
        problems.append(f"weights {shorten(weights)}: expected finite numbers, none below zero, and one above")
    unfinished = [r for r in chosen if r.info.get("state") != "finished"]
    problems += [f"{r.name} is not finished: give its training command again" for r in unfinished]
    problems += [f"{r.name} is a run of {r.info['competition']}, not of {competition}" for r in chosen if r not in unfinished and r.info["competition"] != competition]
    if problems:
        raise RunError(bullets(problems))
    scored = [r for r in chosen if r.info["score"] != UNSCORED]
    if scored and len(scored) < len(chosen):
        lacking = shorten(r.name for r in chosen if r not in scored)
        raise RunError(f"{lacking} has no out-of-fold predictions: an unscored run blends with unscored ones only")
    if not scored and method != "mean":
        raise RunError(f"there are no labels to find weights by: {method} needs runs with a score\nblend them equally, with --method mean")


def best_of_each(found: list[Run], metric: Any = None, progress: Callable[[str], None] = lambda line: None) -> list[Run]:
    """The best finished run of each model that covers all rows that its folds validate, and those that differ from it by their seed alone.

    metric  of the resolved config, with its options: runs of another are left out, as their scores cannot be compared. Where no run has it, or it is
            None, the metric of most runs, of as many the first run's
    Blends, and what is not better than the constant, are left out.
    """
    able: list[Run] = []
    best: dict[str, Run] = {}
    for run in found:
        model = _model(run)
        if run.info["state"] != "finished" or model == "blend" or run.info.get("score", UNSCORED) == UNSCORED or run.info["covered"] < run.info["validated"]:
            continue
        sign, constant = 1 if run.info["greater_is_better"] else -1, run.info["constant"]
        if constant is not None and sign * run.info["score"]["mean"] <= sign * constant:
            continue
        able.append(run)
    able = _of_one_metric(able, metric, progress)
    for run in able:
        model, sign = _model(run), 1 if run.info["greater_is_better"] else -1
        if model not in best or sign * run.info["score"]["mean"] > sign * best[model].info["score"]["mean"]:
            best[model] = run
    kept = []
    for run in best.values():
        seeds = {run.info.get("seed")}
        kept.append(run)
        for other in able:
            if _model(other) == _model(run) and other.info.get("seed") not in seeds and _recipe(other) == _recipe(run):
                seeds.add(other.info.get("seed"))
                kept.append(other)
    return kept


def _of_one_metric(able: list[Run], metric: Any, progress: Callable[[str], None]) -> list[Run]:
    named = [json.dumps(_metric(run), sort_keys=True) for run in able]
    wanted = json.dumps(metric, sort_keys=True)
    if able and wanted not in named:
        wanted = Counter(named).most_common(1)[0][0]
    if left := [run.name for run, name in zip(able, named) if name != wanted]:
        told = json.loads(wanted)
        called = told["name"] if isinstance(told, dict) and len(told) == 1 else wanted
        progress(f"note    left out, scored by another metric than {called}: {shorten(left)}")
    return [run for run, name in zip(able, named) if name == wanted]


def _metric(run: Run) -> Any:
    """What the run's config says of its metric; its name alone for a folder without a config."""
    path = run.folder / "config.toml"
    return read(path).score["metric"] if path.is_file() else run.info.get("metric")


def by_seed(chosen: list[Run]) -> list[list[int]]:
    """Positions of the runs, those together that differ by their seed alone."""
    found: dict[str, list[int]] = {}
    for n, run in enumerate(chosen):
        found.setdefault(_recipe(run) or run.name, []).append(n)
    return list(found.values())


def shares(chosen: list[Run]) -> list[float]:
    """A weight each, so that a model counts once, however many seeds it has."""
    weights = np.ones(len(chosen))
    for own in by_seed(chosen):
        weights[own] = 1 / len(own)
    return weights.tolist()


def _model(run: Run) -> str:
    return run.name.split("-", 1)[1]


def _recipe(run: Run) -> str:
    """The run's resolved config without its seed and how long it could search, which the clock decides; "" for a folder without one, and for a blend."""
    path = run.folder / "config.toml"
    if not path.is_file() or "blended" in run.info:
        return ""
    config = read(path)
    model, train = ({k: v for k, v in own.items() if k not in left} for own, left in ((config.model, ("seconds",)), (config.train, ("seed", "threads"))))
    told = replace(config, model=model, train=train).as_dict()
    return json.dumps([told, run.info.get("data")], sort_keys=True, default=str)


def shared_folds(chosen: list[Run], ids: np.ndarray) -> list[Fold]:
    """The folds that all runs have in common; none where they differ."""
    if chosen[0].info["folds"] == MIXED or len({r.info["folds"] for r in chosen}) > 1:
        return []
    return folds_csv.read(chosen[0].folder / "folds.csv", ids)


def first_folds(chosen: list[Run], ids: np.ndarray) -> list[Fold]:
    """Where folds differ, those of the first run that has any, or of what it is made of: nothing must be scored on the rows that it was fitted on."""
    for run in chosen:
        if run.info["folds"] != MIXED:
            return folds_csv.read(run.folder / "folds.csv", ids)
    return first_folds([open_run(chosen[0].folder.parent / name) for name in chosen[0].info["blended"]["runs"]], ids)

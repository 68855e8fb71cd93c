"""Training: the whole flow, read from top to bottom.

tables -> folds -> encoders -> model -> predictions -> metric -> post-processing fitted on out-of-fold -> submission -> checks
"""

import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from kit import files, folds, folds_csv, reporting, runs, submission
from kit.adapters.tabular import Tabular
from kit.competition import Competition, resolved
from kit.divided import divided
from kit.errors import shorten
from kit.fitting import Says, Work, by_repeat, codes, constant_score, encoded, encoders_of, fold_predictions, is_exact, refitted, weights_of
from kit.folds import Fold
from kit.modelling import WANTS_SEARCH, begun_with, found_by, model_of, search_of, seen_before
from kit.predictions import Predictions
from kit.pseudo import files_of, labels_of, source_of
from kit.registry import needed
from kit.runs import Run
from kit.scoring import Metric, Score, pooled, score_folds
from kit.tables import Column
from kit.unlabelled import Learned

UNLABELLED = "unlabelled"  # folder of a run: the network that made columns for it
UNSCORED = "unscored"  # in run.json, where there are no labels
NO_SCORE = {"score": UNSCORED, "constant": None, "post": {}, "folds": UNSCORED, "covered": 0, "validated": 0}


def train(competition: Competition, data: Path, says: Says, *, anew: bool = True) -> Run:
    """One run: every fold fitted, out-of-fold rows scored, a checked submission written. Goes on where the same command stopped.

    anew  whether it is trained again where it is finished; a finished one that no blend has yet is given otherwise
    """
    began = time.monotonic()
    config = resolved(competition)
    competition = replace(competition, config=config)
    adapter, metric = competition.open_adapter(data), competition.metric()
    model = model_of(competition, adapter.task, says.progress, None)  # refuses a loss that it does not know before any data is read
    if hasattr(model, "ready"):
        model.ready()
    learned, source = _learned(competition), source_of(competition)
    tables = adapter.tables()
    adapter.check_sample(tables.test.index)
    task = adapter.task
    rows, split, truth = divided(competition, tables, task, says.progress)
    schema = tables.schema if learned is None else learned.schema(tables.schema)  # refuses columns that it has not learned from
    pseudo = None if source is None else labels_of(source, competition, adapter.files(), tables, task, split)
    data_files = [*adapter.files(), *begun_with(competition), *files_of(source)]
    if not anew and (done := runs.unblended(competition.home / "runs", config, files.fingerprint(data_files))):
        says.result(f"run     {done.name} is this one, and finished")
        return done
    with threadpool_limits(config.train["threads"], "blas"), runs.started(competition.home / "runs", config, files.fingerprint(data_files)) as run:
        work = Work.of(competition, task, metric, tables, rows, run, says, pseudo)
        _announce(work, split)
        work.gather(model)
        if learned is not None:
            learned.copy(run.folder / UNLABELLED)
            sides = [side for side in ("train", "test", "gallery") if getattr(work.tables, side) is not None]
            work.tables = replace(work.tables, schema=schema, **{side: learned.beside(getattr(work.tables, side), config.train["threads"]) for side in sides})
            work.result(f"columns {len(learned.names)} more, learned without labels: {learned.source}")
        labelled = []
        if pseudo is not None:
            work.result(f"pseudo  {pseudo.told(len(tables.test))}")
            run.save(pseudo=pseudo.as_dict())
            labelled.append(pseudo.exception(len(tables.test)))
        work.competition = _measured(work, split[0].train if split else np.arange(len(rows.ids)))
        run.save(
            competition=competition.name,
            folder=str(competition.folder),
            asked=list(competition.asked),
            task=task.state(),
            schema=_as_json(tables.schema),
            exceptions=[*adapter.exceptions, *([learned.exception] if learned is not None else []), *seen_before(competition, learned is not None), *_gallery_seen(work), *_counts_known(work), *labelled],
            layout=adapter.layout(metric.needs(task.gives)),
            flags=reporting.flags(competition, data),
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
            held=run.held(),
            rows=len(rows.ids),
            seconds=round(time.monotonic() - began, 2),
            peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        )
        reporting.write(run, competition, reporting.Data(task, metric, tables, truth), work.progress)
    return run


def _scored(work: Work, split: list[Fold], truth: pd.DataFrame) -> dict[str, Any]:
    """All folds fitted and scored: what run.json says of it, and `tested`, the predictions for the test rows."""
    run, task, metric, config = work.run, work.task, work.metric, work.competition.config
    wanted = range(len(split)) if config.train["fold"] < 0 else [config.train["fold"]]
    final = config.train["final"] if config.train["fold"] < 0 else "folds"
    constant = None if work.searches else constant_score(work, [split[k] for k in wanted], truth)  # first: what cannot be scored is not trained
    validated, tested = [], []
    for k in wanted:
        last = final == "folds" or (final == "last" and k == len(split) - 1)
        validated.append(fold_predictions(work, split[k], k, truth, test=last))
        tested += [run.folder / f"fold-{k}"] if last else []
    if final in ("refit", "further"):
        tested = [refitted(work, run.folder / "fold-0" if final == "further" else None)]
    answers = _answered(work, tested)
    repeated = by_repeat([split[k] for k in wanted], validated)
    score, post = score_folds(metric, task, truth, repeated, config.post)
    oof = pooled(task, repeated)
    oof.write(run.folder / "oof.parquet")
    if post:
        known = truth.set_index("id", drop=False).loc[oof.ids].reset_index(drop=True)
        on = "of all folds at once" if len(validated) > 1 else "on the rows that it was fitted on: there is one fold"
        work.result(f"post    {metric.name} {metric.score(task, known, oof, {}):.6g} before, {score.pooled:.6g} after, {on}")
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
    tested = _answered(work, [refitted(work)])
    work.result(f"cv      {work.metric.name} unscored: there are no labels")
    return {"tested": tested, **NO_SCORE}


def _answered(work: Work, folders: list[Path]) -> Predictions:
    """The test rows' predictions by the models of these folders."""
    if work.searches:
        return found_by(work.competition, work.task, folders)
    return work.task.average([Predictions.read(folder / "test.parquet") for folder in folders], weights_of(work.task, work.metric, folders))


def _search_gains(work: Work, folders: list[Path], truth: pd.DataFrame) -> dict[str, Any]:
    """What each step of the search brings, out of fold."""
    retrieving, search = needed("kit.retrieving", WANTS_SEARCH), search_of(work.competition)
    if not search.steps:
        return {}
    validated = [retrieving.Validated.open(folder, codes(work)) for folder in folders]
    steps = retrieving.gains(search, work.task, work.metric, truth, validated)
    work.result("search  " + ", ".join(f"{name} {score:.4f}" for name, score in steps.items()))
    return {"search": steps}


def _gallery_seen(work: Work) -> list[str]:
    if not work.searches or not (steps := search_of(work.competition).steps):
        return []
    return [f"the search's {' and '.join(steps)} are made from the rows of the gallery, which are test rows, without labels"]


def _counts_known(work: Work) -> list[str]:
    if not is_exact(work.competition):
        return []
    return ["the predictions of all test rows are moved together to the counts of classes that the host tells, and those of validated rows to their own counts"]


def _learned(competition: Competition) -> Learned | None:
    path = competition.columns_from()
    return None if path is None else Learned.open(path)


def _measured(work: Work, train: np.ndarray) -> Competition:
    """The competition with what its model measures on this machine, once for a run: frozen in its config from then on."""
    config, run = work.competition.config, work.run
    if "measured" not in run.info:
        model = model_of(work.competition, work.task, work.progress)
        found = {}
        if hasattr(model, "measure") and work.target is not None:
            encoders = encoders_of(work)
            found = model.measure(encoded(work, encoders, train))
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
    submission.check(frame, id_columns, columns, adapter.submission_ids(tested.ids), many=adapter.many_rows)
    submission.write(frame, path)


def _as_json(schema: dict[str, Column]) -> dict[str, list[str]]:
    return {name: [column.kind, column.date_format] for name, column in schema.items()}

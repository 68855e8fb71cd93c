"""Rows divided into folds, and what each of them should give where it is validated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from kit import alike, folds
from kit.competition import Competition
from kit.errors import ConfigError, DataError, did_you_mean, shorten
from kit.folds import Fold, Rows
from kit.tables import WEIGHT, Tables, infer_kind, weights


def divided(competition: Competition, tables: Tables, task: Any, progress: Callable[[str], None] = lambda line: None) -> tuple[Rows, list[Fold], pd.DataFrame | None]:
    """(rows, folds, what each validated row should give): no folds where there are no labels."""
    config = competition.config
    if tables.truth is None:
        return Rows(ids=tables.train.index.to_numpy(dtype=object)), [], None
    scheme, options = competition.folds()
    if config.score.get("alike"):
        if "group" in tables.roles:
            raise ConfigError("score.alike makes groups, and input.columns.group names others\ntake one of them out")
        made = alike.groups(competition, tables, task.encode(tables.truth), config.score["alike"], progress)
        tables = replace(tables, roles={**tables.roles, "group": pd.Series(made, index=tables.train.index)})
    rows = split_rows(tables, task, scheme)
    split = folds.split(rows, scheme=scheme, **options)
    if config.train.get("fold", -1) >= len(split):
        raise ConfigError(f"there is no fold {config.train['fold']}: {scheme} makes folds 0 to {len(split) - 1}")
    if config.train.get("final") == "further" and config.train.get("fold", -1) < 0 and len(split) != 1:
        raise ConfigError(f'train.final = "further" goes on with the network of the only fold, and there are {len(split)}\nset it to "refit", or score.folds to a scheme of one fold')
    if answers_by_fold(task):
        if max(fold.repeat for fold in split):
            raise ConfigError("score.folds.repeats: what a row should find depends on its fold, so that there can be one split only\nset repeats = 1")
        known = task.encode(tables.truth) >= 0  # rows of no class are validated, and never learned from
        split = [replace(fold, train=fold.train[known[fold.train]]) for fold in split]
    return rows, split, folded_truth(competition, tables, task, split)


def folded_truth(competition: Competition, tables: Tables, task: Any, split: list[Fold]) -> pd.DataFrame:
    """What each training row should give, with the weights that the metric gives it, where it is validated by these folds."""
    config = competition.config
    truth = weighted_truth(tables, config.score.get("weight", ""))
    if config.score.get("exact") and task.lists_best:
        raise ConfigError(f"score.exact = true: of {len(task.classes)} classes a prediction lists the best alone, and what is left out has no sum\ntake it out; score.prior serves lists, too")
    if config.score.get("prior"):
        truth = expected(task, truth, tables.truth, split, config.score["prior"])
    return task.out_of_fold(truth, split) if answers_by_fold(task) else truth


def answers_by_fold(task: Any) -> bool:
    """Whether what is right for a validated row depends on its fold: of an open set, and where rows are searched for among one another."""
    return getattr(task, "by_fold", False)


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

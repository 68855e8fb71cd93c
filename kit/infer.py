"""Reads a folder that nobody described: which columns are id and target, what is asked, and how it may be scored.

Every claim carries its evidence, and what the files cannot settle is marked as a guess.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.config import Config, part
from kit.discover import Finding, Inferred, Table, fits, hint, joined, one_line, roles, tables
from kit.errors import DataError, KitError, did_you_mean, shorten
from kit.media import beside, pack_pixels
from kit.reading import read
from kit.registry import find
from kit.tables import infer_kind
from kit.tasks.binary import POSITIVE

FEW_CLASSES, LEAST_ROWS = 20, 5  # whole numbers are taken for classes up to so many, and where the rarest has so many rows
SEPARATORS = (" ", ",", ";", "|")
UNKNOWN = r"(new|unknown|unseen|none|other|no|not)([_ -]|$)"  # how labels begin that are of no class
METRICS = {  # task -> the guess where answers are labels, and where they are probabilities
    "binary": ("accuracy", "auc"),
    "multiclass": ("accuracy", "log_loss"),
    "multilabel": ("f1_micro", "auc"),
    "regression": ("rmse", "rmse"),
}


def infer(data: Path, given: Config) -> Inferred:
    """What the files say, with what `given` already settles. Raises KitError where several readings remain, saying what to give."""
    form = {k: given.input[k] for k in ("separator", "encoding") if k in given.input}
    known, ignored = tables(data, form)
    told = as_list(given.output.get("target"))
    train, test, sample = roles(known, ignored, given, told, data, form)
    cells = read(data / sample.name, text=None, **form) if sample else None
    keys = (
        as_list(given.input["id"]) if "id" in given.input else [c for c in cells if c in test.columns and c not in told] if sample else []
    )
    frames = [read(data / t.name, text=[c for c in keys if c in t.columns], **form) for t in (train, test)]
    for table, frame in zip((train, test), frames):
        if not len(frame):
            raise DataError(f"{table.name} has a header and no rows")
    found = Inferred(*frames)
    found.input = {"train": train.name, "test": test.name}
    sure = sample is None or told or hint("sample", sample.name) or fits(sample, train, test, told) == 3
    if not sure and not _is_sample(cells, frames[1], keys):
        ignored[sample.name], sample, cells, keys = "its columns fit neither train nor test", None, None, []
    _say_files(found, train, test, sample, cells)
    if sample:
        found.input["sample_submission"] = sample.name
    _id(found, given, keys, cells)
    say_target(found, given, told, cells, train, test, sample)
    pack_pixels(found)
    ignored |= {t.name: "" for t in known if t not in (train, test, sample)}
    folders = sorted(p.name + "/" for p in data.iterdir() if p.is_dir())
    media = beside(found, data)
    others = [f"{one_line(n)}{f' ({why})' if why else ''}" for n, why in ignored.items()] + [f for f in folders if f not in media]
    if others:
        found.findings.append(Finding("ignored", shorten(others, 8), ""))
    return found


def _say_files(found: Inferred, train: Table, test: Table, sample: Table | None, cells: pd.DataFrame | None) -> None:
    only = [c for c in train.columns if c not in test.columns]
    has = f"{len(found.train)} rows, " + (f"has {shorten(only, 3)}, which {test.name} lacks" if only else f"{len(train.columns)} columns")
    found.findings.append(Finding("train", train.name, has, "input.train"))
    foreign = [c for c in test.columns if c not in train.columns]
    more = f"; {shorten(foreign, 3)} left out, as {train.name} lacks it" if foreign else ""
    shared = len(test.columns) - len(foreign)
    found.findings.append(
        Finding("test", test.name, f"{len(found.test)} rows, {shared} columns shared with {train.name}{more}", "input.test")
    )
    if sample:
        found.findings.append(
            Finding("sample", sample.name, f"{len(cells)} rows, columns {shorten(sample.columns, 6)}", "input.sample_submission")
        )


def _is_sample(cells: pd.DataFrame, test: pd.DataFrame, keys: list[str]) -> bool:
    """A file whose name says nothing and whose answers train does not name: its ids must be the test's."""
    return bool(keys) and len(cells) == len(test) and set(joined(cells, keys)) == set(joined(test, keys))


# --- id --------------------------------------------------------------------------------------------------------------------------


def _unique(frame: pd.DataFrame, columns: list[str]) -> bool:
    return not frame[columns].duplicated().any() and not frame[columns].isna().any(axis=None)


def _id(found: Inferred, given: Config, keys: list[str], cells: pd.DataFrame | None) -> None:
    train, test = found.train, found.test
    sample_file = found.input.get("sample_submission", "")
    by_position = bool(given.input.get("id_by_position"))
    if "id" in given.input:
        evidence = "as given"
    elif cells is None:
        named = [c for c in test if c in train and (c == test.columns[0] or "id" in words(c)) and not pd.api.types.is_float_dtype(test[c])]
        likely = [c for c in named if infer_kind(test[c]).kind != "date" and _unique(train, [c]) and _unique(test, [c])]
        keys = sorted(likely, key=lambda c: c.lower() != "id")[:1]
        evidence = "a different value in each row of train and of test" if keys else "no column names the rows, and there is no sample"
    elif keys:
        _check_sample_ids(found, keys, cells)
        evidence = f"in {sample_file} and {found.input['test']}, the same {len(cells)} values"
        evidence += "; unique only together" if len(keys) > 1 else ""
    else:
        named, first = set(cells.iloc[:, 0]), cells.columns[0]
        keys = [c for c in test if c in train and len(cells) == len(test) and set(test[c].astype("str").fillna("")) == named][:1]
        evidence = f"its values are those of {first} in {sample_file}"
        if not keys:
            if len(cells) != len(test):
                raise KitError(
                    f"no column of {found.input['test']} ({len(test)} rows) holds the ids of {sample_file} ({len(cells)} rows of {first})\n"
                    "name the id with input.id=NAME, or other files with input.test=FILE input.sample_submission=FILE"
                )
            keys, by_position = [first], True
            evidence = f"{found.input['test']} has none and as many rows ({len(test)}) as {sample_file}: the n-th row has the n-th id"
    here = [c for c in keys if c in train]
    if keys and len(here) == len(keys) and not _unique(train, keys):
        twice = int(train[keys].duplicated().sum())
        raise KitError(
            f"{', '.join(keys)} does not name a row of {found.input['train']}: {twice} rows repeat the id of another\n"
            'name the columns that do together with input.id=\'["A", "B"]\', or input.id="" if there are none'
        )
    if keys and not here and not by_position:
        by_position = True  # lets training rows go without
        evidence += f"; {found.input['train']} has none, and needs none"
    found.id = keys
    found.input["id"] = keys[0] if len(keys) == 1 else keys or ""
    if by_position:
        found.input["id_by_position"] = True
    found.findings.append(Finding("id", ", ".join(keys) or "none", evidence, "input.id"))


def _check_sample_ids(found: Inferred, keys: list[str], cells: pd.DataFrame) -> None:
    asked, there = joined(cells, keys), joined(found.test, keys)
    name, test = found.input["sample_submission"], found.input["test"]
    if len(set(asked)) < len(asked):
        raise KitError(
            f"{name} repeats {len(asked) - len(set(asked))} ids: {', '.join(keys)} does not name its rows\nname the id with input.id=NAME"
        )
    unknown = set(asked) - set(there)
    if unknown or len(set(there)) > len(set(asked)):
        raise KitError(
            f"{name} and {test} have other ids in {', '.join(keys)}: "
            f"{len(unknown)} are in the sample alone, {len(set(there) - set(asked))} in the test alone\n"
            "name the id with input.id=NAME, or the files with input.test=FILE input.sample_submission=FILE"
        )


def words(name: str) -> list[str]:
    """ "PassengerId" and "passenger_id" are passenger, id."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


# --- target, task and metric -----------------------------------------------------------------------------------------------------


def as_list(value: Any) -> list[str]:
    return [] if not value else [value] if isinstance(value, str) else list(value)


def say_target(
    found: Inferred, given: Config, told: list[str], cells: pd.DataFrame | None, train: Table, test: Table, sample: Table | None
) -> None:
    only_train = [c for c in train.columns if c not in test.columns and c not in found.id]
    answers = [c for c in cells if c not in found.id][0 if not found.id or found.id[0] in cells else 1 :] if cells is not None else []
    wide, separator = False, ""
    if told:
        targets, why = told, "as given"
        wide = len(answers) > 1 and len(told) == 1
    elif answers and set(answers) <= set(train.columns):
        targets, why = answers, f"in {sample.name} and {train.name}, not in {test.name}"
    elif len(answers) == 1 and len(only_train) == 1:
        targets, why = only_train, f"in {train.name}, not in {test.name}; {sample.name} calls it {answers[0]}"
    elif len(answers) > 1 and not set(answers) & set(train.columns):
        column, separator = _column_of_classes(found.train, only_train, answers)
        if not column:
            raise KitError(
                f"{sample.name} has columns {shorten(answers)}, which are neither columns of {train.name} nor the values of one\n"
                "give the answer's column and kind: output.target=NAME output.task=TASK"
            )
        targets, wide = [column], True
        why = f"its values in {train.name} are the columns of {sample.name}: {shorten(answers, 6)}"
    elif not answers and len(only_train) == 1:
        targets, why = only_train, f"the one column of {train.name} that {test.name} lacks; there is no sample"
    else:
        seen = f"{sample.name} has {shorten(answers)}" if sample else "there is no sample submission"
        lies = f"{len(only_train)} columns are in {train.name} and not in {test.name}: {shorten(only_train, 10)}"
        example = one_line(only_train[-1] if only_train else train.columns[-1])
        raise KitError(
            f"which column is the target? {one_line(lies)}\n{one_line(seen)}\n"
            f"give it: output.target={example} output.task=binary (or multiclass, multilabel, regression)"
        )
    lacking = [c for c in targets if c not in found.train]
    if lacking:
        raise KitError(f'output.target: {train.name} has no column "{lacking[0]}"{did_you_mean(lacking[0], found.train.columns)}')
    values = [c for c in answers if c in (cells.columns if cells is not None else [])]
    asked = pd.to_numeric(cells[values].stack(), errors="coerce").dropna() if values else pd.Series(dtype=float)
    fractional = bool((asked % 1 != 0).any())
    found.targets = targets
    found.findings.append(Finding("target", shorten(targets), why, "output.target"))
    confident = sample is not None and len(values) == len(targets) == 1 and _with_confidence(cells[values[0]], found.train[targets[0]])
    task, reason, guess, options = _task(found, given, targets, wide, separator, fractional)
    if confident and not given.output.get("task"):
        task, reason, guess = "multiclass", f"{sample.name} holds a label and a number, which is how sure it is", False
    found.output = {"target": targets[0] if len(targets) == 1 else targets, "task": task, **options}
    found.findings.append(Finding("task", task, reason, "output.task", guess))
    if task == "binary" and "positive" not in found.output:
        say_positive(found, targets[0])
    listed = labels_in_a_cell(cells[values[0]]) if len(values) == 1 and task == "multiclass" else 1
    if len(values) == 1 and task == "multiclass":
        say_open_set(found, given, spelled(found.train[targets[0]]), cells[values[0]], sample, confident)
    if confident and not given.score.get("metric"):
        found.score["metric"] = "gap"
        found.findings.append(Finding("metric", "gap", "usual for labels with their confidence", "score.metric", True))
    else:
        say_metric(found, given, task, wide or fractional, sample, fractional, asked, listed)


def _with_confidence(cells: pd.Series, answers: pd.Series) -> bool:
    """Whether a sample's cells hold a label of the training rows and a number, such as "8815 0.03"; some may be blank."""
    filled = cells.dropna()[lambda text: text != ""].str.split()
    known = set(spelled(answers))
    return bool(len(filled)) and all(len(words) == 2 and words[0] in known and re.fullmatch(r"\d*\.\d+|[01](e-?\d+)?", words[1]) for words in filled)


def say_open_set(found: Inferred, given: Config, labels: pd.Series, cells: pd.Series, sample: Table, confident: bool) -> None:
    """Whether rows may be of no class: blanks beside confidences, or a label that says so in the training rows and in the sample."""
    if "open_set" in given.output:
        return
    asked = {word for cell in cells.dropna() for word in cell.split()}
    unknown = sorted(label for label in set(labels) & asked if re.match(UNKNOWN, label.lower()))
    if not confident and len(unknown) != 1:
        return
    found.output |= {"open_set": True} | ({"cells": "label_confidence"} if confident else {"unknown": unknown[0]})
    why = f"an answer in {sample.name} says how sure it is" if confident else f'"{unknown[0]}" sounds like none of the others'
    found.findings.append(Finding("open set", "rows may be of no class", f"{why}; output.open_set=false if not", "output.open_set", True))
    if not given.score.get("folds"):
        found.score["folds"] = {"scheme": "open_set", "count": 5}
        found.findings.append(Finding("folds", "open_set, 5", "three in ten validated rows are of classes that no training row has", "score.folds", True))


def labels_in_a_cell(cells: pd.Series) -> int:
    """Labels in a cell of a sample submission."""
    return int(cells.str.split().str.len().max())


def say_positive(found: Inferred, target: str) -> None:
    """Names the class that probabilities are of, where 1, yes or true does not say it: the rarer one, as most competitions ask."""
    counts = spelled(found.train[target]).value_counts()
    if not any(str(c).lower() in POSITIVE for c in counts.index):
        rarer = str(counts.index[-1])
        found.output["positive"] = rarer
        why = f"the rarer class ({counts.iloc[-1]} of {counts.sum()} rows); output.positive=... changes it"
        found.findings.append(Finding("positive", one_line(rarer), why, "output.positive", True))


def _column_of_classes(train: pd.DataFrame, only_train: list[str], answers: list[str]) -> tuple[str, str]:
    """The column whose values, or whose labels within a cell, are these names; and what is between such labels."""
    for column in only_train:
        values = set(spelled(train[column]))
        if values <= set(answers) or set(answers) <= values:
            return column, ""
        if not pd.api.types.is_numeric_dtype(train[column]) and len(values) < 100_000:
            for separator in SEPARATORS:
                if {label for cell in values for label in cell.split(separator) if label} == set(answers):
                    return column, separator
    return "", ""


def spelled(values: pd.Series) -> pd.Series:
    """Filled values as text, whole numbers without a point."""
    values = values.dropna()
    if pd.api.types.is_float_dtype(values) and (values % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str")[lambda text: text != ""]


def _task(
    found: Inferred, given: Config, targets: list[str], wide: bool, separator: str, fractional: bool
) -> tuple[str, str, bool, dict[str, Any]]:
    """(task, evidence, whether it is a guess, options of the task)."""
    options = {k: v for k, v in given.output.items() if k not in ("target", "task")}
    if given.output.get("task"):
        return given.output["task"], "as given", False, options
    possible = _possible(given)
    if len(targets) > 1:
        zero_one = all(set(spelled(found.train[c]).unique()) <= {"0", "1"} for c in targets)
        if zero_one and possible("multilabel"):
            return "multilabel", f"{len(targets)} target columns of 0 and 1", False, options
        return "regression", f"{len(targets)} target columns of numbers", False, options
    values = found.train[targets[0]]
    text = spelled(values)
    counts = text.value_counts()
    levels = len(counts)
    if levels < 2:
        raise KitError(f"target {targets[0]} has {levels} different values in {found.input['train']}: there is nothing to learn")
    listed = shorten((f"{one_line(str(v))} ({n} rows)" for v, n in counts.items()), 4)
    if separator or (not pd.api.types.is_numeric_dtype(values) and (separator := _label_separator(text))):
        example = next(cell for cell in text if separator in cell)
        options |= {"separator": separator} if separator != " " else {}
        return "multilabel", f"cells hold several labels, such as {example!r}", True, options
    if levels == 2:
        return "binary", f"two values: {listed}", False, options
    if not pd.api.types.is_numeric_dtype(values):
        if levels > 0.9 * len(text) and not wide:
            rare = f"{levels} different values in {len(text)} rows"
            raise KitError(f"target {targets[0]} is text that hardly repeats: {rare}\ngive what is asked: output.task=TASK")
        return "multiclass", f"{levels} values: {listed}", False, options
    if wide:
        return "multiclass", f"{levels} values, and a column for each in the sample", False, options
    whole = bool((values.dropna() % 1 == 0).all())
    few = f"{levels} whole numbers with {counts.min()} to {counts.max()} rows each"
    if whole and levels <= FEW_CLASSES and counts.min() >= LEAST_ROWS and not fractional and possible("multiclass"):
        return "multiclass", few, True, options
    if not possible("regression"):
        return "multiclass", f"{few}; the metric needs classes", True, options
    said = f"{levels} different numbers from {values.min():g} to {values.max():g}" if levels > FEW_CLASSES or not whole else few
    said += "; the sample holds a fraction" if fractional and whole else ""
    return "regression", said, whole and levels <= 5 * FEW_CLASSES, options


def _skewed(found: Inferred) -> str:
    """A hint at errors of logs, which competitions over prices and amounts often measure."""
    values = found.train[found.targets].to_numpy(dtype=np.float64) if len(found.targets) == 1 and found.output["task"] == "regression" else np.zeros(1)
    values = values[np.isfinite(values)]
    if values.min(initial=1.0) <= 0 or pd.Series(values).skew() < 1:
        return ""
    return "; all above 0 with a long tail, so errors of logs may be meant: rmse_of_logs, rmsle"


def _possible(given: Config) -> Callable[[str], bool]:
    """Whether a task gives what the metric needs."""
    if not given.score.get("metric"):
        return lambda task: True
    name = part(given.score["metric"])[0]
    if name.startswith("./"):  # code of its own is not run to guess a task
        return lambda task: True
    needs = np.atleast_1d(find("metrics", name).needs)
    return lambda task: bool(set(needs) & set(find("tasks", task).gives))


def _label_separator(text: pd.Series) -> str:
    """What is between the labels of a cell: labels recombine, in cells of one label and of more; "tropical storm" is one label."""
    cells = [c for c in text.unique() if len(c) < 1000][:5000]
    for separator in SEPARATORS:
        split = [[w for w in c.split(separator) if w] for c in cells]
        labels = {w for row in split for w in row}
        sizes = {len(row) for row in split}
        alone = {row[0] for row in split if len(row) == 1}
        once = all(len(set(row)) == len(row) for row in split)
        if len(sizes) > 1 and once and len(cells) > len(labels) and len(alone) >= 0.5 * len(labels):
            return separator
    return ""


def say_metric(
    found: Inferred, given: Config, task: str, probabilities: bool, sample: Table | None, fractional: bool, asked: pd.Series, listed: int = 1
) -> None:
    """listed: labels in a cell of the sample"""
    if given.score.get("metric"):
        found.score["metric"] = given.score["metric"]
        found.findings.append(Finding("metric", part(given.score["metric"])[0], "as given", "score.metric"))
        return
    if task not in METRICS:
        raise KitError(f'no metric is known for task "{task}"\ngive one: score.metric=NAME')
    if task == "multiclass" and listed > 1:
        found.output |= {"cells": "labels", "top": listed}
        found.score["metric"] = {"name": "map_at_k", "k": listed}
        why = f"{sample.name} lists {listed} labels in a cell; score.metric=top_k_error is another for those"
        found.findings.append(Finding("metric", f"map_at_k, k = {listed}", why, "score.metric", True))
        return
    found.score["metric"] = METRICS[task][probabilities]
    if task == "regression" or sample is None:
        why = f"usual for {task}" + _skewed(found)
    elif fractional:
        why = f"{sample.name} holds fractions such as {asked[asked % 1 != 0].iloc[0]:.6g}, so probabilities are asked for"
    else:
        why = f"{sample.name} has a column a class" if probabilities else f"{sample.name} holds labels"
    found.findings.append(Finding("metric", found.score["metric"], f"{why}; score.metric=... changes it", "score.metric", True))

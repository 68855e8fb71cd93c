"""What all tasks share: targets checked, labels in one spelling, means over fold models."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kit.errors import ConfigError, DataError, FoldError, shorten
from kit.folds import Fold
from kit.predictions import Predictions


class Task:
    """One of the tasks in this folder. Truth is a frame with `id`, the targets, and what else a metric needs, such as `weight`."""

    loss: ClassVar[str]  # the loss of training where neither the config nor the metric names one
    metric: ClassVar[str]  # a fair metric where none is known
    gives: ClassVar[tuple[str, ...]]  # what it can hand to a metric
    own_models: ClassVar[bool] = False  # whether it is served by models alone that name it in their `tasks`
    picks: ClassVar[bool] = False  # whether the best model out of fold answers, where others are averaged

    targets: list[str]
    outputs: int  # numbers that an estimator predicts for a row

    def learn(self, truth: pd.DataFrame) -> None:
        """Fixes the classes from all training truth: they are the columns of every prediction, not knowledge about a row."""
        raise AssertionError("a task defines this")

    def state(self) -> dict[str, Any]:
        """What `learn` fixed, as JSON; `restore` takes it back."""
        raise AssertionError("a task defines this")

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """The weighted mean of predictions for the same ids, by id."""
        ids = check_same_ids(parts)
        columns = [c for c in parts[0].rows.columns if c != "id"]
        values = [self.to_mean_space(p.rows[columns].to_numpy(dtype=np.float64)) for p in parts]
        mean = self.from_mean_space(np.average(np.stack(values), axis=0, weights=weights))
        return Predictions.of(ids, dict(zip(columns, mean.T)))

    def to_mean_space(self, values: np.ndarray) -> np.ndarray:
        return values

    def from_mean_space(self, values: np.ndarray) -> np.ndarray:
        return values

    def fit_post(self, truth: pd.DataFrame, predictions: Predictions, metric) -> dict[str, Any]:
        """Post-processing fitted on out-of-fold predictions, as JSON. Keyword-only parameters are the options of [post]."""
        return {}

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        """What folds are stratified by, and whether it is a number to be binned."""
        return truth[self.targets[0]].to_numpy(), False


class ClassTask(Task):
    """A task whose answers are classes, known once `learn` has seen the training truth."""

    classes: list[str]

    def state(self) -> dict[str, Any]:
        return {"classes": self.classes}

    def restore(self, state: dict[str, Any]) -> None:
        self.classes = state["classes"]

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """The target of raw rows, one label in each."""
        return {self.targets[0]: labels(frame[self.targets[0]], source)}


def as_list(target: str | list[str]) -> list[str]:
    return [target] if isinstance(target, str) else list(target)


def labels(values: pd.Series, source: str) -> pd.Series:
    """Labels as text in one spelling: where all are whole numbers, "1.0" becomes "1". Raises DataError for missing ones."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    text = values.astype("str").mask(values.isna())
    missing = text.isna() | (text == "")
    whole = text.str.fullmatch(r"-?\d+(\.0+)?").fillna(False).astype(bool)
    if (whole | missing | text.isin(_MISSING)).all():  # beside numbers these words are no labels; beside words "NA" is one
        missing |= ~whole
    if missing.any():
        held = shorten(sorted({repr(str(v)) for v in text[missing].fillna("")}))
        raise DataError(
            f"{source} column {values.name!r} is missing in {int(missing.sum())} rows ({held}), ids {shorten(values.index[missing])}\n"
            "a label is needed in each; if rows without one are to be left out, remove them from the file"
        )
    return text.str.replace(r"\.0+$", "", regex=True) if whole.all() else text


_MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "inf", "-inf", "Inf")


def numbers(values: pd.Series, source: str) -> pd.Series:
    """A numeric target. Raises DataError for missing, infinite and non-numeric values."""
    parsed = values if pd.api.types.is_numeric_dtype(values) else pd.to_numeric(values.astype("str"), errors="coerce")
    wrong = ~np.isfinite(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
    if wrong.any():
        raise DataError(
            f"{source} column {values.name!r} is not a finite number in {int(wrong.sum())} rows: "
            f"{shorten(f'{id} = {value}' for id, value in zip(values.index[wrong], values[wrong]))}\n"
            "a regression target is a number in each row; for classes set output.task"
        )
    return parsed.astype("float64")


def in_order(classes: Sequence[str]) -> list[str]:
    """Classes sorted as numbers where all are whole numbers, else as text."""
    classes = list(classes)
    return sorted(classes, key=int) if _whole(classes) else sorted(classes)


def native(values: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Labels as integers where all classes are whole numbers, else as text."""
    return np.array([int(v) for v in values]) if _whole([*classes, *set(values)]) else np.asarray(values, dtype=str)


def _whole(classes: Sequence[str]) -> bool:
    return all(c.lstrip("-").isdecimal() and c.isascii() for c in classes)


def codes(values: Sequence[str], classes: Sequence[str], source: str) -> np.ndarray:
    """Positions in classes. Raises DataError for values that are none of them."""
    place = {c: n for n, c in enumerate(classes)}
    found = pd.Series(np.asarray(values)).map(place)
    if found.isna().any():
        unknown = sorted({str(v) for v, missing in zip(values, found.isna()) if missing})
        raise DataError(f"{source} holds labels that are no class: {shorten(unknown)}\nclasses are {shorten(classes)}")
    return found.to_numpy(dtype=np.int64)


def words(cells: pd.Series) -> list[list[str]]:
    """The words of each cell, none of a blank one."""
    return [cell.split() for cell in cells.astype("str").mask(cells.isna(), "")]


def check_same_ids(parts: Sequence[Predictions]) -> np.ndarray:
    """The ids that all parts cover."""
    ids = parts[0].ids
    assert all(np.array_equal(p.ids, ids) for p in parts), "only predictions for the same ids can be averaged"
    return ids


def check_validated_once(split: Sequence[Fold]) -> None:
    """Raises FoldError where folds share a validated row, though what is true of it depends on the fold."""
    validated = np.concatenate([fold.valid for fold in split])
    twice = len(validated) - len(np.unique(validated))
    if twice:
        raise FoldError(f"the folds validate {twice} rows more than once, and what is right for a row depends on its fold\nset score.folds.repeats = 1")


def check_one_target(targets: list[str], task: str) -> None:
    if len(targets) != 1:
        raise ConfigError(f'task "{task}" has one target, and output.target names {len(targets)}: {shorten(targets)}')

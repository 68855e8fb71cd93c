"""Training rows that one competition lends to another, which has none of its own: their columns, and their labels under the borrower's name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kit.errors import ConfigError, DataError

CLASSES = ("binary", "multiclass")  # tasks whose answers are one class a row


@dataclass(frozen=True)
class Lender:
    """
    name  the competition's, which begins the ids of its rows here
    slug  Kaggle's word for it, or its name: what the folder of its files is called within another's data
    open  its adapter on a folder of files; on None, where its files are found
    """

    name: str
    slug: str
    open: Callable[[Path | None], Any]


def one_class_a_row(task: Any) -> bool:
    return getattr(task, "learns_as", type(task).__name__.lower()) in CLASSES


def lent(name: str, other: Any, column: str) -> tuple[pd.DataFrame, list[str]]:
    """(its raw training rows, index "<name>/<id>" and their label in `column`; notes).

    Rows that the lender counts as of no class are left out: of what is in them nothing is known. Pictures that a pattern names are located
    in the lender's folder.

    other  the lender's adapter
    Raises ConfigError where its labels are not one class a row of its own, DataError where no row has a class.
    """
    if other.labels_from:
        raise ConfigError(f'input.labels_from = "{name}": its labels are those of "{other.labels_from}" itself: name that one')
    if not one_class_a_row(other.task):
        raise ConfigError(f'input.labels_from = "{name}": its answers are of task "{type(other.task).__name__.lower()}": expected one class a row')
    if not other.labelled:
        raise ConfigError(f'input.labels_from = "{name}": it has no labels to lend, since its input.train is ""')
    raw = other.read_train().drop(columns="given", errors="ignore")
    labels = other.truth(raw, f"{name}'s {other.train_file}").set_index("id")[other.task.targets[0]]
    known = (labels.notna() & ~labels.isin(["", getattr(other.task, "unknown", "")])).to_numpy(dtype=bool)
    if not known.any():
        raise DataError(f"none of the {len(raw)} rows of {name}'s {other.train_file} is of a class: there is nothing to learn from it")
    rows = raw.drop(columns=other.answered)[known].assign(**{column: labels.to_numpy()[known]})
    rows.index = f"{name}/" + rows.index
    return rows, [f"{(~known).sum()} of the {len(raw)} training rows of {name} are of no class, so left out"] if not known.all() else []

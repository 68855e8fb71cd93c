"""What a scheme looks at, and what it gives."""

from dataclasses import dataclass, fields, replace

import numpy as np

COUNT, REPEATS, SEED = 5, 1, 0  # the defaults that all schemes share


@dataclass(frozen=True, eq=False)  # no ==: arrays have no single truth value
class Fold:
    """One split of the rows into train and valid; rows in neither are unused."""

    repeat: int
    fold: int
    train: np.ndarray  # int64 positions, ascending
    valid: np.ndarray  # int64 positions, ascending


@dataclass(frozen=True, eq=False)
class Rows:
    """What a scheme may look at, all aligned and sorted by id."""

    ids: np.ndarray  # text
    target: np.ndarray | None = None  # (n,) classes (-1: none) or numbers, or (n, labels) of 0 and 1, or with `continuous` (n, targets)
    continuous: bool = False  # the target is a number: stratify by its quantiles
    group: np.ndarray | None = None
    time: np.ndarray | None = None  # datetime64 or numbers
    given: np.ndarray | None = None  # the number of the fold that validates the row; -1 or missing: always in training

    def __post_init__(self) -> None:
        assert len({len(column) for column in self._columns().values()}) == 1, "columns are not aligned"

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "continuous"}
        assert all(isinstance(column, np.ndarray | None) for column in columns.values()), "columns are numpy arrays"
        return {name: column for name, column in columns.items() if column is not None}

    def take(self, positions: np.ndarray) -> "Rows":
        """These rows alone, for instance the training part of a fold."""
        return replace(self, **{name: column[positions] for name, column in self._columns().items()})

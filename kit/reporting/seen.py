"""What a report looks at: a run, and of its data the tables and what is true of them, where they are there."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from kit.competition import Competition
from kit.predictions import Predictions
from kit.runs import Run
from kit.scoring import Metric
from kit.tables import Column, Tables

MOST_ROWS = 20_000  # out-of-fold rows that charts are made of; of more, so many are drawn
UNSCORED = "unscored"


@dataclass(frozen=True)
class Data:
    """
    task    that knows its classes
    tables  with the files that cells name as cells
    truth   what each training row should give where it is validated; None where there are no labels
    """

    task: Any
    metric: Metric
    tables: Tables
    truth: pd.DataFrame | None


@dataclass(frozen=True)
class Seen:
    """
    competition  with the run's config
    data         None where they are not there
    """

    run: Run
    competition: Competition
    data: Data | None

    @property
    def scored(self) -> bool:
        return self.run.info["score"] != UNSCORED

    @property
    def sign(self) -> int:
        return 1 if self.run.info["greater_is_better"] else -1

    @cached_property
    def answers(self) -> tuple[Predictions, pd.DataFrame, int]:
        """(out-of-fold predictions, their truth, out-of-fold rows in all): of many rows, some drawn at random."""
        assert self.data is not None and self.data.truth is not None
        oof = Predictions.read(self.run.folder / "oof.parquet")
        many = len(oof.ids)
        if many > MOST_ROWS:
            drawn = np.sort(np.random.default_rng(0).permutation(many)[:MOST_ROWS])
            oof = oof.take(oof.ids[drawn])
        truth = self.data.truth.set_index("id", drop=False).loc[oof.ids].reset_index(drop=True)
        return oof, truth, many

    @cached_property
    def schema(self) -> dict[str, Column]:
        return {} if self.data is None else self.data.tables.schema

    @property
    def drawn(self) -> str:
        """A note where not all rows are looked at; else ""."""
        oof, _, many = self.answers
        return f"{len(oof.ids)} rows drawn from {many}" if len(oof.ids) < many else ""

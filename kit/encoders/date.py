"""Dates as the parts that recur (month, weekday, hour) and as days passed since the first training row."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.encoders import Features

Part = Literal["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "elapsed"]


class Date:
    def __init__(self, *, parts: list[Part] = ["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "elapsed"], between: bool = True):
        """
        parts    what a date becomes; "year" and "elapsed" (days) run on, so leave them out where the test lies later than the training rows
        between  also the days between each two date columns
        """
        self.parts, self.between = parts, between
        self.first: dict[str, str] = {}
        self.names: list[str] = []

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        self.first = {name: str(columns[name].min()) for name in columns if columns[name].notna().any()}
        made = self._made(columns)
        self.names = [name for name, values in made.items() if len(np.unique(values[np.isfinite(values)])) > 1]
        return self.transform(columns)

    def transform(self, columns: pd.DataFrame) -> Features:
        made = self._made(columns)
        return Features.of(len(columns), dense={name: made[name] for name in self.names})

    def _made(self, columns: pd.DataFrame) -> dict[str, np.ndarray]:
        made = {}
        for name in self.first:
            values = columns[name]
            for part in self.parts:
                if part == "elapsed":
                    found = (values - pd.Timestamp(self.first[name])).dt.total_seconds() / 86400
                else:
                    found = getattr(values.dt, {"weekday": "day_of_week"}.get(part, part))
                made[f"{part} of {name}"] = found.to_numpy(dtype=np.float32, na_value=np.nan)
        known = list(self.first)
        if self.between:
            for n, one in enumerate(known):
                for other in known[n + 1 :]:
                    days = (columns[one] - columns[other]).dt.total_seconds() / 86400
                    made[f"days from {other} to {one}"] = days.to_numpy(dtype=np.float32, na_value=np.nan)
        return made

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "names": self.names}

    def restore(self, state: dict[str, Any]) -> None:
        self.first, self.names = state["first"], state["names"]

"""Folders of sounds: the labels are in a table, or they are the names of the folders that the training sounds lie in.

All is as for pictures (kit/adapters/image.py); and where people have looked at some labels and not at others, rows may count unequally.
"""

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from kit.adapters import _sample_sounds
from kit.adapters.image import Image
from kit.errors import DataError, bullets, shorten


class Audio(Image):
    media = "audio"
    drawing = _sample_sounds
    sample_ending = "wav"

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train",
        test: str = "test",
        sample_submission: str = "",
        valid: str = "",
        id: str = "id",
        sounds: str = "{part}/{id}",
        class_folder: Literal["", "all", "first", "last"] = "",
        columns: dict[str, list[str]] = {},
        weights: dict[str, float] = {},
        drop: list[str] = [],
        separator: str = "",
        encoding: str = "",
        gallery: str = "",
        labels_from: str = "",
        labels_data: str = "",
    ):
        """
        sounds   where the sound of an id lies, as `pictures` of the adapter image
        weights  what a cell of the column columns.weight counts as, such as { 0 = 0.5, 1 = 1.0 }; a cell that is not named is itself the weight
        train, test, valid, id, class_folder, gallery  as in the adapter image
        columns, drop, separator, encoding, labels_from, labels_data  as in the adapter tabular
        """
        self.weights = weights
        super().__init__(
            data, task, train=train, test=test, sample_submission=sample_submission, valid=valid, id=id,
            pictures=sounds, class_folder=class_folder, columns=columns, drop=drop, separator=separator, encoding=encoding,
            gallery=gallery, labels_from=labels_from, labels_data=labels_data,
        )  # fmt: skip

    def _option_problems(self) -> list[str]:
        problems = super()._option_problems()
        if self.weights and not self.columns.get("weight"):
            problems.append('input.weights says what cells count as, and no column is named: input.columns.weight = ["..."]')
        return problems + [f"input.weights.{cell} = {weight}: expected a number from 0 up" for cell, weight in self.weights.items() if not weight >= 0]

    def read_train(self) -> pd.DataFrame:
        frame = super().read_train()
        if not self.weights:
            return frame
        name = self.columns["weight"][0]
        cells = frame[name].astype("str")
        nowhere = [cell for cell in self.weights if not (cells == cell).any()]
        if nowhere:
            told = [f"input.weights: no row of {self._source} has {shorten(nowhere)} in its column {name!r}", f"it holds {shorten(cells.unique())}"]
            raise DataError(bullets(told))
        return frame.assign(**{name: cells.map(self.weights).where(cells.isin(list(self.weights)), frame[name])})

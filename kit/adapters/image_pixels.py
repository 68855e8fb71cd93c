"""Tables whose columns are the pixels of one small picture a row: they become one column of pictures.

784 columns do not say which pixel lies beside which, and a picture does: models for pictures, turns and shifts need that.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.errors import DataError, bullets, shorten
from kit.files import write_text


class ImagePixels(Tabular):
    sample_answer = ""  # what the one answer column of a drawn sample submission is called, where that isn't the target's name

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train.csv",
        test: str = "test.csv",
        sample_submission: str = "",
        valid: str = "",
        id: str = "id",
        id_by_position: bool = False,
        pixels: str = "pixel",
        planes: bool = False,
        columns: dict[str, list[str]] = {},
        drop: list[str] = [],
        separator: str = "",
        encoding: str = "",
    ):
        """
        pixels  what their columns are called before their number, which counts through the rows of the picture; "" is for numbers
                alone, and for names such as 2x13 (row and column)
        planes  of three colours, whether all of one come before the next; else the three of a pixel stand together
        The others are those of the adapter tabular.
        """
        super().__init__(
            data, task, train=train, test=test, sample_submission=sample_submission, valid=valid, id=id, id_by_position=id_by_position,
            columns=columns, drop=drop, separator=separator, encoding=encoding,
        )  # fmt: skip
        self.pixels, self.planes = pixels, planes
        self._first: tuple[str, int] | None = None  # the file read first, and how many pixels its pictures have

    def _read(self, name: str, text: Sequence[str] = ()) -> pd.DataFrame:
        """The rows with a column `image` of (side, side) or (side, side, 3) uint8 arrays in the place of the pixels' columns."""
        frame = super()._read(name, text)
        columns = self._in_order(frame.columns, name)
        flat = np.empty((len(frame), len(columns)), np.uint8)
        problems = {}
        for place, column in enumerate(columns):
            values = frame[column].to_numpy()
            if len(frame) and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255):
                problems |= _not_pixels(frame[column])
            else:
                flat[:, place] = values
        if problems:
            told = shorten((f"{value} in {column}" for column, value in problems.items()), 3)
            raise DataError(f"{name} holds values that are no pixels in {len(problems)} columns: {told}\na pixel is a whole number from 0 to 255")
        pictures = np.empty(len(frame), dtype=object)
        for n, picture in enumerate(self._shaped(flat)):
            pictures[n] = picture
        return frame.drop(columns=columns).assign(image=pictures)

    def _in_order(self, names: Sequence[str], source: str) -> list[str]:
        """The pixels' columns, row by row. Raises DataError where their number is not that of a square picture."""
        found = {name: re.fullmatch(rf"{re.escape(self.pixels)}(\d+)(?:x(\d+))?", name) for name in names}
        columns = sorted((n for n, match in found.items() if match), key=lambda n: [int(part) for part in found[n].groups(default=0)])
        problems = [f'{source} has a column "image" beside the pixels: name it otherwise, since that is what they become'] if "image" in names else []
        if not columns:
            problems.append(f'{source} has no column "{self.pixels}0": its columns are {shorten(names, 6)}; input.pixels says what they are called before their number')
        elif not side_of(len(columns)):
            problems.append(f"{source} has {len(columns)} columns of pixels, {columns[0]} to {columns[-1]}: expected the square of a side, or three times that")
        self._first = self._first or (source, len(columns))
        if len(columns) != self._first[1]:
            problems.append(f"{source} has {len(columns)} columns of pixels, and {self._first[0]} {self._first[1]}: pictures of one size are expected")
        if problems:
            raise DataError(bullets(problems))
        return columns

    def _shaped(self, flat: np.ndarray) -> np.ndarray:
        """flat (n, pixels) -> (n, side, side) or (n, side, side, 3)"""
        side = side_of(flat.shape[1])
        if flat.shape[1] == side * side:
            return flat.reshape(-1, side, side)
        if self.planes:
            return flat.reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
        return flat.reshape(-1, side, side, 3)

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 420) -> None:
        """Drawn digits of 28 x 28 grey pixels in this competition's layout."""
        random, kind, targets = np.random.default_rng(0), type(self.task).__name__, self.task.targets
        digits = random.integers(0, 2 if kind == "Binary" else 10, rows)
        flat = np.array([draw_digit(random, int(d)).ravel() for d in digits])
        between = self.task.separator if kind == "Multilabel" else ""
        words = [f"{'odd' if d % 2 else 'even'}{between}{'small' if d < 5 else 'large'}" for d in digits]
        answers = pd.DataFrame({t: words if kind == "Multilabel" and len(targets) == 1 else digits if n == 0 else digits % 2 for n, t in enumerate(targets)})
        frame = pd.concat([answers, pd.DataFrame(flat, columns=[f"{self.pixels}{n}" for n in range(flat.shape[1])])], axis=1)
        name = self.id[0] if self.id else ""
        if name and not self.id_by_position:
            frame.insert(0, name, [f"{n:05d}" for n in random.permutation(rows)])
        parts = np.where(random.random(rows) < 0.3, "test", "train").astype(object)
        if self.valid_file:
            parts[(parts == "train") & (random.random(rows) < 0.25)] = "validation"
        test = frame[parts == "test"].drop(columns=targets)
        tables = {self.train_file: frame[parts == "train"], self.test_file: test, self.valid_file: frame[parts == "validation"]}
        ids = test[name] if name in test else np.arange(len(test)) + 1
        tables[self.sample_file] = pd.DataFrame({name or "id": ids, **{self.sample_answer or t: answers[t].iloc[0] for t in targets}})
        for file, table in tables.items():
            if file:
                write_text(Path(folder) / file, table.to_csv(index=False, lineterminator="\n"))


def side_of(count: int) -> int:
    """Of a square picture with so many numbers, of one colour or of three; 0 where there is none."""
    return next((side for side in (round(count**0.5), round((count / 3) ** 0.5)) if count and count in (side * side, 3 * side * side)), 0)


def _not_pixels(values: pd.Series) -> dict[str, Any]:
    """The column and the first of its values that is no whole number from 0 to 255, if there is one."""
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[~(numbers.between(0, 255) & (numbers % 1 == 0))]
    return {str(values.name): wrong.iloc[0] if pd.notna(wrong.iloc[0]) else "a blank"} if len(wrong) else {str(values.name): "text"}


_STROKES = (  # of the digits 0 to 9, through points (x, y) in a square of side 100, y downwards
    "50,15 34,28 30,50 34,72 50,85 66,72 70,50 66,28 50,15",
    "36,30 50,15 50,85",
    "30,32 40,17 60,17 70,32 62,50 30,83 72,83",
    "30,18 66,18 48,45 68,60 62,80 30,84",
    "62,86 62,15 27,60 77,60",
    "70,17 36,17 33,46 60,45 70,62 60,82 30,83",
    "65,16 40,38 32,66 45,85 63,80 68,62 52,50 34,62",
    "28,18 72,18 45,86",
    "50,48 33,32 50,16 67,32 50,48 30,67 50,86 70,67 50,48",
    "67,36 50,17 34,33 48,51 67,38 60,86",
)


def draw_digit(random: np.random.Generator, digit: int, *, side: int = 28) -> np.ndarray:
    """(side, side) uint8: a bright stroke on black, turned, slanted, moved, and shaky."""
    points = np.array([[float(v) for v in p.split(",")] for p in _STROKES[digit].split()]) / 100 - 0.5  # (p, 2)
    turn, slant, (wide, high) = random.uniform(-0.2, 0.2), random.uniform(-0.25, 0.25), random.uniform(0.75, 1.05, 2)
    lean = np.array([[wide * np.cos(turn), np.sin(turn) + slant], [-np.sin(turn), high * np.cos(turn)]])
    points = (points + random.normal(0, 0.015, points.shape)) @ lean.T + 0.5 + random.uniform(-0.06, 0.06, 2)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    here = np.stack([x, y], axis=-1)[:, :, None]  # (side, side, 1, 2)
    start, step = points[:-1], np.diff(points, axis=0)  # (p - 1, 2) each
    along = np.clip(((here - start) * step).sum(-1) / (step**2).sum(-1), 0, 1)
    distance = np.linalg.norm(here - start - along[..., None] * step, axis=-1).min(-1)  # (side, side)
    ink = np.clip((random.uniform(0.04, 0.065) - distance) * side + 0.5, 0, 1)
    return np.clip(ink * random.uniform(200, 255) + random.normal(0, 6, ink.shape) * (ink > 0), 0, 255).astype(np.uint8)

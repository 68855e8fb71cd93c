"""Reads tables of boxes: a row a box, or a row a picture with all of its boxes in one cell.

What a column holds is said in words with spaces between: `xmin = "x1"` is one number, `bbox = "x1 y1 width height"` a list such as
"[834, 222, 56, 36]", and words that begin with a label repeat in the cell for each box, as in a submission.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from kit.adapters._boxes import CORNERS, Marked, unspeakable
from kit.errors import DataError, bullets, did_you_mean, shorten

WORDS = ("id", "label", *CORNERS, "width", "height", "ignored")
USUAL = {"label": "label", **{corner: corner for corner in CORNERS}}  # column -> what is in it
_BETWEEN = re.compile(r"[\s,;\[\]()]+")  # numbers of a cell


@dataclass(frozen=True)
class Cells:
    """
    holds      column -> the words of what is in it
    one_label  of every box, where no cell says one; "" is none
    units      of the corners
    inclusive  whether x2 and y2 are the last pixel within the box, or the first beyond it; of shares, and of widths, it says nothing
    """

    holds: dict[str, str]
    one_label: str
    units: Literal["pixels", "shares"]
    inclusive: bool

    @property
    def words(self) -> dict[str, str]:
        """Word -> the column that holds it."""
        return {word: column for column, words in self.holds.items() for word in words.split()}

    def problems(self) -> list[str]:
        """What is wrong with what the config says."""
        counts = Counter(word for words in self.holds.values() for word in words.split())
        found = [f'input.cells: "{word}" is not what a cell may hold{did_you_mean(word, WORDS)}; known are {", ".join(WORDS)}' for word in counts if word not in WORDS]
        found += [f'input.cells names two columns for "{word}"' for word, count in counts.items() if count > 1]
        found += [f"input.cells: column {column} holds nothing" for column, words in self.holds.items() if not words.split()]
        found += [f'input.cells: column {column} holds "id" and more: a picture is named by a column of its own' for column, words in self.holds.items() if "id" in words.split()[:-1] or "id" in words.split()[1:]]
        found += [f'input.cells names no column for "{word}"' for word in ("x1", "y1") if word not in counts]
        for side, corner in (("width", "x2"), ("height", "y2")):
            if (side in counts) == (corner in counts):
                found.append(f'input.cells names {"both" if side in counts else "no column for"} "{corner}" {"and" if side in counts else "or"} "{side}": expected one of them')
        if "label" not in counts and not self.one_label:
            found.append('input.cells names no column for "label": if all boxes are of one class, input.one_label = "..." is what it is called')
        if "label" in counts and self.one_label:
            found.append(f'input.one_label = "{self.one_label}", and input.cells names a column for labels: leave one of them out')
        repeating = [column for column, words in self.holds.items() if "label" in words.split() and len(words.split()) > 1]
        if repeating and set(self.holds[repeating[0]].split()) | {"id"} < set(counts) | {"id"}:
            found.append(f"input.cells: the groups of column {repeating[0]} repeat, so that nothing of a box may stand in another column")
        return found

    def read(self, frame: pd.DataFrame, id: str, name: str, carried: Sequence[str] = ()) -> Marked:
        """
        frame    the table, its cells of kind text where `text` says so
        id       the column that names pictures, where `holds` names none
        carried  further columns, whose first value counts for a picture

        A row without any number is a picture in which nothing is. x2 and y2 of pixels are beyond the box; shares are as they are.
        Raises DataError with all that is wrong in the table, counted.
        """
        own = self.words.get("id", id)
        needed = [own, *(c for c in self.holds if c != own), *carried]
        lacking = [f'{name} has no column "{c}"{did_you_mean(c, frame.columns)}' for c in needed if c not in frame]
        if lacking:
            raise DataError(bullets(lacking) + f"\nit has {shorten(frame.columns, 12)}; input.cells says what columns hold")
        ids = frame[own].astype("str")
        ids = ids.mask(ids == "")
        problems = [f"{name}: {int(ids.isna().sum())} rows have no {own}"] if ids.isna().any() else []
        pictures = frame[list(carried)].groupby(ids.to_numpy(dtype=object)).first() if carried else pd.DataFrame(index=ids.dropna().unique())
        boxes = self._boxes(frame, ids.to_numpy(dtype=object), name, problems)
        problems += self._of_units(boxes, name)
        problems += unspeakable(sorted(set(boxes["label"].dropna()) - {""}), name, "name a column that has none in input.cells, or write others into it")
        if problems:
            raise DataError(bullets(problems))
        pictures.index = pd.Index(pictures.index, dtype="str", name="id")
        return Marked(pictures, pd.DataFrame(np.nan, index=pictures.index, columns=["width", "height"]), boxes)

    @property
    def text(self) -> list[str]:
        """Columns that are read as text: ids and labels, and those that hold several numbers."""
        return [column for column, words in self.holds.items() if len(words.split()) > 1 or words in ("id", "label", "ignored")]

    def _boxes(self, frame: pd.DataFrame, ids: np.ndarray, name: str, problems: list[str]) -> pd.DataFrame:
        held: dict[str, np.ndarray] = {}
        of_row = np.arange(len(frame))
        for column, words in self.holds.items():
            each = words.split()
            if len(each) == 1:
                held[each[0]] = frame[column].to_numpy(dtype=object)
                continue
            parts = [[part for part in _BETWEEN.split(cell) if part] for cell in frame[column].fillna("")]
            uneven = [k for k, cell in enumerate(parts) if len(cell) % len(each) or (len(cell) > len(each) and "label" not in each)]
            if uneven:
                told = shorten((f"{ids[k]}: {frame[column].iloc[k][:60]!r}" for k in uneven), 3)
                problems.append(f'{name}: {len(uneven)} cells of column {column} are not "{words}": {told}')
                parts = [[] if k in set(uneven) else cell for k, cell in enumerate(parts)]
            if "label" in each:  # the one column that says all of a box
                of_row = np.repeat(of_row, [len(cell) // len(each) for cell in parts])
                groups = np.array([part for cell in parts for part in cell], dtype=object).reshape(-1, len(each))
            else:
                groups = np.array([cell or [None] * len(each) for cell in parts], dtype=object).reshape(-1, len(each))
            held |= dict(zip(each, groups.T))
        return self._checked(held, ids[of_row], name, problems)

    def _checked(self, held: dict[str, np.ndarray], ids: np.ndarray, name: str, problems: list[str]) -> pd.DataFrame:
        """The rows that are boxes; the others say nothing, or are told in `problems`."""
        asked = [word for word in (*CORNERS, "width", "height") if word in held]
        cells = pd.DataFrame({word: held[word] for word in asked})
        cells = cells.mask(cells.isna() | (cells == ""))
        numbers = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
        blank, odd = cells.isna().all(axis=1).to_numpy(), ~np.isfinite(numbers.to_numpy()).all(axis=1)
        label = held.get("label", np.full(len(ids), self.one_label, dtype=object))
        unnamed = (pd.isna(label) | (label == "")) & ~blank
        for some, what in ((odd & ~blank, f"rows have no finite number in {shorten(asked, 6)}, such as"), (unnamed, "boxes have no label, such as those of")):
            told = (f"{ids[k]}: {shorten(cells.iloc[k].tolist(), 6)}" for k in np.flatnonzero(some))
            problems += [f"{name}: {int(some.sum())} {what} {shorten(told, 3)}"] if some.any() else []
        beyond = float(self.inclusive and self.units == "pixels")
        for side, near, far in (("width", "x1", "x2"), ("height", "y1", "y2")):
            numbers[far] = numbers[near] + numbers[side] if side in numbers else numbers[far] + beyond
        ignored = np.isin(pd.Series(held.get("ignored", np.zeros(len(ids)))).astype("str").str.lower().to_numpy(), ("1", "1.0", "true"))
        whole = pd.DataFrame({"id": ids, "label": label, **{corner: numbers[corner].to_numpy() for corner in CORNERS}, "ignored": ignored})
        return whole[~blank & ~odd].reset_index(drop=True)

    def _of_units(self, boxes: pd.DataFrame, name: str) -> list[str]:
        """What is wrong where corners are not in the units that they are said to be in."""
        corners = boxes[CORNERS].to_numpy()
        if not len(corners):
            return []
        if self.units == "pixels" and (corners <= 1 + self.inclusive).all() and (corners % 1 != 0).any():
            return [f'{name}: all corners lie within 0 and 1, which are shares of the sides: set input.units = "shares"']
        far = (abs(corners) > 2).any(axis=1)
        return [f'{name}: {int(far.sum())} of {len(far)} boxes lie beyond any share of the sides, such as {corners[far][0].tolist()}: set input.units = "pixels"'] if self.units == "shares" and far.any() else []

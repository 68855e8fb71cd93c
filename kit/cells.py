"""What the cells of a submission are, by their looks: numbers, labels, lists of labels, runs of pixels, boxes or text."""

from enum import Enum

import numpy as np
import pandas as pd

_LOOKED_AT = 5_000  # cells of each side, evenly chosen
_CLASSES = 20  # whole numbers of at most so many different values are labels
_NONE = ("nan", "na", "n/a", "null", "none")


class Kind(Enum):
    NUMBER = "number"
    LABEL = "label"
    LIST = "list of labels"
    SCORED = "label with its score"
    RUNS = "runs of pixels"
    BOXES = "boxes"
    TEXT = "text"

    @property
    def is_numeric(self) -> bool:
        return self is Kind.NUMBER


def missing(cells: np.ndarray) -> np.ndarray:
    """(n,) bool: blank, or a word for nothing."""
    texts = pd.Series(cells, dtype="str")
    return (texts.str.strip().eq("") | texts.str.lower().isin(_NONE)).to_numpy()


def parted(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels, scores) of cells that hold both; "" where there are none."""
    halves = pd.Series(cells, dtype="str").str.split(n=1, expand=True).reindex(columns=[0, 1]).fillna("")
    return halves[0].to_numpy(dtype=object), halves[1].to_numpy(dtype=object)


def plain(labels: np.ndarray) -> np.ndarray:
    """The labels in one spelling: "1.0" is "1" where all are whole numbers."""
    texts = pd.Series(labels, dtype="str")
    return texts.str.replace(r"\.0+$", "", regex=True).to_numpy(dtype=object) if texts.str.fullmatch(r"-?\d+(\.0+)?|").all() else labels


def kind_of(a: np.ndarray, b: np.ndarray) -> Kind:
    """Of the cells of both submissions together.

    a, b  text
    """
    cells = np.concatenate([side[:: -(-len(side) // _LOOKED_AT)] for side in (a, b)])
    cells = cells[~missing(cells)]
    numbers = pd.to_numeric(pd.Series(cells, dtype="str"), errors="coerce").to_numpy(dtype=np.float64)
    if len(cells) and np.isfinite(numbers).mean() > 0.95 or not len(cells):
        finite = numbers[np.isfinite(numbers)]
        few = len(np.unique(finite)) <= min(_CLASSES, len(finite) // 2)
        return Kind.LABEL if few and (finite % 1 == 0).all() and len(finite) == len(cells) and len(cells) else Kind.NUMBER
    words = [cell.split() for cell in cells]
    if not any(len(w) > 1 for w in words):
        return Kind.LABEL
    counts = {len(w) for w in words}
    if counts == {2} and all(_is_fraction(w[1]) for w in words):
        return Kind.SCORED
    runs = [cell.replace("|", " ").split() for cell in cells]
    if any(len(r) > 2 for r in runs) and all(len(r) % 2 == 0 and all(w.isdecimal() for w in r) for r in runs) and np.mean([_rises(r) for r in runs]) > 0.99:
        return Kind.RUNS
    if any(all(n % size == 0 for n in counts) for size in (5, 6)) and _share_of_numbers(words) >= 0.75 and any("." in w for row in words for w in row):
        return Kind.BOXES
    known, coded = {w for row in words for w in row}, [any(c.isdigit() for c in w) for row in words for w in row]
    if len(known) <= len(set(cells)) or np.mean(coded) > 0.5:  # words that come again in other company, or that are ids
        return Kind.LIST
    return Kind.LABEL if len(set(cells)) <= len(cells) // 4 else Kind.TEXT


def _is_fraction(word: str) -> bool:
    return _is_number(word) and not word.isdecimal()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _share_of_numbers(words: list[list[str]]) -> float:
    return float(np.mean([_is_number(w) for row in words for w in row]))


def _rises(run: list[str]) -> bool:
    """Whether each run of pixels begins behind the one before."""
    numbers = [int(w) for w in run]
    return all(s + n <= t for s, n, t in zip(numbers[::2], numbers[1::2], numbers[2::2]))

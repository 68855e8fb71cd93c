"""Masks as runs of pixels: read and written in four dialects of run-length codes, compared, joined and parted.

A mask is never made into a picture to be compared: two masks share what their runs share, and all pairs of many are found in one pass.
"""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from kit.errors import DataError
from kit.found import Mask

Dialect = Literal["rows_from_0", "columns_from_1", "coco_counts", "coco"]
DIALECTS: tuple[Dialect, ...] = ("rows_from_0", "columns_from_1", "coco_counts", "coco")
_FORMS = {
    "rows_from_0": "start length|start length|",
    "columns_from_1": "start length start length",
    "coco_counts": "zeros ones zeros ones",
    "coco": "COCO's compressed counts",
}

# --- pixels ----------------------------------------------------------------------------------------------------------------------


def of_pixels(pixels: np.ndarray) -> Mask:
    """pixels  (height, width) bool"""
    edges = np.flatnonzero(np.diff(np.ascontiguousarray(pixels).ravel().view(np.int8), prepend=0, append=0))
    return Mask(edges[::2], np.diff(edges)[::2])


def to_pixels(mask: Mask, height: int, width: int) -> np.ndarray:
    """(height, width) bool. Raises DataError for a mask that goes beyond them."""
    _check_within(mask, (height, width))
    steps = np.zeros(height * width + 1, np.int8)
    steps[mask.starts] = 1
    steps[mask.starts + mask.lengths] = -1
    return np.cumsum(steps[:-1], dtype=np.int8).view(bool).reshape(height, width)


def of_values(values: np.ndarray) -> dict[int, Mask]:
    """The mask of each value of a (height, width) picture of whole numbers."""
    flat = np.ascontiguousarray(values).ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if len(flat) else np.zeros(0, np.int64)
    lengths, held = np.diff(starts, append=len(flat)), flat[starts]
    order = np.argsort(held, kind="stable")
    found, places = np.unique(held[order], return_index=True)
    return {int(value): Mask(starts[own], lengths[own]) for value, own in zip(found, np.split(order, places[1:]))}


def of_runs(starts: np.ndarray, lengths: np.ndarray) -> Mask:
    """Runs that rise and share no pixel; those that touch become one."""
    ends = starts + lengths
    apart = np.flatnonzero(starts[1:] != ends[:-1])
    first, last = np.concatenate([[0], apart + 1]), np.concatenate([apart, [len(starts) - 1]])
    return Mask(starts[first], ends[last] - starts[first]) if len(starts) else Mask(starts, lengths)


def sides(mask: Mask, width: int) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 in pixels, the last two beyond the mask; 0 for an empty one."""
    if not len(mask.starts):
        return 0, 0, 0, 0
    ends = mask.starts + mask.lengths - 1
    left, right, wraps = mask.starts % width, ends % width, mask.starts // width != ends // width
    x1, x2 = (0, width) if wraps.any() else (int(left.min()), int(right.max()) + 1)
    return x1, int(mask.starts[0] // width), x2, int(ends[-1] // width) + 1


# --- dialects --------------------------------------------------------------------------------------------------------------------


def encode(mask: Mask, dialect: Dialect = "rows_from_0", size: tuple[int, int] | None = None) -> str:
    """The mask as text.

    dialect  rows_from_0     "start length|start length|", pixels counted row by row from 0 (WAD 2018)
             columns_from_1  "start length start length", pixels counted column by column from 1 (most of Kaggle)
             coco_counts     "zeros ones zeros ...", lengths in turn, column by column (COCO's uncompressed counts)
             coco            the same lengths in COCO's compressed text (rleToString of cocoapi's maskApi.c)
    size     height and width of the picture, without which only rows_from_0 can be written
    """
    if dialect == "rows_from_0":
        return "".join(f"{start} {length}|" for start, length in zip(mask.starts.tolist(), mask.lengths.tolist()))
    assert size is not None, f"{dialect} counts by columns: it needs the picture's size"
    turned = _turned(mask, *size)
    if dialect == "columns_from_1":
        return " ".join(map(str, np.stack([turned.starts + 1, turned.lengths], axis=1).ravel().tolist()))
    edges = np.stack([turned.starts, turned.starts + turned.lengths], axis=1).ravel().tolist()
    counts = [end - start for start, end in zip([0, *edges], [*edges, size[0] * size[1]])]
    if len(counts) > 1 and counts[-1] == 0:
        counts.pop()
    return " ".join(map(str, counts)) if dialect == "coco_counts" else _compressed(counts)


def decode(text: str, dialect: Dialect = "rows_from_0", size: tuple[int, int] | None = None) -> Mask:
    """The inverse of `encode`. Runs may come in any order and touch; the last bar of rows_from_0 may be left out.

    size  height and width of the picture; None looks for no pixel beyond it, and reads only rows_from_0
    Raises DataError for text of another form, runs that share a pixel or are empty, and those that go beyond the picture.
    """
    assert size is not None or dialect == "rows_from_0", f"{dialect} counts by columns: it needs the picture's size"
    if dialect == "coco":
        return _of_counts(_expanded(text), size, text)
    numbers = _numbers(text, dialect)
    if dialect == "coco_counts":
        return _of_counts(numbers, size, text)
    starts, lengths = numbers[::2] - (dialect == "columns_from_1"), numbers[1::2]
    if len(starts) and not (np.diff(starts) > 0).all():
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], lengths[order]
    if (starts < 0).any() or (lengths < 1).any():
        raise _wrong(text, dialect, "a run is empty or begins before the picture")
    if (starts[1:] < (starts + lengths)[:-1]).any():
        raise _wrong(text, dialect, "two runs share a pixel")
    mask = of_runs(starts, lengths)
    if size is not None:
        _check_within(mask, size)
    return mask if dialect == "rows_from_0" else _turned(mask, size[1], size[0])


def _numbers(text: str, dialect: Dialect) -> np.ndarray:
    pattern = r"\s*(\d+ +\d+ *(\||$) *)*\s*" if dialect == "rows_from_0" else r"\s*(\d+(\s+|$))*"
    numbers = text.replace("|", " ").split()
    if not re.fullmatch(pattern, text, re.ASCII) or (dialect == "columns_from_1" and len(numbers) % 2):
        raise _wrong(text, dialect, "it has another form")
    if any(len(number) > 18 for number in numbers):
        raise _wrong(text, dialect, "a number is too large")
    return np.array(numbers, dtype=np.int64)


def _wrong(text: str, dialect: Dialect, reason: str) -> DataError:
    return DataError(f"{text[:60]!r} is no mask in dialect {dialect}: {reason}\nexpected {_FORMS[dialect]}")


def _check_within(mask: Mask, size: tuple[int, int]) -> None:
    end = int(mask.starts[-1] + mask.lengths[-1]) if len(mask.starts) else 0
    if end > size[0] * size[1]:
        raise DataError(f"a mask goes to pixel {end - 1}, and a picture of {size[1]} x {size[0]} has {size[0] * size[1]}, counted from 0\nis it of this picture?")


def _turned(mask: Mask, height: int, width: int) -> Mask:
    """The runs of the same pixels counted column by column; with the sides exchanged, the way back."""
    _check_within(mask, (height, width))
    if not len(mask.starts):
        return mask
    top, bottom = int(mask.starts[0] // width), int((mask.starts[-1] + mask.lengths[-1] - 1) // width) + 1
    band = to_pixels(Mask(mask.starts - top * width, mask.lengths), bottom - top, width).T
    edges = np.flatnonzero(np.diff(np.ascontiguousarray(np.pad(band, ((0, 0), (0, 1)))).ravel().view(np.int8), prepend=0))
    column, row = np.divmod(edges, bottom - top + 1)  # each column ends in a pixel that is not the mask's: no run leaves it
    places = column * height + row + top
    return of_runs(places[::2], places[1::2] - places[::2])


def _of_counts(counts: np.ndarray, size: tuple[int, int], text: str) -> Mask:
    if (counts < 0).any() or counts.sum() != size[0] * size[1]:
        raise DataError(f"{text[:60]!r} holds lengths of {int(counts.sum())} pixels in all, and a picture of {size[1]} x {size[0]} has {size[0] * size[1]}")
    ends = np.cumsum(counts)
    starts, lengths = ends[:-1:2], counts[1::2]
    there = lengths > 0
    return _turned(of_runs(starts[there], lengths[there]), size[1], size[0])


def _compressed(counts: list[int]) -> str:
    """Each length less the one two before it, from the fourth on, in groups of five bits from the lowest; the sixth bit says that more follow."""
    text = []
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits | 0x20 if more else bits)))
    return "".join(text)


def _expanded(text: str) -> np.ndarray:
    counts: list[int] = []
    value, shift = 0, 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 55:
            raise _wrong(text, "coco", f"it holds {sign!r}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value, shift = 0, 0
    if shift:
        raise _wrong(text, "coco", "it breaks off")
    return np.array(counts, dtype=np.int64)


# --- pairs -----------------------------------------------------------------------------------------------------------------------


def shared(a: Sequence[Mask], b: Sequence[Mask], a_place: np.ndarray, b_place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which masks of a and of b share pixels in one place, and how many: (k,) positions in a, (k,) in b, (k,) int64 pixels.

    a_place, b_place  (n,), (m,) int64 from 0: only masks of one place, such as a picture, are compared
    """
    span = 1 + max((int(mask.starts[-1] + mask.lengths[-1]) for mask in (*a, *b) if len(mask.starts)), default=0)
    (a_start, a_end, a_own), (b_start, b_end, b_own) = _laid(a, a_place * span), _laid(b, b_place * span)
    # of two runs that meet, one begins within the other: b's in a's, the first pixel included, or a's in b's
    i, j = _ranges(np.searchsorted(b_start, a_start), np.searchsorted(b_start, a_end))
    v, u = _ranges(np.searchsorted(a_start, b_start, side="right"), np.searchsorted(a_start, b_end))
    i, j = np.concatenate([i, u]), np.concatenate([j, v])
    pixels = np.minimum(a_end[i], b_end[j]) - np.maximum(a_start[i], b_start[j])
    pairs = a_own[i] * len(b) + b_own[j]
    if len(a) * len(b) > len(pairs):  # few of many: sorting them takes less room than a table of all
        pairs, own = np.unique(pairs, return_inverse=True)
        total = np.bincount(own, weights=pixels, minlength=len(pairs))
    else:
        table = np.bincount(pairs, weights=pixels, minlength=len(a) * len(b))
        pairs = np.flatnonzero(table)
        total = table[pairs]
    return *np.divmod(pairs, max(len(b), 1)), total.astype(np.int64)


def _laid(masks: Sequence[Mask], offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All runs by their starts: (r,) starts, (r,) ends, (r,) whose they are."""
    counts = [len(mask.starts) for mask in masks]
    empty = [np.zeros(0, np.int64)]
    own = np.repeat(np.arange(len(masks)), counts)
    starts = np.concatenate([m.starts for m in masks] or empty) + np.repeat(offsets, counts)
    ends = starts + np.concatenate([m.lengths for m in masks] or empty)
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order], own[order]


def _ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(position n, each number from low[n] to below high[n])."""
    counts = high - low
    n = np.repeat(np.arange(len(low)), counts)
    return n, np.arange(len(n)) - np.repeat(np.cumsum(counts) - counts - low, counts)


def areas(masks: Sequence[Mask]) -> np.ndarray:
    """(n,) int64 pixels."""
    return np.array([mask.area for mask in masks], dtype=np.int64)


def iou(a: Sequence[Mask], b: Sequence[Mask]) -> np.ndarray:
    """(n, m) float64, 0..1: shared pixels over all pixels of the two; 0 for two empty masks."""
    i, j, pixels = shared(a, b, np.zeros(len(a), np.int64), np.zeros(len(b), np.int64))
    found = np.zeros((len(a), len(b)))
    found[i, j] = pixels / (areas(a)[i] + areas(b)[j] - pixels)
    return found


# --- joining and parting ---------------------------------------------------------------------------------------------------------


def union(masks: Sequence[Mask]) -> Mask:
    """The pixels that any of the masks has."""
    return _where(masks, np.ones(len(masks)), 0.5)


def majority(masks: Sequence[Mask], weights: np.ndarray) -> Mask:
    """The pixels that half of the masks have, or more.

    weights  (n,) above 0, how much each mask counts
    """
    return _where(masks, weights, 0.5 * weights.sum() * (1 - 1e-9))  # two halves are a half, however they are rounded


def minus(mask: Mask, other: Mask) -> Mask:
    """The pixels that the other does not have."""
    return _where([mask, other], np.array([1.0, -1.0]), 0.5)


def disjoint(masks: Sequence[Mask], scores: np.ndarray) -> list[Mask]:
    """The same masks, each pixel left to the one with the greatest score of those that have it, then to the first; some may become empty."""
    found, taken = list(masks), Mask(np.zeros(0, np.int64), np.zeros(0, np.int64))
    for n in np.argsort(-np.asarray(scores), kind="stable").tolist():
        found[n] = minus(masks[n], taken)
        taken = union([taken, found[n]])
    return found


def _where(masks: Sequence[Mask], weights: np.ndarray, least: float) -> Mask:
    """The pixels at which the weights of the masks that have them come to `least` or more; least is above 0."""
    starts, ends, own = _laid(masks, np.zeros(len(masks), np.int64))
    places, turn = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    steps = np.bincount(turn, weights=np.concatenate([weights[own], -weights[own]]), minlength=len(places))
    inside = np.cumsum(steps) >= least
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    return Mask(places[edges[::2]], places[edges[1::2]] - places[edges[::2]])

"""A table's texts as numbers: rows of token ids, ragged in memory, which become padded arrays batch by batch.

A text that is longer than a network looks at is cut into windows, each half of which the next one sees too.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Tokens:
    """The texts of n rows.

    ids         (t,) int32, the bodies of all rows one after another, without the special tokens around them
    starts      (n + 1,) int64, where each row's body begins in ids
    segments    (t,) int8, which text column a token is of
    first, last  ids of the special tokens that stand before and behind each body
    padding     the id that fills a row up
    vocabulary  ids are below it
    longest     tokens of a window, first and last included
    key         names the content, for caches and checkpoints
    masked      the id that stands for a hidden token; -1 where the tokenizer has none
    """

    ids: np.ndarray
    starts: np.ndarray
    segments: np.ndarray
    first: list[int]
    last: list[int]
    padding: int
    vocabulary: int
    longest: int
    key: str
    masked: int = -1

    kind = "text"

    def __post_init__(self) -> None:
        assert self.room > 0, f"windows of {self.longest} tokens have no room beside {len(self.first) + len(self.last)} special ones"

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def room(self) -> int:
        """Tokens of the body that a window holds."""
        return self.longest - len(self.first) - len(self.last)

    @property
    def stride(self) -> int:
        """Tokens from the beginning of a window to that of the next."""
        return max(self.room // 2, 1)

    @cached_property
    def bodies(self) -> np.ndarray:
        """(n,) int64 tokens of each row without the special ones."""
        return np.diff(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64 tokens of each whole row, first and last included."""
        return self.bodies + len(self.first) + len(self.last)

    @property
    def there(self) -> np.ndarray:
        """(n,) bool: False where a row has no text."""
        return self.bodies > 0

    @cached_property
    def window_counts(self) -> np.ndarray:
        """(n,) int64 how many windows each row has: the least that leave out none of its tokens."""
        return 1 + np.maximum(-(-(self.bodies - self.room) // self.stride), 0)

    def take(self, rows: np.ndarray) -> "Tokens":
        """rows  (m,) positions, or (n,) bool"""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        counts = self.bodies[rows]
        places = places_of(self.starts[rows], counts)
        key = hashlib.sha256(self.key.encode() + rows.tobytes()).hexdigest()[:16]
        return replace(self, ids=self.ids[places], starts=np.append(0, counts.cumsum()), segments=self.segments[places], key=key)

    def padded(self, rows: np.ndarray, windows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """A batch: tokens (b, l) int64, mask (b, l) bool, True where a token is, and segments (b, l) int64; l is the longest row's, at least 1.

        rows     (b,) positions
        windows  (b,) which window of each row, from 0; None is the first of each. The last window ends with the text
        """
        rows = np.asarray(rows, np.int64)
        windows = np.zeros(len(rows), np.int64) if windows is None else np.asarray(windows, np.int64)
        bodies = self.bodies[rows]
        held = np.minimum(bodies, self.room)
        begin = self.starts[rows] + np.minimum(windows * self.stride, bodies - held)
        before, behind = len(self.first), len(self.last)
        wide = max(int((held + before + behind).max(initial=1)), 1)
        place = np.arange(wide) - before
        body = (place >= 0) & (place < held[:, None])  # (b, l)
        tokens, segments = np.full(body.shape, self.padding, np.int64), np.zeros(body.shape, np.int64)
        held_at = (begin[:, None] + place)[body]
        tokens[body], segments[body] = self.ids[held_at], self.segments[held_at]
        some = np.flatnonzero(held)
        tokens[:, :before] = self.first
        segments[some, :before] = self.segments[begin[some], None]
        for n, id in enumerate(self.last):
            tokens[np.arange(len(rows)), before + held + n] = id
            segments[some, before + held[some] + n] = self.segments[begin[some] + held[some] - 1]
        return {"tokens": tokens, "mask": np.arange(wide) < (held + before + behind)[:, None], "segments": segments}


def places_of(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Positions of runs one after another: counts[0] from starts[0] on, then counts[1] from starts[1] on, and so forth."""
    before = counts.cumsum() - counts
    return np.arange(int(counts.sum())) + np.repeat(starts - before, counts)

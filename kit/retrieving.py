"""Retrieval's way through the folds: rows become vectors, queries look through a gallery, and fold models meet in their mean similarity."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from kit.folds import Fold
from kit.predictions import Predictions, joined
from kit.scoring import Metric
from kit.searching import Search
from kit.shards import GALLERY, QUERIES, Shards
from kit.tasks.retrieval import Retrieval, parts_of

VALID, DISTRACTORS = "valid", "distractors"  # and of validated rows, and of others that stand in the gallery with them
_AT_ONCE = 16_384  # rows that are embedded before they are written

Embed = Callable[[pd.DataFrame], np.ndarray]  # rows -> (n, width) float32 of unit length; zeros where there is nothing to look at


def write(folder: Path, rows: pd.DataFrame, embed: Embed) -> None:
    """The vectors of rows, a part of them at a time."""
    blocks: Iterator[np.ndarray] = (embed(rows.iloc[start : start + _AT_ONCE]) for start in range(0, max(len(rows), 1), _AT_ONCE))
    first = next(blocks)
    Shards.write(folder, rows.index.to_numpy(dtype=object), chain([first], blocks), first.shape[1])


def write_valid(folder: Path, rows: pd.DataFrame, fold: Fold, codes: pd.Series, gallery: int, seed: int, embed: Embed) -> None:
    """The vectors of a fold's validated rows, and of training rows of other classes, as many as make what a query looks through as large as the gallery.

    codes    id -> class
    gallery  rows of it
    """
    classes = codes.loc[list(rows.index)].to_numpy()
    others = fold.train[~np.isin(classes[fold.train], classes[fold.valid])]
    lacking = max(gallery - len(fold.valid), 0)
    drawn = np.sort(np.random.default_rng(seed).permutation(others)[:lacking])
    write(folder / VALID, rows.iloc[fold.valid], embed)
    write(folder / DISTRACTORS, rows.iloc[drawn], embed)


@dataclass(frozen=True)
class Validated:
    """A fold's validated rows as queries. Each looks through the rows of the other parts, and through the distractors.

    So nothing that is made of a gallery, such as the mean of neighbouring vectors, ever holds the query itself.
    """

    ids: np.ndarray
    vectors: np.ndarray
    parts: np.ndarray
    distractors: np.ndarray
    distractor_ids: np.ndarray

    @staticmethod
    def open(folder: Path, codes: pd.Series) -> "Validated":
        """codes  id -> class"""
        valid, others = Shards.open(folder / VALID), Shards.open(folder / DISTRACTORS)
        parts = parts_of(codes.loc[list(valid.ids)].to_numpy(), valid.ids)
        return Validated(valid.ids, valid.vectors(), parts, others.vectors(), others.ids)

    def predictions(self, search: Search, task: Retrieval, without: frozenset[str] = frozenset()) -> Predictions:
        found = []
        for part in np.unique(self.parts):
            asking = self.parts == part
            gallery = np.concatenate([self.vectors[~asking], self.distractors])
            names = np.concatenate([self.ids[~asking], self.distractor_ids])
            found.append(_decoded(task, self.ids[asking], names, search.ranked(self.vectors[asking], gallery, without=without)))
        return joined(found)


def gains(search: Search, task: Retrieval, metric: Metric, truth: pd.DataFrame, validated: Sequence[Validated]) -> dict[str, float]:
    """Step of the search -> the out-of-fold score with it and those before it; first "plain", with none."""
    scores = {}
    for n, name in enumerate(["plain", *search.steps]):
        oof = joined([v.predictions(search, task, frozenset(search.steps[n:])) for v in validated])
        scores[name] = metric.score(task, truth[truth["id"].isin(oof.ids)].reset_index(drop=True), oof, {})
    return scores


def searched(search: Search, task: Retrieval, folders: Sequence[Path]) -> Predictions:
    """What the queries find by the mean similarity over these folders' models."""
    queries, gallery = (_beside([Shards.open(folder / name) for folder in folders]) for name in (QUERIES, GALLERY))
    ids, names = (Shards.open(folders[0] / name).ids for name in (QUERIES, GALLERY))
    return _decoded(task, ids, names, search.ranked(queries, gallery))


def _beside(parts: Sequence[Shards]) -> np.ndarray:
    """(n, sum of widths): vectors side by side, so that their inner product is the mean of the parts' own."""
    assert all(np.array_equal(p.ids, parts[0].ids) for p in parts), "vectors of the same rows"
    if len(parts) == 1:
        return parts[0].vectors()
    widths = [p.width for p in parts]
    made, ends = np.empty((len(parts[0].ids), sum(widths)), np.float32), np.cumsum(widths)
    for part, width, end in zip(parts, widths, ends):  # one after the other: all at once would be in memory twice
        made[:, end - width : end] = part.vectors()
    made /= np.float32(np.sqrt(len(parts)))
    return made


def _decoded(task: Retrieval, ids: np.ndarray, names: np.ndarray, found: tuple[np.ndarray, np.ndarray]) -> Predictions:
    places, scores = found
    there = places >= 0
    named = [list(names[row[keep]]) for row, keep in zip(places, there)]
    return task.decode(ids, (named, [[float(s) for s in row[keep]] for row, keep in zip(scores, there)]))

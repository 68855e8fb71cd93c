"""Which hits of an event belong together: a prediction is a row a hit, with the number of its group.

Groups have numbers that mean something within their event alone, so models have no mean: the best out of fold answers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import DataError, bullets, shorten
from kit.predictions import Predictions
from kit.tables import JOINT, show_id
from kit.tasks._task import Task, as_list, check_one_target, check_same_ids


class Clustering(Task):
    loss, metric = "bce", "trackml"
    gives = ("groups",)
    picks = True
    own_models = True  # only models that name this task serve it
    outputs = 1

    def __init__(self, *, target: str | list[str]):
        """target  the submission's column of groups"""
        self.targets = as_list(target)
        check_one_target(self.targets, "clustering")

    def learn(self, truth: pd.DataFrame) -> None:
        """There is nothing to fix: groups have no names that outlive their event."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """There is nothing to take back."""

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """What is true of each event: an object whose `read` gives events.Tracks."""
        return {self.targets[0]: frame[self.targets[0]]}

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) objects whose `read` gives events.Tracks."""
        return truth[self.targets[0]].to_numpy(dtype=object)

    def decode(self, ids: Sequence[str], raw: Sequence[tuple[np.ndarray, np.ndarray]]) -> Predictions:
        """raw  of each event (hit_id, group), each (hits,) int64"""
        hits, groups = ([np.asarray(pair[n], np.int64) for pair in raw] for n in (0, 1))
        return _rows(ids, [len(own) for own in hits], hits, groups)

    def nothing(self, ids: Sequence[str]) -> Predictions:
        """No hit is in a group with another."""
        return _rows(ids, [0] * len(ids), [], [])

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """The part that weighs most, of equal ones the first."""
        check_same_ids(parts)
        return parts[0] if weights is None else parts[int(np.argmax(weights))]

    def stratify_by(self, truth: pd.DataFrame) -> tuple[np.ndarray, bool]:
        """All events are of one kind."""
        return np.zeros(len(truth), np.int64), False

    def for_metric(
        self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Of each event (particles, weights) and groups, aligned; a hit without a prediction is a group of its own.

        Raises DataError for hits that are predicted and are not in the event, or more than once.
        """
        hits, groups = (predictions.rows[c].to_numpy(dtype=np.int64) for c in ("hit_id", "group"))
        true, predicted, problems = [], [], []
        for id, own, answer in zip(truth["id"], predictions.each(truth["id"]), truth[self.targets[0]]):
            tracks = answer.read()
            aligned, told = _aligned(tracks.hit_id, hits[own], groups[own])
            problems += [f"event {id} {text}" for text in told]
            true.append((tracks.particle, tracks.weight))
            predicted.append(aligned)
        if problems:
            raise DataError(bullets(problems[:10]) + (f"\nand {len(problems) - 10} more such findings" if len(problems) > 10 else ""))
        return true, predicted

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        """A value a row of the predictions."""
        return {columns[0]: predictions.rows["group"].to_numpy(dtype=np.int64)}

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  cells, index the ids of event and hit, joined

        Raises DataError for what is no whole number.
        """
        parts = pd.Series(frame.index.to_numpy(dtype=object), dtype="str").str.split(JOINT, n=1, expand=True).reindex(columns=[0, 1])
        read = {"hit_id": parts[1], "group": frame[columns[0]]}
        numbers = {name: pd.to_numeric(pd.Series(values.to_numpy()), errors="coerce") for name, values in read.items()}
        wrong = np.any([values.isna() | (values % 1 != 0) for values in numbers.values()], axis=0)
        if wrong.any():
            raise DataError(f"{int(wrong.sum())} hits have a number or a {columns[0]} that is no whole number: {shorten(map(show_id, frame.index[wrong]))}")
        rows = pd.DataFrame({"id": parts[0], **{name: values.astype(np.int64) for name, values in numbers.items()}})
        return Predictions.many(rows["id"].unique(), rows)


def _rows(ids: Sequence[str], counts: list[int], hits: list[np.ndarray], groups: list[np.ndarray]) -> Predictions:
    """A row a hit; the ids are dictionary codes until they are text, since a submission may have fourteen million rows."""
    ids = np.asarray(ids, dtype=object)
    joined = [np.concatenate(part) if part else np.zeros(0, np.int64) for part in (hits, groups)]
    column = pd.Categorical.from_codes(np.repeat(np.arange(len(ids)), counts), pd.Index(ids, dtype="str"))
    return Predictions.many(ids, pd.DataFrame({"id": pd.Series(column).astype("str"), "hit_id": joined[0], "group": joined[1]}))


def _aligned(wanted: np.ndarray, hits: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """((n,) groups of the hits that there are, what is wrong in words).

    wanted  (n,) hit numbers, rising
    """
    place = np.minimum(np.searchsorted(wanted, hits), max(len(wanted) - 1, 0))
    known = wanted[place] == hits if len(wanted) else np.zeros(len(hits), bool)
    alone = int(groups.max(initial=0)) + 1
    aligned = np.arange(alone, alone + len(wanted))
    aligned[place[known]] = groups[known]
    twice = len(hits) - len(np.unique(hits))
    told = [f"has {int((~known).sum())} predicted hits that are not in it: {shorten(hits[~known])}"] if not known.all() else []
    told += [f"has {twice} hits that are predicted more than once"] if twice else []
    return aligned, told

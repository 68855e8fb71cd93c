"""Everything of the same class as a query: a prediction is a list of the gallery's ids, best first.

Training rows carry a class, test rows are queries. Out of fold, the validated rows query one another, and no row is ever searched
for in what was made with it: the rows of a class are dealt over five parts, and a row queries the other four.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import DataError, shorten
from kit.folds import Fold
from kit.predictions import Predictions
from kit.tasks._task import ClassTask, as_list, check_one_target, check_same_ids, check_validated_once, codes, in_order, labels, words

PARTS = 5
LISTED = 100  # neighbours that a mean keeps, or as many as a cell holds


class Retrieval(ClassTask):
    loss, metric = "arcface", "retrieval_map_at_k"
    gives = ("neighbours",)
    searches = True
    by_fold = True  # what is right for a validated row is among the rows that its fold validates
    learns_as = "multiclass"  # what losses and estimators are told the task is: the classes of the training rows are learned

    def __init__(self, *, target: str | list[str], label: str = "", top: int = 100):
        """
        target  the submission's column of ranked ids
        label   the training rows' column of the class; "" if it is called as the target is
        top     ids in a cell, at most
        """
        self.targets = as_list(target)
        check_one_target(self.targets, "retrieval")
        self.label, self.top = label or self.targets[0], top
        self.classes: list[str] = []

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def learn(self, truth: pd.DataFrame) -> None:
        self.classes = in_order(c for c in truth[self.targets[0]].unique() if c)

    def read_target(self, frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
        """The class of training rows, or the relevant ids of an answers file: text separated by spaces, "" where a query has none."""
        name = self.targets[0]
        if self.label != name and self.label in frame:
            return {name: labels(frame[self.label], source)}
        return {name: frame[name].astype("str").mask(frame[name].isna(), "")}

    def encode(self, truth: pd.DataFrame) -> np.ndarray:
        """(n,) int64 class positions."""
        if len(self.classes) < 2:
            raise DataError(f"{self.label} has {len(self.classes)} classes in the training rows: {shorten(self.classes)}\nthere is nothing to tell apart")
        return codes(truth[self.targets[0]], self.classes, "the truth")

    def decode(self, ids: Sequence[str], found: tuple[list[list[str]], list[list[float]]]) -> Predictions:
        """found  for each id the gallery's ids, best first, and their scores, falling"""
        names, scores = found
        wrong = [id for id, own in zip(ids, scores, strict=True) if not np.isfinite(own).all()]
        if wrong:
            raise DataError(f"the neighbours of {len(wrong)} ids have scores that are not finite numbers: {shorten(wrong)}")
        assert all(len(a) == len(b) for a, b in zip(names, scores, strict=True)), "a score for each neighbour"
        return _listed(ids, [list(n[: self._kept]) for n in names], [[float(v) for v in s[: self._kept]] for s in scores])

    @property
    def _kept(self) -> int:
        return max(LISTED, self.top)

    def average(self, parts: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """The weighted mean score of each neighbour; one that a list lacks has the list's least score there.

        Scores are brought to one scale first: those of a diffusion spread far less than cosines do.
        """
        ids = check_same_ids(parts)
        shares = np.ones(len(parts)) / len(parts) if weights is None else np.asarray(weights) / np.sum(weights)
        shares = shares * _to_one_scale([p.rows["scores"] for p in parts])
        names, scores = [], []
        for rows in zip(*(zip(p.rows["neighbours"], p.rows["scores"]) for p in parts)):
            lists = [(share, dict(zip(n, s)), min(s, default=0.0)) for share, (n, s) in zip(shares, rows)]
            total = {name: float(sum(share * own.get(name, least) for share, own, least in lists)) for _, known, _ in lists for name in known}
            best = sorted(total, key=lambda name: (-total[name], name))[: self._kept]
            names.append(best)
            scores.append([total[name] for name in best])
        return _listed(ids, names, scores)

    def out_of_fold(self, truth: pd.DataFrame, split: list[Fold]) -> pd.DataFrame:
        """The truth with the ids that are relevant for each validated row in place of its class; "" where there are none.

        Relevant are rows of its class that the same fold validates, outside its own part (see parts_of). Rows that no fold validates have "".
        Raises FoldError for a row that is validated twice, DataError for validated ids with a space.
        """
        check_validated_once(split)
        ids, classes = truth["id"].to_numpy(dtype=object), truth[self.targets[0]].to_numpy(dtype=object)
        relevant = np.full(len(ids), "", dtype=object)
        for fold in split:
            _check_words(ids[fold.valid])
            own, _ = pd.factorize(classes[fold.valid])
            parts = parts_of(own, ids[fold.valid])
            order = np.argsort(own, kind="stable")
            for members in np.split(order, np.flatnonzero(np.diff(own[order])) + 1) if len(order) else ():
                if not classes[fold.valid[members[0]]]:
                    continue  # rows of no class
                for part in np.unique(parts[members]):  # one text for all rows of a part: a class may have thousands
                    others = ids[fold.valid[np.sort(members[parts[members] != part])]]
                    relevant[fold.valid[members[parts[members] == part]]] = " ".join(others)
        return truth.assign(**{self.targets[0]: pd.Series(relevant, index=truth.index, dtype=object)})

    def for_metric(
        self, needs: str, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any]
    ) -> tuple[list[frozenset[str]], list[list[str]]]:
        rows, texts = predictions.aligned(truth["id"]), truth[self.targets[0]]
        sets = {text: frozenset(text.split()) for text in set(texts)}
        return [sets[text] for text in texts], [list(names) for names in rows["neighbours"]]

    def cells(self, predictions: Predictions, post: dict[str, Any], columns: list[str], needs: str) -> dict[str, np.ndarray]:
        lists = [list(names[: self.top]) for names in predictions.rows["neighbours"]]
        _check_words({name for names in lists for name in names})
        return {columns[0]: np.array([" ".join(names) for names in lists], dtype=object)}

    def read_cells(self, frame: pd.DataFrame, columns: list[str], needs: str) -> Predictions:
        """frame  text cells, index id"""
        listed = words(frame[columns[0]])
        return _listed(frame.index, listed, [[1 / (rank + 1) for rank in range(len(names))] for names in listed])


def _to_one_scale(parts: Sequence[pd.Series]) -> np.ndarray:
    """(parts,) factors under which the scores of one list deviate from their mean equally far in all parts, on average over lists; 1 where that is so."""
    spreads = np.array([np.sqrt(np.mean([np.var(scores) for scores in lists if len(scores) > 1] or [0.0])) for lists in parts])
    usual = np.exp(np.log(spreads[spreads > 0]).mean()) if (spreads > 0).any() else 1.0
    return np.where(spreads > 0, usual / np.where(spreads > 0, spreads, 1.0), 1.0)


def parts_of(codes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,) int64 in 0..4: the part of each of the rows that one fold validates; a row queries the rows of other parts.

    codes  (n,) class positions
    ids    (n,) text

    The rows of each class are dealt round in the order of their ids, so up to five rows of a class are in five parts; the first part is
    drawn by a checksum of the class's first id, so that no part is larger because many classes are small.
    """
    by_id = pd.Index(ids, dtype=object).argsort()
    order = by_id[np.argsort(codes[by_id], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])[: len(order)]
    sizes = np.diff(np.r_[starts, len(order)])
    first = np.array([zlib.crc32(str(ids[order[start]]).encode()) % PARTS for start in starts], dtype=np.int64)
    parts = np.empty(len(ids), np.int64)
    parts[order] = (np.arange(len(order)) - np.repeat(starts, sizes) + np.repeat(first, sizes)) % PARTS
    return parts


def _listed(ids: Sequence[str], names: list[list[str]], scores: list[list[float]]) -> Predictions:
    return Predictions.of(ids, {"neighbours": pd.Series(names, dtype=object), "scores": pd.Series(scores, dtype=object)})


def _check_words(ids) -> None:
    odd = sorted(id for id in ids if id.split() != [id])
    if odd:
        raise DataError(f"{len(odd)} ids hold a space, and a cell lists ids separated by spaces: {shorten(map(repr, odd))}\nrename these pictures or rows")

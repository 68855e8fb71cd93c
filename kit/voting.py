"""A model that embeds answers for open sets: the classes of the nearest training rows vote beside what the model itself says.

A row of no known class is near to nothing, which the shares of a softmax cannot say.
"""

from pathlib import Path
from typing import Any

import numpy as np

from kit.encoders import Examples
from kit.errors import ConfigError
from kit.estimators import read_arrays, write_arrays
from kit.searching import Search, nearest
from kit.shards import GALLERY, Shards
from kit.tasks.multiclass import LISTED, Ranked

_AT_ONCE = 2_048  # rows whose probabilities of all classes are in memory together
_EMBEDDED_AT_ONCE = 65_536
_CLASSES = "gallery.safetensors"


class Voting:
    """An estimator around a model that embeds.

    A class's vote is 1 - prod(1 - s^power) over its rows among the nearest, s their similarity: near to 1 for one close row, and
    more for several. The model's own probability, where it has one, makes up the rest of the score.
    """

    watches = False

    def __init__(self, model: Any, search: Search, threads: int):
        if not (search.votes or hasattr(model, "classify")):
            raise ConfigError("search.votes = 0: this model has no probabilities of its own, and its neighbours' votes are all that answers\nset it to 1 or more")
        self.model, self.search, self.threads = model, search, threads
        self.vectors, self.classes = np.empty((0, 0), np.float32), np.empty(0, np.int64)
        self.takes: tuple[str, ...] = getattr(model, "takes", ())
        for name in ("ready", "measure", "pretrain"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def fit(self, train: Examples, found: dict) -> None:
        self.model.fit(train, found)
        self.vectors, self.classes = self._embedded(train), train.target

    def further(self, train: Examples) -> None:
        """As a network's: what votes is embedded anew."""
        self.model.further(train)
        self.vectors, self.classes = self._embedded(train), train.target

    @property
    def history(self) -> dict[str, list[float]]:
        return getattr(self.model, "history", {})

    def remember(self, rows: Examples) -> None:
        """Lets these rows, whose classes are known, vote too."""
        self.vectors = np.concatenate([self.vectors, self._embedded(rows)])
        self.classes = np.concatenate([self.classes, rows.target])

    def _embedded(self, rows: Examples) -> np.ndarray:
        """(n, width), block by block: what a model needs for it is several times as large."""
        starts = range(0, max(len(rows), 1), _EMBEDDED_AT_ONCE)
        return np.concatenate([self.model.embed(rows.take(np.arange(start, min(start + _EMBEDDED_AT_ONCE, len(rows))))) for start in starts])

    def predict(self, rows: Examples) -> Ranked:
        parts = [self._predicted(rows.take(np.arange(start, min(start + _AT_ONCE, len(rows))))) for start in range(0, max(len(rows), 1), _AT_ONCE)]
        return Ranked(np.concatenate([p.positions for p in parts]), np.concatenate([p.scores for p in parts]))

    def _predicted(self, rows: Examples) -> Ranked:
        vectors = self.model.embed(rows)
        own = self.model.classify(vectors) if hasattr(self.model, "classify") else None
        if not self.search.votes:
            return best(own)
        places, similar = nearest(vectors, self.vectors, self.search.votes, threads=self.threads)
        scores = voted(self.classes, places, similar, self.search.vote_power, own, self.search.vote_share)
        return best(scores)

    def save(self, folder: Path) -> None:
        self.model.save(folder)
        self.save_gallery(folder)

    def save_gallery(self, folder: Path) -> None:
        Shards.write(folder / GALLERY, np.arange(len(self.vectors)).astype(str).astype(object), iter([self.vectors]), self.vectors.shape[1])
        write_arrays(folder / _CLASSES, {"classes": self.classes})

    def load(self, folder: Path) -> None:
        self.model.load(folder)
        self.vectors, self.classes = Shards.open(folder / GALLERY).vectors(), read_arrays(folder / _CLASSES)["classes"]


def voted(classes: np.ndarray, places: np.ndarray, similar: np.ndarray, power: float, own: np.ndarray | None, share: float) -> np.ndarray:
    """(n, classes) scores in 0..1.

    classes          (gallery,) class of each row that may vote
    places, similar  (n, k) rows that are nearest (-1: none) and their similarity
    own              (n, classes) probabilities, or None, where the votes are all
    share            0..1, of the votes in the score
    """
    n, many = len(places), (own.shape[1] if own is not None else int(classes.max(initial=-1)) + 1)
    against = np.zeros((n, many))  # sum of log(1 - s^power)
    weight = np.clip(similar, 0, 1 - 1e-6).astype(np.float64) ** power
    row, column = np.nonzero(places >= 0)
    np.add.at(against, (row, classes[places[row, column]]), np.log1p(-weight[row, column]))
    votes = -np.expm1(against)
    return votes if own is None else share * votes + (1 - share) * own


def best(scores: np.ndarray) -> Ranked:
    """The first classes of each row, ties in the order of the classes."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :LISTED]
    return Ranked(order.astype(np.int64), np.take_along_axis(scores, order, axis=1))

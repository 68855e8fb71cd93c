"""Events of hits in space: handed on as they are to a model that takes them; nothing of an event is read before it is asked for."""

import numpy as np

from kit import events
from kit.encoders import Gathering
from kit.encoders._stored import Gathered, Stored
from kit.errors import ConfigError


class Points(Stored):
    block = events.Points

    def __init__(self, *, most_damaged: float = 0.1):
        """most_damaged  0..1, share of the training events whose hits may be missing"""
        self.most_damaged = most_damaged
        self.stores: dict[str, Gathered] = {}

    def gather(self, column: str, cells: np.ndarray, training: int, how: Gathering) -> Gathered:
        """
        cells  (n,) prefixes of files; the first `training` are training rows
        Raises DataError where more than the share of training events has no hits, ConfigError for a model that takes no events.
        """
        if "points" not in how.takes:
            raise ConfigError(f"column {column} holds events of hits, and this model does not take them\nname one that does: model.name=following, helix or edges")
        found = events.gather(cells, progress=how.progress)
        found.check_share(np.arange(training), self.most_damaged, f"the training rows (column {column})")
        return Gathered(found, None)

"""Tracks of particles, followed hit by hit: from pairs near the beam on along the helix, layer by layer; the best are chosen greedily.

All that it knows of a detector it learns from the training events: where layers are, which follows which, and how far from the helix the next
hit lies. Events are worked on by threads, and each is answered the same whatever their number.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba  # noqa: F401  said here, so that it is known at once which extra this file needs
import numpy as np

from kit.encoders import Examples
from kit.errors import DataError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._following import begun, binned, chosen, followed
from kit.estimators._layers import Detector
from kit.events import Event


class Following:
    watches = False
    takes = ("points",)
    tasks = ("clustering",)

    def __init__(self, setup: Setup, *, events: int = 40, window: float = 8.0, rounds: int = 2, least_hits: int = 4):
        """
        events      training events that are learned from, at most: the first ones, by their ids
        window      standard deviations from the helix within which a hit is looked for
        rounds      of seeding, following and choosing; each later one with what is left
        least_hits  of a track; shorter ones are given up
        """
        self.setup, self.events, self.window, self.rounds, self.least_hits = setup, events, window, rounds, least_hits
        self.detector = Detector()

    def fit(self, train: Examples, found: dict) -> None:
        """Raises DataError where no training event has hits."""
        (block,) = train.features.media.values()
        rows = [row for row in np.flatnonzero(block.there)[: self.events]]
        pairs = [(block[row], train.target[row].read()) for row in rows]
        pairs = [(event, tracks) for event, tracks in pairs if len(event)]
        if not pairs:
            raise DataError("no training event has hits: there is nothing to learn from")
        self.detector.fit(pairs)

    def predict(self, rows: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each event (hit_id, group), each (hits,) int64."""
        (block,) = rows.features.media.values()
        tables = self.detector.tables()
        with ThreadPoolExecutor(self.setup.threads) as pool:
            return list(pool.map(lambda row: self._grouped(block[row], tables), range(len(block))))

    def _grouped(self, event: Event, tables: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        layers, nexts, logs, begins, limits, firsts, widths, beside = tables
        hits = self.detector.found(event)
        order, starts, density = binned(hits.xyz, hits.layer, layers)
        used, group, count = np.zeros(len(event), bool), np.full(len(event), -1, np.int64), 0
        place = hits.xyz, hits.layer, order, starts
        for _ in range(self.rounds):
            pairs = begun(*place, layers, begins, limits, used)
            grown = followed(*place, density, layers, nexts, logs, firsts, widths, pairs, self.window, used)
            count = chosen(*grown, hits.xyz, hits.layer, hits.module, order, starts, density, layers, beside, self.window, self.least_hits, used, group, count)
        alone = group < 0
        group[alone] = count + np.arange(alone.sum())
        return event.hit_id, group

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", self.detector.state)

    def load(self, folder: Path) -> None:
        self.detector.state = read_arrays(folder / "model.safetensors")

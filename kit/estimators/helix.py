"""Clusters of hits on unrolled helices: for many radii and origins along the beam, hits that would have left together fall into one bin.

The classic start: a helix from (0, 0, z) has one direction at its origin and one rise, whichever of its hits they are told from. A hit joins the
largest bin that it is ever in. Only the ranges of radii and origins are learned.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kit.encoders import Examples
from kit.errors import DataError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.events import Event, Tracks

_TAIL = 0.01  # share of the particles beyond the ranges, at either end
_MARGIN = 0.25  # of the range of origins: another event's collisions may lie beyond those of a few training events


class Helix:
    watches = False
    takes = ("points",)
    tasks = ("clustering",)

    def __init__(
        self,
        setup: Setup,
        *,
        events: int = 40,
        radii: int = 200,
        origins: int = 45,
        direction_width: float = 0.02,
        rise_width: float = 0.05,
        most_hits: int = 20,
    ):
        """
        events           training events that are learned from, at most
        radii            that are tried, from one charge's most bent flight over straight ones to the other's
        origins          that are tried for each, in z along the beam
        direction_width  radians of a bin
        rise_width       of a bin, in units of pseudorapidity
        most_hits        of a track: a fuller bin is a coincidence
        """
        self.setup, self.events, self.radii, self.origins = setup, events, radii, origins
        self.direction_width, self.rise_width, self.most_hits = direction_width, rise_width, most_hits
        self.ranges = np.zeros(3)  # greatest 1/radius in 1/mm, lowest and highest origin in mm

    def fit(self, train: Examples, found: dict) -> None:
        """Raises DataError where no training event has a particle of two hits."""
        (block,) = train.features.media.values()
        told = [_beginnings(block[row], train.target[row].read()) for row in np.flatnonzero(block.there)[: self.events]]
        every = np.concatenate(told) if told else np.zeros((0, 2))
        if not len(every):
            raise DataError("no training event has a particle of two hits: there is nothing to learn from\nare the truth files of the same events?")
        low, high = np.quantile(every[:, 1], [_TAIL, 1 - _TAIL])
        beyond = _MARGIN * (high - low)
        self.ranges = np.array([np.quantile(every[:, 0], 1 - _TAIL), low - beyond, high + beyond])

    def predict(self, rows: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each event (hit_id, group), each (hits,) int64."""
        (block,) = rows.features.media.values()
        with ThreadPoolExecutor(self.setup.threads) as pool:
            return list(pool.map(lambda row: self._grouped(block[row]), range(len(block))))

    def _grouped(self, event: Event) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = event.xyz.T
        r, phi = np.hypot(x, y), np.arctan2(y, x)
        size, group = np.ones(len(event), np.int64), np.arange(len(event))
        curved, low, high = self.ranges
        across = int(np.ceil(2 * np.pi / self.direction_width))
        first = len(event)
        for inverse in np.linspace(-curved, curved, self.radii):
            half = np.arcsin(np.clip(r * inverse / 2, -1, 1))  # of the angle turned since the origin
            way = r if abs(inverse) < 1e-9 else 2 * half / inverse
            direction = ((phi + half) % (2 * np.pi) / self.direction_width).astype(np.int64)
            for origin in np.linspace(low, high, self.origins):
                rise = np.floor(np.arcsinh((z - origin) / np.maximum(way, 1e-9)) / self.rise_width).astype(np.int64)
                bins = (rise - rise.min(initial=0)) * across + direction
                counts = np.bincount(bins)[bins] if len(bins) else bins
                better = (counts > size) & (counts <= self.most_hits)
                size[better], group[better] = counts[better], first + bins[better]
                first += int(bins.max(initial=0)) + 1
        return event.hit_id, np.unique(group, return_inverse=True)[1].astype(np.int64)

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", {"ranges": self.ranges})

    def load(self, folder: Path) -> None:
        self.ranges = read_arrays(folder / "model.safetensors")["ranges"]


def _beginnings(event: Event, tracks: Tracks) -> np.ndarray:
    """(n, 2) 1/radius in 1/mm of the circle through the beam and a particle's first two hits, and the z in mm that it comes from."""
    both, own, place = np.intersect1d(event.hit_id, tracks.hit_id, assume_unique=True, return_indices=True)
    who, weight, xyz = tracks.particle[place], tracks.weight[place], event.xyz[own]
    r = np.hypot(xyz[:, 0], xyz[:, 1])
    order = np.lexsort((r, who))
    order = order[(who[order] != 0) & (weight[order] > 0)]
    begins = np.r_[True, who[order][1:] != who[order][:-1]][: len(order)]
    firsts = np.flatnonzero(begins[:-1] & ~begins[1:])
    a, b = order[firsts], order[firsts + 1]
    apart = r[b] > r[a] + 10  # two hits of one layer tell no direction
    a, b = a[apart], b[apart]
    chord = np.hypot(*(xyz[b, :2] - xyz[a, :2]).T)
    inverse = 2 * np.abs(xyz[a, 0] * xyz[b, 1] - xyz[a, 1] * xyz[b, 0]) / (r[a] * r[b] * chord)
    return np.column_stack([inverse, xyz[a, 2] - r[a] * (xyz[b, 2] - xyz[a, 2]) / (r[b] - r[a])])

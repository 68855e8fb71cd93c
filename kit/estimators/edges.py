"""Tracks of pairs that a network holds for one particle's: scored pairs begin tracks, which go on along the helix.

What the network thinks of each step of a track counts when the best tracks are chosen. It is any of the zoo for tables. Which layers follow one another, and how far from the helix a hit may lie, is learned from the training
events too.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba  # noqa: F401  said here, so that it is known at once which extra this file needs
import numpy as np

from kit.encoders import Examples, Features
from kit.errors import DataError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._following import begun, binned, chosen, followed
from kit.estimators._layers import Detector, Found, particles
from kit.estimators.neural import Neural
from kit.events import Event, Tracks
from kit.registry import find

NUMBERS = ["r1", "z1", "r2", "z2", "turn", "rise", "curvature", "company", *(f"{what}{n}" for n in (1, 2) for what in ("cells", "charge", "wide", "high"))]
_PLACE, _NEAR = 1.0, 130.0  # mm: half a place along the beam, and the radius up to which pairs tell their origin well
_DOUBT = 0.02  # that is left of the surest pair
_NETWORK = "network"  # folder of a model within its own


class Edges:
    watches = False
    takes = ("points",)
    tasks = ("clustering",)

    def __init__(
        self,
        setup: Setup,
        *,
        network: str = "mlp",
        network_options: dict[str, Any] = {},
        events: int = 10,
        pairs: int = 300_000,
        epochs: int = 4,
        batch_size: int = 1024,
        threshold: float = 0.03,
        window: float = 8.0,
        least_hits: int = 4,
    ):
        """
        network          of the zoo, for tables
        network_options  as [model] gives them to it
        events           training events that are learned from, at most: the first ones, by their ids
        pairs            of hits that the network learns from, at most: a seeded draw
        epochs           of them
        batch_size       pairs of a step
        threshold        0..1, probability from which a pair may begin a track
        window           standard deviations from the helix within which a hit is looked for
        least_hits       of a track; shorter ones are given up
        """
        self.setup, self.events, self.pairs, self.threshold, self.window, self.least_hits = setup, events, pairs, threshold, window, least_hits
        self.detector = Detector()
        inner = Setup("binary", 1, setup.loss, setup.loss_options, setup.seed, setup.threads, setup.progress, setup.checkpoints)
        self.network = Neural(inner, find("zoo", network), network_options, epochs=epochs, batch_size=batch_size)

    def fit(self, train: Examples, found: dict) -> None:
        """Raises DataError where no training event has hits."""
        (block,) = train.features.media.values()
        known = [(block[row], train.target[row].read()) for row in np.flatnonzero(block.there)[: self.events]]
        known = [(event, tracks) for event, tracks in known if len(event)]
        if not known:
            raise DataError("no training event has hits: there is nothing to learn from")
        self.detector.fit(known)
        parts, targets = [], []
        for event, tracks in known:
            hits = self.detector.found(event)
            pairs = self._pairs(hits)
            parts.append(self._features(event, hits, pairs))
            targets.append(_consecutive(event, tracks, hits, pairs).astype(np.float64))
        target = np.concatenate(targets)
        features = _joined(parts)
        drawn = np.arange(len(target))
        if len(target) > self.pairs:
            drawn = np.sort(np.random.default_rng(self.setup.seed).choice(len(target), self.pairs, replace=False))
        self.setup.progress(f"{len(drawn)} of {len(target)} pairs of hits in {len(known)} events, {target.mean():.1%} of them of one particle")
        self.network.fit(_examples(features.take(drawn), target[drawn]), {})

    def predict(self, rows: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each event (hit_id, group), each (hits,) int64."""
        (block,) = rows.features.media.values()
        answers: list[tuple[np.ndarray, np.ndarray]] = []
        with ThreadPoolExecutor(self.setup.threads) as pool:
            for start in range(0, len(block), self.setup.threads):  # the network has threads of its own, so it is asked in between
                events = list(pool.map(block.__getitem__, range(start, min(start + self.setup.threads, len(block)))))
                hits = [self.detector.found(event) for event in events]
                pairs = list(pool.map(self._pairs, hits))
                features = pool.map(self._features, events, hits, pairs)
                sure = [self.network.predict(_examples(f)).reshape(-1) if len(f) else np.zeros(0) for f in features]
                answers += pool.map(self._grouped, events, hits, pairs, sure)
        return answers

    def _pairs(self, hits: Found) -> np.ndarray:
        """(n, 2) pairs of hits that one particle may fly between."""
        layers, state = self.detector.state["layers"], self.detector.state
        order, starts, _ = binned(hits.xyz, hits.layer, layers)
        none = np.zeros(len(hits.layer), bool)
        return begun(hits.xyz, hits.layer, order, starts, layers, state["flights"].astype(np.int64), state["flight_limits"], none)

    def _features(self, event: Event, hits: Found, pairs: np.ndarray) -> Features:
        """NUMBERS, and the two layers as a category each.

        Where a pair comes from along the beam is told by its company, how many of the event's pairs come from there: other events' collisions are elsewhere.
        """
        cells = np.log1p(np.maximum(event.cells(), 0))
        a, b = pairs.T
        p, q = hits.xyz[a], hits.xyz[b]
        ra, rb = np.hypot(p[:, 0], p[:, 1]), np.hypot(q[:, 0], q[:, 1])
        area = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
        slope = (q[:, 2] - p[:, 2]) / (rb - ra)
        turn = np.arctan2(area, (p * q)[:, :2].sum(axis=1))
        inverse = 2 * area / (ra * rb * np.hypot(*(q - p)[:, :2].T))
        dense = np.column_stack([ra, p[:, 2], rb, q[:, 2], turn, np.arcsinh(slope), inverse * 1000, company(p[:, 2] - ra * slope, rb < _NEAR), cells[a], cells[b]])
        size = len(self.detector.state["codes"]) + 1
        codes = {name: (hits.layer[at].astype(np.int32) + 1, size) for name, at in (("layer1", a), ("layer2", b))}
        return Features.of(len(pairs), dense=dict(zip(NUMBERS, dense.astype(np.float32).T)), codes=codes)

    def _grouped(self, event: Event, hits: Found, pairs: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        layers, nexts, logs, _, _, firsts, widths, beside = self.detector.tables()
        order, starts, density = binned(hits.xyz, hits.layer, layers)
        used, group = np.zeros(len(event), bool), np.full(len(event), -1, np.int64)
        place, grid = (hits.xyz, hits.layer), (order, starts, density, layers)
        tracks, gained, lengths = followed(*place, *grid, nexts, logs, firsts, widths, pairs[sure >= self.threshold], self.window, used)
        gained[:, 1:] += steps(tracks, pairs, sure)
        count = chosen(tracks, gained, lengths, *place, hits.module, *grid, beside, self.window, self.least_hits, used, group, 0)
        alone = group < 0
        group[alone] = count + np.arange(alone.sum())
        return event.hit_id, group

    def save(self, folder: Path) -> None:
        write_arrays(folder / "detector.safetensors", self.detector.state)
        (folder / _NETWORK).mkdir(exist_ok=True)
        self.network.save(folder / _NETWORK)

    def load(self, folder: Path) -> None:
        self.detector.state = read_arrays(folder / "detector.safetensors")
        self.network.load(folder / _NETWORK)


def company(origins: np.ndarray, telling: np.ndarray) -> np.ndarray:
    """(p,) logarithm of how many of the telling pairs come from about the same place, beside how many would if all places were alike.

    origins  (p,) mm
    telling  (p,) bool
    """
    told = np.sort(origins[telling])
    if not len(told):
        return np.zeros(len(origins))
    around = np.searchsorted(told, origins + _PLACE, side="right") - np.searchsorted(told, origins - _PLACE)
    low, high = np.quantile(told, [0.01, 0.99])
    return np.log1p(around) - np.log1p(len(told) * 2 * _PLACE / max(high - low, 2 * _PLACE))


def steps(tracks: np.ndarray, pairs: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """(t, m - 1) float32: the log odds of each step from hit to hit of the tracks, 0 for one that nobody has scored.

    tracks  (t, m) hits
    pairs   (p, 2) of hits
    sure    (p,) 0..1
    """
    if not len(pairs):
        return np.zeros((len(tracks), tracks.shape[1] - 1), np.float32)
    many = int(max(pairs.max(), tracks.max(initial=0))) + 1
    key = pairs[:, 0] * many + pairs[:, 1]
    order = np.argsort(key, kind="stable")
    asked = tracks[:, :-1].astype(np.int64) * many + tracks[:, 1:]
    place = np.minimum(np.searchsorted(key[order], asked), len(key) - 1)
    odds = np.log(np.clip(sure, _DOUBT, 1 - _DOUBT) / (1 - np.clip(sure, _DOUBT, 1 - _DOUBT)))
    return np.where(key[order][place] == asked, odds[order][place], 0.0).astype(np.float32)


def _consecutive(event: Event, tracks: Tracks, hits: Found, pairs: np.ndarray) -> np.ndarray:
    """(p,) bool: whether one particle flies from the first hit to the second, with no layer in between."""
    who, hit = particles(event, tracks).T
    layer = hits.layer[hit]
    another = np.r_[True, (who[1:] != who[:-1]) | (layer[1:] != layer[:-1])][: len(who)]
    step = np.cumsum(another)
    steps, of = np.full(len(event), -10), np.full(len(event), -1)
    steps[hit], of[hit] = step, who
    a, b = pairs.T
    return (of[a] == of[b]) & (of[a] >= 0) & (steps[b] == steps[a] + 1)


def _joined(parts: list[Features]) -> Features:
    first = parts[0]
    return Features(np.concatenate([p.dense for p in parts]), first.dense_names, np.concatenate([p.codes for p in parts]), first.code_names, first.sizes)


def _examples(features: Features, target: np.ndarray | None = None) -> Examples:
    return Examples(np.arange(len(features)).astype("U").astype(object), features, target)

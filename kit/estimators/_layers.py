"""What training events tell of a detector: where its layers are, from which to which a particle flies, and how well a helix tells the next hit.

Nothing is known beforehand of the detector but that its layers are barrels around the beam or disks across it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kit.errors import DataError
from kit.estimators._helices import BARREL, DISK, residuals
from kit.events import Event, Tracks

_COLUMNS = {"first": 9, "next": 9, "beside": 9, "flight": 2, "start": 2, "limit": 5}
_FEWEST = 12  # residuals that tell how wide a window is; fewer take that of all windows into the same layer
_TAIL = 1e-3  # share of the particles that the limits of beginnings may leave out, at either end
_RARE = 5e-4  # share of the flights from a layer below which a next layer is not looked at
_OFF = 100.0  # mm from the layer that a hit is said to be in: beyond, something else is told than where it is
_APART = 0.5  # mm of radius between two hits that tell a direction
_MARGIN = 0.5  # of the range of z: another event's collisions may lie beyond those of a few training events
_SHARE, _DEVIATIONS = 0.8, 1.2816  # of normal residuals, that share lies within so many deviations
_MOST_SCATTERED = 6.0  # times the median: what is scattered more tells little of the others


@dataclass(frozen=True)
class Found:
    """One event's hits with the number of each one's layer; -1 for a layer that no training event has, and for a hit that lies far off its layer."""

    xyz: np.ndarray
    layer: np.ndarray
    module: np.ndarray


class Detector:
    """
    state  arrays by name:
        codes    (l, 2) volume and layer; a layer's number is its place here
        layers   (l, 6) kind, mean place, nearest and farthest place, lowest and highest along it: mm
        flights  (f, 2) from a layer to the next;  chances (f,) of it, of all flights from there
        starts   (s, 2) the two layers in which a particle begins
        limits   (s, 3) of each start greatest 1/radius in 1/mm, and the lowest and highest z in mm that particles come from
        flight_limits  (f, 3) likewise of each flight, wherever in the detector
        first, next, beside  windows: (w, 3) layers of the last three of four hits, and (w, 4) their widths beside them in `..._widths`:
                 across and along, each a part in mm and a factor of `scattering` in mm²
    """

    def __init__(self) -> None:
        self.state: dict[str, np.ndarray] = {}

    def fit(self, events: Iterable[tuple[Event, Tracks]]) -> None:
        """Raises DataError where no particle has four hits."""
        held = [(event, particles(event, tracks)) for event, tracks in events]
        self._fit_layers([event for event, _ in held])
        gathered: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
        for event, flown in held:
            self._look(self.found(event), flown, gathered)
        every = {name: np.concatenate(parts) if parts else np.zeros((0, _COLUMNS[name])) for name, parts in gathered.items()}
        if not len(every["next"]) or not len(every["first"]):
            raise DataError("no particle of the training events has four hits in four layers: there is nothing to learn tracks from\nare the truth files of the same events?")
        pairs, counts = np.unique(every["flight"], axis=0, return_counts=True)
        of_first = np.bincount(pairs[:, 0], counts, len(self.state["codes"]))
        chances = counts / of_first[pairs[:, 0]]
        kept = chances > _RARE
        starts, begun = np.unique(every["start"], axis=0, return_counts=True)
        likely = begun > _RARE * begun.sum()
        limits = every["limit"]
        self.state |= {
            "flights": pairs[kept],
            "chances": chances[kept],
            "starts": starts[likely],
            "limits": np.tile(_limits(limits[limits[:, 4] > 0]), (likely.sum(), 1)),
            "flight_limits": np.array([_limits(limits[(limits[:, :2] == pair).all(axis=1)]) for pair in pairs[kept]]).reshape(-1, 3),
        }
        for name in ("first", "next", "beside"):
            self.state[name], self.state[f"{name}_widths"] = _widths(every[name])

    def _fit_layers(self, events: list[Event]) -> None:
        code = np.concatenate([event.module[:, :2] for event in events]).astype(np.int64)
        xyz = np.concatenate([event.xyz for event in events])
        codes, own = np.unique(code, axis=0, return_inverse=True)
        r, z = np.hypot(xyz[:, 0], xyz[:, 1]), xyz[:, 2]
        layers = np.zeros((len(codes), 6))
        for n in range(len(codes)):
            at_r, at_z = r[own == n], z[own == n]
            barrel = np.ptp(at_r) < np.ptp(at_z)
            place, along = (at_r, at_z) if barrel else (at_z, at_r)
            layers[n] = BARREL if barrel else DISK, place.mean(), place.min(), place.max(), along.min(), along.max()
        self.state = {"codes": codes, "layers": layers}

    def found(self, event: Event) -> Found:
        codes = self.state["codes"]
        key = codes[:, 0] * 1_000_000 + codes[:, 1]
        asked = event.module[:, 0].astype(np.int64) * 1_000_000 + event.module[:, 1]
        place = np.minimum(np.searchsorted(key, asked), len(key) - 1)
        layer = np.where(key[place] == asked, place, -1).astype(np.int64)
        own, xyz = self.state["layers"][place], np.ascontiguousarray(event.xyz)
        r = np.hypot(xyz[:, 0], xyz[:, 1])
        at, along = np.where(own[:, 0] == BARREL, (r, xyz[:, 2]), (xyz[:, 2], r))
        strange = (at < own[:, 2] - _OFF) | (at > own[:, 3] + _OFF) | (np.abs(along) > 10 * np.abs(own[:, 4:]).max(axis=1)) | (r < _OFF / 100)
        return Found(xyz, np.where(strange, -1, layer), event.module[:, 2].astype(np.int64))

    def _look(self, found: Found, flown: np.ndarray, gathered: dict[str, list[np.ndarray]]) -> None:
        """flown  (n, 2) particle and hit, in order of flight"""
        who, hit = flown.T
        layer = found.layer[hit]
        kinds = self.state["layers"][:, 0].astype(np.int64)
        again = np.r_[False, (who[1:] == who[:-1]) & (layer[1:] == layer[:-1])]
        line, own = hit[~again], who[~again]
        at = found.layer[line]
        two, three, four = (own[n:] == own[:-n] if len(own) > n else np.zeros(0, bool) for n in (1, 2, 3))
        begins = np.r_[True, own[1:] != own[:-1]]
        gathered["flight"].append(np.column_stack([at[:-1], at[1:]])[two])
        gathered["start"].append(np.column_stack([at[:-1], at[1:]])[two & begins[:-1]])
        triples = np.column_stack([line[:-2], line[:-2], line[1:-1], line[2:]])[three]
        first = residuals(found.xyz, triples, kinds[found.layer[triples[:, 3]]], True, True)
        gathered["first"].append(_told(found, triples, first))
        gathered["limit"].append(_origins(found, line[:-1][two], line[1:][two], begins[:-1][two]))
        quads = np.column_stack([line[:-3], line[1:-2], line[2:-1], line[3:]])[four]
        gathered["next"].append(_told(found, quads, residuals(found.xyz, quads, kinds[found.layer[quads[:, 3]]], False, True)))
        gathered["beside"].append(self._beside(found, hit, own, again, line))

    def _beside(self, found: Found, hit: np.ndarray, own: np.ndarray, again: np.ndarray, line: np.ndarray) -> np.ndarray:
        """What `residuals` measures of further hits in a layer beside the first, whose helix goes through its neighbours in flight too.

        hit, again  (n,) hits in order of flight, and which are in the layer of the one before
        line, own   (m,) the others and their particles
        """
        place, copies = (np.cumsum(~again) - 1)[again], hit[again]
        first, last = np.searchsorted(own, own[place]), np.searchsorted(own, own[place], side="right") - 1
        long = last - first >= 2
        place, copies, first, last = place[long], copies[long], first[long], last[long]
        a = np.where(place == first, place + 1, np.where(place == last, place - 2, place - 1))
        b = np.where(place == first, place + 2, np.where(place == last, place - 1, place + 1))
        quads = np.column_stack([line[a], line[b], line[place], copies]).reshape(-1, 4)
        told = _told(found, quads, residuals(found.xyz, quads, self.state["layers"][found.layer[copies], 0].astype(np.int64), False, False))
        told[:, :2] = told[:, 2:3]
        return told

    def tables(self) -> tuple[np.ndarray, ...]:
        """(layers, next layers, their log chances, starts, limits, and the widths of first, next and beside) as compiled code takes them."""
        state, many = self.state, len(self.state["codes"])
        order = np.argsort(state["flights"][:, 0], kind="stable")
        counts = np.bincount(state["flights"][:, 0], minlength=many)
        nexts = np.full((many, max(counts.max(initial=0), 1)), -1, np.int64)
        logs = np.zeros(nexts.shape)
        column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = state["flights"][order, 0]
        nexts[rows, column], logs[rows, column] = state["flights"][order, 1], np.log(state["chances"][order])
        widths = []
        for name in ("first", "next", "beside"):
            table = np.zeros((many, many, many, 4))
            table[tuple(state[name].T)] = state[f"{name}_widths"]
            widths.append(table)
        beside = np.einsum("aaai->ai", widths[2]).copy()
        return state["layers"], nexts, logs, state["starts"].astype(np.int64), state["limits"], widths[0], widths[1], beside


def particles(event: Event, tracks: Tracks) -> np.ndarray:
    """(n, 2) particle as a small number and hit, of the particles that weigh something, each in order of flight: by distance from the origin."""
    place = np.minimum(np.searchsorted(event.hit_id, tracks.hit_id), max(len(event) - 1, 0))
    known = (tracks.particle != 0) & (tracks.weight > 0)
    known &= event.hit_id[place] == tracks.hit_id if len(event) else False
    who, hit = np.unique(tracks.particle[known], return_inverse=True)[1], place[known]
    order = np.lexsort((np.linalg.norm(event.xyz[hit], axis=1), who))
    return np.column_stack([who[order], hit[order]])


def _origins(found: Found, a: np.ndarray, b: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """(n, 5) of pairs of hits: two layers, 1/radius of the circle through the beam in 1/mm, z at the beam in mm, and 1 where a particle begins."""
    p, q = found.xyz[a], found.xyz[b]
    ra, rb = np.hypot(p[:, 0], p[:, 1]), np.hypot(q[:, 0], q[:, 1])
    rising = rb > ra + _APART
    p, q, ra, rb = p[rising], q[rising], ra[rising], rb[rising]
    inverse = 2 * np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / (ra * rb * np.hypot(*(q - p)[:, :2].T))
    origin = p[:, 2] - ra * (q[:, 2] - p[:, 2]) / (rb - ra)
    return np.column_stack([found.layer[a[rising]], found.layer[b[rising]], inverse, origin, begins[rising]])


def _limits(told: np.ndarray) -> np.ndarray:
    """(3,) greatest 1/radius, lowest and highest origin; told as `_origins` gives it. Nothing passes where there is nothing to tell."""
    if not len(told):
        return np.array([0.0, 1.0, -1.0])
    low, high = np.quantile(told[:, 3], [_TAIL, 1 - _TAIL])
    return np.array([np.quantile(told[:, 2], 1 - _TAIL), low - _MARGIN * (high - low), high + _MARGIN * (high - low)])


def _told(found: Found, quads: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """(n, 9): the layers of the last three hits, and what `residuals` measured, of those that the helix meets."""
    met = measured[:, 5] > 0
    return np.column_stack([found.layer[quads[met, 1:]], measured[met]])


def _widths(told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((w, 3) layers, (w, 4) widths) of each window."""
    keys, own = np.unique(told[:, :3].astype(np.int64), axis=0, return_inverse=True)
    into = np.unique(told[:, 2].astype(np.int64))
    whole = {layer: _spread(told[told[:, 2] == layer, 3:7]) for layer in into}
    order = np.argsort(own.reshape(-1), kind="stable")
    parts = np.split(told[order, 3:7], np.cumsum(np.bincount(own.reshape(-1), minlength=len(keys)))[:-1]) if len(keys) else []
    widths = [_spread(part) if len(part) >= _FEWEST else whole[key[2]] for key, part in zip(keys, parts)]
    return keys, np.array(widths).reshape(-1, 4)


def _spread(part: np.ndarray) -> np.ndarray:
    """(4,): of across and along the deviation without scattering, and the factor of it: variance = a² + (b x scattering)².

    part  (n, 4) across, along, and scattering in both
    """
    widths = []
    for values, scattered in ((part[:, 0], part[:, 2]), (part[:, 1], part[:, 3])):
        middle = np.median(scattered)
        straight, usual = scattered <= middle, scattered <= _MOST_SCATTERED * middle
        near, far = (np.quantile(np.abs(values[rows]), _SHARE) / _DEVIATIONS if rows.any() else 0.0 for rows in (straight, usual & ~straight))
        s_near, s_far = (np.mean(scattered[rows] ** 2) if rows.any() else 0.0 for rows in (straight, usual & ~straight))
        grows = max((far**2 - near**2) / (s_far - s_near), 0.0) if s_far > s_near else 0.0
        flat = max(near**2 - grows * s_near, (0.3 * near) ** 2, 1e-6)  # at least a micrometre
        widths += [np.sqrt(flat), np.sqrt(grows)]
    return np.array(widths)

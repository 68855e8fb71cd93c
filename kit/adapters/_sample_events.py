"""Made events of hits: particles from near the beam on helices through a few layers, with noise; files in the layout of TrackML."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.files import write_text

_BARRELS = {(8, 2): 32.0, (8, 4): 72.0, (8, 6): 116.0, (8, 8): 172.0, (13, 2): 260.0, (13, 4): 360.0, (13, 6): 500.0, (13, 8): 660.0}  # radius, mm
_DISKS = {(9, 2): 600.0, (9, 4): 700.0, (9, 6): 820.0, (9, 8): 960.0, (9, 10): 1100.0, (9, 12): 1300.0, (9, 14): 1500.0}  # |z|, mm; volume 7 on the other side
_PIXELS_END, _STRIPS_END = 500.0, 1080.0  # |z| in mm of the barrels' ends
_DISK = 30.0, 176.0  # mm, radii of a disk
_BENT = 1667.0  # mm of radius a GeV of transverse momentum, in 2 tesla
_MODULES = 40  # of a layer, around the beam
_NOISE, _OVERLAP = 0.08, 0.1  # shares of hits
_ERROR = 0.02  # mm


def write(folder: Path, train: str, test: str, sample: str, target: str, events: int, *, particles: int = 40) -> None:
    """particles  of an event"""
    random = np.random.default_rng(0)
    tested = max(events // 4, 1)
    named = [(test, n) for n in range(tested)] + [(train, 1000 + n) for n in range(events - tested)]
    rows = []
    for part, number in named:
        files = made(random, particles)
        for name in ("hits", "cells") if part == test else files:
            write_text(folder / part / f"event{number:09d}-{name}.csv", files[name].to_csv(index=False, lineterminator="\n"))
        if part == test:
            rows.append(pd.DataFrame({"event_id": number, "hit_id": files["hits"]["hit_id"], target: 0}))
    if sample:
        write_text(folder / sample, pd.concat(rows).to_csv(index=False, lineterminator="\n"))


def made(random: np.random.Generator, particles: int) -> dict[str, pd.DataFrame]:
    """The tables of one event: hits, cells, particles and truth."""
    vertices = random.normal(0, 40, 4)
    told, hits = [], []
    for n in range(particles):
        momentum, direction, cot = random.uniform(0.5, 3), random.uniform(-np.pi, np.pi), np.sinh(random.uniform(-2.5, 2.5))
        charge, z = random.choice([-1, 1]), random.choice(vertices)
        number = 4503599644147712 + n * 16777216  # as large as the real ones: beyond what a float tells apart
        own = _hits_of(random, _BENT * momentum * charge, direction, z, cot)
        hits += [(number, *hit, momentum) for hit in own]
        told.append((number, 0.0, 0.0, z, momentum * np.cos(direction), momentum * np.sin(direction), momentum * cot, charge, len(own)))
    for _ in range(int(_NOISE * len(hits))):
        other = hits[random.integers(len(hits))]
        phi, r = random.uniform(-np.pi, np.pi), np.hypot(other[1], other[2])
        hits.append((0, r * np.cos(phi), r * np.sin(phi), other[3] + (random.normal(0, 50) if other[4] in (8, 13) else 0.0), *other[4:6], _module(phi), 0.0))
    frame = pd.DataFrame(hits, columns=["particle_id", "x", "y", "z", "volume_id", "layer_id", "module_id", "momentum"])
    frame = frame.sample(frac=1, random_state=int(random.integers(1 << 31))).sort_values(["volume_id", "layer_id", "module_id"], kind="stable", ignore_index=True)
    frame.insert(0, "hit_id", np.arange(1, len(frame) + 1))
    xyz = frame[["x", "y", "z"]].to_numpy()
    frame[["x", "y", "z"]] = (xyz + random.normal(0, _ERROR, xyz.shape)).round(4)
    weight = np.where(frame["particle_id"] > 0, frame["momentum"].clip(upper=3), 0)
    truth = frame[["hit_id", "particle_id"]].assign(**dict(zip(("tx", "ty", "tz"), xyz.T.round(4))), tpx=0.0, tpy=0.0, tpz=0.0, weight=weight / weight.sum())
    lit = np.repeat(np.arange(len(frame)), random.integers(1, 4, len(frame)))
    cells = pd.DataFrame({"hit_id": frame["hit_id"].to_numpy()[lit], "ch0": random.integers(0, 300, len(lit)), "ch1": random.integers(0, 1000, len(lit)), "value": random.uniform(0.01, 0.3, len(lit)).round(4)})
    columns = ["particle_id", "vx", "vy", "vz", "px", "py", "pz", "q", "nhits"]
    return {"hits": frame.drop(columns=["particle_id", "momentum"]), "cells": cells, "particles": pd.DataFrame(told, columns=columns), "truth": truth}


def _hits_of(random: np.random.Generator, radius: float, direction: float, z: float, cot: float) -> list[tuple]:
    """(x, y, z, volume, layer, module) along a helix from (0, 0, z).

    radius  mm, its sign that of the charge
    cot     rise in z over the way around
    """
    found = []

    def at(way: float) -> tuple[float, float, float]:
        turn = direction - way / (2 * radius)
        chord = 2 * radius * np.sin(way / (2 * radius))
        return chord * np.cos(turn), chord * np.sin(turn), z + cot * way

    for (volume, layer), r in _BARRELS.items():
        way = 2 * abs(radius) * np.arcsin(r / (2 * abs(radius)))
        if abs(at(way)[2]) < (_PIXELS_END if volume == 8 else _STRIPS_END):
            found.append((*at(way), volume, layer))
            if random.random() < _OVERLAP:
                found.append((*at(way * (1 + 2 / r)), volume, layer))
    for (volume, layer), place in _DISKS.items():
        way = (np.copysign(place, cot) - z) / cot
        if 0 < way < np.pi * abs(radius) and _DISK[0] < np.hypot(*at(way)[:2]) < _DISK[1]:
            found.append((*at(way), volume if cot > 0 else volume - 2, layer))
    again = [n for n in range(1, len(found)) if found[n][3:] == found[n - 1][3:]]
    return [(*hit, (_module(np.arctan2(hit[1], hit[0])) + (n in again)) % _MODULES) for n, hit in enumerate(found)]


def _module(phi: float) -> int:
    return int((phi + np.pi) / (2 * np.pi) * _MODULES) % _MODULES

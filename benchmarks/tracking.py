"""How the seconds of track following grow with the hits of an event: events laid over one another, the score beside them.

    python benchmarks/tracking.py DATA [--most 50000] [--plot FILE.png]

DATA is the folder of trackml-particle-identification. Events are turned around the beam by angles of their own before they are laid over one
another, so that hits of two events are never hits of the same modules in the same places.
"""

import argparse
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators.following import Following
from kit.events import Event, Points, Tracks, TracksFile, gather, read_event
from kit.metrics import trackml

LEARNED = 6  # events, which are laid over no other


class Held(list):
    """Events in memory in the place of a block."""

    @property
    def there(self) -> np.ndarray:
        return np.ones(len(self), bool)


def laid_over(prefixes: list[str], count: int) -> tuple[Event, Tracks]:
    """One event of `count` others, each turned."""
    events, tracks = [], []
    for n in range(count):
        event, own = read_event(prefixes[n % len(prefixes)]), TracksFile(prefixes[n % len(prefixes)]).read()
        angle = 2 * np.pi * (n * 0.6180339887 % 1)
        x, y, z = event.xyz.T
        xyz = np.column_stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), z])
        events.append((event.hit_id + n * 1_000_000, xyz, event.module))
        tracks.append((own.hit_id + n * 1_000_000, np.where(own.particle > 0, own.particle * 64 + n, 0), own.weight / count))
    return Event(*map(np.concatenate, zip(*events))), Tracks(*map(np.concatenate, zip(*tracks)))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("data", type=Path)
    given.add_argument("--most", type=int, default=50_000, help="hits of the largest event")
    given.add_argument("--plot", type=Path, help="a picture of seconds against hits, for which matplotlib is needed")
    asked = given.parse_args()
    if asked.plot:
        from matplotlib import pyplot  # missing, it is said before anything is measured
    prefixes = sorted(str(p)[: -len("-hits.csv")] for p in (asked.data / "train_100_events").glob("event*-hits.csv"))
    train, others = prefixes[:LEARNED], prefixes[LEARNED:]
    features = Features.of(len(train))
    features.media["event"] = Points(gather(np.array(train, dtype=object), progress=print), np.arange(len(train)))
    target = np.empty(len(train), dtype=object)
    target[:] = [TracksFile(prefix) for prefix in train]
    model = Following(Setup("clustering", 1, "bce", threads=1))
    model.fit(Examples(np.array(train, dtype=object), features, target), {})

    hits, seconds = [], []
    for count in (1, 1, 2, 3, 5, 7, 10, 14, 20):  # the first compiles
        event, tracks = laid_over(others, count)
        if len(event) > 1.05 * asked.most:
            break
        began = time.perf_counter()
        ((_, groups),) = model.predict(Examples(np.array(["0"], dtype=object), _holding(event)))
        took = time.perf_counter() - began
        if count > 1 or hits or seconds:
            print(f"{len(event):>8} hits  {took:7.3f} s  score {trackml.score([(tracks.particle, tracks.weight)], [groups]):.4f}", flush=True)
        hits.append(len(event))
        seconds.append(took)
    exponent, _ = np.polyfit(np.log(hits[1:]), np.log(seconds[1:]), 1)
    print(f"seconds grow as hits to the power of {exponent:.2f}")
    if asked.plot:
        draw(np.array(hits[1:]), np.array(seconds[1:]), exponent, pyplot, asked.plot)


def _holding(event: Event) -> Features:
    features = Features.of(1)
    features.media["event"] = Held([event])
    return features


def draw(hits: np.ndarray, seconds: np.ndarray, exponent: float, pyplot: ModuleType, path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.loglog(hits, seconds, "o-", label="measured, one thread")
    axes.loglog(hits, np.exp(np.log(seconds).mean()) * (hits / np.exp(np.log(hits).mean())) ** exponent, "--", label=f"power {exponent:.2f}")
    axes.set(xlabel="hits of an event", ylabel="seconds")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

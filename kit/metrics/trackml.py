"""The share of an event's weight in tracks that are rightly found, mean over events (the score of TrackML).

A track is right where one particle has more than half of its hits, and the track more than half of that particle's: both strictly. It then
counts the weights of the hits that they share. After `score_event` of LAL/trackml-library, trackml/score.py: of particles with equally many hits
in a track the lowest stands for it, and noise (particle 0) is a particle as any other, whose hits weigh nothing in the competition's files.
"""

from collections.abc import Sequence

import numpy as np

from kit.errors import ScoreError

needs = "groups"
greater_is_better = True
EXAMPLE = {
    # track 5 is particle 1's (2 of its 3 hits); track 6 has half of what it holds from each; track 7 is half of particle 3: just not enough
    "truth": [([1, 1, 1, 2, 3, 3, 3, 3], [0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2]), ([4, 4, 4, 4, 4, 5, 5, 5], [1, 1, 1, 1, 1, 2, 2, 1])],
    "predicted": [[5, 5, 6, 6, 7, 7, 8, 9], [1, 1, 1, 0, 0, 0, 0, 0]],
    "score": (0.3 / 1.0 + (3 + 5) / 10) / 2,
}


def score(truth: Sequence[tuple[np.ndarray, np.ndarray]], predicted: Sequence[np.ndarray]) -> float:
    """
    truth      of each event (particles, weights) of its hits, each (n,)
    predicted  of each event (n,) the track of each hit, in the same order

    Raises ScoreError for an event whose hits weigh nothing.
    """
    return float(np.mean([_of_event(np.asarray(p), np.asarray(w, np.float64), np.asarray(g)) for (p, w), g in zip(truth, predicted, strict=True)]))


def _of_event(particles: np.ndarray, weights: np.ndarray, tracks: np.ndarray) -> float:
    assert len(particles) == len(tracks), "a track for each hit"
    total = weights.sum()
    if not total > 0:
        raise ScoreError("trackml is not defined: the hits of an event weigh nothing")
    _, particle, of_particle = np.unique(particles, return_inverse=True, return_counts=True)
    _, track, of_track = np.unique(tracks, return_inverse=True, return_counts=True)
    pairs, own, shared = np.unique(track.astype(np.int64) * len(of_particle) + particle, return_inverse=True, return_counts=True)
    right = (2 * shared > of_track[pairs // len(of_particle)]) & (2 * shared > of_particle[pairs % len(of_particle)])
    return weights[right[own]].sum() / total

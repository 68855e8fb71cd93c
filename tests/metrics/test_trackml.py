"""The score of tracks: its quirks on small events, and a slow second implementation that agrees on a thousand."""

from collections import Counter

import numpy as np
import pytest

from kit.errors import ScoreError
from kit.metrics import trackml


def test_half_of_a_track_is_not_enough():
    particles, weights = [1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1, 1]
    assert trackml.score([(particles, weights)], [[7, 7, 8, 7, 7, 9]]) == 0  # two of four hits are particle 1's


def test_half_of_a_particle_is_not_enough():
    assert trackml.score([([1, 1, 1, 1], [1, 1, 1, 1])], [[5, 5, 6, 6]]) == 0
    assert trackml.score([([1, 1, 1, 1, 1], [1, 1, 1, 1, 1])], [[5, 5, 5, 6, 6]]) == 3 / 5


def test_a_track_counts_the_hits_that_it_shares_with_its_particle_alone():
    particles, weights = [1, 1, 1, 2, 2, 2, 2], [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1]
    assert trackml.score([(particles, weights)], [[4, 4, 4, 4, 5, 5, 5]]) == pytest.approx(0.6 + 0.3)


def test_noise_in_a_track_costs_nothing_until_it_is_half_of_it():
    particles, weights = [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]
    assert trackml.score([(particles, weights)], [[3, 3, 3, 3, 3, 9]]) == 1
    assert trackml.score([(particles, weights)], [[3, 3, 3, 3, 3, 3]]) == 0


def test_track_0_is_a_track_and_numbers_beyond_what_a_float_tells_apart_are_told_apart():
    near = 4503599644147712 * 3
    assert trackml.score([([near, near, near + 1, near + 1], [1, 1, 1, 1])], [[0, 0, 2**60, 2**60 + 1]]) == 0.5


def test_events_count_alike_whatever_their_size():
    assert trackml.score([([1, 1], [1, 1]), ([1, 2, 3], [2, 2, 2])], [[0, 0], [0, 0, 0]]) == 0.5


def test_an_event_without_weight_has_no_score():
    with pytest.raises(ScoreError, match="weigh nothing"):
        trackml.score([([0, 0], [0, 0])], [[1, 1]])


def _slowly(particles, weights, tracks):
    """As trackml/score.py goes through an event: track by track, the lowest of the particles with most hits."""
    total, found = sum(weights), 0.0
    for track in set(tracks):
        own = [n for n, t in enumerate(tracks) if t == track]
        hits = Counter(particles[n] for n in own)
        most = min(p for p in hits if hits[p] == max(hits.values()))
        if hits[most] / len(own) > 0.5 and hits[most] / particles.count(most) > 0.5:
            found += sum(weights[n] for n in own if particles[n] == most)
    return found / total


def test_a_slow_second_implementation_agrees_on_a_thousand_events():
    random = np.random.default_rng(0)
    scores = []
    for _ in range(1000):
        n = int(random.integers(1, 30))
        particles = random.integers(0, 6, n)
        tracks = np.where(random.random(n) < 0.6, particles, random.integers(0, 8, n))
        weights = random.random(n) * (random.random(n) < 0.9) + 1e-9
        scores.append(trackml.score([(particles, weights)], [tracks]))
        assert scores[-1] == pytest.approx(_slowly(particles.tolist(), weights.tolist(), tracks.tolist()), abs=1e-12)
    assert 0 < np.mean(scores) < 1 and min(scores) == 0

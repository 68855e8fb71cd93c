"""Each step against a slow and obvious one, and on a case made so that it helps."""

import math

import numpy as np
import pytest

pytest.importorskip("faiss")  # the extra `retrieval`

from kit.searching import Search


def unit(n, d, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def at(*degrees):
    """Rows on the unit circle."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def lists(rows, gallery, k, own=False):
    """Of each row, (positions, similarities) as Python lists; `own`: the rows are the gallery's, and no row is in its own list."""
    found = []
    for r, row in enumerate(rows.astype(float)):
        pairs = sorted((-float(row @ other), g) for g, other in enumerate(gallery.astype(float)) if not (own and g == r))
        found.append(([g for _, g in pairs[:k]], [-s for s, _ in pairs[:k]]))
    return found


def agrees(found, expected):
    """expected  of each query {position: (score, similarity)}, of which the lists hold the best; rounding may turn those that are nearly tied"""
    for positions, scores, wanted in zip(*found, expected):
        best = sorted(wanted.values(), reverse=True)[: len(positions)]
        assert scores.tolist() == pytest.approx([score for score, _ in best], abs=2e-5)
        assert scores.tolist() == pytest.approx([wanted[g][0] for g in positions.tolist()], abs=2e-5)
        assert len(set(positions.tolist())) == len(positions)
        tied = [(scores[n], wanted[g][1]) for n, g in enumerate(positions.tolist())]
        assert tied == sorted(tied, reverse=True)


# --- against slow ones -----------------------------------------------------------------------------------------------------------


def slow_expansion(rows, gallery, near, power):
    made = []
    for row, (positions, similarities) in zip(rows.astype(float), near):
        total = row.copy()
        for g, s in zip(positions, similarities):
            total += max(s, 0) ** power * gallery[g].astype(float)
        made.append(total / np.linalg.norm(total))
    return np.array(made)


@pytest.mark.parametrize("power", [0.0, 1.0, 3.0])
def test_expansion_is_a_weighted_sum_searched_again(power):
    queries, gallery = unit(7, 6, seed=1), unit(40, 6)
    asked = slow_expansion(queries, gallery, lists(queries, gallery, 4), power)
    expected = [{g: (s, s) for g, s in zip(*row)} for row in lists(asked, gallery, 40)]
    agrees(Search(neighbours=25, expansion=4, expansion_power=power).ranked(queries, gallery), expected)


@pytest.mark.parametrize("power", [0.0, 1.0, 3.0])
def test_database_side_augmentation_is_a_weighted_sum_of_gallery_rows(power):
    queries, gallery = unit(7, 6, seed=1), unit(40, 6)
    made = slow_expansion(gallery, gallery, lists(gallery, gallery, 3, own=True), power)
    expected = [{g: (s, s) for g, s in zip(*row)} for row in lists(queries, made, 40)]
    agrees(Search(neighbours=25, database=3, database_power=power).ranked(queries, gallery), expected)


def test_neighbours_on_the_other_side_do_not_count():
    queries, gallery = unit(7, 3, seed=1), unit(5, 3)
    asked = slow_expansion(queries, gallery, lists(queries, gallery, 5), 2.0)
    expected = [{g: (s, s) for g, s in zip(*row)} for row in lists(asked, gallery, 5)]
    agrees(Search(neighbours=5, expansion=5, expansion_power=2.0).ranked(queries, gallery), expected)


def test_whitening_makes_the_gallerys_principal_directions_of_unit_variance():
    queries, gallery = unit(7, 6, seed=1) * [1, 1, 1, 2, 3, 4], unit(40, 6) * [1, 1, 1, 2, 3, 4]
    queries, gallery = ((a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32) for a in (queries, gallery))
    mean = gallery.astype(float).mean(axis=0)
    _, values, directions = np.linalg.svd(gallery - mean, full_matrices=False)

    def white(rows):
        rows = (rows - mean) @ directions[:4].T / (values[:4] / math.sqrt(40))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    expected = [{g: (s, s) for g, s in zip(*row)} for row in lists(white(queries), white(gallery), 40)]
    gallery = np.concatenate([gallery, np.zeros((20, 6), np.float32)])  # rows that are not there move nothing
    agrees(Search(neighbours=40, whiten=4).ranked(queries, gallery), expected)


def slow_reciprocal(query, gallery, k1, share, first):
    """Sets and dictionaries, one query at a time."""
    n, k2 = len(gallery), max(1, round(0.3 * k1))
    graph = lists(gallery, gallery, k1, own=True)
    near, similar = lists(query[None], gallery, n)[0]

    def mutual(g, k):
        return {g} | {other for other in graph[g][0][:k] if g in graph[other][0][:k]}

    def grown(neighbourhood):
        more = set(neighbourhood)
        for g in neighbourhood:
            half = mutual(g, max(1, round(k1 / 2)))
            if len(neighbourhood & half) >= 2 / 3 * len(half) - 1e-9:
                more |= half
        return more

    def encoded(row, neighbourhood):
        weights = {g: math.exp(-(1 - float(row.astype(float) @ gallery[g].astype(float)))) for g in neighbourhood}
        return {g: w / sum(weights.values()) for g, w in weights.items()}

    def mean(several):
        return {g: sum(one.get(g, 0) for one in several) / len(several) for g in set().union(*several)}

    plain = [encoded(gallery[g], grown(mutual(g, k1))) for g in range(n)]
    codes = [mean([plain[g]] + [plain[other] for other in graph[g][0][: k2 - 1]]) for g in range(n)]
    own = {g for g, s in zip(near[:k1], similar) if s >= graph[g][1][-1]}
    code = mean([encoded(query, grown(own))] + [codes[g] for g in near[: k2 - 1]])
    scored = {}
    for g, s in zip(near[:first], similar):
        both = [(code.get(c, 0), codes[g].get(c, 0)) for c in set(code) | set(codes[g])]
        overlap = sum(map(min, both)) / sum(map(max, both))
        scored[g] = (share * s + (1 - share) * overlap, s)
    return scored


@pytest.mark.parametrize("k1, share", [(1, 0.3), (4, 0.3), (7, 0.0), (12, 0.6), (5, 1.0), (30, 0.3)])
def test_reciprocal_re_ranking_is_that_of_sets(k1, share):
    queries, gallery = unit(12, 3, seed=1), unit(50, 3)
    expected = [slow_reciprocal(query, gallery, k1, share, 20) for query in queries]
    agrees(Search(neighbours=20, reciprocal=k1, reciprocal_share=share).ranked(queries, gallery), expected)


def slow_diffusion(query, gallery, k, share, listed):
    """The whole matrix, solved."""
    graph = lists(gallery, gallery, k, own=True)
    n = len(gallery)
    edges = np.zeros((n, n))
    for g in range(n):
        for other, s in zip(*graph[g]):
            if g in graph[other][0]:
                edges[g, other] = max(s, 0) ** 3
    sums = edges.sum(axis=1)
    spread = np.array([[edges[i, j] and edges[i, j] / math.sqrt(sums[i] * sums[j]) for j in range(n)] for i in range(n)])
    near, similar = lists(query[None], gallery, listed)[0]
    part, seeds = spread[np.ix_(near, near)], np.zeros(len(near))
    for place in range(10):
        seeds[place] = max(similar[place], 0) ** 3
    solved = np.linalg.solve(np.eye(len(near)) - share * part, seeds)
    return {g: ((1 - share) * f, s) for g, f, s in zip(near, solved, similar)}


@pytest.mark.parametrize("k, share", [(1, 0.99), (3, 0.99), (8, 0.5), (20, 0.9), (6, 0.0)])
@pytest.mark.parametrize("shortlist", [500, 25])
def test_diffusion_is_the_solution_of_its_equations(k, share, shortlist, monkeypatch):
    monkeypatch.setattr("kit.searching._SHORTLIST", shortlist)
    queries, gallery = unit(12, 3, seed=1), unit(50, 3)
    expected = [slow_diffusion(query, gallery, k, share, min(50, shortlist)) for query in queries]
    agrees(Search(neighbours=20, diffusion=k, diffusion_share=share).ranked(queries, gallery), expected)


# --- cases where each helps ------------------------------------------------------------------------------------------------------


def order(search, queries, gallery):
    return search.ranked(queries, gallery)[0][0].tolist()


def test_expansion_finds_what_is_near_to_the_nearest():
    gallery = at(20, 50, -40)  # the second is of the query's class, but the third is nearer
    assert order(Search(neighbours=3), at(0), gallery) == [0, 2, 1]
    assert order(Search(neighbours=3, expansion=1), at(0), gallery) == [0, 1, 2]


def test_database_side_augmentation_draws_rows_to_their_like():
    gallery = at(10, 45, -40, -60)  # 45 has 10 beside it, -40 has -60
    assert order(Search(neighbours=3), at(0), gallery) == [0, 2, 1]
    assert order(Search(neighbours=3, database=1), at(0), gallery) == [0, 1, 2]


def test_reciprocal_re_ranking_passes_over_rows_that_have_nearer_ones_of_their_own():
    gallery = at(12, 24, 36, -30, -31, -32, -33)
    assert order(Search(neighbours=7), at(0), gallery) == [0, 1, 3, 4, 5, 6, 2]
    assert order(Search(neighbours=7, reciprocal=3), at(0), gallery)[:3] == [0, 1, 2]


def test_diffusion_follows_a_chain_past_nearer_strangers():
    chain, strangers = list(range(3, 91, 3)), [-32, -34, -36]
    gallery = at(*chain, *strangers)
    plain = order(Search(neighbours=33), at(0), gallery)
    assert plain.index(30) < plain.index(20)  # the stranger at -32 degrees before the chain's 63
    assert order(Search(neighbours=33, diffusion=2), at(0), gallery)[30:] == [30, 31, 32]


def test_whitening_turns_down_what_all_vary_in():
    light, kind = np.meshgrid([-3.0, -1.0, 1.0, 3.0], [-0.5, 0.5])
    gallery = np.stack([light.ravel(), kind.ravel(), np.full(8, 4.0)], axis=1)
    gallery = (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).astype(np.float32)
    query = gallery[[1]]  # a dark one of the first kind
    assert sorted(order(Search(neighbours=4), query, gallery)) != [0, 1, 2, 3]
    assert sorted(order(Search(neighbours=4, whiten=2), query, gallery)) == [0, 1, 2, 3]

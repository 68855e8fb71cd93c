import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("faiss")  # the extra `retrieval`

import faiss

from kit import searching
from kit.errors import ConfigError
from kit.searching import Search, Shards, nearest


def unit(n, d, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(n, d, classes, seed=0, centre_seed=0):
    """Rows near their class's centre."""
    centres = unit(classes, d, centre_seed)
    rows = centres[np.arange(n) % classes] + 0.7 / np.sqrt(d) * np.random.default_rng(seed + 1).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def corners(n, seed=0):
    """Corners of a cube in 16 dimensions, four of which differ: of unit length, most of them twins, and products are exact."""
    rows = np.full((n, 16), 0.25, np.float32)
    rows[:, :4] *= np.random.default_rng(seed).choice([-1, 1], (n, 4)).astype(np.float32)
    return rows


def by_hand(queries, gallery, k):
    """All pairs, one by one."""
    positions, similarities = np.full((len(queries), k), -1), np.full((len(queries), k), -1.0)
    for q, query in enumerate(queries):
        if not query.any():
            continue
        pairs = []
        for g, row in enumerate(gallery):
            there = bool(row.any())
            pairs.append((not there, -float(query.astype(float) @ row.astype(float)) if there else 1.0, g))
        for place, (_, negative, g) in enumerate(sorted(pairs)[:k]):
            positions[q, place], similarities[q, place] = g, -negative
    return positions, similarities


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected))


# --- exact search ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [0, 1, 7, 50, 60])
@pytest.mark.parametrize("k", [1, 3, 20, 59, 60, 75])
def test_exact_search_is_all_pairs_with_ties_by_position_and_rows_of_zeros_last(k, block):
    queries, gallery = corners(9, seed=1), corners(60)
    queries[4], gallery[[0, 13, 59]] = 0, 0
    found = nearest(queries, gallery, k, method="exact", threads=2, block=block)
    assert same(found, by_hand(queries, gallery, k))
    assert found[0].dtype == np.int64 and found[1].dtype == np.float32


def test_exact_search_is_all_pairs_on_rows_without_ties():
    queries, gallery = unit(40, 31, seed=1), unit(500, 31)
    positions, similarities = nearest(queries, gallery, 25, threads=1)
    expected = by_hand(queries, gallery, 25)
    assert np.array_equal(positions, expected[0]) and np.allclose(similarities, expected[1], atol=1e-6)


def test_a_row_of_zeros_finds_nothing():
    positions, similarities = nearest(np.zeros((1, 4), np.float32), unit(5, 4), 3)
    assert (positions == -1).all() and (similarities == -1).all()


def test_rows_of_zeros_stand_after_the_opposite_direction():
    gallery = np.array([[0, 0], [-1, 0], [0, 1]], np.float32)
    positions, similarities = nearest(np.array([[1, 0]], np.float32), gallery, 4)
    assert positions.tolist() == [[2, 1, 0, -1]] and similarities.tolist() == [[0, -1, -1, -1]]


def test_one_row_and_empty_sides():
    one = unit(1, 8)
    positions, similarities = nearest(one, one, 2)
    assert positions.tolist() == [[0, -1]] and similarities[0, 0] == pytest.approx(1)
    assert nearest(one[:0], one, 2)[0].shape == nearest(one[:0], one[:0], 2)[1].shape == (0, 2)
    assert nearest(one, one[:0], 2)[0].tolist() == [[-1, -1]]
    assert nearest(one, np.zeros((3, 8), np.float32), 2)[0].tolist() == [[0, 1]]


def test_more_twins_than_the_list_holds_are_taken_in_order_of_position():
    gallery = unit(700, 256)
    twins = np.random.default_rng(5).permutation(700)[:300]
    gallery[twins] = gallery[twins[0]]
    queries = np.concatenate([gallery[twins[:1]], unit(30, 256, seed=3)])
    for block in (0, 101):
        positions, similarities = nearest(queries, gallery, 20, threads=1, block=block)
        assert positions[0].tolist() == sorted(twins.tolist())[:20]
        assert len(set(similarities[0].tolist())) == 1


@pytest.mark.parametrize("width", [7, 256, 512, 1280])
def test_a_query_finds_the_same_alone_and_among_others_with_any_threads_and_blocks(width):
    queries, gallery = unit(1100, width, seed=1), unit(1500, width)
    expected = nearest(queries, gallery, 100, threads=1)
    for threads, block in ((2, 0), (3, 333)):
        assert same(nearest(queries, gallery, 100, threads=threads, block=block), expected)
    for few in (slice(0, 1), slice(3, 8), slice(1000, 1033)):
        assert same(nearest(queries[few], gallery, 100, threads=2), [a[few] for a in expected])


def test_threads_of_the_caller_are_left_as_they_were():
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        nearest(unit(5, 4), unit(9, 4), 2, threads=2)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_threads_that_the_environment_gives_change_no_byte():
    told = """
import hashlib, sys
import numpy as np
from kit import searching
from kit.searching import Search
searching._SEARCH_DEPTH = 1  # graphs that differ then find others
rows = np.random.default_rng(0).normal(size=(1400, 96)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
search = Search(whiten=40, database=3, expansion=3, reciprocal=8, diffusion=8)
threads = int(sys.argv[1])
found = search.ranked(rows[:200], rows[200:], threads=threads)
for array in (*found, *searching.nearest(rows[:200], rows[200:], 5, method="hnsw", threads=threads)):
    print(hashlib.sha256(array.tobytes()).hexdigest())
"""
    said = []
    for threads in ("1", "4"):
        given = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)}
        said.append(subprocess.run([sys.executable, "-c", told, threads], env=given, capture_output=True, text=True, check=True).stdout)
    assert said[0] == said[1] and len(said[0].split()) == 4


def test_a_gallery_in_files_gives_what_one_in_memory_gives(tmp_path, monkeypatch):
    monkeypatch.setattr("kit.shards._BYTES", 4 * 24 * 100)
    queries, gallery = unit(20, 24, seed=1), unit(450, 24)
    gallery[17] = 0
    shards = Shards.write(tmp_path / "gallery", [str(n) for n in range(450)], iter([gallery[:99], gallery[99:]]), 24)
    np.save(tmp_path / "flat.npy", gallery)
    expected = nearest(queries, gallery, 450, threads=1)
    assert same(nearest(queries, shards, 450, threads=2, block=64), expected)
    assert same(nearest(queries, np.load(tmp_path / "flat.npy", mmap_mode="r"), 450, threads=2, block=64), expected)
    every = Search(neighbours=50, database=2, expansion=2, reciprocal=5, diffusion=5)
    assert same(every.ranked(queries, shards), every.ranked(queries, gallery))


def test_embeddings_that_are_too_long_or_no_numbers_are_refused():
    for wrong in (2.0, np.nan):
        with pytest.raises(AssertionError, match="of unit length at most"):
            nearest(unit(2, 4), unit(9, 4) * np.float32(wrong), 2)
        with pytest.raises(AssertionError, match="of unit length at most"):
            nearest(unit(2, 4) * np.float32(wrong), unit(9, 4), 2)


def test_vectors_shorter_than_unit_length_are_found_by_their_inner_product():
    gallery = np.array([[0.6, 0], [0.5, 0.5], [0, 1]], np.float32)
    positions, similarities = nearest(np.array([[1, 0]], np.float32), gallery, 3)
    assert positions.tolist() == [[0, 1, 2]] and similarities[0].tolist() == pytest.approx([0.6, 0.5, 0])


# --- graphs ----------------------------------------------------------------------------------------------------------------------


def test_graphs_find_nearly_all_with_exact_similarities_and_any_threads():
    queries, gallery = clustered(300, 32, 60, seed=7), clustered(4000, 32, 60)
    gallery[[3, 999]] = 0
    exact = nearest(queries, gallery, 50, method="exact", threads=2)
    found = nearest(queries, gallery, 50, method="hnsw", threads=1, block=1024)
    assert np.mean([len(set(a) & set(b)) / 50 for a, b in zip(found[0], exact[0])]) > 0.98
    assert (np.diff(found[1], axis=1) <= 0).all()
    known = [dict(zip(*row)) for row in zip(exact[0].tolist(), exact[1].tolist())]
    assert all(known[q].get(p, s) == s for q in range(300) for p, s in zip(found[0][q].tolist(), found[1][q].tolist()))
    for threads in (2, 3):
        assert same(nearest(queries, gallery, 50, method="hnsw", threads=threads, block=1024), found)


def test_graphs_put_rows_of_zeros_last_and_bear_k_above_n():
    gallery = unit(6, 8)
    gallery[2] = 0
    positions, _ = nearest(unit(3, 8, seed=1), gallery, 9, method="hnsw")
    assert (positions[:, 5] == 2).all() and (positions[:, 6:] == -1).all()
    assert [sorted(row) for row in positions[:, :5].tolist()] == [[0, 1, 3, 4, 5]] * 3


def test_auto_takes_graphs_where_both_sides_are_large(monkeypatch):
    monkeypatch.setattr(searching, "_SEARCH_DEPTH", 1)  # so that graphs miss some
    queries, gallery = unit(60, 64, seed=1), unit(2000, 64)
    exact, graphs = (nearest(queries, gallery, 5, method=method) for method in ("exact", "hnsw"))
    assert not same(exact, graphs)
    for rows, expected in ((60, graphs), (61, exact)):
        monkeypatch.setattr(searching, "_GRAPH_ROWS", rows)
        assert same(nearest(queries, gallery, 5), expected)


def test_few_queries_never_pay_for_a_graph():
    assert not searching.approximate(100_000, 10_000_000) and not searching.approximate(10_000_000, 100_000)
    assert searching.approximate(1_000_000, 1_000_000)


# --- Search ----------------------------------------------------------------------------------------------------------------------


def test_without_steps_ranked_is_nearest():
    queries, gallery = unit(5, 8, seed=1), unit(30, 8)
    assert Search().steps == []
    assert same(Search(neighbours=7).ranked(queries, gallery), nearest(queries, gallery, 7))


def test_steps_are_named_in_their_order_and_may_be_left_out():
    queries, gallery = unit(5, 8, seed=1), unit(60, 8)
    search = Search(neighbours=9, diffusion=4, reciprocal=5, expansion=3, database=2, whiten=6)
    assert search.steps == ["whiten", "database", "expansion", "reciprocal", "diffusion"]
    assert same(search.ranked(queries, gallery, without=frozenset(search.steps)), nearest(queries, gallery, 9))
    only = search.ranked(queries, gallery, without=frozenset(search.steps) - {"expansion"})
    assert same(only, Search(neighbours=9, expansion=3).ranked(queries, gallery))
    with pytest.raises(AssertionError):
        search.ranked(queries, gallery, without=frozenset({"expanding"}))


EVERY = [
    {"whiten": 3}, {"database": 3}, {"expansion": 3}, {"reciprocal": 4}, {"diffusion": 4}, {"reciprocal": 30},
    {"whiten": 4, "database": 2, "expansion": 2, "reciprocal": 3, "diffusion": 3},
]  # fmt: skip


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_every_step_bears_rows_of_zeros_k_above_n_and_empty_sides(options):
    queries, gallery = unit(4, 6, seed=1), unit(15, 6)
    queries[1], gallery[[0, 9]] = 0, 0
    positions, scores = Search(neighbours=20, **options).ranked(queries, gallery)
    assert positions.shape == scores.shape == (4, 20) and positions.dtype == np.int64 and scores.dtype == np.float32
    assert (positions[1] == -1).all()
    for q in (0, 2, 3):
        assert sorted(positions[q, :13].tolist()) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14]
        assert positions[q, 13:].tolist() == [0, 9, -1, -1, -1, -1, -1]
        assert (np.diff(scores[q]) <= 0).all() and (scores[q, 13:] == -1).all()
    assert Search(**options).ranked(queries[:0], gallery)[0].shape == (0, 100)
    assert (Search(**options).ranked(queries, gallery[:0])[0] == -1).all()


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_every_step_answers_a_query_by_itself_whatever_else_is_asked(options):
    queries, gallery = clustered(40, 24, 12, seed=5), clustered(200, 24, 12)
    search = Search(neighbours=30, **options)
    together = search.ranked(queries, gallery, threads=2)
    for q in (0, 39):
        assert same(search.ranked(queries[q : q + 1], gallery, threads=1), [a[q : q + 1] for a in together])


def test_rows_with_more_twins_than_neighbours_are_no_neighbours_of_their_own():
    gallery = np.repeat(unit(4, 6), 5, axis=0)
    positions, _ = searching._graph(gallery, 3, method="exact", threads=1)
    for row, near in enumerate(positions.tolist()):
        first = row - row % 5
        assert near == [g for g in range(first, first + 4) if g != row][:3]


def test_one_gallery_row_is_found_through_every_step():
    for options in EVERY[1:-1]:
        assert Search(neighbours=2, **options).ranked(unit(1, 6), unit(1, 6, seed=1))[0].tolist() == [[0, -1]]


def test_nothing_that_was_given_is_changed():
    queries, gallery = unit(4, 6, seed=1), unit(15, 6)
    before = queries.copy(), gallery.copy()
    for options in EVERY:
        Search(**options).ranked(queries, gallery)
    assert same((queries, gallery), before)


def test_values_out_of_range_are_named_all_at_once():
    with pytest.raises(ConfigError) as told:
        Search(neighbours=0, expansion=-1, reciprocal_share=1.5, diffusion_share=1.0, vote_power=-2)
    assert str(told.value).splitlines() == [
        "search.neighbours = 0: expected 1 or more",
        "search.expansion = -1: expected 0 or more",
        "search.reciprocal_share = 1.5: expected a share, 0 to 1",
        "search.vote_power = -2: expected more than 0",
        "search.diffusion_share = 1.0: expected at least 0 and less than 1",
    ]


def test_whitening_to_more_than_the_gallery_holds_is_refused():
    with pytest.raises(ConfigError, match=r"search.whiten = 9: the gallery's 30 vectors of 8 numbers vary in 8 directions"):
        Search(whiten=9).ranked(unit(2, 8), unit(30, 8))
    with pytest.raises(ConfigError, match=r"vary in 4 directions\nexpected at most 4; lower search.whiten"):
        Search(whiten=6).ranked(unit(2, 8), unit(5, 8))
    with pytest.raises(ConfigError, match=r"vary in 0 directions"):
        Search(whiten=1).ranked(unit(2, 8), unit(1, 8))

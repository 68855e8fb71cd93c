"""Embeddings of queries and of a gallery become, for each query, a list of gallery positions, nearest first.

Exact search multiplies blocks, so its memory is that of the blocks and of the answer, never that of all pairs. Blocks are searched by
one thread each, and what they find is measured anew pair by pair: a result depends neither on the threads, nor on the block, nor on the
other queries.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

import faiss
import numpy as np

from kit import reranking
from kit.errors import ConfigError, bullets
from kit.machine import cores
from kit.shards import Shards

Method = Literal["auto", "exact", "hnsw"]
STEPS = ("whiten", "database", "expansion", "reciprocal", "diffusion")  # in the order in which they are done

_BLOCK_BYTES = 2**27  # of the gallery that are searched at once
_QUERIES = 1024  # that a thread searches for at once
_SPARE = 8  # candidates beyond k: where the last of them is clearly worse than the k-th, nothing was missed by rounding
_GRAPH_BYTES = 2**30  # of the gallery in one graph
_GRAPH_ROWS = 1_000_000  # on both sides, from which "auto" takes graphs
_LINKS, _BUILD_DEPTH, _SEARCH_DEPTH = 32, 60, 200  # of an HNSW graph: neighbours of a node, and candidates held
_AT_ONCE = 4  # graphs that are built beside one another at most, since each holds its vectors
_SHORTLIST = 500  # of each query's nearest, through which diffusion goes


# --- nearest neighbours ----------------------------------------------------------------------------------------------------------


def nearest(
    queries: np.ndarray,
    gallery: np.ndarray | Shards,
    k: int,
    *,
    method: Method = "auto",
    threads: int = 0,
    block: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) int64 positions in the gallery and (m, k) float32 cosine similarities, -1..1 falling; equal ones by position.

    queries  (m, d) float32 rows of unit length; a row of zeros finds nothing
    gallery  (n, d) likewise, in memory, memory-mapped or in shards; rows of zeros are found after all others, with similarity -1
    method   "exact"; "hnsw": approximate, from graphs of a block each; "auto": hnsw where `approximate` says so
    threads  0 is one for each core that this process may use
    block    rows of the gallery searched at once; 0 is 128 MB of them, or 1 GB in a graph. Only "hnsw" finds others with other blocks
    Positions are -1, with similarity -1, where nothing is left to find.
    """
    positions, similarities = _lists(queries, gallery, k, method=method, threads=threads, block=block)
    _fill(positions, gallery, queries)
    return positions, similarities


def approximate(m: int, n: int) -> bool:
    """Whether "auto" searches graphs for m queries in a gallery of n: from a million on both sides.

    A graph must be built first, by one thread, so that it comes out the same each time. Measured with 100,000 embeddings of 256 on both sides,
    that takes 2.6 times as long as exact search (benchmarks/README.md) and finds 0.97 of it; at half the rows 3.4 times as long. Where it begins
    to pay is extrapolated from there, and the more cores there are, the later.
    """
    return min(m, n) >= _GRAPH_ROWS


def _lists(
    queries: np.ndarray, gallery: np.ndarray | Shards, k: int, *, method: Method, threads: int, block: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, without the gallery's rows of zeros."""
    m, n = len(queries), len(gallery)
    assert k > 0, k
    width = queries.shape[1]
    threads = threads or cores()
    graphs = method == "hnsw" or (method == "auto" and approximate(m, n))
    block = block or max(_QUERIES, (_GRAPH_BYTES if graphs else _BLOCK_BYTES) // (4 * max(width, 1)))
    at_once = block * min(threads, _AT_ONCE) if graphs else block
    positions, similarities = np.full((m, k), -1, np.int64), np.full((m, k), -1, np.float32)

    def look(parts: list[_Part], start: int) -> None:
        rows = slice(start, start + _QUERIES)
        asked = _float_rows(queries, rows)
        there = np.flatnonzero(asked.any(axis=1))
        for part in parts if len(there) else []:
            found = part.find(asked[there], k)
            positions[start + there], similarities[start + there] = _merged(positions[start + there], similarities[start + there], *found)

    # a number of threads that is set in a thread holds in that thread alone
    with ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        for wave in range(0, n, at_once):
            starts = range(wave, min(wave + at_once, n), block)
            parts = list(pool.map(lambda start: _Part(_float_rows(gallery, slice(start, min(start + block, n))), start, graphs), starts))
            list(pool.map(partial(look, [part for part in parts if len(part.vectors)]), range(0, m, _QUERIES)))
            del parts  # before the next are loaded
    return positions, similarities


class _Part:
    """A block of the gallery, without its rows of zeros, and the graph upon it if there is one."""

    def __init__(self, vectors: np.ndarray, start: int, graph: bool):
        there = vectors.any(axis=1)
        self.rows = start + np.flatnonzero(there)
        self.vectors = vectors if there.all() else vectors[there]
        self.graph = None
        if graph and len(self.vectors):
            self.graph = faiss.IndexHNSWFlat(self.vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
            self.graph.hnsw.efConstruction = _BUILD_DEPTH
            self.graph.add(self.vectors)

    def find(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) positions in the gallery and similarities; fewer columns where the block has fewer rows."""
        k = min(k, len(self.vectors))
        if self.graph is None:
            places, similarities = _exact(queries, self.vectors, k)
        else:
            self.graph.hnsw.efSearch = max(_SEARCH_DEPTH, 2 * k)
            _, places = self.graph.search(queries, k)
            similarities = np.where(places >= 0, _similarities(queries, self.vectors, np.maximum(places, 0)), -1)
        return np.where(places >= 0, self.rows[places], -1), similarities


def _exact(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    asked = min(k + _SPARE, len(vectors))
    products, places = faiss.knn(queries, vectors, asked, metric=faiss.METRIC_INNER_PRODUCT)
    places, similarities = _ordered(places, _similarities(queries, vectors, places))
    if asked < len(vectors):
        # two float32 products of unit rows differ by less, but for a chance of no account (Higham and Mary 2019, "A New Approach to
        # Probabilistic Rounding Error Analysis": a few times sqrt(d) units, where sums of d terms could give d)
        rounding = 8 * math.sqrt(vectors.shape[1]) * 2**-24
        everywhere = np.arange(len(vectors))[None]
        for q in np.flatnonzero(similarities[:, k - 1] <= products[:, -1] + rounding).tolist():  # so many are equal: look at all
            row = _similarities(queries[q : q + 1], vectors, everywhere)[0]
            places[q, :k] = np.argsort(-row, kind="stable")[:k]
            similarities[q, :k] = row[places[q, :k]]
    return places[:, :k], similarities[:, :k]


def _similarities(queries: np.ndarray, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(q, c) of each query with the vectors at its (q, c) places; a pair's value depends on that pair alone."""
    places = np.ascontiguousarray(places, np.int64)
    values = np.empty(places.shape, np.float32)
    pointers = (faiss.swig_ptr(array) for array in (values, queries, vectors, places))
    faiss.fvec_inner_products_by_idx(*pointers, queries.shape[1], *places.shape)
    return np.clip(values, -1, 1, out=values)


def _ordered(positions: np.ndarray, similarities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((positions, -similarities))
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(similarities, order, axis=1)


def _merged(positions: np.ndarray, similarities: np.ndarray, more: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two lists a query become the k best of both, where k is the length of the first."""
    k = positions.shape[1]
    if more.shape[1] == k and (positions < 0).all() and (more >= 0).all():
        return _ordered(more, theirs)
    positions, similarities = np.concatenate([positions, more], axis=1), np.concatenate([similarities, theirs], axis=1)
    positions, similarities = _ordered(positions, np.where(positions >= 0, similarities, -2))  # what is not there comes last
    return positions[:, :k], np.maximum(similarities[:, :k], -1)


def _float_rows(vectors: np.ndarray | Shards, rows: slice) -> np.ndarray:
    taken = np.ascontiguousarray(vectors[rows], np.float32)
    assert (np.einsum("nd,nd->n", taken, taken) < 1.001).all(), "embeddings must be numbers, of unit length at most"
    return taken


def _fill(positions: np.ndarray, gallery: np.ndarray | Shards, queries: np.ndarray) -> None:
    """Puts the gallery's rows of zeros where nothing else was found, but for queries that are zeros themselves."""
    lacking = [q for q in np.flatnonzero(positions[:, -1] < 0).tolist() if queries[q].any()]
    if not lacking:
        return
    k = positions.shape[1]
    empty = [np.zeros(0, np.int64)]
    for start in range(0, len(gallery), _QUERIES):
        empty.append(start + np.flatnonzero(~gallery[start : start + _QUERIES].any(axis=1)))
    last = np.append(np.concatenate(empty)[:k], np.full(k, -1))
    for q in lacking:
        found = int((positions[q] >= 0).sum())
        positions[q, found:] = last[: k - found]


# --- with re-ranking -------------------------------------------------------------------------------------------------------------


class Search:
    """The keys of [search]: how queries look for their neighbours."""

    def __init__(
        self,
        *,
        neighbours: int = 100,
        method: Method = "auto",
        database: int = 0,
        database_power: float = 1.0,
        expansion: int = 0,
        expansion_power: float = 3.0,
        reciprocal: int = 0,
        reciprocal_share: float = 0.3,
        diffusion: int = 0,
        diffusion_share: float = 0.99,
        whiten: int = 0,
        votes: int = 10,
        vote_power: float = 3.0,
        vote_share: float = 0.7,
    ):
        """
        neighbours        found for each query
        method            "exact", "hnsw" (approximate), or "auto": by the numbers of queries and gallery rows
        database          nearest gallery rows that are added to each gallery row before anything is searched; 0 is off, as below
        database_power    similarity ** this is a neighbour's weight beside the row's own 1; 0 weighs all alike
        expansion         nearest gallery rows that are added to each query, which then searches again
        expansion_power   similarity ** this is a neighbour's weight beside the query's own 1
        reciprocal        rows that make a neighbourhood, whose overlap re-ranks the neighbours
        reciprocal_share  0..1 of the plain similarity beside the overlap
        diffusion         neighbours of a gallery row in the graph along whose edges similarity spreads from each query's nearest
        diffusion_share   0..1, of what a row has that comes to it along the edges
        whiten            numbers that the gallery's principal directions, each of unit variance, make of an embedding
        votes             nearest training rows that say what class a row is of, for tasks of classes; 0 leaves it to the model's own scores
        vote_power        similarity ** this is what a vote weighs, above 0
        vote_share        0..1 of the votes beside the model's own scores
        Raises ConfigError for values outside these ranges.
        """
        self.neighbours, self.method, self.whiten = neighbours, method, whiten
        self.database, self.database_power = database, database_power
        self.expansion, self.expansion_power = expansion, expansion_power
        self.reciprocal, self.reciprocal_share = reciprocal, reciprocal_share
        self.diffusion, self.diffusion_share = diffusion, diffusion_share
        self.votes, self.vote_power, self.vote_share = votes, vote_power, vote_share
        _check(self)

    @property
    def steps(self) -> list[str]:
        """The steps that are on, in the order in which they are done."""
        return [step for step in STEPS if getattr(self, step)]

    def ranked(
        self,
        queries: np.ndarray,
        gallery: np.ndarray | Shards,
        *,
        without: frozenset[str] = frozenset(),
        threads: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(m, neighbours) int64 positions in the gallery, -1 for none, and (m, neighbours) float32 scores, falling.

        queries  (m, d) float32 rows of unit length; a row of zeros finds nothing
        gallery  (n, d) likewise; rows of zeros are found last. With any step on it is held in memory, without one it is searched in blocks
        without  steps that are left out
        threads  0 is one for each core that this process may use
        Scores are similarities until a step that re-ranks makes them its own; they are -1 where nothing but rows of zeros is found.
        """
        assert without <= set(STEPS), without
        steps = [step for step in self.steps if step not in without]
        how = {"method": self.method, "threads": threads}
        if not steps or not len(queries) or not len(gallery):
            return nearest(queries, gallery, self.neighbours, **how)
        given = queries, gallery
        gallery = gallery.vectors() if isinstance(gallery, Shards) else np.asarray(gallery, np.float32)
        if "whiten" in steps:
            learned = reranking.whitening(gallery, self.whiten)
            queries, gallery = reranking.whitened(queries, *learned), reranking.whitened(gallery, *learned)
        if "database" in steps:
            gallery = reranking.expanded(gallery, gallery, *_graph(gallery, self.database, **how), self.database_power)
        if "expansion" in steps:
            queries = reranking.expanded(queries, gallery, *_lists(queries, gallery, self.expansion, **how), self.expansion_power)
        depth = max([self.neighbours, self.reciprocal * ("reciprocal" in steps), _SHORTLIST * ("diffusion" in steps)])
        found = _lists(queries, gallery, depth, **how)
        degrees = {step: getattr(self, step) for step in ("reciprocal", "diffusion") if step in steps}
        graph = _graph(gallery, max(degrees.values()), **how) if degrees else None
        if "reciprocal" in steps:
            near = tuple(a[:, : self.reciprocal] for a in graph)
            found = reranking.reciprocal(queries, gallery, found, near, first=self.neighbours, share=self.reciprocal_share)
        if "diffusion" in steps:
            near = tuple(a[:, : self.diffusion] for a in graph)
            found = reranking.diffused(found, near, share=self.diffusion_share)
        positions, scores = (a[:, : self.neighbours].copy() for a in found)
        _fill(positions, *reversed(given))
        return positions, scores


def _check(search: Search) -> None:
    least = {"neighbours": 1} | dict.fromkeys([*STEPS, "database_power", "expansion_power", "votes"], 0)
    problems = [f"search.{k} = {getattr(search, k)}: expected {v} or more" for k, v in least.items() if getattr(search, k) < v]
    for name in ("reciprocal_share", "vote_share"):
        if not 0 <= getattr(search, name) <= 1:
            problems.append(f"search.{name} = {getattr(search, name)}: expected a share, 0 to 1")
    if search.vote_power <= 0:  # each vote would be a certainty
        problems.append(f"search.vote_power = {search.vote_power}: expected more than 0")
    if not 0 <= search.diffusion_share < 1:
        problems.append(f"search.diffusion_share = {search.diffusion_share}: expected at least 0 and less than 1")
    if problems:
        raise ConfigError(bullets(problems))


def _graph(gallery: np.ndarray, k: int, *, method: Method, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) lists of each gallery row's nearest others."""
    positions, similarities = _lists(gallery, gallery, k + 1, method=method, threads=threads)
    own = positions == np.arange(len(gallery))[:, None]
    own[~own.any(axis=1), -1] = True  # more than k are equal to it, or a graph has missed it
    return positions[~own].reshape(-1, k), similarities[~own].reshape(-1, k)

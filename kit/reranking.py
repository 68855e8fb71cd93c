"""Neighbour lists and the vectors that made them become better lists: whitening, expansion, k-reciprocal re-ranking, diffusion.

Each step looks at one query and the gallery, never at another query. Vectors are rows of unit length; a list is (m, k) positions in the
gallery, -1 for none, and (m, k) similarities, best first. Every sum is taken in an order that does not depend on the number of threads.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from kit.errors import ConfigError

_ROWS = 8192  # vectors, or pairs of them, that are looked at at once
_QUERIES = 1024  # whose neighbourhoods are made at once
_POWER = 3  # of a similarity that becomes an edge, as the paper on diffusion has it
_SEEDS = 10  # nearest rows from which similarity spreads
_FLAT = 1e-9  # a direction with less than this share of the largest variance is rounding, and must not be blown up to unit variance
_RESIDUAL = 1e-6  # of the conjugate gradients, relative to the right-hand side
_MOST_ROUNDS = 10_000  # of them: a condition number of 200, which a share of 0.99 can give, needs a hundred


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows at unit length; rows of zeros stay."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return (vectors / np.where(length > 0, length, 1)[:, None]).astype(np.float32)


# --- whitening -------------------------------------------------------------------------------------------------------------------


def whitening(gallery: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(d,) mean and (d, width) projection to the principal directions, each divided by its standard deviation.

    gallery  (n, d); rows of zeros do not count
    Raises ConfigError where the gallery has fewer than `width` directions.
    """
    d = gallery.shape[1]
    total, products, count = np.zeros(d), np.zeros((d, d)), 0
    with threadpool_limits(1, "blas"):
        for rows in _blocks(len(gallery)):
            block = gallery[rows].astype(np.float64)
            total += block.sum(axis=0)
            products += block.T @ block
            count += int(block.any(axis=1).sum())
        mean = total / max(count, 1)
        variance, direction = np.linalg.eigh(products / max(count, 1) - np.outer(mean, mean))
    spanned = int((variance > _FLAT * variance[-1]).sum()) if variance[-1] > 0 else 0
    if spanned < width:
        raise ConfigError(
            f"search.whiten = {width}: the gallery's {count} vectors of {d} numbers vary in {spanned} directions\n"
            f"expected at most {spanned}; lower search.whiten, or set it to 0"
        )
    return mean, direction[:, ::-1][:, :width] / np.sqrt(variance[::-1][:width])


def whitened(vectors: np.ndarray, mean: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """(n, width) of unit length; rows of zeros stay."""
    made = np.zeros((len(vectors), projection.shape[1]), np.float32)
    with threadpool_limits(1, "blas"):
        for rows in _blocks(len(vectors)):
            made[rows] = unit((vectors[rows] - mean) @ projection) * vectors[rows].any(axis=1)[:, None]
    return made


# --- expansion -------------------------------------------------------------------------------------------------------------------


def expanded(vectors: np.ndarray, gallery: np.ndarray, positions: np.ndarray, similarities: np.ndarray, power: float) -> np.ndarray:
    """(m, d) each vector and its neighbours, summed and brought to unit length.

    A neighbour's weight is its similarity ** power, and 0 where that is negative; a vector's own weight is 1 (the alpha-weighted expansion of Radenovic,
    Tolias and Chum 2018, "Fine-tuning CNN Image Retrieval with No Human Annotation").
    """
    weights = np.where(positions >= 0, np.maximum(similarities, 0) ** power, 0).astype(np.float32)
    made = np.empty_like(vectors)
    few = max(1, _ROWS // max(positions.shape[1], 1))
    for rows in _blocks(len(vectors), few):
        made[rows] = unit(vectors[rows] + np.einsum("mk,mkd->md", weights[rows], gallery[positions[rows]]))
    return made


# --- k-reciprocal re-ranking -----------------------------------------------------------------------------------------------------


def reciprocal(
    queries: np.ndarray,
    gallery: np.ndarray,
    found: tuple[np.ndarray, np.ndarray],
    graph: tuple[np.ndarray, np.ndarray],
    *,
    first: int,
    share: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The lists with their first `first` neighbours in the order of share x similarity + (1 - share) x overlap of neighbourhoods.

    found    (m, k) lists of the queries
    graph    (n, k1) lists of the gallery's rows among the others; k1 is the size of a neighbourhood, and at most k
    share    0..1
    returns  (m, k) positions and scores; those after the first have share x similarity alone

    Zhong, Zheng, Cao and Li 2017, "Re-ranking Person Re-identification with k-reciprocal Encoding", with k2 = 0.3 x k1 as there, and
    d = 1 - similarity. Overlap is 1 - the Jaccard distance. Two deviations, so that no query is seen by another: the gallery's neighbourhoods
    are made without the queries, and a query is among the k1 nearest of a row if it is at least as near as the row's k1-th. Ties go by
    similarity, then by position.
    """
    positions, similarities = found
    n, k1 = graph[0].shape
    others = max(0, round(0.3 * k1) - 1)  # k2 counts the row itself
    half = _mutual(graph[0][:, : max(1, round(k1 / 2))])
    encoded = _encoded(_grown(_mutual(graph[0]), half), gallery, gallery)
    encoded = _averaged(encoded, graph[0][:, :others], encoded)
    scores = share * similarities.astype(np.float64)
    values = np.zeros(n)
    for rows in _blocks(len(queries), _QUERIES):
        near = positions[rows, :k1]
        mutual = _listed(np.where(similarities[rows, :k1] >= graph[1][near, -1], near, -1), n)
        own = _averaged(_encoded(_grown(mutual, half), queries[rows], gallery), near[:, :others], encoded)
        for q, there in enumerate(positions[rows, :first]):
            there = there[there >= 0]
            columns = own.indices[own.indptr[q] : own.indptr[q + 1]]
            values[columns] = own.data[own.indptr[q] : own.indptr[q + 1]]
            theirs = encoded[there]
            both = np.zeros(theirs.nnz + 1)  # one more, so that a list without neighbours can be summed
            both[:-1] = np.minimum(theirs.data, values[theirs.indices])
            shared = np.add.reduceat(both, theirs.indptr[:-1]) if len(there) else both[:0]
            overlap = shared / (values[columns].sum() + theirs.sum(axis=1) - shared)
            scores[rows.start + q, : len(there)] += (1 - share) * overlap
            values[columns] = 0
    return _in_order(positions, similarities, scores, first)


def _listed(positions: np.ndarray, n: int) -> csr_array:
    """(m, n) with a 1 where a list has a position."""
    there = positions >= 0
    ends = np.append(0, there.sum(axis=1).cumsum())
    return csr_array((np.ones(ends[-1], np.float32), positions[there], ends), shape=(len(positions), n))


def _mutual(positions: np.ndarray) -> csr_array:
    """(n, n) with a 1 where two rows are in each other's lists, and for each row with itself."""
    listed = _listed(positions, len(positions))
    return csr_array(listed.multiply(listed.T) + scipy.sparse.eye_array(len(positions), dtype=np.float32))


def _grown(mutual: csr_array, half: csr_array) -> csr_array:
    """Neighbourhoods, grown by those of half the size that lie in them for two thirds or more."""
    overlap = csr_array((mutual @ half).multiply(mutual))
    sizes = np.diff(half.indptr)
    kept = csr_array(((3 * overlap.data >= 2 * sizes[overlap.indices]).astype(np.float32), overlap.indices, overlap.indptr), overlap.shape)
    kept.eliminate_zeros()
    return csr_array(mutual + kept @ half)


def _encoded(neighbourhoods: csr_array, vectors: np.ndarray, gallery: np.ndarray) -> csr_array:
    """Each neighbourhood as weights exp(-d) that sum to 1; no weights where it is empty."""
    rows, columns = np.repeat(np.arange(len(vectors)), np.diff(neighbourhoods.indptr)), neighbourhoods.indices
    weights = np.empty(len(rows))
    for pairs in _blocks(len(rows)):
        weights[pairs] = np.exp(np.einsum("pd,pd->p", vectors[rows[pairs]], gallery[columns[pairs]], dtype=np.float64) - 1)
    weights /= np.bincount(rows, weights, len(vectors))[rows]
    return csr_array((weights, columns, neighbourhoods.indptr), neighbourhoods.shape)


def _averaged(own: csr_array, near: np.ndarray, encoded: csr_array) -> csr_array:
    """The mean of each row and of the rows of `encoded` that its list names."""
    listed = _listed(near, encoded.shape[0])
    return csr_array(scipy.sparse.diags_array(1 / (1 + np.diff(listed.indptr))) @ (own + listed @ encoded))


# --- diffusion -------------------------------------------------------------------------------------------------------------------


def diffused(
    found: tuple[np.ndarray, np.ndarray],
    graph: tuple[np.ndarray, np.ndarray],
    *,
    share: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The lists in the order of (1 - share) x f, where (I - share x S) f = y.

    found  (m, k) lists of the queries; y holds the similarities of each query's first ten, to the power 3
    graph  (n, d) lists of the gallery's rows among the others. S holds similarities to the power 3 of rows that are in each other's
           lists, divided by the roots of both rows' sums
    share  0..1, less than 1

    Iscen, Tolias, Avrithis, Furon and Chum 2017, "Efficient Diffusion on Region Manifolds: Recovering Small Objects with Compact CNN
    Representations", truncated: by conjugate gradients on the part of the graph that a query's list holds. Ties, as of what nothing has reached,
    go by similarity, then by position.

    Raises ConfigError where the share is so near to 1 that the gradients do not settle.
    """
    positions, similarities = found
    spread = _spread(*graph)
    scores = np.zeros(positions.shape)
    place = np.full(len(graph[0]), -1)
    for q, there in enumerate(positions):
        there = there[there >= 0]
        place[there] = np.arange(len(there))
        rows = spread[there]
        inside = place[rows.indices] >= 0
        ends = np.append(0, inside.cumsum())[rows.indptr]
        around = csr_array((rows.data[inside], place[rows.indices[inside]], ends), (len(there), len(there)))
        seeds = np.maximum(similarities[q, : len(there)], 0).astype(np.float64) ** _POWER
        seeds[_SEEDS:] = 0
        scores[q, : len(there)] = (1 - share) * _solved(around, share, seeds)
        place[there] = -1
    return _in_order(positions, similarities, scores, positions.shape[1])


def _spread(positions: np.ndarray, similarities: np.ndarray) -> csr_array:
    """(n, n) S of `diffused`; a row that is in nobody's list has none."""
    edges = _listed(positions, len(positions))
    edges.data = (np.maximum(similarities[positions >= 0], 0).astype(np.float64)) ** _POWER
    edges = csr_array(edges.minimum(edges.T))  # 0 where only one lists the other
    sums = np.asarray(edges.sum(axis=1))
    root = scipy.sparse.diags_array(1 / np.sqrt(np.where(sums > 0, sums, 1)))
    return csr_array(root @ edges @ root)


def _solved(spread: csr_array, share: float, seeds: np.ndarray) -> np.ndarray:
    """f of (I - share x S) f = seeds, by conjugate gradients."""
    f, residual = np.zeros_like(seeds), seeds.copy()
    direction, norm = residual, residual @ residual
    enough = _RESIDUAL**2 * norm
    for _ in range(_MOST_ROUNDS):
        if norm <= enough:
            return f
        changed = direction - share * (spread @ direction)
        step = norm / (direction @ changed)
        f += step * direction
        residual = residual - step * changed
        before, norm = norm, residual @ residual
        direction = residual + norm / before * direction
    raise ConfigError(
        f"search.diffusion_share = {share}: similarity has not settled after {_MOST_ROUNDS} rounds\n"
        "expected a share further below 1, such as 0.99"
    )


# --- what all use ----------------------------------------------------------------------------------------------------------------


def _in_order(positions: np.ndarray, similarities: np.ndarray, scores: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists with their first columns sorted by score, similarity and position; what is not there stays last, with score -1."""
    scores = np.where(positions >= 0, scores, -1).astype(np.float32)  # so that sums which differ in their last bits alone are ties
    order = np.tile(np.arange(positions.shape[1]), (len(positions), 1))
    order[:, :first] = np.lexsort((positions[:, :first], -similarities[:, :first], -scores[:, :first]))
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _blocks(n: int, size: int = _ROWS) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))

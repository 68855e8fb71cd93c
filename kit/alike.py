"""Rows that are near copies of one another: pictures of one thing and clips of one recording must not vouch for each other across folds."""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from kit.competition import Competition
from kit.encoders import Gathering, gathered
from kit.errors import ConfigError, shorten
from kit.machine import cores
from kit.tables import MEDIA, Tables

_AT_ONCE = 1024  # rows that are compared with all others of their class


def groups(competition: Competition, tables: Tables, target: np.ndarray, least: float, progress: Callable[[str], None]) -> np.ndarray:
    """(n,) int64 group of each training row: rows of one class are in one group where a chain of similar pictures leads from one to the other.

    target  (n,) class positions, -1 for rows of none, which are compared as a class of their own
    least   0..1, cosine of the frozen features, less their mean, from which two rows count as alike: of pictures those of [encoders.image]; of sounds the mean of two,
            of their spectra and of how these go on. Both, and whatever features a model is given: a model finds copies by what nothing has joined, and runs of different
            models have the same folds
    Rows without a picture or a sound are alone. Raises ConfigError where the rows have neither.
    """
    config = competition.config
    media = {name: column for name, column in tables.schema.items() if column.kind in MEDIA}
    if not media:
        raise ConfigError(f"score.alike compares pictures or sounds, and the columns are {shorten(tables.schema)}\ntake it out, or name the groups: input.columns.group")
    how = Gathering(competition.home / "cache", (), config.train.get("threads") or cores(), progress)
    blocks = []
    for heard in ("spectra", "envelope"):
        asked = {name: column for name, column in media.items() if column.kind == "audio" or not blocks}
        compared = config.encoders | {"audio": {**config.encoders.get("audio", {}), "features": heard}}
        _, _, stores = gathered(tables.train, tables.test, asked, compared, how)
        blocks += [store.features[: len(tables.train)] for store in stores.values()]
    return chained(np.hstack([_unit(block) for block in blocks]) if len(blocks) > 1 else blocks[0], target, least)


def chained(features: np.ndarray, target: np.ndarray, least: float) -> np.ndarray:
    """(n,) int64 group of each row. features  (n, d); a row with a NaN is alone"""
    unit = np.nan_to_num(_unit(features))
    found, begun = np.empty(len(features), np.int64), 0
    order = np.argsort(target, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(target[order])) + 1):
        many, named = connected_components(_graph(unit[rows], least), directed=False)
        found[rows], begun = begun + named, begun + many
    return found


def _unit(features: np.ndarray) -> np.ndarray:
    """(n, d) less their mean, of length 1; a row with a NaN is NaN."""
    there = ~np.isnan(features).any(axis=1)
    centred = np.where(there[:, None], features - (features[there].mean(axis=0) if there.any() else 0), np.nan)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def _graph(unit: np.ndarray, least: float) -> scipy.sparse.csr_matrix:
    """(m, m) True between alike rows, made block by block: a class may have more rows than m x m numbers fit."""
    blocks = [scipy.sparse.csr_matrix(unit[start : start + _AT_ONCE] @ unit.T >= least) for start in range(0, len(unit), _AT_ONCE)]
    return scipy.sparse.vstack(blocks, format="csr") if blocks else scipy.sparse.csr_matrix((0, 0), dtype=bool)

"""Which rows a network can learn from, and which it can answer: those that have what it looks at or listens to."""

import numpy as np

from kit.encoders import Examples, Features
from kit.errors import DataError, shorten
from kit.stores import CALLED


def seen(train: Examples, takes: tuple[str, ...], optional: bool) -> Examples:
    """The rows that have it, since the others teach nothing.

    takes     column kinds that the network takes as they are
    optional  whether it takes those that are there
    Raises DataError where a column is lacking or one of several, and where no row is left.
    """
    found = [block.kind for block in train.features.media.values()]
    problems = []
    for kind in takes:
        if kind not in found and not optional:
            problems.append(f"the rows have no column of {CALLED[kind]}s, which this model learns from\nname one: input.columns.{kind} = [...]")
        if found.count(kind) > 1:
            columns = [name for name, block in train.features.media.items() if block.kind == kind]
            problems.append(f"the rows have {len(columns)} columns of {CALLED[kind]}s: {shorten(columns)}; this model looks at one\ndrop the others: input.drop = [...]")
    if problems:
        raise DataError("\n".join(problems))
    there = answerable(train.features, takes, optional)
    if not there.any():
        raise DataError(f"none of the training rows has {' and '.join(f'a {CALLED[kind]}' for kind in _needed(takes, optional))} that can be read")
    return train if there.all() else train.take(there)


def answerable(features: Features, takes: tuple[str, ...], optional: bool) -> np.ndarray:
    """(n,) bool: whether a row has all without which it cannot be answered."""
    kinds = {block.kind: block.there for block in features.media.values()}
    return np.all([np.ones(len(features), bool), *(kinds[kind] for kind in _needed(takes, optional))], axis=0)


def _needed(takes: tuple[str, ...], optional: bool) -> list[str]:
    return [kind for kind in takes if kind != "text" and not optional]  # an empty text is one, too

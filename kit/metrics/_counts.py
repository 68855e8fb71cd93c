"""How many rows of each class are right, true and predicted: what F scores, balanced accuracy and Matthews' coefficient are made of."""

import numpy as np
import pandas as pd

from kit.errors import ScoreError

_FEW = 10_000  # classes that are positions already

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


def by_class(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> Counts:
    """(right, true, predicted), each (classes,): weighted rows of every class seen on either side."""
    if truth.ndim > 1:
        raise ScoreError(
            f"this metric takes one label a row, but truth has {truth.shape[1]} label columns\n"
            "use a multilabel metric: f1_micro, f1_macro, f1_weighted or f1_samples"
        )
    both = np.concatenate([truth, predicted])
    if both.dtype.kind == "i" and len(both) and both.min() >= 0 and both.max() < _FEW:
        codes = both
    else:
        codes, _ = pd.factorize(both)  # hashing: sorting a million texts takes seconds
    true, guessed = codes[: len(truth)], codes[len(truth) :]
    weights = np.ones(len(truth)) if weights is None else weights
    hit = true == guessed
    seen = np.flatnonzero(np.bincount(codes))
    c = int(codes.max(initial=-1)) + 1
    return tuple(np.bincount(rows, w, c)[seen] for rows, w in ((true[hit], weights[hit]), (true, weights), (guessed, weights)))


def by_label(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> Counts:
    """(right, true, predicted), each (labels,): weighted ones in every column of two (n, labels) 0/1 matrices."""
    weights = np.ones(len(truth)) if weights is None else weights
    return weights @ (truth * predicted), weights @ truth, weights @ predicted

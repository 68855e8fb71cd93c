"""The line through n-grams and numbers: both under one penalty, which is chosen inside the training rows."""

import numpy as np
import pytest
import scipy.sparse

from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators._matrix import Scaler
from kit.estimators.linear import _FINER, _PENALTIES, Linear


def features(dense, sparse):
    dense = np.asarray(dense, np.float32)
    names = [f"x{n}" for n in range(dense.shape[1])]
    return Features(dense, names, np.empty((len(dense), 0), np.int32), [], [], scipy.sparse.csr_matrix(np.asarray(sparse, np.float32)))


def test_a_rows_n_grams_are_as_long_as_its_numbers_where_that_is_asked_for():
    given = features(np.random.default_rng(0).normal(size=(50, 9)), np.eye(50))
    for even, length in ((True, 3.0), (False, 1.0)):  # nine numbers of deviation 1 are of length 3
        scaler = Scaler(even=even)
        scaler.fit(given)
        x = scaler.transform(given)
        assert np.sqrt(x[:, 9:].multiply(x[:, 9:]).sum(axis=1)) == pytest.approx(np.full((50, 1), length))


def test_without_numbers_n_grams_are_of_length_1():
    given = features(np.empty((4, 0)), np.eye(4))
    scaler = Scaler(even=True)
    scaler.fit(given)
    assert scaler.transform(given).toarray() == pytest.approx(np.eye(4))


def examples(n=300, seed=0):
    """A rare word that settles the answer, twenty that say nothing, and numbers of which one says a little."""
    random = np.random.default_rng(seed)
    target = (random.random(n) < 0.5).astype(float)
    words = (random.random((n, 20)) < 0.2).astype(float)
    words[:, 0] = target * (random.random(n) < 0.5)
    dense = random.normal(size=(n, 4))
    dense[:, 0] += 0.7 * target
    return Examples(np.arange(n), features(dense, words), target)


def model(**options):
    return Linear(Setup(task="binary", outputs=1, loss="bce", threads=1), **options)


def test_the_penalty_found_is_no_worse_on_held_out_rows_than_any_that_was_tried():
    train = examples()
    line = model()
    line.scaler.fit(train.features)
    x, target = line.scaler.transform(train.features), train.target.reshape(-1, 1)
    found = line._best_penalty(x, target, None)
    assert found in [p * step for p in _PENALTIES for step in (1, _FINER, 1 / _FINER)]
    cut = line._cuts(train.target)[0]
    inner = [(cut[0], cut[1], train.target[cut[0]], train.target[cut[1]])]
    assert line._held_out(x, None, inner, found) <= min(line._held_out(x, None, inner, p) for p in _PENALTIES) + 1e-9


def test_words_and_numbers_together_tell_more_than_either():
    train, test = examples(), examples(seed=1)
    losses = {}
    for name, kept in (("words", (False, True)), ("numbers", (True, False)), ("both", (True, True))):
        parts = []
        for given in (train, test):
            dense = given.features.dense if kept[0] else np.empty((len(given), 0))
            parts.append(Examples(given.ids, features(dense, given.features.sparse.toarray() * kept[1]), given.target))
        line = model()
        line.fit(parts[0], {})
        p = np.clip(line.predict(parts[1]).ravel(), 1e-9, 1 - 1e-9)
        losses[name] = -np.mean(np.where(test.target == 1, np.log(p), np.log(1 - p)))
    assert losses["both"] < min(losses["words"], losses["numbers"]) - 0.02


def test_a_line_that_has_not_settled_says_so_instead_of_the_librarys_warning(monkeypatch, recwarn):
    monkeypatch.setattr("kit.estimators.linear._ROUNDS", 2)
    told = []
    Linear(Setup(task="binary", outputs=1, loss="bce", progress=told.append), penalty=0.001).fit(examples(), {})
    assert len(told) == 1 and told[0].startswith("linear  stopped after 2 rounds") and "above 0.001" in told[0]
    assert not [w for w in recwarn if "converge" in str(w.message)]

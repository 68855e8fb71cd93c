"""Rows of many classes: what a model gives for all of them at once would not fit into memory, so it is asked block by block."""

import numpy as np
import pandas as pd
import pytest

from kit import fitting
from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators.constant import Constant
from kit.estimators.kmeans import Kmeans
from kit.estimators.knn import Knn
from kit.tasks.multiclass import Multiclass

CLASSES = [f"c{n:03d}" for n in range(300)]


def examples(n, *, target=False):
    random = np.random.default_rng(n)
    x = random.normal(size=n).astype(np.float32)
    answers = np.r_[np.arange(300), random.integers(0, 300, n - 300)] if target else None
    return Examples(np.array([f"r{k:05d}" for k in range(n)], dtype=object), Features.of(n, dense={"x": x}), answers)


def task() -> Multiclass:
    made = Multiclass(target="y")
    made.learn(pd.DataFrame({"y": CLASSES}))
    return made


@pytest.mark.parametrize("part", [Constant, Kmeans, Knn])
def test_blocks_give_what_all_at_once_would(part, monkeypatch):
    model, asked, sizes = part(Setup(task="multiclass", outputs=300, loss="cross_entropy", threads=1)), examples(1000), []
    model.fit(examples(900, target=True), {})
    at_once = task().decode(asked.ids, model.predict(asked))

    class Counting:
        def predict(self, rows):
            sizes.append(len(rows))
            return model.predict(rows)

    monkeypatch.setattr(fitting, "_AT_ONCE", 300 * 384)
    blocks = fitting.decoded(task(), Counting(), asked)
    assert sizes == [384, 384, 232]
    pd.testing.assert_frame_equal(blocks.rows, at_once.rows)


def test_neighbours_of_many_classes_are_counted_as_those_of_few():
    model, known = Knn(Setup(task="multiclass", outputs=300, loss="cross_entropy", threads=1), neighbours=3), examples(900, target=True)
    model.fit(known, {})
    shares = model.predict(known)
    assert shares.shape == (900, 300) and np.allclose(shares.sum(axis=1), 1) and ((shares > 0).sum(axis=1) <= 3).all()
    assert (shares[np.arange(900), known.target] > 0).all()  # each row is its own neighbour


def test_a_cluster_has_the_weighted_shares_of_its_classes():
    known = examples(900, target=True)
    known.weight = np.linspace(0.5, 1.5, 900)
    model = Kmeans(Setup(task="multiclass", outputs=300, loss="cross_entropy", threads=1), clusters=1, smoothing=0.0)
    model.fit(known, {})
    shares = np.bincount(known.target, weights=known.weight, minlength=300) / known.weight.sum()
    assert np.allclose(model.predict(known), shares)

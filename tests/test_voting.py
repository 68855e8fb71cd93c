"""Votes of the nearest training rows beside a model's own scores."""

import numpy as np
import pytest

faiss = pytest.importorskip("faiss")

from kit import voting as module  # noqa: E402
from kit.encoders import Examples, Features  # noqa: E402
from kit.errors import ConfigError  # noqa: E402
from kit.searching import Search  # noqa: E402
from kit.voting import Voting, best, voted  # noqa: E402


class Plane:
    """Embeds each row as the direction that its two numbers have."""

    embeds = True
    takes = ()

    def fit(self, train, found):
        pass

    def embed(self, rows):
        x = rows.features.dense.astype(np.float32)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    def save(self, folder):
        pass

    load = save


class Sure(Plane):
    """Says the last of three classes for all."""

    def classify(self, vectors):
        return np.tile([0.0, 0.0, 1.0], (len(vectors), 1))


def rows(points, classes=None) -> Examples:
    x = np.asarray(points, np.float32).reshape(-1, 2)
    ids = np.array([f"r{n}" for n in range(len(x))], dtype=object)
    return Examples(ids, Features.of(len(x), dense={"x": x[:, 0], "y": x[:, 1]}), None if classes is None else np.array(classes))


def voting(model=None, **search) -> Voting:
    return Voting(model or Plane(), Search(**search), threads=1)


def test_a_vote_is_one_minus_the_product_of_what_speaks_against():
    classes, places = np.array([0, 0, 1]), np.array([[0, 1, 2], [2, -1, -1]])
    similar = np.array([[0.5, 0.8, -0.3], [1.0, -1.0, -1.0]], np.float32)
    found = voted(classes, places, similar, 2.0, None, 0.7)
    assert found[0] == pytest.approx([1 - (1 - 0.25) * (1 - 0.64), 0.0], rel=1e-6)
    assert found[1, 0] == 0 and 0.999 < found[1, 1] <= 1


def test_votes_and_the_models_own_probabilities_share_the_score():
    own = np.array([[0.2, 0.8]])
    found = voted(np.array([0]), np.array([[0]]), np.array([[0.5]], np.float32), 1.0, own, 0.25)
    assert found[0] == pytest.approx([0.25 * 0.5 + 0.75 * 0.2, 0.75 * 0.8])


def test_more_close_rows_of_a_class_say_more_and_far_ones_little():
    model = voting(votes=3, vote_power=3.0)
    model.fit(rows([[1, 0], [1, 0.1], [0, 1]], [0, 0, 1]), {})
    scores = dict(zip(*(a[0].tolist() for a in (model.predict(rows([[1, 0.05]])).positions, model.predict(rows([[1, 0.05]])).scores))))
    assert scores[0] > 0.99 > 0.01 > scores[1]


def test_a_row_that_is_near_to_nothing_gets_low_scores_where_a_softmax_could_not():
    model = voting(votes=2)
    model.fit(rows([[1, 0], [0, 1]], [0, 1]), {})
    assert model.predict(rows([[-1, -1]])).scores.max() == 0


def test_rows_that_are_remembered_later_vote_from_then_on():
    model = voting(Sure(), votes=1, vote_share=0.9)
    model.fit(rows([[1, 0]], [0]), {})
    before = model.predict(rows([[0, 1]]))
    model.remember(rows([[0, 1]], [1]))
    after = model.predict(rows([[0, 1]]))
    assert before.positions[0, 0] == 2 and after.positions[0, 0] == 1
    assert after.scores[0, :2] == pytest.approx([0.9, 0.1], abs=1e-5)


def test_ties_are_in_the_order_of_the_classes():
    found = best(np.array([[0.1, 0.5, 0.5, 0.0]]))
    assert found.positions.tolist() == [[1, 2, 0, 3]] and found.scores.tolist() == [[0.5, 0.5, 0.1, 0.0]]


def test_no_row_and_a_row_of_zeros():
    model = voting(votes=2)
    model.fit(rows([[1, 0], [0, 1]], [0, 1]), {})
    assert len(model.predict(rows(np.empty((0, 2)))).positions) == 0
    assert model.predict(rows([[0, 0]])).scores.max() == 0


def test_what_is_saved_votes_alike(tmp_path):
    model = voting(votes=2)
    model.fit(rows([[1, 0], [0, 1], [1, 1]], [0, 1, 1]), {})
    model.save(tmp_path)
    again = voting(votes=2)
    again.load(tmp_path)
    asked = rows(np.random.default_rng(0).normal(size=(20, 2)))
    np.testing.assert_array_equal(model.predict(asked).positions, again.predict(asked).positions)
    np.testing.assert_array_equal(model.predict(asked).scores, again.predict(asked).scores)


def test_without_votes_the_model_answers_alone_and_one_that_cannot_is_refused():
    model = voting(Sure(), votes=0)
    model.fit(rows([[1, 0], [0, 1], [1, 1]], [0, 1, 2]), {})
    found = model.predict(rows([[1, 0]]))
    assert found.positions[0, 0] == 2 and found.scores[0, 0] == 1
    with pytest.raises(ConfigError, match="search.votes = 0"):
        voting(votes=0)


def test_rows_are_embedded_block_by_block(monkeypatch):
    sizes = []

    class Counting(Plane):
        def embed(self, rows):
            sizes.append(len(rows))
            return super().embed(rows)

    monkeypatch.setattr(module, "_EMBEDDED_AT_ONCE", 2)
    model = voting(Counting())
    model.fit(rows([[1, 0], [0, 1], [1, 1], [-1, 0], [0, -1]], [0, 1, 2, 0, 1]), {})
    assert sizes == [2, 2, 1] and np.array_equal(model.vectors, Plane().embed(rows([[1, 0], [0, 1], [1, 1], [-1, 0], [0, -1]])))


def test_a_network_within_can_be_pretrained():
    class Learning(Plane):
        def pretrain(self, examples, **options):
            return len(examples), options

    assert voting(Learning()).pretrain(rows([[1, 0]]), method="simclr") == (1, {"method": "simclr"})

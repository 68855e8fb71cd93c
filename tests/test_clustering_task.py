"""Groups of hits: aligned by hit within the event, never averaged, read back from cells."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import DataError
from kit.events import Tracks
from kit.files import write_json
from kit.fitting import weights_of
from kit.metrics import trackml
from kit.predictions import Predictions
from kit.scoring import Metric
from kit.tables import JOINT
from kit.tasks.clustering import Clustering

TASK = Clustering(target="track_id")


def _truth(**events) -> pd.DataFrame:
    cells = [Tracks(np.array(hits), np.array(particles), np.ones(len(hits))) for hits, particles in events.values()]
    return pd.DataFrame({"id": list(events), "track_id": pd.Series(cells, dtype=object)})


def test_hits_are_aligned_by_their_number_within_the_event():
    truth = _truth(a=([1, 2, 3], [5, 5, 6]), b=([1, 2], [7, 7]))
    predicted = TASK.decode(["b", "a"], [([2, 1], [4, 4]), ([3, 1, 2], [9, 8, 8])])
    true, groups = TASK.for_metric("groups", truth, predicted, {})
    assert [g.tolist() for g in groups] == [[8, 8, 9], [4, 4]]
    assert [p.tolist() for p, _ in true] == [[5, 5, 6], [7, 7]]
    assert trackml.score(true, groups) == 1


def test_a_hit_without_a_prediction_is_a_track_of_its_own():
    truth = _truth(a=([1, 2, 3, 4], [5, 5, 5, 5]))
    _, (groups,) = TASK.for_metric("groups", truth, TASK.decode(["a"], [([2, 4], [0, 0])]), {})
    assert groups[1] == groups[3] == 0 and len({groups[0], groups[2], 0}) == 3


def test_unknown_hits_and_hits_predicted_twice_are_counted_in_one_message():
    truth = _truth(a=([1, 2], [5, 5]), b=([1, 2], [5, 5]))
    predicted = TASK.decode(["a", "b"], [([1, 2, 17], [0, 0, 0]), ([1, 1], [0, 0])])
    with pytest.raises(DataError) as error:
        TASK.for_metric("groups", truth, predicted, {})
    assert "event a has 1 predicted hits that are not in it: 17" in str(error.value)
    assert "event b has 1 hits that are predicted more than once" in str(error.value)


def test_nothing_leaves_each_hit_alone():
    truth = _truth(a=([1, 2, 3], [5, 5, 6]))
    _, (groups,) = TASK.for_metric("groups", truth, TASK.nothing(["a"]), {})
    assert len(set(groups.tolist())) == 3


def test_models_are_picked_and_never_averaged():
    one, two = TASK.decode(["a"], [([1, 2], [0, 0])]), TASK.decode(["a"], [([1, 2], [0, 1])])
    assert TASK.picks and TASK.average([one, two], [0.0, 1.0]) is two and TASK.average([one, two]) is one


@pytest.mark.parametrize(("name", "scores", "picked"), [("trackml", [None, 0.2, 0.7], 2), ("rmse", [None, 0.7, 0.2], 2), ("trackml", [None, None], 0)])
def test_a_fold_without_a_score_is_the_last_that_is_picked(name, scores, picked, tmp_path):
    for k, score in enumerate(scores):
        write_json(tmp_path / str(k) / "fold.json", {"score": score})
    weights = weights_of(TASK, Metric.open(name, {}), [tmp_path / str(k) for k in range(len(scores))])
    assert weights == [float(k == picked) for k in range(len(scores))]


def test_cells_come_back_as_they_were():
    predicted = TASK.decode(["10", "9"], [([3, 1], [2**40, 0]), ([5], [7])])
    index = predicted.rows["id"] + JOINT + predicted.rows["hit_id"].astype(str)
    cells = pd.DataFrame(TASK.cells(predicted, {}, ["track_id"], "groups"), index=pd.Index(index)).astype(str)
    back = TASK.read_cells(cells, ["track_id"], "groups")
    pd.testing.assert_frame_equal(back.rows, predicted.rows)


def test_a_cell_that_is_no_whole_number_is_named():
    cells = pd.DataFrame({"track_id": ["1", "1.5", "x"]}, index=[f"0{JOINT}{n}" for n in (1, 2, 3)])
    with pytest.raises(DataError, match="2 hits have a number or a track_id that is no whole number: 0/2, 0/3"):
        TASK.read_cells(cells, ["track_id"], "groups")


def test_predictions_come_back_from_their_file(tmp_path):
    predicted = TASK.decode(["1", "0"], [([1, 2], [2**60, 1]), ([], [])])
    predicted.write(tmp_path / "test.parquet")
    back = Predictions.read(tmp_path / "test.parquet")
    assert list(back.ids) == ["0", "1"]
    pd.testing.assert_frame_equal(back.rows, predicted.rows)

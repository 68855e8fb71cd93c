"""Boxes go from cells to predictions and back, models are fused, and clips are linked."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import DataError
from kit.found import Found
from kit.predictions import Predictions
from kit.tasks._linking import linked, overlaps
from kit.tasks.detection import Detection


def task(**options) -> Detection:
    made = Detection(target="boxes", **options)
    made.classes = ["car", "dog"]
    return made


def truth(**cells: Found) -> pd.DataFrame:
    return pd.DataFrame({"id": list(cells), "boxes": pd.Series(list(cells.values()), dtype=object)})


def test_classes_are_those_of_the_boxes_that_count():
    made = Detection(target="boxes")
    made.learn(truth(a=Found.of(["dog", "cat"], boxes=[[0, 0, 5, 5], [1, 1, 2, 2]], ignored=[False, True]), b=Found.of([], boxes=[])))
    assert made.classes == ["dog"]


def test_no_box_at_all_is_an_error():
    with pytest.raises(DataError, match="none of the 1 training pictures has a box"):
        Detection(target="boxes").learn(truth(a=Found.of([], boxes=[])))


def test_estimators_get_boxes_that_end_beyond_their_last_pixel_and_give_such():
    made = task()
    (encoded,) = made.encode(truth(a=Found.of(["dog"], boxes=[[2, 3, 4, 6]])))
    assert encoded.labels.tolist() == [1] and encoded.boxes.tolist() == [[2, 3, 5, 7]]
    assert made.decode(["a"], [encoded]).rows[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == [[2, 3, 4, 6]]
    (plain,) = task(inclusive=False).encode(truth(a=Found.of(["dog"], boxes=[[2, 3, 4, 6]])))
    assert plain.boxes.tolist() == [[2, 3, 4, 6]]


def test_a_picture_without_boxes_is_covered_and_its_file_comes_back(tmp_path):
    made = task()
    given = made.decode(["b", "a"], [Found.of([0], boxes=[[0, 0, 2, 2]], scores=[0.5]), Found.of([], boxes=[])])
    assert given.ids.tolist() == ["a", "b"] and given.rows["id"].tolist() == ["b"]
    given.write(tmp_path / "p.parquet")
    back = Predictions.read(tmp_path / "p.parquet")
    assert back.ids.tolist() == ["a", "b"] and back.rows.equals(given.rows.assign(id=back.rows["id"]))


@pytest.mark.parametrize("scored, cell", [(True, "dog 0.75 1 2 3.5 4 car 0.5 0 0 9 9"), (False, "dog 1 2 3.5 4 car 0 0 9 9")])
def test_cells_come_back_as_they_were(scored, cell):
    made = task(scored=scored)
    read = made.read_cells(pd.DataFrame({"boxes": [cell, ""]}, index=["a", "b"]), ["boxes"], "boxes")
    assert read.rows["label"].tolist() == ["dog", "car"] and read.ids.tolist() == ["a", "b"]
    assert made.cells(read, {}, ["boxes"], "boxes")["boxes"].tolist() == [cell, ""]


def test_classes_may_be_numbers_in_cells():
    made = task(numbers={"dog": 7})
    read = made.read_cells(pd.DataFrame({"boxes": ["7 0.5 0 0 1 1"]}, index=["a"]), ["boxes"], "boxes")
    assert read.rows["label"].tolist() == ["dog"] and made.cells(read, {}, ["boxes"], "boxes")["boxes"][0] == "7 0.5 0 0 1 1"


def test_all_cells_that_are_no_groups_are_told():
    with pytest.raises(DataError, match=r'2 cells of the submission are no groups of "label score x1 y1 x2 y2".*a: .dog 0.5 1 2 3.*c: '):
        task().read_cells(pd.DataFrame({"boxes": ["dog 0.5 1 2 3", "", "dog much 1 2 3 4"]}, index=list("abc")), ["boxes"], "boxes")


def graded(made: Detection, metric: str, true: list[str], said: list[str]) -> float:
    """The score of cells against cells without scores, one each for pictures 0, 1, ..."""
    from kit.scoring import Metric

    ids = list(map(str, range(len(true))))
    cells = pd.DataFrame({"boxes": true}, index=ids)
    answers = pd.DataFrame({"id": ids, **made.read_target(cells, "the answers")})
    return Metric.open(metric, {}).score(made, answers, made.read_cells(cells.assign(boxes=said), ["boxes"], "boxes"), {})


def test_a_submission_is_graded_as_it_is_written():
    assert graded(task(scored=False), "localization_error", ["cat 0 0 9 9"], ["cat 0 0 9 3.96"]) == 1.0  # 49.6 of 100 pixels
    many = " ".join([*(f"cat 0.9 {n} 50 {n} 50" for n in range(100)), "cat 0.1 0 0 9 9"])
    assert graded(task(), "ilsvrc_map", ["cat 0 0 9 9"], [many]) == pytest.approx(1 / 101)
    faint = graded(task(), "voc_map", ["cat 0 0 9 9", ""], ["cat 1e-7 0 0 9 9", "cat 4e-7 0 0 9 9"])
    assert faint == pytest.approx(1 / 2)  # the wrong one is the surer


def test_of_guesses_without_confidence_the_metric_counts_the_first_five():
    guesses = [f"dog {n} 0 {n + 9} 9" for n in range(4)]
    assert graded(task(scored=False), "localization_error", ["cat 0 0 9 9"], [" ".join([*guesses, "cat 0 0 9 9"])]) == 0.0
    assert graded(task(scored=False), "localization_error", ["cat 0 0 9 9"], [" ".join([*guesses, "dog 9 9 9 9", "cat 0 0 9 9"])]) == 1.0


def test_only_the_surest_are_kept():
    made = task(most=2)
    given = made.decode(["a"], [Found.of([0, 0, 1], boxes=[[0, 0, 2, 2]] * 3, scores=[0.1, 0.9, 0.5])])
    assert given.rows["score"].tolist() == [0.9, 0.5]


def test_models_are_fused_by_confidence_and_a_lonely_box_loses_some():
    pytest.importorskip("ensemble_boxes")
    made = task(inclusive=False)
    first = made.decode(["a"], [Found.of([0, 1], boxes=[[0, 0, 10, 10], [50, 50, 60, 60]], scores=[0.6, 0.8])])
    second = made.decode(["a"], [Found.of([0], boxes=[[2, 0, 12, 10]], scores=[0.2])])
    rows = made.average([first, second]).rows.set_index("label")
    assert rows.loc["car", ["x1", "y1", "x2", "y2"]].tolist() == [0.5, 0, 10.5, 10]  # (0.6 * 0 + 0.2 * 2) / 0.8
    assert rows.loc["car", "score"] == pytest.approx(0.4) and rows.loc["dog", "score"] == pytest.approx(0.4)


@pytest.mark.parametrize("weights, scores", [([1, 1], (0.45, 0.5)), ([3, 1], (0.675, 0.75))])
def test_a_fused_box_is_no_surer_than_its_surest_and_models_count_not_boxes(weights, scores):
    pytest.importorskip("ensemble_boxes")
    from kit.fusing import fused

    twice, once, nothing = Found.of([0, 0], boxes=[[0, 0, 10, 10], [1, 0, 11, 10]], scores=[0.9, 0.9]), Found.of([0], boxes=[[0, 0, 10, 10]], scores=[1.0]), Found.of([], boxes=[])
    assert [fused([part, nothing], weights).scores.tolist() for part in (twice, once)] == [[pytest.approx(score)] for score in scores]
    assert fused([twice, twice], weights).scores.tolist() == [pytest.approx(0.9)]
    assert fused([once, twice.take(np.array([0]))], weights).scores.tolist() == [pytest.approx(np.average([1.0, 0.9], weights=weights))]


def test_boxes_that_nobody_is_sure_of_are_fused_too():
    pytest.importorskip("ensemble_boxes")
    from kit.fusing import fused

    doubtful = Found.of([0], boxes=[[0, 0, 10, 10]], scores=[0.0])
    assert fused([doubtful, doubtful]).boxes.tolist() == [pytest.approx([0, 0, 10, 10])]


def test_boxes_whose_sides_rounding_took_away_are_no_boxes_to_fuse():
    pytest.importorskip("ensemble_boxes")
    made = task()
    flat, whole = Found.of([0, 1], boxes=[[10.26, 3, 10.3, 9], [0, 0, 10, 10]], scores=[0.9, 0.8]), Found.of([1], boxes=[[0, 0, 10, 10]], scores=[0.4])
    given = [made.decode(["a", "b"], [flat, flat.take(np.array([0]))]), made.decode(["a", "b"], [whole, Found.of([], boxes=[])])]
    rows = made.average(given).rows
    assert rows[["id", "label", "x1", "y1", "x2", "y2"]].to_numpy().tolist() == [["a", "dog", 0, 0, 9, 9]]


def test_overlaps_by_hand():
    assert overlaps(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0], [5, 5, 6, 6]])).tolist() == [[2 / 6, 0]]


def frame(*boxes: tuple[float, float], label: str = "car") -> Found:
    """Squares of 10 pixels at (x, score)."""
    return Found.of([label] * len(boxes), boxes=[[x, 0, x + 10, 10] for x, _ in boxes], scores=[s for _, s in boxes])


def test_linking_lifts_what_is_faint_between_sure_frames():
    found = linked(["c/0", "c/1", "c/2"], [frame((0, 0.9)), frame((1, 0.3)), frame((2, 0.9))], np.zeros(4), iou=0.5)
    assert [own.scores.tolist() for own in found] == [pytest.approx([0.7])] * 3


def test_linking_suppresses_a_second_box_of_the_same_object_in_its_frame():
    found = linked(["c/0", "c/1"], [frame((0, 0.9), (1, 0.2)), frame((0, 0.9))], np.zeros(4), iou=0.5)
    assert [len(own) for own in found] == [1, 1]


def test_linking_keeps_clips_classes_and_far_objects_apart():
    found = linked(["c/0", "d/0"], [frame((0, 0.9)), frame((0, 0.3))], np.zeros(4), iou=0.5)
    assert [own.scores.tolist() for own in found] == [[0.9], [0.3]]
    found = linked(["c/0", "c/1"], [frame((0, 0.9)), frame((50, 0.3))], np.zeros(4), iou=0.5)
    assert [own.scores.tolist() for own in found] == [[0.9], [0.3]]
    found = linked(["c/0", "c/1"], [frame((0, 0.9)), frame((0, 0.3), label="dog")], np.zeros(4), iou=0.5)
    assert [own.scores.tolist() for own in found] == [[0.9], [0.3]]


def slowly_linked(frames: list[Found], iou: float) -> list[list[float]]:
    """Every chain tried, the best taken, again and again: of one class."""
    left = {(t, k) for t, f in enumerate(frames) for k in range(len(f))}
    given = {}

    def chains(t: int, k: int):
        yield [(t, k)]
        if t + 1 < len(frames):
            for n in range(len(frames[t + 1])):
                if (t + 1, n) in left and overlaps(frames[t].boxes[[k]], frames[t + 1].boxes[[n]])[0, 0] >= iou:
                    for rest in chains(t + 1, n):
                        yield [(t, k), *rest]

    while left:
        best = max((c for t, k in sorted(left) for c in chains(t, k)), key=lambda c: sum(frames[t].scores[k] for t, k in c))
        mean = np.mean([frames[t].scores[k] for t, k in best])
        for t, k in best:
            given[t, k] = mean
            left -= {(t, n) for n in range(len(frames[t])) if overlaps(frames[t].boxes[[k]], frames[t].boxes[[n]])[0, 0] >= 0.5}
    return [sorted(given[t, k] for k in range(len(f)) if (t, k) in given) for t, f in enumerate(frames)]


@pytest.mark.parametrize("seed", range(60))
def test_linking_agrees_with_trying_every_chain(seed):
    random = np.random.default_rng(seed)
    frames = [frame(*zip(random.uniform(0, 40, n), random.uniform(0.05, 1, n))) for n in random.integers(0, 4, 5)]
    found = linked([f"c/{t}" for t in range(5)], frames, np.zeros(4), iou=0.4)
    assert [sorted(own.scores.tolist()) for own in found] == [pytest.approx(own) for own in slowly_linked(frames, 0.4)]


def test_how_much_a_clips_mean_counts_is_fitted_and_0_leaves_frames_alone():
    from kit.scoring import Metric

    made, metric = task(inclusive=False), Metric.open("voc_map", {})
    square = lambda x, score: Found.of(["car"], boxes=[[x, 0, x + 10, 10]], scores=[score])  # noqa: E731
    lone = Found.of(["car", "car"], boxes=[[2, 0, 12, 10], [60, 0, 70, 10]], scores=[0.3, 0.5])  # the faint one is the object's
    frames = {"c/0": square(0, 0.9), "c/1": lone, "c/2": square(4, 0.9)}
    predictions = made._rows(list(frames), list(frames.values()))
    true = truth(**{name: square(x, 1.0) for name, x in zip(frames, (0, 2, 4))})
    post = made.fit_post(true, predictions, metric, link="seq_nms", link_share="fit")
    assert post["link_share"] > 0 and metric.score(made, true, predictions, post) == 1.0 > metric.score(made, true, predictions, {})
    assert made._processed(predictions, {**post, "link_share": 0.0}) is predictions

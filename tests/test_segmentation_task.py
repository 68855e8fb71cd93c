"""Masks go from truth to predictions and back, are parted by confidence, and become one over models."""

import numpy as np
import pandas as pd
import pytest

from kit import masks
from kit.errors import ConfigError, DataError
from kit.found import Found, Mask
from kit.predictions import Predictions
from kit.tasks.segmentation import Segmentation, joined


def run(*runs: tuple[int, int]) -> Mask:
    starts, lengths = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    return Mask(starts, lengths)


def task(**options) -> Segmentation:
    made = Segmentation(target="rle", **options)
    made.classes = ["car", "dog"]
    return made


def truth(**cells: Found) -> pd.DataFrame:
    return pd.DataFrame({"id": list(cells), "rle": pd.Series(list(cells.values()), dtype=object)})


def told(predictions: Predictions) -> list[tuple]:
    return list(predictions.rows.itertuples(index=False, name=None))


def test_classes_are_those_of_the_objects_that_count():
    made = Segmentation(target="rle")
    made.learn(truth(a=Found.of(["dog", "cat"], masks=[run((0, 1)), run((2, 1))], ignored=[False, True]), b=Found.of([], masks=[])))
    assert made.classes == ["dog"]


def test_named_labels_are_the_classes_in_their_order():
    made = Segmentation(target="rle", labels=["rare", "dog"])
    made.learn(truth(a=Found.of(["dog", "cat"], masks=[run((0, 1)), run((2, 1))])))
    assert made.classes == ["rare", "dog"]


def test_labels_that_no_picture_shows_are_an_error():
    with pytest.raises(DataError, match="output.labels are 1, 2, and the training pictures show dog"):
        Segmentation(target="rle", labels=["1", "2"]).learn(truth(a=Found.of(["dog"], masks=[run((0, 1))])))


def test_no_object_at_all_is_an_error():
    with pytest.raises(DataError, match="none of the 1 training pictures shows an object"):
        Segmentation(target="rle").learn(truth(a=Found.of([], masks=[])))


def test_a_label_is_named_once():
    with pytest.raises(ConfigError, match="output.labels names a label twice: 1, 1"):
        Segmentation(target="rle", labels=["1", "1"])


def test_estimators_get_positions_of_classes_and_what_is_to_be_ignored():
    found = Found.of(["dog", "cat", ""], masks=[run((0, 1)), run((2, 1)), run((4, 1))], ignored=[False, False, True], clip="x")
    (encoded,) = task().encode(truth(a=found))
    assert encoded.labels.tolist() == [1, -1] and encoded.ignored.tolist() == [False, True] and encoded.clip == "x"
    assert [mask.starts.tolist() for mask in encoded.masks] == [[0], [4]]


def test_the_surest_objects_come_first_and_a_picture_without_any_is_covered(tmp_path):
    raw = [Found.of([], masks=[]), Found.of([0, 1, 0], masks=[run((0, 2)), run((4, 2), (8, 1)), run()], scores=[0.3, 0.9, 0.8])]
    given = task().decode(["b", "a"], raw)
    assert given.ids.tolist() == ["a", "b"]
    assert told(given) == [("a", "dog", 0.9, "4 2|8 1|"), ("a", "car", 0.3, "0 2|")]  # an empty mask is no object
    given.write(tmp_path / "p.parquet")
    back = Predictions.read(tmp_path / "p.parquet")
    assert back.ids.tolist() == ["a", "b"] and told(back) == told(given)


def test_nothing_covers_all_pictures_and_finds_none():
    nothing = task().nothing(["a", "b"])
    assert nothing.ids.tolist() == ["a", "b"] and not len(nothing.rows)


def test_only_the_surest_objects_are_kept():
    raw = [Found.of([0, 0, 0], masks=[run((0, 1)), run((2, 1)), run((4, 1))], scores=[0.1, 0.6, 0.9])]
    assert [score for _, _, score, _ in told(task(most=2, least_score=0.5).decode(["a"], raw))] == [0.9, 0.6]
    assert [score for _, _, score, _ in told(task(most=1).decode(["a"], raw))] == [0.9]


def test_masks_are_parted_where_the_task_says_so():
    raw = [Found.of([0, 1, 0], masks=[run((0, 4)), run((2, 4)), run((3, 1))], scores=[0.5, 0.9, 0.1])]
    assert told(task(disjoint=True).decode(["a"], raw)) == [("a", "dog", 0.9, "2 4|"), ("a", "car", 0.5, "0 2|")]
    assert len(told(task().decode(["a"], raw))) == 3


def test_masks_of_two_models_that_overlap_by_half_become_one():
    one, other = Found.of(["dog"], masks=[run((0, 4))], scores=[0.8]), Found.of(["dog"], masks=[run((0, 8))], scores=[0.4])
    found = joined([one, other], np.array([0.5, 0.5]))
    assert found.scores.tolist() == pytest.approx([0.6])
    assert masks.encode(found.masks[0]) == "0 4|"  # the surer one has more than half of the votes for what lies outside it


def test_masks_that_overlap_by_less_or_are_of_other_labels_stay_two():
    one = Found.of(["dog", "car"], masks=[run((0, 4)), run((20, 4))], scores=[0.8, 0.5])
    other = Found.of(["dog", "dog"], masks=[run((0, 9)), run((20, 4))], scores=[0.4, 0.3])
    found = joined([one, other], np.array([0.5, 0.5]))
    assert sorted(zip(found.labels, found.scores.tolist())) == [("car", 0.25), ("dog", 0.15), ("dog", 0.2), ("dog", 0.4)]


def test_an_object_takes_one_mask_of_each_model():
    one = Found.of(["dog"], masks=[run((0, 10))], scores=[0.9])
    other = Found.of(["dog", "dog"], masks=[run((0, 8)), run((0, 9))], scores=[0.6, 0.5])
    found = joined([one, other], np.array([0.5, 0.5]))
    assert found.scores.tolist() == pytest.approx([0.75, 0.25])


def test_the_majority_of_three_models_decides_on_a_pixel():
    parts = [Found.of(["dog"], masks=[mask], scores=[0.5]) for mask in (run((0, 6)), run((0, 8)), run((0, 7)))]
    assert masks.encode(joined(parts, np.ones(3) / 3).masks[0]) == "0 7|"


def test_averages_weigh_models_and_need_the_same_pictures():
    made = task()
    parts = [made.decode(["a", "b"], [Found.of([0], masks=[run((0, 4))], scores=[score]), Found.of([], masks=[])]) for score in (0.8, 0.4)]
    assert told(made.average(parts)) == [("a", "car", 0.6, "0 4|")]
    assert told(made.average(parts, [3.0, 1.0])) == [("a", "car", 0.7, "0 4|")]
    assert made.average(parts).ids.tolist() == ["a", "b"]
    assert told(made.average(parts[:1])) == told(parts[0])


def test_the_metric_gets_aligned_pictures_and_only_labels_that_are_to_be_found():
    made = task()
    predicted = made.decode(["a", "b"], [Found.of([0], masks=[run((0, 4))], scores=[0.8]), Found.of([], masks=[])])
    true, found = made.for_metric("masks", truth(b=Found.of(["cat", "dog"], masks=[run((0, 1)), run((2, 1))], clip="x"), a=Found.of([], masks=[])), predicted, {})
    assert [own.labels.tolist() for own in true] == [["dog"], []] and true[0].clip == "x"
    assert [own.labels.tolist() for own in found] == [[], ["car"]]
    assert masks.encode(found[1].masks[0]) == "0 4|"


def test_a_picture_that_no_model_has_seen_is_not_one_without_objects():
    made = task()
    with pytest.raises(DataError, match="1 ids have no prediction: c"):
        made.for_metric("masks", truth(c=Found.of([], masks=[])), made.nothing(["a"]), {})


def test_pictures_are_stratified_by_what_is_in_them():
    present, is_number = task().stratify_by(truth(a=Found.of(["dog", "cat"], masks=[run((0, 1)), run((2, 1))]), b=Found.of([], masks=[])))
    assert present.tolist() == [[0, 1], [0, 0]] and not is_number

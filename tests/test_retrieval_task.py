import numpy as np
import pandas as pd
import pytest

from kit.errors import ConfigError, DataError, FoldError, KitError
from kit.folds import Fold, Rows, split
from kit.predictions import Predictions
from kit.scoring import Metric
from kit.tasks.retrieval import PARTS, Retrieval, parts_of


def truth(classes):
    return pd.DataFrame({"id": [f"{i:03d}" for i in range(len(classes))], "images": pd.Series(classes, dtype=object)})


def found(ids, *lists):
    """Lists of neighbours whose scores fall by a tenth."""
    task = Retrieval(target="images")
    return task.decode(ids, ([list(names) for names in lists], [[1 - k / 10 for k in range(len(names))] for names in lists]))


def one_fold(n):
    return [Fold(0, 0, np.empty(0, np.int64), np.arange(n))]


def complaint(call, *args, **options):
    with pytest.raises(KitError) as error:
        call(*args, **options)
    return str(error.value)


# truth


def test_training_rows_have_a_class_and_answers_the_relevant_ids():
    task = Retrieval(target="images", label="landmark")
    trained = pd.DataFrame({"landmark": ["7", "8"], "images": ["x", "y"]}, index=["a", "b"])
    assert task.read_target(trained, "train.csv")["images"].tolist() == ["7", "8"]
    answers = pd.DataFrame({"images": ["x y ", None, ""]}, index=["a", "b", "c"])
    assert task.read_target(answers, "answers.csv")["images"].tolist() == ["x y ", "", ""]
    blank = pd.DataFrame({"landmark": ["7", None]}, index=["a", "b"])
    assert complaint(task.read_target, blank, "train.csv").startswith("train.csv column 'landmark' is missing in 1 rows")


def test_classes_are_learned_and_restored_and_given_as_positions():
    task, other = Retrieval(target="images"), Retrieval(target="images")
    task.learn(truth(["10", "9", "10"]))
    other.restore(task.state())
    assert other.classes == ["9", "10"] and other.outputs == 2
    assert other.encode(truth(["10", "9"])).tolist() == [1, 0]


def test_one_class_cannot_be_learned_from():
    task = Retrieval(target="images", label="landmark")
    task.learn(truth(["7", "7"]))
    assert complaint(task.encode, truth(["7"])) == "landmark has 1 classes in the training rows: 7\nthere is nothing to tell apart"


# parts


def test_up_to_five_rows_of_a_class_are_in_different_parts():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 40, 300)
    ids = np.array([f"{n:04d}" for n in rng.permutation(300)], dtype=object)
    parts = parts_of(codes, ids)
    assert parts.dtype == np.int64 and set(parts) == set(range(PARTS))
    for code in range(40):
        counts = np.bincount(parts[codes == code], minlength=PARTS)
        assert counts.max() - counts.min() <= 1
        own = parts[codes == code][np.argsort(ids[codes == code])]
        assert ((own - own[0]) % PARTS == np.arange(len(own)) % PARTS).all()  # round after round, by id


def test_parts_of_small_classes_are_of_about_one_size():
    parts = parts_of(np.arange(1000) // 2, np.array([f"{n:04d}" for n in range(1000)], dtype=object))
    assert np.bincount(parts).min() > 160


def test_parts_follow_the_ids_and_neither_the_order_of_rows_nor_the_numbers_of_classes():
    rng = np.random.default_rng(0)
    codes, ids = rng.integers(0, 20, 100), np.array([f"{n:03d}" for n in range(100)], dtype=object)
    parts, order = parts_of(codes, ids), rng.permutation(100)
    assert parts_of(codes[order], ids[order]).tolist() == parts[order].tolist()
    assert parts_of(rng.permutation(20)[codes] - 1, ids).tolist() == parts.tolist()
    assert parts_of(codes[:0], ids[:0]).tolist() == []


# out of fold


def test_relevant_are_rows_of_the_class_in_other_parts_of_the_fold():
    task, classes = Retrieval(target="images"), ["a", "b", "a", "c", "a", "b"]
    relevant = task.out_of_fold(truth(classes), one_fold(6))["images"].tolist()
    assert relevant == ["002 004", "005", "000 004", "", "000 002", "001"]


def test_relevant_ids_against_a_loop_over_all_pairs():
    rng = np.random.default_rng(0)
    for case in range(30):
        n = int(rng.integers(10, 60))
        told = truth([f"c{k}" for k in rng.integers(0, rng.integers(2, 9), n)])
        folds = split(Rows(told["id"].to_numpy(dtype=object)), count=3, seed=case)
        relevant = Retrieval(target="images").out_of_fold(told, folds)["images"].tolist()
        classes, ids = told["images"].tolist(), told["id"].to_numpy(dtype=object)
        for fold in folds:
            part = dict(zip(fold.valid, parts_of(pd.factorize(told["images"])[0][fold.valid], ids[fold.valid])))
            for i in fold.valid:
                assert set(relevant[i].split()) == {ids[j] for j in fold.valid if classes[j] == classes[i] and part[j] != part[i]}


def test_rows_that_no_fold_validates_and_rows_of_no_class_do_not_count():
    folds = [Fold(0, 0, np.array([3, 4]), np.array([0, 1, 2, 5, 6]))]
    relevant = Retrieval(target="images").out_of_fold(truth(["a", "a", "", "a", "a", "", "b"]), folds)["images"]
    assert relevant.tolist() == ["001", "000", "", "", "", "", ""]


def test_a_large_class_is_written_once_for_each_part():
    relevant = Retrieval(target="images").out_of_fold(truth(["a"] * 50), one_fold(50))["images"]
    assert len({id(text) for text in relevant}) == PARTS


def test_rows_that_are_validated_twice_are_refused():
    rows = Rows(truth(["a"] * 9)["id"].to_numpy(dtype=object))
    with pytest.raises(FoldError) as error:
        Retrieval(target="images").out_of_fold(truth(["a"] * 9), split(rows, count=3, repeats=2))
    assert str(error.value).split("\n") == ["the folds validate 9 rows more than once, and what is right for a row depends on its fold", "set score.folds.repeats = 1"]


def test_the_search_of_other_parts_finds_all_that_is_relevant():
    task, told = Retrieval(target="images"), truth([f"c{n % 7}" for n in range(60)])
    relevant = task.out_of_fold(told, one_fold(60))
    ids, codes = told["id"].to_numpy(dtype=object), np.arange(60) % 7
    parts = parts_of(codes, ids)
    lists = [[*ids[(codes == codes[n]) & (parts != parts[n])], *ids[(codes != codes[n]) & (parts != parts[n])]] for n in range(60)]
    assert Metric.open("retrieval_map_at_k", {}).score(task, relevant, found(ids, *lists), {}) == 1


# predictions


def test_a_score_that_is_no_number_is_refused_with_its_ids():
    text = complaint(Retrieval(target="images").decode, ["a", "b"], ([["x"], ["y"]], [[0.5], [np.nan]]))
    assert text == "the neighbours of 1 ids have scores that are not finite numbers: b"


def test_lists_are_cut_after_the_best_hundred_or_after_as_many_as_a_cell_holds():
    names, scores = [[f"{n}" for n in range(200)]], [np.linspace(1, 0, 200).tolist()]
    for top, kept in ((5, 100), (150, 150)):
        made = Retrieval(target="images", top=top).decode(["a"], (names, scores))
        assert made.rows["neighbours"][0] == names[0][:kept] and made.rows["scores"][0] == scores[0][:kept]


def test_predictions_survive_a_file_with_lists_that_are_empty(tmp_path):
    for lists in (["xy", ""], ["", ""]):
        found(["a", "b"], *lists).write(tmp_path / "a.parquet")
        again = Predictions.read(tmp_path / "a.parquet")
        told = pd.DataFrame({"id": ["b", "a"], "images": ["x", "y z"]})
        sets, ranked = Retrieval(target="images").for_metric("neighbours", told, again, {})
        assert sets == [{"x"}, {"y", "z"}] and ranked == [[], list(lists[0])]


def test_a_neighbour_that_a_list_lacks_has_its_least_score_there():
    task = Retrieval(target="images")
    one = task.decode(["a"], ([["x", "y"]], [[0.9, 0.5]]))
    other = task.decode(["a"], ([["z", "x"]], [[0.9, 0.5]]))
    mean = task.average([one, other], [1, 3]).rows
    assert mean["neighbours"][0] == ["z", "x", "y"] and mean["scores"][0] == pytest.approx([0.8, 0.6, 0.5])
    assert task.average([one, other], [3, 1]).rows["neighbours"][0] == ["x", "z", "y"]
    with pytest.raises(AssertionError, match="the same ids"):
        task.average([one, found(["b"], "x")])


def test_a_mean_counts_runs_not_the_scale_of_their_scores():
    """A diffusion's scores are a tenth of cosines: beside these they decide as much."""
    task = Retrieval(target="images")
    one = task.decode(["a", "b"], ([["x", "y", "z"], ["z"]], [[0.9, 0.5, 0.1], [0.7]]))
    other = (["y", "z", "x"], [0.9, 0.6, 0.5])
    large, small = (task.decode(["a", "b"], ([other[0], ["y"]], [[scale * s for s in other[1]], [scale]])) for scale in (1.0, 0.01))
    assert task.average([one, large]).rows["neighbours"].tolist() == task.average([one, small]).rows["neighbours"].tolist()
    assert task.average([one, small]).rows["neighbours"][0] == ["y", "x", "z"]


def test_equal_means_stand_in_the_order_of_names():
    mean = Retrieval(target="images").average([found(["a"], "qp"), found(["a"], "pq")]).rows
    assert mean["neighbours"][0] == ["p", "q"]


def test_the_mean_of_a_list_and_an_empty_one_keeps_its_order():
    assert Retrieval(target="images").average([found(["a"], ""), found(["a"], "xyz")]).rows["neighbours"][0] == ["x", "y", "z"]


# cells


def test_cells_hold_the_best_ids_and_are_read_again():
    task = Retrieval(target="images", top=2)
    cells = task.cells(found(["a", "b"], "xyz", ""), {}, ["images"], "neighbours")
    assert cells["images"].tolist() == ["x y", ""]
    again = task.read_cells(pd.DataFrame({"images": [*cells["images"], "z  x ", None]}, index=["a", "b", "c", "d"]), ["images"], "neighbours")
    assert [list(names) for names in again.rows["neighbours"]] == [["x", "y"], [], ["z", "x"], []]


def test_ids_with_a_space_cannot_be_listed():
    text = complaint(Retrieval(target="images").cells, found(["a"], ["my photo", "x"]), {}, ["images"], "neighbours")
    assert text == "1 ids hold a space, and a cell lists ids separated by spaces: 'my photo'\nrename these pictures or rows"
    told = pd.DataFrame({"id": ["my photo", "x"], "images": ["a", "a"]})
    assert complaint(Retrieval(target="images").out_of_fold, told, one_fold(2)) == text


def test_a_submission_is_scored_as_the_graders_do():
    task = Retrieval(target="images")
    answers = pd.DataFrame({"images": ["x y", "", "z"]}, index=["a", "b", "c"])
    told = pd.DataFrame({"id": answers.index, **task.read_target(answers, "answers.csv")})
    cells = pd.DataFrame({"images": ["x q y", "x", "q q z "]}, index=["a", "b", "c"])
    score = Metric.open("retrieval_map_at_k", {}).score(task, told, task.read_cells(cells, ["images"], "neighbours"), {})
    assert score == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)


def test_retrieval_has_one_target_and_takes_metrics_of_neighbours_only():
    assert complaint(Retrieval, target=["a", "b"]).startswith('task "retrieval" has one target')
    with pytest.raises(ConfigError, match="needs ranking, and the task gives neighbours"):
        Metric.open("map_at_k", {}).needs(Retrieval.gives)
    with pytest.raises(DataError):
        Retrieval(target="images").encode(truth([]))

import inspect
from collections import Counter

import numpy as np
import pytest

from kit.errors import FoldError, RunError
from kit.folds import SCHEMES, Rows, cut, cuts, dealt, describe, split
from kit.folds_csv import ROLES, fingerprint, read, roles, write
from kit.registry import check_options


def text(n):
    return np.array([f"{i:05d}" for i in range(n)], dtype=object)


def rows(n, **columns):
    return Rows(text(n), **{k: v if k == "continuous" else np.asarray(v) for k, v in columns.items()})


def days(*numbers):
    return np.datetime64("2020-01-01") + np.array(numbers).astype("timedelta64[D]")


def positions(folds):
    return [(fold.train.tolist(), fold.valid.tolist()) for fold in folds]


def validated(folds):
    return [fold.valid.tolist() for fold in folds]


def any_rows():
    rng = np.random.default_rng(0)
    return rows(60, target=rng.integers(0, 2, 60), group=np.arange(60) % 20, time=np.arange(60) // 20 * 100 + np.arange(60) % 20,
                given=rng.integers(-1, 3, 60))  # fmt: skip


def for_scheme(scheme):
    if scheme in ("classes", "open_set"):
        return rows(60, target=np.arange(60) % 7)
    return rows(60, time=np.arange(60), group=np.arange(60) // 5) if scheme == "group_time" else any_rows()


def says(error, *lines):
    assert str(error.value).split("\n") == list(lines)


# every scheme


@pytest.mark.parametrize("scheme", SCHEMES)
def test_positions_are_ascending_integers_and_no_row_is_trained_on_and_validated(scheme):
    for fold in split(for_scheme(scheme), scheme=scheme):
        for part in (fold.train, fold.valid):
            assert part.dtype == np.int64 and len(part) > 0 and (np.diff(part) > 0).all()
        assert not set(fold.train) & set(fold.valid)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_same_seed_gives_same_folds(scheme):
    first, second = (split(for_scheme(scheme), scheme=scheme, count=3, seed=7) for _ in range(2))
    assert positions(first) == positions(second)


@pytest.mark.parametrize("scheme", ["kfold", "stratified", "group", "stratified_group", "holdout"])
def test_repeats_and_seeds_give_other_folds_and_each_repeat_covers_alike(scheme):
    folds = split(any_rows(), scheme=scheme, count=4, repeats=2)
    half = len(folds) // 2
    assert [fold.repeat for fold in folds] == [0] * half + [1] * half
    assert [fold.fold for fold in folds] == list(range(half)) * 2
    assert validated(folds[:half]) != validated(folds[half:])
    assert validated(folds[:half]) != validated(split(any_rows(), scheme=scheme, count=4, seed=1))
    assert validated(folds[:half]) == validated(split(any_rows(), scheme=scheme, count=4))


@pytest.mark.parametrize("scheme", ["kfold", "stratified", "group", "stratified_group"])
def test_each_row_is_validated_once_and_trained_on_otherwise(scheme):
    folds = split(any_rows(), scheme=scheme, count=4)
    assert sorted(i for fold in folds for i in fold.valid) == list(range(60))
    assert all(sorted([*fold.train, *fold.valid]) == list(range(60)) for fold in folds)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_options_are_checked_against_the_signature(scheme):
    assert check_options(SCHEMES[scheme], {"count": 5, "repeats": 1, "seed": 0}, "score.folds") == []
    assert check_options(SCHEMES[scheme], {"coutn": 5}, "score.folds")[0].startswith("score.folds.coutn is not an option here")
    assert check_options(SCHEMES[scheme], {"count": "5"}, "score.folds") == ["score.folds.count = '5': Input should be a valid integer"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_option_is_in_the_docstring_of_its_scheme_or_of_split(scheme):
    doc = inspect.getdoc(SCHEMES[scheme]) + inspect.getdoc(SCHEMES["time"]) * (scheme == "group_time") + inspect.getdoc(split)
    assert all(name in doc for name in list(inspect.signature(SCHEMES[scheme]).parameters)[1:])


def test_unknown_scheme_is_named_with_the_nearest():
    with pytest.raises(FoldError) as error:
        split(rows(9), scheme="kfolds")
    says(error, 'score.folds.scheme: no fold scheme "kfolds" (did you mean "kfold"?)')


def test_all_wrong_numbers_are_reported_together():
    with pytest.raises(FoldError) as error:
        split(rows(9), count=1, repeats=0, seed=-1)
    says(error, "score.folds.count is 1: expected at least 2", "score.folds.repeats is 0: expected at least 1",
         "score.folds.seed is -1: expected at least 0")  # fmt: skip


def test_more_folds_than_rows_is_refused():
    with pytest.raises(FoldError) as error:
        split(rows(3), count=4)
    says(error, "score.folds.count is 4, but there are only 3 training rows: lower it, or check input.train")


def test_columns_of_other_lengths_are_our_mistake():
    with pytest.raises(AssertionError, match="not aligned"):
        rows(3, target=[0, 1])


def test_rows_sorted_by_id_give_the_same_folds_whatever_the_order_in_the_file():
    rng = np.random.default_rng(0)
    ids, target, groups = text(50), rng.integers(0, 3, 50), rng.integers(0, 12, 50)

    def roles_by_id(file_order, scheme):
        sort = np.argsort(ids[file_order])
        folds = split(Rows(ids[file_order][sort], target=target[file_order][sort], group=groups[file_order][sort]), scheme=scheme)
        return [dict(zip(ids[file_order][sort], roles(fold, 50), strict=True)) for fold in folds]

    for scheme in ("kfold", "stratified", "group", "stratified_group", "holdout"):
        assert roles_by_id(np.arange(50), scheme) == roles_by_id(rng.permutation(50), scheme)


# kfold


def test_kfold_sizes_differ_by_one_row_at_most():
    assert sorted(len(fold.valid) for fold in split(rows(11), count=4)) == [2, 3, 3, 3]


# stratified


def test_stratified_keeps_the_share_of_each_class_to_within_one_row():
    rng = np.random.default_rng(0)
    for seed in range(20):
        target = rng.choice(["a", "b", "c"], 200, p=[0.8, 0.15, 0.05])
        if min(Counter(target).values()) < 5:
            continue
        folds = split(rows(200, target=target), scheme="stratified", seed=seed)
        assert [len(fold.valid) for fold in folds] == [40] * 5
        for name, total in Counter(target).items():
            assert all(total // 5 <= (target[fold.valid] == name).sum() <= -(-total // 5) for fold in folds)


def test_stratified_lists_all_small_classes_and_what_to_do():
    with pytest.raises(FoldError) as error:
        split(rows(14, target=list("aaaaaabbcccc") + ["d", "d"]), scheme="stratified")
    says(error, "score.folds.count is 5, but 3 of 4 classes have fewer rows: b (2 rows), d (2 rows), c (4 rows)",
         "each fold is to validate rows of each class", 'lower score.folds.count to 2, or set score.folds.scheme = "kfold"')  # fmt: skip


def test_stratified_reports_the_numbers_and_the_small_classes_together():
    with pytest.raises(FoldError) as error:
        split(rows(5, target=list("aaaab")), scheme="stratified", count=3, repeats=0)
    says(error, "score.folds.repeats is 0: expected at least 1",
         "score.folds.count is 3, but 1 of 2 classes have fewer rows: b (1 row)",
         "each fold is to validate rows of each class", 'set score.folds.scheme = "kfold"')  # fmt: skip


def test_stratified_without_a_target_says_so():
    with pytest.raises(FoldError) as error:
        split(rows(9), scheme="stratified")
    says(error, 'score.folds.scheme = "stratified" needs a target for each row, and there is none', 'set score.folds.scheme = "kfold"')


def test_a_blank_class_is_a_class_and_a_missing_one_is_refused():
    blank = np.array([""] * 3 + ["a"] * 3, dtype=object)
    assert len(split(rows(6, target=blank), scheme="stratified", count=3)) == 3
    with pytest.raises(FoldError) as error:
        split(rows(6, target=np.array([None, np.nan, "a", "a", "a", "a"], dtype=object)), scheme="stratified", count=3)
    says(error, '2 of 6 training rows have no target, and score.folds.scheme = "stratified" needs one for each',
         "ids 00000, 00001", "fill them in, or drop these rows")  # fmt: skip


def test_a_number_is_stratified_by_its_quantiles():
    target = np.random.default_rng(0).permutation(100) / 7
    for fold in split(rows(100, target=target, continuous=True), scheme="stratified"):
        assert np.histogram(target[fold.valid], np.sort(target)[::10].tolist() + [99])[0].tolist() == [2] * 10


def test_a_number_that_is_mostly_zero_can_be_stratified():
    target = np.array([0.0] * 90 + [1.0] * 10)
    assert [target[fold.valid].sum() for fold in split(rows(100, target=target, continuous=True), scheme="stratified")] == [2.0] * 5


def test_few_rows_of_a_number_can_be_stratified():
    folds = split(rows(6, target=np.arange(6.0), continuous=True), scheme="stratified")
    assert sorted(len(fold.valid) for fold in folds) == [1, 1, 1, 1, 2]


def test_several_numbers_are_stratified_together():
    one = np.arange(100.0)
    for fold in split(rows(100, target=np.column_stack([one, one**2]), continuous=True), scheme="stratified"):
        assert np.bincount((one[fold.valid] // 10).astype(int)).tolist() == [2] * 10


def label_unevenness(labels, folds):
    return np.mean([np.abs(labels[fold.valid].mean(axis=0) - labels.mean(axis=0)) for fold in folds])


def test_labels_are_spread_more_evenly_than_at_random():
    rng = np.random.default_rng(0)
    for seed in range(5):
        labels = (rng.random((300, 8)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.05, 0.03, 0.02]).astype(int)
        data = rows(300, target=labels)
        folds = split(data, scheme="stratified", seed=seed)
        assert label_unevenness(labels, folds) < label_unevenness(labels, split(data, seed=seed)) / 3
        assert max(len(fold.valid) for fold in folds) - min(len(fold.valid) for fold in folds) <= 6
        assert sorted(i for fold in folds for i in fold.valid) == list(range(300))


def test_equal_label_sets_are_dealt_out_evenly():
    labels = np.array([[1, 0], [1, 1], [0, 0]]).repeat(5, axis=0)
    for fold in split(rows(15, target=labels), scheme="stratified"):
        assert sorted(map(tuple, labels[fold.valid].tolist())) == [(0, 0), (1, 0), (1, 1)]


def test_a_label_with_fewer_rows_than_folds_goes_to_that_many_folds():
    labels = np.zeros((20, 2), int)
    labels[:3, 0], labels[3:, 1] = 1, 1
    held = [labels[fold.valid, 0].sum() for fold in split(rows(20, target=labels), scheme="stratified")]
    assert sorted(held) == [0, 0, 1, 1, 1]


# group and stratified_group


def test_group_never_spans_two_folds():
    rng = np.random.default_rng(0)
    for seed in range(20):
        groups = np.array([f"g{i}" for i in rng.integers(0, 30, 200)], dtype=object)
        for scheme in ("group", "stratified_group"):
            folds = split(rows(200, group=groups, target=rng.integers(0, 3, 200)), scheme=scheme, seed=seed)
            assert all(not set(groups[fold.train]) & set(groups[fold.valid]) for fold in folds)


def test_large_groups_are_placed_first_so_that_sizes_are_even():
    groups = np.repeat(list("abcdefg"), [10, 10, 10, 4, 3, 2, 1])
    assert sorted(len(fold.valid) for fold in split(rows(40, group=groups), scheme="group", count=4)) == [10, 10, 10, 10]


def test_groups_of_other_sizes_still_differ_between_repeats():
    groups = np.repeat(np.arange(15), np.arange(10, 25))
    folds = split(rows(len(groups), group=groups), scheme="group", count=3, repeats=2)
    assert {tuple(v) for v in validated(folds[:3])} != {tuple(v) for v in validated(folds[3:])}


def test_too_few_groups_are_refused():
    for scheme in ("group", "stratified_group"):
        with pytest.raises(FoldError) as error:
            split(rows(8, group=list("aabbccaa"), target=[0, 1] * 4), scheme=scheme)
        says(error, "5 parts need at least 5 groups, and the training rows have 3: a group is never cut",
             "lower score.folds.count to 3, or name a finer group column")  # fmt: skip
    with pytest.raises(FoldError) as error:
        split(rows(8, group=["a"] * 8), scheme="group")
    assert str(error.value).endswith("have 1: a group is never cut\nname a finer group column")


def test_rows_without_a_group_are_counted_and_named():
    groups = np.array(["a", "", None, np.nan, "b", "c"], dtype=object)
    with pytest.raises(FoldError) as error:
        split(rows(6, group=groups), scheme="group", count=2)
    says(error, '3 of 6 training rows have no group, and score.folds.scheme = "group" needs one for each',
         "ids 00001, 00002, 00003", "fill them in, or drop these rows")  # fmt: skip
    with pytest.raises(FoldError) as error:
        split(rows(6), scheme="group")
    says(error, 'score.folds.scheme = "group" needs a group for each row, and there is none', "say in config.toml which column it is")


def test_stratified_group_evens_out_what_group_alone_does_not():
    rng = np.random.default_rng(0)
    for seed in range(5):
        groups = np.repeat(np.arange(60), rng.integers(1, 20, 60))
        target = (rng.random(len(groups)) < rng.beta(0.3, 0.9, 60)[groups]).astype(int)
        data = rows(len(groups), group=groups, target=target)
        spread = {s: np.std([target[f.valid].mean() for f in split(data, scheme=s, seed=seed)]) for s in ("group", "stratified_group")}
        assert spread["stratified_group"] < spread["group"] / 2


def test_stratified_group_on_paper():
    groups, target = np.repeat(np.arange(4), 3), np.repeat([0, 0, 1, 1], 3)
    for fold in split(rows(12, group=groups, target=target), scheme="stratified_group", count=2):
        assert target[fold.valid].tolist() == [0, 0, 0, 1, 1, 1]


def test_stratified_group_takes_labels_and_numbers():
    groups = np.repeat(np.arange(20), 5)
    labels = np.repeat(np.eye(4, dtype=int)[np.arange(20) % 4], 5, axis=0)
    for fold in split(rows(100, group=groups, target=labels), scheme="stratified_group"):
        assert labels[fold.valid].sum(axis=0).tolist() == [5, 5, 5, 5]
    numbers = np.repeat(np.arange(20.0), 5)
    means = [numbers[f.valid].mean() for f in split(rows(100, group=groups, target=numbers, continuous=True), scheme="stratified_group")]
    assert np.std(means) < 2


def test_many_rows_and_groups_are_split_without_a_loop_over_rows():
    rng = np.random.default_rng(0)
    data = rows(200_000, group=rng.integers(0, 20_000, 200_000), target=rng.integers(0, 10, 200_000))
    for scheme in ("group", "stratified_group"):
        sizes = [len(fold.valid) for fold in split(data, scheme=scheme)]
        assert sum(sizes) == 200_000 and max(sizes) - min(sizes) < 50


# classes and open_set


def long_tailed(rng, n=400, many=120):
    return np.sort(np.minimum(rng.geometric(0.03, n), many)).astype(str).astype(object)


def test_whole_classes_are_validated_and_each_row_once():
    target = long_tailed(np.random.default_rng(0))
    for seed in range(5):
        folds = split(rows(400, target=target), scheme="classes", seed=seed)
        assert all(not set(target[fold.train]) & set(target[fold.valid]) for fold in folds)
        assert sorted(i for fold in folds for i in fold.valid) == list(range(400))
        assert all(len(fold.train) + len(fold.valid) == 400 for fold in folds)
        assert max(len(fold.valid) for fold in folds) - min(len(fold.valid) for fold in folds) <= 8


def test_an_open_set_validates_the_share_asked_for_that_no_row_is_trained_on_for():
    for seed in range(5):
        target = long_tailed(np.random.default_rng(seed))
        folds = split(rows(400, target=target), scheme="open_set", unknown=0.3, seed=seed)
        new = [~np.isin(target[fold.valid].astype(str), target[fold.train].astype(str)) for fold in folds]
        assert 117 <= sum(part.sum() for part in new) <= 120  # whole classes, as many as fit
        assert all(0.2 < part.mean() < 0.4 for part in new)
        assert sorted(i for fold in folds for i in fold.valid) == list(range(400))
        assert max(len(fold.valid) for fold in folds) - min(len(fold.valid) for fold in folds) <= 8


def test_a_class_that_is_not_held_out_is_trained_on_in_each_fold():
    for seed in range(20):
        target = long_tailed(np.random.default_rng(seed), n=100)
        folds = split(rows(100, target=target), scheme="open_set", unknown=0.4, count=2 + seed % 4, seed=seed)
        where = {name: {k for k, fold in enumerate(folds) if (target[fold.valid] == name).any()} for name in set(target)}
        for name in set(target):
            trained = [k for k, fold in enumerate(folds) if (target[fold.train] == name).any()]
            assert len(trained) == len(folds) or (len(where[name]) == 1 and set(trained) == set(range(len(folds))) - where[name])
        held = [name for name in where if len(where[name]) == 1]
        assert sum((target == name).sum() for name in held) <= max(40, sum((target == name).sum() == 1 for name in set(target)))


def test_groups_of_an_open_set_are_kept_whole_and_a_class_of_one_group_is_held_out():
    random = np.random.default_rng(0)
    group = random.integers(0, 120, 400)
    target = (group % 30).astype(object)  # four groups a class, or so
    target[group % 30 == 0], group[group % 30 == 0] = 0, 0  # class 0 is one group
    for seed in range(5):
        folds = split(rows(400, target=target, group=group), scheme="open_set", unknown=0.2, count=4, seed=seed)
        assert sorted(i for fold in folds for i in fold.valid) == list(range(400))
        assert all(not set(group[fold.train]) & set(group[fold.valid]) for fold in folds)
        held = {n for fold in folds for n in set(target[fold.valid]) - set(target[fold.train])}
        assert 0 in held and 60 <= sum((target == n).sum() for n in held) <= 80
        assert all(n in set(target[fold.train]) for fold in folds for n in set(target) - held)


def test_a_group_of_several_classes_is_refused_by_an_open_set():
    with pytest.raises(FoldError) as error:
        split(rows(60, target=np.arange(60) % 7, group=np.arange(60) // 5), scheme="open_set")
    says(error, 'score.folds.scheme = "open_set" keeps groups whole, and some have rows of several classes', "name groups within the classes")


def test_classes_of_one_row_are_held_out_before_any_other_is_drawn():
    target = np.array([f"one{n}" for n in range(30)] + ["a"] * 35 + ["b"] * 35, dtype=object)
    for unknown in (0.0, 0.3, 0.6):  # 30 of the 100 rows are so anyway, and a class of 35 does not fit into 30 more
        folds = split(rows(100, target=target), scheme="open_set", unknown=unknown)
        assert all({"a", "b"} <= set(target[fold.train]) & set(target[fold.valid]) for fold in folds)


def test_drawn_classes_follow_the_seed():
    target = np.repeat(np.arange(20), 5).astype(object)
    held = [{n for fold in split(rows(100, target=target), scheme="open_set", seed=seed) for n in set(target[fold.valid]) - set(target[fold.train])} for seed in (0, 0, 1)]
    assert len(held[0]) == 6 and held[0] == held[1] != held[2]


@pytest.mark.parametrize("scheme", ["classes", "open_set"])
@pytest.mark.parametrize("none", [np.int64(-1), -1])
def test_rows_of_no_class_are_validated_and_never_trained_on(scheme, none):
    target = np.array([none] * 25 + [f"c{n % 15}" for n in range(75)], dtype=object)
    folds = split(rows(100, target=target), scheme=scheme)
    assert not any((fold.train < 25).any() for fold in folds)
    assert sorted(i for fold in folds for i in fold.valid) == list(range(100))
    assert [(fold.valid < 25).sum() for fold in folds] == [5] * 5


def test_rows_of_no_class_count_as_unknown():
    target = np.r_[np.full(25, -1), np.arange(75) // 5]
    folds = split(rows(100, target=target), scheme="open_set", unknown=0.3)
    new = [set(target[fold.valid]) - set(target[fold.train]) - {-1} for fold in folds]
    assert sum(map(len, new)) == 1  # 25 rows, and the one class of 5 that fits into 30


@pytest.mark.parametrize("scheme", ["classes", "open_set"])
def test_only_some_folds_are_those_that_all_would_begin_with(scheme):
    data = rows(60, target=np.arange(60) % 12)
    some, whole = split(data, scheme=scheme, only=2), split(data, scheme=scheme)
    assert positions(some) == positions(whole)[:2] and len(whole) == 5


@pytest.mark.parametrize("scheme", ["classes", "open_set"])
def test_what_is_wrong_with_schemes_of_classes_is_told_together(scheme):
    with pytest.raises(FoldError) as error:
        split(rows(60, target=np.arange(60) % 12), scheme=scheme, repeats=2, only=6)
    says(error, f'score.folds.repeats is 2, but score.folds.scheme = "{scheme}" has one split only: set repeats = 1',
         "score.folds.only is 6: expected from 0, which is all, to score.folds.count = 5")  # fmt: skip
    with pytest.raises(FoldError) as error:
        split(rows(60, target=np.arange(60.0), continuous=True), scheme=scheme)
    says(error, f'score.folds.scheme = "{scheme}" needs one class for each row, and the target is a number', 'set score.folds.scheme = "kfold"')
    with pytest.raises(FoldError, match="the target is any number of labels"):
        split(rows(60, target=np.zeros((60, 2), int)), scheme=scheme)


def test_a_share_of_unknown_rows_is_below_one():
    for unknown in (-0.1, 1.0, np.nan):
        with pytest.raises(FoldError) as error:
            split(rows(60, target=np.arange(60) % 12), scheme="open_set", unknown=unknown)
        says(error, f"score.folds.unknown is {unknown:g}: expected 0 or more, and below 1")


def test_fewer_classes_than_folds_are_refused():
    with pytest.raises(FoldError) as error:
        split(rows(60, target=np.arange(60) % 3), scheme="classes")
    says(error, "5 parts need at least 5 classes, and the training rows have 3: a class is never cut",
         'lower score.folds.count to 3, or set score.folds.scheme = "kfold"')  # fmt: skip


def test_nothing_but_rows_of_no_class_leaves_none_to_train_on():
    with pytest.raises(FoldError, match="^folds 0, 1, 2, 3, 4 would train on no rows\n"):
        split(rows(60, target=np.full(60, -1)), scheme="open_set")


@pytest.mark.parametrize("scheme", ["classes", "open_set"])
def test_what_is_watched_inside_is_of_classes_that_are_trained_on(scheme):
    target = np.repeat(np.arange(20), 3)
    kept, watched = cut(rows(60, target=target), scheme, 0, {"unknown": 0.9, "only": 1})
    assert set(target[watched]) <= set(target[kept])


def test_many_rows_of_many_classes_are_dealt_without_a_loop_over_rows():
    target = np.random.default_rng(0).zipf(1.3, 200_000).clip(max=15_000)
    for scheme in ("classes", "open_set"):
        assert sum(len(fold.valid) for fold in split(rows(200_000, target=target), scheme=scheme)) == 200_000


# time


def test_time_validates_equal_blocks_and_trains_on_all_rows_before():
    folds = split(rows(8, time=days(*range(8))), scheme="time", count=3)
    assert positions(folds) == [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5]), ([0, 1, 2, 3, 4, 5], [6, 7])]


def test_time_goes_by_the_clock_and_not_by_the_ids():
    folds = split(rows(4, time=[40, 10, 30, 20]), scheme="time", count=3)
    assert positions(folds) == [([1], [3]), ([1, 3], [2]), ([1, 2, 3], [0])]


def test_rows_of_one_moment_are_never_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        when = rng.choice([0, 1, 2, 3, 4, 9], 40, p=[0.05, 0.05, 0.6, 0.1, 0.1, 0.1])
        if len(set(when)) < 6:
            continue
        for fold in split(rows(40, time=when), scheme="time", count=5):
            assert when[fold.train].max() < when[fold.valid].min()
            assert set(when[fold.valid]).isdisjoint(np.delete(when, fold.valid))


def test_as_many_blocks_as_moments_allow_are_found_though_one_moment_has_most_rows():
    folds = split(rows(9, time=[0, 1, 1, 1, 1, 1, 1, 1, 2]), scheme="time", count=2)
    assert validated(folds) == [[1, 2, 3, 4, 5, 6, 7], [8]]
    with pytest.raises(FoldError) as error:
        split(rows(9, time=[0, 1, 1, 1, 1, 1, 1, 1, 2]), scheme="time", count=3)
    says(error, "score.folds.count is 3, but the training rows have only 3 different times",
         "3 blocks and a first training part need 4: a moment is never cut", "lower score.folds.count")  # fmt: skip


def test_size_is_the_width_of_a_block_in_days():
    folds = split(rows(6, time=days(0, 1, 2, 3, 4, 5)), scheme="time", count=2, size=2)
    assert positions(folds) == [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]


def test_size_is_in_the_unit_of_a_time_that_is_a_number():
    folds = split(rows(6, time=[0.0, 10.0, 11.0, 20.0, 20.5, 30.0]), scheme="time", count=2, size=10.0)
    assert positions(folds) == [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]  # (10, 20] and (20, 30]


def test_one_block_is_allowed_forward_in_time():
    assert positions(split(rows(4, time=days(0, 1, 2, 3)), scheme="time", count=1, size=1)) == [([0, 1, 2], [3])]


def test_gap_and_purge_leave_rows_before_the_block_unused_and_add_up():
    data = rows(8, time=days(*range(8)))  # the block is days 6 and 7, t0 = 6

    def trained_on(**widths):
        return split(data, scheme="time", count=1, size=2, **widths)[0].train.tolist()

    assert trained_on() == [0, 1, 2, 3, 4, 5]
    assert trained_on(gap=1) == [0, 1, 2, 3, 4]
    assert trained_on(purge=2) == [0, 1, 2, 3]  # the label of day 4 is known on day 6
    assert trained_on(gap=1, purge=2) == [0, 1, 2]
    assert trained_on(gap=0.5) == [0, 1, 2, 3, 4, 5]  # half a day before day 6 there is no row
    assert trained_on(window=2) == [4, 5]
    assert trained_on(window=2, gap=1, purge=2) == [1, 2]


def test_widths_are_exact_on_times_of_19_digits():
    start = 1_700_000_000_000_000_000
    folds = split(rows(4, time=np.array([0, 1, 2, 3]) + start), scheme="time", count=1, size=1, gap=1)
    assert positions(folds) == [([0, 1], [3])]


def test_roles_tell_the_unused_rows():
    fold = split(rows(4, time=days(0, 1, 2, 3)), scheme="time", count=1, size=1, gap=1)[0]
    assert roles(fold, 4).tolist() == ["train", "train", "unused", "valid"]


def test_a_block_without_a_past_is_refused():
    with pytest.raises(FoldError) as error:
        split(rows(6, time=days(*range(6))), scheme="time", count=2, size=2, gap=2)
    says(error, 'score.folds.scheme = "time": folds 0 of 2 would train on no rows',
         "times go from 2020-01-01 to 2020-01-06, with size = 2, gap = 2", "lower count, size, gap or purge, or raise window")  # fmt: skip


def test_a_block_without_rows_is_refused():
    with pytest.raises(FoldError) as error:
        split(rows(4, time=[0, 1, 2, 30]), scheme="time", count=3, size=5)
    assert str(error.value).startswith('score.folds.scheme = "time": folds 0, 1 of 3 would validate no rows\n')


def test_wrong_widths_and_repeats_are_reported_together():
    with pytest.raises(FoldError) as error:
        split(rows(6, time=days(*range(6))), scheme="time", repeats=3, size=0, gap=-1, purge=-2.5, window=0)
    says(error, 'score.folds.repeats is 3, but score.folds.scheme = "time" has one split only: set repeats = 1',
         "score.folds.size is 0: expected more than 0", "score.folds.gap is -1: expected 0 or more",
         "score.folds.purge is -2.5: expected 0 or more", "score.folds.window is 0: expected more than 0")  # fmt: skip


def test_a_missing_or_unreadable_time_is_refused():
    with pytest.raises(FoldError, match="1 of 3 training rows have no time"):
        split(rows(3, time=np.array(["2020-01-01", "NaT", "2020-01-03"], "datetime64[D]")), scheme="time", count=1)
    with pytest.raises(FoldError) as error:
        split(rows(3, time=np.array(["mon", "tue", "wed"], dtype=object)), scheme="time", count=1)
    says(error, "score.folds.scheme = \"time\": the time of id 00000 is 'mon'", "expected dates or numbers")


def test_group_time_leaves_the_past_of_validated_groups_out():
    data = rows(6, time=days(*range(6)), group=list("abacab"))
    assert positions(split(data, scheme="group_time", count=1, size=2)) == [([3], [4, 5])]


def test_group_time_without_other_groups_is_refused():
    with pytest.raises(FoldError) as error:
        split(rows(6, time=days(*range(6)), group=list("ababab")), scheme="group_time", count=1, size=2)
    says(error, 'score.folds.scheme = "group_time": folds 0 of 1 would train on no rows',
         "times go from 2020-01-01 to 2020-01-06, with size = 2; a group that is in the block is left out of its training part",
         "lower count, size, gap or purge, or raise window")  # fmt: skip


# holdout


def test_holdout_is_one_fold_of_the_share_asked_for():
    folds = split(rows(40), scheme="holdout", share=0.25)
    assert [(len(fold.train), len(fold.valid)) for fold in folds] == [(30, 10)]


def test_holdout_is_stratified_however_rare_a_class():
    target = np.repeat(["a", "b", "c"], [70, 29, 1])
    for seed in range(20):
        held = Counter(target[split(rows(100, target=target), scheme="holdout", share=0.3, seed=seed)[0].valid])
        assert sum(held.values()) == 30 and abs(held["a"] - 21) <= 1 and abs(held["b"] - 8.7) <= 1.3


def test_holdout_keeps_groups_whole():
    groups = np.random.default_rng(0).integers(0, 30, 200)
    for seed in range(20):
        fold = split(rows(200, group=groups), scheme="holdout", seed=seed)[0]
        assert not set(groups[fold.train]) & set(groups[fold.valid]) and 30 <= len(fold.valid) <= 40


def test_holdout_takes_the_smallest_group_where_all_are_too_large():
    fold = split(rows(10, group=np.repeat([0, 1], [6, 4])), scheme="holdout", share=0.2)[0]
    assert fold.valid.tolist() == [6, 7, 8, 9]


def test_holdout_refuses_a_share_that_leaves_nothing():
    with pytest.raises(FoldError) as error:
        split(rows(10, group=[0] * 10), scheme="holdout", share=1.0)
    assert str(error.value).startswith("score.folds.share is 1: expected above 0 and below 1\n2 parts need at least 2 groups")


# dealt


def test_a_dealt_class_is_spread_as_far_as_it_goes_and_groups_stay_whole():
    target = np.array(["b"] * 3 + ["c"] + ["a"] * 36, dtype=object)
    parts = dealt(rows(40, target=target), 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(40)) and {len(own) for own in parts} == {8}
    assert max(int((own < 3).sum()) for own in parts) == 1
    grouped = dealt(rows(40, target=target, group=np.array([None, *(np.arange(39) // 13)], dtype=object)), 0)
    assert sorted(len(own) for own in grouped) == [1, 13, 13, 13]
    assert len(dealt(rows(40, target=target, group=np.zeros(40)), 0)) == 5  # one group cannot be kept whole


@pytest.mark.parametrize(("target", "continuous"), [(np.eye(40)[:, :2], False), (np.arange(40.0), True), (np.arange(80.0).reshape(40, 2), True)])
def test_labels_and_numbers_are_dealt(target, continuous):
    parts = dealt(rows(40, target=target, continuous=continuous), 1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(40)) and len(parts) == 5
    assert [len(own) for own in dealt(rows(3, target=np.arange(3)), 0)] == [1, 1, 1]


# given


def test_given_folds_come_in_ascending_order_and_minus_one_is_always_in_training():
    folds = split(rows(5, given=[3, -1, 1, 3, -1]), scheme="given")
    assert positions(folds) == [([0, 1, 3, 4], [2]), ([1, 2, 4], [0, 3])]
    assert [fold.fold for fold in folds] == [0, 1]


def test_given_numbers_may_be_missing_or_text():
    assert validated(split(rows(4, given=[0.0, np.nan, 1.0, np.nan]), scheme="given")) == [[0], [2]]
    assert validated(split(rows(4, given=np.array(["0", "", "1", None], dtype=object)), scheme="given")) == [[0], [2]]


def test_given_refuses_what_is_not_a_fold_number_and_a_repeat():
    with pytest.raises(FoldError) as error:
        split(rows(5, given=np.array(["0", "x", "1.5", "-2", "inf"], dtype=object)), scheme="given", repeats=2)
    says(error, 'score.folds.repeats is 2, but score.folds.scheme = "given" has one split only: set repeats = 1',
         "4 training rows have no usable fold number: x, 1.5, -2, inf (ids 00001, 00002, 00003, 00004)",
         "expected whole numbers from 0 on, and -1 or nothing for rows that are always in training")  # fmt: skip


def test_given_refuses_to_validate_nothing_or_everything():
    for column, what in (([-1, -1], "validates no row"), ([0, 0], "validates all 2 rows in one fold and leaves none to train on")):
        with pytest.raises(FoldError) as error:
            split(rows(2, given=column), scheme="given")
        says(error, f'score.folds.scheme = "given" {what}', "expected two fold numbers or more, or one and -1")
    with pytest.raises(FoldError, match="needs a fold number for each row, and there is none"):
        split(rows(2), scheme="given")


# inner cuts


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_inner_cut_watches_rows_of_the_training_part_only(scheme):
    data = for_scheme(scheme)
    for fold in split(data, scheme=scheme, count=3):
        inner = data.take(fold.train)
        train, watched = cut(inner, scheme, 1)
        assert len(train) and len(watched) and not set(train) & set(watched)
        assert max(*train, *watched) < len(fold.train)


def test_an_inner_cut_keeps_to_the_scheme():
    groups, target = np.repeat(np.arange(20), 5), np.arange(100) % 2
    data = rows(100, group=groups, target=target, time=np.arange(100))
    train, watched = cut(data, "group", 0)
    assert not set(groups[train]) & set(groups[watched])
    train, watched = cut(data, "stratified", 0)
    assert target[watched].mean() == 0.5 and len(watched) == 20
    train, watched = cut(data, "time", 0, {"gap": 3.0, "count": 2, "seed": 4})
    assert watched.tolist() == list(range(84, 100)) and train.tolist() == list(range(81))
    train, watched = cut(data, "given", 0)
    assert not set(groups[train]) & set(groups[watched])


def test_several_cuts_differ_and_the_first_is_the_one_cut():
    data = rows(100, time=np.arange(100))
    for scheme in ("kfold", "holdout", "time"):
        several = cuts(data, scheme, 3, how_many=3)
        assert len({tuple(watched) for _, watched in several}) == 3
        assert several[0][1].tolist() == cut(data, scheme, 3)[1].tolist()
    assert [watched.min() for _, watched in cuts(data, "time", 3, how_many=3)] == [84, 68, 52]
    assert len(cuts(data, "kfold", 0, how_many=7)) == 7


def test_a_class_too_small_inside_is_cut_by_kfold():
    data = rows(20, target=[0] * 18 + [1] * 2)
    assert cut(data, "stratified", 5)[1].tolist() == split(data, scheme="kfold", seed=5)[0].valid.tolist()


def test_fewer_groups_inside_give_fewer_parts_and_one_group_is_cut_by_kfold():
    groups = np.repeat([0, 1, 2], 10)
    train, watched = cut(rows(30, group=groups), "group", 0)
    assert len(set(groups[watched])) == 1 and len(watched) == 10
    assert len(cut(rows(30, group=[7] * 30), "group", 0)[1]) == 6


def test_a_short_past_gives_up_the_widths_before_the_order_in_time():
    data = rows(12, time=np.arange(12))
    assert [part.tolist() for part in cut(data, "time", 0, {"size": 50.0, "gap": 2.0})] == [list(range(8)), [10, 11]]
    assert [part.tolist() for part in cut(data, "time", 0, {"size": 50.0, "gap": 20.0})] == [list(range(10)), [10, 11]]
    same_group = rows(12, time=np.arange(12), group=[1] * 12)
    assert [part.tolist() for part in cut(same_group, "group_time", 0)] == [list(range(10)), [10, 11]]
    assert len(cut(rows(15, time=[1] * 15), "time", 0)[1]) == 3  # kfold


def test_an_inner_cut_never_fails_where_the_outer_split_did_not():
    rng = np.random.default_rng(0)
    for trial in range(200):
        n = int(rng.integers(15, 60))
        data = rows(n, target=rng.integers(0, 3, n), group=rng.integers(0, rng.integers(2, 9), n), time=rng.integers(0, 20, n),
                    given=rng.integers(-1, 3, n))  # fmt: skip
        for scheme in SCHEMES:
            widths = {"gap": float(rng.integers(0, 6)), "size": float(rng.integers(1, 6))} if "time" in scheme else {}
            try:
                folds = split(data, scheme=scheme, count=3, **widths)
            except FoldError:
                continue
            for fold in folds:
                if len(fold.train) >= 10:
                    train, watched = cut(data.take(fold.train), scheme, trial, widths)
                    assert len(train) and len(watched)


def test_fewer_than_ten_rows_are_not_cut():
    with pytest.raises(FoldError) as error:
        cut(rows(9), "kfold", 0)
    says(error, "9 training rows are too few to cut some off for early stopping: expected at least 10",
         "train for a fixed number of rounds or epochs, or raise score.folds.count")  # fmt: skip


# warnings


def test_a_fold_of_one_class_is_told():
    data = rows(6, target=[0, 0, 0, 0, 1, 1], given=[0, 0, 1, 1, 2, 2])
    assert describe(data, split(data, scheme="given")) == [
        "fold 0 validates only class 0 (2 rows)",
        "fold 1 validates only class 0 (2 rows)",
        "fold 2 validates only class 1 (2 rows)",
        "fold 2 trains on only class 0 (4 rows)",
    ]


def test_classes_and_labels_that_a_part_lacks_are_told():
    data = rows(6, target=list("aabbca"), given=[0, -1, 0, -1, -1, -1])
    assert describe(data, split(data, scheme="given")) == ["fold 0 validates no row of class c"]
    labels = rows(4, target=[[1, 0], [1, 0], [1, 0], [0, 1]], given=[0, 0, 1, 1])
    assert describe(labels, split(labels, scheme="given")) == ["fold 0 validates no row of label 1", "fold 1 trains on no row of label 1"]


def test_the_repeat_is_told_too():
    data = rows(4, target=[0, 0, 0, 1])
    assert sum(line.startswith("repeat 1 fold ") for line in describe(data, split(data, count=2, repeats=2))) == 2


def test_there_is_nothing_to_tell_of_whole_folds_numbers_or_no_target():
    data = rows(20, target=[0, 1] * 10)
    assert describe(data, split(data, scheme="stratified")) == []
    assert describe(rows(20), split(rows(20))) == []
    assert describe(rows(20, target=np.arange(20.0), continuous=True), split(rows(20))) == []


def test_classes_that_a_scheme_leaves_out_on_purpose_are_no_warning():
    data = rows(20, target=np.arange(20) // 4)
    for scheme in ("classes", "open_set"):
        assert describe(data, split(data, scheme=scheme), scheme) == [] != describe(data, split(data, scheme=scheme))


# folds.csv

ODD_IDS = np.array(["0012", "12", "1234e156", "1234567890123456789", "Ёжик", "NA", "a,b", 'say "x"', "two\nlines", ""], dtype=object)


def test_folds_survive_a_file_with_odd_ids(tmp_path):
    folds = split(Rows(ODD_IDS), count=3, repeats=2)
    write(tmp_path / "folds.csv", ODD_IDS, folds)
    again = read(tmp_path / "folds.csv", ODD_IDS)
    assert positions(again) == positions(folds)
    assert [(fold.repeat, fold.fold) for fold in again] == [(r, k) for r in (0, 1) for k in range(3)]
    assert all(part.dtype == np.int64 for fold in again for part in (fold.train, fold.valid))


def test_the_file_has_a_line_for_each_fold_and_id_sorted_by_id(tmp_path):
    ids = np.array(["10", "0012", "9"], dtype=object)
    folds = split(Rows(ids, time=np.array([3, 1, 2])), scheme="time", count=1, size=1, gap=1)
    write(tmp_path / "folds.csv", ids, folds)
    assert (tmp_path / "folds.csv").read_text(encoding="utf-8") == (
        '"id","repeat","fold","role"\n"0012",0,0,"train"\n"10",0,0,"valid"\n"9",0,0,"unused"\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["folds.csv"]


def test_folds_are_read_by_id_whatever_the_order_of_the_rows(tmp_path):
    folds = split(rows(20), count=4)
    write(tmp_path / "folds.csv", text(20), folds)
    order = np.random.default_rng(0).permutation(20)
    shuffled = read(tmp_path / "folds.csv", text(20)[order])
    assert [sorted(order[fold.valid].tolist()) for fold in shuffled] == validated(folds)
    write(tmp_path / "again.csv", text(20)[order], shuffled)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "folds.csv").read_bytes()


def test_other_ids_are_refused_with_their_names(tmp_path):
    path = tmp_path / "folds.csv"
    write(path, text(4), split(rows(4), count=2))
    with pytest.raises(FoldError) as error:
        read(path, np.array(["00000", "00001", "00002", "x", "y"], dtype=object))
    says(error, f"{path} is not about these 5 training rows: it has unknown ids 1: 00003; lacks 2: x, y",
         "the data have changed since: train again for a new run")  # fmt: skip
    with pytest.raises(FoldError, match="it has unknown ids 1: 00003"):
        read(path, text(3))


def test_an_id_twice_in_a_fold_is_refused(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text("id,repeat,fold,role\na,0,0,train\nb,0,0,valid\na,0,0,valid\n")
    with pytest.raises(FoldError, match="it repeats 1: a"):
        read(path, np.array(["a", "b"], dtype=object))


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "folds.csv"
    with pytest.raises(RunError) as error:
        read(path, text(2))
    says(error, f"{path} is missing: is its folder a whole run?")
    for content, reason in (
        ("", "is not a folds.csv"),
        ("id,fold\na,0\n", "is not a folds.csv"),
        ("id,repeat,fold,role\na,,0,train\n", "is not a folds.csv"),
        ("id,repeat,fold,role\na,0,0,test\n", f"has roles that are not {', '.join(ROLES)}: test"),
    ):
        path.write_text(content)
        with pytest.raises(RunError, match=reason):
            read(path, np.array(["a"], dtype=object))


def test_fingerprint_follows_the_folds_and_not_the_order_of_the_rows(tmp_path):
    folds = split(rows(20), count=4)
    write(tmp_path / "folds.csv", text(20), folds)
    order = np.random.default_rng(0).permutation(20)
    whole = fingerprint(text(20), folds)
    assert len(whole) == 16 and int(whole, 16) >= 0
    assert fingerprint(text(20)[order], read(tmp_path / "folds.csv", text(20)[order])) == whole
    assert fingerprint(text(20), split(rows(20), count=4, seed=1)) != whole
    assert fingerprint(np.array([f"x{i}" for i in text(20)], dtype=object), folds) != whole

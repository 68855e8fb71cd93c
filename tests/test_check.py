"""Each finding has a planted case, and clean data raise no alarm."""

import numpy as np
import pandas as pd
import pytest

from kit.check import check
from kit.competition import open_competition
from kit.errors import DataError

N, M = 200, 100  # training and test rows
COLOURS = ["red", "green", "blue"]


class Shop:
    """The toy competition with more rows, as frames that a test damages."""

    def __init__(self, table):
        self.table = table
        random = np.random.default_rng(0)
        self.train = pd.DataFrame(
            {"id": [f"{n:04d}" for n in range(N)], "size": random.normal(size=N), "colour": random.choice(COLOURS, N)}
        )
        self.test = pd.DataFrame(
            {"id": [f"{n:04d}" for n in range(N, N + M)], "size": random.normal(size=M), "colour": random.choice(COLOURS, M)}
        )
        self.train["sold"] = (self.train["size"] + random.normal(size=N) > 0).astype(int)
        self.sample = self.test[["id"]].assign(sold=0.5)

    def found(self, *overrides) -> list[str]:
        for name, frame in (("train.csv", self.train), ("test.csv", self.test), ("sample_submission.csv", self.sample)):
            self.table.put(name, frame.to_csv(index=False))
        return check(open_competition("toy", overrides=list(overrides)), self.table.data)


NUMBER = ("output.task=regression", "score.metric=rmse", "score.folds.scheme=kfold")


@pytest.fixture
def shop(table) -> Shop:
    return Shop(table)


def test_clean_classes_raise_no_alarm(shop):
    assert shop.found() == []


def test_clean_numbers_raise_no_alarm(shop):
    shop.train["sold"] = shop.train["size"] + np.random.default_rng(1).normal(size=N)
    assert shop.found(*NUMBER) == []


def test_clean_dates_raise_no_alarm(shop):
    for frame in (shop.train, shop.test):
        frame["listed"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
            np.random.default_rng(len(frame)).integers(0, 300, len(frame)), unit="D"
        )
    assert shop.found() == []


def test_copies_among_training_rows_are_counted_and_conflicting_answers_too(shop):
    shop.train.loc[1, ["size", "colour", "sold"]] = shop.train.loc[0, ["size", "colour", "sold"]]
    shop.train.loc[[2, 3, 4], ["size", "colour"]] = [1.0, "red"]
    shop.train.loc[[2, 3, 4], "sold"] = [0, 1, 1]
    assert shop.found() == ["copies  5 training rows have the same columns as another; in 1 of 2 sets the answers differ"]


def test_copies_that_differ_in_a_second_target_conflict(shop):
    shop.train["price"] = np.random.default_rng(1).normal(size=N)
    shop.train.loc[1, ["size", "colour", "sold"]] = shop.train.loc[0, ["size", "colour", "sold"]]
    shop.sample["price"] = 0.0
    assert shop.found(*NUMBER, 'output.target=["sold","price"]') == [
        "copies  2 training rows have the same columns as another; in 1 of 1 sets the answers differ"
    ]


def test_test_rows_that_are_training_rows_are_counted(shop):
    shop.test.loc[:6, ["size", "colour"]] = shop.train.loc[:6, ["size", "colour"]]
    assert shop.found() == ["copies  7 of 100 test rows have the same columns as a training row"]


def with_column(shop, train, test):
    shop.train["told"], shop.test["told"] = train, test


def test_category_that_gives_the_class_is_named(shop):
    with_column(shop, shop.train["sold"].map({0: "no", 1: "yes"}), ["no", "yes"] * 50)
    share = shop.train["sold"].value_counts().max() / N
    assert shop.found() == [f"leak    column 'told' alone gives 'sold' of 100.0% of the training rows ({share:.1%} without it)"]


def test_number_that_gives_the_class_is_named(shop):
    random = np.random.default_rng(1)
    with_column(shop, shop.train["sold"] + random.uniform(0, 0.9, N), random.uniform(0, 1.9, M))
    assert shop.found() == ["leak    column 'told' alone has an area under the curve of 1.000 for 'sold'"]


@pytest.mark.parametrize("asked", [(), NUMBER])
def test_cells_that_are_infinite_or_huge_cost_no_finding(shop, asked):
    for frame in (shop.train, shop.test):
        frame.loc[[3, 5, 7], "size"] = [np.inf, -np.inf, 1e300]
    shop.train.loc[[10, 11], ["size", "colour", "sold"]] = [0.5, "red", 1]
    assert shop.found(*asked) == ["copies  2 training rows have the same columns as another; in 0 of 1 sets the answers differ"]


def test_number_that_gives_the_number_is_named(shop):
    random = np.random.default_rng(1)
    shop.train["sold"] = random.normal(size=N)
    with_column(shop, np.exp(shop.train["sold"]), np.exp(random.normal(size=M)))
    assert shop.found(*NUMBER) == ["leak    column 'told' has a rank correlation of 1.000 with 'sold'"]


def test_category_that_gives_the_number_is_named(shop):
    random = np.random.default_rng(1)
    kinds = random.choice(["a", "b", "c", "d"], N)
    shop.train["sold"] = pd.Series(kinds).map({"a": 10, "b": 20, "c": 30, "d": 40})
    with_column(shop, kinds, random.choice(["a", "b", "c", "d"], M))
    assert shop.found(*NUMBER) == ["leak    column 'told' has a rank correlation of 1.000 with 'sold'"]


def test_category_that_gives_a_class_that_is_a_number_is_named(shop):
    random = np.random.default_rng(1)
    shop.train["sold"] = random.integers(1, 4, N)
    with_column(shop, shop.train["sold"].map({1: "u", 2: "v", 3: "w"}), random.choice(["u", "v", "w"], M))
    assert [line.split(" of ")[0] for line in shop.found("output.task=multiclass")] == ["leak    column 'told' alone gives 'sold'"]


def test_column_that_gives_the_second_target_is_named(shop):
    random = np.random.default_rng(1)
    shop.train["price"] = random.normal(size=N)
    shop.sample["price"] = 0.0
    with_column(shop, shop.train["price"] * 2, random.normal(size=M))
    assert "leak    column 'told' has a rank correlation of 1.000 with 'price'" in shop.found(*NUMBER, 'output.target=["sold","price"]')


def test_ids_that_go_with_the_target_are_named(shop):
    shop.train["sold"] = np.sort(shop.train["sold"])
    found = shop.found()
    assert (
        len(found) == 1 and found[0].startswith("leak    ids go with 'sold': rank correlation 0.8") and found[0].endswith(" over 200 rows")
    )


def test_numbers_that_shift_are_named(shop):
    shop.test["size"] += 3
    found = shop.found()
    assert len(found) == 2 and found[0].startswith("shift   column 'size' differs between train and test: Kolmogorov-Smirnov distance 0.")
    assert found[1].startswith("shift   a model tells test from training rows: area under the curve 0.9") and "most by 'size' (" in found[1]


def test_dates_that_shift_are_named(shop):
    random = np.random.default_rng(1)
    shop.train["listed"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 300, N), unit="D")
    shop.test["listed"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(random.integers(0, 300, M), unit="D")
    found = shop.found()
    assert found[1:] == ["shift   column 'listed' differs between train and test: Kolmogorov-Smirnov distance 1.00"]
    assert found[0].startswith("time    column 'listed': 100% of the test rows are later than all training rows (2021-01-")


def test_values_that_go_missing_are_named(shop):
    shop.test.loc[:49, "size"] = np.nan
    assert shop.found()[0] == "shift   column 'size' is missing in 0% of the training and 50% of the test rows"


def test_categories_that_no_training_row_has_are_named(shop):
    shop.test.loc[:39, "colour"] = "purple"
    assert shop.found()[0] == "shift   column 'colour': 40% of the test rows have a category that no training row has (0% expected)"


def test_categories_that_are_rare_everywhere_raise_no_alarm(shop):
    shop.train["city"] = [f"c{n % 160}" for n in range(N)]  # most stand once: as many again are still to be met
    shop.test["city"] = [f"c{n + 120}" for n in range(M)]
    assert shop.found('input.columns.category=["city"]') == []


def test_sample_ids_that_differ_come_first(shop):
    shop.sample.loc[:1, "id"] = ["x1", "x2"]
    shop.test.loc[:6, ["size", "colour"]] = shop.train.loc[:6, ["size", "colour"]]
    assert [line.split()[0] for line in shop.found()] == ["ids", "copies"]
    assert shop.found()[0] == "ids     2 sample ids are not in the test file (x1, x2), 2 test ids not in the sample (0200, 0201)"


def test_folds_that_cannot_be_made_are_one_finding_of_all(shop):
    shop.train["sold"] = ["rare"] + ["a", "b"] * 99 + ["a"]
    shop.test["size"] += 3
    found = shop.found("output.task=multiclass", "score.metric=accuracy")
    assert [line.split()[0] for line in found] == ["folds", "shift", "shift"]
    assert found[0].startswith("folds   score.folds.count is 2, but 1 of 3 classes have fewer rows: rare (1 row)")


def test_columns_left_out_are_told(shop):
    shop.train["nothing"] = shop.test["nothing"] = "same"
    assert shop.found() == ["note    one value in all training rows, so left out: nothing"]


def test_files_that_cannot_be_read_are_an_error(shop):
    with pytest.raises(DataError, match='train.csv has no target column "solt"'):
        shop.found("output.target=solt")


def test_nothing_is_written(shop):
    shop.found()
    before = sorted(shop.table.folder.rglob("*"))
    shop.found()
    assert sorted(shop.table.folder.rglob("*")) == before


def test_the_same_picture_on_both_sides_or_with_two_answers_is_found(tmp_path, monkeypatch):
    from PIL import Image

    from kit.check import check
    from kit.competition import open_competition

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "competitions" / "shop"
    for part, names in (("train", "abcdefgh"), ("test", "xyz")):
        (folder / "data" / part).mkdir(parents=True)
        for n, name in enumerate(names):
            Image.new("RGB", (8, 8), (20 * n, 10, 100 if part == "test" else 0)).save(folder / "data" / part / f"{name}.png")
    (folder / "data/train/b.png").write_bytes((folder / "data/train/a.png").read_bytes())
    (folder / "data/test/x.png").write_bytes((folder / "data/train/c.png").read_bytes())
    (folder / "data/train/h.png").unlink()
    (folder / "data/test/z.png").write_bytes(b"")
    (folder / "data/train.csv").write_text("id,y\n" + "".join(f"{c},{int(c in 'aceg')}\n" for c in "abcdefgh"))
    (folder / "config.toml").write_text(
        '[input]\nadapter = "image"\ntrain = "train.csv"\n[output]\ntarget = "y"\ntask = "binary"\n'
        '[score]\nmetric = "auc"\nfolds = { scheme = "stratified", count = 2 }\n[model]\nname = "knn"\n'
    )
    found = check(open_competition("shop"), folder / "data")
    assert any("training pictures are the same file as another; in 1 of 1 sets the answers differ" in line for line in found)
    assert any("1 test pictures are the same file as one of training" in line for line in found)
    assert any("1 pictures of column 'image' are missing" in line for line in found)
    assert any("1 pictures of column 'image' are empty" in line for line in found)


def test_the_same_sound_on_both_sides_and_headers_without_a_sound_are_found(tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    import soundfile

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "competitions" / "calls"
    random = np.random.default_rng(0)
    for part, names in (("train", "abcdefgh"), ("test", "xyz")):
        (folder / "data" / part).mkdir(parents=True)
        for name in names:
            soundfile.write(folder / "data" / part / f"{name}.wav", random.normal(0, 0.1, 800), 8000)
    (folder / "data/test/x.wav").write_bytes((folder / "data/train/c.wav").read_bytes())
    soundfile.write(folder / "data/test/z.wav", np.zeros(0), 8000)
    (folder / "data/train.csv").write_text("id,y\n" + "".join(f"{c},{int(c in 'aceg')}\n" for c in "abcdefgh"))
    (folder / "config.toml").write_text(
        '[input]\nadapter = "audio"\ntrain = "train.csv"\n[output]\ntarget = "y"\ntask = "binary"\n'
        '[score]\nmetric = "auc"\nfolds = { scheme = "stratified", count = 2 }\n[model]\nname = "knn"\n'
    )
    found = check(open_competition("calls"), folder / "data")
    assert any("1 test sounds are the same file as one of training" in line for line in found)
    assert any("1 sounds of column 'audio' are empty" in line for line in found)

"""Leaks of many kinds planted in made tables, texts, pictures and sounds: each is found, and its clean twin raises no alarm."""

import tomllib
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit import crossing, duplicates, leaks, nearly
from kit.adversary import area
from kit.check import check
from kit.competition import open_competition, shipped
from kit.found import Found

N, M = 400, 300  # training and test rows
ALARMS = ("leak", "near", "groups", "time", "shift")
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def alarms(lines: list[str]) -> list[str]:
    return [line for line in lines if line.split()[0] in ALARMS]


class Shop:
    """Twelve columns, of which three say something about the answer."""

    def __init__(self, table):
        self.table, random = table, np.random.default_rng(7)
        self.random = random
        n = N + M
        frame = pd.DataFrame({"id": [f"{k:05d}" for k in random.permutation(n)]})
        for k in range(8):
            frame[f"number{k}"] = random.normal(size=n).round(4)
        for k in range(3):
            frame[f"word{k}"] = random.choice(["red", "green", "blue", "grey"], n)
        frame["stock"] = random.integers(0, 50, n)
        told = frame["number0"] + frame["number1"] + (frame["word0"] == "red") + random.normal(size=n)
        self.train, self.test = frame[:N].reset_index(drop=True), frame[N:].reset_index(drop=True)
        self.train["sold"] = (told[:N] > 0.2).astype(int)
        self.number = told[:N].to_numpy()

    def add(self, name: str, train, test) -> None:
        self.train[name], self.test[name] = list(train), list(test)

    def found(self, *overrides: str) -> list[str]:
        for name, frame in (("train.csv", self.train), ("test.csv", self.test), ("sample_submission.csv", self.test[["id"]].assign(sold=0.5))):
            self.table.put(name, frame.to_csv(index=False))
        return alarms(check(open_competition("toy", overrides=list(overrides)), self.table.data))


@pytest.fixture
def shop(table) -> Shop:
    return Shop(table)


NUMBER = ("output.task=regression", "score.metric=rmse", "score.folds.scheme=kfold")


def test_a_clean_table_raises_no_alarm(shop):
    assert shop.found() == []


def test_a_clean_table_of_numbers_raises_no_alarm(shop):
    shop.train["sold"] = shop.number
    assert shop.found(*NUMBER) == []


# --- rows that are nearly the same


def test_near_copies_that_folds_part_are_found(shop):
    rows = shop.train.sample(60, random_state=0).assign(id=[f"c{k}" for k in range(60)], number3=0.5, stock=7)
    shop.train = pd.concat([shop.train, rows], ignore_index=True)
    (line,) = shop.found()
    assert line.startswith("near    ") and " of 460 validated rows are near copies of one that their fold trains on, and 0 of 300 test ones" in line
    assert 'score.folds.scheme = "stratified_group"' in line


def test_near_copies_that_a_group_keeps_in_one_fold_raise_no_alarm(shop):
    rows = shop.train.sample(60, random_state=0).assign(number3=0.5, stock=7)
    shop.train = pd.concat([shop.train.assign(origin=shop.train["id"]), rows.assign(origin=rows["id"], id=[f"c{k}" for k in range(60)])], ignore_index=True)
    assert shop.found('input.columns.group=["origin"]', "score.folds.scheme=group") == []


def test_test_rows_that_are_near_copies_are_found(shop):
    shop.test.loc[:39, shop.test.columns[1:]] = shop.train.loc[:39, shop.test.columns[1:]].assign(number2=0.25, word1="black").to_numpy()
    (line,) = shop.found()
    assert "0 of 400 validated rows are near copies" in line and "and 40 of 300 test ones of a training one" in line


def test_it_is_said_where_not_all_rows_are_compared(shop, monkeypatch):
    monkeypatch.setattr(duplicates, "ROWS", 250)
    shop.test.loc[:149, shop.test.columns[1:]] = shop.train.loc[:149, shop.test.columns[1:]].assign(number2=0.25).to_numpy()
    (line,) = [line for line in shop.found() if line.startswith("near")]
    assert " of a training one (250 and 250 rows drawn): such as " in line


def test_answers_that_are_objects_are_not_compared():
    found = pd.Series([Found.of(["cat"], boxes=[[0, 0, 1, 1]])] * 3)
    assert not leaks.comparable(found) and leaks.coded(found, False) is None
    assert leaks.comparable(pd.Series(["a", "b"])) and leaks.comparable(pd.Series([1, 2]))


def _pairs_slowly(table, most):
    """As nearly._near_pairs, each key summed over the columns that it is of."""
    random = np.random.default_rng(0)
    width = table.shape[1]
    mixed = np.column_stack([random.integers(0, 1 << 63, int(c.max()) + 1, dtype=np.uint64)[c] for c in table.T])
    chosen = [np.delete(np.arange(width), c) for c in range(width)]
    chosen += [random.permutation(width)[: width // 2] for _ in range(nearly._ROUNDS)] if most > 1 else []
    found = set()
    for columns in chosen:
        rows: dict[int, list[int]] = {}
        for row, key in enumerate(mixed[:, columns].sum(axis=1, dtype=np.uint64).tolist()):
            rows.setdefault(key, []).append(row)
        for own in (r for r in rows.values() if len(r) <= nearly._CROWD):
            found |= {(a, b) for a, b in zip(own, own[1:]) if 1 <= (table[a] != table[b]).sum() <= most}
    return sorted(found)


@pytest.mark.parametrize("most", [1, 60])
def test_hundreds_of_columns_give_the_pairs_of_the_slow_way_and_are_not_copied(most):
    random = np.random.default_rng(0)
    table = random.integers(0, 1000, (240, 300)).astype(np.int32)
    for copy, differing in enumerate([0, 1, 1, 2, 30, 60, 61, 200]):  # of the first rows, with so many columns changed
        table[100 + copy] = table[copy]
        table[100 + copy, :differing] = 1000
    table[200:230, 1:] = table[199, 1:]  # a crowd
    tracemalloc.start()
    found = nearly._near_pairs(table, most)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [tuple(pair) for pair in found.tolist()] == _pairs_slowly(table, most)
    assert [1, 101] in found.tolist() and ([3, 103] in found.tolist()) == (most > 1)
    assert peak < 8 * table.size  # bytes of one key a cell


def test_rows_of_few_values_are_not_taken_for_copies(shop):
    for frame in (shop.train, shop.test):
        for k in range(8):
            frame[f"number{k}"] = shop.random.choice([0, 1, 2], len(frame), p=[0.8, 0.1, 0.1])
    assert [line for line in shop.found() if line.startswith("near")] == []


def sentence(random: np.random.Generator) -> str:
    return " ".join("".join(random.choice(LETTERS, 5)) for _ in range(14))


def test_texts_that_are_nearly_the_same_are_found_and_others_are_not(shop):
    shop.add("story", [sentence(shop.random) for _ in range(N)], [sentence(shop.random) for _ in range(M)])
    assert shop.found('input.columns.text=["story"]') == []
    shop.train.loc[:49, "story"] = [f"{text} and so on http://t.co/x" for text in shop.train.loc[50:99, "story"]]
    (line,) = shop.found('input.columns.text=["story"]')
    assert line.startswith("near    ") and "validated texts of column 'story' are near copies" in line


# --- columns that tell


def test_a_number_that_tells_the_class_out_of_order_is_found(shop):
    shop.add("code", shop.train["sold"] * 5 + shop.random.integers(0, 5, N) * 10 + shop.random.uniform(0, 5, N), shop.random.uniform(0, 50, M))
    (line,) = shop.found()
    assert line.startswith("leak    column 'code' tells 'sold': a tree of it alone is right in 9")


def test_a_number_that_tells_nothing_is_not(shop):
    shop.add("code", shop.random.uniform(0, 50, N), shop.random.uniform(0, 50, M))
    assert shop.found() == []


def test_a_category_of_many_values_that_tells_out_of_fold_is_found(shop):
    sold, random = shop.train["sold"].to_numpy(), shop.random
    names = {answer: [f"{word}{answer}" for word in ("".join(random.choice(LETTERS, 4)) for _ in range(30))] for answer in (0, 1)}
    shop.add("agent", [random.choice(names[a]) for a in sold], random.choice(names[0] + names[1], M))
    (line,) = shop.found('input.columns.category=["agent"]')
    assert line.startswith("leak    column 'agent' encoded out of fold gives 'sold' of 100.0%")


def test_a_category_of_many_values_that_tells_nothing_is_not(shop):
    names = ["".join(shop.random.choice(LETTERS, 4)) for _ in range(60)]
    shop.add("agent", shop.random.choice(names, N), shop.random.choice(names, M))
    assert shop.found('input.columns.category=["agent"]') == []


def test_a_word_of_one_class_in_a_text_is_found_and_common_words_are_not(shop):
    train, test = ([sentence(shop.random) + f" status {shop.random.choice(['open', 'shut'])}" for _ in range(n)] for n in (N, M))
    shop.add("story", train, test)
    assert shop.found('input.columns.text=["story"]') == []
    shop.train["story"] = [text + (" invoice" if sold else " offer") for text, sold in zip(shop.train["story"], shop.train["sold"])]
    shop.test["story"] = [text + f" {shop.random.choice(['invoice', 'offer'])}" for text in shop.test["story"]]
    (line,) = shop.found('input.columns.text=["story"]')
    assert line.startswith("leak    column 'story' has the word ") and line.endswith("and hardly any other: F1 1.000")


def test_a_number_in_a_text_that_is_the_answer_is_found(shop):
    shop.train["sold"] = shop.number
    shop.add("story", [f"{sentence(shop.random)} at {value:.3f} each" for value in np.exp(shop.number)], [f"{sentence(shop.random)} at {v:.3f} each" for v in range(M)])
    found = shop.found(*NUMBER, 'input.columns.text=["story"]')
    assert any(line.startswith("leak    column 'story' holds a number that has a rank correlation of 1.000 with 'sold'") for line in found)


def test_a_cell_that_is_missing_where_the_answer_is_yes_is_found_and_chance_is_not(shop):
    values = shop.random.normal(size=N + M)
    blank = shop.random.random(N + M) < 0.5
    shop.add("returned", np.where(blank[:N], np.nan, values[:N]), np.where(blank[N:], np.nan, values[N:]))
    assert shop.found() == []
    shop.train["returned"] = np.where(shop.train["sold"] == 1, np.nan, values[:N])
    (line,) = shop.found()
    assert line.startswith("leak    column 'returned' tells by being missing: that alone gives 'sold' of 100.0%")


def test_how_many_cells_are_missing_is_found_where_no_column_tells_alone(shop):
    for frame, odd in ((shop.train, shop.train["sold"]), (shop.test, shop.random.integers(0, 2, M))):
        for row, answer in enumerate(odd):
            frame.loc[row, [f"number{k}" for k in shop.random.permutation(8)[: 2 + answer]]] = np.nan
    (line,) = shop.found()
    assert line.startswith("leak    how many columns are missing in a row gives 'sold' of 100.0%")


# --- order


def test_rows_in_the_order_of_the_answer_are_found_in_the_file_though_ids_are_shuffled(shop):
    shop.train = shop.train.sort_values("sold", kind="stable")
    (line,) = shop.found()
    assert line.startswith("leak    the order of the rows in train.csv goes with 'sold': neighbours' answers have a correlation of ")


def test_order_that_the_columns_explain_is_no_leak(shop):
    cities = [f"city{k}" for k in range(8)]
    for frame in (shop.train, shop.test):
        frame["city"] = shop.random.choice(cities, len(frame))
    odds = shop.train["city"].map({c: 0.05 + 0.9 * (k % 2) for k, c in enumerate(cities)})
    shop.train["sold"] = (shop.random.random(N) < odds).astype(int)
    shop.train = shop.train.sort_values("city", kind="stable")
    assert shop.found() == []


def test_neighbouring_ids_of_one_answer_are_found(shop):
    shop.train = shop.train.assign(sold=np.tile(np.repeat([0, 1], 10), N // 20), id=[f"photo_{k:04d}" for k in range(N)]).sample(frac=1, random_state=0)
    (line,) = shop.found()
    assert line.startswith("leak    neighbouring ids have like 'sold': neighbours' answers have a correlation of 0.") and " beyond what the columns say" in line


# --- groups and time


def patients(shop, test_from: int) -> None:
    ill = shop.random.random(200) < 0.5
    own = shop.random.integers(0, 80, N)
    shop.train["sold"] = (shop.random.random(N) < np.where(ill[own], 0.9, 0.1)).astype(int)
    shop.add("patient", [f"p{k}" for k in own], [f"p{k}" for k in shop.random.integers(test_from, test_from + 80, M)])


def test_groups_that_folds_cut_and_the_test_does_not_are_found(shop):
    patients(shop, 100)
    found = [line for line in shop.found('input.columns.category=["patient"]') if line.startswith("groups")]
    assert len(found) == 1 and "column 'patient' has " in found[0] and "0% of the test rows" in found[0]
    assert found[0].endswith('input.columns.group = ["patient"], score.folds.scheme = "stratified_group"')


def test_groups_that_are_left_out_of_the_columns_are_found_in_the_file(shop):
    patients(shop, 100)
    assert [line.split()[2] for line in shop.found('input.drop=["patient"]') if line.startswith("groups")] == ["'patient'"]


def test_groups_that_folds_keep_whole_and_groups_that_the_test_shares_raise_no_alarm(shop):
    patients(shop, 0)
    assert [line for line in shop.found('input.columns.category=["patient"]') if line.startswith("groups")] == []
    patients(shop, 100)
    assert [line for line in shop.found('input.columns.group=["patient"]', "score.folds.scheme=group") if line.startswith("groups")] == []


def dated(shop, first: int, last: int) -> None:
    days = [shop.random.integers(0, 100, N), shop.random.integers(first, last, M)]
    shop.add("day", *((pd.Timestamp("2024-01-01") + pd.to_timedelta(d, unit="D")).strftime("%Y-%m-%d") for d in days))


def test_later_test_rows_beside_random_folds_are_found(shop):
    dated(shop, 101, 150)
    assert any(line.startswith("time    column 'day': 100% of the test rows are later") and line.endswith('score.folds.scheme = "time"') for line in shop.found())


def test_a_moment_that_is_infinite_hides_no_later_test_rows():
    train, test = pd.DataFrame({"year": np.arange(400.0) % 40}), pd.DataFrame({"year": np.arange(300.0) % 30 + 40})
    train.loc[7, "year"], test.loc[9, "year"] = np.inf, -np.inf
    (line,) = crossing.times(train, test, "kfold", ["year"])
    assert line.startswith("time    column 'year': 100% of the test rows are later than all training rows (40 to 69, train ends at 39)")


def test_later_test_rows_beside_folds_in_time_raise_no_alarm(shop):
    dated(shop, 101, 150)
    found = shop.found('input.columns.time=["day"]', "score.folds.scheme=time")
    assert [line for line in found if line.startswith(("time", "groups"))] == []


def test_test_rows_among_the_training_rows_beside_folds_in_time_are_found(shop):
    dated(shop, 0, 100)
    assert shop.found() == []
    (line,) = shop.found('input.columns.time=["day"]', "score.folds.scheme=time")
    assert line.startswith("time    column 'day': the test rows lie among the training rows in time") and line.endswith('score.folds.scheme = "kfold"')


# --- test rows unlike training rows


def test_a_shift_that_no_column_shows_alone_is_found_and_its_columns_named(shop):
    both = shop.random.normal(size=N + M)
    shop.add("width", both[:N], both[N:])
    shop.add("height", both[:N] + shop.random.normal(0, 0.3, N), -both[N:] + shop.random.normal(0, 0.3, M))
    (line,) = shop.found()
    assert line.startswith("shift   a model tells test from training rows: area under the curve 0.")
    assert "'width' (" in line and "'height' (" in line and "number" not in line


def test_columns_that_belong_together_on_both_sides_raise_no_alarm(shop):
    both = shop.random.normal(size=N + M)
    shop.add("width", both[:N], both[N:])
    shop.add("height", both[:N] + shop.random.normal(0, 0.3, N), both[N:] + shop.random.normal(0, 0.3, M))
    assert shop.found() == []


def test_rows_that_are_known_again_by_their_group_are_no_shift(shop):
    """Each storm has a place of its own, and all storms are drawn alike."""
    east, north = shop.random.normal(size=(2, 140))
    for frame, first in ((shop.train, 0), (shop.test, 80)):
        storm = first + np.arange(len(frame)) // 5
        frame["storm"], frame["east"], frame["north"] = [f"s{k}" for k in storm], east[storm], north[storm]
    assert [line for line in shop.found('input.columns.group=["storm"]', "score.folds.scheme=stratified_group") if "a model" in line] == []
    (line,) = [line for line in shop.found('input.drop=["storm"]') if "a model" in line]  # rows of a storm, if they are not kept together
    assert "'east' (" in line or "'north' (" in line


def test_area_is_that_of_all_pairs_and_its_interval_covers_it():
    random = np.random.default_rng(0)
    positive, guessed = np.repeat([0, 1], [6, 5]), random.integers(0, 4, 11).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a in guessed[positive == 1] for b in guessed[positive == 0]]
    assert area(positive, guessed)[0] == pytest.approx(np.mean(pairs))
    covered = 0
    for _ in range(200):
        _, low, high = area(np.repeat([0, 1], 60), np.concatenate([random.normal(size=60), random.normal(1, 1, 60)]))
        covered += low <= 0.7602 <= high  # of two normal distributions one standard deviation apart
    assert 180 <= covered <= 199


def test_interval_of_groups_of_equal_rows_is_that_of_one_row_each():
    positive, guessed = np.repeat([0, 1], 20), np.random.default_rng(0).normal(size=40)
    one = area(positive, guessed, np.arange(40))
    assert area(np.repeat(positive, 3), np.repeat(guessed, 3), np.repeat(np.arange(40), 3)) == pytest.approx(one)


# --- pictures and sounds

MEDIUM = '[input]\nadapter = "{adapter}"\ntrain = "train.csv"\n[output]\ntarget = "y"\ntask = "binary"\n[score]\nmetric = "auc"\nfolds = {{ scheme = "stratified", count = 4 }}\n[model]\nname = "knn"\n'


def folder_of(tmp_path: Path, adapter: str, made: dict[str, dict[str, object]], ending: str, save) -> Path:
    """competitions/shop, whose training rows have answers at random."""
    folder = tmp_path / "competitions" / "shop"
    for part, items in made.items():
        (folder / "data" / part).mkdir(parents=True)
        for name, item in items.items():
            save(folder / "data" / part / f"{name}.{ending}", item)
    answers = np.random.default_rng(1).permutation(len(made["train"])) % 2
    (folder / "data" / "train.csv").write_text("id,y\n" + "".join(f"{name},{y}\n" for name, y in zip(made["train"], answers)))
    (folder / "config.toml").write_text(MEDIUM.format(adapter=adapter))
    return folder / "data"


def scene(random: np.random.Generator) -> np.ndarray:
    """(120, 160, 3) uint8: soft patches of colour."""
    from PIL import Image

    return np.asarray(Image.fromarray(random.integers(0, 256, (8, 10, 3)).astype(np.uint8)).resize((160, 120), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("planted", [True, False])
def test_pictures_saved_again_smaller_or_mirrored_are_found(tmp_path, monkeypatch, planted):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    train, test = ({f"{side}{k}": image.fromarray(scene(random)) for k in range(n)} for side, n in (("a", 60), ("t", 40)))
    if planted:
        for k in range(10):
            train[f"b{k}"] = train[f"a{k}"].resize((120, 90))
            train[f"c{k}"] = train[f"a{k + 10}"].transpose(image.Transpose.FLIP_LEFT_RIGHT)
    data = folder_of(tmp_path, "image", {"train": train, "test": test}, "jpg", lambda path, picture: picture.save(path, quality=60))
    found = alarms(check(open_competition("shop"), data))
    if planted:
        assert len(found) == 1 and " of 80 validated pictures of column 'image' are near copies" in found[0] and "and 0 of 40 test ones" in found[0]
        assert "score.alike = 0.94" in found[0]
    else:
        assert found == []


@pytest.mark.parametrize("planted", [True, False])
def test_sounds_saved_again_softer_and_later_are_found(tmp_path, monkeypatch, planted):
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)

    def call() -> np.ndarray:
        t = np.arange(8000) / 8000
        tones = sum(np.sin(2 * np.pi * pitch * t) * np.exp(-((t - at) ** 2) / 0.01) for pitch, at in zip(random.uniform(200, 3000, 6), random.uniform(0.1, 0.9, 6)))
        return 0.1 * tones + random.normal(0, 0.002, 8000)

    train, test = ({f"{side}{k}": call() for k in range(n)} for side, n in (("a", 50), ("t", 40)))
    if planted:
        test |= {f"u{k}": 0.5 * train[f"a{k}"] + random.normal(0, 0.001, 8000) for k in range(15)}
    data = folder_of(tmp_path, "audio", {"train": train, "test": test}, "wav", lambda path, sound: soundfile.write(path, sound, 8000))
    found = alarms(check(open_competition("shop"), data))
    if planted:
        assert len(found) == 1 and "0 of 50 validated sounds of column 'audio' are near copies" in found[0] and "and 15 of 55 test ones" in found[0]
    else:
        assert found == []


# --- what ships

SHIPPED = sorted(p.parent for kind in ("competitions", "templates") for p in shipped(kind).glob("*/config.toml"))
LATER = ("avito", "future-sales")  # their test rows are of later weeks: what moves with time does shift


@pytest.mark.slow
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_samples_of_what_ships_raise_no_alarm(folder, tmp_path):
    preset = "fast" if "fast" in tomllib.loads((folder / "config.toml").read_text(encoding="utf-8")).get("preset", {}) else None
    competition = open_competition(str(folder), preset=preset)
    competition.open_adapter(tmp_path).write_sample(tmp_path)
    found = alarms(check(competition, tmp_path))
    assert [line for line in found if not (folder.name in LATER and line.startswith("shift"))] == []

"""Each fault ends in an error that names it, or in the submission that the undamaged data give; never in a silent wrong one."""

import gzip
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit import reading
from kit.errors import KitError
from kit.files import read_json

HINT = "competitions/toy/data"


def shuffled(rows, seed=1):
    return [rows[0], *random.Random(seed).sample(rows[1:], len(rows) - 1)]


def log(folder):
    return (folder / "log.txt").read_text(encoding="utf-8")


def test_clean_data_give_a_submission_that_says_something(table):
    lines = table.submission().splitlines()
    assert lines[0] == "id,sold"
    assert [line.split(",")[0] for line in lines[1:]] == [row[0] for row in table.sample[1:]]
    assert len({line.split(",")[1] for line in lines[1:]}) > 5  # not one answer for all


# files


def test_missing_file_is_named_with_what_there_is_instead(table):
    (table.data / "test.csv").rename(table.data / "tset.csv")
    assert table.complaint() == (
        f"no test.csv in {HINT}\n"
        "the folder holds sample_submission.csv, train.csv, tset.csv; also looked for test.csv.gz, test.csv.zip, test.zip"
    )


def test_folder_without_data_says_how_to_get_them(table):
    for file in table.data.iterdir():
        file.unlink()
    assert table.complaint().split("\n")[0] == f"no data for toy: {HINT} is missing or empty"


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "sample_submission.csv"])
@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_empty_file_is_named(table, name, text):
    table.put(name, text)
    assert table.complaint().split("\n")[0] == f"{HINT}/{name} is empty"


@pytest.mark.parametrize(("name", "start"), [("train.csv.gz", gzip.compress(b"id,size\n" * 99, mtime=0)[:30]), ("train.csv.zip", b"PK\x03\x04")])
def test_half_an_archive_is_named(table, name, start):
    (table.data / "train.csv").unlink()
    (table.data / name).write_bytes(start)
    first, second = table.complaint().split("\n")
    assert first.startswith(f"{HINT}/{name} cannot be read: ")
    assert second == "is it whole? fetch it again"


def test_ragged_rows_are_all_reported_with_their_numbers(table):
    table.train[3].append("surplus")
    table.train[7].pop()
    table.write()
    assert table.complaint() == (
        f"{HINT}/train.csv has 2 rows that do not have the header's 5 fields\n"
        "row 4: 6 fields, row 8: 4 fields (the header is row 1)\n"
        "mend them; a comma inside a field needs quotes around it; is the separator ','?"
    )


def test_file_cut_off_in_the_middle_of_a_row_is_named(table):
    text = (table.data / "train.csv").read_text()
    table.put("train.csv", text[: text.rindex(",", 0, -20)])
    assert "has 1 rows that do not have the header's 5 fields" in table.complaint()


def test_quote_that_is_never_closed_does_not_swallow_rows(table):
    text = (table.data / "train.csv").read_text().replace(",0\n", ',"0\n', 1)
    table.put("train.csv", text)
    first, second = table.complaint().split("\n")
    assert first.startswith(f"{HINT}/train.csv ends inside a quoted field: column 'sold' of data row ")
    assert second == "its quote is never closed: close it, and write a quote inside a quoted field twice"


def test_duplicated_header_is_named(table):
    table.train[0][1] = table.train[0][2] = "size"
    table.write()
    assert table.complaint() == f"{HINT}/train.csv names a column twice in its header: size\nrename one of them"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le with its mark", "utf-16-be with its mark"])
def test_byte_order_marks_change_nothing(table, encoding):
    table.column("colour", lambda c: {"red": "красный"}.get(c, c))
    table.write()
    clean = table.submission()
    if encoding.endswith("mark"):
        for name, rows in (("train.csv", table.train), ("test.csv", table.test)):
            table.put(name, "\ufeff" + "\n".join(map(",".join, rows)), encoding.split(" ")[0])
    else:
        table.write(encoding=encoding)
    assert table.submission() == clean


def test_utf_16_without_its_mark_is_named(table):
    table.put("train.csv", (table.data / "train.csv").read_text(), "utf-16-le")
    assert (
        table.complaint()
        == f'{HINT}/train.csv is not utf-8 text: it holds NUL bytes\nname its encoding, for example input.encoding = "utf-16-le"'
    )


def test_latin_1_text_is_named_with_its_line_and_read_once_its_encoding_is(table):
    table.column("colour", lambda c: {"red": "rosé"}.get(c, c))
    table.write()
    clean = table.submission()
    table.write(encoding="latin-1")
    line = next(n for n, row in enumerate(table.train, start=1) if "rosé" in row)
    with pytest.raises(KitError) as error:
        table.trained()
    assert (
        str(error.value) == f"{HINT}/train.csv is not utf-8 text, first in line {line}\n"
        'name its encoding, for example input.encoding = "cp1251" or "latin-1"'
    )
    assert table.submission("input.encoding=latin-1") == clean


def test_unknown_encoding_is_named(table):
    assert table.complaint("input.encoding=latin-99").split("\n")[0] == 'input.encoding = "latin-99" is not an encoding that Python knows'


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separator_is_found_out(table, separator):
    clean = table.submission()
    table.write(separator=separator)
    assert table.submission() == clean


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_endings_change_nothing(table, ending):
    clean = table.submission()
    for file in table.data.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", ending.encode()))
    assert table.submission() == clean


def test_separators_and_new_lines_inside_quotes_are_part_of_the_field(table):
    clean = table.submission()
    table.column("colour", lambda c: {"red": 're,d;\n"dark"', "blue": "blue\r\nish"}.get(c, c))
    table.write()
    assert table.submission() == clean


def test_column_that_turns_into_text_late_is_text_from_its_first_row(table, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_BLOCK", 1 << 10)  # types are guessed from the first 1 kB
    table.column("colour", lambda c: {"red": "1", "green": "02", "blue": "3"}[c])
    table.train[40][2] = "x"
    table.write()
    run = table.trained()
    levels = read_json(run / "fold-0" / "encoders.json")["state"]["category"]["levels"]["colour"]
    assert set(levels) >= {"02", "1", "3"}


def test_column_that_turns_into_text_beyond_row_100_000_is_text(table):
    ids = [f"{n:06d}" for n in range(100_100)]
    table.put("train.csv", "id,code,sold\n" + "".join(f"{i},{n % 7 if n < 100_050 else 'x'},{n % 2}\n" for n, i in enumerate(ids)))
    table.put("test.csv", "id,code\n" + "".join(f"{row[0]},3\n" for row in table.test[1:]))
    run = table.trained()
    assert read_json(run / "fold-0" / "encoders.json")["schema"]["code"] == ["category", ""]
    assert read_json(run / "fold-0" / "encoders.json")["state"]["category"]["levels"]["code"] == ["0", "1", "2", "3", "4", "5", "6", "x"]


# ids


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "sample_submission.csv"])
def test_duplicate_ids_are_listed(table, name):
    rows = {"train.csv": table.train, "test.csv": table.test, "sample_submission.csv": table.sample}[name]
    rows += [rows[3], rows[5], rows[5]]
    table.write()
    assert table.complaint() == (
        f"{name} has 2 ids on more than one row: {rows[3][0]}, {rows[5][0]}\n"
        "remove the copies, or name the columns that tell them apart: input.id = [...]"
    )


def test_blank_ids_are_counted(table):
    table.test[4][0] = table.test[9][0] = ""
    table.write()
    assert table.complaint() == "test.csv has 2 rows without an id, the first at data row 4\ncolumn id names each row"


NOTHING = ("NA", "nan", "null", "True", "inf", "1e5", "-0", "None")


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda n: f"{n:09d}", id="leading zeros"),
        pytest.param(lambda n: str(9_007_199_254_740_993 + n), id="beyond 2**53"),
        pytest.param(lambda n: str(9_223_372_036_854_775_000 + n), id="19 digits"),
        pytest.param(lambda n: f"{1000 + n}e156", id="like floats"),
        pytest.param(lambda n: f"{n}.0", id="like whole floats"),
        pytest.param(lambda n: f"00{n}/../a b", id="like paths"),
        pytest.param(lambda n: NOTHING[n % 8] if n in (*range(4), *range(60, 64)) else str(n), id="like nothing"),
    ],
)
def test_ids_survive_as_they_are_spelled(table, spelled):
    clean = table.submission()
    place = {row[0]: spelled(n) for n, row in enumerate(table.train[1:] + table.test[1:])}
    assert len(set(place.values())) == 90
    for rows in (table.train, table.test, table.sample):
        for row in rows[1:]:
            row[0] = place[row[0]]
    table.write()
    lines = table.submission().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [row[0] for row in table.sample[1:]]
    if sorted(place, key=place.get) == sorted(place):  # the folds are dealt in the order of the ids
        assert [line.split(",")[1] for line in lines] == [line.split(",")[1] for line in clean.splitlines()]


def test_ids_that_only_test_or_only_the_sample_has_are_listed(table):
    table.sample[2][0], table.sample[3][0] = "9001", "9002"
    table.write()
    assert table.complaint() == (
        "2 ids of sample_submission.csv are not in test.csv: 9001, 9002\n"
        "2 ids of test.csv are not in sample_submission.csv: 0061, 0062\n"
        "are both files whole and of the same competition, and input.id the right column?"
    )


def test_order_of_rows_in_the_files_changes_no_byte(table):
    first = table.trained()
    table.train, table.test = shuffled(table.train), shuffled(table.test)
    table.write()
    second = table.trained()
    assert first != second
    for name in ("submission.csv", "oof.parquet", "test.parquet", "folds.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_submission_has_the_order_of_the_sample(table):
    clean = dict(line.split(",") for line in table.submission().splitlines())
    table.sample = shuffled(table.sample)
    table.write()
    lines = [line.split(",") for line in table.submission().splitlines()]
    assert [line[0] for line in lines] == [row[0] for row in table.sample]
    assert dict(lines) == clean


def test_same_command_twice_gives_the_same_bytes(table):
    first, second = table.trained(), table.trained()
    assert (first.name, second.name) == ("1-lightgbm", "2-lightgbm")
    for name in ("submission.csv", "oof.parquet", "test.parquet", "folds.csv", "config.toml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_sample_without_a_column_for_answers_is_named(table):
    for row in table.sample:
        row.pop()
    table.write()
    assert table.complaint() == "sample_submission.csv has no column besides id: expected one for the answers too"


def test_sample_whose_columns_are_no_classes_is_named(table):
    table.sample = [[*row[:1], "low" if n == 0 else "0.5", "high" if n == 0 else "0.5"] for n, row in enumerate(table.sample)]
    table.write()
    assert table.complaint() == "the submission has columns low, high: expected one, or one for each class: 0, 1"


def test_test_rows_without_ids_are_named_by_their_place_in_the_sample(table):
    clean = table.submission()
    for row in table.test:
        row.pop(0)
    table.write()
    assert table.submission("input.id_by_position=true") == clean
    numbered = table.submission("input.id_by_position=true", "input.sample_submission=")
    assert [line.split(",")[0] for line in numbered.splitlines()] == ["id", *(str(n + 1) for n in range(30))]


# targets


@pytest.mark.parametrize("value", ["", "NaN", "inf", "-inf", "NA", "many"])
def test_number_to_predict_that_is_none_is_listed_with_its_id(table, value):
    table.train[5][4] = value
    table.write()
    read = {"NaN": "nan", "NA": "nan", "": "nan"}.get(value, value)
    assert table.complaint("output.task=regression", "score.metric=rmse", "score.folds.scheme=kfold") == (
        f"train.csv column 'sold' is not a finite number in 1 rows: 0004 = {read}\n"
        "a regression target is a number in each row; for classes set output.task"
    )


@pytest.mark.parametrize("value", ["", "NaN", "inf", "NA"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_missing_label_is_no_class(table, task, value):
    table.train[5][4] = value
    table.write()
    assert table.complaint(f"output.task={task}") == (
        f"train.csv column 'sold' is missing in 1 rows ('{value}'), ids 0004\n"
        "a label is needed in each; if rows without one are to be left out, remove them from the file"
    )


def test_na_is_a_legal_label_among_words(table):
    names = {"0": "EU", "1": "NA"}
    clean = [line.split(",")[1] for line in table.submission("score.metric=accuracy").splitlines()]
    for row in table.train[1:]:
        row[4] = names[row[4]]
    table.write()
    named = [line.split(",")[1] for line in table.submission("score.metric=accuracy").splitlines()]
    assert named == ["sold", *(names[answer] for answer in clean[1:])] and set(named) > {"EU", "NA"}


def test_target_of_one_class_is_named(table):
    for row in table.train[1:]:
        row[4] = "1"
    table.write()
    assert table.complaint() == 'sold has 1 classes in the training rows, and task "binary" needs two: 1'


def test_fold_of_a_single_class_is_named_where_the_metric_is_not_defined_for_it(table):
    for n, row in enumerate(table.train[1:]):
        row[4] = str(int(n < 20))
    table.train[0].append("part")
    for n, row in enumerate(table.train[1:]):
        row.append(str(n // 20))
    table.write()
    first, *rest = table.complaint("score.metric=auc", "score.folds.scheme=given", "input.columns.given=['part']").split("\n")
    assert first == "auc is not defined: all 20 rows are of class 1"
    assert "in the validated part with ids 0000, 0001, 0002, and 17 more (different answers: sold: 1)" in rest
    assert not list((table.folder / "runs").glob("*/fold-*"))  # it is said before anything is trained


def test_target_in_the_test_file_is_not_used_and_that_is_said(table):
    clean = table.submission()
    table.test = [[*row, "sold" if n == 0 else "1"] for n, row in enumerate(table.test)]
    table.write()
    run = table.trained()
    assert 'note    test.csv holds the target "sold": it is not used' in log(run)
    assert (run / "submission.csv").read_text() == clean


def test_missing_target_is_named_with_the_nearest_column(table):
    assert table.complaint("output.target=solt") == 'train.csv has no target column "solt" (did you mean "sold"?)'


# columns


def test_constant_column_is_left_out_and_that_is_said(table):
    clean = table.submission()
    for rows in (table.train, table.test):
        for n, row in enumerate(rows):
            row.insert(1, "year" if n == 0 else "2020")
    table.write()
    run = table.trained()
    assert "note    one value in all training rows, so left out: year" in log(run)
    assert (run / "submission.csv").read_text() == clean


@pytest.mark.parametrize("blank", ["", "NA"])
def test_column_without_any_value_is_left_out_and_that_is_said(table, blank):
    clean = table.submission()
    for rows in (table.train, table.test):
        for n, row in enumerate(rows):
            row.insert(1, "weight" if n == 0 else blank)
    table.write()
    run = table.trained()
    assert "note    one value in all training rows, so left out: weight" in log(run)
    assert (run / "submission.csv").read_text() == clean


@pytest.mark.parametrize("name", ["size", "colour", "listed"])
@pytest.mark.parametrize("blank", ["", "NA"])
def test_column_without_any_value_in_test_is_missing_there(table, name, blank):
    place = table.test[0].index(name)
    for row in table.test[1:]:
        row[place] = blank
    table.write()
    everywhere_blank = table.submission()
    for row in table.test[1::2]:
        row[place] = {"size": "1.5", "colour": "red", "listed": "2020-05-05"}[name]
    table.write()
    some = table.submission()
    assert everywhere_blank.splitlines()[2::2] == some.splitlines()[2::2]


def test_category_unseen_in_training_counts_as_missing(table):
    table.test[1][2] = ""
    table.write()
    missing = table.submission()
    table.test[1][2] = "purple"
    table.write()
    assert table.submission() == missing


def test_column_that_one_file_lacks_is_left_out_and_that_is_said(table):
    for rows in (table.train, table.test):
        for row in rows:
            row.pop(1)
    table.write()
    without = table.submission()
    for n, row in enumerate(table.train):
        row.insert(1, "Size" if n == 0 else str(n))
    for n, row in enumerate(table.test):
        row.insert(1, "size" if n == 0 else str(n))
    table.write()
    run = table.trained()
    assert "note    not in test.csv, so left out: Size\nnote    not in train.csv, so left out: size\n" in log(run)
    assert (run / "submission.csv").read_text() == without


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("size", "large", "numeric"), ("size", "2020-01-01", "numeric"), ("listed", "soon", "date"), ("listed", "7", "date")],
)
@pytest.mark.parametrize("everywhere", [True, False])
def test_column_of_another_type_in_test_is_named(table, name, value, kind, everywhere):
    place = table.test[0].index(name)
    changed = table.test[1:] if everywhere else table.test[5:6]
    for row in changed:
        row[place] = value
    table.write()
    first, last = table.complaint().split("\n")
    assert first.startswith(f"test.csv column '{name}' holds {value}")
    assert first.endswith(f" in {len(changed)} rows: it is a {kind} column in the training rows")
    assert last == "mend the file, or set the column's kind, for example input.columns.category = [...]"


def test_all_columns_of_another_type_are_named_at_once(table):
    table.test[1][1], table.test[1][3] = "large", "soon"
    table.write()
    lines = table.complaint().split("\n")
    assert [line.split(" holds")[0] for line in lines[:2]] == ["test.csv column 'size'", "test.csv column 'listed'"]


def test_numbers_in_test_where_training_has_words_are_words(table):
    for row in table.test[1:]:
        row[2] = "7"
    table.write()
    numbers = table.submission()
    for row in table.test[1:]:
        row[2] = "unseen"
    table.write()
    assert table.submission() == numbers


def test_names_of_columns_may_hold_anything(table):
    clean = table.submission()
    for rows in (table.train, table.test):
        rows[0][1:4] = ['si[ze] "x", {1}: \\', "цвет, 色 <b>", "when?\nthen"]
    table.train[0][4] = table.sample[0][1] = "продано [0/1]"
    table.write()
    named = table.submission("output.target=продано [0/1]")
    assert named.splitlines() == ["id,продано [0/1]", *clean.splitlines()[1:]]


def test_column_may_be_named_as_our_own_words_are(table):
    clean = table.submission()
    for rows in (table.train, table.test):
        rows[0][1:4] = ["given", "index", "0"]
    table.write()
    assert table.submission() == clean


def test_numbers_too_large_for_a_float_count_as_the_largest(table):
    table.test[1][1] = "1e30"
    table.write()
    large = table.submission()
    table.test[1][1] = "1e300"
    table.write()
    assert table.submission() == large


def test_a_test_file_of_one_row_is_predicted_as_in_company(table):
    clean = table.submission().splitlines()
    table.test, table.sample = table.test[:2], table.sample[:2]
    table.write()
    assert table.submission().splitlines() == clean[:2]


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_test_file_without_rows_is_named(table, ending):
    table.put("test.csv", "id,size,colour,listed" + ending)
    assert table.complaint() == "test.csv has a header and no rows: there is nothing to predict"


def test_a_training_file_without_rows_is_named(table):
    table.put("train.csv", "id,size,colour,listed,sold\n")
    assert table.complaint() == "train.csv has a header and no rows"


@pytest.mark.parametrize(("value", "listed"), [("heavy", "heavy"), ("-1", "-1"), ("inf", "inf"), ("", "nan")])
def test_weight_that_is_none_is_listed(table, value, listed):
    for n, row in enumerate(table.train):
        row.append("weight" if n == 0 else value if n == 5 else "2")
    table.write()
    assert table.complaint("input.columns.weight=['weight']") == (
        f"train.csv column 'weight' is no weight in 1 rows: 0004 = {listed}\n"
        "a weight is a number from 0 up, in each row, and above 0 in some"
    )


# the disk


def does(*words) -> bool:
    """Whether a system command exists and succeeds."""
    return shutil.which(words[0]) is not None and subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str):
    """A disk of its own at `folder`; only root may mount one."""
    folder.mkdir(parents=True)
    if not does("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("cannot mount a small disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def kit(*words: str, **options) -> subprocess.Popen:
    code = "import sys; from kit.cli import main; sys.argv[0] = 'kit'; main()"
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


WRITING = "free some space or make the folder writable, then give the same command again: it goes on from there"


def test_full_disk_is_named_and_with_space_the_same_command_goes_on(table):
    clean = table.submission()
    runs = table.folder / "runs"
    runs.rename(table.folder / "before")
    with small_disk(runs, "48k"):
        with pytest.raises(KitError) as error:
            table.trained()
        first, second = str(error.value).split("\n")
        assert first.startswith("cannot write competitions/toy/runs/1-lightgbm/") and first.endswith(": No space left on device")
        assert second == WRITING
        assert not list(runs.rglob("submission.csv"))
        assert not list(runs.rglob(".*.*"))  # half-written files
        subprocess.run(["mount", "-o", "remount,size=10m", runs], check=True)
        run = table.trained()
        assert run.name == "1-lightgbm" and (run / "submission.csv").read_text() == clean


def test_file_that_cannot_grow_is_named(table):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # noqa: E731
    process = kit("train", "toy", preexec_fn=limit)
    _, error = process.communicate()
    assert process.returncode == 1
    first, second = error.splitlines()[-2:]
    assert first.startswith("kit: cannot write competitions/toy/runs/1-lightgbm/") and first.endswith(": File too large")
    assert second == "     " + WRITING
    assert not list(table.folder.rglob("submission.csv"))


def test_log_on_a_full_disk_is_named(table):
    run = table.trained()
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to("/dev/full")
    (run / "submission.csv").unlink()
    (run / "run.json").write_text((run / "run.json").read_text().replace('"finished"', '"interrupted"'))
    assert table.complaint() == f"cannot write {run}/log.txt: No space left on device\n{WRITING}"


@contextmanager
def read_only(folder: Path):
    """No file can be made in the folder, not even by root, whom permissions do not bind."""
    folder.chmod(0o555)
    immutable = os.geteuid() == 0 and does("chattr", "+i", folder)
    try:
        try:
            (folder / "probe").touch()
        except OSError:
            yield
        else:
            (folder / "probe").unlink()
            pytest.skip("cannot make a folder read-only here")
    finally:
        if immutable:
            subprocess.run(["chattr", "-i", folder], check=True)
        folder.chmod(0o755)


def test_folder_of_runs_that_is_read_only_is_named(table):
    (table.folder / "runs").mkdir()
    with read_only(table.folder / "runs"):
        first, second = table.complaint().split("\n")
    assert first.startswith("cannot make a run folder in competitions/toy/runs: ")
    assert second == "is it writable, and is there space?"


def test_run_folder_that_is_read_only_is_named(table):
    run = table.trained()
    (run / "submission.csv").unlink()
    (run / "run.json").write_text((run / "run.json").read_text().replace('"finished"', '"interrupted"'))
    with read_only(run):
        first, second = table.complaint().split("\n")
    assert first.startswith(f"cannot write {run}/") and second == WRITING


# processes


def test_two_trainings_at_once_take_two_folders_and_give_the_same_bytes(table):
    both = [kit("train", "toy") for _ in range(2)]
    ends = [process.communicate()[0].splitlines()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(ends) == [f"competitions/toy/runs/{n}-lightgbm/submission.csv" for n in (1, 2)]
    one, other = (Path(end).parent for end in ends)
    for name in ("submission.csv", "oof.parquet", "test.parquet", "config.toml"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert {read_json(run / "run.json")["state"] for run in (one, other)} == {"finished"}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


SLOW = ("model.rounds=3000", "model.learning_rate=0.001", "score.folds.count=5")  # some seconds in all


def _hears_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs deaf to it, and the tests may be one


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_training_says_so_and_goes_on_where_it_stopped(table, number, code):
    process = kit("train", "toy", *SLOW, preexec_fn=_hears_interrupts)
    run = table.folder / "runs" / "1-lightgbm"
    until(lambda: (run / "fold-0" / "fold.json").exists())
    process.send_signal(number)
    process.communicate()
    assert process.returncode == code
    assert read_json(run / "run.json")["state"] == "interrupted"
    assert not (run / "submission.csv").exists()
    written = (run / "fold-0" / "model-0.txt").stat().st_mtime_ns
    assert table.trained(*SLOW) == run
    assert read_json(run / "run.json")["state"] == "finished" and (run / "fold-0" / "model-0.txt").stat().st_mtime_ns == written


def killed_until_done(table, moments, *overrides):
    """Kills a training after each of `moments`, in seconds from its start, and starts it again; gives its run once it was let alone."""
    run = table.folder / "runs" / "1-lightgbm"
    finished = {}
    for n, moment in enumerate(moments):
        process = kit("train", "toy", *overrides)
        until(lambda n=n: (run / "run.json").exists() and read_json(run / "run.json")["continued"] == n)
        time.sleep(moment)
        process.kill()
        process.communicate()
        for file, written in finished.items():
            assert file.stat().st_mtime_ns == written, f"{file} was trained again"
        finished = {f.parent / "model-0.txt": (f.parent / "model-0.txt").stat().st_mtime_ns for f in run.glob("fold-*/fold.json")}
        if read_json(run / "run.json")["state"] == "finished":
            break
    else:
        table.trained(*overrides)
    assert all(file.stat().st_mtime_ns == written for file, written in finished.items())
    assert [p.name for p in (table.folder / "runs").iterdir()] == ["1-lightgbm"]
    assert not list(run.rglob(".*.*"))  # nothing half-written is left
    return run


def test_training_killed_at_random_moments_ends_as_if_it_had_not_been(table):
    moments = [random.uniform(0, 1) for _ in range(2)]
    run = killed_until_done(table, moments, *SLOW)
    run.rename(table.folder / "killed")
    clean = table.trained(*SLOW)
    for name in ("submission.csv", "oof.parquet", "test.parquet", "folds.csv", "config.toml"):
        assert (table.folder / "killed" / name).read_bytes() == (clean / name).read_bytes(), moments


@pytest.mark.slow
def test_training_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(table):
    clean = table.trained(*SLOW)
    kept = {name: (clean / name).read_bytes() for name in ("submission.csv", "oof.parquet", "test.parquet", "folds.csv", "config.toml")}
    clean.rename(table.folder / "clean")
    for _ in range(4):
        moments = [random.uniform(0, 0.7) for _ in range(5)]
        run = killed_until_done(table, moments, *SLOW)
        assert {name: (run / name).read_bytes() for name in kept} == kept, moments
        run.rename(table.folder / f"killed {moments}")

"""Made submissions, each with one thing wrong, and their twins with nothing wrong: what `kit diff` flags, and what it does not."""

import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kit.cells import Kind, kind_of
from kit.cli import app
from kit.diff import diff
from kit.errors import SubmissionError

N = 200
IDS = [f"{n:04d}" for n in range(N)]
P = np.random.default_rng(0).random(N).round(6)


@pytest.fixture
def told(tmp_path):
    """(lines, flags) of two frames, ids first."""

    def compare(a: pd.DataFrame, b: pd.DataFrame, **options) -> tuple[list[str], list[str]]:
        for frame, name in ((a, "a.csv"), (b, "b.csv")):
            frame.to_csv(tmp_path / name, index=False)
        lines = diff(tmp_path / "a.csv", tmp_path / "b.csv", **options)
        flags = [line.removeprefix("flag    ") for line in lines if line.startswith("flag ")]
        assert lines[-1] == (f"{len(flags)} flag{'s' * (len(flags) != 1)}" if flags else "no flags")
        return lines, flags

    return compare


def frame(values, ids=IDS, name="p") -> pd.DataFrame:
    return pd.DataFrame({"id": ids, name: values})


def noisy(values, scale=0.05):
    return values + np.random.default_rng(1).normal(scale=scale, size=len(values))


# numbers


def test_the_same_file_differs_in_nothing(told):
    lines, flags = told(frame(P), frame(P))
    assert lines[2:] == ["ids     200 in both, by id, in the same order", "column  p: number, 0 of 200 (0.00%) rows differ", "no flags"] and not flags


def test_rows_in_another_order_are_the_same_rows(told):
    lines, flags = told(frame(P), frame(P).sample(frac=1, random_state=0))
    assert lines[2] == "ids     200 in both, by id, in another order of rows" and "0 of 200" in lines[3] and not flags


def test_digits_written_otherwise_are_the_same_number(told):
    lines, flags = told(frame(["0.50", "1e-3", "0.7"], ["1", "2", "3"]), frame(["0.5", "0.001", "0.70"], ["1", "2", "3"]))
    assert "0 of 3" in lines[3] and not flags


def test_figures_are_those_of_paper(told):
    lines, _ = told(frame([0.1, 0.2, 0.3, 0.45], list("abcd")), frame([0.1, 0.3, 0.2, 0.95], list("abcd")))
    assert lines[3] == "column  p: number, 3 of 4 (75.00%) rows differ"
    # ranks 1 2 3 4 beside 1 3 2 4: 1 - 6 x 2 / (4 x 15)
    assert lines[4].startswith("        rank correlation 0.8000, Pearson ") and lines[4].endswith("mean change +0.125, mean size of it 0.175")
    assert lines[5].startswith("        largest changes d: 0.45 -> 0.95; ")


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        (1 - P, "p: B is 1 - A: probabilities are mirrored"),
        (-P, "p: B is -A: the sign is flipped"),
        (3 - P, "p: B is 3 - A: the order is turned round"),
        (noisy(-P), "p: the order is turned round: rank correlation -0."),
        (100 * P, "p: B is 100 x A: the same on another scale"),
        (2 * P + 1, "p: B is 2 x A + 1: the same on another scale"),
        (np.expm1(P), "p: B is exp(A) - 1: was a transform not undone?"),
        (np.full(N, 0.5), "p: constant in B: 0.5 in all 200 rows"),
        (np.roll(P, 1), "p: the values are shifted by 1 row down in B"),
        (np.append(P[1:], 0.123), "p: the values are shifted by 1 row up in B"),
        (P[::-1], "p: the values stand in the reverse order of rows in B"),
        (np.random.default_rng(3).permutation(P), "p: the same values under other ids in 200 rows: is the column of ids permuted, or were rows sorted in between?"),
        (np.where(np.arange(N) < 3, np.nan, noisy(P)), "p: 3 of 200 cells are blank or NaN in B"),
        (np.where(np.arange(N) < 3, np.inf, noisy(P)), "p: 3 cells are no finite number in B: 0000 = inf, 0001 = inf, 0002 = inf"),
    ],
    ids=["mirrored", "flipped", "turned", "turned-noisy", "scaled", "moved", "untransformed", "constant", "down", "up", "reversed", "permuted", "blank", "infinite"],
)
def test_what_no_better_model_would_make_of_numbers_is_flagged(told, values, flag):
    assert [f for f in told(frame(P), frame(values))[1] if f.startswith(flag)]


@pytest.mark.parametrize(
    "values",
    [noisy(P), noisy(P, 0.5), P.round(2), np.clip(noisy(P), 0, 1), noisy(P * 1.3 + 0.1, 0.01), P**1.1, np.random.default_rng(5).random(N), P + 1e-9],
    ids=["noise", "much-noise", "rounded", "clipped", "nearly-linear", "bent", "unrelated", "last-digits"],
)
def test_another_model_is_not_flagged(told, values):
    assert told(frame(P), frame(values))[1] == []


def test_one_changed_row_is_named_with_both_values(told):
    values = P.copy()
    values[7] = 0.999
    assert told(frame(P), frame(values))[1] == [f"p: one row differs, 0007: {P[7]} -> 0.999"]
    values[8] = 0.998
    assert told(frame(P), frame(values))[1] == []


def test_two_rows_that_exchanged_their_values_are_named(told):
    values = P.copy()
    values[[3, 150]] = values[[150, 3]]
    assert told(frame(P), frame(values))[1] == ["p: two rows have exchanged their values: 0003, 0150"]


def test_a_permuted_column_of_ids_is_told_once_for_all_columns(told):
    a = pd.DataFrame({"id": IDS, "x": P, "y": noisy(P), "z": noisy(P, 0.2)})
    _, flags = told(a, a.assign(id=np.random.default_rng(0).permutation(IDS)))
    assert len(flags) == 1 and flags[0].startswith("x, y, z: the same values under other ids in ")


def test_exchanged_columns_are_told_and_nothing_else_of_them(told):
    a = pd.DataFrame({"id": IDS, "x": P, "y": 1 - noisy(P), "z": noisy(P, 0.3)})
    assert told(a, a.rename(columns={"x": "y", "y": "x"}))[1] == ["x, y: exchanged: each holds in B what the other holds in A"]
    assert told(a, a[["id", "z", "y", "x"]])[1] == []
    assert told(a, a.assign(x=a["z"]))[1] == ["x: holds in B what z holds in A"]


# ids


def test_ids_are_text_and_missing_extra_and_doubled_ones_are_told(told):
    a = frame([0.1, 0.2, 0.3, 0.4] * 5, [f"{n:03d}" for n in range(20)])
    b = pd.concat([a[1:].assign(p=noisy(a["p"][1:].to_numpy())), frame([0.5, 0.6], ["7", "019"])])
    lines, flags = told(a, b)
    assert flags == ["ids: 1 stand more than once in B, whose first rows count: 019", "ids: 1 of A are not in B: 000", "ids: 1 of B are not in A: 7"]
    assert lines[2] == "ids     19 in both, by id, in the same order"


def test_ids_of_several_columns_are_found_by_what_repeats(told):
    a = pd.DataFrame({"event": np.repeat(["1", "2", "3"], 10), "hit": list(range(10)) * 3, "track": np.arange(30) % 25})
    b = a.assign(track=[99, *a["track"][1:]])
    lines, flags = told(a, b.sample(frac=1, random_state=0))
    assert lines[2].startswith("ids     30 in both, by event, hit,") and flags == ["track: one row differs, 1/0: 0 -> 99"]
    assert told(a, b, id=["event", "hit"])[1] == flags


def test_ids_with_several_rows_each_are_compared_whatever_their_order(told):
    a = pd.DataFrame({"id": ["a", "a", "b", "b", "b", "c"], "label": [1, 1, 2, 2, 2, 3], "mask": ["1 2|", "5 1|", "0 4|", "9 1|", "9 1|", "3 3|"]})
    assert told(a, a.iloc[[5, 4, 3, 2, 1, 0]])[0][3] == "rows    0 of 3 (0.00%) ids have other rows: "
    lines, flags = told(a, a[:-1].assign(mask=["1 2|", "5 1|", "0 4|", "9 1|", "8 1|"]))
    assert lines[3] == "rows    1 of 2 (50.00%) ids have other rows: b" and flags == ["ids: 1 are in A alone: c"]


def test_what_cannot_be_compared_is_refused_with_the_reason(told, tmp_path):
    with pytest.raises(SubmissionError, match="share no id: 0000, 0001, 0002, and 197 more and 0, 1, 2, and 197 more\nthey are the same but for zeros: was an id read as a number"):
        told(frame(P), frame(P, [str(n) for n in range(N)]))
    with pytest.raises(SubmissionError, match="share no id: .*\nare they of one competition"):
        told(frame(P), frame(P, [f"x{n}" for n in range(N)]))
    with pytest.raises(SubmissionError, match="share no column: p and q, r\nare they"):
        told(frame(P), pd.DataFrame({"id": IDS, "q": P, "r": P}))
    with pytest.raises(SubmissionError, match=r'has no column idd \(did you mean "id"\?\)\nname its columns of ids: --id id'):
        told(frame(P), frame(P), id=["idd"])
    with pytest.raises(SubmissionError, match="has 1 columns and 200 rows: expected ids, and an answer for each"):
        told(frame(P), frame(P)[["p"]])
    with pytest.raises(SubmissionError, match="no file .*c.csv\nexpected two CSV files, or run folders"):
        diff(tmp_path / "a.csv", tmp_path / "c.csv")


# labels and lists


LABELS = np.array(["cat", "dog", "cow"])[np.random.default_rng(0).integers(0, 3, N)]


def test_labels_are_told_by_balance_and_moves(told):
    a, b = ["x", "x", "x", "y", "y", "y", "y", "z"], ["x", "y", "y", "y", "y", "y", "x", "z"]
    lines, flags = told(frame(a, list("abcdefgh")), frame(b, list("abcdefgh")))
    assert lines[3:] == [
        "column  p: label, 3 of 8 (37.50%) rows differ",
        "        in A    y 0.5, x 0.375, z 0.125",
        "        in B    y 0.625, x 0.25, z 0.125",
        "        moved   x -> y 2 rows, y -> x 1 rows",
        "        such as b: x -> y; c: x -> y; g: y -> x",
        "no flags",
    ]


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        (np.full(N, "cat"), "p: constant in B: 'cat' in all 200 rows"),
        (np.roll(LABELS, 1), "p: the values are shifted by 1 row down in B"),
        (np.random.default_rng(3).permutation(LABELS), "p: the same values under other ids in "),
        (np.where(LABELS == "cat", "dog", np.where(LABELS == "dog", "cat", LABELS)), "p: labels have changed their names in B: cat is dog, dog is cat"),
    ],
    ids=["constant", "shifted", "permuted", "renamed"],
)
def test_what_no_better_model_would_make_of_labels_is_flagged(told, values, flag):
    assert [f for f in told(frame(LABELS), frame(values))[1] if f.startswith(flag)]


def test_labels_of_another_model_are_not_flagged_also_where_the_counts_are_the_same(told):
    values = LABELS.copy()
    cats, dogs = np.flatnonzero(LABELS == "cat")[:12], np.flatnonzero(LABELS == "dog")[:12]
    values[cats], values[dogs] = "dog", "cat"
    assert told(frame(LABELS), frame(values))[1] == []
    survived = (P > 0.6).astype(int)
    assert told(frame(survived), frame((noisy(P) > 0.5).astype(int)))[1] == []
    assert told(frame(survived), frame(1 - survived))[1] == ["p: labels have changed their names in B: 0 is 1, 1 is 0"]
    assert told(frame(survived), frame(survived.astype(float)))[0][3] == "column  p: label, 0 of 200 (0.00%) rows differ"


def test_lists_overlap_by_their_first(told):
    lines, flags = told(frame(["a1 b1 c1", "a1 b1 d1"], ["1", "2"]), frame(["a1 c1 b1", "x1 b1 a1"], ["1", "2"]))
    # of the first one: 1 and 0; of all three: 3 / 3 and 2 / 3
    assert lines[3] == "column  p: list of labels, 2 of 2 (100.00%) rows differ" and lines[4] == "        overlap@1 0.5000, overlap@3 0.8333" and not flags
    ranked = [f"i{n} i{n + 1} i{n + 5}" for n in range(N)]
    assert told(frame(ranked), frame([" ".join(r.split()[::-1]) for r in ranked]))[1] == ["p: the lists of 100% of the rows are turned round"]
    blank = ["" if n % 10 == 0 else r for n, r in enumerate(ranked)]
    assert told(frame(ranked), frame(blank))[1] == []  # nothing found is an answer


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0.1", "0.2", ""], Kind.NUMBER),
        (["1", "0", "1", "0"], Kind.LABEL),
        (["12.5", "13", "7", "8"], Kind.NUMBER),
        (["New York", "San Jose", "New York", "San Jose"], Kind.LABEL),
        (["a b", "b a", "a", "b"], Kind.LIST),
        (["17 0.93", "4 0.5"], Kind.SCORED),
        (["1 3 10 2", "", "5 6"], Kind.RUNS),
        (["0 3|7 2|", "5 6|"], Kind.RUNS),
        (["3 0.9 1 2 30 40", "3 0.9 1 2 30 40 4 0.5 5 6 70 80"], Kind.BOXES),
        (["id9 id3 id77", "id4 id8 id5"], Kind.LIST),
        (["a fine day it was", "who would have thought of that"], Kind.TEXT),
    ],
)
def test_kind_of_cells(cells, kind):
    cells = np.array(cells, dtype=object)
    assert kind_of(cells, cells) is kind


def test_labels_with_scores_are_two_columns(told):
    lines, flags = told(frame(["7 0.9", "8 0.8", "9 0.7"], list("abc")), frame(["7 0.5", "8 0.6", "9 0.9"], list("abc")))
    assert [line for line in lines if line.startswith("column")] == ["column  p label: label, 0 of 3 (0.00%) rows differ", "column  p score: number, 3 of 3 (100.00%) rows differ"]
    assert flags == ["p score: the order is turned round: rank correlation -1.00"]


def test_runs_of_pixels_count_as_cells(told):
    lines, flags = told(frame(["1 3 10 2", "4 4 9 9", ""], list("abc")), frame(["1 3 10 2", "4 5 9 9", "1 1 3 4"], list("abc")))
    assert lines[3:5] == ["column  p: runs of pixels, 2 of 3 (66.67%) rows differ", "        such as b: 4 4 9 9 -> 4 5 9 9; c: blank -> 1 1 3 4"] and not flags


# the command


def test_command_compares_run_folders_and_files(table, tmp_path):
    one, other = table.trained(), table.trained("model.rounds=7")
    done = CliRunner().invoke(app, ["diff", str(one), str(other / "submission.csv"), "--competition", "toy"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[2] == "ids     30 in both, by id, in the same order" and done.stdout.splitlines()[-1] == "no flags"
    with pytest.raises(SubmissionError, match="no file"):
        CliRunner().invoke(app, ["diff", str(one), "nowhere.csv"], catch_exceptions=False)


def test_a_hundred_thousand_rows_take_seconds(told):
    n, random = 100_000, np.random.default_rng(0)
    values = random.random(n)
    a = frame(values, [f"{i:08d}" for i in range(n)])
    began = time.process_time()
    lines, flags = told(a, a.assign(p=values + random.normal(scale=0.1, size=n)).sample(frac=1, random_state=0))
    assert not flags and time.process_time() - began < 10

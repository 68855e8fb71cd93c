"""Columns of pixels become pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.adapters.image_pixels import ImagePixels, draw_digit
from kit.competition import locate, open_competition
from kit.errors import DataError
from kit.registry import find
from kit.tables import Column


def opened(folder: Path, **options) -> ImagePixels:
    return ImagePixels(folder, find("tasks", "multiclass")(target="label"), **options)


def write(folder: Path, train: pd.DataFrame, test: pd.DataFrame | None = None) -> None:
    train.to_csv(folder / "train.csv", index=False)
    (train.drop(columns="label") if test is None else test).to_csv(folder / "test.csv", index=False)


def pixels(rows: int, names: list[str]) -> pd.DataFrame:
    """Row r has r * 100 + 0, 1, 2, … in the order of names."""
    return pd.DataFrame(np.arange(len(names)) + 100 * np.arange(rows)[:, None], columns=names).assign(label=["a", "b"][:rows])


def grey(side: int) -> list[str]:
    return [f"pixel{n}" for n in range(side * side)]


def test_pixels_are_packed_row_by_row_whatever_the_order_of_the_columns(tmp_path):
    frame = pixels(2, grey(3))
    write(tmp_path, frame[frame.columns[::-1]])
    tables = opened(tmp_path, id="").tables()
    assert tables.schema == {"image": Column("image")} and not tables.notes
    both = dict(zip(tables.truth["label"], tables.train["image"]))
    assert both["a"].dtype == np.uint8 and both["a"].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert both["b"].tolist() == [[100, 101, 102], [103, 104, 105], [106, 107, 108]]


def test_all_pictures_of_a_file_share_one_array(tmp_path):
    write(tmp_path, pixels(2, grey(3)))
    one, other = opened(tmp_path, id="").tables().train["image"]
    assert one.base is other.base and one.base.nbytes == 2 * 9


def test_columns_may_be_named_by_row_and_column(tmp_path):
    write(tmp_path, pixels(2, [f"{r}x{c}" for r in range(1, 12) for c in range(1, 12)]))
    frame = opened(tmp_path, id="", pixels="").tables().train["image"]
    assert sorted(p[10, 9] for p in frame) == [119, 219]  # "11x10" comes after "2x1"


@pytest.mark.parametrize(("planes", "second"), [(False, [3, 4, 5]), (True, [1, 5, 9])])
def test_three_colours_stand_together_or_one_after_the_other(tmp_path, planes, second):
    write(tmp_path, pixels(2, [f"pixel{n}" for n in range(12)]))
    (picture,) = (p for p in opened(tmp_path, id="", planes=planes).tables().train["image"] if p.max() < 100)
    assert picture.shape == (2, 2, 3) and picture[0, 1].tolist() == second


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.assign(pixel3=[300, 1]), "train.csv holds values that are no pixels in 1 columns: 300 in pixel3\na pixel is a whole number from 0 to 255"),
        (lambda f: f.assign(pixel3=[-1, 1], pixel4=[0.5, 1]), "train.csv holds values that are no pixels in 2 columns: -1 in pixel3, 0.5 in pixel4"),
        (lambda f: f.assign(pixel3=[1, np.nan]), "1 columns: a blank in pixel3"),
        (lambda f: f.assign(pixel3=["x", "y"]), "1 columns: x in pixel3"),
        (lambda f: f.drop(columns="pixel8"), "train.csv has 8 columns of pixels, pixel0 to pixel7: expected the square of a side, or three times that"),
        (lambda f: f.rename(columns=lambda n: n.replace("pixel", "px")), 'train.csv has no column "pixel0": its columns are px0'),
        (lambda f: f.assign(image=1), 'train.csv has a column "image" beside the pixels'),
        (lambda f: f.iloc[:0], "train.csv has a header and no rows"),
    ],
)
def test_what_are_no_pixels_is_said(tmp_path, change, said):
    write(tmp_path, change(pixels(2, grey(3))))
    with pytest.raises(DataError) as error:
        opened(tmp_path, id="").tables()
    assert said in str(error.value)


def test_train_and_test_have_pictures_of_one_size(tmp_path):
    write(tmp_path, pixels(2, grey(3)), pixels(2, grey(4)).drop(columns="label"))
    with pytest.raises(DataError, match=r"^test.csv has 16 columns of pixels, and train.csv 9: pictures of one size are expected"):
        opened(tmp_path, id="").tables()


def test_drawn_digits_of_one_kind_are_alike_and_never_the_same():
    random = np.random.default_rng(0)
    drawn = np.array([[draw_digit(random, d).ravel() for _ in range(20)] for d in range(10)], dtype=float)  # (digits, drawn, pixels)
    assert drawn.shape[2] == 784 and drawn.max() > 200 and (drawn == 0).mean() > 0.5
    middles = drawn[:, :10].mean(axis=1)
    nearest = ((drawn[:, 10:, None] - middles) ** 2).sum(-1).argmin(-1)  # of fresh ones, by the mean of others
    assert 0.6 < (nearest == np.arange(10)[:, None]).mean() < 1.0
    assert len(np.unique(drawn.reshape(200, -1), axis=0)) == 200


# digit-recognizer


def test_digit_recognizer_reads_its_layout_and_names_test_rows_by_position(tmp_path):
    competition = open_competition(str(locate("competitions/digit-recognizer")))
    found = competition.open_adapter(tmp_path)
    found.write_sample(tmp_path, rows=120)
    header = (tmp_path / "train.csv").read_text().split("\n")[0].split(",")
    assert header == ["label", *(f"pixel{n}" for n in range(784))]
    assert (tmp_path / "test.csv").read_text().split("\n")[0].split(",") == header[1:]
    assert (tmp_path / "sample_submission.csv").read_text().startswith("ImageId,Label\n1,")
    tables = found.tables()
    assert found.task.classes == [str(d) for d in range(10)] and tables.train["image"].iloc[0].shape == (28, 28)
    third = pd.read_csv(tmp_path / "test.csv").iloc[2].to_numpy()
    assert np.array_equal(tables.test["image"]["3"].ravel(), third)
    predictions = found.task.decode(tables.test.index, np.eye(10)[[int(i) % 10 for i in tables.test.index]])
    written = found.submission(predictions, {}, "label")
    assert list(written.columns) == ["ImageId", "Label"] and list(written["Label"][:3]) == ["1", "2", "3"]


def test_the_order_of_the_training_rows_does_not_change_their_ids(tmp_path):
    frame = pixels(2, grey(3))
    write(tmp_path, frame)
    one = opened(tmp_path, id="").tables()
    write(tmp_path, frame[::-1])
    other = opened(tmp_path, id="").tables()
    assert list(one.train.index) == list(other.train.index) and list(one.truth["label"]) == list(other.truth["label"])

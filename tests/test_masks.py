"""Masks as runs: dialects there and back, overlaps and joins against plain sets of pixels."""

import numpy as np
import pytest

from kit import masks
from kit.errors import DataError
from kit.found import Mask

HEIGHT, WIDTH = 5, 7


def drawn(random: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return random.random((height, width)) < random.choice([0, 0.1, 0.5, 0.9, 1])


def mask_of(*runs: tuple[int, int]) -> Mask:
    starts, lengths = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    return Mask(starts, lengths)


def runs_of(mask: Mask) -> list[tuple[int, int]]:
    return list(zip(mask.starts.tolist(), mask.lengths.tolist()))


def pixels_of(mask: Mask) -> set[int]:
    return {p for start, length in runs_of(mask) for p in range(start, start + length)}


def is_plain(mask: Mask) -> bool:
    """Rising, apart from each other, none empty."""
    return (mask.lengths > 0).all() and (mask.starts[1:] > (mask.starts + mask.lengths)[:-1]).all() and mask.starts.dtype == mask.lengths.dtype == np.int64


# 2 x 3 pixels:  . # #
#                # . .
CORNER = mask_of((1, 3))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [("rows_from_0", "1 3|"), ("columns_from_1", "2 2 5 1"), ("coco_counts", "1 2 1 1 1"), ("coco", "121O0")],
)
def test_a_mask_in_each_dialect(dialect, text):
    assert masks.encode(CORNER, dialect, (2, 3)) == text
    assert runs_of(masks.decode(text, dialect, (2, 3))) == [(1, 3)]


@pytest.mark.parametrize("dialect", masks.DIALECTS)
def test_every_dialect_comes_back(dialect):
    random = np.random.default_rng(0)
    for _ in range(300):
        height, width = random.integers(1, 9, 2).tolist()
        pixels = drawn(random, height, width)
        mask = masks.of_pixels(pixels)
        back = masks.decode(masks.encode(mask, dialect, (height, width)), dialect, (height, width))
        assert is_plain(mask) and is_plain(back)
        assert np.array_equal(masks.to_pixels(back, height, width), pixels)


def test_a_long_mask_comes_back_through_cocos_text():
    random = np.random.default_rng(1)
    pixels = np.repeat(random.random((300, 2)) < 0.5, 200, axis=1)
    text = masks.encode(masks.of_pixels(pixels), "coco", pixels.shape)
    assert np.array_equal(masks.to_pixels(masks.decode(text, "coco", pixels.shape), *pixels.shape), pixels)


def test_cocos_dialects_are_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(2)
    for _ in range(300):
        height, width = random.integers(1, 60, 2).tolist()
        pixels = drawn(random, height, width)
        mask = masks.of_pixels(pixels)
        expected = coco.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"]
        assert masks.encode(mask, "coco", (height, width)) == expected.decode()
        counts = [int(c) for c in masks.encode(mask, "coco_counts", (height, width)).split()]
        assert coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"] == expected


def test_runs_may_come_in_any_order_and_touch():
    assert runs_of(masks.decode("6 2|1 2|3 1")) == [(1, 3), (6, 2)]


@pytest.mark.parametrize("dialect", masks.DIALECTS)
def test_an_empty_mask_is_legal(dialect):
    nothing = mask_of()
    assert runs_of(masks.decode(masks.encode(nothing, dialect, (2, 3)), dialect, (2, 3))) == []


@pytest.mark.parametrize(
    ("text", "dialect", "said"),
    [
        ("1 3|2 2|", "rows_from_0", "'1 3|2 2|' is no mask in dialect rows_from_0: two runs share a pixel"),
        ("1 0|", "rows_from_0", "a run is empty"),
        ("1 3|2", "rows_from_0", "it has another form\nexpected start length|start length|"),
        ("1 3 5 1", "rows_from_0", "it has another form"),
        ("-1 3|", "rows_from_0", "it has another form"),
        ("1 99999999999999999999|", "rows_from_0", "a number is too large"),
        ("4 4|", "rows_from_0", "a mask goes to pixel 7, and a picture of 3 x 2 has 6, counted from 0"),
        ("0 1", "columns_from_1", "begins before the picture"),
        ("1 2 3", "columns_from_1", "it has another form"),
        ("1" * 40 + "x", "columns_from_1", "it has another form"),
        ("1 2 1", "coco_counts", "lengths of 4 pixels in all, and a picture of 3 x 2 has 6"),
        ("12~", "coco", "it holds '~'"),
        ("1o", "coco", "it breaks off"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text, dialect, said):
    with pytest.raises(DataError) as error:
        masks.decode(text, dialect, (2, 3))
    assert said in str(error.value)


def test_the_values_of_a_picture_become_masks():
    values = np.array([[0, 33001, 33001], [33001, 0, 65535]], dtype=np.uint16)
    found = masks.of_values(values)
    assert {value: runs_of(mask) for value, mask in found.items()} == {0: [(0, 1), (4, 1)], 33001: [(1, 3)], 65535: [(5, 1)]}


def test_values_are_divided_without_rest():
    random = np.random.default_rng(3)
    for _ in range(100):
        values = random.integers(0, 4, (HEIGHT, WIDTH))
        found = masks.of_values(values)
        assert all(is_plain(mask) for mask in found.values())
        assert {v: pixels_of(m) for v, m in found.items()} == {v: set(np.flatnonzero(values.ravel() == v).tolist()) for v in np.unique(values).tolist()}


def test_the_sides_of_a_mask():
    assert masks.sides(CORNER, 3) == (0, 0, 3, 2)
    assert masks.sides(mask_of((1, 1), (5, 1)), 4) == (1, 0, 2, 2)
    assert masks.sides(mask_of(), 4) == (0, 0, 0, 0)
    random = np.random.default_rng(8)
    for _ in range(200):
        pixels = drawn(random)
        ys, xs = np.nonzero(pixels)
        expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0)
        assert masks.sides(masks.of_pixels(pixels), WIDTH) == expected


def test_shared_pixels_are_those_of_the_sets_in_each_place():
    random = np.random.default_rng(4)
    for _ in range(300):
        n, m = random.integers(0, 5, 2).tolist()
        a, b = ([masks.of_pixels(drawn(random)) for _ in range(count)] for count in (n, m))
        a_place, b_place = random.integers(0, 2, n), random.integers(0, 2, m)
        i, j, pixels = masks.shared(a, b, a_place, b_place)
        expected = {
            (u, v): len(pixels_of(a[u]) & pixels_of(b[v]))
            for u in range(n)
            for v in range(m)
            if a_place[u] == b_place[v] and pixels_of(a[u]) & pixels_of(b[v])
        }
        assert dict(zip(zip(i.tolist(), j.tolist()), pixels.tolist())) == expected


def test_overlap_is_shared_over_all_pixels():
    assert masks.iou([CORNER, mask_of()], [mask_of((2, 4)), mask_of()]).tolist() == [[2 / 5, 0], [0, 0]]


def test_overlaps_are_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(5)
    a, b = ([drawn(random, 40, 50) for _ in range(6)] for _ in range(2))
    coded = ([coco.encode(np.asfortranarray(p.astype(np.uint8))) for p in some] for some in (a, b))
    expected = coco.iou(*coded, [False] * 6)
    assert masks.iou([masks.of_pixels(p) for p in a], [masks.of_pixels(p) for p in b]) == pytest.approx(np.nan_to_num(expected))


def test_joins_and_parts_are_those_of_the_sets():
    random = np.random.default_rng(6)
    for _ in range(300):
        some = [masks.of_pixels(drawn(random)) for _ in range(random.integers(1, 5))]
        weights = random.choice([0.1, 0.3, 1.0], len(some))
        sets = [pixels_of(mask) for mask in some]
        cover = {p: sum(w for own, w in zip(sets, weights) if p in own) for p in range(HEIGHT * WIDTH)}
        found = masks.union(some), masks.majority(some, weights), masks.minus(some[0], some[-1])
        assert all(is_plain(mask) for mask in found)
        assert [pixels_of(mask) for mask in found] == [
            set().union(*sets), {p for p, held in cover.items() if held >= weights.sum() / 2 - 1e-9}, sets[0] - sets[-1],
        ]  # fmt: skip


def test_of_two_masks_the_surer_one_keeps_what_both_have():
    found = masks.disjoint([mask_of((0, 4)), mask_of((2, 4)), mask_of((3, 1))], np.array([0.5, 0.9, 0.1]))
    assert [runs_of(mask) for mask in found] == [[(0, 2)], [(2, 4)], []]


def test_of_masks_that_are_as_sure_the_first_keeps_it():
    assert [runs_of(m) for m in masks.disjoint([mask_of((0, 2)), mask_of((1, 2))], np.array([0.5, 0.5]))] == [[(0, 2)], [(2, 1)]]


def test_parted_masks_keep_every_pixel_once():
    random = np.random.default_rng(7)
    for _ in range(100):
        some = [masks.of_pixels(drawn(random)) for _ in range(5)]
        parts = [pixels_of(mask) for mask in masks.disjoint(some, random.random(5))]
        assert sum(map(len, parts)) == len(set().union(*parts)) == len(set().union(*map(pixels_of, some)))

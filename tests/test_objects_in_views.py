"""Boxes and maps of instances go wherever a recipe moves the picture, and come back from the views of prediction."""

import numpy as np
import pytest

pytest.importorskip("albumentations")

from kit.errors import ConfigError
from kit.registry import find
from kit.transforms import Augment, Strength
from kit.transforms._objects import Objects, back, placed, turned


def drawn(height: int = 60, width: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dark picture with two bright blocks, one red and one green, their boxes, and the map of both."""
    picture, instances = np.full((height, width, 3), 20, np.uint8), np.zeros((height, width), np.int32)
    boxes = np.array([[10, 15, 30, 40], [50, 20, 75, 45]], dtype=np.float64)
    for n, (x1, y1, x2, y2) in enumerate(boxes.astype(int).tolist()):
        picture[y1:y2, x1:x2, n] = 230
        instances[y1:y2, x1:x2] = n + 1
    return picture, boxes, instances


def around(inside: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def objects(**options) -> Objects:
    return Objects(find("transforms", "albumentations")(Augment(size=64, resize="pad", **options)))


RECIPES = [{"recipe": "none"}, {"recipe": "light"}, {"recipe": "light", "turns": True}, {"recipe": "medium", "turn_degrees": 0.0}, {"recipe": "light", "least_area": 0.2}]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("options", RECIPES, ids=str)
def test_boxes_lie_where_the_blocks_are_seen(options, seed):
    picture, boxes, _ = drawn()
    made = objects(**options)
    made.library.seed(seed)
    seen = made.training(64, picture, boxes, None)
    for box, n in zip(seen.boxes, seen.kept):
        bright = seen.picture[:, :, n].astype(int) - seen.picture[:, :, 1 - n] > 60
        assert np.abs(np.array(around(bright)) - box).max() <= 2.0


@pytest.mark.parametrize("seed", range(8))
def test_instances_move_with_their_blocks_and_boxes_are_theirs(seed):
    picture, boxes, instances = drawn()
    made = objects(recipe="medium", turns=True)
    made.library.seed(seed)
    seen = made.training(64, picture, boxes, instances)
    for box, n in zip(seen.boxes, seen.kept):
        own = seen.instances == n + 1
        bright = seen.picture[:, :, n].astype(int) - seen.picture[:, :, 1 - n] > 60
        assert (own & bright).sum() > 0.8 * max(own.sum(), bright.sum()) and around(own) == box.tolist()


def test_an_object_of_which_too_little_is_seen_is_none():
    picture, _, _ = drawn()
    made = objects(recipe="none")
    assert made.training(64, picture, np.array([[-80.0, 10, 12, 50]]), None).kept.tolist() == []
    assert made.training(64, picture, np.array([[-5.0, 10, 12, 50]]), None).kept.tolist() == [0]


@pytest.mark.parametrize("mapped", [False, True])
def test_thirty_percent_of_an_object_are_counted_once_however_often_it_is_cut(mapped, monkeypatch):
    monkeypatch.setattr(Augment, "strength", Strength(least_area=0.2, shift=0.4, turn_degrees=20.0))
    boxes = np.array([[5, 5, 35, 30], [50, 8, 80, 28], [10, 35, 40, 55], [55, 34, 85, 58]], dtype=np.float64)
    picture, instances, least, most = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.int32), [], []
    for n, (x1, y1, x2, y2) in enumerate(boxes.astype(int).tolist()):
        instances[y1:y2, x1:x2] = n + 1
    for seed in range(60):
        made, windows = objects(recipe="light"), []
        window = made._window
        monkeypatch.setattr(made, "_window", lambda *given, window=window, windows=windows: windows.append(window(*given)) or windows[-1])
        made.library.seed(seed)
        moved = made.training(64, picture, boxes, instances).instances
        pixels = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * 64 * 64 / (windows[0][2] * windows[0][3])
        share = np.bincount(moved.ravel(), minlength=5)[1:] / pixels
        made.library.seed(seed)
        kept = np.isin(np.arange(4), made.training(64, picture, boxes, instances if mapped else None).kept)
        least.append(share[kept].min(initial=1.0))
        most.append(share[~kept].max(initial=0.0))
    assert min(least) > 0.25 and max(most) < 0.35 and sum(own < 0.5 for own in least) > 10


def test_equal_seeds_give_equal_views():
    picture, boxes, instances = drawn()
    made = objects(recipe="heavy", turns=True)
    views = []
    for _ in range(2):
        made.library.seed(5)
        views.append(made.training(64, picture, boxes, instances))
    assert all(np.array_equal(getattr(views[0], name), getattr(views[1], name)) for name in ("picture", "boxes", "kept", "instances"))


@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_boxes_come_back_from_every_view_of_prediction(resize):
    picture, boxes, _ = drawn()
    library = find("transforms", "albumentations")(Augment(size=64, resize=resize, views=["flip", "scales"]))
    for view in library.views(64):
        seen = Objects(library).plain(view, picture, boxes, None)
        assert back(seen.boxes, view, 60, 90) == pytest.approx(boxes[seen.kept], abs=1e-4)
    assert len(seen.kept) == 2


def test_four_quarter_turns_are_none():
    picture, boxes, instances = drawn()
    found = turned(picture, boxes, instances, 4)
    assert all(np.array_equal(a, b) for a, b in zip(found, (picture, boxes, instances)))
    once = turned(picture, boxes, instances, 1)
    assert around(once[2] == 1) == once[1][0].tolist() and once[0].shape == (90, 60, 3)


def test_a_box_is_placed_in_its_windows_pixels():
    assert placed(np.array([[10.0, 20, 30, 40]]), (20, 10, 40, 20), 80).tolist() == [[0, 0, 80, 40]]


def test_torchvision_says_that_it_moves_no_boxes():
    made = Objects(find("transforms", "torchvision")(Augment(size=64, recipe="medium", resize="pad", transforms="torchvision")))
    with pytest.raises(ConfigError, match="boxes follow a picture by albumentations alone"):
        made.training(64, *drawn()[:2], None)

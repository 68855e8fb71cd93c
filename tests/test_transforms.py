"""Every library of kit/transforms, found by its file alone: what a network is shown of a picture."""

import hashlib
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from kit import registry
from kit.errors import ConfigError
from kit.registry import check_options
from kit.transforms import Augment
from kit.transforms._library import random_window

LIBRARIES = registry.names("transforms")
RECIPES = ["none", "light", "medium", "heavy"]
RESIZES = ["crop", "squash", "pad"]
every_library = pytest.mark.parametrize("name", LIBRARIES)


def library(name, **options):
    return registry.find("transforms", name)(Augment(transforms=name, **options))


def scene(height=120, width=150):
    """Coloured discs and stripes on a slope of grey, brighter to the right."""
    down, across = np.mgrid[0:height, 0:width]
    picture = np.repeat((40 + 120 * across / width)[..., None], 3, axis=2)
    for n, (y, x, colour) in enumerate([(0.3, 0.25, (220, 40, 30)), (0.65, 0.6, (30, 200, 60)), (0.25, 0.8, (50, 60, 230))]):
        picture[np.hypot(down - y * height, across - x * width) < height * (0.16 - 0.02 * n)] = colour
    picture[int(height * 0.85) : int(height * 0.9)] = 250
    return picture.astype(np.uint8)


def slope(height=64, width=64):
    """Brighter to the right: what is mirrored is brighter to the left."""
    return np.broadcast_to(np.linspace(40, 215, width)[None, :, None], (height, width, 3)).astype(np.uint8)


def halves(picture):
    """The medians of the left and of the right half."""
    middle = picture.shape[1] // 2
    return np.median(picture[:, :middle]), np.median(picture[:, middle:])


def draws(name, n=50, picture=None, size=64, seed=0, **options):
    made = library(name, size=size, **options)
    change = made.training(size)
    made.seed(seed)
    return np.stack([change(scene() if picture is None else picture) for _ in range(n)])


def strength(name, recipe, n=50):
    plain = library(name).views(64)[0](scene()).astype(float)
    return np.abs(draws(name, n, recipe=recipe) - plain).mean()


# options


def complaint(**options):
    with pytest.raises(ConfigError) as error:
        Augment(**options)
    return str(error.value)


def test_options_of_augment_are_checked_by_their_types():
    assert check_options(Augment, {"recipe": "hevy", "size": 96.5, "views": ["flip", "corners"], "centr": 1}, "augment") == [
        'augment.centr is not an option here (did you mean "centre"?)',
        "augment.recipe = 'hevy': Input should be 'none', 'light', 'medium' or 'heavy'",
        "augment.size = 96.5: Input should be a valid integer",
        "augment.views = ['flip', 'corners']: Input should be 'flip', 'crops' or 'scales'",
    ]


def test_all_values_out_of_range_are_reported_at_once():
    wrong = {"size": 4, "first_size": 3, "least_area": 0.0, "turn_degrees": 200.0, "erase": 1.5, "centre": 0.0, "mixup": -0.1}
    text = complaint(transforms="torchvison", **wrong, cutmix=float("inf"), mix_share=float("nan"), views=["flip", "flip"])
    assert text.split("\n") == [
        'augment.transforms = "torchvison": no such library (did you mean "torchvision"?)',
        "augment.size = 4: expected at least 8 pixels",
        "augment.first_size = 3: expected 8 pixels to augment.size, or 0 for augment.size",
        "augment.least_area = 0.0: expected a share above 0 and at most 1, or -1 for the recipe's own",
        "augment.turn_degrees = 200.0: expected 0 to 180 degrees, or -1 for the recipe's own",
        "augment.erase = 1.5: expected a share from 0 to 1, or -1 for the recipe's own",
        "augment.centre = 0.0: expected a share above 0 and at most 1",
        "augment.mixup = -0.1: expected 0 for none, or an alpha above 0",
        "augment.cutmix = inf: expected 0 for none, or an alpha above 0",
        "augment.mix_share = nan: expected a share from 0 to 1",
        "augment.views = ['flip', 'flip']: expected each once",
    ]


@pytest.mark.parametrize("option", ["size", "first_size", "least_area", "turn_degrees", "erase", "centre", "mixup", "cutmix", "mix_share"])
def test_what_is_not_a_number_is_no_value(option):
    assert f"augment.{option} = nan" in complaint(**{option: float("nan")})


def test_options_that_contradict_one_another_are_named():
    assert complaint(flip=False, views=["flip"]) == (
        'augment.views names "flip" beside augment.flip = false: no mirrored picture was learned from\ntake one of them out'
    )
    assert complaint(recipe="none", turn_degrees=5.0) == (
        'augment.recipe = "none" changes no picture, but augment.turn_degrees is set\nname recipe "light", or set it to -1'
    )
    assert "first_size = 128: expected 8 pixels to augment.size" in complaint(size=96, first_size=128)


def test_a_library_of_the_competition_itself_may_be_named():
    assert Augment(transforms="./mine.py").transforms == "./mine.py"


def test_zero_replaces_the_recipes_own_number_and_below_zero_does_not():
    assert Augment(recipe="medium").strength.turn_degrees == 15
    assert Augment(recipe="medium", turn_degrees=0.0).strength.turn_degrees == 0
    given = Augment(recipe="light", least_area=0.2, turn_degrees=5.0, erase=0.5).strength
    assert (given.least_area, given.turn_degrees, given.erase, given.shift) == (0.2, 5.0, 0.5, 0.0)


# the plain view


@every_library
@pytest.mark.parametrize("resize", RESIZES)
def test_recipe_none_is_the_plain_view(name, resize):
    made = library(name, recipe="none", resize=resize, size=48, centre=0.9)
    picture = scene()
    np.testing.assert_array_equal(made.training(48)(picture), made.views(48)[0](picture))
    assert (draws(name, 5, recipe="none") == draws(name, 1, recipe="none")).all()


@every_library
def test_picture_of_the_right_size_is_seen_as_it_is(name):
    picture = scene(64, 64)
    for resize in RESIZES:
        np.testing.assert_array_equal(library(name, resize=resize).views(64)[0](picture), picture)


@every_library
def test_crop_takes_the_middle_squash_takes_all_and_pad_surrounds_it_with_the_colour_of_its_edge(name):
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200  # the middle square
    picture[:, :20], picture[:, 60:] = 50, 50
    assert (library(name, resize="crop").views(40)[0](picture) == 200).all()
    squashed = library(name, resize="squash").views(40)[0](picture)[20, :, 0]
    assert squashed[5] == squashed[34] == 50 and squashed[20] == 200
    padded = library(name, resize="pad").views(40)[0](picture)
    assert padded[20, 5, 0] == 50 and padded[20, 20, 0] == 200
    edge = round((2 * 40 * 200 + 2 * 40 * 50 + 2 * 40 * 50) / 240)  # rows: 40 bright and 40 dark pixels each; columns: 40 dark
    assert (padded[:10] == edge).all() and (padded[30:] == edge).all()


@every_library
def test_centre_is_the_share_of_the_short_side_that_is_seen(name):
    seen = library(name, centre=0.5).views(50)[0](slope(100, 200))
    np.testing.assert_allclose(seen[25, :, 0], slope(100, 200)[50, 75:125, 0], atol=2)


@every_library
def test_slope_stays_a_slope_at_any_size(name):
    for side in (24, 60, 150, 1000):
        seen = library(name).views(48)[0](slope(side, side))[..., 0].astype(float)
        exact = 40 + 175 * ((np.arange(48) + 0.5) * side / 48 - 0.5) / (side - 1)
        np.testing.assert_allclose(seen[:, 3:-3], np.broadcast_to(exact, (48, 48))[:, 3:-3], atol=1.6)


@every_library
@pytest.mark.parametrize("side", [128, 256, 300])
def test_shrinking_averages_what_it_leaves_out(name, side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    shrunk = 64 / side  # the mean of (1 / shrunk)^2 pixels deviates by `shrunk` as much; taking every n-th pixel, as much as before
    assert library(name).views(64)[0](noise).std() < 1.4 * shrunk * noise.std()
    wide = noise[:3]
    assert (
        library(name, resize="squash").views(64)[0](wide).std() < 0.95 * np.sqrt(shrunk) * noise.std()
    )  # averaged along the one side only
    assert draws(name, 10, noise, recipe="light").std() < 1.5 * shrunk * noise.std()


@pytest.mark.parametrize("resize", RESIZES)
def test_libraries_see_the_same(resize):
    for shape in ((300, 200), (40, 90), (64, 64)):
        seen = [library(name, resize=resize).views(64)[0](scene(*shape)).astype(float) for name in LIBRARIES]
        assert all(np.abs(one - seen[0]).mean() < 3 for one in seen)


# views


@every_library
@pytest.mark.parametrize(
    ("named", "count"),
    [
        ([], 1),
        (["flip"], 2),
        (["crops"], 6),
        (["scales"], 3),
        (["crops", "scales"], 8),
        (["scales", "flip"], 6),
        (["flip", "crops", "scales"], 16),
    ],
)
def test_views_add_up_and_flip_doubles_them(name, named, count):
    made = library(name, views=named)
    seen = [view(scene()) for view in made.views(48)]
    assert len(seen) == count
    np.testing.assert_array_equal(seen[0], library(name).views(48)[0](scene()))
    if "flip" in named:
        for one, other in zip(seen[: count // 2], seen[count // 2 :]):
            np.testing.assert_array_equal(one, other[:, ::-1])
    assert len({one.tobytes() for one in seen}) == count


@every_library
def test_crops_are_the_corners_and_the_middle_at_one_scale(name):
    down, across = np.mgrid[0:115, 0:115]
    picture = np.stack([down, across, down * 0], axis=2).astype(np.uint8)  # red is the row and green the column
    seen = [view(picture) for view in library(name, views=["crops"]).views(100)[1:]]
    assert [tuple(one[50, 50, :2]) for one in seen] == [(50, 50), (50, 65), (65, 50), (65, 65), (58, 58)]
    assert all(one[99, 0, 0] - one[0, 0, 0] == 99 for one in seen)


@every_library
def test_scales_show_more_and_less_around_the_same_middle(name):
    plain, far, near = (view(slope(100, 100)) for view in library(name, views=["scales"]).views(100))
    spans = [float(one[50, 70, 0]) - float(one[50, 30, 0]) for one in (plain, far, near)]
    assert spans[1] / spans[0] == pytest.approx(1 / 0.85, rel=0.04) and spans[2] / spans[0] == pytest.approx(1 / 1.2, rel=0.04)
    assert all(abs(float(one[50, 50, 0]) - 128) < 3 for one in (plain, far, near))


@every_library
def test_crops_of_a_padded_picture_always_show_some_of_it(name):
    picture = np.full((3, 400, 3), 10, np.uint8)
    picture[1] = 250
    for view in library(name, resize="pad", centre=0.6, views=["crops", "scales", "flip"]).views(64):
        assert len(np.unique(view(picture))) > 1


# recipes


@every_library
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("resize", RESIZES)
def test_pictures_of_any_shape_become_square(name, recipe, resize):
    made = library(name, recipe=recipe, resize=resize, centre=0.8, views=["crops", "scales", "flip"])
    grey = np.repeat(scene()[..., :1], 3, axis=2)
    whole = scene(500, 320)
    pictures = [
        scene(5, 7),
        scene(3, 400),
        scene(400, 3),
        scene(1, 1),
        scene(1, 30),
        grey,
        np.zeros((32, 32, 3), np.uint8),
        whole[::2, 40:250],
    ]
    for size in (8, 33):
        change = made.training(size)
        for picture in pictures:
            before = picture.copy()
            picture.flags.writeable = False  # as an album's mapped pictures are
            for seen in [view(picture) for view in made.views(size)] + [change(picture) for _ in range(12)]:
                assert seen.shape == (size, size, 3) and seen.dtype == np.uint8 and seen.flags.c_contiguous and seen.flags.writeable
                assert not np.shares_memory(seen, picture)
            np.testing.assert_array_equal(picture, before)


@every_library
def test_recipes_rise_in_strength(name):
    found = [strength(name, recipe) for recipe in RECIPES]
    assert found[0] == 0 and found[0] < found[1] < found[2] < found[3]


@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_libraries_are_as_strong_under_the_same_recipe(recipe):
    found = [strength(name, recipe, 200) for name in LIBRARIES]
    assert max(found) < 1.1 * min(found)


@pytest.mark.parametrize("recipe", ["light", "medium", "heavy"])
def test_libraries_make_the_same_picture_on_average(recipe):
    found = [draws(name, 1000, recipe=recipe, flip=False).astype(float) for name in LIBRARIES]
    for other in found[1:]:
        assert np.abs(other.mean(axis=0) - found[0].mean(axis=0)).mean() < 3.5
        assert np.abs(other.std(axis=0) - found[0].std(axis=0)).mean() < 3.5


@every_library
@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_mirrored_where_flip_is_false(name, recipe):
    for seen in draws(name, 50, slope(), recipe=recipe, flip=False, **({} if recipe == "none" else {"turn_degrees": 0.0, "erase": 0.0})):
        left, right = halves(seen)
        assert left < right


@every_library
@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_half_of_the_pictures_are_mirrored(name, recipe):
    mirrored = [left > right for left, right in map(halves, draws(name, 200, slope(), recipe=recipe, turn_degrees=0.0, erase=0.0))]
    assert 70 < sum(mirrored) < 130


@every_library
def test_steps_of_a_recipe_are_drawn_independently(name):
    made = library(name, recipe="heavy", size=32, turn_degrees=0.0, erase=0.0)
    change, found = made.training(32), []
    for seed in range(300):  # the first picture after each seed, where steps with equal numbers would act together
        made.seed(seed)
        seen = change(slope(32, 32))
        left, right = halves(seen)
        found.append([left > right, seen.mean() > 128, np.abs(np.diff(seen.astype(float), axis=0)).mean() > 2])  # mirrored, bright, noisy
    together = np.corrcoef(np.array(found, float), rowvar=False)
    assert np.abs(together[np.triu_indices(3, 1)]).max() < 0.2  # 0.06 is one standard deviation of 300 independent pairs


@every_library
def test_turning_is_up_to_the_degrees_given_and_beyond_the_edges_the_picture_goes_on(name):
    bar = np.full((96, 96, 3), 200, np.uint8)
    bar[45:51] = 20  # a level bar: its slope is the tangent of the angle
    degrees = []
    for seen in draws(name, 60, bar, 96, recipe="light", least_area=1.0, turn_degrees=30.0):
        dark = [np.flatnonzero(seen[:, column, 0] < 110).mean() for column in (30, 66)]
        degrees.append(np.degrees(np.arctan((dark[1] - dark[0]) / 36)))
        assert seen[:, :, 0].mean() > 170  # corners were not filled with black
    assert -33 < min(degrees) < -20 and 20 < max(degrees) < 33


@every_library
def test_erased_share_is_the_one_given_and_an_erased_rectangle_is_noise(name):
    flat = np.full((64, 64, 3), 128, np.uint8)
    seen = draws(name, 200, flat, recipe="light", erase=0.3)
    erased = [one for one in seen if one.std() > 0]
    assert 40 < len(erased) < 80
    for one in erased:
        rows, columns = np.nonzero((one != 128).any(axis=2))
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / 64**2
        assert 0.01 < area < 0.29 and one[(one != 128).any(axis=2)].std() > 30


@every_library
def test_light_recipe_changes_no_colour(name):
    flat = np.full((40, 60, 3), (10, 120, 230), np.uint8)
    assert (draws(name, 20, flat, recipe="light") == (10, 120, 230)).all()


@every_library
def test_heavy_recipe_makes_some_pictures_grey_and_some_noisy(name):
    seen = draws(name, 200, np.full((64, 64, 3), (200, 120, 60), np.uint8), recipe="heavy", erase=0.0).astype(float)
    grey = (np.ptp(seen, axis=3).max(axis=(1, 2)) <= 1).sum()
    noisy = (seen[..., 0].std(axis=(1, 2)) > 3).sum()
    assert 20 < grey < 60 and 20 < noisy < 60  # two of five effects, each with a half: a fifth of 200


def test_perspective_of_albumentations_cuts_every_side_alike():
    made = registry.find("transforms", "albumentations")
    places = np.stack(np.broadcast_arrays(*np.mgrid[0:200, 0:200], 0), axis=2).astype(np.uint8)  # row, column
    change = sys.modules[made.__module__]._Perspective(scale=(0.05, 0.1), p=1.0)
    change.set_random_state(np.random.default_rng(0), random.Random(0))
    top, bottom = np.mean([change(image=places)["image"][[0, -1], [0, -1], :2] for _ in range(300)], axis=0)
    np.testing.assert_allclose(top, 200 * 0.075 * np.sqrt(2 / np.pi), atol=1.5)
    np.testing.assert_allclose(199 - bottom, top, atol=1.5)


def test_random_window_keeps_the_least_area_and_reaches_every_edge():
    chance = random.Random(0)
    found = np.array([random_window(chance, 100, 120, 0.5) for _ in range(500)])
    top, left, height, width = found.T
    assert (height * width >= 0.49 * 100 * 120).all() and (top + height <= 100).all() and (left + width <= 120).all()
    assert ((width / height > 0.73) & (width / height < 1.36)).mean() > 0.95  # where a side was cut, the aspect is the picture's
    assert top.min() == 0 and (top + height).max() == 100 and left.min() == 0 and (left + width).max() == 120


def test_random_windows_of_a_wide_picture_are_all_over_it():
    chance = random.Random(0)
    found = np.array([random_window(chance, 90, 160, 0.7) for _ in range(300)])
    assert np.ptp(found[:, 1]) > 60 and (found[:, 2] * found[:, 3]).min() >= 0.6 * 90 * 160 * 0.75


# seeds


@every_library
@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_seed_decides_all_that_follows(name, recipe):
    first = draws(name, 60, recipe=recipe, seed=5)
    np.testing.assert_array_equal(first, draws(name, 60, recipe=recipe, seed=5))
    assert (first != draws(name, 60, recipe=recipe, seed=6)).any(axis=(1, 2, 3)).all()
    made = library(name, size=64, recipe=recipe)
    change = made.training(64)
    for _ in range(7):
        change(scene(50, 50))
    made.seed(5)
    np.testing.assert_array_equal(first, [change(scene()) for _ in range(60)])


@every_library
def test_two_sizes_of_one_library_follow_one_seed(name):
    made = library(name, recipe="heavy")
    small, large = made.training(32), made.training(48)
    made.seed(3)
    first = [small(scene()), large(scene()), small(scene())]
    made.seed(3)
    for one, other in zip(first, [small(scene()), large(scene()), small(scene())]):
        np.testing.assert_array_equal(one, other)


HASHED = """
import hashlib, pickle, sys
import numpy as np
made, change, picture = pickle.loads(sys.stdin.buffer.read())
made.seed(11)
print(hashlib.sha256(np.stack([change(picture) for _ in range(60)]).tobytes()).hexdigest())
"""


@every_library
def test_seed_gives_the_same_pixels_in_another_process(name):
    made = library(name, recipe="heavy", size=32)
    sent = pickle.dumps((made, made.training(32), scene()))  # together, as a loader's worker gets them
    found = {
        subprocess.run([sys.executable, "-W", "error", "-c", HASHED], input=sent, capture_output=True, check=True).stdout for _ in range(2)
    }
    made, change, picture = pickle.loads(sent)
    change(picture)
    made.seed(11)
    found.add(hashlib.sha256(np.stack([change(picture) for _ in range(60)]).tobytes()).hexdigest().encode() + b"\n")
    assert len(found) == 1


@every_library
def test_random_numbers_of_the_process_are_left_alone(name):
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    draws(name, 40, recipe="heavy", seed=9)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    same = draws(name, 3, recipe="heavy", seed=9)
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    np.testing.assert_array_equal(same, draws(name, 3, recipe="heavy", seed=9))


@every_library
def test_views_and_libraries_may_be_sent_to_other_processes(name):
    made = library(name, views=["crops", "flip"])
    for one, other in zip(made.views(32), pickle.loads(pickle.dumps(made)).views(32)):
        np.testing.assert_array_equal(one(scene()), pickle.loads(pickle.dumps(other))(scene()))


# imports


def test_augment_imports_no_library():
    told = "import sys; import kit.transforms; print(sorted({'torch', 'cv2', 'albumentations', 'torchvision', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "[]\n"


@every_library
def test_library_is_imported_without_a_warning_or_a_call_to_the_network(name):
    told = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise SystemExit('it opened a connection')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        f"from kit.registry import find; find('transforms', '{name}')"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", told], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

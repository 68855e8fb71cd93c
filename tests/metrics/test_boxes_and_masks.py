"""Metrics of boxes and masks against slow, obvious second implementations on sets of pixels, and against pycocotools.

Boxes lie on a grid of few pixels and scores on one of few values, so that ties, copies and equal overlaps are common.
"""

import contextlib
import io
import random
import time

import numpy as np
import pytest

from kit import masks, registry
from kit.errors import ConfigError, ScoreError
from kit.found import Found

CASES = 1_000
SIDE = 9
TENTHS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
LAST_OF_COCO = list(np.linspace(0, 1, 101))  # the recalls of pycocotools, to the last bit


def metric(name):
    return registry.find("metrics", name)


# -- random cases: pictures of objects, each (label, score, corners, ignored)


def drawn(rng, *, ignored: bool, most: int = 4):
    """(true, predicted): for each of up to five pictures a list of objects; x2 and y2 are the last pixels within."""
    pictures = []
    for _ in range(rng.randint(1, 5)):
        true = [(rng.choice("ab"), 1.0, corners(rng), ignored and rng.random() < 0.25) for _ in range(rng.randint(0, 3))]
        found = []
        for _ in range(rng.randint(0, most)):
            near = rng.choice(true)[2] if true and rng.random() < 0.7 else corners(rng)
            moved = tuple(v + rng.choice([0, 0, 0, 1]) for v in near)
            found.append((rng.choice("aabc"), rng.choice([0.2, 0.5, 0.5, 0.9, rng.random()]), moved, False))
        pictures.append((true, found))
    return [true for true, _ in pictures], [found for _, found in pictures]


def corners(rng):
    x, y = rng.randint(0, SIDE - 5), rng.randint(0, SIDE - 5)
    return x, y, x + rng.randint(0, 4), y + rng.randint(0, 4)


def pixels(box):
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}


def as_boxes(pictures, *, inclusive):
    beyond = np.array([0, 0, 0, 0] if inclusive else [0, 0, 1, 1])
    return [
        Found.of([o[0] for o in some], boxes=np.array([o[2] for o in some]).reshape(-1, 4) + beyond, scores=[o[1] for o in some], ignored=[o[3] for o in some])
        for some in pictures
    ]


def as_masks(pictures, clips=None):
    side = SIDE + 3
    held = []
    for n, some in enumerate(pictures):
        planes = [np.zeros((side, side), bool) for _ in some]
        for plane, (_, _, box, _) in zip(planes, some):
            for x, y in pixels(box):
                plane[y, x] = True
        runs = [masks.of_pixels(plane) for plane in planes]
        clip = clips[n] if clips else ""
        held.append(Found.of([o[0] for o in some], masks=runs, scores=[o[1] for o in some], ignored=[o[3] for o in some], clip=clip))
    return held


# -- slow implementations


def overlap(one, other):
    return len(pixels(one) & pixels(other)) / len(pixels(one) | pixels(other))


def share_within(one, other):
    return len(pixels(one) & pixels(other)) / max(len(pixels(one)), 1)


def slow_area(right, wanted, interpolation):
    """right: verdicts of what counts, the surest first"""
    points = [(sum(right[: n + 1]) / wanted, sum(right[: n + 1]) / (n + 1)) for n in range(len(right))]

    def best_from(recall):
        return max((precision for own, precision in points if own >= recall), default=0.0)

    if interpolation == "all":
        return sum(best_from(k / wanted) / wanted for k in range(1, wanted + 1))
    recalls = LAST_OF_COCO if interpolation == "101" else [k / 10 for k in range(11)]
    return sum(map(best_from, recalls)) / len(recalls)


def surest(found, most=0):
    ordered = sorted(found, key=lambda o: -o[1])
    return ordered[:most] if most else ordered


def slow_map(true, predicted, judge, *, thresholds, interpolation, most=0):
    """judge(true of a label, predicted of it by score, threshold) -> a verdict each: True, False, or None where it does not count"""
    labels = sorted({o[0] for some in true for o in some if not o[3]})
    if not labels:
        return None
    found = []
    for threshold in thresholds:
        for label in labels:
            verdicts, wanted = [], 0
            for some, own in zip(true, predicted):
                of_label = [o for o in some if o[0] == label]
                ranked = surest([o for o in own if o[0] == label], most)
                verdicts += list(zip([o[1] for o in ranked], judge(of_label, ranked, threshold)))
                wanted += sum(not o[3] for o in of_label)
            right = [verdict for _, verdict in sorted(verdicts, key=lambda v: -v[0]) if verdict is not None]
            found.append(slow_area(right, wanted, interpolation))
    return sum(found) / len(found)


def judged_by_voc(true, ranked, threshold):
    taken, verdicts = set(), []
    for one in ranked:
        best = max(range(len(true)), key=lambda n: overlap(one[2], true[n][2]), default=None)
        if best is None or overlap(one[2], true[best][2]) < threshold:
            verdicts.append(False)
        elif true[best][3]:
            verdicts.append(None)
        else:
            verdicts.append(best not in taken)
            taken.add(best)
    return verdicts


def judged_by_coco(true, ranked, threshold):
    taken, verdicts = set(), []
    for one in ranked:
        left = [n for n in range(len(true)) if n not in taken and not true[n][3] and overlap(one[2], true[n][2]) >= threshold]
        crowds = [o for o in true if o[3] and share_within(one[2], o[2]) >= threshold]
        if left:
            taken.add(max(reversed(left), key=lambda n: overlap(one[2], true[n][2])))
        verdicts.append(True if left else None if crowds else False)
    return verdicts


def judged_by_ilsvrc(true, ranked, threshold, margin=10):
    if any(o[3] for o in true):
        return [None] * len(ranked)
    taken, verdicts = set(), []
    for one in ranked:
        left = []
        for n, (_, _, (x1, y1, x2, y2), _) in enumerate(true):
            w, h = x2 - x1 + 1, y2 - y1 + 1
            if n not in taken and overlap(one[2], true[n][2]) >= min(threshold, w * h / ((w + margin) * (h + margin))):
                left.append(n)
        if left:
            taken.add(max(left, key=lambda n: overlap(one[2], true[n][2])))
        verdicts.append(bool(left))
    return verdicts


def judged_by_overlap(true, ranked, threshold):
    counted = [o for o in true if not o[3]]
    goes_to = {}
    for n, one in enumerate(ranked):
        best = max(range(len(counted)), key=lambda k: overlap(one[2], counted[k][2]), default=None)
        if best is not None and overlap(one[2], counted[best][2]) > threshold:
            goes_to[n] = best
    verdicts = []
    for n, one in enumerate(ranked):
        if n in goes_to:
            rivals = [k for k in goes_to if goes_to[k] == goes_to[n]]
            verdicts.append(n == max(rivals, key=lambda k: overlap(ranked[k][2], counted[goes_to[n]][2])))
        else:
            verdicts.append(None if any(o[3] and overlap(one[2], o[2]) > threshold for o in true) else False)
    return verdicts


def slow_localization_error(true, predicted, top, threshold):
    errors = []
    for some, own in zip(true, predicted):
        if some and not any(o[3] for o in some):
            labels = {o[0] for o in some}
            hits = {o[0] for o in surest(own, top) for t in some if t[0] == o[0] and overlap(o[2], t[2]) >= threshold}
            errors.append(1 - len(hits) / len(labels))
    return sum(errors) / len(errors) if errors else None


# -- the two compared


def agree(name, draw, slow, choices):
    """On CASES random cases: the same score, or none on either side."""
    rng, defined = random.Random(name), 0
    for _ in range(CASES):
        true, predicted = draw(rng)
        options = rng.choice(choices)
        truth, found, expected = slow(true, predicted, rng, **options)
        if expected is None:
            with pytest.raises(ScoreError):
                metric(name).score(truth, found, **options)
            continue
        defined += 1
        assert metric(name).score(truth, found, **options) == pytest.approx(expected, rel=1e-9, abs=1e-9), (true, predicted, options)
    assert defined > CASES / 2


def either(rng, true, predicted, inclusive):
    """As boxes or as masks."""
    if rng.random() < 0.5:
        return as_boxes(true, inclusive=inclusive), as_boxes(predicted, inclusive=inclusive)
    return as_masks(true), as_masks(predicted)


def test_voc_map_agrees_with_its_slow_implementation():
    def slow(true, predicted, rng, threshold=0.5, interpolation="all", most=0, inclusive=True):
        expected = slow_map(true, predicted, judged_by_voc, thresholds=[threshold], interpolation=interpolation, most=most)
        return *either(rng, true, predicted, inclusive), expected

    choices = [{}, {"interpolation": "11"}, {"threshold": 0.75, "inclusive": False}, {"most": 1, "interpolation": "101"}]
    agree("voc_map", lambda rng: drawn(rng, ignored=True), slow, choices)


def test_coco_map_agrees_with_its_slow_implementation():
    def slow(true, predicted, rng, thresholds=TENTHS, interpolation="101", most=100, inclusive=False):
        expected = slow_map(true, predicted, judged_by_coco, thresholds=thresholds, interpolation=interpolation, most=most)
        return *either(rng, true, predicted, inclusive), expected

    choices = [{"thresholds": [0.5, 0.75]}, {"thresholds": [0.3], "interpolation": "all", "inclusive": True}, {"thresholds": [0.5], "most": 1}]
    agree("coco_map", lambda rng: drawn(rng, ignored=True), slow, choices)


def test_ilsvrc_map_agrees_with_its_slow_implementation():
    def slow(true, predicted, rng, threshold=0.5, margin=10, interpolation="all", most=0, inclusive=True):
        def judge(some, ranked, thr):
            return judged_by_ilsvrc(some, ranked, thr, margin)

        scored = [[o for o in some if not any(k[3] for k in some if k[0] == o[0])] for some in true]
        marked = [[(*o[:3], True) if any(k[3] for k in some if k[0] == o[0]) else o for o in some] for some in true]
        expected = slow_map(marked, predicted, judge, thresholds=[threshold], interpolation=interpolation, most=most) if any(scored) else None
        return as_boxes(true, inclusive=inclusive), as_boxes(predicted, inclusive=inclusive), expected

    choices = [{}, {"threshold": 0.2}, {"margin": 2, "inclusive": False}, {"margin": 0, "interpolation": "11"}, {"most": 2}]
    agree("ilsvrc_map", lambda rng: drawn(rng, ignored=True), slow, choices)


def test_localization_error_agrees_with_its_slow_implementation():
    def slow(true, predicted, rng, top=5, threshold=0.5, inclusive=True):
        expected = slow_localization_error(true, predicted, top, threshold)
        return as_boxes(true, inclusive=inclusive), as_boxes(predicted, inclusive=inclusive), expected

    agree("localization_error", lambda rng: drawn(rng, ignored=rng.random() < 0.2, most=7), slow, [{}, {"top": 1}, {"threshold": 0.9, "inclusive": False}])


def drawn_in_clips(rng):
    """Objects that are ignored for every label have none: ""."""
    true, predicted = drawn(rng, ignored=True)
    true = [[("", *o[1:]) if o[3] and rng.random() < 0.5 else o for o in some] for some in true]
    return true, predicted


@pytest.mark.parametrize(("match", "judge"), [("largest_iou", judged_by_overlap), ("confidence", judged_by_coco)])
def test_wad_map_agrees_with_its_slow_implementation(match, judge):
    def slow(true, predicted, rng, match, thresholds=TENTHS, interpolation="all", clips=True):
        named = [rng.choice("xy") for _ in true]
        apart = [[] for _ in range(2)]
        for side, pictures in zip(apart, (true, predicted)):
            for n, some in enumerate(pictures):  # a clip is made a part of the label, and what has none is there for each
                own = [(label, *o[1:]) for o in some for label in ((o[0] or "ab") if o[3] else o[0])]
                side.append([(o[0] + named[n] if clips else o[0], *o[1:]) for o in own])
        expected = slow_map(*apart, judge, thresholds=thresholds, interpolation=interpolation)
        return as_masks(true, named), as_masks(predicted), expected

    choices = [{"match": match, "thresholds": [0.5, 0.8]}, {"match": match, "thresholds": [0.3], "clips": False, "interpolation": "101"}]
    agree("wad_map", drawn_in_clips, slow, choices)


# -- pycocotools


def by_pycocotools(true, predicted, kind, *, number=0):
    """A number of COCOeval for objects of all sizes: the first is the mean over thresholds and labels, the second that at an overlap of 0.5."""
    coco, cocoeval, coded = (pytest.importorskip(f"pycocotools.{name}") for name in ("coco", "cocoeval", "mask"))
    side = SIDE + 3

    def entry(n, k, o):
        x1, y1, x2, y2 = o[2]
        box, plane = [x1, y1, x2 - x1 + 1, y2 - y1 + 1], np.zeros((side, side), np.uint8, order="F")
        plane[y1 : y2 + 1, x1 : x2 + 1] = 1
        runs = coded.encode(plane)
        return {"image_id": n, "id": k, "category_id": "abc".index(o[0]), "bbox": box, "area": box[2] * box[3], "iscrowd": int(o[3]), "segmentation": runs}

    objects = [(n, o) for n, some in enumerate(true) for o in some]
    found = [(n, o) for n, some in enumerate(predicted) for o in some]
    told = coco.COCO()
    told.dataset = {
        "images": [{"id": n, "height": side, "width": side} for n in range(len(true))],
        "categories": [{"id": n} for n in range(3)],
        "annotations": [entry(n, k, o) for k, (n, o) in enumerate(objects, start=1)],
    }
    guess = coco.COCO()
    guess.dataset = {**told.dataset, "annotations": [{**entry(n, k, o), "score": o[1]} for k, (n, o) in enumerate(found, start=1)]}
    with contextlib.redirect_stdout(io.StringIO()):
        told.createIndex()
        guess.createIndex()
        run = cocoeval.COCOeval(told, guess, kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[number]


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_coco_map_is_that_of_pycocotools(kind):
    pytest.importorskip("pycocotools")
    rng = random.Random(0)
    for _ in range(100):
        true, predicted = drawn(rng, ignored=True)
        if any(not o[3] for some in true for o in some):
            expected = by_pycocotools(true, predicted, kind)
            sides = [as_boxes(some, inclusive=False) if kind == "bbox" else as_masks(some) for some in (true, predicted)]
            assert metric("coco_map").score(*sides) == pytest.approx(expected, abs=1e-9), (true, predicted)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_voc_map_is_that_of_pycocotools_where_no_object_is_the_second_choice(kind):
    """A box whose object is taken goes to the next in COCO and to none in VOC; of crowds VOC knows nothing."""
    pytest.importorskip("pycocotools")
    rng, compared = random.Random(2), 0
    while compared < 60:
        true, predicted = drawn(rng, ignored=False)
        apart = all(sum(o[0] == t[0] and overlap(o[2], t[2]) >= 0.5 for t in some) < 2 for some, own in zip(true, predicted) for o in own)
        if apart and any(true):
            sides = [as_boxes(some, inclusive=True) if kind == "bbox" else as_masks(some) for some in (true, predicted)]
            assert metric("voc_map").score(*sides, interpolation="101") == pytest.approx(by_pycocotools(true, predicted, kind, number=1), abs=1e-9), (true, predicted)
            compared += 1


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_wad_map_by_confidence_is_that_of_pycocotools():
    pytest.importorskip("pycocotools")
    rng = random.Random(1)
    for _ in range(50):
        true, predicted = drawn(rng, ignored=True)
        if any(not o[3] for some in true for o in some):
            found = metric("wad_map").score(as_masks(true), as_masks(predicted), match="confidence", interpolation="101", clips=False)
            assert found == pytest.approx(by_pycocotools(true, predicted, "segm"), abs=1e-9)


# -- by hand


def test_an_overlap_of_exactly_half_is_found_by_voc_and_coco_and_not_by_wad():
    true, half = [[("a", 1.0, (0, 0, 3, 0), False)]], [[("a", 0.9, (0, 0, 1, 0), False)]]
    assert metric("voc_map").score(as_masks(true), as_masks(half)) == 1
    assert metric("coco_map").score(as_masks(true), as_masks(half), thresholds=[0.5]) == 1
    assert metric("wad_map").score(as_masks(true), as_masks(half), thresholds=[0.5]) == 0


def test_a_second_box_of_one_object_is_wrong():
    true, twice = [[("a", 1.0, (0, 0, 3, 3), False)]], [[("a", 0.9, (0, 0, 3, 3), False), ("a", 0.8, (0, 0, 3, 3), False)]]
    both = [*true, [("a", 1.0, (0, 0, 3, 3), False)]], [*twice, [("a", 0.1, (0, 0, 3, 3), False)]]
    for name in ("voc_map", "ilsvrc_map"):
        found = metric(name).score(*(as_boxes(side, inclusive=True) for side in both))
        assert found == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_clip_in_which_a_label_is_not_true_does_not_count_for_it():
    true = as_masks([[("a", 1.0, (0, 0, 3, 0), False)], [("b", 1.0, (0, 0, 3, 0), False)]], clips=["x", "y"])
    said = as_masks([[("a", 0.9, (0, 0, 3, 0), False)], [("a", 0.9, (0, 0, 3, 0), False)]])
    assert metric("wad_map").score(true, said) == (1 + 0) / 2


def test_a_large_object_needs_half_and_a_small_one_less():
    small, large = [Found.of(["a"], boxes=[[0, 0, 9, 9]])], [Found.of(["a"], boxes=[[0, 0, 99, 99]])]
    third = [Found.of(["a"], boxes=[[0, 0, 9, 2]])], [Found.of(["a"], boxes=[[0, 0, 99, 29]])]
    assert metric("ilsvrc_map").score(small, third[0]) == 1
    assert metric("ilsvrc_map").score(large, third[1]) == 0


def test_nothing_found_scores_nothing():
    truth, nothing = [Found.of(["a"], masks=[masks.of_pixels(np.ones((2, 2), bool))])], [Found.of([], masks=[])]
    assert [metric(name).score(truth, nothing) for name in ("voc_map", "coco_map", "wad_map")] == [0, 0, 0]


@pytest.mark.parametrize("name", ["voc_map", "coco_map", "ilsvrc_map", "localization_error"])
def test_a_score_without_anything_true_is_not_defined(name):
    with pytest.raises(ScoreError, match="nothing is true in any of the pictures"):
        metric(name).score([Found.of([], boxes=[])], [Found.of(["a"], boxes=[[0, 0, 1, 1]])])


def test_masks_are_not_compared_as_boxes():
    found = [Found.of(["a"], masks=[masks.of_pixels(np.ones((2, 2), bool))])]
    with pytest.raises(ScoreError, match="2 pictures have objects without boxes, which this metric compares"):
        metric("coco_map").score(found, found, by="boxes")


def test_the_first_box_is_one():
    found = [Found.of(["a"], boxes=[[0, 0, 1, 1]])]
    with pytest.raises(ConfigError, match="top = 0, but the first box is 1"):
        metric("localization_error").score(found, found, top=0)


@pytest.mark.parametrize("name", ["voc_map", "coco_map", "ilsvrc_map", "localization_error", "wad_map"])
def test_the_examples_stay_as_they_are(name):
    given = metric(name).EXAMPLE
    before = repr(given)
    assert metric(name).score(given["truth"], given["predicted"], **given.get("options", {})) == pytest.approx(given["score"], rel=1e-12)
    assert repr(given) == before


def test_many_pictures_take_seconds():
    random_ = np.random.default_rng(0)

    def boxes(n):
        corner = random_.uniform(0, 200, (n, 2))
        return np.hstack([corner, corner + random_.uniform(20, 80, (n, 2))])

    truth = [Found.of(random_.choice(list("abcde"), 8).tolist(), boxes=boxes(8)) for _ in range(1000)]
    found = [Found.of(random_.choice(list("abcde"), 100).tolist(), boxes=boxes(100), scores=random_.random(100)) for _ in range(1000)]
    began = time.monotonic()
    for name in ("voc_map", "coco_map", "ilsvrc_map"):
        metric(name).score(truth, found)
    assert time.monotonic() - began < 30

"""Estimators of tracks: what each must do, and the geometry that they stand on."""

import numpy as np
import pytest

pytest.importorskip("numba")

from kit import events, registry
from kit.adapters._sample_events import made, write
from kit.encoders import Examples, Features
from kit.errors import DataError
from kit.estimators import Setup
from kit.estimators._helices import BARREL, DISK, meets, residuals, slope_of, through, turned
from kit.estimators._layers import Detector
from kit.events import Event, Tracks, TracksFile
from kit.metrics import trackml

LEAST = {"helix": 0.5, "following": 0.9, "edges": 0.9}
QUICK = {"helix": {"radii": 60, "origins": 12}, "following": {}, "edges": {"epochs": 8, "batch_size": 64}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    write(folder, "train", "test", "", "track_id", 12)
    return folder


def _examples(folder, numbers) -> Examples:
    prefixes = np.array([f"{folder}/train/event{n:09d}" for n in numbers], dtype=object)
    features = Features.of(len(prefixes))
    features.media["event"] = events.Points(events.gather(prefixes, progress=lambda line: None), np.arange(len(prefixes)))
    target = np.empty(len(prefixes), dtype=object)
    target[:] = [TracksFile(prefix) for prefix in prefixes]
    return Examples(prefixes, features, target)


def _model(name, threads=1):
    if name == "edges":
        pytest.importorskip("torch")
    return registry.find("estimators", name)(Setup("clustering", 1, "bce", threads=threads), **QUICK[name])


def _score(rows, answers) -> float:
    truth = [answer.read() for answer in rows.target]
    assert all(np.array_equal(hits, true.hit_id) for (hits, _), true in zip(answers, truth))
    return trackml.score([(true.particle, true.weight) for true in truth], [group for _, group in answers])


def _same(one, other) -> bool:
    return all(np.array_equal(a, b) and np.array_equal(g, h) for (a, g), (b, h) in zip(one, other, strict=True))


@pytest.mark.parametrize("name", LEAST)
def test_a_model_finds_tracks_repeats_itself_and_comes_back_from_its_files(name, folder, tmp_path):
    train, valid = _examples(folder, range(1000, 1007)), _examples(folder, range(1007, 1009))
    model = _model(name)
    model.fit(train, {})
    answers = model.predict(valid)
    assert _score(valid, answers) > LEAST[name]
    model.save(tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in (".json", ".safetensors", ".txt")]
    for threads in (1, 2):
        again = _model(name, threads)
        again.load(tmp_path)
        assert _same(again.predict(valid), answers)
    anew = _model(name)
    anew.fit(train, {})
    assert _same(anew.predict(valid), answers)


@pytest.mark.parametrize("name", LEAST)
def test_absurd_events_to_predict_move_nothing_and_events_without_hits_are_answered(name, folder):
    train, valid = _examples(folder, range(1000, 1004)), _examples(folder, [1007])
    model = _model(name)
    model.fit(train, {})
    before = model.predict(valid)
    event = _examples(folder, [1008]).features.media["event"][0]
    odd = np.arange(len(event))[:, None]
    far = Event(event.hit_id, np.where(odd % 2, 1e30, 0.0) + 0 * event.xyz, event.module + (odd % 3 == 0) * 100)
    features = Features.of(2)
    features.media["event"] = _Held([far, Event(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.int32))])
    (hits, groups), (none, nothing) = model.predict(Examples(np.array(["a", "b"], dtype=object), features))
    assert np.array_equal(hits, event.hit_id) and len(groups) == len(hits) and len(none) == len(nothing) == 0
    assert _same(model.predict(valid), before)


class _Held(list):
    """Events in memory in the place of a block."""


@pytest.mark.parametrize("name", LEAST)
def test_training_events_without_hits_are_left_out_and_none_at_all_is_an_error(name, folder):
    model = _model(name)
    with pytest.raises(DataError, match="nothing to learn from"):
        model.fit(_examples(folder, [5555]), {})
    train = _examples(folder, [1000, 5555, 1001, 1002])
    model.fit(train, {})
    assert _score(_examples(folder, [1007]), model.predict(_examples(folder, [1007]))) > 0.2


def test_a_helix_through_three_points_meets_barrels_and_disks_where_it_should():
    centre, radius, rise, start = np.array([30.0, 400.0]), 401.0, 50.0, -1.4
    angles = start + np.array([0.1, 0.2, 0.3, 0.55])
    x, y = centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)
    z = 7 + rise * (angles - start)
    ox, oy, found, turn = through(x[0], y[0], x[1], y[1], x[2], y[2])
    assert (ox, oy, found, turn) == pytest.approx((*centre, radius, 1.0))
    slope = slope_of(ox, oy, turn, x[0], y[0], z[0], x[2], y[2], z[2])
    assert slope == pytest.approx(rise) and turned(ox, oy, turn, x[2], y[2], x[3], y[3]) == pytest.approx(0.25)
    for kind, place, along in ((BARREL, np.hypot(x[3], y[3]), z[3]), (DISK, z[3], np.hypot(x[3], y[3]))):
        assert meets(ox, oy, found, turn, x[2], y[2], z[2], slope, kind, place, True) == pytest.approx((True, np.arctan2(y[3], x[3]), along))
    assert not meets(ox, oy, found, turn, x[2], y[2], z[2], slope, BARREL, 5000.0, True)[0]  # it never gets so far
    assert not meets(ox, oy, found, turn, x[2], y[2], z[2], slope, DISK, z[0], True)[0]  # behind it
    assert meets(ox, oy, found, turn, x[2], y[2], z[2], slope, DISK, z[0], False)[0]


def test_a_hit_that_is_off_the_helix_is_off_by_so_many_millimetres():
    angles = np.array([0.0, 0.1, 0.2, 0.3])
    xyz = np.column_stack([1000 * np.sin(angles), 1000 - 1000 * np.cos(angles), 100 * angles])
    r, phi = np.hypot(*xyz[3, :2]), np.arctan2(xyz[3, 1], xyz[3, 0]) + 0.002
    xyz[3] = r * np.cos(phi), r * np.sin(phi), xyz[3, 2] - 0.5
    ((across, along, _, _, inverse, met),) = residuals(xyz, np.array([[0, 1, 2, 3]]), np.array([BARREL]), False, True)
    assert (across, along, inverse, met) == pytest.approx((0.002 * r, -0.5, 1e-3, 1))


def test_a_detector_is_learned_from_hits_alone():
    told = [made(np.random.default_rng(seed), 60) for seed in range(4)]
    pairs = [(_event(tables["hits"]), Tracks(*(tables["truth"][c].to_numpy() for c in ("hit_id", "particle_id", "weight")))) for tables in told]
    detector = Detector()
    detector.fit(pairs)
    codes, layers = detector.state["codes"], detector.state["layers"]
    place = {tuple(code): n for n, code in enumerate(codes.tolist())}
    assert layers[place[8, 4], :2] == pytest.approx([BARREL, 72], abs=1) and layers[place[9, 6], :2] == pytest.approx([DISK, 820], abs=1)
    flights = {tuple(pair): chance for pair, chance in zip(detector.state["flights"].tolist(), detector.state["chances"])}
    assert flights[place[8, 2], place[8, 4]] > 0.5 and (place[8, 4], place[8, 2]) not in flights
    assert detector.state["limits"][0, 0] == pytest.approx(1 / (1667 * 0.5), rel=0.3)  # the slowest particles have 0.5 GeV


def _event(hits) -> Event:
    return Event(hits["hit_id"].to_numpy(), hits[["x", "y", "z"]].to_numpy(), hits[["volume_id", "layer_id", "module_id"]].to_numpy(dtype=np.int32))


def test_a_step_of_a_track_has_the_log_odds_of_its_pair():
    pytest.importorskip("torch")
    from kit.estimators.edges import steps

    pairs = np.array([[4, 2], [0, 1], [1, 2]])
    odds = steps(np.array([[0, 1, 2], [4, 2, 0]], dtype=np.int32), pairs, np.array([0.3, 0.9, 1.0]))
    assert odds == pytest.approx(np.array([[np.log(9), np.log(49)], [np.log(3 / 7), 0]]), rel=1e-5)
    assert steps(np.array([[0, 1, 2]], dtype=np.int32), np.zeros((0, 2), np.int64), np.zeros(0)).tolist() == [[0, 0]]


def test_the_company_of_a_pair_is_counted_among_its_own_event():
    pytest.importorskip("torch")
    from kit.estimators.edges import company

    origins = np.array([*np.full(50, 30.0), *np.linspace(-100, 100, 50), 500.0])
    known = company(origins, np.arange(len(origins)) < 100)
    assert known[0] > 2 and known[-1] < 0
    assert company(origins + 70, np.arange(len(origins)) < 100) == pytest.approx(known)  # wherever the collisions of an event lie
    assert company(origins, np.zeros(len(origins), bool)).tolist() == [0] * len(origins)

"""Pictures as columns: the same for all folds, missing where there is no picture, computed once."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.encoders import Encoders, Gathering, gathered
from kit.errors import ConfigError, DataError
from kit.tables import Column

SCHEMA = {"size": Column("numeric"), "photo": Column("image")}


def frames(folder, n=6):
    paths = []
    for k in range(n):
        paths.append(str(folder / f"{k}.png"))
        Image.new("RGB", (20, 14), (40 * k, 10, 255 - 40 * k)).save(paths[-1])
    frame = pd.DataFrame({"size": np.arange(n, dtype=float), "photo": paths}, index=pd.Index([f"{k}" for k in range(n)], name="id"))
    return frame.iloc[:4], frame.iloc[4:]


def test_thumbnails_are_columns_beside_the_others_and_name_their_column(tmp_path):
    train, test, stores = gathered(*frames(tmp_path), SCHEMA, {}, Gathering())
    encoders = Encoders(SCHEMA, stores=stores)
    features = encoders.fit_transform(train, np.zeros((4, 1)))
    assert features.dense.shape == (4, 1 + 12 * 12 * 3) and features.dense_names[1] == "photo_0"
    assert features.dense[1, 1:4].tolist() == pytest.approx([40 / 255, 10 / 255, 215 / 255], abs=1e-6)
    assert encoders.transform(test).dense[0, 1] == pytest.approx(160 / 255)


def test_a_row_without_a_picture_has_missing_columns_and_no_other_row_changes(tmp_path):
    train, test = frames(tmp_path)
    whole = gathered(train, test, SCHEMA, {}, Gathering())
    lacking = gathered(train, test.assign(photo=[None, test["photo"].iloc[1]]), SCHEMA, {}, Gathering())
    before, after = (Encoders(SCHEMA, stores=s).fit_transform(t, np.zeros((4, 1))) for t, _, s in (whole, lacking))
    assert np.array_equal(before.dense, after.dense)
    encoders = Encoders(SCHEMA, stores=lacking[2])
    encoders.fit_transform(lacking[0], np.zeros((4, 1)))
    found = encoders.transform(lacking[1])
    assert np.isnan(found.dense[0, 1:]).all() and np.isfinite(found.dense[1]).all()


def test_a_model_that_takes_pictures_gets_them_and_no_columns_of_them(tmp_path):
    train, _, stores = gathered(*frames(tmp_path), SCHEMA, {}, Gathering(takes=("image",)))
    features = Encoders(SCHEMA, stores=stores).fit_transform(train, np.zeros((4, 1)))
    assert features.dense.shape == (4, 1) and features.media["photo"][2].shape == (14, 20, 3)
    some = features.take(np.array([2, 0]))
    assert some.media["photo"][1].tolist() == features.media["photo"][0].tolist() and some.dense[:, 0].tolist() == [2.0, 0.0]


def test_features_are_computed_once_and_read_back_after(tmp_path, monkeypatch):
    train, test = frames(tmp_path)
    how = Gathering(folder=tmp_path / "cache")
    first = gathered(train, test, SCHEMA, {}, how)[2]["photo"].features
    import kit.encoders.image as module

    monkeypatch.setattr(module, "_thumbnails", lambda album: pytest.fail("computed again"))
    assert np.array_equal(gathered(train, test, SCHEMA, {}, how)[2]["photo"].features, first)


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_features_of_weights_that_were_replaced_are_computed_anew(kind, tmp_path, monkeypatch):
    from kit.encoders.audio import Audio
    from kit.encoders.image import Image as Pictures

    weights = tmp_path / "weights.pt"
    made = iter(np.arange(12, dtype=np.float32).reshape(2, 6, 1))
    encoder, how = (Pictures if kind == "image" else Audio)(features="test_resnet", weights=str(weights)), Gathering(folder=tmp_path / "cache")
    monkeypatch.setattr("kit.backbones.frozen_features", lambda *given, **others: next(made))

    class Held:
        key, there = "held", np.ones(6, bool)

    found = []
    for content in ("one", "one", "two"):
        weights.write_text(content)
        found.append(encoder._frozen(Held(), how).ravel().tolist())
    assert found == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_features_that_no_package_holds_are_told_by_the_options_that_ask_for_them(tmp_path):
    pytest.importorskip("timm")
    options = {"image": {"features": "test_resnet", "weights": "package"}}
    with pytest.raises(ConfigError, match=r'^encoders\.image\.weights = "package": there is a package for .*, not for "test_resnet"'):
        gathered(*frames(tmp_path), SCHEMA, options, Gathering())
    options["image"]["weights"] = str(tmp_path / "none.pt")
    with pytest.raises(ConfigError, match=r'^encoders\.image\.weights = ".*none\.pt": no such file'):
        gathered(*frames(tmp_path), SCHEMA, options, Gathering())


def test_too_many_damaged_training_pictures_stop_and_damaged_test_pictures_do_not(tmp_path):
    train, test = frames(tmp_path)
    lines = []
    for path in test["photo"]:
        open(path, "wb").close()
    gathered(train, test, SCHEMA, {}, Gathering(progress=lines.append))
    assert any("2 of 6 pictures are damaged: 2 empty" in line for line in lines)
    open(train["photo"].iloc[0], "wb").close()
    with pytest.raises(DataError, match="too many pictures of the training rows"):
        gathered(train, test, SCHEMA, {}, Gathering())


def test_new_rows_are_gathered_without_training_rows(tmp_path):
    _, test = frames(tmp_path)
    train, rows, stores = gathered(None, test, SCHEMA, {}, Gathering())
    assert train is None and rows["photo"].tolist() == [0, 1] and len(stores["photo"].features) == 2


@pytest.mark.parametrize("options, side", [({"feature_size": 512}, 512), ({}, 256), ({"features": "vit_small_patch14_dinov2"}, 518)])
def test_pictures_are_kept_as_large_as_the_network_of_their_features_looks_at_them(tmp_path, monkeypatch, options, side):
    Image.new("RGB", (900, 700)).save(tmp_path / "large.png")
    frame, seen = pd.DataFrame({"photo": [str(tmp_path / "large.png")]}, index=pd.Index(["a"], name="id")), []

    def features(album, architecture, **told):
        seen.append(min(album[0].shape[:2]))
        return np.zeros((len(album), 1), np.float32)

    monkeypatch.setattr("kit.backbones.frozen_features", features)
    gathered(frame, frame.iloc[:0], {"photo": Column("image")}, {"image": {"features": "tf_efficientnet_lite0", "weights": "package"} | options}, Gathering())
    assert seen == [side]

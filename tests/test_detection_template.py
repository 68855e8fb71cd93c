"""A folder of pictures with boxes becomes a competition by the template, trains to a whole submission, and says what is wrong with its files."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("ensemble_boxes")

from PIL import Image
from safetensors.numpy import load_file

from kit.estimators import neural
from kit.files import read_json
from kit.predictions import Predictions
from kit.zoo._supervised import Supervised

SCENES = {  # picture by picture the same, but for noise: what stands where, x1 y1 x2 y2 with x2 and y2 beyond the box
    "a": ((40, 90, 200), [("ball", [4, 6, 20, 22])]),
    "b": ((200, 60, 40), [("block", [10, 2, 44, 18])]),
    "c": ((60, 180, 70), [("ball", [2, 30, 14, 42]), ("block", [20, 20, 46, 46])]),
}
NUMBERS = {"ball": 7, "block": 2}  # ids of categories
CELLS = 'input.cells={ class = "label", xmin = "x1", ymin = "y1", xmax = "x2", ymax = "y2" }'
BASELINE = ["model.name=nearest", "encoders.image.features=pixels", "score.folds.count=2", "train.threads=1"]
DETECTOR = [  # two steps an epoch: enough to see that it goes round
    "model.trunk=test_resnet", "model.weights=none", "model.channels=32", "model.strides=[8, 16]", "model.coarser=0", "train.epochs=2", "train.batch_size=4", "train.ema=0",
    "train.workers=0", "train.precision=32-true", "train.channels_last=yes", "augment.size=64", "augment.recipe=none", "score.folds.count=2",
]  # fmt: skip


@pytest.fixture
def kit(kit, tmp_path, monkeypatch):
    """Runs `kit ...` in an empty folder: (lines of standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0) -> tuple[list[str], str]:
        done = kit(*words)
        assert done.code == code, done.err
        return done.out, "\n".join(done.err)

    return run


def drawn(folder: Path, name: str, scene: str, random: np.random.Generator) -> None:
    pixels = np.full((48, 48, 3), 120.0)
    for label, (x1, y1, x2, y2) in SCENES[scene][1]:
        pixels[y1:y2, x1:x2] = (230, 220, 60) if label == "ball" else SCENES[scene][0]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels + random.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)).save(folder / name)


def pictures(data: Path) -> list[tuple[str, str]]:
    """12 to learn from, four of each scene, and one of each to search: (name, scene) of those to learn from."""
    random = np.random.default_rng(0)
    named = [(f"p{n:02d}.png", "abc"[n % 3]) for n in range(12)]
    for name, scene in named:
        drawn(data / "train", name, scene, random)
    for scene in SCENES:
        drawn(data / "test", f"like-{scene}.png", scene, random)
    return named


def coco(data: Path) -> Path:
    named = pictures(data)
    images = [{"id": 100 + n, "file_name": name, "width": 48, "height": 48} for n, (name, _) in enumerate(named)]
    boxes = [(100 + n, label, box) for n, (_, scene) in enumerate(named) for label, box in SCENES[scene][1]]
    annotations = [
        {"id": n, "image_id": of, "category_id": NUMBERS[label], "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0} for n, (of, label, (x1, y1, x2, y2)) in enumerate(boxes, start=1)
    ]
    told = {"images": images, "annotations": annotations, "categories": [{"id": number, "name": name} for name, number in NUMBERS.items()]}
    (data / "train.json").write_text(json.dumps(told), encoding="utf-8")
    return data


def table(data: Path) -> Path:
    rows = [[name, label, *box] for name, scene in pictures(data) for label, box in SCENES[scene][1]]
    pd.DataFrame(rows, columns=["image", "class", "xmin", "ymin", "xmax", "ymax"]).to_csv(data / "train.csv", index=False)
    return data


MADE = {"coco": (coco, []), "table": (table, ["input.train=train.csv", CELLS, "input.id=image"])}


def changed(data: Path, change) -> None:
    """What the annotations say, changed in place."""
    if (data / "train.json").exists():
        told = json.loads((data / "train.json").read_text(encoding="utf-8"))
        change(told)
        (data / "train.json").write_text(json.dumps(told), encoding="utf-8")
    else:
        rows = pd.read_csv(data / "train.csv")
        change(rows)
        rows.to_csv(data / "train.csv", index=False)


@pytest.fixture(params=MADE)
def made(request, kit, tmp_path):
    """(form, data folder) of a competition "boxes" that was made from it."""
    make, overrides = MADE[request.param]
    out, _ = kit("new", "boxes", "--from", make(tmp_path / "files"), "--template", "detection", *overrides)
    assert out == ["competitions/boxes"]
    return request.param, tmp_path / "files"


def groups(cell: str) -> list[tuple[str, list[float]]]:
    """(label, corners) of a cell, by label; the scores are looked at, and left out."""
    parts = np.array(cell.split(), dtype=object).reshape(-1, 6)
    scores = parts[:, 1].astype(float)
    assert scores.min() > 0 and scores.max() <= 1
    return sorted((label, [float(v) for v in corners]) for label, _, *corners in parts.tolist())


def test_a_folder_of_pictures_with_boxes_trains_to_a_submission_of_all_test_pictures(kit, made):
    form, data = made
    text = Path("competitions/boxes/config.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["input"]["data"] == str(data) and "# what is the input?" in text
    before = {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}
    out, _ = kit("train", "boxes", *BASELINE)
    run = Path("competitions/boxes/runs/1-nearest")
    assert out[-1] == str(run / "submission.csv") and out[0] == "data    12 train rows, 3 test rows, target PredictionString (2 classes)"
    submission = pd.read_csv(run / "submission.csv")
    assert submission.columns.tolist() == [{"coco": "ImageId", "table": "image"}[form], "PredictionString"]
    assert submission.iloc[:, 0].tolist() == ["like-a", "like-b", "like-c"]
    for cell, (_, objects) in zip(submission["PredictionString"], SCENES.values()):
        assert groups(cell) == sorted(objects)  # as the files have them: x2 and y2 beyond the box
    info, oof = read_json(run / "run.json"), Predictions.read(run / "oof.parquet")
    assert info["state"] == "finished" and info["covered"] == info["validated"] == len(oof.ids) == 12
    assert info["score"]["mean"] == pytest.approx(1.0) and info["score"]["folds"] == pytest.approx([1.0, 1.0]) and info["constant"] == 0.0
    assert "cv      coco_map 1 " in "\n".join(out)
    assert {p: p.read_bytes() for p in data.rglob("*") if p.is_file()} == before


def far_off(told, count: int) -> None:
    """The first boxes, beyond the right side of their pictures."""
    if isinstance(told, dict):
        for annotation in told["annotations"][:count]:
            annotation["bbox"] = [60, 2, 9, 9]
    else:
        told.loc[: count - 1, ["xmin", "xmax"]] = [60, 69]


def test_a_box_outside_its_picture_is_dropped_and_counted(kit, made):
    form, data = made
    changed(data, lambda told: far_off(told, 1))
    _, err = kit("train", "boxes", *BASELINE)
    assert f"note    boxes of train.{ {'coco': 'json', 'table': 'csv'}[form] } that were dropped: 1 outside the picture" in err.splitlines()


def test_boxes_that_are_mostly_outside_their_pictures_are_refused(kit, made):
    form, data = made
    changed(data, lambda told: far_off(told, 12))
    _, err = kit("train", "boxes", *BASELINE, code=1)
    name, asked = {"coco": ("train.json", "[x, y, width, height] in pixels"), "table": ("train.csv", "what input.cells says")}[form]
    assert f"kit: 12 of 16 boxes of {name} are none: 12 outside the picture\n" in err and asked in err
    assert not list(Path("competitions").rglob("submission.csv"))


def test_annotations_of_a_picture_that_is_not_listed_are_refused(kit, tmp_path):
    data = coco(tmp_path / "files")
    changed(data, lambda told: told["annotations"][0].update(image_id=999))
    kit("new", "boxes", "--from", data, "--template", "detection")
    _, err = kit("train", "boxes", *BASELINE, code=1)
    assert "kit: train.json: 1 of 16 annotations are of images that it does not list: 999" in err


def test_rows_of_pictures_that_are_not_there_are_told_and_too_many_refused(kit, tmp_path):
    data = table(tmp_path / "files")
    kit("new", "boxes", "--from", data, "--template", "detection", *MADE["table"][1])
    (data / "train" / "p03.png").unlink()
    _, err = kit("train", "boxes", *BASELINE)
    assert f"note    1 of 12 pictures cannot be measured, so their boxes are as the table has them: {data}/train/p03.png" in err
    (data / "train" / "p04.png").unlink()
    _, err = kit("train", "boxes", *BASELINE, code=1)
    assert "cannot be used: 2 of 12 pictures are damaged: 2 missing (train/p03.png, train/p04.png)\n     expected a share of at most 0.1\n" in err


@pytest.mark.parametrize("lost, told", [("train", r"none of the 12 pictures .*train/p00.png, .*train/p01.png, and 10 more"), ("test", r"no picture in .*test, and no sample submission is named: there is nothing to predict")])
def test_a_missing_folder_of_pictures_is_named_with_what_is_there(kit, made, lost, told):
    _, data = made
    (data / lost).rename(data / "elsewhere")
    _, err = kit("train", "boxes", *BASELINE, code=1)
    assert re.search(told, err) and f"{data} holds elsewhere/" in err


def test_the_template_trains_on_its_own_sample(kit):
    kit("new", "mine", "--template", "detection")
    out, _ = kit("train", "mine", "--sample", *BASELINE)
    submission = pd.read_csv(out[-1])
    test = {p.stem for p in Path("competitions/mine/sample/test").iterdir()}
    assert len(test) == 20 and set(submission["ImageId"]) == test and submission["PredictionString"].notna().all()
    info = read_json(Path(out[-1]).parent / "run.json")
    assert info["covered"] == 60 and 0 < info["score"]["mean"] <= 1


class Watched(Supervised):
    """Tells in the current folder what each process has learned in a fold, and from which of its rows in the last epoch."""

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.looked_at = []

    def training_step(self, batch, position):
        self.looked_at += batch["rows"].tolist()
        return super().training_step(batch, position)

    def on_train_end(self):
        super().on_train_end()
        weights = {name: p.detach().numpy() for name, p in self.network.named_parameters()}
        np.savez(f"{self.checkpoints.parent.name}-{self.trainer.global_rank}.npz", rows=self.looked_at, **weights)


@pytest.mark.slow
def test_a_detector_trains_in_two_processes_to_one_run_whose_out_of_fold_predictions_are_whole(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(neural, "Supervised", Watched)
    kit("new", "boxes", "--from", coco(tmp_path / "files"), "--template", "detection")
    out, err = kit("train", "boxes", "--preset", "fast", *DETECTOR, "train.devices=2")
    run = Path("competitions/boxes/runs/1-detector")
    assert list(run.parent.iterdir()) == [run] and out[-1] == str(run / "submission.csv")
    told = [line.split("  loss")[0] for line in err.splitlines() if " epoch " in line]
    assert told == [f"fold {k}  epoch {n} of 2" for k in (0, 1) for n in (1, 2)]  # by one process alone
    for k in (0, 1):
        first, second = (dict(np.load(f"fold-{k}-{process}.npz")) for process in (0, 1))
        looked_at = first.pop("rows").tolist(), second.pop("rows").tolist()
        assert sorted(sum(looked_at, [])) == list(range(6)) and min(map(len, looked_at)) >= 2
        kept = load_file(run / f"fold-{k}" / "model.safetensors")
        assert len(first) > 20 and all(np.array_equal(p, second[name]) and np.array_equal(p, kept[f"network.{name}"]) for name, p in first.items())
    info, oof = read_json(run / "run.json"), Predictions.read(run / "oof.parquet")
    assert info["state"] == "finished" and oof.ids.tolist() == [str(100 + n) for n in range(12)] and info["covered"] == info["validated"] == 12
    assert 0 <= info["score"]["mean"] <= 1 and len(info["score"]["folds"]) == 2
    submission = pd.read_csv(run / "submission.csv")
    assert submission["ImageId"].tolist() == ["like-a", "like-b", "like-c"]
    predicted, _ = kit("predict", run)
    assert Path(predicted[-1]).read_bytes() == (run / "submission.csv").read_bytes()


@pytest.mark.parametrize("form", MADE)
def test_without_the_template_boxes_are_recognised_and_the_template_is_named(kit, tmp_path, form):
    data = MADE[form][0](tmp_path / "files")
    if form == "table":
        pd.DataFrame({"image": ["like-a.png"], "PredictionString": [""]}).to_csv(data / "sample_submission.csv", index=False)
    _, err = kit("new", "boxes", "--from", data, code=1)
    assert {"coco": "train.json", "table": "train.csv"}[form] in err and "has boxes" in err and f"kit new NAME --template detection --from {data}" in err
    assert not Path("competitions").exists()


def test_boxes_beside_labels_of_whole_pictures_are_no_detection(kit, tmp_path):
    data = tmp_path / "files"
    named = pictures(data)
    pd.DataFrame(named, columns=["id", "scene"]).to_csv(data / "train.csv", index=False)
    pd.DataFrame({"id": ["like-a.png", "like-b.png", "like-c.png"], "scene": ["a", "b", "c"]}).to_csv(data / "sample_submission.csv", index=False)
    pd.DataFrame([[name, 1, 2, 30, 40] for name, _ in named], columns=["picture", "x1", "y1", "x2", "y2"]).to_csv(data / "crops.csv", index=False)
    _, err = kit("new", "scenes", "--from", data)
    assert tomllib.loads(Path("competitions/scenes/config.toml").read_text())["output"]["target"] == "scene", err

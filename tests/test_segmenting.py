"""Masks are learned from maps of instances, and come back as runs in pixels of each picture."""

import numpy as np
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("ensemble_boxes")

import torch

from kit import masks
from kit.adapters import _sample_boxes
from kit.album import Pictures, gather
from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators._detecting import Detecting, outlined
from kit.found import Found
from kit.losses.detection import Detection as Loss
from kit.zoo._inputs import Inputs
from kit.zoo._object_views import map_of
from kit.zoo.segmenter import Segmenter

ON_TRUNK = {"architecture": "mask_rcnn", "trunk": "test_resnet", "weights": "none", "channels": 32, "strides": [4, 8], "coarser": 0}


def examples(rows: int, seed: int = 0, *, size: int = 0) -> Examples:
    random = np.random.default_rng(seed)
    cells, found = np.empty(rows, dtype=object), np.empty(rows, dtype=object)
    for n in range(rows):
        cells[n], labels, boxes = _sample_boxes.draw(random, ("0", "1"), side=64)
        shapes = []
        for label, (x1, y1, x2, y2) in zip(labels, boxes):
            whole, side = np.zeros((64, 64), bool), x2 - x1 + 1
            y, x = np.mgrid[0:side, 0:side] + 0.5
            whole[y1 : y2 + 1, x1 : x2 + 1] = np.hypot(x - side / 2, y - side / 2) <= side / 2 if label == "0" else True
            shapes.append(masks.of_pixels(whole))
        n_found = len(labels)
        found[n] = Found(np.array(labels, dtype=np.int64), np.ones(n_found), np.array(boxes, float) + [0, 0, 1, 1], shapes, np.zeros(n_found, bool))
    features = Features.of(rows)
    features.media["image"] = Pictures(gather(cells, folder=None, size=size, cache="never", threads=1, progress=lambda line: None), np.arange(rows))
    return Examples(np.array([f"{n:03d}" for n in range(rows)], dtype=object), features, found)


def model(**augment) -> Detecting:
    setup = Setup(task="segmentation", outputs=2, loss="detection", threads=1, augment={"size": 64, "recipe": "none", "resize": "pad", **augment})
    return Detecting(setup, Segmenter, dict(ON_TRUNK), epochs=8, batch_size=8, lr=4e-3, precision="32-true", workers=0)


@pytest.fixture(scope="module")
def fitted():
    made = model()
    made.fit(examples(40), {})
    return made


def right(predicted: list[Found], true: np.ndarray) -> float:
    hits = []
    for own, found in zip(predicted, true):
        overlap = masks.iou(found.masks, own.masks) if len(own) else np.zeros((len(found), 1))
        same = found.labels[:, None] == own.labels[None].astype(int) if len(own) else np.zeros((len(found), 1), bool)
        hits += ((overlap >= 0.5) & same).any(axis=1).tolist()
    return float(np.mean(hits))


@pytest.mark.parametrize("size, views", [(0, []), (48, []), (0, ["flip"])])
def test_it_outlines_shapes_that_it_has_not_seen_in_pixels_of_the_whole_picture(fitted, size, views):
    asked = model(views=views)
    asked.network, asked.prior, asked.preparation = fitted.network, fitted.prior, fitted.preparation
    test = examples(12, seed=9, size=size)
    assert right(asked.predict(test), test.target) > 0.6


def test_it_comes_back_from_its_files(fitted, tmp_path):
    test = examples(4, seed=9)
    fitted.save(tmp_path)
    again = model()
    again.load(tmp_path)
    for a, b in zip(fitted.predict(test), again.predict(test)):
        assert [masks.encode(m) for m in a.masks] == [masks.encode(m) for m in b.masks] and np.array_equal(a.scores, b.scores)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_views_probabilities_become_runs_of_the_whole_picture(mirrored):
    height, width, side = 40, 80, 64  # padded to 80 x 80, seen at 64 x 64
    whole = np.zeros((height, width), bool)
    whole[5:30, 10:80] = True
    rows, columns = ((np.arange(side) + 0.5) * 80 / side - 20).astype(int), ((np.arange(side) + 0.5) * 80 / side).astype(int)
    shape = np.where((rows[:, None] >= 0) & (rows[:, None] < height), whole[rows.clip(0, height - 1)[:, None], columns], False).astype(np.float32)
    shape = shape[:, ::-1] if mirrored else shape
    found = outlined(shape, np.array([10.0, 5, 80, 30]), [-20, 0, 80, 80], mirrored, height, width)
    assert masks.iou([found], [masks.of_pixels(whole)])[0, 0] > 0.93
    assert (found.starts[1:] > (found.starts + found.lengths)[:-1]).all()


def test_a_map_has_the_later_object_where_two_overlap_and_shrinks_with_the_picture():
    first, second = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    first[:, :4], second[2:, 2:] = True, True
    found = Found.of(["a", "b"], masks=[masks.of_pixels(first), masks.of_pixels(second)])
    assert map_of(found, 4, 6, 4, 6).tolist() == [[1, 1, 1, 1, 0, 0]] * 2 + [[1, 1, 2, 2, 2, 2]] * 2
    assert map_of(found, 4, 6, 2, 3).tolist() == [[1, 1, 0], [1, 2, 2]]


def test_mask2former_by_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    swin = transformers.SwinConfig(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.Mask2FormerConfig(
        backbone_config=swin, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, dim_feedforward=16, num_queries=10, train_num_points=64,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    torch.manual_seed(0)
    made = Segmenter(Inputs(0, (), 0, 2, 64), architecture=str(tmp_path), weights="none", least_score=0.0)
    instances = torch.zeros(2, 64, 64, dtype=torch.int32)
    instances[0, 4:30, 4:30], instances[0, 30:50, 30:60] = 1, 2
    boxes, labels = torch.zeros(2, 2, 4), torch.full((2, 2), -1)
    boxes[0], labels[0] = torch.tensor([[4.0, 4, 30, 30], [30, 30, 60, 50]]), torch.tensor([0, 1])
    batch = {"image": torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8), "boxes": boxes, "labels": labels, "instances": instances}
    Loss("segmentation")(made.train()(batch), torch.zeros(2)).mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    with torch.inference_mode():
        found = made.eval()(batch)
    assert len(found) == 2 and found[0]["masks"].shape[1:] == (64, 64) and len(found[0]["masks"]) == len(found[0]["boxes"])

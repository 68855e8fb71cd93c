"""Holds some of a network's weights as they are: what stands still costs no gradient, and a small data set cannot spoil it."""

from torch import nn

from kit.errors import ConfigError


def first_layers(network: nn.Module, count: int) -> set[str]:
    """The parameters of the first layers, counted from the stem. Raises ConfigError where none would be left to learn but the head."""
    layers = network.layers()
    many = max((layer for name, layer in layers.items() if name not in network.head()), default=0) + 1
    if count > many:
        raise ConfigError(f"train.freeze_layers = {count}: this network has {many} layers under its head\nset it to fewer")
    return {name for name, layer in layers.items() if layer < count}


def fixed(network: nn.Module) -> set[str]:
    """The parameters that never learn, by the network's own design, such as positions that are sines."""
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def freeze(network: nn.Module, frozen: set[str]) -> None:
    """Lets all parameters learn but the frozen ones, to which the `fixed` ones belong; a module whose parameters all are frozen keeps its running statistics, and drops nothing."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    network.train()
    for place, module in network.named_modules():
        own = [f"{place}.{name}" if place else name for name, _ in module.named_parameters()]
        if own and frozen.issuperset(own):
            module.eval()

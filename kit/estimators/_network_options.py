"""What of a network, its loss and its training does not go together: all of it is said before any data is read."""

from typing import Any

from kit.errors import ConfigError, shorten
from kit.estimators import Setup
from kit.hearing import Hearing
from kit.losses._loss import Loss
from kit.registry import find, installed
from kit.transforms import Augment
from kit.zoo._optimizers import check_optimizer

_LEAST = {"epochs": 0, "batch_size": 0, "lr": 0, "weight_decay": 0, "clip_norm": 0, "head_epochs": 0, "freeze_epochs": 0, "freeze_layers": 0, "devices": 1, "prefetch": 0, "further_epochs": 0}


def check(setup: Setup, network: type, network_options: dict[str, Any], loss: Loss, given: dict[str, Any], augment: Augment | None, hearing: Hearing | None) -> None:
    """Raises ConfigError with all that is wrong.

    given    options of the training
    augment  of pictures, where the network looks at them
    hearing  of sounds, where it hears them
    """
    embeds, problems = getattr(network, "embeds", False), []
    if setup.task not in loss.tasks or loss.embeds != embeds:
        problems.append(_no_loss_for_it(setup, loss, embeds))
    if given["sampling"] == "classes" and setup.task != "multiclass":
        problems.append(f'train.sampling = "classes": rows of output.task = "{setup.task}" are not of one class each\nset train.sampling = "rows"')
    if given["sampling"] == "classes" and loss.balances:
        problems.append(f'train.sampling = "classes" and train.loss = "{setup.loss}" both make rare classes count as others: together they count for more\nset train.sampling = "rows", or train.loss = "cross_entropy"')
    problems += [f"train.{key} = {given[key]}: expected {least} or more" for key, least in _LEAST.items() if given[key] < least]
    if not 0 <= given["warmup"] < 1:
        problems.append(f"train.warmup = {given['warmup']}: expected a share of the steps, at least 0 and less than 1")
    if hasattr(network, "problems_of"):
        problems += network.problems_of(**network_options)
    try:
        check_optimizer(given["optimizer"])
    except ConfigError as error:
        problems.append(str(error))
    for key, asked in (("layer_decay", "layers"), ("freeze_epochs", "head"), ("freeze_layers", "head")):
        if given[key] not in (0, 1.0) and not hasattr(network, asked):
            problems.append(f'train.{key} = {given[key]}: this network has no pretrained layers to treat apart; model "timm" has')
    if given["head_epochs"] > 0 and not hasattr(network, "top"):
        problems.append(f'train.head_epochs = {given["head_epochs"]}: this network has no head on pooled features that could learn alone; model "timm" has\nset it to 0')
    if given["accumulate"] < 1 or (given["batch_size"] and given["accumulate"] > given["batch_size"]):
        problems.append(f"train.accumulate = {given['accumulate']}: expected 1 to train.batch_size parts")
    if getattr(network, "optional", False) and augment is not None and (augment.mixup or augment.cutmix):
        problems.append("augment.mixup and augment.cutmix mix pictures alone, and this model looks at other columns beside them\nset both to 0")
    if augment is not None and augment.first_size not in (0, augment.size) and getattr(network, "bound_to", lambda **_: False)(**network_options):
        problems.append(f"augment.first_size = {augment.first_size}: this architecture is bound to one size of pictures\nset it to 0, or name another model.architecture")
    if getattr(network, "optional", False) and hearing is not None and hearing.mixup:
        problems.append("augment.audio.mixup mixes sounds alone, and this model looks at other columns beside them\nset it to 0")
    if loss.remembers and given["devices"] > 1:
        problems.append(f'train.loss = "{setup.loss}" remembers each row, which processes cannot share: set train.devices = 1')
    if problems:
        raise ConfigError("\n".join(problems))


def _no_loss_for_it(setup: Setup, loss: Loss, embeds: bool) -> str:
    if setup.task not in loss.tasks:
        wrong = f'train.loss = "{setup.loss}" is a loss for {shorten(loss.tasks)}, and output.task is "{setup.task}"'
    elif embeds:
        wrong = f'train.loss = "{setup.loss}" takes outputs, and this network gives embeddings'
    else:
        wrong = f'train.loss = "{setup.loss}" takes embeddings, and this network gives outputs'
    serving = _serving(setup.task, embeds)
    if not serving:
        return f'{wrong}\nnone takes this network\'s embeddings for such a task: name a model that gives outputs, such as model.name = "timm"'
    return f"{wrong}\nset train.loss to one that serves it: {shorten(serving, 20)}"


def _serving(task: str, embeds: bool) -> list[str]:
    """Names of the losses for the task and the kind of network, of those whose libraries are installed."""
    losses = {name: find("losses", name) for name in installed("losses")}
    return [name for name, loss in losses.items() if task in loss.tasks and loss.embeds == embeds]

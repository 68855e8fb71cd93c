"""Finds how this machine trains a network on pictures, texts or sounds quickest: precision, memory layout, and how many workers read ahead.

A trial of a few real steps, made once a run, printed, and frozen in the run's config: a habit that helps one machine slows another.
"""

import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from kit.errors import ConfigError
from kit.folding import Folding
from kit.losses._loss import Loss
from kit.machine import cores
from kit.zoo._depthwise import quick_depthwise
from kit.zoo._freezing import first_layers, fixed, freeze
from kit.zoo._loading import Asked, Batches, Order, loader
from kit.zoo._optimizers import optimizer_for
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Looking, Plan, row_losses
from kit.zoo._views import Views

_ROUNDS = 4  # timed steps of each way, after one that is not; the ways take turns, so that a busy moment hits all of them
_GAIN = 1.15  # how much quicker than a simpler way another must be
_HOPELESS = 3.0  # times as long as the quickest of the first turn: half precision on a processor without it takes ten times as long, and no further turn
_BEATEN = 1.5  # likewise of its quickest step in two timed turns: one busy moment decides nothing
_LITTLE, _LITTLE_HERE = 0.03, 0.1  # of a step that reading may take without a trial of workers, beside a GPU and on a processor that has no core to spare for them
_BATCHES = 8  # read to time the reading
_AHEAD = (2, 4, 8)  # batches that each worker may be ahead by; few take less memory


def measured(
    network: nn.Module,
    loss: Loss,
    rows: Rows,
    plan: Plan,
    views: dict[str, Views],
    looking: Looking,
    options: dict[str, Any],
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """The values of [train] that were left open: precision, channels_last, workers, prefetch.

    The network is not changed. Steps are those of the training, at the full side of its pictures.
    """
    device = torch.device("cuda" if torch.cuda.is_available() and options["accelerator"] in ("auto", "gpu") else "cpu")
    torch.set_num_threads(plan.threads)
    data = Batches(rows, 1, views)
    aside = any(views[kind].aside for kind in rows.media)
    order = Order(len(rows), max(plan.batches, 2), plan.accumulate, plan.seed, lambda: 0, 0, max(options["devices"], 1), lambda epoch: looking.side)
    asked = list(itertools.islice(order, _BATCHES))
    began = time.perf_counter()
    batches = [data[a] for a in asked]
    reading = (time.perf_counter() - began) / len(batches)
    batch = {k: v.to(device) for k, v in batches[0].items()}

    half = ["bf16-mixed"] if device.type == "cpu" or torch.cuda.is_bf16_supported() else ["16-mixed"]
    precisions = ["32-true", *half] if options["precision"] == "auto" else [options["precision"]]
    layouts = [options["channels_last"]] if options["channels_last"] != "auto" else ["no", "yes"] if aside else ["no"]
    seconds = _steps(network, loss, batch, plan, device, [(p, c) for p in precisions for c in layouts])
    chosen = next(iter(seconds))
    for way, took in seconds.items():  # the simplest first
        if took * _GAIN < seconds[chosen]:
            chosen = way
    step = seconds[chosen]
    if not aside:
        options = {**options, "workers": 0}
    workers, prefetch, told = _reading(data, asked, reading, step, device, network, loss, plan, chosen, options)
    listed = ", ".join(f"{p}{' channels_last' if c == 'yes' else ''} {1000 * took:.0f} ms" for (p, c), took in seconds.items())
    pictures = f" of {looking.side} px" if "image" in rows.media else ""
    progress(f"a step of {len(batch['target'])} rows{pictures}: {listed}; reading it {1000 * reading:.0f} ms")
    ahead = f", each {prefetch} batches ahead" if workers else ""
    progress(f"chosen  {chosen[0]}, channels_last {chosen[1]}, {workers} workers{ahead}{told}")
    return {"precision": chosen[0], "channels_last": chosen[1], "workers": workers, "prefetch": prefetch}


def _steps(
    network: nn.Module, loss: Loss, batch: dict[str, Tensor], plan: Plan, device: torch.device, ways: list[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """(precision, channels_last) -> seconds of its quickest step, or of its only one where that was hopeless; endless where the loss is not a number."""
    takes = {way: _taking(network, loss, plan, device, way[0], way[1] == "yes") for way in ways}
    seconds, full = dict.fromkeys(ways, float("inf")), set()
    for turn in range(1 + _ROUNDS):
        took = {}
        for way, take in takes.items():
            began = time.perf_counter()
            try:
                value = take(batch)
                if device.type == "cuda":
                    torch.cuda.synchronize()
            except torch.OutOfMemoryError:  # another way may need less
                full.add(way)
                seconds[way] = float("inf")
                continue
            if torch.isfinite(value):
                took[way] = time.perf_counter() - began
        if full == set(ways):
            raise ConfigError(f"a step of {len(batch['target'])} rows does not fit into the device's memory in any precision\nlower train.batch_size, raise train.accumulate, or lower augment.size")
        hopeless = {w for w in took if took[w] > _HOPELESS * min(took.values())} if turn or device.type == "cpu" else set()  # a GPU's first step readies it
        for way in took:
            if turn or way in hopeless:
                seconds[way] = min(seconds[way], took[way])
        beaten = {w for w in takes if seconds[w] > _BEATEN * min(seconds.values())} if turn == 2 else set()
        takes = {way: take for way, take in takes.items() if way not in hopeless | full | beaten}
    return seconds


def _taking(network: nn.Module, loss: Loss, plan: Plan, device: torch.device, precision: str, channels_last: bool) -> Callable[[dict[str, Tensor]], Tensor]:
    """A function that takes one training step with a copy of the network."""
    copy, loss = deepcopy(network).to(device), deepcopy(loss).to(device)
    if channels_last:
        copy.to(memory_format=torch.channels_last)
    copy.train()
    if plan.freeze_layers:
        freeze(copy, first_layers(copy, plan.freeze_layers) | fixed(copy))
    optimizer = optimizer_for(nn.ModuleList([copy, loss]), plan.optimizer, lr=0.0, weight_decay=0.0)
    half, folding = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision), Folding(copy)

    def take(batch: dict[str, Tensor]) -> Tensor:
        if "image" in batch and not channels_last:
            batch = {**batch, "image": batch["image"].contiguous()}
        with folding.passing(), quick_depthwise(device), torch.autocast(device.type, half) if half is not None else nullcontext():
            logits = copy(batch)
        remembered = [batch["rows"]] if loss.remembers else []
        value = row_losses(loss, logits, batch["target"], *remembered).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.detach()

    return take


def _reading(
    data: Batches,
    asked: list[Asked],
    reading: float,
    step: float,
    device: torch.device,
    network: nn.Module,
    loss: Loss,
    plan: Plan,
    chosen: tuple[str, str],
    options: dict[str, Any],
) -> tuple[int, int, str]:
    """(workers, prefetch, why): none where reading costs next to nothing, else the fewest that make reading and steps together about quickest."""
    prefetch = options["prefetch"] or _AHEAD[0]
    if options["workers"] >= 0 and (options["prefetch"] or not options["workers"]):
        return options["workers"], prefetch, ""
    if options["workers"] < 0 and reading < (_LITTLE if device.type != "cpu" else _LITTLE_HERE) * step:
        return 0, prefetch, ": reading costs next to nothing"
    most = cores()
    tried = sorted(n for n in {0, 1, 2, most // 2, most} if n <= most) if options["workers"] < 0 else [options["workers"]]
    take = _taking(network, loss, plan, device, chosen[0], chosen[1] == "yes")
    took = {n: _fed(data, asked, n, prefetch, take, device) for n in tried}
    workers = next(n for n in tried if took[n] <= 1.05 * min(took.values()))
    told = " (a step with " + ", ".join(f"{n}: {1000 * s:.0f} ms" for n, s in took.items()) + ")"
    if workers and not options["prefetch"]:
        further = {n: _fed(data, asked, workers, n, take, device) for n in _AHEAD}
        prefetch = next(n for n in _AHEAD if further[n] <= 1.05 * min(further.values()))
    return workers, prefetch, told


def _fed(data: Batches, asked: list[Asked], workers: int, prefetch: int, take: Callable, device: torch.device) -> float:
    """Seconds of a step and of waiting for its batch, when the workers have started."""
    feed = iter(loader(data, asked * 2, workers=workers, prefetch=prefetch, device=device))
    first = next(feed)  # workers start when they are first asked
    take({k: v.to(device) for k, v in first.items()})
    began, steps = time.perf_counter(), 0
    for batch in feed:
        take({k: v.to(device) for k, v in batch.items()})
        steps += 1
    return (time.perf_counter() - began) / steps

"""An EfficientNet's predictions and training steps with frozen layers, on a processor: norms folded into their convolutions beside norms as they are.

    python benchmarks/folding.py [--side 160] [--frozen 9] [--rounds 10] [--small]

The ways take turns with one batch, in kit's own precision and memory layout. Weights do not matter and are random. The limit: folded predictions
take at most 0.9 of the time, as else they are not worth their lines.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import torch

from kit.folding import Folding
from kit.registry import find
from kit.zoo._depthwise import quick_depthwise
from kit.zoo._freezing import first_layers, freeze
from kit.zoo._inputs import Inputs

LIMIT = 0.9


def predicting(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> None:
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        network(batch)


def training(network: torch.nn.Module, batch: dict[str, torch.Tensor], frozen: int) -> None:
    freeze(network, first_layers(network, frozen))
    network.zero_grad()
    with quick_depthwise(torch.device("cpu")), torch.autocast("cpu", torch.bfloat16):
        outputs = network(batch)
    torch.nn.functional.cross_entropy(outputs.float(), torch.arange(len(outputs)) % outputs.shape[1]).backward()


def measured(side: int, frozen: int, rounds: int, n: int) -> dict[str, float]:
    """What is done -> median seconds of it."""
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = find("zoo", "timm")(Inputs(dense=0, sizes=(), sparse=0, outputs=100, side=side), architecture="tf_efficientnet_lite0", weights="none")
    network.to(memory_format=torch.channels_last)
    batch = {"image": torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)}
    ways = {"a prediction": (lambda: predicting(network, batch), torch.inference_mode), "a step": (lambda: training(network, batch, frozen), nullcontext)}
    took: dict[str, list[float]] = {}
    for turn in range(1 + rounds):
        for name, (run, mode) in ways.items():
            with mode(), Folding(network) as folding:
                plain = seconds_of(run)
                with folding.passing():  # as ever, but what can be folded is seen
                    run()
                folded = seconds_of(run)
            for told, seconds in ((name, plain), (f"{name}, folded", folded)):
                took.setdefault(told, []).extend([seconds] if turn else [])
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def seconds_of(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=160, help="pixels")
    parser.add_argument("--frozen", type=int, default=9, help="layers")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--small", action="store_true", help="does it run?")
    options = parser.parse_args()
    side, rounds, n = (48, 2, 4) if options.small else (options.side, options.rounds, 32)
    took = measured(side, options.frozen, rounds, n)
    print(f"{n} pictures of {side} pixels, median of {rounds}; {options.frozen} layers are frozen in a step")
    for name, seconds in took.items():
        print(f"{name:<24}{1000 * seconds:>6.0f} ms")
    ratio = took["a prediction, folded"] / took["a prediction"]
    print(f"folded predictions {ratio:.2f} of the others (limit {LIMIT})" + ("" if ratio <= LIMIT else ": LIMIT MISSED"))
    return int(ratio > LIMIT and not options.small)


if __name__ == "__main__":
    sys.exit(main())

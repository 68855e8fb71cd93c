"""Training steps of an EfficientNet in bfloat16 on a processor: kit's gradients of depthwise convolutions beside torch's own, and beside single precision.

    python benchmarks/depthwise.py [--side 160] [--rounds 8] [--small]

The three ways take turns with one batch; weights do not matter and are random. The limit: with kit's gradients a step takes at most 0.8 of the
quicker of the other two, since otherwise they are not worth their lines.
"""

import argparse
import os
import statistics
import sys
import time
from contextlib import nullcontext

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import timm
import torch

from kit.zoo._depthwise import QuickDepthwise

LIMIT = 0.8
WAYS = {"kit's gradients, bfloat16": (True, True), "torch's own, bfloat16": (False, True), "torch's own, float32": (False, False)}


def stepping(network: torch.nn.Module, pictures: torch.Tensor, target: torch.Tensor, *, quick: bool, half: bool) -> float:
    """Seconds of one step's forward and backward pass."""
    network.zero_grad()
    began = time.perf_counter()
    with QuickDepthwise() if quick else nullcontext(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        outputs = network(pictures)
    torch.nn.functional.cross_entropy(outputs.float(), target).backward()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=160, help="pixels")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--small", action="store_true", help="does it run?")
    options = parser.parse_args()
    side, rounds, n = (48, 2, 4) if options.small else (options.side, options.rounds, 32)
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = timm.create_model("tf_efficientnet_lite0", num_classes=100).train().to(memory_format=torch.channels_last)
    pictures = torch.randn(n, 3, side, side).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 100, (n,))
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(1 + rounds):
        for name, (quick, half) in WAYS.items():
            seconds = stepping(network, pictures, target, quick=quick, half=half)
            took[name] += [seconds] if turn else []
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    print(f"a step of {n} pictures of {side} pixels, median of {rounds}")
    for name, seconds in medians.items():
        print(f"{name:<28}{1000 * seconds:8.0f} ms")
    first, *others = medians.values()
    ratio = first / min(others)
    print(f"ratio to the quicker of the others {ratio:.2f} (limit {LIMIT})" + ("" if ratio <= LIMIT else ": LIMIT MISSED"))
    return int(ratio > LIMIT and not options.small)


if __name__ == "__main__":
    sys.exit(main())

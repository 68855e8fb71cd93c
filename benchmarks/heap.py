"""A training step of an EfficientNet on a processor, its memory kept from step to step, beside the same step with the C library's own ways.

    python benchmarks/heap.py [--side 112] [--rounds 15] [--small]

The ways take turns, some steps each, with one batch in kit's own precision. The limit: kept, a step takes at most 0.95 of the time, as else it is not
worth its lines.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from contextlib import nullcontext

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import torch

from kit.heap import keeping
from kit.registry import find
from kit.zoo._depthwise import quick_depthwise
from kit.zoo._inputs import Inputs

LIMIT = 0.95
STEPS = 4  # of one way before the other has its turn; the first finds the memory as the other left it, and is not timed


def measured(side: int, rounds: int, n: int) -> dict[str, tuple[float, float]]:
    """Way -> (median seconds of a step, page faults of one)."""
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = find("zoo", "timm")(Inputs(dense=0, sizes=(), sparse=0, outputs=100, side=side), architecture="tf_efficientnet_lite0", weights="none")
    network.to(memory_format=torch.channels_last).train()
    batch = {"image": torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)}
    goal = torch.arange(n) % 100
    took, faults = {"as it is": [], "kept": []}, {"as it is": 0, "kept": 0}
    for turn in range(1 + rounds):
        for way, around in (("as it is", nullcontext), ("kept", keeping)):
            with around():
                for step in range(STEPS):
                    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
                    network.zero_grad()
                    with quick_depthwise(torch.device("cpu")), torch.autocast("cpu", torch.bfloat16):
                        outputs = network(batch)
                    torch.nn.functional.cross_entropy(outputs.float(), goal).backward()
                    if turn and step:
                        took[way].append(time.perf_counter() - began)
                        faults[way] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {way: (statistics.median(seconds), faults[way] / len(seconds)) for way, seconds in took.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=112, help="pixels")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--small", action="store_true", help="does it run?")
    options = parser.parse_args()
    side, rounds, n = (48, 1, 4) if options.small else (options.side, options.rounds, 32)
    found = measured(side, rounds, n)
    print(f"{n} pictures of {side} pixels, medians of {rounds * (STEPS - 1)} steps")
    for way, (seconds, faults) in found.items():
        print(f"{way:<10}{1000 * seconds:>6.0f} ms{faults:>10,.0f} page faults")
    ratio = found["kept"][0] / found["as it is"][0]
    print(f"kept {ratio:.2f} of the other (limit {LIMIT})" + ("" if ratio <= LIMIT else ": LIMIT MISSED"))
    return int(ratio > LIMIT and not options.small)


if __name__ == "__main__":
    sys.exit(main())

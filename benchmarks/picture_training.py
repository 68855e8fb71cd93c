"""Training on pictures: an epoch of timm's ResNet-18 by kit's loop beside one by a bare PyTorch loop with the same batches.

    python benchmarks/picture_training.py [--pairs 7] [--small]

608 made pictures of 64 pixels that lie in memory, batches of 32, float32, channels last, AdamW, warm-up and cosine, gradients clipped. Both
start from the same random weights and see the same rows in the same order, transformed alike (recipe "none"), with no workers. The bare loop
has no Lightning and does no more than it must: stack, step, and read the loss once an epoch. Lightning's deterministic mode, which kit asks
for, is off in it. Each epoch of kit's is followed by one of the bare loop's, so that both meet the machine in the same state; the first
pair is not counted. Prints each epoch's mean loss by both, the medians, and the median ratio of the pairs.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import numpy as np
import timm
import torch
from torch import nn

from kit.album import Pictures, gather
from kit.registry import find
from kit.transforms import Augment
from kit.transforms.albumentations import Albumentations
from kit.zoo._checkpoint import Progress
from kit.zoo._inputs import Inputs
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Plan, Supervised
from kit.zoo._training import train
from kit.zoo._views import PictureViews
from kit.zoo.timm import Timm

CLASSES, BATCH, LR, DECAY, WARMUP, CLIP = 10, 32, 5e-4, 0.1, 0.05, 1.0
MOST_TIMES, MOST_APART = 1.05, 1e-5


def made(count: int, side: int) -> Rows:
    """Noise that is brighter in one of ten columns, which is the class."""
    random = np.random.default_rng(0)
    target = random.integers(0, CLASSES, count)
    pixels = random.integers(0, 180, (count, side, side, 3)).astype(np.uint8)
    wide = side // CLASSES
    for picture, answer in zip(pixels, target):
        picture[:, answer * wide : (answer + 1) * wide] += 75
    cells = np.empty(count, dtype=object)
    cells[:] = list(pixels)
    album = gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None)
    nothing = torch.zeros((count, 0))
    return Rows(nothing, nothing.int(), target=torch.from_numpy(target), weight=torch.ones(count), media={"image": Pictures(album, np.arange(count))})


def bare(rows: Rows, epochs: int, side: int, threads: int) -> Iterator[float]:
    """Trains an epoch each time it is asked, and gives its mean loss."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=CLASSES).to(memory_format=torch.channels_last).train()
    mean, deviation = (255 * torch.tensor(network.pretrained_cfg[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    matrices, others = [p for p in network.parameters() if p.dim() > 1], [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    batches = -(-len(rows) // BATCH)
    rise, steps, step = WARMUP * epochs * batches, epochs * batches, 0
    view = Albumentations(Augment(recipe="none", size=side)).training(side)
    for epoch in range(epochs):
        total = torch.zeros(())
        for some in np.array_split(np.random.default_rng([0, epoch]).permutation(len(rows)), batches):
            pictures = torch.from_numpy(np.stack([view(rows.media["image"][n]) for n in some])).permute(0, 3, 1, 2)
            loss = nn.functional.cross_entropy(network((pictures.float() - mean) / deviation), rows.target[some])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            step += 1
            share = step / rise if step <= rise else 0.5 * (1 + np.cos(np.pi * (step - rise) / (steps + 1 - rise)))
            for group in optimizer.param_groups:
                group["lr"] = LR * share
            optimizer.step()
            total += loss.detach()
        yield total.item() / batches


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--small", action="store_true", help="96 pictures of 32 pixels, two pairs: does it run?")
    options = parser.parse_args()
    count, side, pairs = (96, 32, 2) if options.small else (608, 64, options.pairs)
    rows, epochs, threads = made(count, side), 1 + pairs, len(os.sched_getaffinity(0))

    torch.manual_seed(0)
    network = Timm(Inputs(0, (), 0, CLASSES, side), architecture="resnet18", weights="none")
    plan = Plan(epochs, BATCH, -(-count // BATCH), 0, threads, LR, DECAY, "adamw", "cosine", WARMUP, CLIP, 0.0)
    transforms = Albumentations(Augment(recipe="none", size=side))
    loss = find("losses", "cross_entropy")("multiclass")
    module = Supervised(network, loss, rows, np.arange(count), plan, Progress(), None, "", {"image": PictureViews(transforms, side)}, Looking(side), Feeding())
    peer = bare(rows, epochs, side, threads)
    losses: list[tuple[float, float]] = []
    seconds: list[tuple[float, float]] = []
    asked = time.perf_counter()

    def finished(line: str) -> None:
        """Called by kit after each of its epochs."""
        nonlocal asked
        began = time.perf_counter()
        torch.use_deterministic_algorithms(False)
        other = next(peer)
        torch.use_deterministic_algorithms(True)
        seconds.append((began - asked, time.perf_counter() - began))
        losses.append((module.total.item() / plan.batches, other))
        print(f"| {len(losses)} | {losses[-1][0]:.7f} | {losses[-1][1]:.7f} | {seconds[-1][0]:.2f} | {seconds[-1][1]:.2f} |", flush=True)
        asked = time.perf_counter()

    print(f"| {count} pictures of {side}, {threads} threads | kit, loss | bare, loss | kit, s | bare, s |\n|---|---|---|---|---|")
    train(module, finished, accelerator="cpu", devices=1, precision="32-true")
    kit, other = np.array(seconds[1:]).T
    ratio, apart = float(np.median(kit / other)), max(abs(a - b) / b for a, b in losses)
    print(f"median epoch: kit {np.median(kit):.2f} s, bare {np.median(other):.2f} s, ratio {ratio:.3f} (limit {MOST_TIMES})")
    print(f"losses apart by at most {apart:.1e} of themselves (limit {MOST_APART:g})")
    missed = [f"{ratio:.3f} times as long"] if ratio > MOST_TIMES else []
    missed += [f"losses apart by {apart:.1e}"] if apart > MOST_APART else []
    print(f"LIMIT MISSED: {'; '.join(missed)}" if missed else "limits held")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())

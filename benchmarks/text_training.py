"""Training on texts: an epoch of a small BERT by kit's loop beside one by a bare PyTorch loop with the same batches, and how much of them is padding.

    python benchmarks/text_training.py [--pairs 7] [--small]

2,000 made texts of 4 to 120 tokens (most of them short, as tweets are), batches of 32, float32, AdamW, warm-up and cosine, gradients clipped,
dropout. Both start from the same random weights and see the same rows in the same batches: rows of similar length share one. The bare loop has
no Lightning and does no more than it must: pad, step, and read the loss once an epoch; Lightning's deterministic mode, which kit asks for, is
off in it. Each epoch of kit's is followed by one of the bare loop's, so that both meet the machine in the same state; the first pair is not
counted. Prints each epoch's mean loss by both, the medians, the median ratio of the pairs, and the share of padding in an epoch's batches
beside that of batches whose rows are drawn without a look at their length.
"""

import argparse
import os
import sys
import time
import zlib
from collections.abc import Iterator

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import numpy as np
import torch
from torch import nn

from kit.registry import find
from kit.tokens import Tokens
from kit.zoo._checkpoint import Progress
from kit.zoo._inputs import Inputs
from kit.zoo._loading import Order
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking, Plan, Supervised
from kit.zoo._training import train
from kit.zoo._views import TextViews
from kit.zoo.transformer import Transformer

CLASSES, VOCABULARY, LONGEST, BATCH, LR, DECAY, WARMUP, CLIP = 4, 2000, 128, 32, 5e-4, 0.1, 0.05, 1.0
MOST_TIMES, MOST_APART, MOST_PADDING = 1.05, 1e-5, 0.10


def made(count: int) -> Rows:
    """Words at random, a tenth of which come from a fifth of the vocabulary that is the class's own."""
    random = np.random.default_rng(0)
    target = random.integers(0, CLASSES, count)
    lengths = np.clip(np.exp(random.normal(3.0, 0.7, count)).astype(int), 4, LONGEST - 8)
    own = (VOCABULARY - 5) // (CLASSES + 1)
    rows = [np.where(random.random(n) < 0.1, 5 + own * c + random.integers(0, own, n), random.integers(5, VOCABULARY, n)) for n, c in zip(lengths, target)]
    ids = np.concatenate(rows).astype(np.int32)
    tokens = Tokens(ids, np.append(0, lengths.cumsum()), np.zeros(len(ids), np.int8), [2], [3], 0, VOCABULARY, LONGEST, "made")
    nothing = torch.zeros((count, 0))
    return Rows(nothing, nothing.int(), target=torch.from_numpy(target), weight=torch.ones(count), media={"text": tokens})


def network_of(wide: int) -> Transformer:
    torch.manual_seed(0)
    return Transformer(Inputs(0, (), 0, CLASSES, vocabulary=VOCABULARY, longest=LONGEST), architecture="bert", weights="none", width=wide, blocks=4, heads=4)


def orders(rows: Rows, epoch: int, lengths: np.ndarray | None) -> list[np.ndarray]:
    """The rows of each batch of an epoch."""
    return [asked.rows for asked in Order(len(rows), -(-len(rows) // BATCH), 1, 0, lambda: epoch, 0, 1, lambda epoch: 0, None, lengths)]


def padding(rows: Rows, lengths: np.ndarray | None) -> float:
    """The share of an epoch's tokens that is padding."""
    held = rows.media["text"].lengths
    wide = [(held[some].max() * len(some), held[some].sum()) for some in orders(rows, 0, lengths)]
    return 1 - sum(real for _, real in wide) / sum(all_ for all_, _ in wide)


def bare(rows: Rows, network: nn.Module, epochs: int, threads: int) -> Iterator[float]:
    """Trains an epoch each time it is asked, and gives its mean loss."""
    torch.set_num_threads(threads)
    matrices, others = [p for p in network.parameters() if p.dim() > 1], [p for p in network.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], lr=LR, fused=True)
    texts = rows.media["text"]
    bodies = [torch.from_numpy(np.concatenate([[2], ids, [3]])) for ids in np.split(texts.ids, texts.starts[1:-1])]
    batches = -(-len(rows) // BATCH)
    rise, steps, step = WARMUP * epochs * batches, epochs * batches, 0
    for epoch in range(epochs):
        torch.manual_seed(zlib.crc32(f"0 {epoch} 0".encode()))  # the dropout of kit's epoch
        total = torch.zeros(())
        for some in orders(rows, epoch, texts.lengths):
            tokens = nn.utils.rnn.pad_sequence([bodies[n] for n in some], batch_first=True)
            batch = {"tokens": tokens, "mask": tokens > 0, "segments": torch.zeros_like(tokens)}
            batch |= {"dense": torch.zeros(len(some), 0), "codes": torch.zeros(len(some), 0, dtype=torch.long)}
            loss = nn.functional.cross_entropy(network(batch), rows.target[some])
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
    parser.add_argument("--small", action="store_true", help="200 texts, a narrow network, two pairs: does it run?")
    options = parser.parse_args()
    count, wide, pairs = (200, 32, 2) if options.small else (2000, 128, options.pairs)
    rows, epochs, threads = made(count), 1 + pairs, len(os.sched_getaffinity(0))
    together, apart_rows = padding(rows, rows.media["text"].lengths), padding(rows, None)

    plan = Plan(epochs, BATCH, -(-count // BATCH), 0, threads, LR, DECAY, "adamw", "cosine", WARMUP, CLIP, 0.0)
    loss = find("losses", "cross_entropy")("multiclass")
    module = Supervised(network_of(wide), loss, rows, np.arange(count), plan, Progress(), None, "", {"text": TextViews()}, Looking(), Feeding())
    peer = bare(rows, network_of(wide).train(), epochs, threads)
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

    print(f"| {count} texts, {threads} threads | kit, loss | bare, loss | kit, s | bare, s |\n|---|---|---|---|---|")
    train(module, finished, accelerator="cpu", devices=1, precision="32-true")
    kit, other = np.array(seconds[1:]).T
    ratio, apart = float(np.median(kit / other)), max(abs(a - b) / b for a, b in losses)
    print(f"median epoch: kit {np.median(kit):.2f} s, bare {np.median(other):.2f} s, ratio {ratio:.3f} (limit {MOST_TIMES})")
    print(f"losses apart by at most {apart:.1e} of themselves (limit {MOST_APART:g})")
    print(f"padding: {together:.3f} of the tokens (limit {MOST_PADDING}); of rows drawn without a look at their length {apart_rows:.3f}")
    missed = [f"{ratio:.3f} times as long"] if ratio > MOST_TIMES else []
    missed += [f"losses apart by {apart:.1e}"] if apart > MOST_APART else []
    missed += [f"padding {together:.3f}"] if together > MOST_PADDING else []
    print(f"LIMIT MISSED: {'; '.join(missed)}" if missed else "limits held")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())

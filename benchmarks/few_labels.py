"""Few labels: a network that first learned from all pictures without labels, beside one that spends the same seconds on the labels alone.

    python benchmarks/few_labels.py DATA [--pretrain-epochs 5] [--small]

DATA is the folder of Kaggle's digit-recognizer: train.csv (label, pixel0, ...) and test.csv. Pretraining (SimCLR, as `kit pretrain` does it,
in batches of 128, half of kit's default, since few epochs are few steps) looks at the pictures of all train and test rows, once for the whole
table. Then, for 40, 200, 1,000 and all labels, as many of each class: training from those weights, and training the same network from nothing,
with the same settings but as many epochs as fill the seconds of pretraining and training together, which are measured. 1,000 labelled rows,
the same for all, are held out of every training on labels and give the accuracy; the answers of the test rows are not asked for. "Helps" is said
where the two differ by more than twice the standard error of the difference on these rows; that another draw of 40 labels would move
both is not in it.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import numpy as np
import pandas as pd
from safetensors.torch import save_file

from kit.album import Pictures, gather
from kit.config import PRETRAINING
from kit.encoders import Examples, Features
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.registry import filled
from kit.zoo import _selfsupervised  # noqa: F401  its libraries are loaded now, in nobody's seconds
from kit.zoo.convnet import Convnet

COUNTS, HELD = (40, 200, 1000), 1000
AUGMENT = {"size": 28, "recipe": "medium", "flip": False, "least_area": 0.8, "turn_degrees": 10.0}  # that of competitions/digit-recognizer
LEAST_STEPS, LEAST_EPOCHS = 400, 12  # of a training on labels, whichever is more
MOST_UNEQUAL = 0.1  # share by which the seconds of the two may differ


def read(data: Path) -> tuple[Examples, Examples]:
    """(training rows, all rows without labels): one album holds the pictures of both."""
    frames = [pd.read_csv(data / name) for name in ("train.csv", "test.csv")]
    target = frames[0].pop("label").to_numpy()
    flat = np.concatenate([frame.to_numpy(dtype=np.uint8) for frame in frames])
    side = round(flat.shape[1] ** 0.5)
    cells = np.empty(len(flat), dtype=object)
    cells[:] = list(flat.reshape(-1, side, side))
    album = gather(cells, folder=None, size=0, cache="never", threads=1, progress=lambda line: None)

    def rows(n: int) -> Features:
        features = Features.of(n)
        features.media["image"] = Pictures(album, np.arange(n))
        return features

    ids = np.arange(len(flat)).astype(str).astype(object)
    return Examples(ids[: len(target)], rows(len(target)), target), Examples(ids, rows(len(flat)))


def drawn(target: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count,) positions, as many of each class, or as near to that as can be. A larger draw holds a smaller one."""
    order = np.random.default_rng(seed).permutation(len(target))
    turn = pd.Series(target[order]).groupby(target[order]).cumcount().to_numpy()  # the n-th of its class
    return order[np.argsort(turn, kind="stable")][:count]


def built(weights: str, folder: Path | None, progress: Callable[[str], None], **loop) -> Neural:
    threads = len(os.sched_getaffinity(0))
    setup = Setup("multiclass", 10, "cross_entropy", threads=threads, progress=progress, checkpoints=folder, augment=AUGMENT)
    fixed = {"accelerator": "cpu", "precision": "32-true", "channels_last": "yes", "workers": 0}
    return Neural(setup, Convnet, {"width": 24, "weights": weights}, **fixed, **loop)


def trained(train: Examples, weights: str, epochs: int, batch: int) -> tuple[Neural, float, float]:
    """(model, seconds, median seconds of an epoch after the first)"""
    ends: list[float] = []
    model = built(weights, None, lambda line: ends.append(time.perf_counter()), epochs=epochs, batch_size=batch)
    began = time.perf_counter()
    model.fit(train, {})
    return model, time.perf_counter() - began, float(np.median(np.diff(ends)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pretrain-epochs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="one epoch of pretraining on 600 pictures, up to 200 labels: does it run?")
    options = parser.parse_args()
    labelled, everyone = read(options.data)
    held = drawn(labelled.target, HELD, 0)
    valid, rest = labelled.take(held), labelled.take(np.setdiff1d(np.arange(len(labelled)), held))
    counts, least = ([*COUNTS, len(rest)], LEAST_STEPS) if not options.small else ([40, 200], 20)
    if options.small:
        everyone = everyone.take(np.arange(600))
    with tempfile.TemporaryDirectory() as name:
        trained(rest.take(np.arange(64)), "none", 2, 16)  # what is done once in a process is in nobody's seconds either
        how = filled(PRETRAINING["simclr"], {"epochs": 1 if options.small else options.pretrain_epochs, "batch_size": 128})
        began = time.perf_counter()
        network, losses = built("none", Path(name), lambda line: print(line, file=sys.stderr)).pretrain(everyone, method="simclr", **how)
        weights = f"{name}/weights.safetensors"
        save_file({f"network.{k}": v.contiguous() for k, v in network.state_dict().items()}, weights)
        before = time.perf_counter() - began
        told = f"{how['epochs']} epochs, {before:.0f} s, loss {losses[0]:.3f} to {losses[-1]:.3f}"
        print(f"pretrained on {len(everyone)} pictures: {told}; {len(valid)} labelled rows held out")
        print("| labels | pretrained: accuracy | seconds | from nothing: accuracy | seconds | epochs of each | pretraining |")
        print("|---|---|---|---|---|---|---|")
        unequal, helpless = [], []
        for count in counts:
            train = rest.take(drawn(rest.target, count, 1))
            batch = 16 if count <= 500 else 32
            epochs = max(LEAST_EPOCHS if not options.small else 2, -(-least * batch // count))
            first, took, epoch = trained(train, weights, epochs, batch)
            longer = epochs + round(before / epoch)
            second, whole, _ = trained(train, "none", longer, batch)
            right, other = ((m.predict(valid).argmax(axis=1) == valid.target).astype(float) for m in (first, second))
            gain, error = (right - other).mean(), (right - other).std() / len(valid) ** 0.5
            says = "helps" if gain > 2 * error else "hurts" if gain < -2 * error else "no difference to be told"
            print(
                f"| {count} | {right.mean():.4f} | {before:.0f} + {took:.1f} | {other.mean():.4f} | {whole:.1f} | {epochs}, {longer} "
                f"| {says} ({100 * gain:+.1f} ± {100 * error:.1f} points) |",
                flush=True,
            )
            helpless += [count] if says != "helps" else []
            unequal += [count] if abs(whole / (before + took) - 1) > MOST_UNEQUAL else []
    print(f"pretraining does not help at {', '.join(map(str, helpless))} labels" if helpless else "pretraining helps at each number of labels")
    far = f"LIMIT MISSED: seconds differ by more than {MOST_UNEQUAL:.0%} at {unequal} labels"
    print(far if unequal else f"seconds are equal within {MOST_UNEQUAL:.0%}")
    return bool(unequal)


if __name__ == "__main__":
    sys.exit(main())

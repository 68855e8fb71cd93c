"""Memory: the peak of a training that sees 10,000 pictures beside one that sees 1,000, through the decoded cache.

    python benchmarks/picture_memory.py [--many 10000] [--few 1000] [--small]

Made PNGs of 96 x 96 pixels, with the decoded cache kept at that size: 28 MB of pixels for a thousand. Each training is a process of its own
that decodes them all into the cache, maps it, and trains a small ConvNet for one epoch at 48 pixels with two workers that read ahead. Prints
the peak resident memory of the process, and of the largest of its workers, as the system counts them (resource.getrusage). Shared pages
count in both: their sum is more than what the machine gives.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import numpy as np
from PIL import Image

SIDE, CLASSES = 96, 10
MOST_TIMES = 1.2


def make(folder: Path, count: int) -> None:
    """PNGs of a few coloured squares and some noise."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for n in range(count):
        coarse = random.integers(0, 230, (6, 6, 3)).astype(np.uint8).repeat(SIDE // 6, axis=0).repeat(SIDE // 6, axis=1)
        pixels = coarse + random.integers(0, 8, (SIDE, SIDE, 1), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:06d}.png", compress_level=1)


def train(folder: Path) -> None:
    """What is measured: in a process of its own, which ends after it. Prints its peaks in MB as JSON."""
    from kit.album import Pictures, gather  # here, so that the process that makes the pictures stays without torch
    from kit.encoders import Examples, Features
    from kit.estimators import Setup
    from kit.estimators.neural import Neural
    from kit.zoo.convnet import Convnet

    paths = sorted(map(str, folder.glob("*.png")))
    told = lambda line: print(line, file=sys.stderr)  # noqa: E731
    album = gather(np.array(paths, object), folder=folder / "cache", size=SIDE, cache="always", threads=2, progress=told)
    features = Features.of(len(paths))
    features.media["image"] = Pictures(album, np.arange(len(paths)))
    target = np.random.default_rng(1).integers(0, CLASSES, len(paths))
    setup = Setup("multiclass", CLASSES, "cross_entropy", threads=2, progress=told, augment={"size": SIDE // 2})
    loop = {"accelerator": "cpu", "precision": "32-true", "channels_last": "yes", "workers": 2}
    model = Neural(setup, Convnet, {"width": 8}, epochs=1, batch_size=64, **loop)
    model.fit(Examples(np.array(paths, object), features, target), {})
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    assert peaks[1] > 0, "no worker has ended yet"
    print(json.dumps(peaks))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--small", action="store_true", help="1,000 and 100 pictures: does it run?")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train)
        return 0
    counts = (1000, 100) if options.small else (options.many, options.few)
    peaks = []
    print("| pictures | peak of the process, MB | of its largest worker, MB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for count in counts:
            folder = Path(name) / str(count)
            make(folder, count)
            done = subprocess.run([sys.executable, __file__, "--train", str(folder)], check=True, stdout=subprocess.PIPE, text=True)
            peaks.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"| {count} | {peaks[-1][0]:.0f} | {peaks[-1][1]:.0f} |", flush=True)
    ratios = [many / few for many, few in zip(*peaks)]
    held = max(ratios) <= MOST_TIMES
    print(f"| ratio (limit {MOST_TIMES}) | {ratios[0]:.3f} | {ratios[1]:.3f} |")
    print("limit held" if held else f"LIMIT MISSED: {max(ratios):.3f} times the memory")
    return not held


if __name__ == "__main__":
    sys.exit(main())

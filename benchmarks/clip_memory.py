"""Memory: the peak of a training that hears 10,000 clips beside one that hears 1,000, through the decoded cache.

    python benchmarks/clip_memory.py [--many 10000] [--few 1000] [--small]

Made WAVs of 2 seconds at 16 kHz, with the decoded cache: 64 MB of samples for a thousand. Each training is a process of its own that decodes
them all into the cache, maps it, and trains a small ConvNet on half-second spectrograms for one epoch with two workers that read ahead. Prints
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
import wave
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as kit's command line sets it, before any library starts threads

import numpy as np

RATE, SECONDS, CLASSES = 16_000, 2.0, 10
MOST_TIMES = 1.2


def make(folder: Path, count: int) -> None:
    """WAVs of noise at some loudness."""
    random = np.random.default_rng(0)
    folder.mkdir()
    noise = random.normal(scale=3000, size=4 * round(SECONDS * RATE))
    for n in range(count):
        start = int(random.integers(len(noise) - SECONDS * RATE))
        with wave.open(str(folder / f"{n:06d}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((random.uniform(0.2, 1.0) * noise[start : start + round(SECONDS * RATE)]).astype("<i2").tobytes())


def train(folder: Path) -> None:
    """What is measured: in a process of its own, which ends after it. Prints its peaks in MB as JSON."""
    from kit.clips import Clips, gather  # here, so that the process that makes the clips stays without torch
    from kit.encoders import Examples, Features
    from kit.estimators import Setup
    from kit.estimators.neural import Neural
    from kit.zoo.audio_cnn import AudioCnn

    paths = np.array(sorted(map(str, folder.glob("*.wav"))), object)
    told = lambda line: print(line, file=sys.stderr)  # noqa: E731
    recordings = gather(paths, folder=folder / "cache", rate=RATE, cache="always", threads=2, progress=told)
    features = Features.of(len(paths))
    features.media["audio"] = Clips(recordings, np.arange(len(paths)))
    target = np.random.default_rng(1).integers(0, CLASSES, len(paths))
    setup = Setup("multiclass", CLASSES, "cross_entropy", threads=2, progress=told, augment={"audio": {"seconds": 0.5}})
    loop = {"accelerator": "cpu", "precision": "32-true", "channels_last": "yes", "workers": 2}
    model = Neural(setup, AudioCnn, {"width": 8, "blocks": 3}, epochs=1, batch_size=64, **loop)
    model.fit(Examples(paths, features, target), {})
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    assert peaks[1] > 0, "no worker has ended yet"
    print(json.dumps(peaks))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--small", action="store_true", help="1,000 and 100 clips: does it run?")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train)
        return 0
    counts = (1000, 100) if options.small else (options.many, options.few)
    peaks = []
    print("| clips | peak of the process, MB | of its largest worker, MB |\n|---|---|---|")
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

"""Search: kit's exact search beside faiss's own flat index over the same blocks, in time and memory; graphs beside both.

    python benchmarks/search.py [--rows 100000] [--width 256] [--k 100] [--rounds 2] [--threads 0] [--block 0] [--small]

Made embeddings: as many queries as gallery rows, in classes of about twenty that lie in a space of 64 directions, with noise in all. Each search is a
process of its own that loads both sides and searches once; the two take turns. faiss searches an IndexFlatIP of each block, with as many
threads as kit, and merges the lists. Memory is the peak of the process, without what it held once both sides were loaded, so that it can
be compared with that at half the rows: what grows with the product would be four times as much, and the answers are twice as much.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SLOWEST, MOST_GROWTH = 1.2, 2.2
DIRECTIONS, CLASS = 64, 20


def make(path: Path, rows: int, width: int, seed: int) -> None:
    """Rows of unit length; both sides have the same classes."""
    shared = np.random.default_rng(0)
    basis = shared.normal(size=(DIRECTIONS, width)).astype(np.float32) / np.sqrt(width)
    centres = shared.normal(size=(max(1, rows // CLASS), DIRECTIONS)).astype(np.float32) / np.sqrt(DIRECTIONS)
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, len(centres), rows)] @ basis
    vectors += random.normal(size=(rows, width)).astype(np.float32) * np.float32(0.7 / np.sqrt(width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(path, vectors)


def flat(queries: np.ndarray, gallery: np.ndarray, k: int, block: int, threads: int) -> np.ndarray:
    """(m, k) positions: the same search, by faiss alone."""
    import faiss

    faiss.omp_set_num_threads(threads)
    best, positions = np.full((len(queries), k), -2, np.float32), np.full((len(queries), k), -1)
    for start in range(0, len(gallery), block):
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery[start : start + block])
        similarities, found = index.search(queries, k)
        if start == 0:
            best, positions = similarities, found
            continue
        best, positions = np.concatenate([best, similarities], axis=1), np.concatenate([positions, found + start], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, positions = np.take_along_axis(best, order, axis=1), np.take_along_axis(positions, order, axis=1)
    return positions


def measure(how: str, folder: Path, k: int, block: int, threads: int) -> None:
    """What is measured: in a process of its own, which ends after it. Prints its seconds and megabytes as JSON."""
    from kit.searching import nearest

    queries, gallery = np.load(folder / "queries.npy"), np.load(folder / "gallery.npy")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    if how == "faiss":
        positions = flat(queries, gallery, k, block or 2**27 // (4 * gallery.shape[1]), threads)
    else:
        positions, _ = nearest(queries, gallery, k, method="hnsw" if how == "hnsw" else "exact", threads=threads, block=block)
    seconds = time.monotonic() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024
    np.save(folder / f"{how}.npy", positions.astype(np.int64))
    print(json.dumps([seconds, peak]))


def run(how: str, folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    command = [sys.executable, __file__, "--measure", how, "--folder", str(folder)]
    command += [f"--{name}={getattr(options, name)}" for name in ("k", "block", "threads")]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def recall(folder: Path, how: str) -> float:
    """The share of faiss's neighbours that are found."""
    known, found = np.load(folder / "faiss.npy"), np.load(folder / f"{how}.npy")
    return float(np.mean([len(np.intersect1d(a, b, assume_unique=True)) / len(a) for a, b in zip(known, found)]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="0 is one for each core")
    parser.add_argument("--block", type=int, default=0, help="gallery rows; 0 is 128 MB of them")
    parser.add_argument("--small", action="store_true", help="10,000 rows: does it run?")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.threads = options.threads or len(os.sched_getaffinity(0))
    if options.measure:
        measure(options.measure, options.folder, options.k, options.block, options.threads)
        return 0
    rows = 10_000 if options.small else options.rows
    seconds: dict[str, float] = {}
    grown: dict[str, float] = {}
    print("| search | rows x rows | seconds | memory, MB | found of faiss's |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for count in (rows // 2, rows):
            folder = Path(name)
            for seed, side in enumerate(("queries", "gallery"), start=1):
                make(folder / f"{side}.npy", count, options.width, seed)
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(options.rounds if count == rows else 1):
                for how in ("faiss", "kit"):
                    found.setdefault(how, []).append(run(how, folder, options))
            found["hnsw"] = [run("hnsw", folder, options)]
            for how, each in found.items():
                peak = max(memory for _, memory in each)
                grown[how] = peak / grown.get(how, peak) if count == rows else peak
                seconds[how] = min(took for took, _ in each)
                print(f"| {how} | {count} x {count} | {seconds[how]:.1f} | {peak:.0f} | {recall(folder, how):.4f} |", flush=True)
    ratio = seconds["kit"] / seconds["faiss"]
    held = ratio <= SLOWEST and grown["kit"] <= MOST_GROWTH
    print(f"| kit / faiss (limit {SLOWEST}) | | {ratio:.3f} | | |")
    print(f"| kit, all / half the rows (limit {MOST_GROWTH}) | | | {grown['kit']:.2f} | |")
    print("limits held" if held else "LIMIT MISSED")
    return not held


if __name__ == "__main__":
    sys.exit(main())

"""Reading pictures: kit's pipeline beside a bare torch DataLoader, and its decoded cache beside decoding at each access.

    python benchmarks/picture_loader.py [--workers 2] [--rounds 5] [--small]

1. JPEGs of 427 x 320 pixels, to batches of 64 at 224 pixels under the recipe "light". kit: an album that decodes at each access, and its
   loader. Bare: a Dataset that opens and converts the file by Pillow and calls the same transforms, the DataLoader's own collation, as
   many workers that read as far ahead. Both decode in full.
2. JPEGs of 1365 x 1024 pixels, kept for a network that looks at 224, as kit's [encoders.image] does by default: the second epoch with the
   decoded cache beside the second epoch that decodes each picture, both by kit, to the same pixels. Decoding is not slowed for it: libjpeg
   decodes at half size.

Pictures are made: noise with the spectrum of photographs (amplitude falling with frequency), so that their files are as large and as slow to
decode as those of photographs; the bits a pixel are printed. All lie in the page cache. An epoch of one and of the other take turns in
one process, the first of each not counted; figures are medians, and the ratio is the median over the pairs.
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
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kit.album import Album, Pictures, gather
from kit.transforms import Augment
from kit.transforms.albumentations import Albumentations
from kit.zoo._loading import Batches, Order, loader
from kit.zoo._preparation import Rows
from kit.zoo._views import PictureViews

SIDE, BATCH, AHEAD = 224, 64, 4
KEPT = round(1.25 * SIDE)  # pixels of the shorter side, as a resolved config has it
LEAST_SHARE, LEAST_GAIN = 0.95, 3.0


def make(folder: Path, count: int, short: int) -> list[str]:
    """Paths of JPEGs of 4:3 whose shorter side has so many pixels: windows of a few large textures, and of their mixtures."""
    random = np.random.default_rng(0)
    folder.mkdir()
    height, width, paths = short, round(short * 4 / 3), []
    textures = [_texture(random, 2 * short) for _ in range(4)]
    for n in range(count):
        share, chosen = random.random(), random.choice(len(textures), 2, replace=False)
        tops, lefts = random.integers(0, 2 * short - height, 2), random.integers(0, 2 * short - width, 2)
        first, second = (textures[k][top : top + height, left : left + width] for k, top, left in zip(chosen, tops, lefts))
        mixed = np.sqrt(share) * first + np.sqrt(1 - share) * second
        paths.append(str(folder / f"{n:05d}.jpg"))
        Image.fromarray((128 + 45 * mixed).clip(0, 255).astype(np.uint8)).save(paths[-1], quality=88)
    bits = 8 * sum(map(os.path.getsize, paths)) / count / height / width
    print(f"{count} JPEGs of {width} x {height}, {bits:.1f} bits a pixel", flush=True)
    return paths


def _texture(random: np.random.Generator, side: int) -> np.ndarray:
    """(side, side, 3) float32 of deviation 1; grey mostly, as photographs are."""
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    falling = 1 / np.maximum(np.hypot(y, x), 1 / side) ** 1.3
    planes = [np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) * falling) for _ in range(4)]
    grey, *colours = (plane / plane.std() for plane in planes)
    return np.stack([0.92 * grey + 0.4 * colour for colour in colours], axis=-1).astype(np.float32)


class Bare(Dataset):
    def __init__(self, paths: list[str]):
        self.paths = paths
        self.view = Albumentations(Augment(recipe="light", size=SIDE)).training(SIDE)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Tensor:
        with Image.open(self.paths[row]) as image:
            pixels = np.asarray(image.convert("RGB"))
        return torch.from_numpy(self.view(pixels)).permute(2, 0, 1)


def bare(paths: list[str], workers: int) -> DataLoader:
    ahead = {"prefetch_factor": AHEAD, "persistent_workers": True} if workers else {}
    return DataLoader(Bare(paths), batch_size=BATCH, shuffle=True, num_workers=workers, **ahead)


def kits(album: Album, workers: int) -> DataLoader:
    n = len(album)
    nothing = torch.zeros((n, 0))
    rows = Rows(nothing, nothing.int(), target=torch.zeros(n), weight=torch.ones(n), media={"image": Pictures(album, np.arange(n))})
    data = Batches(rows, 1, {"image": PictureViews(Albumentations(Augment(recipe="light", size=SIDE)), SIDE)})
    order = Order(n, -(-n // BATCH), 1, 0, lambda: 0, 0, 1, lambda epoch: SIDE)
    return loader(data, order, workers=workers, prefetch=AHEAD, device=torch.device("cpu"))


def seconds(feed: DataLoader, count: int, pictures: Callable) -> float:
    began, seen = time.perf_counter(), 0
    for batch in feed:
        seen += len(pictures(batch))
    assert seen == count
    return time.perf_counter() - began


def in_turns(feeds: dict[str, tuple[DataLoader, Callable]], count: int, rounds: int) -> list[np.ndarray]:
    """Of each feed (rounds,) pictures a second, after one epoch that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in feeds}
    for turn in range(1 + rounds):
        for name in list(feeds)[:: -1 if turn % 2 else 1]:
            took[name].append(seconds(feeds[name][0], count, feeds[name][1]))
    return [count / np.array(t[1:]) for t in took.values()]


def told(first: str, second: str, rates: list[np.ndarray], least: float) -> bool:
    """Prints both rates and their ratio; whether the limit was held."""
    ratio = float(np.median(rates[0] / rates[1]))
    held = ratio >= least
    print(f"| {first} | {np.median(rates[0]):.0f} |\n| {second} | {np.median(rates[1]):.0f} |")
    print(f"| ratio (limit {least:g}) | {ratio:.3f} ({'held' if held else 'LIMIT MISSED'}) |\n", flush=True)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--large", type=int, default=300, help="pictures of 1365 x 1024")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="130 pictures of each, one round: does it run?")
    options = parser.parse_args()
    count, large, rounds = (130, 130, 1) if options.small else (options.pictures, options.large, options.rounds)
    how = {"threads": len(os.sched_getaffinity(0)), "progress": lambda line: None}
    with tempfile.TemporaryDirectory() as name:
        paths = make(Path(name) / "a", count, 320)
        decoding = gather(np.array(paths, object), folder=None, size=0, cache="never", **how)
        print(f"| {options.workers} workers, batches of {BATCH} | pictures a second |\n|---|---|")
        feeds = {"kit": (kits(decoding, options.workers), lambda b: b["image"]), "bare": (bare(paths, options.workers), lambda b: b)}
        held = told("kit's loader", "bare DataLoader", in_turns(feeds, count, rounds), LEAST_SHARE)
        del feeds

        paths = np.array(make(Path(name) / "b", large, 1024), object)
        began = time.perf_counter()
        kept = gather(paths, folder=Path(name), size=KEPT, cache="always", **how)
        built = time.perf_counter() - began
        decoding = gather(paths, folder=None, size=KEPT, cache="never", **how)
        assert (kept[0] == decoding[0]).all()
        print(f"| {options.workers} workers, {built:.1f} s to build the cache once | pictures a second |\n|---|---|")
        feeds = {way: (kits(album, options.workers), lambda b: b["image"]) for way, album in (("kept", kept), ("decoding", decoding))}
        held &= told("with the decoded cache", "decoding each time", in_turns(feeds, large, rounds), LEAST_GAIN)
        del feeds
    return not held


if __name__ == "__main__":
    sys.exit(main())

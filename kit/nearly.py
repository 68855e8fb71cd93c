"""Which rows are nearly the same: tables' rows that agree on all but a few columns, texts of the same phrases, pictures and sounds that look and sound alike.

Rows, texts or files go in, a number comes out for each: near copies share it. No row that is like many others counts as a copy: what is common in
a table of few values, or in a set of like pictures, is no sign.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from kit.registry import needed
from kit.stores import Damaged, each

FEW = 5  # a fifth of the columns may differ
_ROUNDS = 60  # half of the columns each; where a fifth differs in 20 columns, one in 30 agrees
_CROWD = 20  # rows of one key that are looked at no further
_ISOLATED, _REFERENCE, _SURER = 3000, 5000, 12.0  # rows judged, rows that they are held against, bits by which a copy is more alike than any
_WORDS, _AT_ONCE = 6, 3  # fewest words of a text, and how many make a phrase
_JACCARD = 0.6
_BANDS, _BAND = 24, 3  # of a MinHash: texts of similarity 0.6 meet in 99 of 100 cases
_PRIME = (1 << 31) - 1
_CLOSE, _GAP = 0.15, 0.35  # distance of unit fingerprints, and as a share of that to the third nearest
_SIDE, _BANDS_OF_SOUND, _STEPS = 16, 32, 32
_RATE, _SECONDS = 16_000, 10.0


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def joined(n: int, pairs: np.ndarray) -> np.ndarray:
    """(n,) number of each row; rows that a chain of pairs joins share it. pairs  (p, 2)"""
    if not len(pairs):
        return alone(n)
    graph = scipy.sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


# --- rows of a table -------------------------------------------------------------------------------------------------------------


def of_rows(frame: pd.DataFrame) -> tuple[np.ndarray, int]:
    """(number of each row, how many columns may differ): rows that agree on at least four fifths of the columns, and are like no others.

    frame  columns of numbers, dates and words. A value counts by how rarely two rows share one, so that agreeing in sex says little
    """
    codes = [pd.factorize(frame[name], use_na_sentinel=False)[0] for name in frame]
    codes = [c for c in codes if c.max(initial=0) > 0]
    n, width = len(frame), len(codes)
    most = width // FEW
    if width < 4 or n < 10:
        return alone(n), 0
    most = max(most, 1)
    table = np.column_stack(codes).astype(np.int32)
    pairs = _near_pairs(table, most)
    if not len(pairs):
        return alone(n), most
    bits = np.array([min(-np.log2(max(float(((np.bincount(c) / n) ** 2).sum()), 1e-12)), 16.0) for c in table.T])
    labels = joined(n, pairs)
    return joined(n, _isolated(table, bits, pairs, labels)), most


def _near_pairs(table: np.ndarray, most: int) -> np.ndarray:
    """(p, 2) rows that differ in 1 to `most` columns: they share all columns but one, or half of those chosen at random in one of many rounds.

    A key is a sum over columns, so that leaving one out is a subtraction, and no second table is held.
    """
    random = np.random.default_rng(0)
    n, width = table.shape
    total, judged, found = np.zeros(n, np.uint64), np.empty(0, np.int64), [np.empty((0, 2), np.int64)]
    for own in _hashed(table, random):
        total += own  # wraps round: a hash
    halves = [random.permutation(width)[: width // 2] for _ in range(_ROUNDS if most > 1 else 0)]
    sums, chosen = np.zeros((len(halves), n), np.uint64), np.zeros((len(halves), width), bool)
    for held, columns in zip(chosen, halves):
        held[columns] = True

    def look(keys: np.ndarray) -> None:
        nonlocal judged
        codes = np.setdiff1d(_side_by_side(keys), judged)
        judged = np.union1d(judged, codes)
        pairs = np.column_stack(np.divmod(codes, n))
        differ = (table[pairs[:, 0]] != table[pairs[:, 1]]).sum(axis=1)
        found.append(pairs[(differ >= 1) & (differ <= most)])

    for column, own in enumerate(_hashed(table, np.random.default_rng(0))):
        look(total - own)
        for k in np.flatnonzero(chosen[:, column]):
            sums[k] += own
    for keys in sums:
        look(keys)
    return np.unique(np.concatenate(found), axis=0)


def _hashed(table: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """(n,) uint64 of each column, one for each of its values; drawn anew they are the same, and need not be kept."""
    for column in table.T:
        yield random.integers(0, 1 << 63, int(column.max()) + 1, dtype=np.uint64)[column]


def _side_by_side(keys: np.ndarray) -> np.ndarray:
    """(p,) one row x n + other row, the one before the other: neighbours among the rows of one key, where these are no crowd."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    runs = np.split(same, np.flatnonzero(np.diff(same) > 1) + 1) if len(same) else []
    crowded = np.concatenate([r for r in runs if len(r) >= _CROWD] or [np.empty(0, np.int64)])
    same = np.setdiff1d(same, crowded)
    return order[same] * len(keys) + order[same + 1]


def _isolated(table: np.ndarray, bits: np.ndarray, pairs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The pairs that agree on far more than either row does with any row that is not joined to it.

    bits  (columns,) how much it says that two rows agree on a column
    """
    random = np.random.default_rng(0)
    judged = np.unique(pairs[:, 0])
    drawn = judged if len(judged) <= _ISOLATED else np.sort(random.choice(judged, _ISOLATED, replace=False))
    others = np.sort(random.permutation(len(table))[:_REFERENCE])
    shared = ((table[pairs[:, 0]] == table[pairs[:, 1]]) * bits).sum(axis=1)
    best = pd.Series(shared).groupby(pairs[:, 0]).max()
    sure = []
    for part in np.array_split(drawn, max(1, len(drawn) // 200)):
        alike = np.zeros((len(part), len(others)), np.float32)
        for column, weight in enumerate(bits):
            alike += np.float32(weight) * (table[part, column][:, None] == table[others, column][None])
        alike[labels[part][:, None] == labels[others][None]] = 0
        sure.append(best[part].to_numpy() >= alike.max(axis=1) + _SURER)
    passed = np.concatenate(sure)
    if len(drawn) < len(judged):  # too many to judge each: as most of those that were drawn
        return pairs if passed.mean() > 0.5 else pairs[:0]
    return pairs[np.isin(pairs[:, 0], drawn[passed])]


# --- texts -----------------------------------------------------------------------------------------------------------------------


def of_texts(texts: pd.Series) -> np.ndarray:
    """(n,) number of each text: those share it that have at least 0.6 of their phrases of three words in common; addresses and signs aside.

    Broder (1997), On the resemblance and containment of documents: a MinHash meets as often as the sets are alike. Texts of fewer than 6 words are alone.
    """
    owner, phrases = [], []
    for row, text in enumerate(texts.fillna("").to_numpy()):
        words = re.findall(r"\w+", re.sub(r"https?://\S+|@\w+", " ", text.lower()))
        if len(words) >= _WORDS:
            own = {hash_of(" ".join(words[k : k + _AT_ONCE])) for k in range(len(words) - _AT_ONCE + 1)}
            phrases.append(np.fromiter(own, np.int64, len(own)))
            owner.append(row)
    if len(owner) < 2:
        return alone(len(texts))
    begins = np.cumsum([0, *(len(p) for p in phrases)])[:-1]
    flat, random = np.concatenate(phrases), np.random.default_rng(0)
    found = []
    for _ in range(_BANDS):
        keys = np.zeros(len(owner), np.int64)
        for _ in range(_BAND):
            factor, offset = (int(v) for v in random.integers(1, _PRIME, 2))
            least = np.minimum.reduceat((flat * factor + offset) % _PRIME, begins)
            keys = (keys * 1_000_003 + least) % (1 << 61)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        found.append(np.sort(np.column_stack([order[same], order[same + 1]]), axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    alike = np.array([_jaccard(phrases[one], phrases[other]) >= _JACCARD for one, other in pairs], dtype=bool)
    return joined(len(texts), np.array(owner)[pairs[alike]] if alike.any() else pairs[:0])


def hash_of(phrase: str) -> int:
    """Of few words, the same in every process; below 2**31."""
    value = 2166136261
    for byte in phrase.encode():  # FNV-1a
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % _PRIME


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


# --- pictures and sounds ---------------------------------------------------------------------------------------------------------


def of_files(cells: Sequence, kind: str, threads: int) -> np.ndarray:
    """(n,) number of each picture or sound: those share it whose fingerprints are close, and far closer than to the others.

    cells  paths or arrays, missing ones alone
    Raises DependencyError where the library that reads the files is not installed.
    """
    read = _picture() if kind == "image" else _sound()
    there = np.flatnonzero(pd.notna(np.array([0 if isinstance(c, np.ndarray) else c for c in cells], dtype=object)))
    made = list(each(read, [cells[n] for n in there], kind, threads, lambda line: None))
    good = [n for n, print_ in enumerate(made) if not isinstance(print_, Damaged) and print_ is not None]
    if len(good) < 10:
        return alone(len(cells))
    prints = np.stack([made[n] for n in good])
    return joined(len(cells), there[np.array(good)][_close(prints)])


def _close(prints: np.ndarray) -> np.ndarray:
    """(p, 2) pairs. prints  (n, views, d) unit vectors: a file, and the same as it may be turned; the first view of one is compared with all of the other"""
    n, first, found = len(prints), prints[:, 0], []
    for start in range(0, n, 512):
        part = prints[start : start + 512]
        alike = np.max([part[:, v] @ first.T for v in range(prints.shape[1])], axis=0)
        alike[np.arange(len(part)), start + np.arange(len(part))] = -1
        nearest = np.argsort(-alike, axis=1)[:, : min(8, n - 1)]
        distance = np.sqrt(np.maximum(2 - 2 * np.take_along_axis(alike, nearest, axis=1), 0))
        close = distance <= _CLOSE
        many = close.sum(axis=1)
        beyond = np.take_along_axis(distance, np.minimum(many, distance.shape[1] - 1)[:, None], axis=1)  # the nearest that is no copy
        sure = (many > 0) & (many < distance.shape[1]) & (np.where(close, distance, 0).max(axis=1) <= _GAP * beyond[:, 0])
        rows, places = np.nonzero(close & sure[:, None])
        found.append(np.column_stack([start + rows, nearest[rows, places]]))
    return np.concatenate(found)


def _unit(values: np.ndarray) -> np.ndarray | None:
    """Less its mean, of length 1; None where all is one value."""
    values = values.astype(np.float32).ravel() - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > 1e-3 * len(values) else None


def _picture():
    """A perceptual hash in shades: the picture in 16 x 16 greys, and mirrored."""
    pictures = needed("kit.pictures", "a column of pictures")
    from PIL import Image

    def read(cell: str | np.ndarray) -> np.ndarray | None:
        grey = Image.fromarray(pictures.as_rgb(pictures.shrink(cell, size=2 * _SIDE))).convert("L")
        small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
        views = [_unit(small), _unit(small[:, ::-1])]
        return None if views[0] is None else np.stack(views)

    return read


def _sound():
    """The first seconds as loudness in 32 bands and 32 steps of time, from where it begins to be heard."""
    sounds = needed("kit.sounds", "a column of sounds")

    def read(cell: str | np.ndarray) -> np.ndarray | None:
        samples = sounds.decode(cell, rate=_RATE, seconds=_SECONDS, trim_db=40.0).astype(np.float32)
        width = 512
        if len(samples) < 4 * width:
            samples = np.pad(samples, (0, 4 * width - len(samples)))
        starts = np.linspace(0, len(samples) - width, 4 * _STEPS).astype(np.int64)
        spectra = np.abs(np.fft.rfft(samples[starts[:, None] + np.arange(width)] * np.hanning(width), axis=1)) ** 2
        edges = np.unique(np.geomspace(2, width // 2 + 1, _BANDS_OF_SOUND + 1).astype(np.int64))
        bands = np.add.reduceat(spectra, edges[:-1], axis=1)
        steps = bands.reshape(_STEPS, 4, -1).mean(axis=1)
        one = _unit(np.log(steps / max(float(steps.max()), 1e-9) + 1e-4))
        return None if one is None else one[None]

    return read

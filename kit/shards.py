"""Embeddings in a folder: written block by block, read as if they lay in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kit.errors import RunError
from kit.files import read_json, whole, write_json

QUERIES, GALLERY = "queries", "gallery"  # folders of a fold: the vectors of the test rows and of the gallery
_BYTES = 2**28  # of a file
_INDEX = "index.json"


class Shards:
    """(n, width) float32 embeddings in a folder: .npy files of at most 256 MB that are memory-mapped, and an index with their ids."""

    def __init__(self, ids: np.ndarray, width: int, rows: int, parts: list[np.ndarray]):
        """
        ids    (n,) text
        rows   of each file but the last
        parts  memory-mapped (rows, width)
        """
        self.ids, self.width, self._rows, self._parts = ids, width, rows, parts

    @classmethod
    def write(cls, folder: Path, ids: Sequence[str], blocks: Iterable[np.ndarray], width: int) -> "Shards":
        """Writes all blocks, (rows, width) float32 each and together a row for each id, and opens them.

        The index is written last and taken away first, so that a folder is whole or is no Shards. Raises RunError where it cannot be written.
        """
        folder = Path(folder)
        (folder / _INDEX).unlink(missing_ok=True)
        rows = max(1, _BYTES // (4 * width))
        rest, ahead = iter(blocks), np.zeros((0, width), np.float32)
        files = [_file(n) for n in range(-(-len(ids) // rows))]
        for start, name in zip(range(0, len(ids), rows), files):
            shape = (min(rows, len(ids) - start), width)
            with whole(folder / name) as temporary, open(temporary, "wb") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
                missing = shape[0]
                while missing:
                    while not len(ahead):
                        given = next(rest, None)
                        assert given is not None, f"fewer rows than the {len(ids)} ids"
                        assert given.shape[1:] == (width,), (given.shape, width)
                        ahead = np.ascontiguousarray(given, "<f4")
                    file.write(ahead[:missing].data)
                    missing, ahead = missing - len(ahead[:missing]), ahead[missing:]
        assert not len(ahead) and not sum(map(len, rest)), f"more rows than the {len(ids)} ids"
        for left in set(folder.glob("shard-*.npy")) - {folder / name for name in files}:
            left.unlink()
        write_json(folder / _INDEX, {"width": width, "rows": rows, "ids": list(map(str, ids))})
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Raises RunError where the folder is not whole."""
        folder = Path(folder)
        index = read_json(folder / _INDEX)
        ids, width, rows, parts = np.array(index["ids"], object), index["width"], index["rows"], []
        for n in range(-(-len(ids) // rows)):
            path, expected = folder / _file(n), (min(rows, len(ids) - n * rows), width)
            try:
                part = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise RunError(f"{path} cannot be read: {error}\n{_anew(folder)}") from error
            if part.shape != expected or part.dtype != np.float32:
                held = f"{path} holds {part.shape} {part.dtype}"
                raise RunError(f"{held}: expected {expected} float32, by {_INDEX} beside it\n{_anew(folder)}")
            parts.append(part)
        return cls(ids, width, rows, parts)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(r, width) float32, read-only where it lies in one file."""
        start, stop, step = rows.indices(len(self))
        assert step == 1, "shards give rows one after another"
        taken = []
        while start < stop:
            n, at = divmod(start, self._rows)
            taken.append(self._parts[n][at : at + stop - start])
            start += len(taken[-1])
        return taken[0] if len(taken) == 1 else np.concatenate([np.zeros((0, self.width), np.float32), *taken])

    def vectors(self) -> np.ndarray:
        """(n, width) float32, all in memory."""
        return np.array(self[:])


def _anew(folder: Path) -> str:
    return f"delete {folder} and give the same command again: it embeds anew"


def _file(n: int) -> str:
    return f"shard-{n:05d}.npy"

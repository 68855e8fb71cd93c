"""Writes that are whole or absent, and fingerprints of files.

A reader never sees half a file: text is written beside its place, flushed to the disk, and renamed.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.errors import RunError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there replaces `path` if the block ends well, else vanishes.

    Raises RunError, naming `path`, where the disk is full or the folder is read-only.
    """
    path = Path(path)
    temporary = None
    with named(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever the system says against writing becomes a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own text is longer, and says no more
        raise RunError(
            f"cannot write {path}: {reason}\n"
            "free some space or make the folder writable, then give the same command again: it goes on from there"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: is its folder a whole run?") from error
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not JSON: {error}") from error


def fingerprint(paths: Iterable[Path]) -> str:
    """One hash over the names and bytes of the files; a folder counts by the names and sizes of what is in it, a zip archive by its index."""
    whole_hash = hashlib.sha256()
    for path in sorted({Path(p) for p in paths}):
        whole_hash.update(path.name.encode())
        if path.is_dir():
            for name, size in sorted(_sizes(path, "")):
                whole_hash.update(f"{name} {size}\n".encode())
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.infolist(), key=lambda m: m.filename):
                    whole_hash.update(f"{member.filename} {member.file_size} {member.CRC}\n".encode())
        elif path.exists():
            with open(path, "rb") as file:
                whole_hash.update(hashlib.file_digest(file, "sha256").digest())
    return whole_hash.hexdigest()[:16]


def begun_from(*named: object) -> list[Path]:
    """The files of those among the names that are a file here, or a folder that holds a checkpoint."""
    places = [Path(name) for name in named if isinstance(name, str) and name]
    found = [sorted(place.rglob("*")) if (place / "config.json").is_file() else [place] for place in places]
    return [file for files in found for file in files if file.is_file()]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sizes(folder: Path | str, below: str) -> Iterator[tuple[str, int]]:
    """(path relative to the first folder, bytes) of every file in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sizes(entry.path, f"{below}{entry.name}/")
            elif entry.is_file():
                yield below + entry.name, entry.stat().st_size

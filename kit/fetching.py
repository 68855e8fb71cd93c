"""A competition's files from Kaggle into a folder: only what is missing is fetched, and what is there is never written over.

The folder's .fetched.json says of each file which of Kaggle's files it came from, its bytes and its hash, so that a later call checks and
skips it. Files arrive in a folder of their own and move when all are there.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.competition import listed, open_competition
from kit.errors import DataError, KitError, shorten
from kit.files import digest, named, read_json, write_json
from kit.registry import needed
from kit.transfer import ALL_FILES, transfer
from kit.unpacking import MEMBERS, SPARE, safe, size, unpack

RECORD = ".fetched.json"
MANY = 60  # files; more come in one zip
ALL = "*"  # what files of that zip came from
_UNPACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_BY_HAND = (".7z", ".rar")


def place(competition: str, into: Path | None) -> tuple[str, Path, Path]:
    """(the name on Kaggle, the folder for its files, a folder for what is on its way).

    into  a folder instead of the competition's own: then it may be one of Kaggle's that has no config here
    Raises KitError where there is no such competition, or its config names none of Kaggle's.
    """
    try:
        opened = open_competition(competition)
    except KitError:
        if into is None or not re.fullmatch(r"[\w-]+", competition) or competition in listed("competitions"):
            raise
        return competition, into, beside(into)
    if not opened.config.kaggle:
        raise KitError(f'{opened.name} names no competition of Kaggle\nadd kaggle = "…" to the top of {opened.folder / "config.toml"}: the last word of its address')
    if into is not None:
        return opened.config.kaggle, into, beside(into)
    if told := opened.config.input.get("data"):
        raise KitError(f"{opened.name} reads its files from {told} (input.data)\ntake input.data out of {opened.folder / 'config.toml'}, or say where to: --into DIR")
    folder = opened.home / "data"
    return opened.config.kaggle, folder, beside(folder) if folder.is_symlink() else opened.home / "cache" / "fetching"


def beside(folder: Path) -> Path:
    """A folder on the same disk for what is on its way."""
    real = folder.resolve()
    return real.with_name(f".{real.name}.fetching")


def fetch(slug: str, folder: Path, coming: Path, progress: Callable[[str], None], *, members: int = MEMBERS, pause: Callable[[float], None] = time.sleep) -> None:
    """All files of a competition into `folder`.

    slug     its name on Kaggle
    coming   a folder for what is on its way, deleted at the end; a call that was stopped goes on from it
    members  from which number on an archive is refused
    Raises KitError, saying what to do, for whatever keeps Kaggle from giving them; DataError where something else lies in a file's place.
    """
    account = needed("kit.kaggle", "kit data").Kaggle(progress, pause)
    on_kaggle = account.files(slug, MANY)
    if on_kaggle == []:
        raise DataError(f"{slug} has no data files on Kaggle\nlook at https://www.kaggle.com/competitions/{slug}/data")
    wanted = [(ALL, 0)] if on_kaggle is None else [(safe(name), count) for name, count in on_kaggle]
    with _alone(coming):
        there = _checked(folder, wanted, progress)
        missing = [(name, count) for name, count in wanted if name not in there]
        _look_at_the_disk(folder, coming, missing)
        for name, count in missing:
            _bring(account, slug, name, count, coming, progress, members)
        _move(slug, folder, coming)


@contextmanager
def _alone(coming: Path) -> Iterator[None]:
    """Raises DataError while another call fetches the same; the lock is the operating system's, and gone with its process."""
    with named(coming):
        coming.mkdir(parents=True, exist_ok=True)
        handle = os.open(coming / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DataError(f"another kit data is at work in {coming}\nlet it end") from error
    finally:
        os.close(handle)


def _record(folder: Path) -> dict[str, dict[str, Any]]:
    """Path within the folder -> bytes, sha256 and what it came from."""
    return read_json(folder / RECORD)["files"] if (folder / RECORD).is_file() else {}


def _checked(folder: Path, wanted: list[tuple[str, int]], progress: Callable[[str], None]) -> set[str]:
    """Which of Kaggle's files are there. Raises DataError where one is not what was fetched, or lies in the place of one that was not."""
    known, wrong, complete = _record(folder), [], {}
    for path, entry in known.items():
        file = folder / path
        complete.setdefault(entry["of"], True)
        if not file.is_file():
            complete[entry["of"]] = False
        elif file.stat().st_size != entry["bytes"] or digest(file) != entry["sha256"]:
            wrong.append(f"{file} is not what was fetched: it was changed, or its disk is not well")
    for name, count in wanted:
        file = folder / name
        if name in complete or not file.is_file():
            continue
        if count and file.stat().st_size != count:
            wrong.append(f"{file} was put there by hand, with {file.stat().st_size:,} bytes where Kaggle has {count:,}")
        else:
            progress(f"note    {file} was put there by hand, and stays")
            complete[name] = True
    if wrong:
        raise DataError("\n".join([*wrong, "nothing is written over: move them away, and give the same command again"]))
    for name in sorted({entry["of"] for entry in known.values() if complete[entry["of"]]}):
        progress(f"there   {_shown(name)}")
    return {name for name, whole in complete.items() if whole}


def _look_at_the_disk(folder: Path, coming: Path, missing: list[tuple[str, int]]) -> None:
    needs = sum(count for _, count in missing) - sum(p.stat().st_size for p in coming.rglob("*") if p.is_file())
    free = shutil.disk_usage(coming).free - SPARE
    if needs > free:
        raise DataError(f"the files still need {size(needs)}, and the disk of {folder} has {size(max(free, 0))} to spare\nfree some space, or name another folder: --into DIR")


def _bring(account: Any, slug: str, name: str, count: int, coming: Path, progress: Callable[[str], None], members: int) -> None:
    """One of Kaggle's files, unpacked where it is an archive, into coming/files."""
    ready = coming / "files"
    here = _record(ready)
    if any(entry["of"] == name for entry in here.values()):
        return
    part = coming / "parts" / ("all.zip" if name == ALL else name)
    progress(f"fetch   {_shown(name)}" + (f", {size(count)}" if count else ""))
    arrived = transfer(account, slug, None if name == ALL else name, part)
    wrapped = name != ALL and arrived.name.lower().endswith(".zip") and not name.lower().endswith(".zip")
    if count and not wrapped and arrived.bytes != count:
        progress(f"note    {name} has {arrived.bytes:,} bytes, and Kaggle's list says {count:,}")
    fresh = coming / "unpacked"
    shutil.rmtree(fresh, ignore_errors=True)
    if name == ALL or wrapped or name.lower().endswith(_UNPACKED):
        written = unpack(part, fresh, members=members)
        paths = _places(name, list(written), wrapped, here)
        moves = {paths[inside]: (fresh / inside, one) for inside, one in written.items()}
    else:
        moves = {name: (part, arrived)}
        if name.lower().endswith(_BY_HAND):
            progress(f"note    {name} is not unpacked here: unpack it by hand, beside itself")
    with named(ready):
        for path, (source, _) in moves.items():
            (ready / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, ready / path)
    _note(ready, slug, here | {path: {"bytes": one.bytes, "sha256": one.sha256, "of": name} for path, (_, one) in moves.items()})
    part.unlink(missing_ok=True)


def _places(name: str, inside: list[str], wrapped: bool, taken: dict[str, Any]) -> dict[str, str]:
    """Path within an archive -> path within the data folder: beside the archive where it holds one file or folder, else in a folder of its name."""
    if name == ALL:
        return {path: path for path in inside}
    if wrapped and len(inside) == 1:
        return {inside[0]: name}
    above = name.rpartition("/")[0]
    beside = {path: f"{above}/{path}" if above else path for path in inside}
    if len({path.split("/")[0] for path in inside}) == 1 and not any(path in taken for path in beside.values()):
        return beside
    stem = re.sub(r"(\.tar)?\.\w+$", "", name)
    return {path: f"{stem}/{path}" for path in inside}


def _move(slug: str, folder: Path, coming: Path) -> None:
    """All that has come takes its place at once, or file by file beside what is there. Raises DataError where something else lies there."""
    ready, known = coming / "files", _record(folder)
    fresh = _record(ready)
    wrong = [
        f"{folder / path} was put there by hand, and differs from what Kaggle has"
        for path, entry in fresh.items()
        if path not in known and (ready / path).is_file() and (folder / path).is_file() and digest(folder / path) != entry["sha256"]
    ]
    if wrong:
        raise DataError(f"{shorten(wrong)}\nnothing is written over: move them away, and give the same command again; nothing is fetched twice")
    with named(folder):
        if fresh and (not folder.exists() or not any(folder.iterdir())):
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.replace(ready, folder)
        elif fresh:
            for path in fresh:
                if (ready / path).is_file():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(ready / path, folder / path)
            _note(folder, slug, known | fresh)
        shutil.rmtree(coming)


def _shown(name: str) -> str:
    return ALL_FILES if name == ALL else name


def _note(folder: Path, slug: str, files: dict[str, dict[str, Any]]) -> None:
    write_json(folder / RECORD, {"competition": slug, "date": datetime.now(UTC).isoformat(timespec="seconds"), "files": files})


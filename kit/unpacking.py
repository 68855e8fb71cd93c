"""Unpacks an archive that nobody vouches for, zip, tar or gz, into a folder that is whole or absent.

All members are looked at before a byte is written, and what is written lies in a folder beside the place, which takes the place at the
end. What an archive says of its sizes is believed only where it is bad news: bytes are counted as they come.
"""

import hashlib
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kit.errors import DataError, shorten
from kit.files import named
from kit.members import BROKEN, Member, opened

MEMBERS = 100_000  # from so many on, an archive is refused unless it is said how many there may be
RATIO = 200  # bytes unpacked to bytes packed; tables pack to a tenth, a sample submission of zeros to a fiftieth
SMALL = 1 << 28  # bytes; below, no ratio does harm
SPARE = 1 << 26  # bytes of the disk that are left free
_CHUNK = 1 << 20  # bytes
_BY_HAND = "nothing was written; if you trust it, unpack it by hand"


@dataclass(frozen=True)
class Written:
    """
    bytes   of the file
    sha256  hexadecimal
    """

    bytes: int
    sha256: str


def unpack(archive: Path, folder: Path, *, members: int = MEMBERS, ratio: float = RATIO) -> dict[str, Written]:
    """Path within the folder -> what was written there. Archives within the archive stay as they are.

    folder   is made, and must not be there yet
    members  from which number on the archive is refused
    ratio    bytes unpacked to bytes packed, beyond which it is refused
    Raises DataError, and leaves nothing behind, for names that lead out of the folder or meet in one place, links, devices, encrypted
    members, too many members or bytes, and for what is not whole or of another kind; RunError where the folder cannot be written.
    """
    archive, folder = Path(archive), Path(folder)
    assert not os.path.lexists(folder), "nothing is unpacked over what is there"
    with named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(folder.parent).free - SPARE
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        try:
            packed = archive.stat().st_size
            most = min(room, max(SMALL, int(ratio * packed)))
            content = opened(archive, most)
            paths = _allowed(archive, content.members(), members, room, ratio)
            written = {}
            for member, stream in content.streams():
                path = beside / paths[member.name]
                with named(folder):
                    (path if member.folder else path.parent).mkdir(parents=True, exist_ok=True)
                if not member.folder:
                    written[paths[member.name]] = _write(stream, path, member, archive)
        except BROKEN as error:
            raise DataError(f"{archive} cannot be unpacked: {error or type(error).__name__}\nit is not whole: fetch it again") from error
        with named(folder):
            beside.chmod(0o755)
            os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return written


def safe(name: str) -> str:
    """A name from elsewhere as a path that stays within the folder it is put into. Raises DataError if there is none."""
    path, wrong = _path(name)
    if wrong or not path:
        raise DataError(f"{name[:200]!r} is no name for a file: it {wrong or 'is empty'}")
    return path


def _path(name: str) -> tuple[str, str]:
    """(the path, with / between its parts; what is wrong with it)."""
    slashed = name.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        return "", "has a character that is none of a name's"
    if slashed.startswith("/"):
        return "", "is absolute"
    if re.match("[A-Za-z]:", slashed):
        return "", "names a drive"
    if ".." in parts:
        return "", "leads out of the folder"
    if any(len(part.encode()) > 255 for part in parts) or len(slashed.encode()) > 2048:
        return "", "is too long"
    return "/".join(parts), ""


def _allowed(archive: Path, members: Iterable[Member], most: int, room: int, ratio: float) -> dict[str, str]:
    """Member's name -> its path. Raises DataError with all that is wrong."""
    problems: list[str] = []
    paths: dict[str, str] = {}
    taken = _Taken()
    total = 0
    for count, member in enumerate(members, 1):
        if count >= most:
            raise DataError(f"{archive} is not unpacked: it has {most:,} members or more\nnothing was written; if so many are right, say so: --members {10 * most}")
        path, wrong = _path(member.name)
        wrong = wrong or member.wrong or ("" if path or member.folder else "has no name") or taken.by(path, member.folder)
        if wrong:
            problems.append(f"{member.name[:200]!r} {wrong}")
        paths[member.name] = path
        total += max(member.size, 0)
    packed = archive.stat().st_size
    if total > max(SMALL, ratio * packed):
        problems.append(f"{size(packed)} would become {size(total)}: more than {ratio:g} times as much is taken for a trap")
    if total > room:
        problems.append(f"it needs {size(total)}, and the disk has {size(max(room, 0))} to spare")
    if problems:
        raise DataError(f"{archive} is not unpacked: {shorten(problems)}\n{_BY_HAND}")
    return paths


class _Taken:
    """The places that members have taken, as a file system sees them that is blind to case."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, bool]] = {}  # path without case -> (path, whether it is a folder)
        self.files: set[str] = set()

    def by(self, path: str, folder: bool) -> str:
        """Takes a place; what is wrong with it, else ""."""
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            place = "/".join(parts[:n]), n < len(parts) or folder
            known = self.places.setdefault(unicodedata.normalize("NFC", place[0]).casefold(), place)
            if known[0] != place[0]:
                return f"differs from {known[0]!r} by case or spelling alone"
            if known[1] != place[1]:
                return f"makes {place[0]!r} both a file and a folder"
        if path in self.files:
            return "is there twice"
        if not folder:
            self.files.add(path)
        return ""


def _write(stream: BinaryIO, path: Path, member: Member, archive: Path) -> Written:
    """Raises DataError where more or less comes than the archive says."""
    found, count = hashlib.sha256(), 0
    with named(path):
        file = open(path, "xb")  # noqa: SIM115 - what fails while it is read is not the disk's fault
    with file:
        while chunk := stream.read(_CHUNK):
            count += len(chunk)
            if 0 <= member.size < count:
                break
            found.update(chunk)
            with named(path):
                file.write(chunk)
        with named(path):
            file.flush()
    if member.size not in (-1, count):
        raise DataError(f"{archive} is not unpacked: {member.name!r} holds other than the {member.size:,} bytes that are said\n{_BY_HAND}")
    return Written(count, found.hexdigest())


def size(count: float) -> str:
    """Bytes for people: 12 kB, 3.4 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"

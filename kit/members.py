"""What an archive holds: its members one by one, told by its first bytes and not by its name, and what forbids each.

A tar that is compressed is read twice, so that all of it has been seen before anything is written.
"""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kit.errors import DataError

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, UnicodeDecodeError, struct.error)  # raised by what is not whole
_OPENS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_OTHERS = {b"7z\xbc\xaf'\x1c": ("7z", "7z x"), b"Rar!": ("rar", "unrar x"), b"\x28\xb5\x2f\xfd": ("zstd", "unzstd")}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_HEADER = 30  # bytes of a zip member's own header, before its name (APPNOTE.TXT 4.3.7)


@dataclass(frozen=True)
class Member:
    """
    name    as the archive gives it
    size    bytes, as the archive says; -1 where it does not
    wrong   what forbids it whatever its name; "" for plain files and folders
    folder  whether it is one
    """

    name: str
    size: int
    wrong: str = ""
    folder: bool = False


def opened(archive: Path, most: int) -> "Zip | Tar | Packed":
    """The archive, to be gone through twice: `members()`, then `streams()`, each with its member.

    most  bytes that may come out of it; DataError is raised as soon as there are more
    Raises DataError for archives of other kinds.
    """
    with open(archive, "rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return Zip(archive)
    for mark, (kind, how) in _OTHERS.items():
        if head.startswith(mark):
            raise DataError(f"{archive} is a {kind} archive, which is not unpacked here\nunpack it by hand: {how} {archive.name}")
    opens = next((opens for mark, opens in _OPENS.items() if head.startswith(mark)), None)
    if opens is not None:
        with opens(archive) as file:
            head = file.read(512)
    if _is_tar(head):
        return Tar(archive, opens or open, most)
    if opens is not None:
        return Packed(archive, opens, most)
    raise DataError(f"{archive} is no archive that is known here: expected zip, tar or gz\nis it a page that says why there is no file? look into it")


def _is_tar(head: bytes) -> bool:
    """By the checksum in the first header, which tars of every age have."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class Zip:
    def __init__(self, archive: Path):
        self.archive = archive

    def members(self) -> Iterator[Member]:
        with zipfile.ZipFile(self.archive) as file:
            infos = file.infolist()
            end, overlaps = file.start_dir, set()
            for info in sorted(infos, key=lambda i: i.header_offset, reverse=True):
                if info.header_offset + _HEADER + info.compress_size > end:
                    overlaps.add(id(info))
                end = min(end, info.header_offset)
            for info in infos:
                wrong = _wrong(info) or ("shares its bytes with another" if id(info) in overlaps else "")
                yield Member(info.orig_filename, info.file_size, wrong, info.is_dir())

    def streams(self) -> Iterator[tuple[Member, BinaryIO]]:
        with zipfile.ZipFile(self.archive) as file:
            for info in file.infolist():
                with file.open(info) as stream:
                    yield Member(info.orig_filename, info.file_size, folder=info.is_dir()), stream


def _wrong(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"is packed by a method that is not known here ({info.compress_type})"
    if stat.S_ISLNK(mode):
        return "is a link"
    return "" if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else "is a device"


class Tar:
    def __init__(self, archive: Path, opens, most: int):
        self.archive, self.opens, self.most = archive, opens, most

    @contextmanager
    def _read(self) -> Iterator[tarfile.TarFile]:
        with self.opens(self.archive, "rb") as packed, tarfile.open(fileobj=_Counted(packed, self.archive, self.most), mode="r|") as file:
            yield file

    def members(self) -> Iterator[Member]:
        with self._read() as file:
            for info in file:
                yield _member(info)
                file.members = []  # it would keep them all

    def streams(self) -> Iterator[tuple[Member, BinaryIO | None]]:
        with self._read() as file:
            for info in file:
                yield _member(info), None if info.isdir() else file.extractfile(info)
                file.members = []


def _member(info: tarfile.TarInfo) -> Member:
    wrong = "is a link" if info.issym() or info.islnk() else "" if info.isreg() or info.isdir() else "is a device"
    return Member(info.name, info.size, wrong, info.isdir())


class Packed:
    """One file that is compressed by itself."""

    def __init__(self, archive: Path, opens, most: int):
        self.archive, self.opens, self.most = archive, opens, most

    def members(self) -> Iterator[Member]:
        yield Member(self.archive.stem, -1)

    def streams(self) -> Iterator[tuple[Member, BinaryIO]]:
        with self.opens(self.archive, "rb") as packed:
            yield Member(self.archive.stem, -1), _Counted(packed, self.archive, self.most)


class _Counted:
    """A stream that ends in DataError where more comes out of it than may."""

    def __init__(self, file: BinaryIO, archive: Path, most: int):
        self.file, self.archive, self.left = file, archive, most

    def read(self, count: int = -1) -> bytes:
        data = self.file.read(min(count, self.left + 1) if count >= 0 else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise DataError(
                f"{self.archive} is not unpacked: more comes out of it than the disk has to spare, or than is likely\n"
                "nothing was written; if you trust it, unpack it by hand"
            )
        return data

"""Opens files by their paths, also where a path leads into a zip archive: `data/train.zip/train/0001.jpg`.

No handle of an archive is kept, only its table of contents, so that neither threads nor forked processes can move one another's place
in it.
"""

import errno
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from kit.errors import DataError

_NO_FILE = (errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP)
_CONTENTS: dict[tuple[str, int, int], dict[str, zipfile.ZipInfo]] = {}  # (path, bytes, mtime) of an archive -> what is in it


def open_file(path: str) -> BinaryIO:
    """The file's bytes as a stream.

    Raises FileNotFoundError, IsADirectoryError, zlib.error or EOFError where a member of an archive is broken, and DataError where
    a file may not be read or an archive is not whole.
    """
    try:
        return open(path, "rb")
    except NotADirectoryError:
        return io.BytesIO(_unpacked(path))
    except ValueError as error:  # a NUL in the path
        raise FileNotFoundError(errno.ENOENT, str(error), path) from error
    except IsADirectoryError:
        raise
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileNotFoundError(errno.ENOENT, error.strerror, path) from error
        raise unreadable(path, error) from error


def identity(path: str) -> str:
    """Changes when the file does: its bytes and the nanoseconds of its last change; of a member of an archive, its checksum and bytes.

    "missing" where there is no such file. Raises DataError as open_file does.
    """
    try:
        state = os.stat(path)
    except NotADirectoryError:
        found = _member(path)
        return "missing" if found is None else f"{found[1].CRC} {found[1].file_size}"
    except ValueError:
        return "missing"
    except OSError as error:
        if error.errno in _NO_FILE:
            return "missing"
        raise unreadable(path, error) from error
    return f"{state.st_size} {state.st_mtime_ns}"


def unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror}\nis it yours to read, and is its disk well?")


def _member(path: str) -> tuple[Path, zipfile.ZipInfo] | None:
    """The archive that a path leads into, and the member; None if there is none."""
    archive = next((folder for folder in Path(path).parents if folder.is_file()), None)
    if archive is None:
        return None
    state = archive.stat()
    key = str(archive), state.st_size, state.st_mtime_ns
    if key not in _CONTENTS:
        if archive.suffix.lower() != ".zip" and not zipfile.is_zipfile(archive):
            return None
        try:
            with zipfile.ZipFile(archive) as opened:
                _CONTENTS[key] = opened.NameToInfo
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{archive} cannot be read as a zip archive: {error}\nis it whole? fetch it again") from error
    info = _CONTENTS[key].get(Path(path).relative_to(archive).as_posix())
    return None if info is None else (archive, info)


def _unpacked(path: str) -> bytes:
    found = _member(path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    archive, info = found
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{path} is encrypted, or packed in a way that is not read here\nunzip {archive}")
    with open(archive, "rb") as file:
        file.seek(info.header_offset)
        head = file.read(30)  # the local header (APPNOTE.TXT 4.3.7), whose two variable parts may differ from the table of contents
        if len(head) < 30:
            raise EOFError(f"{path} begins beyond the end of its archive")
        file.seek(sum(struct.unpack_from("<HH", head, 26)), os.SEEK_CUR)
        packed = file.read(info.compress_size)
    stored = info.compress_type == zipfile.ZIP_STORED
    data = packed if stored else zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise EOFError(f"{path} does not unpack to what its archive says of it")
    return data

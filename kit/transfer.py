"""One file over a line that breaks: it is gone on with where it stopped, also by a later call, and counted and hashed before it has its name.

A part that lies there is gone on with only if the server says that the file is still the one that the part is of.
"""

import base64
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kit.errors import DataError, RunError
from kit.files import named, read_json, write_json
from kit.unpacking import Written, size

CHUNK = 1 << 20  # bytes read at once from the disk
_PIECE = 1 << 14  # bytes taken at once from the line: one that is not whole when it breaks is lost
ALL_FILES = "all files in one"
_SAYS = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Arrived(Written):
    """
    name  that the server gives the file: Kaggle packs some, so that train.csv comes as train.csv.zip
    """

    name: str


def transfer(account: Any, slug: str, name: str | None, part: Path) -> Arrived:
    """A data file of a competition whole in `part`.

    account  kit.kaggle.Kaggle
    name     None for all files in one zip
    Raises DataError where what arrived twice is not what the server says that it sent, else as account.answer does.
    """
    shown, before = name or ALL_FILES, _bytes(part)

    def gained() -> bool:
        nonlocal before
        now = _bytes(part)
        before, more = now, now - before
        return more >= CHUNK

    for last in (False, True):
        told = account.answer(lambda: _once(account, slug, name, part, shown), slug, gained)
        wrong = _wrong(part, told)
        if not wrong:
            break
        _forget(part)
        if last:
            raise DataError(f"{shown} came twice, and {wrong}\nthe same command tries again")
        account.progress(f"note    {shown}: {wrong}; fetched again")
    found = hashlib.sha256()
    with open(part, "rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return Arrived(_bytes(part), found.hexdigest(), told["name"])


def _once(account: Any, slug: str, name: str | None, part: Path, shown: str) -> dict[str, Any]:
    """What the server says of the file, after its bytes, or those that `part` lacks, have come."""
    response = account.open_file(slug, name)
    told = _told(response)
    known = _known(part)
    start = _bytes(part) if told["same"] and known is not None and known | {"name": told["name"]} == told else 0
    if start and start == told["bytes"]:
        response.close()
        return told
    if start:
        rest = account.rest_of(response, start, told["same"])
        start = start if rest is not None and rest.status_code == 206 else 0
        response = rest or account.open_file(slug, name)
    write_json(_state(part), told)
    with response:
        _keep(response, part, start, told["bytes"], shown, account.progress)
    return told


def _keep(response: Any, part: Path, start: int, whole: int, shown: str, progress: Callable[[str], None]) -> None:
    with named(part):
        file = open(part, "r+b" if start else "wb")  # noqa: SIM115 - a line that breaks while it is read is not the disk's fault
    said = time.monotonic()
    with file:
        file.seek(start)
        for chunk in response.iter_content(_PIECE):
            with named(part):
                file.write(chunk)
            if time.monotonic() - said > _SAYS:
                said = time.monotonic()
                progress(f"        {shown}: {size(file.tell())}" + (f" of {size(whole)}" if whole else ""))
        with named(part):
            file.truncate()


def _told(response: Any) -> dict[str, Any]:
    """bytes: 0 where it is not said; same: changes when the file does, "" where it is not said; md5: hexadecimal, "" where it is not said; name."""
    headers = response.headers
    packed = headers.get("Content-Encoding", "identity") != "identity"
    hashes = dict(re.findall(r"(\w+)=([\w+/]+=*)", headers.get("x-goog-hash", "")))
    md5 = hashes.get("md5") or headers.get("Content-MD5", "")
    return {
        "bytes": 0 if packed else int(headers.get("Content-Length", 0)),
        "same": "" if packed else headers.get("ETag") or headers.get("Last-Modified") or "",
        "md5": "" if packed or not md5 else base64.b64decode(md5).hex(),
        "name": unquote(urlsplit(response.url).path.rsplit("/", 1)[-1]),
    }


def _wrong(part: Path, told: dict[str, Any]) -> str:
    """How what came differs from what was said, "" if it does not."""
    if told["bytes"] and _bytes(part) != told["bytes"]:
        return f"has {_bytes(part):,} bytes where {told['bytes']:,} were said"
    if told["md5"]:
        with open(part, "rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != told["md5"]:
                return "its hash is not the one that was said"
    return ""


def _state(part: Path) -> Path:
    return part.with_name(f".{part.name}.told")


def _known(part: Path) -> dict[str, Any] | None:
    """What the server said of the file when the part was begun."""
    try:
        return read_json(_state(part))
    except RunError:
        return None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

"""Runs at the start of every Python process of a rehearsal: the network is refused, and what was imported is written down.

A copy of this file lies in the fresh environment, where kit is not installed yet: it imports the standard library alone.
"""

import atexit
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

FOLDER = "KIT_REHEARSAL"  # environment variable: where attempts and imports are written, for child processes too
NETWORK, LOADED = "network-", "loaded-"  # what these files begin with; the process's number ends them


def begin() -> None:
    """Refuses the network for as long as this process lives. Sockets within the machine's own file system (AF_UNIX) stay."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _refused_to_others(name))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        setattr(socket, name, _refused(name))
    if os.environ.get(FOLDER):
        atexit.register(_write_loaded, time.monotonic())


def _refused_to_others(name: str) -> Callable:
    own = getattr(socket.socket, name)

    def method(self: socket.socket, *given: Any) -> Any:
        if self.family == getattr(socket, "AF_UNIX", None):
            return own(self, *given)
        _note(f"{name} {given[-1] if given else ''}")
        raise OSError(errno.ENETUNREACH, "the rehearsal refuses the network")

    return method


def _refused(name: str) -> Callable:
    def lookup(*given: Any, **options: Any) -> Any:
        _note(f"{name} {given[0] if given else ''}")
        raise socket.gaierror(socket.EAI_FAIL, "the rehearsal refuses the network")

    return lookup


def _note(line: str) -> None:
    if folder := os.environ.get(FOLDER):
        with open(os.path.join(folder, f"{NETWORK}{os.getpid()}.txt"), "a", encoding="utf-8") as file:
            file.write(line + "\n")


def _write_loaded(began: float) -> None:
    """Of a process that used kit: where its kit lies, its modules, all top-level names, and how long it took."""
    if "kit" not in sys.modules:
        return
    told = {
        "kit": sys.modules["kit"].__file__,
        "modules": {name: getattr(module, "__file__", None) for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "kit"},
        "top": sorted({name.split(".")[0] for name in sys.modules}),
        "seconds": time.monotonic() - began,
    }
    with open(os.path.join(os.environ[FOLDER], f"{LOADED}{os.getpid()}.json"), "w", encoding="utf-8") as file:
        json.dump(told, file)

"""Work in a process of its own, which ends when its time is up."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from kit.errors import KitError

_GRACE = 0.5  # seconds that a stopped process has to write down where it stopped


def in_a_process(work: Callable[[], Any], seconds: float) -> int | None:
    """The exit code of a process that does the work; it and its children are stopped when the time is up.

    It is a copy of this one, which has the libraries read in already; this one never computes anything itself, so that no thread of a
    library is lost in the copy.
    """
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(work,))
    process.start()
    try:
        process.join(max(seconds, 0.0))
        if process.is_alive():
            _stop(process, signal.SIGTERM)
            process.join(_GRACE)
        if process.is_alive():
            _stop(process, signal.SIGKILL)
            process.join()
    except BaseException:
        _stop(process, signal.SIGTERM)
        process.join(_GRACE)
        _stop(process, signal.SIGKILL)
        process.join()
        raise
    return process.exitcode


def _stop(process: Any, how: int) -> None:
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        if process.is_alive():  # it has not made a group of its own yet
            os.kill(process.pid, how)


def _alone(work: Callable[[], Any]) -> None:
    os.setpgrp()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        work()
    except (KitError, MemoryError) as error:
        print(f"kit: {error or 'not enough memory'}", file=sys.stderr, flush=True)
        sys.exit(1)

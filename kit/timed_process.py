"""Work in a process of its own, which ends when its time is up."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from kit.errors import KitError

_GRACE = 0.5  # seconds that a stopped process has to write down where it stopped
_LOOKING = 1.0  # seconds from one look at it to the next


def in_a_process(work: Callable[[], Any], seconds: float, hopeless: Callable[[], bool] = lambda: False) -> int | None:
    """The exit code of a process that does the work; it and its children are stopped when the time is up.

    It is a copy of this one, which has the libraries read in already; this one never computes anything itself, so that no thread of a
    library is lost in the copy.

    hopeless  asked once a second: whether the work cannot end in time, and is stopped at once
    """
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(work,))
    began = time.monotonic()
    process.start()
    try:
        while process.is_alive() and (spent := time.monotonic() - began) < seconds and not hopeless():
            process.join(min(_LOOKING, seconds - spent))
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

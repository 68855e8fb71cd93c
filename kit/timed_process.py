"""Work in processes of their own, each of which ends when its time is up."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from kit.errors import KitError

_GRACE = 0.5  # seconds that a stopped process has to write down where it stopped
_LOOKING = 1.0  # seconds from one look at it to the next


class Timed:
    """A process that does some work; it and its children are stopped when the time is up.

    It is a copy of this one, which has the libraries read in already; this one never computes anything itself while others run, so that
    no thread of a library is lost in the copy.

    seconds   that it may take
    hopeless  asked once a second: whether the work cannot end in time, and is stopped at once
    """

    def __init__(self, work: Callable[[], Any], seconds: float, hopeless: Callable[[], bool] = lambda: False):
        self.due, self.hopeless = time.monotonic() + seconds, hopeless
        self.process = multiprocessing.get_context("fork").Process(target=_alone, args=(work,))
        self.process.start()

    @property
    def code(self) -> int | None:
        """The exit code; None as long as it runs."""
        return self.process.exitcode

    @property
    def over(self) -> bool:
        """Whether it is to be stopped."""
        return self.code is None and (time.monotonic() >= self.due or self.hopeless())


def wait_for_any(running: list[Timed]) -> None:
    """Until one of them has ended, or was stopped for what `Timed` says."""
    while True:
        stop([one for one in running if one.over])
        if any(one.code is not None for one in running):
            return
        soonest = min(one.due for one in running) - time.monotonic()
        multiprocessing.connection.wait([one.process.sentinel for one in running], max(min(_LOOKING, soonest), 0.0))


def stop(running: list[Timed]) -> None:
    """All of them at once: together they have as long as one has."""
    for how, grace in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):  # the second for children, too, which may not have ended with it
        for one in running:
            _signal(one.process, how)
        until = time.monotonic() + (grace or 0.0)
        for one in running:
            one.process.join(max(until - time.monotonic(), 0.0) if grace else None)


def _signal(process: Any, how: int) -> None:
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

"""What this machine has for this process, and how much of it others leave."""

import hashlib
import os
import threading
import time
from pathlib import Path

_LOOK = 0.15  # seconds of work on every core: some time slices of any scheduler
_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_GROUPS = (  # of both versions of the kernel's groups: limit, use, and what of the use are files that are given up when memory is asked for
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
_BLOCK = bytes(1 << 18)  # hashed again and again: large enough that Python lets other threads run meanwhile


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_cores(seconds: float = _LOOK) -> float:
    """Cores' worth of work that this process gets, measured: less than `cores` where others work on them, or where a container is given less."""
    shares: list[float] = []

    def work() -> None:
        began, used = time.monotonic(), time.thread_time()
        while (spent := time.monotonic() - began) < seconds:
            hashlib.sha256(_BLOCK).digest()
        shares.append((time.thread_time() - used) / spent)

    threads = [threading.Thread(target=work) for _ in range(cores())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(shares)


def free_memory() -> float:
    """Bytes that can be had without swapping: what the system says, or less where a container is given less; half of all where neither says."""
    try:
        lines = _MEMINFO.read_text(encoding="utf-8").splitlines()
        told = [1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        told = []
    for limit, used, statistics, reclaimed in _GROUPS:
        try:
            kept = sum(float(line.split()[1]) for line in (_GROUP / statistics).read_text().splitlines() if line.split()[:1] == [reclaimed])
            told.append(float((_GROUP / limit).read_text()) - float((_GROUP / used).read_text()) + kept)
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
    return max(min(told), 0.0) if told else 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

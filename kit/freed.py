"""What batches free is kept for the next ones, where the C library would give it back to the system and ask for it again at every step."""

import ctypes
import sys
from functools import cache

_TRIM, _MAP = -1, -3  # mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
_KEPT, _ALONE = 2**31 - 1, 2**25  # bytes: of free memory that stays, and from which on a block comes from the system by itself; the most that it takes


@cache
def keep_freed() -> None:
    """Sets it once a process, for glibc on Linux. What it brings hangs on how passes follow one another, from nothing to a tenth (benchmarks/README.md). Elsewhere nothing changes."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MAP, _ALONE)
        library.mallopt(_TRIM, _KEPT)

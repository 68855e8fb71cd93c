"""Memory that networks free is kept for their next step on a processor: handing it back and asking anew costs a fault for each 4 KB of each large tensor."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM, _THRESHOLD, _MAPPED = -1, -3, -4  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_MMAP_MAX of glibc's malloc.h
_USUAL = {_MAPPED: 65_536, _THRESHOLD: 32 << 20, _TRIM: 64 << 20}  # where the library's own adjusting ends once large blocks were freed
_inside = 0


@contextmanager
def keeping() -> Iterator[None]:
    """Around steps of a network, also as a decorator: blocks of any size come out of one heap, which does not shrink; at the end it is given back.

    Where the C library is not glibc, nothing is changed.
    """
    global _inside
    library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    _inside += 1
    try:
        if library is not None and _inside == 1:
            library.mallopt(_MAPPED, 0)
            library.mallopt(_TRIM, -1)
        yield
    finally:
        _inside -= 1
        if library is not None and not _inside:
            for option, value in _USUAL.items():
                library.mallopt(option, value)
            library.malloc_trim(0)

"""What is freed serves the next batch, where the C library would have given it back."""

import ctypes
import subprocess
import sys

import pytest

from kit import freed

FAULTS = """
import resource, sys
import torch
from kit.freed import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(20):
    before = faults()
    blocks = [torch.ones(2**22) for _ in range(6)]  # 16 MB each, as the maps of a batch
    while blocks:
        blocks.pop()
    took = faults() - before
print(took)
"""


def faults(how):
    """Pages that are asked of the system for a block, when such a block has been freed before."""
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="of glibc")
def test_a_block_that_was_freed_is_not_asked_of_the_system_again():
    kept, left = faults("keep"), faults("leave")
    assert kept < 50 < left


def test_nothing_is_touched_elsewhere(monkeypatch):
    def never(*_):
        raise AssertionError("no C library is opened")

    monkeypatch.setattr(freed.sys, "platform", "darwin")
    monkeypatch.setattr(freed.ctypes, "CDLL", never)
    freed.keep_freed.__wrapped__()

"""Memory between the steps of a network: kept while there are steps, and given back after them."""

import platform
import subprocess
import sys

import pytest

from kit.heap import keeping

_STEPS = """
import resource, sys
import numpy as np
from kit import heap

def faults(around):
    with around:
        np.ones(8 << 20)  # 64 MB, which is written and freed
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(8 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

from contextlib import nullcontext
begun = held()
print(faults(nullcontext()), faults(heap.keeping()), held() - begun, faults(nullcontext()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_large_array_is_faulted_in_once_and_not_at_each_step_and_nothing_is_held_afterwards():
    told = subprocess.run([sys.executable, "-c", _STEPS], capture_output=True, text=True, check=True).stdout
    usual, kept, held, after = map(int, told.split())
    assert kept < min(usual, after) / 5 and held < 16 << 10  # KB; how many faults an array is, hangs on the size of the pages that it gets


def test_one_within_another_ends_with_the_outer_and_an_error_ends_both():
    @keeping()
    def inner():
        raise ValueError

    from kit import heap

    with pytest.raises(ValueError), keeping():
        assert heap._inside == 1
        inner()
    assert heap._inside == 0

"""What a machine has, and what of it others leave."""

import subprocess
import sys

from kit import machine


def test_there_is_a_core_at_least_and_no_more_work_than_cores():
    assert machine.cores() >= 1
    assert 0 < machine.free_cores(0.1) <= 1.05 * machine.cores()


def test_cores_that_others_work_on_are_not_free():
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * machine.cores())]
    try:
        assert machine.free_cores(1.0) < 0.6 * machine.cores()
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_memory_is_what_a_container_is_given_where_that_is_less(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    whole = machine.free_memory()
    assert whole > 2**20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("500\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 250\nactive_file 50\n")
    assert machine.free_memory() > 2**20  # no limit
    (tmp_path / "memory.max").write_text("1000\n")
    assert machine.free_memory() == 750  # what files take of it can be had
    (tmp_path / "memory.current").write_text("1500\n")
    assert machine.free_memory() == 0


def test_where_nothing_tells_memory_half_of_the_machines_is_meant(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.get)
    assert machine.free_memory() == 0.5 * 4096 * 1000

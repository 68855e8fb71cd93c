import numpy as np
import pytest

from kit import shards
from kit.errors import RunError
from kit.shards import Shards

IDS = ["0012", "12", "é/1", "4", "5", "6", "7"]
ROWS = np.arange(14, dtype=np.float32).reshape(7, 2)


@pytest.fixture
def two_rows_a_file(monkeypatch):
    monkeypatch.setattr(shards, "_BYTES", 16)


def blocks(*sizes):
    start = 0
    for size in sizes:
        yield ROWS[start : start + size]
        start += size


@pytest.mark.parametrize("sizes", [(7,), (1, 5, 1), (0, 3, 0, 4, 0), (2, 2, 2, 1)])
def test_rows_come_back_whatever_the_blocks_they_were_written_in(tmp_path, two_rows_a_file, sizes):
    Shards.write(tmp_path, IDS, blocks(*sizes), 2)
    found = Shards.open(tmp_path)
    assert list(found.ids) == IDS and found.width == 2 and len(found) == 7
    assert len(list(tmp_path.glob("*.npy"))) == 4
    assert found.vectors().dtype == np.float32 and np.array_equal(found.vectors(), ROWS)


def test_slices_are_those_of_an_array(tmp_path, two_rows_a_file):
    found = Shards.write(tmp_path, IDS, blocks(7), 2)
    for start in range(9):
        for stop in range(9):
            assert np.array_equal(found[start:stop], ROWS[start:stop])
    assert np.array_equal(found[-3:], ROWS[-3:])


def test_vectors_are_the_callers_own_and_slices_lie_in_the_file(tmp_path):
    found = Shards.write(tmp_path, IDS, blocks(7), 2)
    found.vectors()[:] = -1
    assert np.array_equal(found.vectors(), ROWS)
    with pytest.raises(ValueError, match="read-only"):
        found[0:2][:] = -1


def test_no_rows_are_shards_too(tmp_path):
    found = Shards.write(tmp_path, [], iter([np.zeros((0, 3), np.float32)]), 3)
    assert len(found) == 0 and found.vectors().shape == (0, 3)


def test_an_interrupted_write_leaves_no_shards_not_even_the_old_ones(tmp_path, two_rows_a_file):
    def torn():
        yield ROWS[:5]
        raise KeyboardInterrupt

    Shards.write(tmp_path, IDS, blocks(7), 2)
    with pytest.raises(KeyboardInterrupt):
        Shards.write(tmp_path, IDS, torn(), 2)
    with pytest.raises(RunError, match="index.json is missing"):
        Shards.open(tmp_path)


def test_fewer_rows_leave_no_file_of_the_earlier_ones(tmp_path, two_rows_a_file):
    Shards.write(tmp_path, IDS, blocks(7), 2)
    Shards.write(tmp_path, IDS[:3], blocks(3), 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", "shard-00000.npy", "shard-00001.npy"]


@pytest.mark.parametrize("sizes, said", [((6,), "fewer rows"), ((7, 0), None)])
def test_rows_and_ids_must_be_as_many(tmp_path, sizes, said):
    if said is None:
        assert len(Shards.write(tmp_path, IDS, blocks(*sizes), 2)) == 7
        with pytest.raises(AssertionError, match="more rows than the 6 ids"):
            Shards.write(tmp_path, IDS[:6], blocks(*sizes), 2)
        return
    with pytest.raises(AssertionError, match=said):
        Shards.write(tmp_path, IDS, blocks(*sizes), 2)


def test_a_damaged_or_missing_file_is_named(tmp_path, two_rows_a_file):
    Shards.write(tmp_path, IDS, blocks(7), 2)
    np.save(tmp_path / "shard-00001.npy", ROWS[:1])
    with pytest.raises(RunError, match=r"shard-00001.npy holds \(1, 2\) float32: expected \(2, 2\) float32(.|\n)*delete .* again"):
        Shards.open(tmp_path)
    (tmp_path / "shard-00001.npy").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"shard-00001.npy cannot be read"):
        Shards.open(tmp_path)
    (tmp_path / "shard-00001.npy").unlink()
    with pytest.raises(RunError, match=r"shard-00001.npy cannot be read: .*No such file"):
        Shards.open(tmp_path)


def test_a_file_larger_than_one_shard_keeps_to_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_BYTES", 4096)
    Shards.write(tmp_path, [str(n) for n in range(100)], iter([np.ones((100, 64), np.float32)]), 64)
    sizes = [p.stat().st_size for p in tmp_path.glob("*.npy")]
    assert len(sizes) == 7 and max(sizes) <= 4096 + 128  # the header


def test_shards_written_with_another_limit_are_read(tmp_path, two_rows_a_file, monkeypatch):
    Shards.write(tmp_path, IDS, blocks(7), 2)
    monkeypatch.setattr(shards, "_BYTES", 2**20)
    assert np.array_equal(Shards.open(tmp_path).vectors(), ROWS)

"""Archives that nobody vouches for: what is well arrives whole, what is hostile leaves nothing, neither inside nor outside."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from kit import unpacking
from kit.errors import DataError, KitError
from kit.unpacking import safe, unpack


@pytest.fixture
def room(tmp_path):
    """room/ with an archive's place and a folder `in` to unpack into; what stands beside it must stay as it is."""
    (tmp_path / "room").mkdir()
    (tmp_path / "beside.txt").write_text("as it was")
    return tmp_path / "room"


def refused(archive: Path, **limits) -> str:
    """Why an archive is refused, and that it left nothing anywhere."""
    top = archive.parent.parent
    before = sorted(top.rglob("*"))
    with pytest.raises(KitError) as error:
        unpack(archive, archive.parent / "in", **limits)
    assert sorted(top.rglob("*")) == before and (top / "beside.txt").read_text() == "as it was"
    return str(error.value)


def zipped(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (mode or stat.S_IFREG | 0o644) << 16
            file.writestr(info, data)
    return path


def tarred(path: Path, *members: tuple[str, bytes], how: str = "w:gz", **header) -> Path:
    with tarfile.open(path, how) as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in header.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(data))
    return path


# what is well


def test_a_zip_arrives_with_its_folders_and_the_hash_of_each_file(room):
    found = unpack(zipped(room / "a.zip", ("train/", b""), ("train/1.txt", b"one"), ("empty/", b""), ("b.csv", b"")), room / "in")
    assert (room / "in/train/1.txt").read_bytes() == b"one" and (room / "in/empty").is_dir() and (room / "in/b.csv").read_bytes() == b""
    assert sorted(found) == ["b.csv", "train/1.txt"] and found["train/1.txt"].bytes == 3
    assert found["train/1.txt"].sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"


@pytest.mark.parametrize("how", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_arrives_however_it_is_packed_and_named(room, how):
    unpack(tarred(room / "no-ending", ("./train/1.txt", b"one"), ("2.txt", b"two" * 5000), how=how), room / "in")
    assert (room / "in/train/1.txt").read_bytes() == b"one" and (room / "in/2.txt").read_bytes() == b"two" * 5000


def test_a_gz_becomes_the_file_it_is_named_after(room):
    (room / "train.csv.gz").write_bytes(gzip.compress(b"id,y\n"))
    assert list(unpack(room / "train.csv.gz", room / "in")) == ["train.csv"]
    assert (room / "in/train.csv").read_bytes() == b"id,y\n"


def test_an_archive_in_an_archive_stays_as_it_is(room):
    inner = zipped(room / "inner.zip", ("../x", b"x")).read_bytes()
    unpack(zipped(room / "a.zip", ("inner.zip", inner)), room / "in")
    assert [p.name for p in (room / "in").iterdir()] == ["inner.zip"] and (room / "in/inner.zip").read_bytes() == inner


def test_files_are_plain_whatever_their_archive_asks_for(room):
    unpack(tarred(room / "a.tar", ("run.sh", b"x"), mode=0o6777), room / "in")
    assert stat.S_IMODE((room / "in/run.sh").stat().st_mode) & 0o7111 == 0


# names


BAD = {
    "../out.txt": "leads out of the folder",
    "train/../../out.txt": "leads out of the folder",
    "..\\out.txt": "leads out of the folder",
    "/tmp/out.txt": "is absolute",
    "\\out.txt": "is absolute",
    "C:\\out.txt": "names a drive",
    "c:out.txt": "names a drive",
    "a\x1b[31m.txt": "has a character that is none of a name's",
    "n" * 256: "is too long",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_leads_out_is_refused(room, make, name):
    archive = make(room / "a", ("well.txt", b"x"), (name, b"x"))
    first = refused(archive).split("\n")[0]
    assert first.startswith(f"{archive} is not unpacked: ") and first.endswith(BAD[name])


def test_a_name_with_a_nul_is_not_cut_short(room):
    archive = zipped(room / "a.zip", ("goodXbad", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"goodXbad", b"good\0bad"))
    assert "has a character" in refused(archive)


def test_all_bad_names_are_told_at_once(room):
    told = refused(zipped(room / "a.zip", ("../a", b""), ("/b", b""), ("c", b"")))
    assert "'../a' leads out of the folder, '/b' is absolute\n" in told and "nothing was written" in told


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # said while the test makes it
def test_two_members_of_one_place_are_refused(room, make):
    assert "'a/x.txt' is there twice" in refused(make(room / "a", ("a/x.txt", b"1"), ("a/x.txt", b"2")))
    assert "'a//x.txt' is there twice" in refused(make(room / "b", ("a/x.txt", b"1"), ("a//x.txt", b"2")))
    assert "differs from 'a/x.txt' by case or spelling alone" in refused(make(room / "c", ("a/x.txt", b"1"), ("a/X.txt", b"2")))
    assert "differs from 'a' by case or spelling alone" in refused(make(room / "d", ("a/x.txt", b"1"), ("A/y.txt", b"2")))
    assert "differs from 'caf\u00e9' by case or spelling alone" in refused(make(room / "e", ("caf\u00e9", b"1"), ("cafe\u0301", b"2")))
    assert "makes 'a' both a file and a folder" in refused(make(room / "f", ("a", b"1"), ("a/x.txt", b"2")))


@pytest.mark.parametrize(("name", "path"), [("train.csv", "train.csv"), ("./a//b.csv", "a/b.csv"), ("a\\b.csv", "a/b.csv")])
def test_a_name_from_elsewhere_becomes_a_path_inside(name, path):
    assert safe(name) == path


@pytest.mark.parametrize("name", [*BAD, "", ".", "a/.."])
def test_a_name_from_elsewhere_that_leads_out_is_none(name):
    with pytest.raises(DataError, match="is no name for a file"):
        safe(name)


# links and devices


@pytest.mark.parametrize("target", ["/etc/passwd", "../beside.txt", "well.txt"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(room, kind, target):
    assert "'link' is a link" in refused(tarred(room / "a.tar.gz", ("link", b""), type=kind, linkname=target))


def test_a_link_in_a_zip_is_refused(room):
    assert "'link' is a link" in refused(zipped(room / "a.zip", ("link", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777))


def test_a_folder_that_is_a_link_elsewhere_is_not_written_through(room):
    archive = tarred(room / "a.tar", ("out", b""), type=tarfile.SYMTYPE, linkname="../..", how="w")
    tarred(room / "b.tar", ("out/x.txt", b"x"), how="w")
    archive.write_bytes(archive.read_bytes()[:512] + (room / "b.tar").read_bytes())
    assert "'out' is a link" in refused(archive)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(room, kind):
    assert "'dev' is a device" in refused(tarred(room / "a.tar", ("dev", b""), how="w", type=kind))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_in_a_zip_are_refused(room, kind):
    assert "'dev' is a device" in refused(zipped(room / "a.zip", ("dev", b""), mode=kind | 0o644))


# too much


def claiming(path: Path, size: int, data: bytes = b"\0" * 9_000_000) -> Path:
    """A zip of one member whose table of contents says `size` bytes."""
    zipped(path, ("zeros", data))
    raw = path.read_bytes()
    place = raw.index(b"PK\1\2") + 24
    path.write_bytes(raw[:place] + struct.pack("<I", size) + raw[place + 4 :])
    return path


def test_ten_gigabytes_from_ten_kilobytes_are_refused(room):
    with zipfile.ZipFile(room / "a.zip", "w") as file:
        info = zipfile.ZipInfo("zeros")
        file.writestr(info, b"\0" * 10_000)
        info.file_size = 10_000_000_000  # the table of contents is written when the archive is closed
    assert (room / "a.zip").stat().st_size < 10_200
    told = refused(room / "a.zip")
    assert "10.1 kB would become 10 GB: more than 200 times as much is taken for a trap" in told


def test_many_members_that_share_the_same_bytes_are_refused(room):
    raw = zipped(room / "a.zip", ("zeros", b"\0" * 1_000_000)).read_bytes()
    start = raw.index(b"PK\1\2")
    end = raw.index(b"PK\5\6")
    entry = raw[start:end]
    entries = b"".join(entry.replace(b"zeros", f"zer{n:02d}".encode()) for n in range(50))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, len(entries), start, 0)
    (room / "a.zip").write_bytes(raw[:start] + entries + tail)
    told = refused(room / "a.zip")
    assert "shares its bytes with another" in told or "verlap" in told


def test_bytes_are_counted_as_they_come_since_headers_lie(room, monkeypatch):
    assert "cannot be unpacked: Bad CRC-32" in refused(claiming(room / "less.zip", 10))
    assert "holds other than the 9,000,001 bytes that are said" in refused(claiming(room / "more.zip", 9_000_001))
    monkeypatch.setattr(unpacking, "SMALL", 1 << 20)
    (room / "a.gz").write_bytes(gzip.compress(b"\0" * 9_000_000))  # says nothing of its size that could be trusted
    assert "more comes out of it" in refused(room / "a.gz")
    assert "more comes out of it" in refused(tarred(room / "a.tgz", ("zeros", b"\0" * 9_000_000)))
    assert unpack(room / "a.gz", room / "in", ratio=2000)["a"].bytes == 9_000_000


def test_a_sparse_file_counts_what_it_claims(room):
    info = tarfile.TarInfo("zeros")
    info.size = 0
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10000000000", "GNU.sparse.name": "zeros"}
    body = b"0\n".ljust(512, b"\0")
    info.size = len(body)
    with tarfile.open(room / "a.tar", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(body))
    assert "would become 10 GB" in refused(room / "a.tar")


def test_what_the_disk_cannot_take_is_refused(room, monkeypatch):
    monkeypatch.setattr(unpacking, "SPARE", 1 << 62)
    assert "the disk has 0 bytes to spare" in refused(zipped(room / "a.zip", ("x", b"12")))


def test_a_hundred_thousand_members_are_refused_unless_told(room):
    with zipfile.ZipFile(room / "a.zip", "w") as file:
        for n in range(100):
            file.writestr(str(n), b"")
    assert "it has 100 members or more\n" in refused(room / "a.zip", members=100)
    assert unpacking.MEMBERS == 100_000
    assert len(unpack(room / "a.zip", room / "in", members=101)) == 100


@pytest.mark.slow
def test_a_hundred_thousand_members_of_a_tar_are_refused(room):
    one = tarred(room / "one.tar", ("x", b""), how="w").read_bytes()[:512]
    (room / "a.tar.gz").write_bytes(gzip.compress(one * 100_000, compresslevel=1))
    assert "it has 100,000 members or more" in refused(room / "a.tar.gz")


# what is not whole, or of another kind


@pytest.mark.parametrize("make", [zipped, tarred])
def test_what_is_cut_short_is_refused(room, make):
    archive = make(room / "a", ("x", os.urandom(50_000)), ("y", b"1"))
    archive.write_bytes(archive.read_bytes()[:30_000])
    assert f"{archive} cannot be unpacked: " in refused(archive) and "fetch it again" in refused(archive)


def test_a_flipped_bit_is_seen(room):
    archive = zipped(room / "a.zip", ("x", b"abcdefgh" * 100))
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"x") + 6] ^= 1
    archive.write_bytes(raw)
    assert "cannot be unpacked" in refused(archive)


def test_an_encrypted_member_is_refused(room):
    archive = zipped(room / "a.zip", ("x", b"1"))
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    assert "'x' is encrypted" in refused(archive)


@pytest.mark.parametrize(("head", "how"), [(b"7z\xbc\xaf'\x1c", "7z x a.bin"), (b"Rar!\x1a\7", "unrar x a.bin"), (b"\x28\xb5\x2f\xfd", "unzstd a.bin")])
def test_other_kinds_are_refused_with_the_way_to_unpack_them(room, head, how):
    (room / "a.bin").write_bytes(head + b"\0" * 100)
    assert refused(room / "a.bin").endswith(f"unpack it by hand: {how}")


def test_a_page_that_came_in_place_of_an_archive_is_none(room):
    (room / "a.zip").write_bytes(b"<html>log in</html>")
    assert "is no archive that is known here" in refused(room / "a.zip")


def test_a_disk_that_fails_leaves_nothing(room, monkeypatch):
    archive = zipped(room / "a.zip", ("x", b"1"), ("y", b"2"))

    def failing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", failing)
    assert "cannot write" in refused(archive)


def test_an_interruption_leaves_nothing(room, monkeypatch):
    archive = zipped(room / "a.zip", ("x", b"1"))
    monkeypatch.setattr(zlib, "decompressobj", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, room / "in")
    assert [p.name for p in room.iterdir()] == ["a.zip"]

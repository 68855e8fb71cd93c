import io
import multiprocessing
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("PIL")  # the extra `image`

from PIL import Image

from kit.album import Album, Pictures, gather
from kit.errors import DataError, RunError
from kit.pictures import KINDS, check, decode, measure, shrink
from kit.stores import Damaged

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
HALVES = np.zeros((8, 16, 3), np.uint8)  # left half red, right half blue: shows a turn
HALVES[:, :8], HALVES[:, 8:] = RED, BLUE


def saved(path, picture, **options):
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.asarray(picture))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return str(path)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def kind_of(source, **options):
    with pytest.raises(Damaged) as error:
        decode(source, **options)
    return error.value.kind


def near(pixels, colour, by=6):
    return np.abs(pixels.astype(int) - np.array(colour)).max() <= by


# formats


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.webp", "a.jpg", "png.jpg"])
def test_each_format_is_read_whatever_the_file_is_called(tmp_path, name):
    kind = {"tif": "TIFF", "webp": "WEBP", "jpg": "JPEG"}.get(name[2:], name[2:].upper()) if name.startswith("a") else "PNG"
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    pixels = decode(saved(tmp_path / name, HALVES, format=kind, **options))
    assert pixels.shape == (8, 16, 3) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    assert near(pixels[:, :8], RED) and near(pixels[:, 8:], BLUE)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_compressed_tiff_is_read(tmp_path, compression):
    assert near(decode(saved(tmp_path / "a.tif", HALVES, compression=compression))[:, :6], RED)


def test_first_frame_of_a_moving_gif_is_the_picture(tmp_path):
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    assert near(decode(saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])), RED)


def test_grey_picture_has_three_equal_channels_and_is_kept_as_one(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 128], [200, 255]], np.uint8))
    assert decode(path)[1, 0].tolist() == [200, 200, 200]
    assert shrink(path, size=0).shape == (2, 2)


def test_black_and_white_of_one_bit_is_black_and_white(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    assert decode(path)[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_of_grey_are_scaled_not_clipped(tmp_path, name):
    path = saved(tmp_path / name, np.array([[0, 0x1234, 0x8000, 0xFFFF]], np.uint16))
    assert decode(path)[0, :, 0].tolist() == [0, 0x12, 0x80, 0xFF]


def test_sixteen_bits_of_colour_are_scaled_not_clipped(tmp_path):
    rows = b"\0" + struct.pack(">6H", 0, 0x1234, 0x8000, 0xFFFF, 0x00FF, 0x4000)  # Pillow cannot write it: two pixels by hand
    (tmp_path / "a.png").write_bytes(png(2, 1, depth=16, colour=2, data=zlib.compress(rows)))
    assert decode(str(tmp_path / "a.png"))[0].tolist() == [[0, 0x12, 0x80], [0xFF, 0x00, 0x40]]


def png(width, height, *, depth=8, colour=2, data=b""):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_numbers_without_a_white_of_their_own_go_from_least_to_greatest(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array([[-10.0, 0.0, np.nan, 10.0]], np.float32)))
    assert decode(path)[0, :, 0].tolist() == [0, 128, 0, 255]
    path = saved(tmp_path / "b.tif", Image.fromarray(np.array([[0.0, 0.5, 0.25]], np.float32)))
    assert decode(path)[0, :, 0].tolist() == [0, 128, 64]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_becomes_rgb(tmp_path, name):
    path = saved(tmp_path / name, Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    assert near(decode(path), RED, by=10)


def test_transparent_parts_lie_on_white(tmp_path):
    clear_red, half_black = (255, 0, 0, 0), (0, 0, 0, 128)
    image = Image.fromarray(np.array([[(*RED, 255), clear_red, half_black]], np.uint8))
    for name in ("a.png", "a.webp", "a.tif"):
        pixels = decode(saved(tmp_path / name, image, **({"lossless": True} if name == "a.webp" else {})))
        assert pixels[0, 0].tolist() == [*RED] and pixels[0, 1].tolist() == [255] * 3 and near(pixels[0, 2], (127,) * 3, by=1)
    assert decode(saved(tmp_path / "la.png", image.convert("LA")))[0, 1].tolist() == [255] * 3


def test_transparent_colour_of_a_palette_or_of_rgb_lies_on_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putpixel((1, 0), 1)
    for name in ("a.png", "a.gif"):
        assert decode(saved(tmp_path / name, palette, transparency=0))[0].tolist() == [[*WHITE], [*BLUE]]
    assert decode(saved(tmp_path / "opaque.png", palette))[0].tolist() == [[*RED], [*BLUE]]
    path = saved(tmp_path / "rgb.png", np.array([[RED, BLUE]], np.uint8), transparency=RED)
    assert decode(path)[0].tolist() == [[*WHITE], [*BLUE]]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(("orientation", "turned"), [(1, (8, 16)), (3, (8, 16)), (6, (16, 8)), (8, (16, 8))])
def test_picture_is_turned_as_its_exif_says(tmp_path, name, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(saved(tmp_path / name, HALVES, exif=exif))
    assert pixels.shape[:2] == turned
    first, last = (RED, BLUE) if orientation in (1, 6) else (BLUE, RED)  # 6: what was left is on top
    assert near(pixels[0, 0], first, by=80) and near(pixels[-1, -1], last, by=80)


def test_small_and_turned_is_turned_and_small(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", np.repeat(np.repeat(HALVES, 40, 0), 40, 1), exif=exif)
    pixels = shrink(path, size=20)
    assert pixels.shape == (40, 20, 3) and near(pixels[0, 0], RED, by=10) and near(pixels[-1, -1], BLUE, by=10)


def test_broken_exif_turns_nothing_and_warns_of_nothing(tmp_path):
    one_of_255_tags = b"\x1a\x01\x05\x00\x01\0\0\0\xff\xff\xff\xff"  # and that one points nowhere
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\x00" + one_of_255_tags
    assert decode(saved(tmp_path / "a.jpg", HALVES, exif=exif)).shape == (8, 16, 3)


# sizes


def test_jpeg_is_decoded_at_a_smaller_scale_if_less_is_needed(tmp_path):
    path = saved(tmp_path / "a.jpg", noise(768, 1024))
    assert decode(path, least_side=256).shape == (384, 512, 3)  # a third is not to be had, a half is
    assert decode(path, least_side=192).shape == (192, 256, 3)
    assert decode(path, least_side=1000).shape == decode(path).shape == (768, 1024, 3)


def test_shorter_side_becomes_the_size_and_smaller_pictures_stay(tmp_path):
    for name in ("a.jpg", "a.png"):
        assert shrink(saved(tmp_path / name, noise(600, 900)), size=100).shape == (100, 150, 3)
        assert shrink(saved(tmp_path / name, noise(30, 900)), size=100).shape == (30, 900, 3)
    assert shrink(noise(50, 25), size=5).shape == (10, 5, 3)


def test_shrinking_averages_over_what_it_leaves_out():
    board = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    assert near(shrink(board.astype(np.uint8), size=8), (128,), by=2)


# arrays


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)])
@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1), (np.float64, 1)])
def test_arrays_of_each_shape_and_type_are_pictures(shape, dtype, white):
    array = np.full(shape, white, dtype)
    array[0, 0] = 0  # with alpha: transparent, so white
    pixels = decode(array)
    assert pixels.shape == (2, 3, 3) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert (pixels[0, 0] == (255 if shape[-1] == 4 else 0)).all() and (pixels[1] == 255).all()


def test_halves_of_arrays_are_halves():
    assert decode(np.array([[0.5, 0.2]])).tolist() == [[[128] * 3, [51] * 3]]
    assert decode(np.array([[0x8000, 0x00FF]], np.uint16)).tolist() == [[[128] * 3, [0] * 3]]


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros((2, 2), np.int64), "a picture is an array of shape (2, 2) and type int64"),
        (np.zeros((3, 2, 2), np.uint8), "a picture is an array of shape (3, 2, 2) and type uint8"),
        (np.array([[0.0, 255.0]]), "a picture is an array of shape (1, 2) and type float64, from 0 to 255"),
        (np.array([[0.0, np.nan]]), "a picture is an array of shape (1, 2) and type float64, from nan to nan"),
    ],
)
def test_array_that_is_no_picture_is_the_adapters_mistake(array, line):
    with pytest.raises(DataError) as error:
        decode(array)
    assert str(error.value).split("\n")[0] == line


def test_arrays_can_be_damaged_by_their_size_alone():
    assert kind_of(np.zeros((0, 5), np.uint8)) == "empty"
    assert kind_of(np.zeros((1, 1, 3), np.uint8)) == "1x1"
    assert kind_of(np.zeros((3, 4), np.uint8), most_pixels=11) == "too large"
    assert decode(np.zeros((3, 4), np.uint8), most_pixels=12).shape == (3, 4, 3)


# damage


def test_each_damage_has_its_word(tmp_path):
    whole = saved(tmp_path / "a.jpg", noise(64, 64))
    for name, content, kind in (
        ("empty.jpg", b"", "empty"),
        ("page.jpg", b"<!DOCTYPE html><title>404</title>", "not a picture"),
        ("sound.webp", b"RIFF\x24\0\0\0WAVEfmt ", "not a picture"),
        ("begins.jpg", b"\xff\xd8\xff", "truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        assert kind_of(str(tmp_path / name)) == kind
    assert kind_of(saved(tmp_path / "one.gif", np.zeros((1, 1), np.uint8))) == "1x1"
    assert decode(saved(tmp_path / "line.gif", np.zeros((1, 2), np.uint8))).shape == (1, 2, 3)
    assert kind_of(str(tmp_path / "none.jpg")) == "missing"
    assert kind_of(whole + "/within.jpg") == "missing"
    assert kind_of(str(tmp_path / ("long" * 100))) == kind_of(str(tmp_path / "nul\0")) == "missing"
    assert kind_of(str(tmp_path)) == "not a picture"
    assert kind_of(whole, most_pixels=64 * 64 - 1) == "too large"
    assert decode(whole, most_pixels=64 * 64).shape == (64, 64, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tif", "lzw.tif"])
def test_cut_file_is_truncated_wherever_it_is_cut(tmp_path, name):
    path = saved(tmp_path / name, noise(64, 64), **({"compression": "tiff_lzw"} if name == "lzw.tif" else {}))
    content = (tmp_path / name).read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        assert kind_of(path) == "truncated"
        with pytest.raises(Damaged, match=r"is damaged: truncated"):
            check(path)
    (tmp_path / name).write_bytes(content)
    check(path)


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_bytes_turned_within_a_file_are_found_by_decoding_and_not_by_the_check(tmp_path, name):
    path = saved(tmp_path / name, noise(64, 64), lossless=True)
    content = bytearray((tmp_path / name).read_bytes())
    content[200:2100] = b"\xff" * 1900
    (tmp_path / name).write_bytes(content)
    assert kind_of(path) == "truncated"
    check(path)


def test_header_that_declares_too_much_is_refused_before_decoding(tmp_path):
    (tmp_path / "a.png").write_bytes(png(60_000, 60_000, data=zlib.compress(b"\0")))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert kind_of(str(tmp_path / "a.png")) == "too large"
        assert kind_of(str(tmp_path / "a.png"), most_pixels=4_000_000_000) == "truncated"  # now decoded, as far as it goes
    assert not told


def test_a_higher_cap_than_pillows_own_is_kept_to(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # beyond twice this Pillow refuses, for a TIFF while decoding
    for name in ("a.tif", "a.png", "a.webp"):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert decode(saved(tmp_path / name, HALVES), most_pixels=200).shape == (8, 16, 3)


def test_file_that_the_machine_cannot_read_is_no_damage(tmp_path):
    (tmp_path / "a.png").symlink_to("/proc/self/mem")  # nothing is mapped at its beginning
    with pytest.raises(DataError, match=r"a\.png cannot be read: Input/output error"):
        decode(str(tmp_path / "a.png"))


def test_header_alone_tells_width_and_height(tmp_path):
    path = saved(tmp_path / "a.jpg", noise(30, 40))
    assert measure(path) == (40, 30)
    with open(path, "r+b") as file:
        file.truncate(700)
    assert measure(path) == (40, 30)


# archives


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for method, folder in ((zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflated")):
            for n in range(4):
                content = io.BytesIO()
                Image.fromarray(np.full((4, 6, 3), 10 * n, np.uint8)).save(content, "PNG")
                archive.writestr(f"{folder}/{n}.png", content.getvalue(), method)
        archive.writestr("stored/empty.png", b"")
        archive.writestr("lzma.png", content.getvalue(), zipfile.ZIP_LZMA)
    return tmp_path / "train.zip"


def test_path_into_an_archive_is_read_from_it(archive):
    for folder in ("stored", "deflated"):
        assert decode(f"{archive}/{folder}/3.png").tolist() == np.full((4, 6, 3), 30).tolist()
    assert kind_of(f"{archive}/stored/9.png") == kind_of(f"{archive}/3.png") == "missing"
    assert kind_of(f"{archive}/stored/empty.png") == "empty"
    check(f"{archive}/deflated/1.png")


def test_archive_is_read_by_many_threads_and_by_forked_processes_at_once(archive):
    paths = [f"{archive}/{folder}/{n}.png" for folder in ("stored", "deflated") for n in range(4)] * 20
    with ThreadPoolExecutor(8) as pool:
        assert [p[0, 0, 0] for p in pool.map(decode, paths)] == [0, 10, 20, 30] * 40
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert [p[0, 0, 0] for p in pool.map(decode, paths)] == [0, 10, 20, 30] * 40


def test_archive_written_anew_is_read_anew(archive):
    decode(f"{archive}/stored/1.png")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(saved(archive.parent / "b.png", HALVES), "stored/1.png")
    assert decode(f"{archive}/stored/1.png").shape == (8, 16, 3)


def test_what_is_wrong_with_an_archive_is_said(archive):
    with pytest.raises(DataError, match=r"lzma\.png is encrypted, or packed in a way that is not read here\nunzip .*train\.zip"):
        decode(f"{archive}/lzma.png")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(saved(archive.parent / "a.bmp", HALVES), "a.bmp")
    content = bytearray(archive.read_bytes())
    content[150] ^= 255  # a pixel, which only the checksum tells
    archive.write_bytes(content)
    assert kind_of(f"{archive}/a.bmp") == "truncated"
    archive.write_bytes(content[:500])
    with pytest.raises(DataError, match=r"train\.zip cannot be read as a zip archive: .*\nis it whole\? fetch it again"):
        decode(f"{archive}/stored/0.png")


# albums


@pytest.fixture
def made(tmp_path):
    """gather with a cache in tmp_path/cache; the lines of progress are in `.lines`."""

    def gathered(sources, *, size=0, cache="always", folder=tmp_path / "cache", most_pixels=100_000_000):
        gathered.lines = []
        return gather(
            pd.Series(sources, dtype=object),
            folder=folder,
            size=size,
            cache=cache,
            most_pixels=most_pixels,
            threads=3,
            progress=gathered.lines.append,
        )

    return gathered


def colours(tmp_path, n=5):
    return [saved(tmp_path / "data" / f"{k}.png", np.full((6, 9, 3), 10 * k % 256, np.uint8)) for k in range(n)]


@pytest.mark.parametrize("cache", ["auto", "always", "never"])
def test_album_gives_the_same_pixels_with_and_without_a_cache(tmp_path, made, cache):
    paths = [saved(tmp_path / "data" / name, noise(80, 120, seed)) for seed, name in enumerate(("a.jpg", "b.png", "c.webp"))]
    album = made([*paths, saved(tmp_path / "data" / "grey.png", noise(50, 90)[:, :, 0])], size=40, cache=cache)
    assert len(album) == 4 and album.there.all() and album.damage == {} and album.described() == ""
    for n, path in enumerate(paths):
        np.testing.assert_array_equal(album[n], shrink(path, size=40))
    assert album[3].shape == (40, 72, 3) and album[-1].flags.writeable and album[3].flags.c_contiguous
    assert bool(list(tmp_path.glob("cache/*.u8"))) == (cache != "never")
    album.release()
    np.testing.assert_array_equal(album[0], shrink(paths[0], size=40))


def test_second_gathering_decodes_nothing(tmp_path, made):
    paths = colours(tmp_path)
    first = made(paths)
    assert len(made.lines) == 1 and made.lines[0].startswith("pictures 5: 0.0 MB, decoded now, ")
    for path in paths:  # the same size and times, and nothing to decode any more
        state = os.stat(path)
        with open(path, "r+b") as file:
            file.write(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = made(paths, cache="auto")
    assert made.lines[0].startswith("pictures 5: 0.0 MB, decoded earlier, ") and made.lines[0].endswith("damaged: none")
    assert again.key == first.key and again[4].tolist() == np.full((6, 9, 3), 40).tolist()


def test_key_tells_what_the_pictures_are_and_how_they_are_decoded(tmp_path, made):
    paths = colours(tmp_path)
    key = made(paths, cache="auto").key
    assert made(paths, size=3).key != key
    assert made(paths, most_pixels=1000).key != key
    assert made(paths[:4]).key != key
    assert len({made([*paths, more]).key for more in (None, *paths)} | {key}) == 7
    assert made(paths[::-1]).key != key  # rows are positions: what is kept for one order is not for another
    os.rename(tmp_path / "data", tmp_path / "moved")
    moved = [path.replace("/data/", "/moved/") for path in paths]
    assert made(moved).key == key
    state = os.stat(moved[2])
    os.utime(moved[2], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed = made(moved).key
    assert changed != key
    os.unlink(moved[2])
    assert made(moved).key not in (key, changed)


def test_key_of_arrays_is_that_of_their_values(made):
    pictures = [noise(4, 4, 1), noise(4, 4, 2)]
    key = made(pictures, cache="auto").key
    assert made([p.copy() for p in pictures]).key == key
    assert made([pictures[0], pictures[1] ^ 1]).key != key
    assert made([pictures[0], pictures[1].reshape(2, 8, 3)]).key != key
    assert made([pictures[0], np.frombuffer(pictures[1], np.uint16).reshape(4, 2, 3)]).key != key


def test_file_that_two_rows_name_is_one_picture(tmp_path, made):
    a, b = colours(tmp_path, 2)
    album = made([a, b, a, a])
    assert made.lines[0].startswith("pictures 2: ")
    assert [album[n][0, 0, 0] for n in range(4)] == [0, 10, 0, 0]
    assert next(tmp_path.glob("cache/*.u8")).stat().st_size == 2 * 6 * 9 * 3


def test_row_that_names_no_picture_is_not_damaged(tmp_path, made):
    [path] = colours(tmp_path, 1)
    for cache in ("always", "never"):
        album = made([path, None, np.nan, "", pd.NA], cache=cache)
        assert album.there.tolist() == [True, False, False, False, False] and album.damage == {}
        assert album[1].shape == (64, 64, 3) and (album[1] == 128).all()
        album.check_share(np.arange(5), 0.0, "the training rows")
    assert not made([None, ""]).there.any()


def test_cell_that_is_neither_path_nor_array_is_named(made):
    with pytest.raises(DataError, match=r"^row 1 has 3 \(int\) for a picture\nexpected a path as text, or an array"):
        made(["a.png", 3])
    with pytest.raises(DataError, match=r"^row 0 has \[1, 2\] \(list\)"):
        made([[1, 2]])


@pytest.fixture
def damaged(tmp_path):
    """Rows 0..3 whole, then one of each damage, row 4 + its place in KINDS."""
    paths = colours(tmp_path, 4)
    folder = tmp_path / "data"
    (folder / "empty.jpg").touch()
    cut = saved(folder / "cut.jpg", noise(64, 64))
    with open(cut, "r+b") as file:
        file.truncate(2000)
    (folder / "page.jpg").write_text("<html>")
    saved(folder / "one.png", np.zeros((1, 1), np.uint8))
    (folder / "huge.png").write_bytes(png(60_000, 60_000))
    return paths + [str(folder / name) for name in ("none.jpg", "empty.jpg", "cut.jpg", "page.jpg", "one.png", "huge.png")]


@pytest.mark.parametrize("cache", ["always", "never"])
def test_damage_is_counted_by_kind_and_grey(damaged, made, cache):
    names = ["none.jpg", "empty.jpg", "cut.jpg", "page.jpg", "one.png", "huge.png"]
    album = made([*damaged, damaged[4]], size=32, cache=cache)  # one is named twice
    assert album.there.tolist() == [True] * 4 + [False] * 7
    assert album.damage == {kind: [name] for kind, name in zip(KINDS, names)}
    assert made.lines[-1].endswith("; damaged: 1 missing, 1 empty, 1 truncated, 1 not a picture, 1 1x1, 1 too large")
    assert album.described() == (
        "6 of 10 pictures are damaged: 1 missing (none.jpg), 1 empty (empty.jpg), 1 truncated (cut.jpg), "
        "1 not a picture (page.jpg), 1 1x1 (one.png), 1 too large (huge.png)"
    )
    assert album[7].shape == (32, 32, 3) and (album[7] == 128).all()
    assert Pictures(album, np.array([3, 4])).there.tolist() == [True, False]


def test_more_damage_than_allowed_stops_with_names(damaged, made):
    album = made(damaged)
    album.check_share(np.arange(4), 0.0, "the training rows")
    album.check_share(np.arange(10), 0.6, "the training rows")
    album.check_share(np.array([0, 1, 2, 3, 4, 4, 4]), 0.2, "the training rows")  # one picture of five
    with pytest.raises(DataError) as error:
        album.check_share(np.array([0, 1, 4, 6]), 0.1, "the training rows")
    assert str(error.value).split("\n") == [
        "too many pictures of the training rows cannot be used: 2 of 4 pictures are damaged: 1 missing (none.jpg), 1 truncated (cut.jpg)",
        "expected a share of at most 0.1",
        "fetch them again and see that they lie where the rows say, or raise encoders.image.most_damaged",
    ]


def hidden_damage(tmp_path):
    """A PNG of noise whose end is well and whose middle is not."""
    path = saved(tmp_path / "data" / "hidden.png", noise(64, 64))
    with open(path, "r+b") as file:
        file.seek(2000)
        file.write(bytes(100))
    return path


def test_damage_that_only_decoding_finds_is_grey_and_counted_when_met(tmp_path, made):
    sources = [*colours(tmp_path, 2), hidden_damage(tmp_path)]
    album = made(sources, size=8, cache="never")
    assert album.there.all() and album.damage == {}
    assert (album[2] == 128).all() and album.damage == {"truncated": ["hidden.png"]}
    decoded = made(sources, size=8)
    assert not decoded.there[2] and decoded.key != album.key  # features of one are not those of the other


def look_at_the_last(album):
    return int(album[-1].mean())


def test_damage_that_a_forked_worker_meets_is_seen_by_its_parent(tmp_path, made):
    album = made([*colours(tmp_path, 2), hidden_damage(tmp_path)], cache="never")
    worker = multiprocessing.get_context("fork").Process(target=look_at_the_last, args=(album,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0 and album.damage == {"truncated": ["hidden.png"]}


def test_picture_that_vanishes_after_the_check_is_not_grey_in_silence(tmp_path, made):
    paths = colours(tmp_path, 2)
    album = made(paths, cache="never")
    os.unlink(paths[1])
    with pytest.raises(Damaged, match=r"1\.png is damaged: missing"):
        album[1]


@pytest.mark.parametrize("cache", ["always", "never"])
def test_album_sent_to_another_process_takes_no_pixels_along(tmp_path, made, cache):
    album = made([saved(tmp_path / "data" / f"{n}.png", noise(200, 200, n)) for n in range(5)], cache=cache)
    album[0]  # mapped
    sent = pickle.dumps(album)
    assert len(sent) < 5000
    again = pickle.loads(sent)
    assert isinstance(again, Album) and again.key == album.key
    np.testing.assert_array_equal(again[4], album[4])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(look_at_the_last, (album,)) == look_at_the_last(album)


def test_arrays_stay_in_memory_unless_a_cache_is_asked_for(tmp_path, made):
    pictures = [noise(20, 20), noise(30, 20)[:, :, 0], np.zeros((1, 1), np.uint8)]
    for cache in ("auto", "never", "always"):
        album = made(pictures, size=10, cache=cache)
        np.testing.assert_array_equal(album[0], shrink(pictures[0], size=10))
        assert album[1].shape == (15, 10, 3) and album.damage == {"1x1": ["row 2"]}
        assert bool(list(tmp_path.glob("cache/*.u8"))) == (cache == "always")
    album = made(pictures, cache="auto", folder=None)
    assert made.lines[0].startswith("pictures 3: 0.0 MB in memory, ")
    album[0][:] = 7
    np.testing.assert_array_equal(album[0], noise(20, 20))  # what was given is the caller's own


def test_files_and_arrays_may_stand_in_one_column(tmp_path, made):
    [path] = colours(tmp_path, 1)
    for cache in ("auto", "never"):
        album = made([path, noise(4, 4)], cache=cache)
        assert album[0].shape == (6, 9, 3) and album[1].tolist() == noise(4, 4).tolist()


@pytest.mark.parametrize(("free", "written"), [(3200, 0), (3300, 1)])
def test_cache_is_written_unasked_where_it_takes_less_than_a_quarter_of_what_is_free(tmp_path, made, monkeypatch, free, written):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    album = made(colours(tmp_path), cache="auto")  # 5 pictures of 162 bytes: 810
    assert len(list(tmp_path.glob("cache/*.u8"))) == written and album[1][0, 0].tolist() == [10] * 3
    assert ("headers checked, decoded at each access (to keep them takes 0.0 GB, where 0.0 GB are free)" in made.lines[0]) != written


def test_cache_that_was_cut_is_written_anew(tmp_path, made):
    paths = colours(tmp_path)
    made(paths)
    flat = next(tmp_path.glob("cache/*.u8"))
    flat.write_bytes(flat.read_bytes()[:-1])
    assert made(paths, cache="auto")[4][0, 0, 0] == 40 and "decoded now" in made.lines[0]
    next(tmp_path.glob("cache/*.safetensors")).unlink()
    made(paths)
    assert "decoded now" in made.lines[0]


def test_cache_that_is_gone_is_named(tmp_path, made):
    album = made(colours(tmp_path))
    next(tmp_path.glob("cache/*.u8")).unlink()
    with pytest.raises(RunError, match=r"the decoded pictures in .*\.u8 are gone: No such file"):
        album[0]


def test_half_written_cache_of_a_killed_process_is_cleared_and_of_a_living_one_is_not(tmp_path, made):
    (tmp_path / "cache").mkdir()
    old, new = tmp_path / "cache" / ".aa.u8.old", tmp_path / "cache" / ".bb.u8.new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    made(colours(tmp_path))
    assert not old.exists() and new.exists()
    assert len(list((tmp_path / "cache").iterdir())) == 3


def gather_into(folder, paths):
    return gather(pd.Series(paths), folder=folder, size=4, cache="always", threads=2, progress=str)[3][0, 0, 0]


def test_released_pictures_are_no_longer_this_processes_memory(made):
    def mapped_mb():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssFile")) / 1024

    album = made([noise(500, 500, n) for n in range(60)])  # 45 MB
    before = mapped_mb()
    total = sum(int(album[n][0, 0, 0]) for n in range(60))
    assert mapped_mb() > before + 40
    album.release()
    assert mapped_mb() < before + 5 and total == sum(int(album[n][0, 0, 0]) for n in range(60))


def test_warnings_are_filtered_after_gathering_as_before(tmp_path, made):
    before = list(warnings.filters)
    made(colours(tmp_path, 60))
    assert warnings.filters == before


def test_two_processes_may_build_one_cache_at_once(tmp_path):
    paths = colours(tmp_path, 40)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.starmap(gather_into, [(tmp_path / "cache", paths)] * 2, chunksize=1)
    assert found == [30, 30] and len(list((tmp_path / "cache").iterdir())) == 2


def test_album_of_damaged_pictures_alone_is_grey(made):
    album = made(["/nowhere/a.png", "/nowhere/b.png"])
    assert (album[1] == 128).all() and album.damage == {"missing": ["a.png", "b.png"]}


def test_pictures_are_rows_of_an_album(tmp_path, made):
    pictures = Pictures(made(colours(tmp_path)), np.array([4, 2, 2]))
    assert len(pictures) == 3 and [pictures[n][0, 0, 0] for n in range(3)] == [40, 20, 20]
    assert pictures.take(np.array([1, 0])).rows.tolist() == [2, 4] and len(pictures.take(np.array([True, False, False]))) == 1

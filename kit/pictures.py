"""A picture's file or array goes in, its pixels come out as 8-bit RGB, or one word for the damage that it has.

Files are told apart by their first bytes, never by their names, and only six formats are read: JPEG, PNG, WebP, GIF, BMP, TIFF. A header
that declares more pixels than allowed is refused before any is decoded.
"""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from kit.archives import open_file, unreadable
from kit.errors import DataError
from kit.stores import Damaged

KINDS = ("missing", "empty", "truncated", "not a picture", "1x1", "too large")  # of damage; "1x1" is what hosts serve for a deleted picture
MOST_PIXELS = 100_000_000  # 10,000 x 10,000: 300 MB once decoded


def decode(source: str | np.ndarray, *, most_pixels: int = MOST_PIXELS, least_side: int = 0) -> np.ndarray:
    """The picture as (h, w, 3) uint8 RGB, contiguous, turned as its EXIF says; transparent parts lie on white, 16 bits become 8.

    source       a path, which may lead into a zip archive (train.zip/0001.jpg), or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of
                 uint8, uint16, or float in 0..1. An array that is as wanted is given back itself
    most_pixels  a picture that has more is not decoded
    least_side   pixels of the shorter side that are needed: a JPEG of at least twice that is decoded to 1/2, 1/4 or 1/8 of its sides,
                 which is quicker; 0 is full size
    Raises Damaged; DataError where a file may not be read, or where an array is none of these.
    """
    if isinstance(source, np.ndarray):
        return as_rgb(_from_array(source, most_pixels))
    return as_rgb(_pixels(*_loaded(source, most_pixels, least_side)))


def shrink(source: str | np.ndarray, *, size: int, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """The picture with a shorter side of at most `size` pixels, antialiased, never enlarged: (h, w, 3) uint8, or (h, w) if it is grey.

    size  0 keeps the picture as large as it is
    Raises as decode does.
    """
    if isinstance(source, np.ndarray):
        pixels = _from_array(source, most_pixels)
        if fitted(pixels.shape[1], pixels.shape[0], size) == pixels.shape[1::-1]:
            return pixels
        image, turn = Image.fromarray(pixels), None
    else:
        image, turn = _loaded(source, most_pixels, size)
    fit = fitted(*image.size, size)
    if fit != image.size:
        image = image.resize(fit, Image.Resampling.HAMMING, reducing_gap=3.0)  # nearly as sharp as bicubic, and quicker
    return _pixels(image, turn)


def fitted(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height with a shorter side of at most `size` pixels (0: any), at the same aspect."""
    short = min(width, height)
    return (width, height) if not 0 < size < short else (round(width * size / short), round(height * size / short))


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(h, w), (h, w, 1) or (h, w, 3) -> (h, w, 3), contiguous."""
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def measure(path: str, *, most_pixels: int = MOST_PIXELS) -> tuple[int, int]:
    """Width and height as the header declares them. Raises Damaged for what the header alone can tell."""
    with _opened(path, most_pixels) as (image, _):
        return image.size


def full_size(source: str | np.ndarray, *, most_pixels: int = MOST_PIXELS) -> tuple[int, int]:
    """Height and width of the picture as `decode` gives it at full size. Raises Damaged for what the header alone can tell."""
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    with _opened(source, most_pixels) as (image, _):
        turned = _turn(image.info.get("exif", b"")) in _SIDES_SWAPPED
        width, height = image.size
        return (width, height) if turned else (height, width)


def check(path: str, *, most_pixels: int = MOST_PIXELS) -> None:
    """Raises Damaged for what the header and the last bytes of a file can tell; decodes it only where it does not end as its format ends."""
    with _opened(path, most_pixels) as (image, stream):
        if _ends(stream, image.format):
            return
    _loaded(path, most_pixels, 1)


# --- files -----------------------------------------------------------------------------------------------------------------------


class _Jpeg(JpegImagePlugin.JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nobody asks for the density here, and Pillow would parse all of EXIF for it, warning of what is broken there."""


_FORMATS = (
    (b"\xff\xd8\xff", _Jpeg), (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile), (b"GIF8", GifImagePlugin.GifImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile), (b"BM", BmpImagePlugin.BmpImageFile), (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile), (b"II+\0", TiffImagePlugin.TiffImageFile), (b"MM\0+", TiffImagePlugin.TiffImageFile),
)  # fmt: skip
_BROKEN = (  # what Pillow raises for bytes that are not what they should be
    OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError, struct.error, zlib.error,
)  # fmt: skip


@contextmanager
def _opened(path: str, most_pixels: int) -> Iterator[tuple[ImageFile.ImageFile, BinaryIO]]:
    """The picture with its header read, and the stream that the rest will come from. What is wrong with the bytes becomes Damaged."""
    if Image.MAX_IMAGE_PIXELS is not None and most_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most_pixels  # Pillow warns at its own cap, and refuses at twice that
    try:
        with open_file(path) as stream:
            head = stream.read(16)
            stream.seek(0)
            reader = next((reader for mark, reader in _FORMATS if head.startswith(mark)), None)
            if reader is None or (reader is WebPImagePlugin.WebPImageFile and head[8:12] != b"WEBP"):
                raise Damaged("not a picture" if head else "empty", path)
            with nullcontext() if reader is _Jpeg else _without_warnings():
                image = reader(stream)
                _check_size(*image.size, most_pixels, path)
                yield image, stream
    except FileNotFoundError as error:
        raise Damaged("missing", path) from error
    except IsADirectoryError as error:
        raise Damaged("not a picture", path) from error
    except Image.DecompressionBombError as error:
        raise Damaged("too large", path) from error
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # Pillow's own have no number
            raise unreadable(path, error) from error
        raise Damaged("truncated", path) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without those of Pillow, which are about tags that nobody asks for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _check_size(width: int, height: int, most_pixels: int, name: str) -> None:
    if width * height > most_pixels:
        raise Damaged("too large", name)
    if width * height <= 1:
        raise Damaged("1x1" if width * height else "empty", name)


def _ends(stream: BinaryIO, kind: str | None) -> bool:
    """Whether the file ends as its format says; False where that cannot be told from the last bytes."""
    stream.seek(0)
    head = stream.read(8)
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - 64))
    tail = stream.read()
    if kind == "WEBP":
        return 8 + int.from_bytes(head[4:8], "little") <= length
    ending = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}.get(kind or "")
    return ending is not None and tail.rstrip(b"\0").endswith(ending)  # some cameras fill up with zeros


def _loaded(path: str, most_pixels: int, least_side: int) -> tuple[Image.Image, Image.Transpose | None]:
    """The decoded image, of mode L or RGB, and how it is to be turned: later, when it is small."""
    with _opened(path, most_pixels) as (image, _):
        if least_side:
            image.draft(image.mode, (least_side, least_side))
        image.load()
        turn = _turn(image.info.get("exif", b""))  # a TIFF has no such block, and Pillow turns it by itself
        return _plain(image), turn


def _pixels(image: Image.Image, turn: Image.Transpose | None) -> np.ndarray:
    return np.array(image if turn is None else image.transpose(turn))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip

_SIDES_SWAPPED = (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90)


def _turn(exif: bytes) -> Image.Transpose | None:
    """What the first directory of an EXIF block says in tag 0x0112, orientation (Exif 2.32, 4.6.4); None where it is broken or says nothing."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for n in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * n)
            if tag == 0x0112:
                return _TURNS.get(value)
    except struct.error:
        return None
    return None


# --- modes and arrays ------------------------------------------------------------------------------------------------------------


def _plain(image: Image.Image) -> Image.Image:
    """Mode L or RGB."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """uint16 over its whole range and floats in 0..1 become 0..255; others have no white of their own, and go from their least to their greatest."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)  # as Pillow does for 16-bit RGB
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0 or high > 1:
        values = (values - low) / (high - low or 1.0)
    return np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)


def _from_array(array: np.ndarray, most_pixels: int) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8. Raises Damaged by size, DataError for other shapes and types."""
    real = array.dtype.kind == "f"
    known = real or array.dtype in (np.uint8, np.uint16)
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    outside = real and array.size and not (array.min() >= -1e-3 and array.max() <= 1 + 1e-3)
    if not known or not shaped or outside:
        held = f", from {array.min():g} to {array.max():g}" if outside else ""
        raise DataError(
            f"a picture is an array of shape {array.shape} and type {array.dtype}{held}\n"
            "expected (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, uint16, or float in 0..1: mend the adapter that makes it"
        )
    _check_size(array.shape[1], array.shape[0], most_pixels, "an array")
    if array.dtype != np.uint8:
        array = _eight_bits(array.clip(0, 1) if real else array)
    if array.ndim == 3 and array.shape[2] == 4:
        return np.array(_plain(Image.fromarray(np.ascontiguousarray(array))))
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array

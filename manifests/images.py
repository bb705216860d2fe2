"""Bytes -> RGB: the one place where a picture is decoded, and may fail.

What a file is, its first bytes say, never its name. Only the decoders listed here are ever
reached (some of Pillow's start other programs), the size is checked before any pixel is made, and
every failure is an `ImageError` with a reject code.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageFile, features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from .image_headers import declared_size, orientation, unsupported_kind
from .refused import Refused
from .schema import RejectCode

MAX_PIXELS = 178_956_970
"""Pixels above which a picture is taken for a decompression bomb: Pillow's own hard limit."""

EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"})
"""File name endings that corpora give to pictures that can be read here."""

T = TypeVar("T")


class ImageError(Refused):
    """Bytes that are not a usable picture."""


class _Jpeg(JpegImageFile):
    """A JPEG whose EXIF block Pillow leaves alone: damaged ones would warn; see `orientation`."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


@dataclass(frozen=True)
class _Format:
    ext: str
    matches: Callable[[bytes], bool]
    reader: Callable[[io.BytesIO], ImageFile.ImageFile]
    warns: Callable[[bytes], bool]


def _avif(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(stream)


def _never(data: bytes) -> bool:
    del data
    return False


def _always(data: bytes) -> bool:
    del data
    return True


_FORMATS = (
    _Format("jpg", lambda data: data[:3] == b"\xff\xd8\xff", _Jpeg, _never),
    _Format("png", lambda d: d[:8] == b"\x89PNG\r\n\x1a\n", PngImageFile, lambda d: b"acTL" in d),
    _Format("webp", lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP", WebPImageFile, _never),
    _Format("gif", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), GifImageFile, _always),
    _Format("bmp", lambda data: data[:2] == b"BM", BmpImageFile, _never),
    _Format(
        "tif",
        lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        TiffImageFile,
        _always,
    ),
    _Format("avif", lambda d: d[4:12] in (b"ftypavif", b"ftypavis"), _avif, _never),
)

_WARNINGS = threading.Lock()
"""Python's warning filters are shared by all threads; only one at a time may lay them aside."""

_TRUNCATED_WORDS = (
    *("truncat", "eof", "end of", "not enough", "premature", "ran out"),
    *("no more images", "missing dimensions"),
)
_TRUNCATED_ERRORS = (EOFError, struct.error, IndexError)


def decode(data: bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Image.Image:
    """Decode a picture to RGB, upright.

    The first frame of an animation is taken, EXIF rotation is applied, transparent pixels stand
    on white, and 16-bit, 32-bit and float greys are scaled to 0..255 (see `_grey`), not clipped.

    Args:
        data: the whole file.
        max_pixels: a larger picture is refused before it is decoded.
        at_least: a JPEG may come at 1/2, 1/4 or 1/8 of its size, as long as no side is shorter
            than this, pixels; None: as large as it is.

    Returns:
        Image of mode "RGB", 8 bits a channel.

    Raises:
        ImageError: the bytes are not a usable picture.
    """
    kind, image = _open(data, max_pixels)

    def load() -> Image.Image:
        if at_least is not None and kind.ext == "jpg":
            image.draft(None, (at_least, at_least))  # pyright: ignore[reportArgumentType]
        image.load()
        return _upright(_to_rgb(image), _turn(kind, image))

    return _guarded(load)


def inspect_image(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int, str]:
    """Check a whole picture at the least cost; return width and height (upright) and extension.

    The whole entropy stream is parsed, so a file that ends early is found. JPEGs are decoded at
    an eighth of their size and without colour, which leaves out nearly all inverse transforms.

    Raises:
        ImageError: the bytes are not a usable picture.
    """
    kind, image = _open(data, max_pixels)
    width, height = image.size

    def load() -> tuple[int, int]:
        if kind.ext == "jpg":
            image.draft("L", (1, 1))
            image.load()
            return width, height
        image.load()
        if image.mode == "LAB":
            _to_rgb(image)
        return image.size

    width, height = _guarded(load)
    if _turn(kind, image) >= 5:
        width, height = height, width
    return width, height, kind.ext


def _open(data: bytes, max_pixels: int) -> tuple[_Format, ImageFile.ImageFile]:
    if not data:
        raise ImageError(RejectCode.EMPTY_FILE, "the file is empty")
    kind = next((item for item in _FORMATS if item.matches(data[:16])), None)
    if kind is None or (kind.ext == "avif" and not features.check("avif")):
        raise _not_readable(data)
    size = declared_size(data, kind.ext)
    if size is not None and min(size) == 0:
        raise ImageError(RejectCode.ZERO_PIXELS, f"a picture of {size[0]} x {size[1]} pixels")
    if size is not None:
        _check_pixels(*size, max_pixels)
    if kind.ext == "jpg" and size is None and b"\xff\xd9" not in data[-16:]:
        raise ImageError(RejectCode.TRUNCATED_IMAGE, "the file ends before its size is told")
    if kind.ext == "webp" and 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise ImageError(RejectCode.TRUNCATED_IMAGE, "the file ends before its last block")
    image = _guarded(lambda: _read_header(kind, data))
    _check_pixels(*image.size, max_pixels)
    return kind, image


def _not_readable(data: bytes) -> ImageError:
    name = unsupported_kind(data)
    if name:
        return ImageError(RejectCode.UNSUPPORTED_IMAGE, f"{name} is not read here")
    return ImageError(RejectCode.NOT_AN_IMAGE, f"starts with {data[:12]!r}: not a known picture")


def _read_header(kind: _Format, data: bytes) -> ImageFile.ImageFile:
    stream = io.BytesIO(data)
    if not kind.warns(data):
        return kind.reader(stream)
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind.reader(stream)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            RejectCode.TOO_MANY_PIXELS,
            f"{width} x {height} pixels; at most {max_pixels} are decoded (max_pixels)",
        )


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # Decoders raise anything on damaged bytes, so nothing narrower would do.
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, NotImplementedError) or "unsupported" in text.lower():
            raise ImageError(RejectCode.UNSUPPORTED_IMAGE, text) from error
        cut = isinstance(error, _TRUNCATED_ERRORS)
        if cut or any(word in text.lower() for word in _TRUNCATED_WORDS):
            raise ImageError(RejectCode.TRUNCATED_IMAGE, text) from error
        raise ImageError(RejectCode.DAMAGED_IMAGE, text) from error


def _turn(kind: _Format, image: ImageFile.ImageFile) -> int:
    # Pillow turns TIFFs by itself while loading.
    return 1 if kind.ext == "tif" else orientation(image.info.get("exif"))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        raise ImageError(RejectCode.UNSUPPORTED_IMAGE, "colours in CIE Lab are not read here")
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(image).convert("RGB")
    see_through = image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if not see_through and "transparency" not in image.info:
        rgb = image.convert("RGB")
        return Image.frombytes("RGB", rgb.size, rgb.tobytes()) if rgb is image else rgb
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    layer = image.convert("RGBA")
    page = Image.new("RGB", layer.size, (255, 255, 255))
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def _grey(image: Image.Image) -> Image.Image:
    """Scale deep greys to 8 bits: by the depth they use (16 bits, or 0..1), else by their range."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scaled = (values - low) * (255.0 / (high - low))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))

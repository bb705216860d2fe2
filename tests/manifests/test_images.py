"""Pictures of every kind against Pillow's own readings and against pixels known by construction."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from curate.manifests.images import ImageError, decode, inspect_image
from curate.manifests.schema import RejectCode


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def smooth(width: int = 60, height: int = 40) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 2 % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


FORMS = {
    "jpg": ("JPEG", {"quality": 95}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
}


@pytest.mark.parametrize("ext", FORMS)
def test_every_format_is_told_by_its_bytes_and_decoded_as_pillow_does(ext: str) -> None:
    form, options = FORMS[ext]
    data = encode(smooth(), form, **options)
    assert inspect_image(data) == (60, 40, ext)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert decode(data).mode == "RGB"
    assert np.array_equal(np.asarray(decode(data)), expected)


@pytest.mark.parametrize("ext", FORMS)
def test_a_file_cut_anywhere_is_found(ext: str) -> None:
    form, options = FORMS[ext]
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    data = encode(Image.fromarray(noise), form, **options)
    for size in np.linspace(20, len(data) * 0.97, 25).astype(int):
        for check in (inspect_image, decode):
            with pytest.raises(ImageError) as caught:
                check(data[:size])
            assert caught.value.code == RejectCode.TRUNCATED_IMAGE


@pytest.mark.parametrize("ext", FORMS)
def test_inspect_and_decode_agree_on_damaged_bytes(ext: str) -> None:
    form, options = FORMS[ext]
    data = encode(smooth(), form, **options)
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        broken = bytearray(data)
        at = int(rng.integers(4, len(data) - 12))
        broken[at : at + 12] = rng.bytes(12)
        outcome = []
        for check in (inspect_image, decode):
            try:
                check(bytes(broken), 10_000)
                outcome.append("")
            except ImageError as error:
                outcome.append(error.code)
        assert outcome[0] == outcome[1]
        seen.add(outcome[0])
    assert len(seen) > 1 or ext in ("bmp", "tif", "webp")


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_that_of_pillow(turn: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    data = encode(smooth(), form, exif=exif, **options)
    opened = Image.open(io.BytesIO(data))
    opened.load()
    expected = ImageOps.exif_transpose(opened).convert("RGB")
    assert np.array_equal(np.asarray(decode(data)), np.asarray(expected))
    assert inspect_image(data)[:2] == expected.size == ((40, 60) if turn >= 5 else (60, 40))


def test_grey_of_16_bits_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for form in ("PNG", "TIFF"):
        pixels = np.asarray(decode(encode(Image.fromarray(ramp), form)))
        assert np.abs(pixels[..., 0].astype(int) - np.rint(ramp / 257)).max() <= 1
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_float_and_32_bit_greys_are_scaled() -> None:
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert np.asarray(decode(encode(Image.fromarray(unit), "TIFF")))[..., 0].max() == 255
    wide = (np.arange(64, dtype=np.int32) * 1_000_000).reshape(8, 8)
    pixels = np.asarray(decode(encode(Image.fromarray(wide), "TIFF")))[..., 0]
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert (np.diff(pixels.ravel().astype(int)) >= 0).all()


def test_transparent_pixels_stand_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    half = Image.new("LA", (4, 4), (0, 128))
    assert (np.asarray(decode(encode(clear, "PNG"))) == 255).all()
    assert (np.asarray(decode(encode(clear, "WEBP", lossless=True, exact=True))) == 255).all()
    assert abs(int(np.asarray(decode(encode(half, "PNG")))[0, 0, 0]) - 127) <= 1
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    assert (np.asarray(decode(encode(palette, "PNG", transparency=b"\xff\x00"))) == 255).all()
    assert (np.asarray(decode(encode(palette, "PNG")))[0, 0] == [200, 0, 0]).all()
    assert (np.asarray(decode(encode(palette, "GIF", transparency=1))) == 255).all()
    keyed = encode(Image.new("RGB", (4, 4), (9, 9, 9)), "PNG", transparency=(9, 9, 9))
    assert (np.asarray(decode(keyed)) == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    form = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    data = encode(smooth().convert(mode), form)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(np.asarray(decode(data)), expected)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert (np.asarray(decode(data))[0, 0] == [255, 0, 0]).all()
    assert inspect_image(data)[:2] == (8, 8)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def _jpeg_with_height_zero() -> bytes:
    data = bytearray(encode(smooth(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 7] = b"\0\0"
    return bytes(data)


BAD = {
    "empty": (b"", RejectCode.EMPTY_FILE),
    "zeros": (bytes(100), RejectCode.NOT_AN_IMAGE),
    "text": (b"hello world, I am a text", RejectCode.NOT_AN_IMAGE),
    "html": (b"<!DOCTYPE html><html>404</html>", RejectCode.NOT_AN_IMAGE),
    "bomb": (png_of(60_000, 60_000), RejectCode.TOO_MANY_PIXELS),
    "zero wide png": (png_of(0, 5), RejectCode.ZERO_PIXELS),
    "zero high jpeg": (_jpeg_with_height_zero(), RejectCode.ZERO_PIXELS),
    "short data png": (png_of(50, 50), RejectCode.TRUNCATED_IMAGE),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", RejectCode.UNSUPPORTED_IMAGE),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", RejectCode.UNSUPPORTED_IMAGE),
    "photoshop": (b"8BPS\0\1" + bytes(40), RejectCode.UNSUPPORTED_IMAGE),
    "svg": (b'<?xml version="1.0"?><svg xmlns="x"/>', RejectCode.UNSUPPORTED_IMAGE),
    "icon": (encode(smooth(16, 16), "ICO"), RejectCode.UNSUPPORTED_IMAGE),
    "portable map": (encode(smooth(16, 16), "PPM"), RejectCode.NOT_AN_IMAGE),
    "broken png": (encode(smooth(), "PNG").replace(b"IDAT", b"IDAX"), RejectCode.DAMAGED_IMAGE),
    "cie lab": (encode(Image.new("LAB", (8, 8)), "TIFF"), RejectCode.UNSUPPORTED_IMAGE),
}


@pytest.mark.parametrize("name", BAD)
def test_each_kind_of_bad_picture_has_its_code(name: str) -> None:
    data, code = BAD[name]
    for check in (inspect_image, decode):
        with pytest.raises(ImageError) as caught:
            check(data)
        assert caught.value.code == code, str(caught.value)
        assert str(caught.value)


def test_max_pixels_is_a_limit_on_the_product() -> None:
    data = encode(smooth(), "PNG")
    assert inspect_image(data, 2400)[:2] == (60, 40)
    with pytest.raises(ImageError, match="2399"):
        inspect_image(data, 2399)


NOISY = """
import io, struct, sys, zlib
from PIL import Image
from curate.manifests.images import decode, inspect_image
stream = io.BytesIO()
exif = b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\x05\\0"
exif += b"\\x1a\\1\\5\\0\\xff\\0\\0\\0\\xff\\xff\\0\\0" * 5
Image.new("RGB", (20, 20)).save(stream, "JPEG", exif=exif)
jpeg = stream.getvalue()
stream = io.BytesIO()
Image.new("RGB", (20, 20)).save(stream, "PNG")
png = stream.getvalue()
body = b"acTL" + bytes(8)
png = png[:33] + struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]
for data in (png, jpeg):
    if sys.argv[1] == "pillow":
        Image.open(io.BytesIO(data))._getexif() if data is jpeg else Image.open(io.BytesIO(data))
    else:
        decode(data); inspect_image(data)
"""


def test_warnings_of_pillow_do_not_leak() -> None:
    def noise(reader: str) -> str:
        command = [sys.executable, "-W", "always", "-c", NOISY, reader]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    assert "Invalid APNG" in noise("pillow")
    assert "EXIF" in noise("pillow")
    assert noise("ours") == ""


def test_decoding_in_threads_leaves_the_warning_filters_alone() -> None:
    data = encode(smooth(), "GIF")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda _: decode(data).size, range(200)))
    assert sizes == [(60, 40)] * 200
    assert list(warnings.filters) == before

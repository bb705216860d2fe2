"""What the first bytes of a picture say, read without a decoder: size, rotation, kind.

Nothing here raises: bytes that make no sense give None, 1 or "".
"""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_UNSUPPORTED = (
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"DDS ", "DDS"),
    (b"<svg", "SVG"),
    (b"SIMPLE  =", "FITS"),
    (b"qoif", "QOI"),
)
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF (this Pillow was built without it)",
    b"avis": "AVIF (this Pillow was built without it)",
}


def declared_size(data: bytes, ext: str) -> tuple[int, int] | None:
    """Return the width and height that a file claims, or None where that takes a decoder."""
    try:
        if ext == "png":
            return struct.unpack(">II", data[16:24])
        if ext == "gif":
            return struct.unpack("<HH", data[6:10])
        if ext == "bmp" and struct.unpack("<I", data[14:18])[0] >= 40:
            width, height = struct.unpack("<ii", data[18:26])
            return abs(width), abs(height)
        if ext == "jpg":
            return _jpeg_size(data)
    except struct.error:
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0xDA:
            return None
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def orientation(exif: bytes | None) -> int:
    """Return the EXIF orientation, 1..8 (EXIF 2.32, tag 0x0112); 1 where there is none.

    Args:
        exif: the EXIF block, with or without its "Exif" mark.
    """
    if not exif:
        return 1
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for number in range(entries):
            tag, kind = struct.unpack_from(f"{order}HH", block, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                form = "H" if kind == 3 else "I"
                (value,) = struct.unpack_from(f"{order}{form}", block, start + 10 + 12 * number)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def unsupported_kind(data: bytes) -> str:
    """Name the kind of a picture that is known but not read, or return ""."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    head = data[:256].lstrip()
    if head.startswith(b"<?xml") and b"<svg" in data[:4096]:
        return "SVG"
    return next((name for mark, name in _UNSUPPORTED if head.startswith(mark)), "")

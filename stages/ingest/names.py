"""Keys of samples, and the names that samples get inside tars."""

from __future__ import annotations

import hashlib
import re

from ...manifests.refused import Refused
from ...manifests.schema import RejectCode

MAX_KEY_BYTES = 1024
"""A longer key is refused: it would not fit where file systems and tars keep names."""

_LONGEST = 90
_SAFE = re.compile(r"[A-Za-z0-9_/-]+")
_UNSAFE_BYTE = re.compile(rb"[^A-Za-z0-9_/-]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9a-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def check_key(key: str) -> None:
    """Refuse keys that no table could hold.

    Raises:
        Refused: the key is empty, too long, not Unicode, or has control characters.
    """
    if not key:
        raise Refused(RejectCode.EMPTY_KEY, "the key is empty")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise Refused(RejectCode.BAD_TEXT, "the key is not UTF-8") from error
    if size > MAX_KEY_BYTES:
        raise Refused(
            RejectCode.KEY_TOO_LONG, f"the key has {size} bytes; at most {MAX_KEY_BYTES} are kept"
        )
    if _CONTROL.search(key):
        raise Refused(RejectCode.BAD_TEXT, "the key holds control characters")


def tar_name(key: str) -> str:
    """Return the name of a sample's members inside a tar, without extension.

    One key gives one name and no two keys share one. Names hold only A-Z, a-z, 0-9, "_", "-" and
    inner "/", so they never climb out of a folder and webdataset finds the extension behind the
    first dot. Other bytes become `_xHH`; a name above 89 bytes ends in the key's sha256 instead.
    """
    name = key
    if not _SAFE.fullmatch(key) or _LOOKS_ESCAPED.search(key):
        text = _LOOKS_ESCAPED.sub("_x5f", key)
        raw = text.encode("utf-8", "surrogatepass")
        name = _UNSAFE_BYTE.sub(lambda match: b"_x%02x" % match[0][0], raw).decode()
    name = re.sub("^/|/$|(?<=/)/", "_x2f", name)
    if len(name) < _LONGEST:
        return name
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{name[: _LONGEST - len(digest) - 1].replace('/', '_')}_{digest}"


def stem(path: str) -> str:
    """Return a path without the extension of its last step ("a/b.c.jpg" -> "a/b.c")."""
    head, slash, name = path.rpartition("/")
    cut = name.rfind(".")
    return head + slash + (name[:cut] if cut > 0 else name)


def extension(path: str) -> str:
    """Return what stands behind the last dot of a path's last step, in lower case."""
    name = path.rpartition("/")[2]
    cut = name.rfind(".")
    return name[cut + 1 :].lower() if cut > 0 else ""


def readable(text: str) -> str:
    """Return a text that every table can hold: what is not Unicode becomes U+FFFD."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)

"""Bytes of the corpus: read whole or refused with a code; remote reads are tried three times."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ...manifests import listing, storage
from ...manifests.errors import DataError
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode


def read_image(url: str, max_bytes: int, size: int = -1) -> bytes:
    """Read a whole image file.

    Args:
        url: path or URL.
        max_bytes: a larger file is refused.
        size: its size, where a listing has told it; -1 to look.

    Raises:
        Refused: MISSING_FILE, UNREADABLE_FILE or TOO_LARGE_FILE.
    """

    def read() -> bytes:
        if not storage.is_remote(url):
            path = storage.local_path(url)
            if path.exists() and not path.is_file():
                raise Refused(RejectCode.UNREADABLE_FILE, "not a regular file")
        known = size if size >= 0 else listing.describe(url).size
        if known > max_bytes:
            raise Refused(
                RejectCode.TOO_LARGE_FILE, f"{known} bytes; at most {max_bytes} (max_file_bytes)"
            )
        return storage.read_bytes(url)

    return _refusing(url, read)


def read_range(url: str, offset: int, size: int, max_bytes: int) -> bytes:
    """Read `size` bytes at `offset`.

    Raises:
        Refused: MISSING_FILE, UNREADABLE_FILE, TOO_LARGE_FILE or BAD_RECORD.
    """
    if offset < 0 or size < 0:
        raise Refused(RejectCode.BAD_RECORD, f"offset {offset}, size {size}: not a place in a file")
    if size > max_bytes:
        raise Refused(RejectCode.TOO_LARGE_FILE, f"{size} bytes; at most {max_bytes}")
    return _refusing(url, lambda: storage.read_bytes(url, offset, size))


def open_binary(url: str) -> BinaryIO:
    """Open a path or URL for reading from its start; remote files are read ahead, not held."""
    if not storage.is_remote(url):
        return storage.local_path(url).open("rb")

    def opened() -> BinaryIO:
        fs, path = storage.filesystem(url)
        return fs.open(path, "rb", block_size=8 << 20, cache_type="readahead")  # pyright: ignore

    return storage.retrying(url, opened)


class PatientFile:
    """A file read from front to back; when a remote read fails, it is opened anew at its place."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._at = 0
        self._file = open_binary(url)

    def __enter__(self) -> PatientFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end of the file."""

        def read() -> bytes:
            if self._file.closed:
                self._file = open_binary(self._url)
            try:
                self._file.seek(self._at)
                return self._file.read(size)
            except Exception:
                self._file.close()
                raise

        data = storage.retrying(self._url, read)
        self._at += len(data)
        return data

    def seek(self, place: int) -> None:
        """Go to a byte of the file."""
        self._at = place


def _refusing(url: str, read: Callable[[], bytes]) -> bytes:
    try:
        return storage.retrying(url, read)
    except FileNotFoundError as error:
        raise Refused(RejectCode.MISSING_FILE, "there is no such file") from error
    except (OSError, EOFError, DataError) as error:
        raise Refused(RejectCode.UNREADABLE_FILE, f"{type(error).__name__}: {error}") from error


def inside(root: str, path: str) -> str:
    """Return where `path` stands below `root`.

    Raises:
        Refused: UNSAFE_PATH: the path is absolute, climbs out, or leaves through a link.
    """
    steps = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ":" in steps[0] or ".." in steps or "\0" in path:
        raise Refused(RejectCode.UNSAFE_PATH, f"{path!r} leads out of {root}")
    url = listing.join(root, "/".join(step for step in steps if step not in ("", ".")))
    if not storage.is_remote(url):
        top = storage.local_path(root).resolve()
        if not storage.local_path(url).resolve().is_relative_to(top):
            raise Refused(RejectCode.UNSAFE_PATH, f"{path!r} leads out of {root} by a link")
    return url

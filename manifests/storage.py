"""Files that are written whole or not at all, and bytes that are read from anywhere fsspec reads.

A file under its final name is complete: it was written to a scratch name beside it, flushed to
the disk and renamed. Scratch names hold the word `.tmp-`, so a later run can sweep them.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from .errors import CurateError, DataError, ResourceError

T = TypeVar("T")

SCRATCH = ".tmp-"
"""What every scratch name contains."""
_TRIES = 3
_WAIT_S = 0.5
FINAL = (
    *(FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, EOFError),
    CurateError,
)
"""Errors that another try cannot mend."""


def scratch_name(target: Path) -> Path:
    """Return a name beside a file or folder that nobody else writes to."""
    return target.with_name(f"{target.name}{SCRATCH}{os.getpid()}-{uuid.uuid4().hex[:8]}")


def write_atomically(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a scratch file and give it its name only when it is whole.

    Raises:
        ResourceError: the disk is full; what was finished before is untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_name(target)
    try:
        with _space_for(target):
            write(scratch)
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Lend an empty folder on the disk of `beside`; it is removed with all that is left in it.

    Raises:
        ResourceError: the disk is full; what was finished before is untouched.
    """
    folder = scratch_name(beside)
    folder.mkdir(parents=True)
    try:
        with _space_for(beside):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _space_for(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"no space left for {target}. All finished parts are kept: free some space and "
                "run the same command again."
            ) from error
        raise


def write_text(target: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_atomically(target, lambda path: _put(path, text.encode()))


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; keys sorted, one key a line."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def sweep_scratch(folder: Path) -> int:
    """Delete scratch files and folders that a killed process left; return how many."""
    stale = list(folder.glob(f"*{SCRATCH}*"))
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(stale)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a finished file a second name; copy it where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_name(target)
    try:
        os.link(source, scratch)
    except OSError:
        shutil.copyfile(source, scratch)
    os.replace(scratch, target)


def is_remote(url: str) -> bool:
    """Say whether a source is an fsspec URL rather than a path on this machine."""
    return "://" in url and not url.startswith(("file://", "local://"))


def local_path(url: str) -> Path:
    """Return the path of a source on this machine; a `file://` prefix is dropped."""
    for prefix in ("file://", "local://"):
        url = url.removeprefix(prefix)
    return Path(url)


def filesystem(
    url: str, options: Mapping[str, Any] | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URL and the path inside it.

    Args:
        url: of a file.
        options: fsspec's `storage_options`; fsspec's own config and the environment by default.

    Raises:
        DataError: no package for this protocol is installed; the text names the extra.
    """
    try:
        fs, path = fsspec.core.url_to_fs(url, **(options or {}))
    except (ImportError, ValueError) as error:
        protocol = url.split("://", 1)[0]
        raise DataError(
            f"{url}: cannot read {protocol}:// here ({error}). "
            f'Install its reader, for example: pip install "curate-pairs[{protocol}]".'
        ) from error
    return fs, str(path)


def retrying(url: str, read: Callable[[], T]) -> T:
    """Call `read`; on a remote file's passing errors, up to three times, waiting longer each time.

    Raises:
        OSError: it failed each time, or in a way that will not pass.
    """
    if not is_remote(url):
        return read()
    attempt = 1
    while True:
        try:
            return read()
        except FINAL:
            raise
        except Exception as error:
            # Every store's client raises classes of its own, so nothing narrower would do.
            if attempt == _TRIES:
                raise OSError(f"{url}: {type(error).__name__}: {error}") from error
            time.sleep(backoff_s(attempt))
            attempt += 1


def backoff_s(attempt: int) -> float:
    """Return how long to wait after a failed attempt 1, 2, ..., seconds: longer each time.

    Half of it is by chance, so that many processes do not come back at once.
    """
    return _WAIT_S * 3 ** (attempt - 1) * random.uniform(0.5, 1.0)


def read_bytes(url: str, offset: int = 0, size: int | None = None) -> bytes:
    """Read a whole file, or `size` bytes from `offset`, from a path or any fsspec URL.

    Raises:
        FileNotFoundError: there is no such file.
        EOFError: the file ends before `offset + size`.
    """
    if is_remote(url):
        fs, path = filesystem(url)
        end = None if size is None else offset + size
        data: bytes = fs.cat_file(path, start=offset or None, end=end)  # pyright: ignore
    else:
        with local_path(url).open("rb") as file:
            file.seek(offset)
            data = file.read() if size is None else file.read(size)
    if size is not None and len(data) != size:
        raise EOFError(f"{url}: {size} bytes wanted at {offset}, {len(data)} there.")
    return data

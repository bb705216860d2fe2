"""Whole shards on this machine: fetched once, checked, and shared by all processes of the host.

A shard stands in the folder under a name made of its content, `NAME.shard`, and only when it is
whole and checked: it is written beside it, flushed, and renamed. One process fetches a shard
(`NAME.lock`) while the others wait. Whoever reads one holds a shared lock on the open file, its
lease: what is evicted, the longest unused first, is never in use. No shared memory has a name.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .. import storage
from .locks import hold, locked
from .remote import RemoteReader

_LOG = logging.getLogger("curate.stream")
_CHUNK = 8 << 20
_CHUNKS = 8
_TRIES = 2
_SUFFIX = ".shard"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class WrongBytes(OSError):
    """What came is not what was asked for: another try may mend it."""


@dataclass(frozen=True)
class CachedShard:
    """What a shard is, before it is here.

    Attributes:
        url: where it is fetched from.
        name: a name that only this content has.
        bytes: its length; None asks the store.
        sha256: hex, of the whole file; None where nobody knows it.
        check: raises OSError where a fetched file is not what it should be.
    """

    url: str
    name: str
    bytes: int | None = None
    sha256: str | None = None
    check: Callable[[Path], None] | None = None


class Lease:
    """A cached shard that is open, and so is not evicted."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self._number, size, offset)

    def close(self) -> None:
        """Let the shard be evicted."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    __del__ = close


class ShardCache:
    """Shards in a local folder of limited size.

    Args:
        folder: for the shards; several processes and several pairsets may share it.
        limit: bytes of all shards in it, those on their way included.
        remote: fetches them.
    """

    def __init__(self, folder: Path, limit: int, remote: RemoteReader) -> None:
        self._folder, self._limit, self._remote = folder.absolute(), limit, remote

    def lease(self, shard: CachedShard, stop: threading.Event) -> Lease | None:
        """Open a shard, fetching it if it is not here.

        Args:
            shard: what it is.
            stop: gives up where another thread sets it.

        Returns:
            The lease; None where there is no room for it beside what is in use, or where
            another process has been fetching it for too long.

        Raises:
            OSError: it could not be fetched, or is not what it should be.
            CancelledError: it was stopped.
        """
        path = self._folder / f"{shard.name}{_SUFFIX}"
        found = _open(path)
        if found:
            return found
        with locked(self._folder / f"{shard.name}.lock", self._remote.patience_s) as mine:
            found = _open(path)
            if found or not mine:
                return found
            for attempt in range(1, _TRIES + 1):
                try:
                    return self._fetch(shard, path, stop)
                except WrongBytes:
                    if attempt == _TRIES:
                        raise
        raise AssertionError("the last try returns or raises")

    def _fetch(self, shard: CachedShard, path: Path, stop: threading.Event) -> Lease | None:
        size = self._remote.size(shard.url).result() if shard.bytes is None else shard.bytes
        scratch = storage.scratch_name(path)
        number = self._reserve(scratch, size)
        if number is None:
            _LOG.info("no room for %s among %d bytes of leased shards", shard.url, self._limit)
            return None
        try:
            self._fill(number, shard, size, stop)
            if shard.check:
                shard.check(scratch)
            os.fsync(number)
            os.replace(scratch, path)
            hold(number)  # shared from here on; until now others wait for it
            return Lease(os.dup(number))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _LOG.warning("%s: no space left, so images are read one by one", self._folder)
            return None
        finally:
            os.close(number)
            scratch.unlink(missing_ok=True)

    def _fill(self, number: int, shard: CachedShard, size: int, stop: threading.Event) -> None:
        """Write the shard into an open file, and compare its digest."""
        digest = hashlib.sha256()
        under_way: deque[tuple[int, Future[bytes]]] = deque()
        starts = iter(range(0, size, _CHUNK))
        try:
            while True:
                while len(under_way) < _CHUNKS and (start := next(starts, None)) is not None:
                    end = min(start + _CHUNK, size)
                    under_way.append((start, self._remote.read(shard.url, start, end)))
                if not under_way:
                    break
                start, future = under_way.popleft()
                data = future.result()
                if stop.is_set():
                    raise CancelledError
                if len(data) != min(_CHUNK, size - start):
                    raise WrongBytes(f"{shard.url}: it ends before byte {size}.")
                os.pwrite(number, data, start)
                digest.update(data)
        finally:
            for _, future in under_way:
                future.cancel()
        if shard.sha256 not in (None, digest.hexdigest()):
            raise WrongBytes(
                f"{shard.url}: sha256 {digest.hexdigest()} came, the manifest says {shard.sha256}."
            )

    def _reserve(self, scratch: Path, size: int) -> int | None:
        """Make room, and a file of this size; return its descriptor, None where there is no room.

        A file that is being written counts with all its bytes from here on, and is locked, so
        that one left by a killed process is known by being free.
        """
        with locked(self._folder / "room.lock"):
            if not self._make_room(size):
                return None
            number = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            hold(number, alone=True)
            os.ftruncate(number, size)
            return number

    def _make_room(self, size: int) -> bool:
        shards = []
        total = 0
        for path in self._folder.iterdir():
            if storage.SCRATCH in path.name and _evict(path):
                continue
            if storage.SCRATCH in path.name or path.name.endswith(_SUFFIX):
                with suppress(FileNotFoundError):  # finished, and so renamed, in this moment
                    facts = path.stat()
                    total += facts.st_size
                    shards.append((facts.st_mtime_ns, facts.st_size, path))
        limit = min(self._limit, total + shutil.disk_usage(self._folder).free)
        for _, held, path in sorted(shards):
            if total + size <= limit:
                break
            if path.name.endswith(_SUFFIX) and _evict(path):
                total -= held
        return total + size <= limit


def _open(path: Path) -> Lease | None:
    try:
        number = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    # Whoever evicts it in this moment takes its name away; the bytes stay while they are open.
    hold(number, wait=True)
    with suppress(OSError):  # another user's file: its owner says when it was last used
        os.utime(number)
    return Lease(number)


def _evict(path: Path) -> bool:
    """Delete a file that nobody holds; say whether it is gone."""
    with _opened(path) as number:
        if number is None:
            return True
        if not hold(number, alone=True):
            return False
        path.unlink(missing_ok=True)
        return True


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        number = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield number
    finally:
        os.close(number)

"""Payloads by (shard, offset, size): the one reader of images out of tars, local or remote."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from . import storage


class _OpenFile:
    """A file descriptor that is closed when nobody uses it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class ShardReader:
    """Reads payloads out of shards; threads may share it, and so may forked or spawned workers.

    Files are opened when they are first read and at most `max_open` stay open. A read names its
    own offset, so a descriptor that was inherited by a fork is never moved under another process.

    Args:
        max_open: open files a process.
    """

    def __init__(self, max_open: int = 64) -> None:
        self._max_open = max_open
        self._open: OrderedDict[str, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, url: str, offset: int, size: int) -> bytes:
        """Return `size` bytes of a shard from `offset`.

        Args:
            url: path or fsspec URL of the shard.
            offset: first byte.
            size: bytes.

        Raises:
            OSError: the shard cannot be read; remote ones are asked three times.
            EOFError: the shard ends before `offset + size`.
        """
        if storage.is_remote(url):
            return storage.retrying(url, lambda: storage.read_bytes(url, offset, size))
        file = self._file(url)
        data = os.pread(file.number, size, offset)
        if len(data) != size:
            raise EOFError(f"{url}: {size} bytes wanted at {offset}, {len(data)} there.")
        return data

    def expect(self, url: str, offset: int, size: int) -> None:
        """Let the system read bytes of a shard on this machine before they are asked for.

        It is only a hint: a shard that is not there is an error of `read`.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError):
            number = self._file(url).number
            os.posix_fadvise(number, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close all files; the next read opens them again."""
        with self._lock:
            self._open.clear()

    def _file(self, url: str) -> _OpenFile:
        with self._lock:
            if url not in self._open:
                self._open[url] = _OpenFile(storage.local_path(url))
                if len(self._open) > self._max_open:
                    self._open.popitem(last=False)
            self._open.move_to_end(url)
            return self._open[url]

    def __reduce__(self) -> tuple[type[ShardReader], tuple[int]]:
        return (ShardReader, (self._max_open,))

"""Image bytes by (shard, offset, size), from local tars by `pread` and from any fsspec URL."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from .. import storage
from ..errors import CurateError

_WAITS_S = (0.2, 0.8)


class ShardReader:
    """Reads payloads out of shards; safe in forked and in spawned workers.

    Files are opened when they are first read and at most `max_open` stay open. A read names its
    own offset, so a descriptor that was inherited by a fork is never moved under another process.

    Args:
        urls: absolute path or URL of each shard; "" where samples have no image.
        max_open: open files a process.
    """

    def __init__(self, urls: Sequence[str], max_open: int = 64) -> None:
        self._urls = tuple(urls)
        self._max_open = max_open
        self._open: OrderedDict[int, int] = OrderedDict()

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """Return `size` bytes of a shard from `offset`.

        Raises:
            OSError: the shard cannot be read; remote ones are asked three times.
            EOFError: the shard ends before `offset + size`.
        """
        url = self._urls[shard]
        if storage.is_remote(url):
            return _read_remote(url, offset, size)
        data = os.pread(self._descriptor(shard), size, offset)
        if len(data) != size:
            raise EOFError(f"{url}: {size} bytes wanted at {offset}, {len(data)} there.")
        return data

    def close(self) -> None:
        """Close all files; the next read opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, shard: int) -> int:
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        self._open[shard] = os.open(storage.local_path(self._urls[shard]), os.O_RDONLY)
        if len(self._open) > self._max_open:
            os.close(self._open.popitem(last=False)[1])
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        return {"_urls": self._urls, "_max_open": self._max_open, "_open": OrderedDict()}

    def __del__(self) -> None:
        self.close()


def _read_remote(url: str, offset: int, size: int, waits: Sequence[float] = _WAITS_S) -> bytes:
    try:
        return storage.read_bytes(url, offset, size)
    except (CurateError, FileNotFoundError):
        raise
    except Exception as error:  # every store's client raises classes of its own
        if not waits:
            raise OSError(f"{url}: {size} bytes at {offset}: {error}") from error
    time.sleep(waits[0])
    return _read_remote(url, offset, size, waits[1:])

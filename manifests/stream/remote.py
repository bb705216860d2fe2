"""Bytes of remote files, many requests at once: each ends, well or badly, within a known time.

Requests run on fsspec's own event loop, a daemon thread, so a store that never answers can hold
up neither a batch nor the end of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any, TypeVar

from fsspec import AbstractFileSystem
from fsspec.asyn import get_loop

from .. import storage
from ..errors import CurateError, DataError

T = TypeVar("T")

_KNOWN = 4096
"""Files whose file system a reader remembers."""


class RemoteReader:
    """Reads ranges of files behind fsspec URLs; threads may share it.

    It can be inherited by a forked process or sent to a spawned one: connections are opened by
    the process that reads.

    Args:
        requests: requests under way at once.
        tries: how often a request is made before its error counts.
        timeout_s: longest time of one try, seconds.
        options: fsspec's `storage_options`.
    """

    def __init__(
        self, requests: int, tries: int, timeout_s: float, options: Mapping[str, Any]
    ) -> None:
        self._settings = (requests, tries, timeout_s, options)
        self._tries, self._timeout_s = tries, timeout_s
        self._requests, self._options = requests, options
        self._process = 0

    @property
    def patience_s(self) -> float:
        """About the longest time that one request may take, seconds, a wait for its turn apart."""
        return self._tries * self._timeout_s + sum(map(storage.backoff_s, range(1, self._tries)))

    def read(self, url: str, start: int, stop: int) -> Future[bytes]:
        """Ask for the bytes start..stop of a file; fewer come back where the file ends before.

        The future raises OSError when each try failed.

        Raises:
            DataError: no package for this protocol is installed.
        """
        fs, path = self._filesystem(url)

        async def once() -> bytes:
            data: bytes = await _call(fs, "cat_file", path, start=start, end=stop)
            if len(data) > stop - start:
                raise DataError(
                    f"{url}: {len(data)} bytes came where {stop - start} were asked: this server "
                    "does not serve ranges. Copy the shards to a store that does, or to this "
                    "machine, and name it (ImageStore(base=...))."
                )
            return data

        return self._submit(url, once, lambda data: len(data) == stop - start)

    def size(self, url: str) -> Future[int]:
        """Ask for the bytes of a file; the future raises OSError when each try failed."""
        fs, path = self._filesystem(url)

        async def once() -> int:
            found = (await _call(fs, "info", path)).get("size")
            if found is None:
                raise DataError(f"{url}: the server does not say how long this file is.")
            return int(found)

        return self._submit(url, once, lambda _: True)

    def _submit(
        self, url: str, once: Callable[[], Awaitable[T]], whole: Callable[[T], bool]
    ) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(self._tried(url, once, whole), get_loop())

    async def _tried(
        self, url: str, once: Callable[[], Awaitable[T]], whole: Callable[[T], bool]
    ) -> T:
        async with self._slots:
            for attempt in range(1, self._tries + 1):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        answer = await once()
                    # A short answer may be a broken connection, or the end of the file.
                    if whole(answer) or attempt == self._tries:
                        return answer
                except CurateError:
                    raise
                except Exception as error:
                    if attempt == self._tries or isinstance(error, storage.FINAL):
                        raise OSError(f"{url}: {self._words(error)}") from error
                await asyncio.sleep(storage.backoff_s(attempt))
        raise AssertionError("the last try returns or raises")

    def _words(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout_s:g} s, {self._tries} times"
        return f"{type(error).__name__}: {error}"

    def _filesystem(self, url: str) -> tuple[AbstractFileSystem, str]:
        if self._process != os.getpid():
            self._slots = asyncio.Semaphore(self._requests)
            self._found = lru_cache(_KNOWN)(self._open)
            self._process = os.getpid()
        return self._found(url)

    def _open(self, url: str) -> tuple[AbstractFileSystem, str]:
        return storage.filesystem(url, _with_connections(self._options, url, self._requests))

    def __reduce__(self) -> tuple[Any, ...]:
        return (RemoteReader, self._settings)


def _with_connections(options: Mapping[str, Any], url: str, requests: int) -> dict[str, Any]:
    """Let botocore keep as many connections as there are requests; its own default is 10."""
    if not url.startswith(("s3://", "s3a://")):
        return dict(options)
    config = {"max_pool_connections": requests, **options.get("config_kwargs", {})}
    return {**options, "config_kwargs": config}


async def _call(fs: AbstractFileSystem, name: str, path: str, **arguments: Any) -> Any:
    if fs.async_impl:
        return await getattr(fs, f"_{name}")(path, **arguments)
    return await asyncio.wrap_future(in_daemon(partial(getattr(fs, name), path, **arguments)))


def in_daemon(work: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own, which does not hold up the end of the process."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future

"""Payloads of images by (shard, offset, size), out of the places that an `ImageStore` names."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..fingerprint import canonical_json, digest
from ..lookup import table_of
from ..pairset import Pairset
from ..shards import ShardReader
from ..storage import is_remote, local_path
from .columns import Columns
from .ranges import coalesce
from .remote import RemoteReader, in_daemon
from .shard_cache import CachedShard, Lease, ShardCache, WrongBytes
from .store import ImageStore

_NEAR_GAP = 16 << 10
"""Bytes between two images of this machine that are read along: four pages."""


class Payloads:
    """Reads payloads; a forked process opens its own files and connections.

    Args:
        pairset: whose images.
        shards: names of the shards, by code; "" for samples without an image.
        store: where they are.

    Attributes:
        urls: path or URL of each shard, by code, "" for none.
        is_remote: bool [shards].
    """

    def __init__(self, pairset: Pairset, shards: tuple[str, ...], store: ImageStore) -> None:
        self._pairset, self._shards, self._store = pairset, shards, store
        self.urls = tuple(store.url(pairset, name) if name else "" for name in shards)
        self.is_remote = np.array([is_remote(url) for url in self.urls], bool)
        self._local = ShardReader()
        self._remote = RemoteReader(store.requests, store.tries, store.timeout_s, store.options)
        self._cache: ShardCache | None = None
        if store.cache is not None:
            folder = local_path(str(store.cache))
            self._cache = ShardCache(folder, store.cache_bytes, self._remote)

    def start(self, shard: np.ndarray, offset: np.ndarray, size: np.ndarray) -> Reading:
        """Begin to read payloads; those of remote shards are on their way when this returns.

        Args:
            shard: code of each payload's shard, int [n].
            offset: its first byte, int64 [n].
            size: its bytes, int64 [n].
        """
        return Reading(self, shard, offset, size)

    def bytes_of(self, columns: Columns, codes: np.ndarray) -> int:
        """Return about how many bytes some shards have, those on this machine left out."""
        ends = np.zeros(len(self.urls), np.int64)
        np.maximum.at(ends, columns["shard"], columns["offset"] + columns["size"])
        return int(ends[codes][self.is_remote[codes]].sum())

    def _cached(self, code: int) -> CachedShard:
        name, url = self._shards[code], self.urls[code]
        own = self._own.get(name)
        if own:
            return CachedShard(url, own["sha256"], own["bytes"], own["sha256"])
        # Nobody knows the digest of a corpus's own tar, but those of the images in it.
        corpus = self._pairset.manifest["corpus"]["fingerprint"]
        called = digest(canonical_json({"corpus": corpus, "shard": name}))
        return CachedShard(url, called, check=partial(self._check, name, url))

    @cached_property
    def _own(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each tar of the pairset itself, by name."""
        manifest = self._pairset.manifest
        entries = list(manifest.get("images", ()))
        for section in (manifest.get("assets") or {}).values():
            entries += section.get("shards", ())
        return {entry["path"]: entry for entry in entries}

    def _check(self, name: str, url: str, path: Path) -> None:
        columns = ["shard", "offset", "size", "sha256"]
        rows = table_of(self._pairset, "samples", "shard", name, columns)
        with path.open("rb") as file:
            for offset, size, wanted in zip(
                *(rows[c].to_pylist() for c in columns[1:]), strict=True
            ):
                file.seek(offset)
                if wanted and hashlib.sha256(file.read(size)).hexdigest() != wanted:
                    raise WrongBytes(
                        f"{url}: the sha256 of the image at {offset} is not the one of `samples`: "
                        "the shard was changed, or damaged on its way."
                    )


class Reading:
    """Payloads of a batch on their way: ask for each once, then close."""

    def __init__(
        self, payloads: Payloads, shard: np.ndarray, offset: np.ndarray, size: np.ndarray
    ) -> None:
        self._from = payloads
        self._shard, self._offset, self._size = shard, offset, size
        self._places = list(zip(shard.tolist(), offset.tolist(), size.tolist(), strict=True))
        self._stop = threading.Event()
        self._leases: dict[int, Lease] = {}
        self._failed: dict[int, OSError] = {}
        self._requests: list[Future[bytes] | None] = []
        is_far = payloads.is_remote[shard]
        far, near = np.flatnonzero(is_far), np.flatnonzero(~is_far & (size > 0))
        self._announce(near)
        # Fetching a shard may take minutes, so the caller is left to decode what it has.
        self._ready = in_daemon(partial(self._ask, far)) if len(far) else None

    def _announce(self, near: np.ndarray) -> None:
        # From a cold disk all images of a batch come at once, while the first are decoded.
        places = (self._shard[near], self._offset[near], self._size[near])
        ranges = coalesce(*places, _NEAR_GAP, 1 << 40)
        for code, start, stop in zip(ranges.shard, ranges.start, ranges.stop, strict=True):
            self._from._local.expect(self._from.urls[int(code)], int(start), int(stop - start))

    def get(self, at: int) -> bytes:
        """Return payload `at`, waiting until it is here.

        Raises:
            OSError: it cannot be read.
            EOFError: its shard ends before it.
            DataError: no package for its protocol is installed.
        """
        code, offset, size = self._places[at]
        url = self._from.urls[code]
        if self._ready is None or not self._from.is_remote[code]:
            return self._from._local.read(url, offset, size)
        self._ready.result()
        if code in self._failed:
            raise self._failed[code]
        lease = self._leases.get(code)
        data = lease.read(offset, size) if lease else self._part(at, offset, size)
        if len(data) != size:
            raise EOFError(f"{url}: {size} bytes wanted at {offset}, {len(data)} there.")
        return data

    def close(self) -> None:
        """Give up what is still on its way, and the leases of shards."""
        self._stop.set()
        if self._ready is not None:
            self._ready.add_done_callback(self._release)

    def _release(self, _: Future[None]) -> None:
        for request in self._requests:
            if request is not None:
                request.cancel()
        for lease in self._leases.values():
            lease.close()

    def _ask(self, far: np.ndarray) -> None:
        """Lease the shards of some payloads, and ask for the ranges of the others."""
        source = self._from
        if source._cache is not None:
            for code in np.unique(self._shard[far]).tolist():
                try:
                    lease = source._cache.lease(source._cached(code), self._stop)
                except OSError as error:
                    self._failed[code] = error
                else:
                    if lease is not None:
                        self._leases[code] = lease
        known = [*self._leases, *self._failed]
        rest = far[~np.isin(self._shard[far], known)]
        places = (self._shard[rest], self._offset[rest], self._size[rest])
        ranges = coalesce(*places, source._store.gap, source._store.range_bytes)
        self._of = np.full(len(self._shard), -1)
        self._of[rest] = ranges.of
        self._starts = ranges.start
        self._left = np.bincount(ranges.of, minlength=len(ranges))
        for code, start, stop in zip(ranges.shard, ranges.start, ranges.stop, strict=True):
            request = source._remote.read(source.urls[int(code)], int(start), int(stop))
            self._requests.append(request)

    def _part(self, at: int, offset: int, size: int) -> bytes:
        number = int(self._of[at])
        request = self._requests[number]
        if request is None:
            raise ValueError(f"payload {at} was asked for before; each is read once.")
        data = request.result()
        self._left[number] -= 1
        if not self._left[number]:
            self._requests[number] = None  # so that a batch's bytes are let go as they are decoded
        begin = offset - int(self._starts[number])
        return data[begin : begin + size]

"""Where the bytes of a stream's images come from, and how they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import UsageError
from ..pairset import Pairset


@dataclass(frozen=True)
class ImageStore:
    """How a stream reads its images; the defaults suit images on this machine and in a store.

        PairStream("OUT", 4096, store=ImageStore(cache="/scratch/shards", cache_bytes=500 << 30))

    Every image is `size` bytes at an `offset` of a shard, a tar or any other file, on this machine
    or behind an fsspec URL. On this machine it is one `pread`. Of remote shards the images of a
    batch are read by ranges: those that stand close together by one request, many requests at
    once; or, with `cache`, from whole shards that are fetched once a host. A request that fails
    is made again, waiting longer each time; one that fails `tries` times costs its images, which
    are then bad images of the stream (`on_bad_image`, `max_bad_fraction`).

    Credentials and endpoints are fsspec's: the environment, its config files, or `options`.

    Attributes:
        base: path or URL of the folder where the pairset's own shards stand, for a pairset whose
            tables are here and whose images are not; None: its root.
        cache: folder on this machine for whole remote shards; None: only ranges are read.
        cache_bytes: bytes of shards in that folder; the longest unused go first, and what is in
            use stays. A shard for which there is no room is read by ranges.
        gap: bytes between two images up to which one request reads both.
        range_bytes: bytes after which a request is cut.
        requests: requests under way at once, in each process.
        tries: how often a request is made.
        timeout_s: longest time of one try, seconds.
        ahead: batches that are being read while one is decoded; remote images only.
        verify: compare each image with the sha256 of `samples`; shards that are fetched whole
            are compared anyway.
        options: fsspec's `storage_options`, for each URL.

    Raises:
        UsageError: settings that cannot work.
    """

    base: str | None = None
    cache: str | Path | None = None
    cache_bytes: int = 100 << 30
    gap: int = 64 << 10
    range_bytes: int = 8 << 20
    requests: int = 32
    tries: int = 4
    timeout_s: float = 30.0
    ahead: int = 1
    verify: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lowest = {"cache_bytes": 1, "gap": 0, "range_bytes": 1, "requests": 1, "tries": 1}
        for name, least in {**lowest, "ahead": 0}.items():
            if getattr(self, name) < least:
                raise UsageError(
                    f"ImageStore({name}={getattr(self, name)}): {least} or more is allowed."
                )
        if self.timeout_s <= 0:
            raise UsageError(
                f"ImageStore(timeout_s={self.timeout_s}): seconds above 0 are allowed."
            )
        if self.cache is not None and storage.is_remote(str(self.cache)):
            raise UsageError(
                f"ImageStore(cache={self.cache}): a folder of this machine is allowed."
            )

    def url(self, pairset: Pairset, shard: str) -> str:
        """Return the path or URL of a shard that `samples` names."""
        url = pairset.shard_url(shard)
        own = url != shard
        return f"{self.base.rstrip('/')}/{shard}" if own and self.base is not None else url

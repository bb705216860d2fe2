"""Images by (shard, offset, size): from tars on this machine, or by range reads from a URL."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from PIL import Image

from ...manifests import storage
from ...manifests.artifact import Artifact
from ...manifests.images import ImageError, decode
from ...manifests.pairset import own_shard


def own_shards(scan: Artifact) -> dict[str, Path]:
    """Return where the tars that `scan` wrote stand, by the names that `samples` has for them."""
    paths = {part: scan.file(part, "tar") for part in scan.parts}
    return {own_shard(part): path for part, path in paths.items() if path.exists()}


class ShardReader:
    """Opens each tar once; reads by position, so that threads may share it."""

    def __init__(self, own: Mapping[str, Path]) -> None:
        self._own = own
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def image(self, shard: str, offset: int, size: int) -> Image.Image | str:
        """Return the decoded picture, upright RGB; or, when it cannot be had, why not."""
        try:
            # Ingest has held it against the corpus's own limit; a second one would only differ.
            return decode(self.bytes(shard, offset, size), max_pixels=1 << 40)
        except (ImageError, OSError, EOFError) as error:
            return str(error)

    def bytes(self, shard: str, offset: int, size: int) -> bytes:
        """Return the payload of one image.

        Raises:
            OSError: the shard cannot be read.
            EOFError: the shard ends before the payload does.
        """
        if shard not in self._own and storage.is_remote(shard):
            return storage.read_bytes(shard, offset, size)
        data = os.pread(self._descriptor(shard), size, offset)
        if len(data) != size:
            raise EOFError(f"{shard}: {size} bytes wanted at {offset}, {len(data)} there")
        return data

    def _descriptor(self, shard: str) -> int:
        with self._lock:
            if shard not in self._open:
                path = self._own.get(shard) or storage.local_path(shard)
                self._open[shard] = os.open(path, os.O_RDONLY)
            return self._open[shard]

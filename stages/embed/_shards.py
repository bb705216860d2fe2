"""Pictures of samples: out of the tars that `scan` wrote, or out of the corpus's own."""

from __future__ import annotations

from PIL import Image

from ...manifests.artifact import Artifact
from ...manifests.images import ImageError, decode
from ...manifests.pairset import own_shard
from ...manifests.shards import ShardReader


class Pictures:
    """Decodes pictures by where `samples` says they stand; threads may share it."""

    def __init__(self, scan: Artifact) -> None:
        paths = {part: scan.file(part, "tar") for part in scan.parts}
        self._own = {own_shard(part): str(path) for part, path in paths.items() if path.exists()}
        self._reader = ShardReader()

    def read(self, shard: str, offset: int, size: int) -> Image.Image | str:
        """Return the decoded picture, upright RGB; or, when it cannot be had, why not."""
        try:
            data = self._reader.read(self._own.get(shard, shard), offset, size)
            # Ingest has held it against the corpus's own limit; a second one would only differ.
            return decode(data, max_pixels=1 << 40)
        except (ImageError, OSError, EOFError) as error:
            return str(error)

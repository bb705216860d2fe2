"""Pictures by where a table of parts says they stand: in an artifact's own tars, or elsewhere."""

from __future__ import annotations

from PIL import Image

from .artifact import Artifact
from .images import ImageError, decode
from .pairset import own_shard
from .shards import ShardReader


class Pictures:
    """Decodes pictures out of tars; threads may share it.

    Args:
        tars: an artifact whose parts may have a tar each, known in the table as `own_shard(part)`.
    """

    def __init__(self, tars: Artifact) -> None:
        paths = {part: tars.file(part, "tar") for part in tars.parts}
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

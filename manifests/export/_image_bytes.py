"""Image bytes by sample id: where they stand is held, the bytes never are."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

from ..errors import DataError
from ..images import ImageError, decode
from ..pairset import Pairset
from ..shards import ShardReader

_QUALITY = 95


class ImageBytes:
    """Payloads of images by sample id; holds 20 bytes a sample, never an image."""

    def __init__(self, pairset: Pairset) -> None:
        self._pairset = pairset
        self._reader = ShardReader()
        self._shards: dict[str, int] = {}
        codes, offsets, sizes = [], [], []
        for table in pairset.tables("samples", ["shard", "offset", "size"]):
            names = table["shard"].to_pylist()
            known = self._shards
            codes.append(np.array([known.setdefault(n, len(known)) for n in names], np.int32))
            offsets.append(table["offset"].to_numpy())
            sizes.append(table["size"].to_numpy())
        self._code = np.concatenate([np.zeros(0, np.int32), *codes])
        self._offset = np.concatenate([np.zeros(0, np.int64), *offsets])
        self._size = np.concatenate([np.zeros(0, np.int64), *sizes])
        self._names = list(self._shards)

    @functools.cached_property
    def there(self) -> np.ndarray:
        """Whether each sample has an image, bool [N]."""
        return self._code != self._shards.get("", -1)

    @property
    def mean_bytes(self) -> float:
        """Mean size of an image."""
        return float(self._size.mean()) if len(self._size) else 0.0

    def rows_per_file(self, file_bytes: int, images: int) -> int:
        """Return how many rows of so many images, and some text, fill a file of a size."""
        return max(int(file_bytes / (2048 + self.mean_bytes * images)), 1)

    def read(self, sample_id: int) -> bytes:
        """Return the bytes of an image as the corpus has them.

        Raises:
            DataError: the sample has no image, or its shard cannot be read there.
        """
        shard = self._names[self._code[sample_id]]
        if shard == "":
            raise DataError(
                f"sample {sample_id} of {self._pairset.root} has no image, so it cannot be packed."
            )
        url = self._pairset.shard_url(shard)
        try:
            return self._reader.read(url, int(self._offset[sample_id]), int(self._size[sample_id]))
        except (OSError, EOFError) as error:
            raise DataError(
                f"the image of sample {sample_id} cannot be read from {url}: {error}. Where did "
                f"the shard go? `curate verify {self._pairset.root}` lists all that is missing."
            ) from error

    def jpeg(self, sample_id: int) -> bytes:
        """Return an image as JPEG: the corpus's own bytes, or other formats encoded anew.

        Other formats are decoded (first frame, upright) and written with quality 95.

        Raises:
            DataError: see `read`; or the image cannot be decoded.
        """
        data = self.read(sample_id)
        if data[:3] == b"\xff\xd8\xff":
            return data
        try:
            return as_jpeg(decode(data))
        except ImageError as error:
            raise DataError(f"the image of sample {sample_id}: {error.message}.") from error


def as_jpeg(image: Image.Image) -> bytes:
    """Encode an RGB image."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()

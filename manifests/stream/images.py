"""Images of a pairset by sample id, and what happens to the ones that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError
from ..fingerprint import draw_uint64
from ..images import ImageError, decode
from ..pairset import Pairset
from ..shards import ShardReader
from .budget import FailureBudget
from .columns import Columns
from .transform import Transform


@dataclass(frozen=True)
class ImageSource:
    """Reads, decodes and transforms images of a pairset by sample id.

    `urls` holds the path or URL of each shard by its code, "" for samples without an image.
    """

    columns: Columns
    urls: tuple[str, ...]
    transform: Transform
    seed: int
    reader: ShardReader = field(default_factory=ShardReader)

    @classmethod
    def of(cls, pairset: Pairset, columns: Columns, transform: Transform, seed: int) -> ImageSource:
        """Open the images of a pairset; no file is touched yet."""
        urls = tuple(pairset.shard_url(shard) if shard else "" for shard in columns.shards)
        return cls(columns, urls, transform, seed)

    def load(self, ids: np.ndarray, epoch: int, budget: FailureBudget) -> list[Tensor | None]:
        """Return float32 [3, H, W] for each sample id, None for those that cannot be read.

        A sample that never had an image is None and costs no budget.
        """
        draws = draw_uint64(self.seed, ids, f"transform/{epoch}")[:, 0] >> np.uint64(1)
        return [
            self._one(int(sample), int(draw), budget)
            for sample, draw in zip(ids, draws, strict=True)
        ]

    def _one(self, sample: int, draw: int, budget: FailureBudget) -> Tensor | None:
        shard = int(self.columns["shard"][sample])
        if not self.urls[shard]:
            return None
        offset, size = int(self.columns["offset"][sample]), int(self.columns["size"][sample])
        budget.read += 1
        try:
            image = decode(self.reader.read(self.urls[shard], offset, size))
        except (ImageError, OSError, EOFError) as error:
            where = f"sample_id {sample} ({self.columns.shards[shard]} at {offset})"
            budget.spend(where, error)
            return None
        budget.good()
        tensor = self.transform(image, draw)
        if tensor.dtype != torch.float32 or tensor.ndim != 3:
            raise StreamError(
                f"transform returned {tensor.dtype} {tuple(tensor.shape)} for sample_id {sample}; "
                "a float32 tensor [3, H, W] is expected."
            )
        return tensor


def check_has_images(pairset: Pairset, columns: Columns) -> None:
    """Refuse a pairset that was made of vectors alone.

    Raises:
        StreamError: no sample has an image.
    """
    if not any(columns.shards):
        raise StreamError(
            f"{pairset.root} holds no images (its corpus was vectors alone), so there is nothing "
            "to stream. Read its pairs with pyarrow, or make a pairset of the images."
        )

"""Images of a pairset by sample id, and what happens to the ones that cannot be read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError, TooManyBadImages
from ..fingerprint import draw_uint64
from ..images import ImageError, decode
from ..pairset import Pairset
from ..shards import ShardReader
from .columns import Columns
from .transform import Transform

_LOG = logging.getLogger("curate.stream")
_FIRST_READS = 1000


@dataclass
class FailureBudget:
    """How many images may be unreadable before a stream gives up.

    Counted in each process, from the start of its iteration; the first thousand reads count as a
    thousand, so a single bad image at the start stops nothing.

    Attributes:
        fraction: share of images that may be bad, 0..1.
        masks: whether bad images are left out ("mask") rather than raised.
        read: images asked for, repeats counted.
        bad: how many of them could not be read.
        named: the images that were logged; one that comes again is not logged again.
    """

    fraction: float
    masks: bool = True
    read: int = 0
    bad: int = 0
    named: set[str] = field(default_factory=set)

    def spend(self, what: str, error: Exception) -> None:
        """Note one read that failed.

        Raises:
            TooManyBadImages: the budget is spent.
            StreamError: bad images are not to be left out.
        """
        if not self.masks:
            raise StreamError(f"{what}: {error}") from error
        self.bad += 1
        if what not in self.named:
            _LOG.warning("left out: %s: %s", what, error)
            self.named.add(what)
        if self.bad > self.fraction * max(self.read, _FIRST_READS):
            raise TooManyBadImages(
                f"{self.bad} of {self.read} reads of images failed; "
                f"max_bad_fraction={self.fraction} allows fewer. The last was {what}: {error} "
                "Check the shards with `curate verify`, or raise max_bad_fraction."
            ) from error


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

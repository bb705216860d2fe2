"""Images of a pairset by sample id, and what happens to the ones that cannot be read."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError, TooManyBadImages
from ..fingerprint import draw_uint64
from ..images import ImageError, decode
from ..pairset import Pairset
from .columns import Columns
from .payloads import Payloads, Reading
from .store import ImageStore
from .together import write_together
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


class ImageSource:
    """Reads, decodes and transforms images of a pairset by sample id.

    Args:
        pairset: whose images; no file is touched before the first of them is asked for.
        columns: of the pairset.
        transform: of each picture.
        seed: of the stream.
        store: where the bytes are; None: as `ImageStore` is by default.
    """

    def __init__(
        self,
        pairset: Pairset,
        columns: Columns,
        transform: Transform,
        seed: int,
        store: ImageStore | None = None,
    ) -> None:
        self._columns, self._transform, self._seed = columns, transform, seed
        self._store = ImageStore() if store is None else store
        self._payloads = Payloads(pairset, columns.shards, self._store)
        self._expected: dict[bytes, Reading] = {}

    @property
    def ahead(self) -> int:
        """Batches that should be expected while one is loaded; 0 where all shards are here."""
        return self._store.ahead if self._payloads.is_remote.any() else 0

    def expect(self, ids: np.ndarray) -> None:
        """Begin to read what the next loads will ask for; only the last `ahead` are kept."""
        if ids.tobytes() not in self._expected:
            self._expected[ids.tobytes()] = self._start(ids)
        while len(self._expected) > max(self.ahead, 1):
            self._expected.pop(next(iter(self._expected))).close()

    def load(self, ids: np.ndarray, epoch: int, budget: FailureBudget) -> list[Tensor | None]:
        """Return float32 [3, H, W] for each sample id, None for those that cannot be read.

        A sample that never had an image is None and costs no budget. The tensors are rows of one.

        Raises:
            TooManyBadImages: the budget is spent.
            StreamError: bad images are not to be left out, or the transform is no good.
        """
        draws = draw_uint64(self._seed, ids, f"transform/{epoch}")[:, 0] >> np.uint64(1)
        reading = self._expected.pop(ids.tobytes(), None) or self._start(ids)
        try:
            images = (
                self._one(sample, reading, at, draw, budget)
                for at, (sample, draw) in enumerate(zip(ids.tolist(), draws.tolist(), strict=True))
            )
            return write_together(images, len(ids))
        finally:
            reading.close()

    def close(self) -> None:
        """Give up what is expected."""
        while self._expected:
            self._expected.popitem()[1].close()

    def _start(self, ids: np.ndarray) -> Reading:
        places = (self._columns[name][ids] for name in ("shard", "offset", "size"))
        return self._payloads.start(*places)

    def _one(
        self, sample: int, reading: Reading, at: int, draw: int, budget: FailureBudget
    ) -> Tensor | None:
        shard = self._columns.shards[self._columns["shard"][sample]]
        if not shard:
            return None
        budget.read += 1
        try:
            image = decode(self._checked(sample, reading.get(at)))
        except (ImageError, OSError, EOFError) as error:
            where = f"sample_id {sample} ({shard} at {int(self._columns['offset'][sample])})"
            budget.spend(where, error)
            return None
        tensor = self._transform(image, draw)
        if tensor.dtype != torch.float32 or tensor.ndim != 3:
            raise StreamError(
                f"transform returned {tensor.dtype} {tuple(tensor.shape)} for sample_id {sample}; "
                "a float32 tensor [3, H, W] is expected."
            )
        return tensor

    def _checked(self, sample: int, payload: bytes) -> bytes:
        if self._store.verify:
            wanted = self._columns["sha256"][sample]
            if wanted.any() and hashlib.sha256(payload).digest() != wanted.tobytes():
                raise OSError("its sha256 is not the one of `samples`.")
        return payload


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

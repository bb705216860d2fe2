"""Images of a pairset by sample id, and what happens to the ones that cannot be read."""

from __future__ import annotations

import hashlib
import logging
import os

import numpy as np
import torch
from torch import Tensor

from ..errors import StreamError
from ..fingerprint import draw_uint64
from ..images import ImageError, decode
from ..pairset import Pairset
from .budget import FailureBudget
from .columns import Columns
from .payloads import Payloads, Reading
from .store import ImageStore
from .together import Buffers, write_together
from .transform import Transform

_LOG = logging.getLogger("curate.stream")


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
        self._decoded_px: int | None = getattr(transform, "decoded_px", None)
        self._payloads = Payloads(pairset, columns.shards, self._store)
        self._expected: dict[bytes, Reading] = {}
        self._buffers = Buffers()
        self._process = os.getpid()

    @property
    def ahead(self) -> int:
        """Batches that should be expected while one is loaded; 0 where all shards are here."""
        return self._store.ahead if self._payloads.is_remote.any() else 0

    def expect(self, ids: np.ndarray) -> None:
        """Begin to read what a later load will ask for; only the last `ahead` + 1 are kept."""
        self._forget_a_parent()
        if ids.tobytes() not in self._expected:
            self._expected[ids.tobytes()] = self._start(ids)
        while len(self._expected) > self.ahead + 1:
            self._expected.pop(next(iter(self._expected))).close()

    def load(self, ids: np.ndarray, epoch: int, budget: FailureBudget) -> list[Tensor | None]:
        """Return float32 [3, H, W] for each sample id, None for those that cannot be read.

        A sample that never had an image is None and costs no budget. The tensors are rows of one.

        Raises:
            TooManyBadImages: the budget is spent.
            StreamError: bad images are not to be left out, or the transform is no good.
        """
        draws = draw_uint64(self._seed, ids, f"transform/{epoch}")[:, 0] >> np.uint64(1)
        self._forget_a_parent()
        reading = self._expected.pop(ids.tobytes(), None) or self._start(ids)
        try:
            images = (
                self._one(sample, reading, at, draw, budget)
                for at, (sample, draw) in enumerate(zip(ids.tolist(), draws.tolist(), strict=True))
            )
            return write_together(images, len(ids), self._buffers)
        finally:
            reading.close()

    def warn_of_small_cache(self, rows: np.ndarray | None) -> None:
        """Log when the cache of shards is smaller than the shards between which an order jumps.

        Args:
            rows: of `pairs`, int64, that are walked in any order before others are; None: all.
        """
        if self._store.cache is None:
            return
        needed = self._payloads.bytes_of(self._columns, self._shards_of(rows))
        if needed > self._store.cache_bytes:
            _LOG.warning(
                "the order walks %.1f GB of remote shards at once, the cache holds %.1f GB: shards "
                "will be fetched again and again, or read image by image. Take a larger "
                "cache_bytes, or order='block' with a smaller window.",
                needed / 1e9,
                self._store.cache_bytes / 1e9,
            )

    def _shards_of(self, rows: np.ndarray | None) -> np.ndarray:
        columns = self._columns
        if rows is None:
            return np.arange(len(columns.shards))
        found = [columns["shard"][columns["anchor_id"][rows]]]
        for name in ("positive_ids", "negative_ids"):
            ids = columns[name][rows]
            found.append(columns["shard"][ids[ids >= 0]])
        return np.unique(np.concatenate(found))

    def close(self) -> None:
        """Give up what is expected."""
        while self._expected:
            self._expected.popitem()[1].close()

    def _forget_a_parent(self) -> None:
        # What a parent process was reading when it forked never comes here.
        if self._process != os.getpid():
            self._expected, self._process = {}, os.getpid()

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
            image = decode(self._checked(sample, reading.get(at)), at_least=self._decoded_px)
        except (ImageError, OSError, EOFError) as error:
            where = f"sample_id {sample} ({shard} at {int(self._columns['offset'][sample])})"
            budget.spend(where, error)
            return None
        budget.good()
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

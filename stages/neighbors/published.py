"""The published index of a space, searched for one vector at a time: what a page asks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np

from ...manifests.errors import DataError
from ...manifests.schema import NO_ID


@dataclass(frozen=True)
class PublishedIndex:
    """The shards of an index, mapped rather than read; threads may share it.

    Attributes:
        shards: one FAISS index a file; their ids are sample ids.
    """

    shards: tuple[faiss.Index, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def open(cls, files: Sequence[Path], nprobe: int) -> PublishedIndex:
        """Open the files of an inverted file.

        Args:
            files: of the shards.
            nprobe: lists that a search looks into.

        Raises:
            DataError: a file is none of FAISS.
        """
        shards = []
        for file in files:
            try:
                index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
            except RuntimeError as error:
                raise DataError(f"{file} cannot be read by FAISS: {error}") from error
            if isinstance(index, faiss.IndexIVF):
                index.nprobe = nprobe
            shards.append(index)
        return cls(tuple(shards))

    def nearest(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the ids of the `count` nearest of each shard, int64, in no order.

        Args:
            vector: float32 [d], unit norm.
            count: neighbours wanted.
        """
        query = np.ascontiguousarray(vector[None, :], np.float32)
        with self._lock:
            found = [shard.search(query, count)[1][0] for shard in self.shards]
        ids = np.concatenate([np.zeros(0, np.int64), *found])
        return ids[ids != NO_ID]

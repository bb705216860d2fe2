"""Which bytes of which shards a batch asks for: neighbours in a shard become one request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranges:
    """Requests that hold some payloads; all int64 numpy.

    Attributes:
        shard: code of the shard of each request [R].
        start: its first byte [R].
        stop: the byte behind its last [R].
        of: the request that holds payload i [n].
    """

    shard: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)


def coalesce(
    shard: np.ndarray, offset: np.ndarray, size: np.ndarray, gap: int, limit: int
) -> Ranges:
    """Merge payloads of a shard that stand close to each other.

    Args:
        shard: code of each payload's shard, int [n], in any order.
        offset: its first byte, int64 [n].
        size: its bytes, int64 [n].
        gap: bytes between two payloads up to which they are read by one request.
        limit: bytes after which a merged request is cut; it may be longer by one payload.
    """
    if not len(shard):
        none = np.zeros(0, np.int64)
        return Ranges(none, none, none, none)
    order = np.lexsort((offset, shard))
    codes, begins = shard[order].astype(np.int64), offset[order].astype(np.int64)
    ends = begins + size[order]
    # A ladder of shards, so that one running maximum of ends serves all of them.
    step = int(ends.max()) + 1
    rung = np.cumsum(np.append(0, codes[1:] != codes[:-1])) * step
    reached = np.maximum.accumulate(ends + rung)
    apart = np.append(True, begins[1:] + rung[1:] - reached[:-1] > gap)
    apart[1:] |= codes[1:] != codes[:-1]
    run = np.cumsum(apart) - 1
    piece = (begins - begins[apart][run]) // max(limit, 1)
    first = apart.copy()
    first[1:] |= piece[1:] != piece[:-1]
    at = np.flatnonzero(first)
    of = np.empty(len(order), np.int64)
    of[order] = np.cumsum(first) - 1
    return Ranges(codes[at], begins[at], np.maximum.reduceat(ends, at), of)

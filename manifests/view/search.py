"""The samples nearest to a vector: all of a space's vectors, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..pairset import Pairset
from ..vectors import pair_similarity

Nearest = Callable[[str, np.ndarray, int], np.ndarray]
"""(space, unit vector float32 [d], count) -> int64 [<= count], ids of near samples, any order."""
_BLOCK = 1 << 15


def nearest_exact(pairset: Pairset) -> Nearest:
    """Return a search that compares with every vector; reads the whole space each time."""

    def nearest(space: str, vector: np.ndarray, count: int) -> np.ndarray:
        ids, found = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for start, block in pairset.vectors(space).blocks(_BLOCK):
            there = block.any(axis=1)
            new = (block @ vector)[there]
            ids = np.concatenate([ids, start + np.flatnonzero(there)])
            found = np.concatenate([found, new])
            if len(ids) > count:
                kept = np.sort(np.argpartition(-found, count - 1)[:count])
                ids, found = ids[kept], found[kept]
        return ids

    return nearest


def ranked(
    pairset: Pairset, space: str, vector: np.ndarray, ids: np.ndarray
) -> list[tuple[int, float]]:
    """Return samples with their cosine to a vector, most similar first, ties by id.

    Cosines are those of the stored vectors, whatever found the samples.
    """
    ids = np.unique(ids)
    rows = pairset.vectors(space).rows(ids)
    similar = pair_similarity(rows, vector[None, :])
    order = np.lexsort((ids, -similar))
    return [(int(ids[at]), float(similar[at])) for at in order if rows[at].any()]

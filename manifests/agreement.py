"""When two samples say the same: captions that agree more than random ones do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fingerprint import draw_uniform
from .vectors import VectorStore, pair_similarity

QUANTILE = 0.999
"""Captions agree when they are more similar than this share of random pairs."""
RANDOM_PAIRS = 40_000
"""Random pairs that the quantile is taken of: 40 of them lie above it."""
MOST_AGREE = 0.01
"""Where more random pairs than this agree, captions are too much alike to tell samples apart."""
_BLOCK = 8192


@dataclass(frozen=True)
class Agreement:
    """What a caption space can tell of a pair of samples.

    Attributes:
        cut: cosine from which two captions say the same; None where captions cannot tell.
        why: why they cannot, for people; "" where they can.
    """

    cut: float | None
    why: str = ""

    @classmethod
    def of(cls, captions: VectorStore, seed: int = 0) -> Agreement:
        """Take the quantile of random pairs of two different samples (algorithms.md §0.5b)."""
        if len(captions) < 2:
            return cls(None, "there are fewer than two samples")
        found = random_similarities(captions, seed)
        if len(found) < RANDOM_PAIRS // 100:
            return cls(None, "too few samples have captions")
        cut = float(found[int(np.ceil(QUANTILE * len(found))) - 1])
        share = float((found >= cut).mean())
        if share > MOST_AGREE:
            return cls(None, f"{share:.0%} of random pairs have captions that say the same")
        return cls(cut)


def random_similarities(store: VectorStore, seed: int = 0) -> np.ndarray:
    """Return the cosines of random pairs of two different samples, ascending float32.

    40,000 pairs are drawn; those of which one has no vector are left out.
    """
    count = len(store)
    if count < 2:
        return np.zeros(0, np.float32)
    uniform = draw_uniform(seed, np.arange(RANDOM_PAIRS), "agreement", 2)
    left = np.minimum((uniform[:, 0] * count).astype(np.int64), count - 1)
    step = 1 + np.minimum((uniform[:, 1] * (count - 1)).astype(np.int64), count - 2)
    found = similarities(store, left, (left + step) % count)
    return np.sort(found[~np.isnan(found)])


def similarities(store: VectorStore, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosines of pairs of samples, float32 [n]; NaN where one has no vector."""
    out = np.empty(len(left), np.float32)
    for start in range(0, len(left), _BLOCK):
        step = slice(start, start + _BLOCK)
        a, b = store.rows(left[step]), store.rows(right[step])
        there = a.any(axis=1) & b.any(axis=1)
        out[step] = np.where(there, pair_similarity(a, b), np.nan)
    return out

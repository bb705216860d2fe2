"""Hubs: samples that stand in very many lists.

Radovanovic, Nanopoulos, Ivanovic, "Hubs in Space", JMLR 11 (2010): in high dimensions the number
of lists that a point stands in (its k-occurrence N_k) is skewed to the right; the skewness
S = E[(N_k - mean)^3] / std^3 measures it.
"""

from __future__ import annotations

import numpy as np

_TOP_SHARE = 0.01
_BLOCK = 1 << 20


def hubness(counts: np.ndarray) -> dict[str, float]:
    """Describe how unevenly samples are listed.

    Args:
        counts: int [N], in how many lists each sample stands.

    Returns:
        skewness of the counts (0: even), top1_share: the share of all places that the most listed
        1 % of samples take (at least one sample), max, and orphans: the share that nobody lists.
    """
    total = int(counts.sum())
    if not total:
        return {"skewness": 0.0, "top1_share": 0.0, "max": 0, "orphans": 1.0}
    top = max(int(np.ceil(len(counts) * _TOP_SHARE)), 1)
    most = np.partition(counts, len(counts) - top)[len(counts) - top :]
    return {
        "skewness": round(skewness(counts), 4),
        "top1_share": round(float(most.sum()) / total, 6),
        "max": int(counts.max()),
        "orphans": round(float((counts == 0).mean()), 6),
    }


def skewness(values: np.ndarray) -> float:
    """Return the third standardised moment; 0 where all values are equal. Holds one block."""
    if not len(values):
        return 0.0
    mean = float(values.mean(dtype=np.float64))
    second = third = 0.0
    for start in range(0, len(values), _BLOCK):
        off = values[start : start + _BLOCK] - mean
        second += float((off**2).sum())
        third += float((off**3).sum())
    if second == 0:
        return 0.0
    return (third / len(values)) / (second / len(values)) ** 1.5

"""Hubs: samples that stand in very many lists.

Radovanovic, Nanopoulos, Ivanovic, "Hubs in Space", JMLR 11 (2010): in high dimensions the number
of lists that a point stands in (its k-occurrence N_k) is skewed to the right; the skewness
S = E[(N_k - mean)^3] / std^3 measures it.
"""

from __future__ import annotations

import math

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.schema import NO_ID


def occurrences(graph: Artifact, count: int) -> np.ndarray:
    """Return int64 [count]: how many lists of the graph each sample stands in; reads part by part.

    Args:
        graph: an artifact with "ids.npy".
        count: samples of the corpus.
    """
    total = np.zeros(count, np.int64)
    for part in graph.parts:
        ids = graph.array(part, "ids.npy").reshape(-1)
        total += np.bincount(ids[ids != NO_ID], minlength=count)
    return total


def hubness(counts: np.ndarray) -> dict[str, float]:
    """Return how skewed k-occurrences are.

    Args:
        counts: int64 [N], from `occurrences`.

    Returns:
        skewness (0 where all are equal), top1_share: the share of all edges that go into the 1 %
        of samples with the most (at least one sample), max: the largest count, and orphans: the
        share of samples that stand in no list.
    """
    edges = int(counts.sum())
    if edges == 0:
        return {"skewness": 0.0, "top1_share": 0.0, "max": 0, "orphans": 0.0}
    spread = counts - counts.mean()
    deviation = math.sqrt(float((spread**2).mean()))
    skewness = float((spread**3).mean()) / deviation**3 if deviation > 0 else 0.0
    top = np.sort(counts)[-max(1, math.ceil(0.01 * len(counts))) :]
    return {
        "skewness": round(skewness, 4),
        "top1_share": round(int(top.sum()) / edges, 6),
        "max": int(counts.max()),
        "orphans": round(float((counts == 0).mean()), 6),
    }

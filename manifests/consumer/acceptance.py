"""False negatives by cluster, accepted little by little (Chen et al. 2022, IFND; §3.6 of the spec).

A sample of accept rank r (0: the most confident of its cluster) is accepted at a share s of N
exactly if r < floor(s N); two accepted samples of one cluster are never contrasted.
"""

from __future__ import annotations

import math

from torch import Tensor


def bound(first: float, last: float, progress: float, ranked: int) -> int:
    """Return the accept rank below which samples are accepted.

    Args:
        first: share accepted at the start of the training.
        last: share accepted at its end; it grows linearly.
        progress: of the training, 0..1.
        ranked: N, samples that have a rank.
    """
    return math.floor((first + (last - first) * progress) * ranked)


def accepted_together(
    clusters: Tensor, ranks: Tensor, other_clusters: Tensor, other_ranks: Tensor, limit: int
) -> Tensor:
    """Say which pairs are accepted members of one cluster: bool [B, M].

    Args:
        clusters: int64 [B], -1 without.
        ranks: int64 [B], accept ranks, -1 without.
        other_clusters: int64 [M].
        other_ranks: int64 [M].
        limit: see `bound`.
    """
    mine = (ranks >= 0) & (ranks < limit) & (clusters >= 0)
    theirs = (other_ranks >= 0) & (other_ranks < limit)
    same = clusters[:, None] == other_clusters[None, :]
    return same & mine[:, None] & theirs[None, :]

"""False negatives by cluster, accepted little by little (Chen et al. 2022, IFND; §3.6 of the spec).

A sample of accept rank r (0: the most confident of its cluster) is accepted at a share s of N
exactly if r < floor(s N); two accepted samples of one cluster are never contrasted. The manifest's
`mask_schedules` say which columns of `samples` hold clusters and ranks, and how s grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..pairset import Pairset
from .columns import sample_codes


@dataclass(frozen=True)
class Schedule:
    """One entry of `mask_schedules`.

    Attributes:
        clusters: int64 [N], -1 without.
        ranks: int64 [N], accept ranks, -1 without.
        first: share accepted at the start of the training.
        last: share accepted at its end; it grows linearly.
        ranked: samples that have a rank.
    """

    clusters: Tensor
    ranks: Tensor
    first: float
    last: float
    ranked: int

    def masked(self, anchors: Tensor, others: Tensor, progress: float) -> Tensor:
        """Say which pairs are accepted members of one cluster: bool [B, M].

        Args:
            anchors: int64 [B] sample ids.
            others: int64 [M] sample ids; anything may stand for an empty place (-1).
            progress: of the training, 0..1.
        """
        limit = bound(self.first, self.last, progress, self.ranked)
        return accepted_together(
            self.clusters[anchors],
            self.ranks[anchors],
            self.clusters[others],
            self.ranks[others],
            limit,
        )


def schedules_of(pairset: Pairset, device: torch.device) -> tuple[Schedule, ...]:
    """Read the schedules of a pairset: 16 bytes a sample each."""
    return tuple(
        Schedule(
            sample_codes(pairset, entry["column"]).to(device),
            sample_codes(pairset, entry["accept"]).to(device),
            entry["from"],
            entry["to"],
            entry["ranked"],
        )
        for entry in pairset.manifest.get("mask_schedules", ())
    )


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

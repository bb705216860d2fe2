"""How well an order mixes clusters: a batch of few of them is full of false negatives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..fingerprint import draw_uint64
from ..schema import NO_ID

_LOG = logging.getLogger("curate.stream")
_BATCHES, _PAIRS, _DRAWN = 4, 1024, 4096


@dataclass(frozen=True)
class Mixing:
    """Clusters of the batches of an order, beside those of batches that are drawn evenly.

    Pairs without a cluster are each one of their own.

    Attributes:
        batch_size: pairs of a batch.
        clusters: effective number of clusters of a batch, 1 / sum of squared shares (Simpson
            1949), mean over some batches.
        partners: other pairs of the own cluster in a batch, mean over pairs and some batches.
        even_partners: the same, were every batch drawn evenly from all pairs.
    """

    batch_size: int
    clusters: float
    partners: float
    even_partners: float

    @property
    def poor(self) -> bool:
        """Whether a pair meets far more of its own cluster than in an even shuffle."""
        return self.partners > 2 * self.even_partners + 1

    def log(self, order: str, meant: bool) -> None:
        """Say how the batches are made up; warn of a poor shuffle that nobody asked for."""
        facts = (
            f"order {order}: about {self.clusters:.0f} clusters in a batch of {self.batch_size} "
            f"pairs, {self.partners:.2f} others of the own cluster beside each pair "
            f"({self.even_partners:.2f} in an even shuffle)"
        )
        if self.poor and not meant:
            _LOG.warning(
                "%s. Those may be false negatives: take a larger window or order='global', or "
                "mask them with mask_groups.",
                facts,
            )
        else:
            _LOG.info("%s", facts)


def mixing(
    clusters: np.ndarray, batch: Callable[[int], np.ndarray], batches: int, rows: np.ndarray
) -> Mixing:
    """Measure some batches of an order; looks at some thousand pairs, whatever the pairset.

    Args:
        clusters: int [M], cluster of each row of `pairs`, -1 for none.
        batch: returns the rows of a batch by its number, int64 [G].
        batches: how many there are.
        rows: int64 [n], the rows that an epoch walks.
    """
    numbers = np.unique(np.linspace(0, batches - 1, _BATCHES).astype(np.int64)).tolist()
    size, found = 0, []
    for number in numbers:
        own = batch(number)
        size = len(own)
        shown = own[np.linspace(0, size - 1, min(size, _PAIRS)).astype(np.int64)]
        found.append(_partners(clusters, shown) * (size - 1))
    draws = draw_uint64(0, np.arange(_DRAWN), "mixing")[:, 0] % np.uint64(len(rows))
    partners = float(np.mean(found))
    return Mixing(
        size,
        size / (1 + partners),
        partners,
        _partners(clusters, rows[np.unique(draws).astype(np.int64)]) * (size - 1),
    )


def _partners(clusters: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of the other rows that are of a row's own cluster, mean over rows."""
    own = clusters[rows]
    times = np.unique(own[own != NO_ID], return_counts=True)[1].astype(np.float64)
    return float((times * (times - 1)).sum() / max(len(rows) * (len(rows) - 1), 1))

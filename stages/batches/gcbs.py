"""`gcbs`: rows in an order in which similar ones stand close, cut into batches (GCBS, 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from ._links import Links, keys_of
from .base import Batches, Planner, Pool, cut


class Gcbs(Planner):
    """Sparsify the similarities, minimise the bandwidth, cut consecutive slices.

    Sachidananda et al., "Global Selection of Contrastive Batches via Optimization on Sample
    Permutations", ICML 2023: similarities below a high quantile become 0, reverse Cuthill-McKee
    (1969) orders the rest so that entries lie near the diagonal, and consecutive slices of the
    order are the batches. Fidelity: frozen-detector, as the paper does so anew in each epoch.

    The quantile is given as the entries that a row keeps on average: with n rows, the n x
    `edges` largest similarities of the graph stay (quantile 1 - edges / n of all pairs).

    Traps: GCBS does not handle false negatives, so the nearest rows meet in a batch; `skip`
    leaves the first ranks out, as in B3. Rows without an entry stand wherever the order puts them.

    Memory: 44 bytes a row and neighbour. Facts: entries, threshold, bandwidth (before, after) as
    the mean distance of an entry from the diagonal and as the largest.
    """

    fidelity = "frozen-detector"
    paper = "Sachidananda et al., Global Selection of Contrastive Batches (GCBS), 2023"
    row_bytes = 44 * 64 + 100

    graph: str = "image>image"
    """The neighbours whose similarities are sparsified."""
    edges: float = Field(default=10, gt=0)
    """Entries that a row keeps on average, before the matrix is made symmetric."""
    skip: int = Field(default=0, ge=0)
    """First ranks that are left out as likely false negatives."""
    depth: int = Field(default=64, ge=1)
    """Ranks of the graph that are read."""

    @property
    def graph_depths(self) -> Mapping[str, int]:
        """The graph, as deep as it is read."""
        return {self.graph: self.skip + self.depth}

    def compose(self, pool: Pool) -> Batches:
        """Order the rows and cut the order."""
        links, facts = self._links(pool)
        shape = (len(pool), len(pool))
        ones = np.ones(len(links.ends), np.int8)
        matrix = csr_matrix((ones, links.ends, links.starts.astype(np.int32)), shape)
        order = reverse_cuthill_mckee(matrix, symmetric_mode=True).astype(np.int64)
        place = np.empty(len(pool), np.int64)
        place[order] = np.arange(len(pool))
        rows = np.repeat(np.arange(len(pool)), links.degrees())
        before, after = np.abs(rows - links.ends), np.abs(place[rows] - place[links.ends])
        facts |= {
            "bandwidth_before": int(before.max(initial=0)),
            "bandwidth_after": int(after.max(initial=0)),
            "mean_before": round(float(before.mean()), 3) if len(before) else 0.0,
            "mean_after": round(float(after.mean()), 3) if len(after) else 0.0,
        }
        return Batches(cut(order, self.size), facts)

    def _links(self, pool: Pool) -> tuple[Links, dict[str, Any]]:
        keys, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for rows, near, similarity in pool.neighbours(
            self.graph, self.skip, self.skip + self.depth
        ):
            keys.append(keys_of(rows, near, len(pool)))
            values.append(similarity[near >= 0])
        key, value = np.concatenate(keys), np.concatenate(values)
        wanted = min(int(self.edges * len(pool)), len(value))
        threshold = -np.inf
        if 0 < wanted < len(value):
            at = len(value) - wanted
            threshold = float(np.partition(value, at)[at])
        links = Links.of(np.unique(key[value >= threshold]), len(pool))
        known = round(threshold, 6) if np.isfinite(threshold) else None
        return links, {"entries": links.count, "threshold": known}

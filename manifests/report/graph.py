"""One pass over a neighbour graph: how often each sample is a neighbour, and who is a hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hubness import skewness
from ..pairset import Pairset
from ..schema import NO_ID, list_matrix

NEAREST = 10
"""Neighbours that count for hubness: k-occurrence is usually given for k = 10."""
HUBS = 8


@dataclass(frozen=True)
class GraphFacts:
    """A neighbour graph in numbers.

    Attributes:
        name: "image>image".
        entry: what manifest.json says of it (k, exact, recall, short_rows).
        nearest: neighbours of a sample that were counted, min(10, k).
        bins: (label, samples) of the histogram of N_k: how often a sample is among the `nearest`
            neighbours of others.
        skewness: third standardised moment of N_k (Radovanovic, Nanopoulos, Ivanovic, Hubs in
            Space, 2010); 0 is even.
        never: samples that are nobody's neighbour.
        hubs: (sample id, N_k), most frequent first.
        nodes: samples that have neighbours.
    """

    name: str
    entry: Mapping[str, Any]
    nearest: int
    bins: list[tuple[str, int]]
    skewness: float
    never: int
    hubs: list[tuple[int, int]]
    nodes: int

    @property
    def top_share(self) -> float:
        """Share of the samples that have the first hub among their nearest."""
        return self.hubs[0][1] / self.nodes if self.hubs and self.nodes else 0.0


def scan_graph(pairset: Pairset, name: str) -> GraphFacts:
    """Read a graph once, row group by row group. Holds 8 bytes a sample of the corpus."""
    entry = pairset.manifest["neighbors"].get(name, {})
    occurrences = np.zeros(int(pairset.counts["samples"]), np.int32)
    nodes = nearest = 0
    for table in pairset.tables(f"neighbors/{name}", ["neighbor_ids"]):
        if table.num_rows:
            ids = list_matrix(table["neighbor_ids"])[:, :NEAREST]
            nearest = ids.shape[1]
            nodes += int((ids != NO_ID).any(axis=1).sum())
            np.add.at(occurrences, ids[ids != NO_ID], 1)
    top = np.argsort(-occurrences, kind="stable")[:HUBS]
    return GraphFacts(
        name,
        entry,
        nearest,
        doubling_bins(occurrences),
        skewness(occurrences),
        int((occurrences == 0).sum()),
        [(int(row), int(occurrences[row])) for row in top if occurrences[row]],
        nodes,
    )


def doubling_bins(values: np.ndarray, first: int = 0) -> list[tuple[str, int]]:
    """Count whole numbers >= `first` in bins that double: 0, 1, 2, 3, 4-7, 8-15, ...

    Returns:
        (label, count) of every bin up to the one of the largest value.
    """
    kept = values[values >= first]
    if not len(kept):
        return []
    bins: list[tuple[str, int]] = []
    if first == 0:
        bins.append(("0", int((kept == 0).sum())))
    low = max(first, 1)
    top = int(kept.max())
    while low <= top:
        high = low + 1 if low < 4 else 1 << low.bit_length()
        label = str(low) if high - low == 1 else f"{low}–{high - 1}"
        bins.append((label, int(((kept >= low) & (kept < high)).sum())))
        low = high
    return bins

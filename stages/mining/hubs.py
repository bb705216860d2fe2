"""How far down a sample's list of those that list it an anchor may stand: a cap on hubs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.schema import NO_ID
from ...manifests.vectors import GraphStore, Rows
from ..base import Inputs, Resources, Task, Worker
from .prepare import Preparation, PreparedRows

_BLOCK = 65536
_EDGES = 20_000_000
"""Edges that are sorted at a time."""


class HubCuts(Preparation):
    """For each sample, the last of the anchors that may list it.

    Those that have sample j among their first `k` are ranked by falling similarity, ties by the
    smaller id; the first `cap` of them keep j. A global fact, so that it does not depend on parts.

    Input: the graph. One part: "sims.npy" float32 [N, 1] and "anchors.npy" int64 [N, 1], the
    similarity and id of the `cap`-th; -2 and -1 for samples that at most `cap` anchors list.
    Facts: hubs (samples over the cap), cut (edges beyond it). Memory: 30 bytes a sample, and 70
    bytes for each of at most 20 million edges that are sorted at a time.
    """

    suffixes = ("sims.npy", "anchors.npy")

    graph: str
    k: int = Field(ge=1)
    """How many of the nearest of each anchor count."""
    cap: int = Field(ge=1)
    """How many anchors may list a sample."""

    @property
    def needs(self) -> Sequence[str]:
        """The graph."""
        return (f"graph:{self.graph}",)

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task: who lists a sample is a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """The cuts of all samples, and the edges that are sorted at a time."""
        rows = inputs[f"graph:{self.graph}"].rows
        return Resources(memory_bytes=(500 << 20) + 30 * rows + 70 * min(rows * self.k, _EDGES))

    def open(self, inputs: Inputs) -> Worker:
        """Open the graph."""
        artifact = inputs[f"graph:{self.graph}"]
        graph = GraphStore(self.graph, Rows.of(artifact, "ids.npy"), Rows.of(artifact, "sims.npy"))

        def cut(task: Task) -> Output:
            del task
            similarities, anchors, facts = cuts(graph, artifact.rows, self.k, self.cap)
            files = {"sims.npy": similarities[:, None], "anchors.npy": anchors[:, None]}
            return Output(artifact.rows, files, facts)

        return cut

    def computed(
        self, graphs: Mapping[str, Any], vectors: Mapping[str, Any], count: int
    ) -> PreparedRows:
        """Return the cuts of a graph in memory."""
        del vectors
        similarities, anchors, _ = cuts(graphs[self.graph], count, self.k, self.cap)
        return _Arrays(similarities[:, None], anchors[:, None])


@dataclass(frozen=True)
class _Arrays:
    similarities: np.ndarray
    anchors: np.ndarray

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.similarities[ids], self.anchors[ids]


def cuts(graph: Any, count: int, k: int, cap: int) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return similarity float32 [N] and id int64 [N] of the last anchor that keeps each sample."""
    listed = np.zeros(count, np.int64)
    for _, ids, _ in _blocks(graph, count, k):
        listed += np.bincount(ids[ids != NO_ID], minlength=count)
    similarities = np.full(count, -2, np.float32)
    anchors = np.full(count, NO_ID, np.int64)
    hubs = np.flatnonzero(listed > cap)
    # Hubs whose edges fit into memory together, one group after the other.
    group = (np.cumsum(listed[hubs]) - listed[hubs]) // _EDGES
    for number in range(int(group.max(initial=-1)) + 1):
        some = hubs[group == number]
        first, last = int(some[0]), int(some[-1])
        wanted = np.zeros(last - first + 1, bool)
        wanted[some - first] = True
        other, similarity, anchor = _edges_into(graph, count, k, first, wanted)
        order = np.lexsort((anchor, -similarity, other))
        start = np.searchsorted(other[order], some)
        at = order[start + cap - 1]
        similarities[some], anchors[some] = similarity[at], anchor[at]
    beyond = int((listed[hubs] - cap).sum())
    return similarities, anchors, {"hubs": len(hubs), "cut": beyond}


def _edges_into(
    graph: Any, count: int, k: int, first: int, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts: list[tuple[np.ndarray, ...]] = []
    for start, ids, similarities in _blocks(graph, count, k):
        inside = (ids >= first) & (ids < first + len(wanted))
        row, place = np.nonzero(inside)
        hit = wanted[ids[row, place] - first]
        row, place = row[hit], place[hit]
        parts.append((ids[row, place], similarities[row, place], start + row))
    other, similarity, anchor = (np.concatenate(part) for part in zip(*parts, strict=True))
    return other, similarity, anchor


def _blocks(graph: Any, count: int, k: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for start in range(0, count, _BLOCK):
        ids, similarities = graph.rows(np.arange(start, min(start + _BLOCK, count)), k)
        yield start, ids, similarities


def keeps(
    cut: PreparedRows, anchors: np.ndarray, others: np.ndarray, similarities: np.ndarray
) -> np.ndarray:
    """Say for each of others [A, K] whether the anchor is among the first that list it."""
    rows, places = np.nonzero(others != NO_ID)
    last, holder = (part[:, 0] for part in cut.rows(others[rows, places]))
    mine = similarities[rows, places]
    kept = np.ones(others.shape, bool)
    beyond = (mine < last) | ((mine == last) & (anchors[rows] > holder))
    kept[rows, places] = ~beyond
    return kept

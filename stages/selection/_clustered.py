"""What selectors by clusters share: whole clusters as tasks, and the centres of clusters.

The centre of a cluster is the direction of the sum of its judged samples: what k-means would move
the centroid to. So it follows from the published ids and vectors alone, whatever rows the centroids
were trained on, and for any level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ...manifests.artifact import Output
from ...manifests.exact import unit_on_grid
from ...manifests.vectors import VectorStore
from ..base import Task
from .base import Corpus, Selector

BLOCK = 2048
"""Samples of a cluster whose vectors are held at once."""
_TASK_ROWS = 1 << 16
_TASKS = 1024
_MEMBER_BYTES = 48


@dataclass(frozen=True)
class Members:
    """The judged samples of some whole clusters.

    Attributes:
        ids: int64 [m], by cluster, then ascending.
        clusters: int32 [m].
    """

    ids: np.ndarray
    clusters: np.ndarray

    def each(self) -> Iterator[slice]:
        """Yield the places of each cluster that has a judged sample."""
        starts = np.flatnonzero(np.diff(self.clusters, prepend=-1))
        stops = np.append(starts, len(self.ids))[1:]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            yield slice(start, stop)


class Clustered(Selector):
    """A selector that looks at whole clusters; a task is a run of them.

    A task holds the ids of its members (48 bytes each) and the vectors of two blocks of 2048, so a
    cluster of any size is worked, and a task has about 65,536 samples or one cluster. Every task
    reads the cluster ids of all parts, one part at a time.
    """

    clusters: str = "image"
    """The set of clusters."""
    level: int = Field(default=0, ge=0)
    """Its level; 0 is the finest."""
    space: str = Field(default="image", pattern=r"^[^>]+$")
    """Space of the vectors; the one that was clustered."""

    @property
    def cluster_names(self) -> Sequence[str]:
        """The one set."""
        return (self.clusters,)

    @property
    def cluster_level(self) -> int:
        """The level."""
        return self.level

    @property
    def space_names(self) -> Sequence[str]:
        """The space."""
        return (self.space,)

    def tasks(self, corpus: Corpus) -> list[Task]:
        """One task a run of clusters with about 65,536 samples, 1024 tasks at most."""
        sizes = corpus.clusters[self.clusters].sizes(self.level)
        limit = max(_TASK_ROWS, corpus.count // _TASKS)
        run = (np.cumsum(sizes) - sizes) // limit
        starts = np.flatnonzero(np.diff(run, prepend=-1)).tolist()
        return [
            Task(f"part-{number:05d}", {"first": first, "stop": stop})
            for number, (first, stop) in enumerate(
                zip(starts, [*starts[1:], len(sizes)], strict=True)
            )
        ]

    def measure_bytes(self, corpus: Corpus) -> int:
        """Blocks of vectors and products, and the ids of the members of a task."""
        largest = int(corpus.clusters[self.clusters].sizes(self.level).max(initial=0))
        members = max(_TASK_ROWS, corpus.count // _TASKS) + largest
        dim = corpus.vectors[self.space].dim
        return 2 * BLOCK * 14 * dim + 24 * BLOCK * BLOCK + _MEMBER_BYTES * members

    def members(self, corpus: Corpus, task: Task) -> Members:
        """Return the judged samples of the clusters of a task."""
        found = corpus.clusters[self.clusters]
        first, stop = task.spec["first"], task.spec["stop"]
        return Members(*found.members(self.level, first, stop, corpus.pool))

    def nearness(self, corpus: Corpus, task: Task, centres: bool = False) -> Output:
        """Measure how near the members of a task's clusters are to their centres.

        Returns:
            "ids.npy" int64 [m] by cluster; "clusters.npy" int32 [m]; "scores.npy" float32 [m],
            cosines; and with `centres`, for each cluster that has a member, "centres.npy" float32
            [c, d], and "distances.npy" float64 [c], the mean of 1 - cosine.
        """
        store, found = corpus.vectors[self.space], self.members(corpus, task)
        scores = np.empty(len(found.ids), np.float32)
        middles, distances = [np.zeros((0, store.dim), np.float32)], []
        for at in found.each():
            centre = centre_of(store, found.ids[at])
            near = nearness(store, found.ids[at], centre)
            scores[at] = near
            if centres:
                # Multiples of 2^-24 within [-1, 1] are floats of 24 bits.
                middles.append(centre[None].astype(np.float32))
                distances.append(1 - near.mean())
        files = {"ids.npy": found.ids, "clusters.npy": found.clusters, "scores.npy": scores}
        if centres:
            files["centres.npy"] = np.concatenate(middles)
            files["distances.npy"] = np.array(distances, np.float64)
        return Output(len(scores), files)


def blocks(count: int) -> Iterator[slice]:
    """Yield the places of blocks of BLOCK of `count` rows."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def rows_of(store: VectorStore, ids: np.ndarray) -> np.ndarray:
    """Return float64 [n, d]: stored vectors, whose products are exact; see `_exact`."""
    return store.rows(ids).astype(np.float64)


def centre_of(store: VectorStore, ids: np.ndarray) -> np.ndarray:
    """Return float64 [d], the direction of the sum of vectors, on the grid; 0 where they cancel."""
    total = np.zeros((1, store.dim))
    for step in blocks(len(ids)):
        total += rows_of(store, ids[step]).sum(axis=0)
    return unit_on_grid(total)[0]


def nearness(store: VectorStore, ids: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return float64 [n], the exact cosines of samples to a centre float64 [d] on the grid."""
    parts = [rows_of(store, ids[step]) @ centre for step in blocks(len(ids))]
    return np.concatenate([np.zeros(0), *parts])

"""In which order samples are accepted as members of their clusters; how large clusters are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...manifests.artifact import Artifact, Output
from ...manifests.schema import NO_ID
from ..base import Inputs, Resources, Stage, Task, Worker

_BYTES = 28
"""A sample at one level: confidence 4, cluster 4, rank 8, and the sort."""


class Ranks(Stage):
    """One global pass over the assignments, level by level.

    The accept rank of a sample numbers all samples that have a cluster by falling confidence,
    0 = most confident, ties by id. It is an integer because a share of progress is not: "accepted
    exactly if rank < floor(r(p) * N)" holds for any schedule r (algorithms.md §3.6).

    Input: clusters (of `Assign`). One part: "rank-<l>.npy" int64 [N], -1 without a cluster.
    Facts: ranked (samples with a cluster), without_cluster, sizes: for each level clusters, empty,
    min, median, max.

    Memory: 28 bytes a sample, whatever the number of levels.
    """

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task: ranks are a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """28 bytes a sample."""
        return Resources(memory_bytes=(300 << 20) + _BYTES * inputs["clusters"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Return the ranking."""
        clusters = inputs["clusters"]
        counts = clusters.receipts[0].facts["levels"] if clusters.receipts else []

        def run(task: Task) -> Output:
            del task
            sizes = [_sizes(_column(clusters, "ids.npy", i), n) for i, n in enumerate(counts)]
            without = sum(receipt.facts["without_cluster"] for receipt in clusters.receipts)
            facts: dict[str, Any] = {"sizes": sizes, "without_cluster": without}
            facts["ranked"] = clusters.rows - without
            files = {f"rank-{i}.npy": _ranks(clusters, i) for i in range(len(counts))}
            return Output(clusters.rows, files, facts)

        return run


def _column(clusters: Artifact, suffix: str, level: int) -> np.ndarray:
    return np.concatenate([clusters.array(part, suffix)[:, level] for part in clusters.parts])


def _ranks(clusters: Artifact, level: int) -> np.ndarray:
    return accept_ranks(
        _column(clusters, "ids.npy", level), _column(clusters, "confidence.npy", level)
    )


def accept_ranks(ids: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return int64 [N]: place by falling confidence float32 [N], ties by id; -1 where ids is -1."""
    known = np.flatnonzero(ids != NO_ID)
    order = known[np.argsort(-confidence[known], kind="stable")]
    ranks = np.full(len(ids), NO_ID, np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _sizes(ids: np.ndarray, clusters: int) -> dict[str, Any]:
    sizes = np.bincount(ids[ids != NO_ID], minlength=clusters)
    return {
        "clusters": clusters,
        "empty": int((sizes == 0).sum()),
        "min": int(sizes.min()),
        "median": float(np.median(sizes)),
        "max": int(sizes.max()),
    }

"""Which cluster each sample is in, at every level, and how surely."""

from __future__ import annotations

import numpy as np

from ...manifests.artifact import Output
from ...manifests.schema import NO_ID
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .grid import block_rows, confidence
from .settings import ClusterSettings
from .train import centroids_of, source_of, whitening_of


class Assign(Stage):
    """Assigns the rows of each part; what miners, selection and the published tables read.

    At the finest level a sample is in the cluster of its nearest centroid (largest dot product,
    ties to the lower number); at each further level in the one in which that centroid lies.
    Confidence at a level: kappa = e^{s(z, c_y)/t} / sum_c e^{s(z, c)/t} over its centroids
    (Chen et al., Incremental False Negative Detection for Contrastive Learning, 2022).

    Inputs: samples, trained (of `Train`), and `vectors` unless `by` is set. Files of a part:
    "ids.npy" int32 [rows, levels], -1 where a sample has no vector (no place); "confidence.npy"
    float32 [rows, levels], 0 there. Level 0 is the finest. Facts: levels (clusters of each),
    without_cluster.
    """

    settings: ClusterSettings

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task a part of `samples`."""
        return task_per_part(inputs["samples"])

    def resources(self, inputs: Inputs) -> Resources:
        """The centroids, and the products of one block."""
        facts = inputs["trained"].receipts[0].facts
        return Resources(memory_bytes=(700 << 20) + 16 * sum(facts["levels"]) * facts["dim"])

    def open(self, inputs: Inputs) -> Worker:
        """Load the centroids; rows are read block by block."""
        samples, trained = inputs["samples"], inputs["trained"]
        source, frame = source_of(self.settings, inputs), whitening_of(trained)
        levels, parents = centroids_of(trained)
        starts = dict(zip(samples.parts, samples.starts(), strict=False))
        step = block_rows(len(levels[0]))

        def run(task: Task) -> Output:
            first, rows = int(starts[task.part]), samples.receipt(task.part).rows
            ids = np.full((rows, len(levels)), NO_ID, np.int32)
            sure = np.zeros((rows, len(levels)), np.float32)
            for low in range(0, rows, step):
                at = slice(low, min(low + step, rows))
                points, there = source.take(np.arange(first + at.start, first + at.stop))
                points = frame.apply(points) if frame else points
                found, kappa = assigned(points, levels, parents, self.settings.t)
                ids[at] = np.where(there[:, None], found, NO_ID)
                sure[at] = np.where(there[:, None], kappa, 0)
            facts = {
                "levels": [len(centroids) for centroids in levels],
                "without_cluster": int((ids[:, 0] == NO_ID).sum()),
            }
            return Output(rows, {"ids.npy": ids, "confidence.npy": sure}, facts)

        return run


def assigned(
    points: np.ndarray, levels: list[np.ndarray], parents: list[np.ndarray], t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster and the confidence of points at every level.

    Args:
        points: float64 [n, p], on the grid.
        levels: centroids float64 [k, p] of each level, on the grid.
        parents: for each level but the first, int64 [clusters of the level below].
        t: temperature of the confidence.

    Returns:
        int64 [n, levels]; float64 [n, levels].
    """
    found, kappas = [], []
    for level, centroids in enumerate(levels):
        products = points @ centroids.T
        label = parents[level - 1][found[-1]] if level else products.argmax(axis=1)
        found.append(label)
        kappas.append(confidence(products, label, t))
    return np.stack(found, axis=1), np.stack(kappas, axis=1)

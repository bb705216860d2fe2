"""Trains the centroids of one set of clusters on a drawn sample of the corpus."""

from __future__ import annotations

import numpy as np

from ...manifests.artifact import Artifact, Output
from ...manifests.errors import DataError
from ...manifests.exact import to_grid
from ...manifests.sampling import draw_rows
from ...manifests.vectors import Rows
from ..base import Inputs, Resources, Stage, Task, Worker
from .frame import GlobeSource, Source, SpaceSource, Whitening
from .grid import assign
from .kmeans import hierarchy
from .settings import ClusterSettings

_BLOCK = 8192
_POINT_BYTES = 24
_LIBRARY_BYTES = 500 << 20
"""torch, which finds the eigenvectors."""


class Train(Stage):
    """Hierarchical spherical k-means of a space, or of places on the globe.

    The finest level clusters drawn rows; each further level clusters the centroids of the level
    below, so clusters nest (Vo et al., Automatic Data Curation for Self-Supervised Learning,
    2024). With `whiten`, vectors are projected on their first principal components, scaled to
    equal variance, and made unit again (Panambur et al. 2022 cluster terrain so).

    All products and sums are exact (see `grid`), so the bytes do not depend on threads.

    Inputs: samples, `vectors` (the space) unless `by` is set, and with `after` the artifact
    `selected`, bool [N]: rows are drawn among those. One part: "level-<l>.npy" float32 [k_l, p],
    centroids; "parents-<l>.npy" int32 [k_(l-1)] for l >= 1; with whitening
    "matrix.npy" float64 [d, p] and "offset.npy" float64 [p]. Facts: levels (clusters of each; no
    more than there are different points), dim, drawn, with_point, similarity (mean of the drawn
    rows to their finest centroid).

    Memory: `points` * k drawn rows at 24 bytes a coordinate, and 16 bytes a sample.
    """

    settings: ClusterSettings
    seed: int = 0

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task: centroids are a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """The drawn rows, and the products of one block."""
        source = source_of(self.settings, inputs)
        total = int(inputs["samples"].starts()[-1])
        drawn = min(total, self.settings.points * self.settings.sizes[0])
        held = _POINT_BYTES * drawn * source.width + 16 * total
        held += _LIBRARY_BYTES if self.settings.whiten else 0
        return Resources(memory_bytes=(700 << 20) + held)

    def open(self, inputs: Inputs) -> Worker:
        """Return the training.

        Raises:
            DataError: no sample has a vector (a place).
        """
        source, total = source_of(self.settings, inputs), int(inputs["samples"].starts()[-1])

        def run(task: Task) -> Output:
            del task
            valid = _with_point(source, total)
            if "selected" in inputs:
                selected = inputs["selected"]
                valid = valid[selected.array(selected.parts[0])[valid]]
            if not len(valid):
                what = "vector" if self.settings.by is None else "place"
                left = f" that {self.settings.after} keeps" if self.settings.after else ""
                raise DataError(
                    f"clusters: no sample{left} has a {what}, so there is nothing to group."
                )
            count = self.settings.points * self.settings.sizes[0]
            chosen = draw_rows(valid, count, self.seed, "clusters/train")
            return self._trained(_points(source, chosen), len(valid))

        return run

    def _trained(self, points: np.ndarray, with_point: int) -> Output:
        asked, files = self.settings, {}
        if asked.whiten:
            frame = Whitening.of(points, asked.whiten)
            files = {"matrix.npy": frame.matrix, "offset.npy": frame.offset}
            points = frame.apply(points).astype(np.float32)
        steps = (asked.resampling, asked.closest)
        levels, parents = hierarchy(points, asked.sizes, self.seed, asked.iterations, steps)
        for level, centroids in enumerate(levels):
            files[f"level-{level}.npy"] = centroids.astype(np.float32)
        for level, parent in enumerate(parents, start=1):
            files[f"parents-{level}.npy"] = parent.astype(np.int32)
        similarity = assign(points, levels[0])[1]
        facts = {
            "levels": [len(centroids) for centroids in levels],
            "dim": points.shape[1],
            "drawn": len(points),
            "with_point": with_point,
            "similarity": round(float(similarity.mean()), 6),
        }
        return Output(len(levels[0]), files, facts)


def source_of(settings: ClusterSettings, inputs: Inputs) -> Source:
    """Return the rows that are clustered."""
    if settings.by is not None:
        return GlobeSource(inputs["samples"], settings.by)
    return SpaceSource(Rows.of(inputs["vectors"]))


def centroids_of(trained: Artifact) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return float64 [k, p] centroids, and int64 parents, of an artifact of `Train`."""
    part = trained.parts[0]
    count = len(trained.receipts[0].facts["levels"])
    levels = [
        to_grid(np.asarray(trained.array(part, f"level-{i}.npy"), np.float64)) for i in range(count)
    ]
    parents = [
        np.asarray(trained.array(part, f"parents-{i}.npy"), np.int64) for i in range(1, count)
    ]
    return levels, parents


def whitening_of(trained: Artifact) -> Whitening | None:
    """Return the whitening of an artifact of `Train`, if it has one."""
    part = trained.parts[0]
    if not trained.file(part, "matrix.npy").exists():
        return None
    matrix, offset = (np.asarray(trained.array(part, f"{n}.npy")) for n in ("matrix", "offset"))
    return Whitening(matrix, offset)


def _with_point(source: Source, total: int) -> np.ndarray:
    found = [np.zeros(0, np.int64)]
    for start in range(0, total, _BLOCK):
        ids = np.arange(start, min(start + _BLOCK, total))
        found.append(ids[source.take(ids)[1]])
    return np.concatenate(found)


def _points(source: Source, chosen: np.ndarray) -> np.ndarray:
    """Return float32 [n, d]: multiples of 2^-24 within [-1, 1] are floats of 24 bits."""
    points = np.empty((len(chosen), source.width), np.float32)
    for start in range(0, len(chosen), _BLOCK):
        points[start : start + _BLOCK] = source.take(chosen[start : start + _BLOCK])[0]
    return points

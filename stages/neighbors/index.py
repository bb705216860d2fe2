"""The searchable index of a space, and which of its rows are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ...manifests.artifact import Artifact, Output
from ...manifests.sampling import draw_rows
from ...manifests.vectors import Rows, widen
from ..base import Inputs, Resources, Stage, Task, Worker
from . import ivf
from .folds import first_equal, fold, split_codes

EXACT_BELOW = 60_000
"""Rows below which all pairs are compared: on a CPU an inverted file gains nothing there."""

PROBE_QUERIES = 512
_BLOCK = 8192


class BuildIndex(Stage):
    """Files the vectors of a space for search.

    Below `exact_below` rows the index is flat and neighbours are found by comparing all pairs;
    above, it is an inverted file. Both keep the float16 values that are stored. The number of
    shards follows the memory; results do not, so `memory_bytes` is not part of the identity (the
    parts' names say how many shards there are).

    Inputs: `vectors`, `samples`. A part has "faiss" (ids are sample ids; rows without a vector are
    not in it) and "first.npy" int64 [rows]: the first row with the same vector, -1 without one.
    Facts: type, exact, nlist, nprobe, probe_recall (first part only), dim, vectors, equal_rows,
    min_recall, seed.

    Attributes:
        space: name of the space.
        exact_below: rows below which search is exact; None for 60,000.
        min_recall: recall that a graph with this bank must reach.
        k: neighbours of a row that count in the recall.
        memory_bytes: what an index may occupy, twice; beyond, it is cut into shards that share
            their centroids and are searched one after the other.
        seed: seed of the training sample and of the probe.
    """

    space: str
    exact_below: int | None = None
    min_recall: float = 0.95
    k: int = 64
    memory_bytes: int = 8 << 30
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """Return what decides the result: everything but the memory."""
        kept = super().identity()
        kept.pop("memory_bytes")
        return {**kept, "exact_below": self._limit}

    @property
    def _limit(self) -> int:
        return EXACT_BELOW if self.exact_below is None else self.exact_below

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each shard: a run of whole parts of the vectors."""
        vectors = inputs["vectors"]
        starts = vectors.starts()
        size = int(starts[-1]) * (2 * _dim(vectors) + 8)
        wanted = -(-2 * size // self.memory_bytes) if starts[-1] >= self._limit else 1
        shards = max(1, min(wanted, len(vectors.parts)))
        cuts = np.searchsorted(starts, np.linspace(0, starts[-1], shards + 1))
        rows = starts[np.unique(cuts)]
        if len(rows) < 2:
            rows = np.array([0, starts[-1]])
        count = len(rows) - 1
        return [
            Task(f"part-{i:05d}-of-{count:05d}", {"low": int(rows[i]), "high": int(rows[i + 1])})
            for i in range(count)
        ]

    def resources(self, inputs: Inputs) -> Resources:
        """One shard with its training sample, and 50 bytes a row of the whole space."""
        vectors = inputs["vectors"]
        dim, total = _dim(vectors), int(vectors.starts()[-1])
        shard = min(total * (2 * dim + 8), self.memory_bytes // 2)
        sample = ivf.POINTS_PER_CENTROID * ivf.list_count(total) * dim * 4
        return Resources(memory_bytes=(300 << 20) + 2 * shard + sample + 50 * total)

    def open(self, inputs: Inputs) -> Worker:
        """Find equal rows and, for an inverted file, train the centroids."""
        rows = Rows.of(inputs["vectors"])
        first = first_equal(rows)
        valid = np.flatnonzero(first >= 0)
        exact = len(rows) < self._limit or len(valid) < 2
        centroids = None if exact else ivf.train(rows, valid, ivf.list_count(len(valid)), self.seed)
        facts: dict[str, Any] = {"exact": exact, "min_recall": self.min_recall, "k": self.k}
        facts.update(seed=self.seed, dim=rows.width)

        def run(task: Task) -> Output:
            low, high = int(task.spec["low"]), int(task.spec["high"])
            mine = valid[(valid >= low) & (valid < high)]
            own = first[low:high]
            equal = int((own != np.arange(low, high)).sum() - (own < 0).sum())
            here = {**facts, "vectors": len(mine), "equal_rows": equal}
            if centroids is None:
                index = _flat(rows, mine)
                here.update(type="IDMap2,SQfp16", nlist=0)
            else:
                index = ivf.build(rows, mine, centroids)
                here.update(type=f"IVF{len(centroids)},SQfp16", nlist=len(centroids))
                if low == 0:
                    here.update(self._probes(rows, first, centroids, inputs["samples"]))
            files = {"faiss": lambda path: _write(index, path), "first.npy": own}
            return Output(high - low, files, here)

        return run

    def _probes(
        self, rows: Rows, first: np.ndarray, centroids: np.ndarray, samples: Artifact
    ) -> dict[str, Any]:
        folds = fold(rows, first, split_codes(samples))
        chosen = draw_rows(np.flatnonzero(first >= 0), PROBE_QUERIES, self.seed, "ivf/probe")
        probes, recall = ivf.choose_probes(
            widen(rows.take(chosen)),
            folds.splits[chosen],
            centroids,
            folds,
            aim(self.min_recall),
            (1, self.k + 1),
        )
        return {"nprobe": probes, "probe_recall": round(recall, 4)}


def aim(min_recall: float) -> float:
    """Return the recall to aim at, half way to 1: another probe must find `min_recall` too."""
    return (1 + min_recall) / 2


def equal_rows(index: Artifact) -> np.ndarray:
    """Return int64 [N] of a whole index: the first row with the same vector, -1 without one."""
    return np.concatenate([index.array(part, "first.npy") for part in index.parts])


def _dim(vectors: Artifact) -> int:
    return int(vectors.receipts[0].facts["dim"]) if vectors.receipts else 1


def _flat(rows: Rows, valid: np.ndarray) -> faiss.Index:
    inner = faiss.IndexScalarQuantizer(
        rows.width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    inner.is_trained = True
    index = faiss.IndexIDMap2(inner)
    for start in range(0, len(valid), _BLOCK):
        ids = valid[start : start + _BLOCK]
        index.add_with_ids(widen(rows.take(ids)), ids)
    return index


def _write(index: faiss.Index, path: Path) -> None:
    faiss.write_index(index, str(path))

"""A corpus of random vectors in artifacts, and an independent brute-force reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.manifests.artifact import Artifact, Draft, Output
from curate.stages.base import Stage


def run_stage(stage: Stage, inputs: dict[str, Artifact], path: Path) -> Artifact:
    """What the runner does, without resume."""
    draft = Draft(path)
    worker = stage.open(inputs)
    receipts = [draft.write(task.part, worker(task)) for task in stage.plan(inputs)]
    return draft.commit(path.name, receipts, {})


def unit(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, norms, out=np.zeros_like(values), where=norms > 0).astype(np.float16)


def lattice(seed: int, n: int, d: int = 16) -> np.ndarray:
    """Rows of +-1/4: every product is exact in float32, and ties are everywhere."""
    rng = np.random.default_rng(seed)
    return rng.choice([-0.25, 0.25], size=(n, d)).astype(np.float16)


def clustered(
    seed: int, n: int, d: int = 32, clusters: int = 20, spread: float = 0.5
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, d))
    return unit(centres[rng.integers(0, clusters, n)] + spread * rng.normal(size=(n, d)))


@dataclass
class Corpus:
    """Writes artifacts of one corpus below a folder."""

    root: Path
    part_rows: int = 97
    _count: int = field(default=0)

    def _path(self, name: str) -> Path:
        self._count += 1
        return self.root / f"{self._count:03d}-{name}"

    def _parts(self, n: int) -> list[slice]:
        return [slice(i, min(i + self.part_rows, n)) for i in range(0, n, self.part_rows)]

    def write(self, name: str, outputs: list[Output]) -> Artifact:
        path = self._path(name)
        draft = Draft(path)
        receipts = [draft.write(f"part-{i:05d}", out) for i, out in enumerate(outputs)]
        return draft.commit(path.name, receipts, {})

    def vectors(self, rows: np.ndarray) -> Artifact:
        facts = {"dim": rows.shape[1]}
        return self.write(
            "vectors",
            [Output(len(rows[at]), {"npy": rows[at]}, facts) for at in self._parts(len(rows))],
        )

    def samples(self, n: int, splits: list[str] | None = None, sha: list | None = None) -> Artifact:
        table = pa.table(
            {
                "sample_id": np.arange(n),
                "split": pa.array(splits or ["train"] * n, pa.string()),
                "sha256": pa.array(sha or [None] * n, pa.string()),
            }
        )
        return self.write(
            "samples",
            [Output.of(table.slice(at.start, at.stop - at.start)) for at in self._parts(n)],
        )

    def groups(self, ids: np.ndarray) -> Artifact:
        return self.write("groups", [Output(len(ids), {"npy": ids.astype(np.int64)})])

    def run(self, stage: Stage, **inputs: Artifact) -> Artifact:
        return run_stage(stage, inputs, self._path(type(stage).__name__))


def gather(artifact: Artifact, suffix: str) -> np.ndarray:
    return np.concatenate([artifact.array(part, suffix) for part in artifact.parts])


def brute_force(
    query: np.ndarray,
    bank: np.ndarray,
    k: int,
    splits: list[str] | None = None,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """All similarities in float64, full sort by (-similarity, id): nothing shared with the code."""
    q, b = query.astype(np.float64), bank.astype(np.float64)
    sims = q @ b.T
    shut = np.eye(len(q), len(b), dtype=bool)
    if splits is not None:
        names = np.array(splits)
        shut |= names[:, None] != names[None, :]
    if groups is not None:
        shut |= groups[:, None] == groups[None, :]
    shut |= ~b.any(axis=1)[None, :] | ~q.any(axis=1)[:, None]
    ids, out = np.full((len(q), k), -1, np.int64), np.zeros((len(q), k))
    for row in range(len(q)):
        open_ids = np.flatnonzero(~shut[row])
        order = open_ids[np.lexsort((open_ids, -sims[row, open_ids]))][:k]
        ids[row, : len(order)], out[row, : len(order)] = order, sims[row, order]
    return ids, out


def assert_lists(
    ids: np.ndarray, sims: np.ndarray, truth: tuple[np.ndarray, np.ndarray], full: np.ndarray
) -> None:
    """Equal to the reference, except that similarities closer than 1e-6 may change places."""
    want_ids, want = truth
    assert ids.dtype == np.int64
    assert sims.dtype == np.float32
    np.testing.assert_array_equal(ids == -1, want_ids == -1)
    np.testing.assert_allclose(sims, want, atol=1e-6)
    assert (np.diff(sims, axis=1)[(ids != -1)[:, 1:]] <= 0).all()
    own = np.take_along_axis(full, np.maximum(ids, 0), 1)
    np.testing.assert_allclose(np.where(ids == -1, 0, own), want, atol=1e-6)
    for row in ids:
        taken = row[row != -1]
        assert len(np.unique(taken)) == len(taken)

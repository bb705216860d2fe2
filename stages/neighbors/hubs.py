"""How near a sample is to everything: what a corrected graph takes off its similarities.

A hub stands in very many lists because it is near to all queries, not because it is like them.
Two corrections; s is the cosine of a query x and a candidate y, and r the mean of the k largest
cosines that a sample has with the other space:

    csls   2 s - r(x) - r(y), k = 10       Conneau et al., Word Translation Without Parallel Data,
                                           2018, eq. 3
    nnn    s - alpha r(y), k = 128         Chowdhury et al., Nearest Neighbor Normalization
           alpha = 0.75                    Improves Multimodal Retrieval, 2024, eq. 1

r(x) and the factor 2 are the same for all candidates of a query, so both rank by s - w r(y), with
w = 1/2 or alpha: the inner product of [x, -1] and [y, w r(y)], one dimension more in any search.

Deviation: the papers count every pair; here a sample's own near-duplicate group is left out of r,
as it is left out of lists (a picture beside itself would say that all pictures are hubs).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.codes import encode
from ...manifests.errors import DataError
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows, widen
from ..base import Inputs, Resources, Runtime, Stage, Task, Worker, task_per_part
from .exact import BLOCK_ROWS, Device, Gate, Pool, nearest, scan
from .folds import kept_samples
from .ivf import draw_rows
from .join import rows_with_vector
from .lifted import CSLS_WEIGHT
from .ranking import keep_lists

CORRECT_K = {"csls": 10, "nnn": 128}
"""Neighbours that r is the mean of, as published."""
REFERENCE = 65_536
TRAIN = "train"
_SPARE = 16


class Hubs(Stage):
    """Measures r of every sample, as a query and as a candidate.

    The reference that r is taken over is of split "train" only (of all samples where there is but
    one split), so nothing is learnt from what will be evaluated on. Above `reference` rows, that
    many are drawn; the k nearest of a tenth of a corpus are as if k were ten times as large.

    Inputs: `query`, `bank`, `samples`, `groups`, and `selected` where samples were selected: the
    others are in no reference.
    Files: "bank.npy" float32 [rows], r of each sample as a candidate, over queries; "query.npy"
    float32 [rows], r as a query, over candidates (zeros for nnn, which has none). 0 without a
    vector. Facts: by, k, weight, split, reference, seed, bank_reference and query_reference
    (rows).

    Memory of a worker: one part, one block of the reference, and 70 bytes a row of the bank.

    Attributes:
        graph: "<query space>><bank space>".
        by: the correction.
        k: neighbours that r is the mean of.
        alpha: weight of r in nnn.
        reference: rows that r is taken over, at most.
        seed: seed of the draw of these rows.
        device: "auto" takes a GPU when FAISS sees one.
    """

    graph: str
    by: Literal["csls", "nnn"]
    k: int = Field(ge=1)
    alpha: float = 0.75
    reference: int = Field(default=REFERENCE, ge=1)
    seed: int = 0
    device: Annotated[Device, Runtime()] = "auto"

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the query space."""
        return task_per_part(inputs["query"])

    def resources(self, inputs: Inputs) -> Resources:
        """One block of the reference, one part with its lists, some bytes a row."""
        dim = max(
            (int(r.facts["dim"]) for s in ("query", "bank") for r in inputs[s].receipts), default=1
        )
        part = max((receipt.rows for receipt in inputs["query"].receipts), default=0)
        lists = part * (8 * dim + 60 * (self.k + _SPARE))
        rows = 70 * int(inputs["bank"].starts()[-1])
        memory = (300 << 20) + 2 * lists + 10 * dim * BLOCK_ROWS + rows
        return Resources(wants_gpu=self.device == "auto", memory_bytes=memory)

    def open(self, inputs: Inputs) -> Worker:
        """Draw the references and return the measurement.

        Raises:
            DataError: several splits, and none is called train.
        """
        split, trained = self._train_rows(inputs["samples"])
        kept = kept_samples(inputs.get("selected"))
        trained = trained if kept is None else trained & kept
        groups = inputs["groups"].array(inputs["groups"].parts[0])
        sides = {"query": self._pool(inputs["query"], trained)}
        sides["bank"] = sides["query"]
        if inputs["query"].fingerprint != inputs["bank"].fingerprint:
            sides["bank"] = self._pool(inputs["bank"], trained)
        starts = dict(zip(inputs["query"].parts, inputs["query"].starts(), strict=False))
        facts: dict[str, Any] = {"by": self.by, "k": self.k, "split": split}
        facts.update(reference=self.reference, seed=self.seed)
        facts["weight"] = CSLS_WEIGHT if self.by == "csls" else self.alpha
        facts.update({f"{side}_reference": len(pool.ids) for side, pool in sides.items()})

        def run(task: Task) -> Output:
            first = int(starts[task.part])

            def measured(side: str, over: str) -> np.ndarray:
                vectors = widen(inputs[side].array(task.part))
                own = first + np.arange(len(vectors))
                return mean_nearest(vectors, own, sides[over], self.k, groups, self.device)

            bank = measured("bank", "query")
            query = np.zeros_like(bank)
            if self.by == "csls":
                query = bank if sides["bank"] is sides["query"] else measured("query", "bank")
            return Output(len(bank), {"bank.npy": bank, "query.npy": query}, facts)

        return run

    def _train_rows(self, samples: Artifact) -> tuple[str, np.ndarray]:
        """Return the name of the split that r is taken over, and bool [N], who is in it."""
        names: dict[str | None, int] = {}
        codes = [np.zeros(0, np.int64)]
        for table in samples.tables(["split"]):
            codes.append(encode(table["split"], lambda n: names.setdefault(n, len(names))))
        chosen = TRAIN if TRAIN in names or len(names) > 1 else next(iter(names), "")
        if chosen not in names and names:
            raise DataError(
                f"graph {self.graph}: the splits are {', '.join(map(repr, names))}, and a hub "
                f"correction learns from split {TRAIN!r} only. Name a split so, or leave out "
                f"neighbors.{self.graph}.correct."
            )
        return str(chosen), np.concatenate(codes) == names.get(chosen, 0)

    def _pool(self, vectors: Artifact, trained: np.ndarray) -> Pool:
        rows = Rows.of(vectors)
        valid = rows_with_vector(rows)
        chosen = draw_rows(valid[trained[valid]], self.reference, self.seed, "hubs/reference")
        return Pool(rows, chosen)


def mean_nearest(
    vectors: np.ndarray,
    own: np.ndarray,
    pool: Pool,
    k: int,
    groups: np.ndarray,
    device: Device = "cpu",
) -> np.ndarray:
    """Return the mean of the k largest cosines of each vector with a pool, own group left out.

    Where the pool has fewer, the mean is of those; 0 where it has none or the vector is zero.
    The same bits for any batch and number of threads: cosines are those of `pair_similarity`.

    Args:
        vectors: float32 [n, d], unit rows.
        own: int64 [n], their sample ids.
        pool: the reference.
        k: how many.
        groups: int64 [N].
        device: where products are made.

    Returns:
        float32 [n].
    """
    out = np.zeros(len(vectors), np.float32)
    asked = np.flatnonzero(vectors.any(axis=1))
    queries, gate = vectors[asked], groups[own[asked]]
    length = k + _SPARE
    ids, sims = nearest(queries, pool, length, device)
    ids, sims = keep_lists(ids, sims, (ids != NO_ID) & (groups[ids] != gate[:, None]), k)
    if length < len(pool.ids):
        short = np.flatnonzero(ids[:, -1] == NO_ID)
        ids[short], sims[short] = scan(queries[short], pool, k, gate=Gate(gate[short], groups))
    there = ids != NO_ID
    total = np.where(there, sims, 0).sum(axis=1, dtype=np.float64)
    out[asked] = total / np.maximum(there.sum(axis=1), 1)
    return out

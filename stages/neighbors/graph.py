"""The neighbour graph of two spaces: the join without near-duplicates, k long if it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...manifests.artifact import Artifact, Output
from ...manifests.schema import NO_ID
from ...manifests.vectors import widen
from ..base import Inputs, Resources, Stage, Task, Worker, task_per_part
from .exact import Gate, scan
from .folds import Folds, findable, fold, kept_samples, split_codes
from .index import equal_rows
from .join import search_resources
from .lifted import cosines, lift_queries, open_bank
from .ranking import keep_lists

Gated = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""(queries float32 [n, d], their ids int64 [n], k) -> exact lists behind every gate."""


class Graph(Stage):
    """Takes the own group out of the join's lists and cuts them to k.

    A row that is left with fewer than k neighbours is searched again, exactly, with its group
    excluded, until it has k or nothing else may be found. So a list shorter than k means that
    there are no more candidates.

    Inputs: `join`, `groups`, `samples`, `query`, `bank`, `index`; `hubs` for a corrected graph, and
    `selected` where samples were selected: the others have empty lists and stand in none.
    Files: "ids.npy" int64 [rows, k] by falling (corrected) similarity, ties by id, -1 fill;
    "sims.npy" float32 cosines, 0 where the id is -1. Facts: searched_again (rows), short_rows
    (rows that may ask and still have fewer than k).

    Attributes:
        graph: "<query space>><bank space>".
        k: neighbours of a row.
    """

    graph: str
    k: int = 64

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the join."""
        return task_per_part(inputs["join"])

    def resources(self, inputs: Inputs) -> Resources:
        """What a worker of the join occupies, on the CPU."""
        return search_resources(inputs, self.k, "cpu")

    def open(self, inputs: Inputs) -> Worker:
        """Open the groups; the bank only when a row must be searched again."""
        join, query = inputs["join"], inputs["query"]
        groups, kept = group_ids(inputs["groups"]), kept_samples(inputs.get("selected"))
        starts = dict(zip(query.parts, query.starts(), strict=False))
        exact = bool(inputs["index"].receipts[0].facts["exact"])
        opened: list[Gated] = []

        def again() -> Gated:
            if not opened:
                opened.append(open_gated(inputs, groups))
            return opened[0]

        def run(task: Task) -> Output:
            ids, sims = join.array(task.part, "ids.npy"), join.array(task.part, "sims.npy")
            own = int(starts[task.part]) + np.arange(len(ids))
            other = (ids != NO_ID) & (groups[ids] != groups[own, None])
            new_ids, new_sims = keep_lists(ids, sims, other, self.k)
            vectors = query.array(task.part)
            asked = vectors.any(axis=1) if kept is None else vectors.any(axis=1) & kept[own]
            # An exact list with an empty place holds all that there is to find.
            whole = (ids[:, -1] == NO_ID) & exact
            short = np.flatnonzero((new_ids[:, -1] == NO_ID) & asked & ~whole)
            if len(short):
                found = again()(widen(vectors[short]), own[short], self.k)
                new_ids[short], new_sims[short] = found
            left = int(((new_ids[:, -1] == NO_ID) & asked).sum())
            facts: dict[str, Any] = {"searched_again": len(short), "short_rows": left}
            return Output(len(ids), {"ids.npy": new_ids, "sims.npy": new_sims}, facts)

        return run


def group_ids(groups: Artifact) -> np.ndarray:
    """Memory-map int64 [N], the group of every sample."""
    return groups.array(groups.parts[0])


def open_gated(inputs: Inputs, groups: np.ndarray) -> Gated:
    """Open the bank for exact search behind every gate: split, selection, no self, no own group."""
    first = findable(equal_rows(inputs["index"]), kept_samples(inputs.get("selected")))
    folds = fold(open_bank(inputs), first, split_codes(inputs["samples"]), groups)

    def gated(queries: np.ndarray, own: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return gated_search(queries, own, k, folds, groups)

    return gated


def gated_search(
    queries: np.ndarray, own: np.ndarray, k: int, folds: Folds, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest rows of the own split that are not of the own group, exactly.

    Nearest by corrected similarity where the bank is lifted; the similarities are cosines anyway.

    Args:
        queries: float32 [n, d], unit rows.
        own: int64 [n], their sample ids.
        k: neighbours wanted.
        folds: the bank, folded by group too.
        groups: int64 [N].

    Returns:
        ids int64 [n, k], -1 fill; similarities float32 [n, k], 0 there.
    """
    ids = np.full((len(queries), k), NO_ID, np.int64)
    sims = np.zeros((len(queries), k), np.float32)
    codes = folds.splits[own]
    for code, pool in folds.pools.items():
        rows = np.flatnonzero(codes == code)
        gate = Gate(groups[own[rows]], groups)
        found = scan(lift_queries(queries[rows], pool.bank), pool, k + 1, gate=gate)
        ids[rows], scores = folds.unfold(*found, own[rows], k)
        sims[rows] = cosines(queries[rows], ids[rows], scores, pool.bank)
    return ids, sims

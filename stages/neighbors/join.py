"""For every row of one space, its nearest rows in another: more than are wanted in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

import faiss
import numpy as np

from ...manifests.artifact import Artifact, Output
from ...manifests.sampling import draw_rows
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows, check_comparable, widen
from ..base import Inputs, Resources, Runtime, Stage, Task, Worker, task_per_part
from . import ivf
from .exact import BLOCK_ROWS, Device, nearest
from .folds import Folds, findable, fold, kept_samples, split_codes
from .index import PROBE_QUERIES, aim, equal_rows
from .lifted import cosines, lift_queries, open_bank

Search = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""(queries float32 [n, d], split codes int32 [n], length) -> lists of folds."""


class Join(Stage):
    """Finds the `k + overfetch` nearest rows of the bank for each row of the query space.

    Only rows of the same split are found, never the sample itself, never a row without a vector.
    Near-duplicates are still in: `Groups` reads them here and `Graph` takes them out. What a
    selection dropped neither finds nor is found.

    Inputs: `query` and `bank` (vectors), `samples`, `index` (of the bank's space); `selected` where
    samples were selected; for a corrected graph also `hubs` and `groups`.
    Files: "ids.npy" int64 [rows, k + overfetch] by falling (corrected) similarity, ties by id, -1
    fill;
    "sims.npy" float32, 0 where the id is -1. Facts: exact, queries (rows with a vector), and for
    inverted files nprobe and probe_recall.

    Memory of a worker: one part of queries, one block of bank rows, and about 60 bytes a row of
    the bank; the vectors themselves are read through the page cache.

    Attributes:
        graph: "<query space>><bank space>".
        k: neighbours wanted in the end.
        overfetch: how many more are kept, for near-duplicates that will be taken out.
        device: "auto" takes a GPU when FAISS sees one; only for exact search.
    """

    graph: str
    k: int = 64
    overfetch: int = 16
    device: Annotated[Device, Runtime()] = "auto"

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task for each part of the query space."""
        return task_per_part(inputs["query"])

    def resources(self, inputs: Inputs) -> Resources:
        """One block of the bank, one part of queries with their lists, the ids of the bank."""
        return search_resources(inputs, self.k + self.overfetch, self.device)

    def open(self, inputs: Inputs) -> Worker:
        """Open the bank and return the search.

        Raises:
            DataError: the spaces differ in width, so nothing of one is near anything of the other.
        """
        check_widths(self.graph, inputs)
        query, samples = inputs["query"], inputs["samples"]
        splits = split_codes(samples)
        bank, kept = open_bank(inputs), kept_samples(inputs.get("selected"))
        # Equal vectors are one row for the search only where what is taken off is equal too.
        groups = inputs["groups"] if "hubs" in inputs else None
        apart = None if groups is None else groups.array(groups.parts[0])
        folds = fold(bank, findable(equal_rows(inputs["index"]), kept), splits, apart)
        search, facts = self._search(inputs, folds)
        starts = dict(zip(query.parts, query.starts(), strict=False))
        length = self.k + self.overfetch

        def run(task: Task) -> Output:
            vectors = widen(query.array(task.part))
            own = int(starts[task.part]) + np.arange(len(vectors))
            asks = vectors.any(axis=1) if kept is None else vectors.any(axis=1) & kept[own]
            asked = np.flatnonzero(asks)
            ids = np.full((len(vectors), length), NO_ID, np.int64)
            sims = np.zeros((len(vectors), length), np.float32)
            lifted = lift_queries(vectors[asked], bank)
            found = search(lifted, splits[own[asked]], length + 1)
            ids[asked], scores = folds.unfold(*found, own[asked], length)
            sims[asked] = cosines(vectors[asked], ids[asked], scores, bank)
            files = {"ids.npy": ids, "sims.npy": sims}
            return Output(len(ids), files, {**facts, "queries": len(asked)})

        return run

    def _search(self, inputs: Inputs, folds: Folds) -> tuple[Search, dict[str, Any]]:
        index = inputs["index"]
        if index.receipts[0].facts["exact"]:
            return exact_search(folds, self.device), {"exact": True}
        centroids = ivf.centroids_of(_map_index(index, index.parts[0]))
        probes, recall = self._probes(inputs, folds, centroids)
        found = {"exact": False, "nprobe": probes, "probe_recall": recall}
        return file_search(index, folds, probes), found

    def _probes(self, inputs: Inputs, folds: Folds, centroids: np.ndarray) -> tuple[int, float]:
        """Take the index's choice, or choose for other queries: of another space or selected."""
        facts = inputs["index"].receipts[0].facts
        kept = kept_samples(inputs.get("selected"))
        alike = inputs["query"].fingerprint == inputs["bank"].fingerprint
        if alike and kept is None and "hubs" not in inputs:
            return facts["nprobe"], facts["probe_recall"]
        rows = Rows.of(inputs["query"])
        valid = rows_with_vector(rows)
        valid = valid if kept is None else valid[kept[valid]]
        chosen = draw_rows(valid, PROBE_QUERIES, facts["seed"], "ivf/probe")
        probes, recall = ivf.choose_probes(
            lift_queries(widen(rows.take(chosen)), open_bank(inputs)),
            folds.splits[chosen],
            centroids,
            folds,
            aim(facts["min_recall"]),
            (1, self.k + 1) if alike else (0, self.k),
        )
        return probes, round(recall, 4)


def exact_search(folds: Folds, device: Device) -> Search:
    """Return the search that compares a query with all rows of its split."""

    def search(
        queries: np.ndarray, splits: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.full((len(queries), length), NO_ID, np.int64)
        sims = np.zeros((len(queries), length), np.float32)
        for code, pool in folds.pools.items():
            rows = np.flatnonzero(splits == code)
            ids[rows], sims[rows] = nearest(queries[rows], pool, length, device)
        return ids, sims

    return search


def file_search(index: Artifact, folds: Folds, probes: int) -> Search:
    """Return the search that looks into `probes` lists of an inverted file."""
    shards = [_map_index(index, part) for part in index.parts]
    centroids = ivf.centroids_of(shards[0])

    def search(
        queries: np.ndarray, splits: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        chosen = ivf.choose_lists(queries, centroids, probes)
        return ivf.search(queries, splits, chosen, shards, folds, length)

    return search


def check_widths(graph: str, inputs: Inputs) -> None:
    """Hold the widths of a graph's two spaces against each other.

    Raises:
        DataError: they differ.
    """
    widths = [inputs[n].receipts[0].facts["dim"] for n in ("query", "bank") if inputs[n].receipts]
    if widths:
        check_comparable(widths[0], widths[-1], f"neighbors.{graph}")


def search_resources(inputs: Inputs, length: int, device: Device) -> Resources:
    """Say what a worker that searches the bank occupies."""
    dim = int(inputs["bank"].receipts[0].facts["dim"]) if inputs["bank"].receipts else 1
    part = max((receipt.rows for receipt in inputs["query"].receipts), default=0)
    queries = part * (8 * dim + 60 * length)
    rows = 60 * int(inputs["bank"].starts()[-1])
    exact = inputs["index"].receipts[0].facts["exact"]
    gpu = bool(exact) and device == "auto" and hasattr(faiss, "knn_gpu")
    memory = (300 << 20) + queries + 10 * dim * BLOCK_ROWS + rows
    return Resources(wants_gpu=gpu, memory_bytes=memory)


def _map_index(index: Artifact, part: str) -> faiss.IndexIVF:
    flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
    return cast(faiss.IndexIVF, faiss.read_index(str(index.file(part, "faiss")), flags))


def rows_with_vector(rows: Rows) -> np.ndarray:
    """Return the rows that are not all zero, int64, ascending; reads all vectors in blocks."""
    found = [start + np.flatnonzero(block.any(axis=1)) for start, block in rows.blocks()]
    return np.concatenate(found) if found else np.zeros(0, np.int64)

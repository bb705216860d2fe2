"""The nearest rows by exact search, in blocks: memory does not grow with the bank.

One call holds the queries, one block of bank rows (32,768 * d float32) and the lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import faiss
import numpy as np

from ...manifests.schema import NO_ID
from ...manifests.vectors import widen
from .ranking import SLACK, Best, RowSource, keep_lists, similarities, sort_lists

Device = Literal["auto", "cpu"]
"""Where products are made: "auto" takes a GPU when FAISS sees one. Results do not depend on it."""

BLOCK_ROWS = 32_768
_SCAN_ROWS = 8_192
_SCAN_QUERIES = 256
_SPARE = 8


@dataclass(frozen=True)
class Pool:
    """The rows of a bank that may be found.

    Attributes:
        bank: the rows.
        ids: int64 [R], ascending.
    """

    bank: RowSource
    ids: np.ndarray
    _whole: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    def blocks(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ids int64 [<= rows] and vectors float32 [<= rows, d], in order.

        A pool that is one block is kept: it costs no more than reading it again.
        """
        if 0 < len(self.ids) <= rows:
            if not self._whole:
                self._whole.append(widen(self.bank.take(self.ids)))
            yield self.ids, self._whole[0]
            return
        for start in range(0, len(self.ids), rows):
            ids = self.ids[start : start + rows]
            yield ids, widen(self.bank.take(ids))


def nearest(
    queries: np.ndarray, pool: Pool, length: int, device: Device = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `length` nearest rows of a pool for each query, ties by id.

    FAISS finds a few more than asked. Rows whose cut it cannot decide (something left out may tie
    with the last one taken) are searched again by `scan`.

    Args:
        queries: float32 [n, d], unit rows.
        pool: what may be found.
        length: neighbours wanted; the lists are filled up with -1 when the pool is smaller.
        device: where the products are made.

    Returns:
        ids int64 [n, length], -1 fill; similarities float32 [n, length], 0 there.
    """
    count = len(queries)
    fetch = min(length + _SPARE, len(pool.ids))
    if count == 0 or fetch == 0:
        return np.full((count, length), NO_ID, np.int64), np.zeros((count, length), np.float32)
    products, ids = _fetch(queries, pool, fetch, device)
    floor = products.min(axis=1)
    rows = np.repeat(np.arange(count), fetch)
    sims = similarities(queries, rows, ids.reshape(-1), pool.bank).reshape(count, fetch)
    ids, sims = sort_lists(ids, sims)
    unsure = np.zeros(0, np.int64)
    if fetch < len(pool.ids):
        unsure = np.flatnonzero(sims[:, length - 1] <= floor + SLACK)
    ids, sims = keep_lists(ids, sims, ids != NO_ID, length)
    if len(unsure):
        ids[unsure], sims[unsure] = scan(queries[unsure], pool, length, floor=sims[unsure, -1])
    return ids, sims


@dataclass(frozen=True)
class Gate:
    """Keeps rows of a query's own group out of its list.

    Attributes:
        queries: int64 [n], the group of each query.
        rows: int64 [N], the group of each bank row.
    """

    queries: np.ndarray
    rows: np.ndarray


def scan(
    queries: np.ndarray,
    pool: Pool,
    length: int,
    floor: np.ndarray | None = None,
    gate: Gate | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Do what `nearest` does for any number of ties, and behind a gate; slower, for few queries.

    Args:
        queries: float32 [n, d], unit rows.
        pool: what may be found.
        length: neighbours wanted.
        floor: float32 [n], a similarity that at least `length` rows are known to reach.
        gate: what a query must not find.

    Returns:
        ids int64 [n, length], -1 fill; similarities float32 [n, length], 0 there.
    """
    best = Best(queries, pool.bank, length)
    if floor is not None:
        best.floor[:] = floor
    for ids, block in pool.blocks(_SCAN_ROWS):
        for start in range(0, len(queries), _SCAN_QUERIES):
            rows = np.arange(start, min(start + _SCAN_QUERIES, len(queries)))
            products = queries[rows] @ block.T
            if gate is not None:
                products[gate.queries[rows, None] == gate.rows[ids]] = -np.inf
            best.offer_block(rows, ids, products)
        best.settle()
    return best.lists()


def _fetch(
    queries: np.ndarray, pool: Pool, fetch: int, device: Device
) -> tuple[np.ndarray, np.ndarray]:
    """Return products float32 and ids int64 [n, fetch] of the best by product, unsorted."""
    resources = None
    if device == "auto" and hasattr(faiss, "knn_gpu") and faiss.get_num_gpus() > 0:
        resources = faiss.StandardGpuResources()
    found_products = np.zeros((len(queries), 0), np.float32)
    found_ids = np.zeros((len(queries), 0), np.int64)
    for ids, block in pool.blocks(BLOCK_ROWS):
        take = min(fetch, len(ids))
        metric = faiss.METRIC_INNER_PRODUCT
        if resources is None:
            products, places = faiss.knn(queries, block, take, metric=metric)
        else:
            products, places = faiss.knn_gpu(resources, queries, block, take, metric=metric)
        found_products = np.concatenate([found_products, products], axis=1)
        found_ids = np.concatenate([found_ids, ids[places]], axis=1)
        if found_ids.shape[1] > fetch:
            order = np.argpartition(-found_products, fetch - 1, axis=1)[:, :fetch]
            found_products = np.take_along_axis(found_products, order, 1)
            found_ids = np.take_along_axis(found_ids, order, 1)
    return found_products, found_ids

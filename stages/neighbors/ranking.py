"""Lists of neighbours whose bytes do not depend on threads, batches or the order of work.

A matrix product finds candidates; its last bits move with the number of threads and the size of a
batch. So every similarity that is kept is computed again by `pair_similarity`, lists are sorted by
(falling similarity, id), and whatever a product cannot tell apart at the cut is looked at too.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from ...manifests.schema import NO_ID
from ...manifests.vectors import pair_similarity, widen

SLACK = np.float32(2e-5)
"""More than the error of a product of unit vectors in float32, at both ends of a comparison."""

_GATHER_PAIRS = 1 << 14
_CACHED_VALUES = 1 << 18


class RowSource(Protocol):
    """Rows of vectors by number: `Rows` of an artifact, or `Held` ones."""

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return float16 or float32 [n, d]."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """A bank whose similarity is more than a cosine (`Lifted`)."""

    def compare(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return float32 [n] of pairs float32 [n, d], the same bits everywhere."""
        ...


class Held:
    """Rows that stand in memory (centroids)."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows at `ids`."""
        return self._values[ids]


def similarities(
    queries: np.ndarray, rows: np.ndarray, ids: np.ndarray, bank: RowSource
) -> np.ndarray:
    """Return the similarity of queries[rows[i]] and bank row ids[i], the same bits everywhere.

    A lifted bank's is the corrected one.

    Gathers 16,384 bank rows at a time.

    Args:
        queries: float32 [n, d].
        rows: int64 [p], rows of `queries`.
        ids: int64 [p], rows of `bank`.
        bank: where the other side stands.

    Returns:
        float32 [p].
    """
    compare = bank.compare if isinstance(bank, Comparing) else pair_similarity
    out = np.empty(len(rows), np.float32)
    step = max(1, _CACHED_VALUES // max(1, queries.shape[1]))
    for start in range(0, len(rows), _GATHER_PAIRS):
        halves = bank.take(ids[start : start + _GATHER_PAIRS])
        for low in range(0, len(halves), step):
            at = slice(start + low, start + min(low + step, len(halves)))
            out[at] = compare(queries[rows[at]], widen(halves[low : low + step]))
    return out


def merge_lists(
    rows: np.ndarray, ids: np.ndarray, sims: np.ndarray, count: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Turn flat candidates into one list a row: falling similarity, ties by id, cut to `length`.

    Args:
        rows: int64 [p], the list that each candidate belongs to, 0 <= row < count.
        ids: int64 [p].
        sims: float32 [p].
        count: lists.
        length: places of a list.

    Returns:
        ids int64 [count, length], -1 fill; similarities float32 [count, length], 0 there.
    """
    order, rank = _ranks(rows, sims, ids)
    kept = rank < length
    order, rank = order[kept], rank[kept]
    out_ids = np.full((count, length), NO_ID, np.int64)
    out_sims = np.zeros((count, length), np.float32)
    out_ids[rows[order], rank] = ids[order]
    out_sims[rows[order], rank] = sims[order]
    return out_ids, out_sims


def sort_lists(ids: np.ndarray, sims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row of lists [n, m] by falling similarity, ties by id, empty places last."""
    empty = ids == NO_ID
    by_id = np.argsort(ids, axis=1, kind="stable")
    keys = np.where(empty, np.float32(np.inf), -sims)
    order = np.argsort(np.take_along_axis(keys, by_id, 1), axis=1, kind="stable")
    order = np.take_along_axis(by_id, order, 1)
    sims = np.where(empty, np.float32(0), sims)
    return np.take_along_axis(ids, order, 1), np.take_along_axis(sims, order, 1)


def keep_lists(
    ids: np.ndarray, sims: np.ndarray, keep: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Close the gaps that places with `keep` False leave in sorted lists; cut or fill to `length`.

    Returns:
        ids int64 [n, length], -1 fill; similarities float32 [n, length], 0 there.
    """
    order = np.argsort(~keep, axis=1, kind="stable")[:, :length]
    kept = np.take_along_axis(keep, order, 1)
    out_ids = np.full((len(ids), length), NO_ID, np.int64)
    out_sims = np.zeros((len(ids), length), np.float32)
    width = order.shape[1]
    out_ids[:, :width] = np.where(kept, np.take_along_axis(ids, order, 1), NO_ID)
    out_sims[:, :width] = np.where(kept, np.take_along_axis(sims, order, 1), 0)
    return out_ids, out_sims


class Best:
    """The `length` best candidates of each query so far, ties by id, fed in any order.

    Holds n * length candidates and those offered since the last `settle` (which runs by itself
    after a million).
    """

    _LIMIT = 1 << 20

    def __init__(self, queries: np.ndarray, bank: RowSource, length: int) -> None:
        self._queries, self._bank, self._length = queries, bank, length
        self.floor = np.full(len(queries), -np.inf, np.float32)
        """float32 [n]: below it (less SLACK) nothing gets into a list any more."""
        none = np.zeros(0, np.int64)
        self._rows, self._ids, self._places = none, none, none
        self._sims = np.zeros(0, np.float32)
        self._pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._waiting = 0

    def offer(self, rows: np.ndarray, ids: np.ndarray, products: np.ndarray) -> None:
        """Offer candidates, each (row, id) once; `products` are what the matrix product said."""
        if len(rows):
            self._pending.append((rows, ids, products))
            self._waiting += len(rows)
        if self._waiting > self._LIMIT:
            self.settle()

    def offer_block(self, rows: np.ndarray, ids: np.ndarray, products: np.ndarray) -> None:
        """Offer a whole product [len(rows), len(ids)]; -inf where a gate is shut."""
        limit = self.floor[rows]
        blank = np.isneginf(limit)
        if blank.any() and products.shape[1] > self._length:
            cut = products.shape[1] - self._length
            limit[blank] = np.partition(products[blank], cut, axis=1)[:, cut]
        with np.errstate(invalid="ignore"):
            good = products >= np.maximum(limit - SLACK, np.float32(-4))[:, None]
        at = np.flatnonzero(good)
        row, column = np.divmod(at, products.shape[1])
        self.offer(rows[row], ids[column], products.reshape(-1)[at])

    def settle(self) -> None:
        """Take in what was offered and raise the floors."""
        if not self._waiting:
            return
        rows, ids, products = (np.concatenate(part) for part in zip(*self._pending, strict=True))
        self._pending, self._waiting = [], 0
        good = np.flatnonzero(products >= self.floor[rows] - SLACK)
        rows, ids, products = rows[good], ids[good], products[good]
        good = self._near_the_cut(rows, products)
        rows, ids = rows[good], ids[good]
        sims = similarities(self._queries, rows, ids, self._bank)
        rows, ids = np.concatenate([self._rows, rows]), np.concatenate([self._ids, ids])
        sims = np.concatenate([self._sims, sims])
        order, rank = _ranks(rows, sims, ids)
        last = order[rank == self._length - 1]
        kept = rank < self._length
        order, self._places = order[kept], rank[kept]
        self._rows, self._ids, self._sims = rows[order], ids[order], sims[order]
        self.floor[rows[last]] = np.maximum(self.floor[rows[last]], sims[last])

    def lists(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ids int64 [n, length] (-1 fill) and similarities float32 [n, length] (0 there)."""
        self.settle()
        shape = (len(self._queries), self._length)
        ids, sims = np.full(shape, NO_ID, np.int64), np.zeros(shape, np.float32)
        ids[self._rows, self._places] = self._ids
        sims[self._rows, self._places] = self._sims
        return ids, sims

    def _near_the_cut(self, rows: np.ndarray, products: np.ndarray) -> np.ndarray:
        if len(rows) < 1.3 * self._length * len(self._queries):
            return np.arange(len(rows))  # sorting these costs more than comparing them all
        order, rank = _ranks(rows, products)
        cut = np.full(len(self._queries), -np.inf, np.float32)
        last = order[rank == self._length - 1]
        cut[rows[last]] = products[last]
        return np.flatnonzero(products >= cut[rows] - SLACK)


def _ranks(
    rows: np.ndarray, sims: np.ndarray, ids: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order by (row, falling similarity, id) and the place of each within its row."""
    # One 64-bit key sorts ten times as fast as three keys; equal ones are rare, and sorted anew.
    bits = (np.float32(0) - sims).view(np.uint32)
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    key = rows.astype(np.uint64) << np.uint64(32) | rising
    order = np.argsort(key)
    ordered = key[order]
    if ids is not None and (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((ids, key))
    if not len(order):
        return order, order
    ordered = rows[order]
    new = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, np.arange(len(ordered)) - np.repeat(new, np.diff(np.append(new, len(ordered))))

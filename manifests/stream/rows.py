"""Rows of `pairs` as a stream walks them: split by split, and cluster by cluster within a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import StreamError

Allocate = Callable[[str, tuple[int, ...], Any], np.ndarray]
_BLOCK = 1 << 20


def sort_by_split(splits: np.ndarray, count: int, allocate: Allocate) -> None:
    """Make `split_starts` [count + 1] and `split_rows` [M] of the split of each row.

    Args:
        splits: int16 [M], code of the split of each row.
        count: number of splits.
        allocate: makes an array of a name, a shape and a type.
    """
    starts = allocate("split_starts", (count + 1,), np.int64)
    starts[0] = 0
    starts[1:] = np.cumsum(np.bincount(splits, minlength=count))
    rows = allocate("split_rows", splits.shape, np.int64)
    _sort(lambda span: splits[span].astype(np.int64), starts[:-1].copy(), rows)


def sort_by_cluster(
    splits: np.ndarray, count: int, clusters: np.ndarray, allocate: Allocate
) -> None:
    """Make `cluster_rows` [M], by split, then cluster, then row; and `cluster_starts`.

    `cluster_starts` int64 [C + 1] says where each cluster of each split starts in `cluster_rows`,
    and where the last one ends; rows without a cluster are the first of their split. Beside the
    arrays that are made it holds 8 bytes for each number of a cluster.

    Args:
        splits: int16 [M], code of the split of each row.
        count: number of splits.
        clusters: int32 [M], cluster of each row, -1 for none.
        allocate: makes an array of a name, a shape and a type.
    """
    width = int(clusters.max(initial=-1)) + 2

    def keys(span: slice) -> np.ndarray:
        return splits[span].astype(np.int64) * width + clusters[span] + 1

    sizes = np.zeros(count * width, np.int64)
    for first in range(0, len(splits), _BLOCK):
        found, times = np.unique(keys(slice(first, first + _BLOCK)), return_counts=True)
        sizes[found] += times
    ends = np.cumsum(sizes)
    used = np.flatnonzero(sizes)
    starts = allocate("cluster_starts", (len(used) + 1,), np.int64)
    starts[0], starts[1:] = 0, ends[used]
    rows = allocate("cluster_rows", splits.shape, np.int64)
    _sort(keys, ends - sizes, rows)


def cluster_codes(ids: np.ndarray) -> np.ndarray:
    """Return `cluster_id` as int32.

    Raises:
        StreamError: an id is no place in a list of clusters.
    """
    if ids.size and not -1 <= int(ids.min()) <= int(ids.max()) < 1 << 31:
        raise StreamError(
            f"cluster_id goes from {ids.min()} to {ids.max()}; -1 (none) to 2^31 - 1 is allowed."
        )
    return ids.astype(np.int32)


def _sort(keys: Callable[[slice], np.ndarray], cursor: np.ndarray, out: np.ndarray) -> None:
    """Put the rows 0..len(out)-1 into `out` by key, equal ones in their order: a counting sort.

    Args:
        keys: int64 keys of a span of rows.
        cursor: int64, where the rows of each key start in `out`; moved.
        out: int64 [M].
    """
    for first in range(0, len(out), _BLOCK):
        block = keys(slice(first, first + _BLOCK))
        order = np.argsort(block, kind="stable")
        found, starts, times = np.unique(block[order], return_index=True, return_counts=True)
        places = np.repeat(cursor[found] - starts, times) + np.arange(len(block))
        out[places] = first + order
        cursor[found] += times

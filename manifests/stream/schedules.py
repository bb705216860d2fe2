"""Mask groups that grow with training progress: the manifest's `mask_schedules`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..pairset import Pairset
from ..schema import NO_ID
from .rows import Allocate

Blocks = Callable[[list[str]], Iterator[tuple[int, pa.Table]]]
"""Reads columns of `samples`: (first row, table) block by block."""


def schedule_bytes(pairset: Pairset) -> int:
    """Return how many bytes the columns of the schedules take: 16 a sample and schedule."""
    return 16 * pairset.counts["samples"] * len(pairset.manifest.get("mask_schedules", ()))


def read_schedules(pairset: Pairset, blocks: Blocks, allocate: Allocate) -> None:
    """Read the columns of all schedules into arrays, if there are any.

    `schedule_group`, `schedule_rank` int64 [N, S], and `schedule_shares` float64 [S, 3]: share
    accepted at progress 0 and at 1, and the number of samples that it is a share of.
    """
    entries = pairset.manifest.get("mask_schedules", ())
    if not entries:
        return
    shape = (pairset.counts["samples"], len(entries))
    groups = allocate("schedule_group", shape, np.int64)
    ranks = allocate("schedule_rank", shape, np.int64)
    shares = allocate("schedule_shares", (len(entries), 3), np.float64)
    shares[:] = [[entry["from"], entry["to"], entry["ranked"]] for entry in entries]
    for place, entry in enumerate(entries):
        for start, table in blocks(list(dict.fromkeys([entry["column"], entry["accept"]]))):
            span = slice(start, start + table.num_rows)
            groups[span, place] = pc.fill_null(table[entry["column"]], NO_ID).to_numpy()
            ranks[span, place] = table[entry["accept"]].to_numpy()


def accepted_groups(
    arrays: Mapping[str, np.ndarray], ids: np.ndarray, progress: float
) -> np.ndarray:
    """Return the groups of samples that are accepted at a progress, int64 [n, S]; else -1.

    Two samples mask each other exactly if both are accepted and their groups are equal, so this
    is one more mask group, whose value -1 equals nothing. Accepted: rank < floor(r(p) * ranked),
    r(p) = from + (to - from) * p.
    """
    if "schedule_group" not in arrays:
        return np.zeros((len(ids), 0), np.int64)
    first, last, ranked = arrays["schedule_shares"].T
    limit = np.floor((first + (last - first) * progress) * ranked)
    # Generated pictures stand behind the samples and are in no group.
    sample = ids < len(arrays["schedule_rank"])
    rows = np.where(sample, ids, 0)
    ranks = np.where(sample[:, None], arrays["schedule_rank"][rows], NO_ID)
    return np.where((ranks >= 0) & (ranks < limit), arrays["schedule_group"][rows], NO_ID)

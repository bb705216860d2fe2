"""Who may be found: the rows of a bank by split, equal vectors folded into one.

A corpus may hold ten thousand copies of one placeholder picture. Folded, they are one row for the
search; unfolded afterwards, they stand in the lists in the order of their ids, as ties do.
Rows without a vector are in no fold: they are never found.

Memory: about 30 bytes a row of the bank, no vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.codes import encode
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows
from .exact import Pool
from .ranking import RowSource, keep_lists, merge_lists

_BLOCK = 8192


@dataclass(frozen=True)
class Folds:
    """Rows that may be found, folded.

    Attributes:
        pools: by split code, the smallest id of each fold.
        splits: int32 [N], the split code of every row.
        fold_of: int32 [N], the fold that a row stands for; -1 where it stands for none.
        members: int64 [V], the rows of all folds, one fold after the other, ids ascending.
        starts: int64 [folds + 1], where each fold starts in `members`.
    """

    pools: Mapping[int, Pool]
    splits: np.ndarray
    fold_of: np.ndarray
    members: np.ndarray
    starts: np.ndarray

    def unfold(
        self, ids: np.ndarray, sims: np.ndarray, own: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn lists of folds into lists of rows without the anchor itself.

        Args:
            ids: int64 [n, length + 1], rows that stand for folds, -1 fill, sorted.
            sims: float32 [n, length + 1].
            own: int64 [n], the id that must not stand in list i.
            length: places wanted.

        Returns:
            ids int64 [n, length], -1 fill; similarities float32 [n, length], 0 there.
        """
        folds = np.where(ids == NO_ID, NO_ID, self.fold_of[ids])
        sizes = np.where(folds == NO_ID, 0, np.diff(self.starts)[folds])
        if not (sizes > 1).any():
            return keep_lists(ids, sims, (sizes > 0) & (ids != own[:, None]), length)
        sizes = np.minimum(sizes, length + 1).reshape(-1)
        rows = np.repeat(np.repeat(np.arange(len(ids)), ids.shape[1]), sizes)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found = self.members[np.repeat(self.starts[folds.reshape(-1)], sizes) + within]
        values = np.repeat(sims.reshape(-1), sizes)
        other = found != own[rows]
        return merge_lists(rows[other], found[other], values[other], len(ids), length)


def fold(
    bank: RowSource, first: np.ndarray, splits: np.ndarray, groups: np.ndarray | None = None
) -> Folds:
    """Fold equal rows of one split (and, when given, of one group).

    Args:
        bank: the vectors.
        first: int64 [N], the first row with the same vector; -1 where there is no vector.
        splits: int32 [N], split codes.
        groups: int64 [N], near-duplicate groups, for searches that leave the own group out.
    """
    valid = np.flatnonzero(first >= 0)
    keys = [first[valid], splits[valid]]
    if groups is not None:
        keys.insert(1, groups[valid])
    order = np.lexsort(keys)
    members = valid[order]
    new = np.zeros(len(members), bool)
    new[:1] = True
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    at = np.flatnonzero(new)
    heads = members[at]
    fold_of = np.full(len(first), NO_ID, np.int32)
    fold_of[heads] = np.arange(len(heads), dtype=np.int32)
    pools = {
        int(code): Pool(bank, np.sort(heads[splits[heads] == code]))
        for code in np.unique(splits[heads])
    }
    return Folds(pools, splits, fold_of, members, np.append(at, len(members)))


def findable(first: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Return `first` with -1 where a selection dropped the sample: as if it had no vector.

    Args:
        first: int64 [N], see `fold`.
        kept: bool [N], or None where nothing was selected.
    """
    return first if kept is None else np.where(kept, first, NO_ID)


def kept_samples(selected: Artifact | None) -> np.ndarray | None:
    """Memory-map bool [N] of the artifact `selected`; None where nothing was selected."""
    return None if selected is None else selected.array(selected.parts[0])


def first_equal(rows: Rows) -> np.ndarray:
    """Return for each row the first row with the same vector; -1 where a row is all zero.

    Rows are compared by a 64-bit hash, then byte by byte; reads the vectors once, in blocks.

    Returns:
        int64 [N].
    """
    total = len(rows)
    hashes = np.zeros(total, np.uint64)
    filled = np.zeros(total, bool)
    for start, block in rows.blocks(_BLOCK):
        hashes[start : start + len(block)] = _hash(block)
        filled[start : start + len(block)] = block.any(axis=1)
    _, head, group = np.unique(hashes, return_index=True, return_inverse=True)
    first = head[group].astype(np.int64)
    copies = np.flatnonzero((first != np.arange(total)) & filled)
    for low in range(0, len(copies), _BLOCK):
        at = copies[low : low + _BLOCK]
        same = (rows.take(at) == rows.take(first[at])).all(axis=1)
        first[at[~same]] = at[~same]
    first[~filled] = NO_ID
    return first


def split_codes(samples: Artifact) -> np.ndarray:
    """Return int32 [N]: the split of each sample, numbered in order of first appearance."""
    codes: dict[str | None, int] = {}
    parts = []
    for table in samples.tables(["split"]):
        found = encode(table["split"], lambda name: codes.setdefault(name, len(codes)))
        parts.append(found.astype(np.int32))
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _hash(block: np.ndarray) -> np.ndarray:
    halves = np.ascontiguousarray(block).view(np.uint16)
    lacking = -halves.shape[1] % 4
    words = np.pad(halves, ((0, 0), (0, lacking))).view(np.uint64)
    places = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        mixed = words + places
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(29)
        mixed *= places | np.uint64(1)
        return mixed.sum(axis=1, dtype=np.uint64)

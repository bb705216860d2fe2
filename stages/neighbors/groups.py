"""Near-duplicate groups: samples that are one picture, and must never be contrasted."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...manifests.artifact import Artifact, Output
from ...manifests.schema import NO_ID
from ..base import Inputs, Resources, Stage, Task, Worker
from .folds import split_codes

IDENTICAL = np.float32(0.999)
"""Similarity from which two rows stay together however large their group is."""

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Left ends int64 [E], right ends int64 [E], similarities float32 [E]."""

_STEPS = 12


class Groups(Stage):
    """Groups samples with the same bytes, and samples whose images are almost the same.

    An edge is an equal sha256 (in any split), or a neighbour in the join with similarity >=
    `threshold` (same split only, as the join is). A group is a connected component of the edges;
    its id is its smallest sample_id.

    Components can chain: frames of a slow pan, each like the next, would be one group. So a
    component with more than max(64, max_share * N) samples is held to a stricter threshold, half
    way to 1, again and again, until its pieces are small enough or only identical pictures
    (similarity >= 0.999, or equal bytes) hold them together.

    Inputs: `samples`, and `join` (the image space with itself) when there is one.
    One part: "npy" int64 [N]. Facts: threshold, groups (of two or more), grouped_samples, largest,
    leaks (groups with samples in more than one split), tightened (components cut again).
    Memory: about 60 bytes a sample, and 12 an edge above the threshold.

    Attributes:
        threshold: similarity from which two images are one.
        max_share: share of the corpus above which a component is cut again.
    """

    threshold: float = Field(default=0.985, gt=0, le=1)
    max_share: float = Field(default=0.01, gt=0, le=1)

    def plan(self, inputs: Inputs) -> list[Task]:
        """Plan one task: groups are a global fact."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """The ids and the edges of all samples, at eight edges a sample."""
        return Resources(memory_bytes=(300 << 20) + 160 * int(inputs["samples"].starts()[-1]))

    def open(self, inputs: Inputs) -> Worker:
        """Return the grouping."""
        samples, join = inputs["samples"], inputs.get("join")

        def run(task: Task) -> Output:
            del task
            total = int(samples.starts()[-1])
            first = _first_with_bytes(samples, total)
            edges = _edges(join, self.threshold)
            largest = max(64, math.ceil(self.max_share * total))
            groups, tightened = components(first, edges, self.threshold, largest)
            facts = {"threshold": self.threshold, "tightened": tightened}
            facts.update(_facts(groups, split_codes(samples)))
            return Output(total, {"npy": groups}, facts)

        return run


def components(
    first: np.ndarray, edges: Edges, threshold: float, largest: int
) -> tuple[np.ndarray, int]:
    """Return the group of each sample, and how many components had to be cut again.

    Args:
        first: int64 [N], the first sample with the same bytes: such samples are never parted.
        edges: both ends int64 [E] and the similarity float32 [E] of pairs above the threshold.
        threshold: the similarity that all edges reach.
        largest: samples above which a component is cut again.

    Returns:
        int64 [N], the smallest sample_id of the group, and the number of components cut.
    """
    everyone = np.arange(len(first))
    copies = np.flatnonzero(first != everyone)
    left, right, sims = edges
    level = np.full(len(first), threshold, np.float32)
    tightened = np.zeros(len(first), bool)
    groups = everyone
    for step in range(_STEPS):
        kept = sims >= np.minimum(np.maximum(level[left], level[right]), IDENTICAL)
        rows = np.concatenate([copies, left[kept]])
        columns = np.concatenate([first[copies], right[kept]])
        groups = _smallest_of_component(rows, columns, len(first))
        sizes = np.bincount(groups, minlength=len(first))
        large = sizes[groups] > largest
        if not large.any() or float(level[large].min()) >= IDENTICAL:
            break
        if step == 0:
            tightened[groups[large & (level < IDENTICAL)]] = True
        level[large] = (1 + level[large]) / 2
    return groups, int(tightened.sum())


def _smallest_of_component(rows: np.ndarray, columns: np.ndarray, count: int) -> np.ndarray:
    ones = np.ones(len(rows), np.int8)
    matrix = coo_matrix((ones, (rows, columns)), shape=(count, count))
    labels = connected_components(matrix, directed=False)[1]
    # Labels are unique per component, so their first occurrence is the smallest id.
    smallest = np.unique(labels, return_index=True)[1]
    return smallest[labels].astype(np.int64)


def _edges(join: Artifact | None, threshold: float) -> Edges:
    parts = list(_part_edges(join, threshold)) if join is not None else []
    none = np.zeros(0, np.int64)
    if not parts:
        return none, none, np.zeros(0, np.float32)
    left, right, sims = (np.concatenate(column) for column in zip(*parts, strict=True))
    return left, right, sims


def _part_edges(join: Artifact, threshold: float) -> Iterator[Edges]:
    for part, start in zip(join.parts, join.starts(), strict=False):
        ids, sims = join.array(part, "ids.npy"), join.array(part, "sims.npy")
        rows, columns = np.nonzero((ids != NO_ID) & (sims >= np.float32(threshold)))
        yield rows + start, ids[rows, columns], sims[rows, columns]


def _first_with_bytes(samples: Artifact, total: int) -> np.ndarray:
    """Return int64 [N]: the first sample with the same sha256 (its first 128 bits)."""
    names, at = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.int64)]
    for table, start in zip(samples.tables(["sha256"]), samples.starts(), strict=False):
        column = table["sha256"]
        known = np.flatnonzero(column.is_valid().to_numpy())
        digests = b"".join(bytes.fromhex(text[:32]) for text in column.drop_null().to_pylist())
        names.append(np.frombuffer(digests, "<u8").reshape(-1, 2))
        at.append(known + start)
    ids = np.concatenate(at)
    _, head, back = np.unique(np.concatenate(names), axis=0, return_index=True, return_inverse=True)
    first = np.arange(total)
    first[ids] = ids[head[back.reshape(-1)]]
    return first


def _facts(groups: np.ndarray, splits: np.ndarray) -> dict[str, int]:
    sizes = np.bincount(groups, minlength=len(groups))
    several = np.flatnonzero(sizes > 1)
    pairs = np.unique(np.stack([groups, splits.astype(np.int64)], axis=1), axis=0)
    spans = np.bincount(pairs[:, 0], minlength=len(groups))
    return {
        "groups": len(several),
        "grouped_samples": int(sizes[several].sum()),
        "largest": int(sizes.max()) if len(sizes) else 0,
        "leaks": int((spans > 1).sum()),
    }

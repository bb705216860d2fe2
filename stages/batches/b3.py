"""`b3`: batches of groups that a teacher finds hard for each other (B3, 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ._links import Links, keys_of
from ._negatives import with_negatives
from ._partition import Partition
from .base import Batches, Planner, Pool


class B3(Planner):
    """Join rows that are hard for each other into groups of K, and random groups into batches.

    Thirukovalluru et al., "Breaking the Batch Barrier (B3) of Contrastive Learning via Smart Batch
    Mining", 2025 (arXiv 2505.11293), §3: a teacher ranks all rows for each row; the first p are
    dropped as likely false negatives and ranks [p, p + m) are kept; an edge stands where both
    ends rank each other so; METIS cuts the graph into groups of K; a batch is |B| / K random
    groups. The teacher is the space of `graph`. Fidelity: exact for that frozen teacher.

    Groups are grown and swapped by our own partitioner, as METIS gives no groups of equal size
    (`partition: metis` starts from its cut, and needs the extra `metis`). Rows of one
    near-duplicate group, and a row and its first p, never share a group unless nothing else is
    left (`forced`). They may share a batch by chance: the trainer's mask is for those.

    B3++: `negatives` draws h more for each row, Pr(j) proportional to how many rows of its batch
    have an edge to j (the paper: 5); they are published beside the plan and come with its batches.

    Traps: k of the graph must reach p + m. With a block, ranks are those of the whole corpus and
    edges those within the block.

    Memory: 24 bytes a row and rank below p + m, 16 bytes a row and drawn negative. Facts: edges,
    inside (edges within a group), inside_random (the same of random groups of K), grown (rows with
    an edge), forced, swaps, rows_short_of_negatives.
    """

    paper = "Thirukovalluru et al., Breaking the Batch Barrier (B3) of Contrastive Learning, 2025"
    row_bytes = 24 * 130 + 200

    graph: str = "image>image"
    """The teacher's neighbours."""
    skip: int = Field(default=30, ge=0)
    """p: the first ranks, dropped as likely false negatives (30 for retrieval, 70 for VQA)."""
    window: int = Field(default=100, ge=1)
    """m: the ranks after them that are kept."""
    group: int = Field(default=32, ge=2)
    """K: rows of a group."""
    partition: Literal["greedy", "metis"] = "greedy"
    """Who makes the first cut."""
    rounds: int = Field(default=2, ge=0)
    """Rounds of swaps."""
    negatives: int = Field(default=0, ge=0, le=64)
    """h: negatives that are drawn for each row of a batch, beside those of its pair."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size % self.group:
            raise ValueError(f"size {self.size} must be a multiple of group {self.group}")
        if self.partition == "metis" and find_spec("pymetis") is None:
            raise ValueError("partition metis needs pymetis: pip install 'curate-pairs[metis]'")
        return self

    @property
    def graph_depths(self) -> Mapping[str, int]:
        """The graph, as deep as the window reaches."""
        return {self.graph: self.skip + self.window}

    @property
    def drawn_negatives(self) -> int:
        """As `negatives` says."""
        return self.negatives

    def compose(self, pool: Pool) -> Batches:
        """Cut the graph into groups and draw groups into batches."""
        links = self._links(pool)
        made = Partition(links, self._barred(pool), pool.groups, self.group)
        degrees = links.degrees()
        shuffled = pool.shuffled("batches/b3")
        if self.partition == "metis":
            made.take(_metis(links, max(len(pool) // self.group, 1)))
        else:
            # From the rim inwards: rows with few links find no place any more at the end.
            made.grow(shuffled[np.argsort(degrees[shuffled], kind="stable")])
        made.fill(shuffled)
        swaps = made.improve(self.rounds)
        groups = np.array(made.members, np.int64).reshape(-1, self.group)
        lot = np.argsort(pool.draws("batches/b3/groups")[: len(groups), 0], kind="stable")
        many = len(groups) * self.group // self.size
        batches = groups[lot][: many * self.size // self.group].reshape(many, self.size)
        found = Batches(batches, self._facts(links, made, groups, shuffled, swaps))
        return with_negatives(found, pool, links, self.negatives) if self.negatives else found

    def _links(self, pool: Pool) -> Links:
        """Return the edges that stand in the window of both their ends."""
        depth = self.skip + self.window
        keys = [
            keys_of(rows, near, len(pool))
            for rows, near, _ in pool.neighbours(self.graph, self.skip, depth)
        ]
        joined = np.concatenate(keys) if keys else np.zeros(0, np.int64)
        joined.sort()
        return Links.of(joined[1:][joined[1:] == joined[:-1]], len(pool))

    def _barred(self, pool: Pool) -> Links:
        """Return the pairs of which one is among the first `skip` of the other."""
        keys = [
            keys_of(rows, near, len(pool))
            for rows, near, _ in pool.neighbours(self.graph, 0, self.skip)
        ]
        return Links.of(np.unique(np.concatenate([np.zeros(0, np.int64), *keys])), len(pool))

    def _facts(
        self, links: Links, made: Partition, groups: np.ndarray, order: np.ndarray, swaps: int
    ) -> dict[str, Any]:
        drawn = np.full(len(order), -1, np.int64)
        drawn[order[: groups.size]] = np.repeat(np.arange(len(groups)), self.group)
        return {
            "edges": links.count,
            "inside": links.inside(made.group),
            "inside_random": links.inside(drawn),
            "grown": int((links.degrees() > 0).sum()),
            "forced": len(made.forced),
            "swaps": swaps,
        }


def _metis(links: Links, parts: int) -> np.ndarray:
    """Return METIS's part of each place, int64 [n]."""
    import pymetis

    graph = pymetis.CSRAdjacency(links.starts.astype(np.int64), links.ends.astype(np.int64))
    found = pymetis.part_graph(parts, graph)
    return np.array(found.vertex_part, np.int64)

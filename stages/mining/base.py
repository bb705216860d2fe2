"""What a miner is: a pure function from a block of anchors to decisions with reasons.

One technique, one file: a frozen model (its settings) and one vectorised function. A miner sees a
`Block`, never a file or a process; it returns `Decisions`, padded [A, K] arrays in which every
candidate it looked at is taken or carries the code of the reason why not.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...manifests.schema import ATTRIBUTE_PREFIX, NO_ID, REASON_CODE, Reason, Role
from ...manifests.vectors import pair_similarity
from ..base import Component
from .base_assets import AssetLists, AssetReader
from .lookup import LabelSets, Pool, RowIndex, bisect, contains, draw_members, draw_on
from .prepare import Preparation, PreparedRows
from .sources import Clusters, Graph, SampleColumns, Vectors

__all__ = [
    "TAKEN",
    "AssetLists",
    "Block",
    "Clusters",
    "Decisions",
    "EdgeLists",
    "Graph",
    "LabelSets",
    "Miner",
    "Pool",
    "Preparation",
    "PreparedRows",
    "RowIndex",
    "SampleColumns",
    "Vectors",
    "bisect",
    "by_similarity",
    "column_of",
    "contains",
    "draw_members",
    "draw_on",
    "is_mutual",
    "keep_first",
    "measured",
    "refuse",
]

TAKEN = np.uint8(REASON_CODE[Reason.TAKEN])
_LOOKUPS = 65536


@dataclass(frozen=True)
class EdgeLists:
    """Edges already decided for the anchors of a block.

    Attributes:
        ids: int64 [A, E], -1 fill.
        similarities: float32 [A, E], NaN where unknown.
        weights: float32 [A, E].
    """

    ids: np.ndarray
    similarities: np.ndarray
    weights: np.ndarray

    @classmethod
    def none(cls, anchors: int) -> EdgeLists:
        """Return lists without any edge."""
        empty = np.zeros((anchors, 0), np.float32)
        return cls(np.zeros((anchors, 0), np.int64), empty, empty)


@dataclass(frozen=True)
class Block:
    """All that a miner may look at for one part of anchors.

    Attributes:
        anchors: int64 [A], ascending sample ids; samples that a selector dropped are left out.
        samples: columns of all samples.
        graphs: by name ("image>image").
        vectors: by space name.
        positives: taken positives of the anchors, of all positive miners (self_aug included: the
            anchor's own id).
        false_negatives: taken false negatives with action eliminate or attract.
        negatives: taken negatives of earlier miners.
        thresholds: calibrated similarity thresholds by name of graph (or score), then "attract" /
            "eliminate" (absent where nothing could be calibrated).
        assets: generated pictures of the anchors, by section of `generate`.
        prepared: what the miner asked for in `preparations`, by the same names.
        captions: all captions of each anchor, for miners that read them.
        twin_captions: all captions of each anchor's near-duplicates, likewise.
        seed: seed of the run; draws go through `manifests.fingerprint.draw_uniform` keyed by
            (seed, anchor, purpose).
        clusters: by name in the config.
    """

    anchors: np.ndarray
    samples: SampleColumns
    graphs: Mapping[str, Graph]
    vectors: Mapping[str, Vectors]
    positives: EdgeLists
    false_negatives: EdgeLists
    negatives: EdgeLists
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    assets: Mapping[str, AssetLists] = field(default_factory=dict)
    prepared: Mapping[str, PreparedRows] = field(default_factory=dict)
    seed: int = 0
    captions: Sequence[Sequence[str]] = ()
    twin_captions: Sequence[Sequence[str]] = ()
    clusters: Mapping[str, Clusters] = field(default_factory=dict)


@dataclass(frozen=True)
class Decisions:
    """What a miner decided; row i is anchor i, -1 in `ids` is an empty place.

    Attributes:
        ids: int64 [A, K] candidates in the order in which they were looked at.
        reasons: uint8 [A, K], position in `manifests.schema.REASONS`; 0 = taken.
        similarities: float32 [A, K], NaN where the miner has none.
        ranks: int32 [A, K] rank in the graph; for a miner without a graph, its order of choice.
        weights: float32 [A, K] or None (1 for all).
        positive_similarity: float32 [A] the similarity that margins were held against, or None.
        corrected: float32 [A, K] corrected similarities, or None.
        action: action of taken false negatives, else None.
        actions: text [A, K], the action of each, where they differ; `action` is None then.
        valid_from: float32 [A, K] training progress 0..1 from which an edge holds, or None (0).
        texts: object [A, K] of str or None: captions that the miner made, each at a place where
            `ids` is -1. None for miners that make none.
        assets: object [A, K] of str or None: keys of generated pictures, likewise.
        facts: small JSON facts about what the miner used, the same for every block.
    """

    ids: np.ndarray
    reasons: np.ndarray
    similarities: np.ndarray
    ranks: np.ndarray
    weights: np.ndarray | None = None
    positive_similarity: np.ndarray | None = None
    corrected: np.ndarray | None = None
    action: str | None = None
    actions: np.ndarray | None = None
    valid_from: np.ndarray | None = None
    texts: np.ndarray | None = None
    assets: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def there(self) -> np.ndarray:
        """Which places hold a candidate, bool [A, K]."""
        there = self.ids != NO_ID
        for made in (self.texts, self.assets):
            if made is not None:
                there = there | made.astype(bool)
        return there


class Miner(Component, AssetReader, abc.ABC):
    """Base class of all miners. A subclass is one technique."""

    role: ClassVar[Role]
    fidelity: ClassVar[str] = "exact"
    """exact, exact+hook, frozen-detector or surrogate (algorithms.md §0.5c)."""
    paper: ClassVar[str] = ""
    """Author, title, year."""
    allows_self: ClassVar[bool] = False
    """Whether an anchor may be taken for itself (as another view of it)."""
    makes_texts: ClassVar[bool] = False
    """Whether its edges are captions that it made, not samples."""
    reads_captions: ClassVar[bool] = False
    """Whether it needs `Block.captions` and `Block.twin_captions`."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of `samples` that the miner asks for."""
        return ()

    @property
    def number_columns(self) -> Sequence[str]:
        """Columns of `samples` that it asks for as numbers: numbers, or times in seconds."""
        return ()

    @property
    def keys(self) -> Sequence[str]:
        """Keys of samples that its settings (a file of people's choices) name."""
        return ()

    @property
    def memory_a_sample(self) -> int:
        """Bytes a sample that it holds beside the columns and their indexes."""
        return 0

    @property
    def measured_pairs(self) -> int:
        """Pairs of vectors of an anchor that it measures, where they are many."""
        return 0

    @property
    def graph_names(self) -> Sequence[str]:
        """Graphs that the miner reads."""
        return ()

    @property
    def space_names(self) -> Sequence[str]:
        """Spaces whose vectors the miner reads."""
        return ()

    @property
    def preparations(self) -> Mapping[str, Preparation]:
        """Tables that are made before the miner runs; a name says all that decides one."""
        return {}

    @property
    def cluster_names(self) -> Sequence[str]:
        """Sets of clusters that the miner reads."""
        return ()

    @property
    def cluster_level(self) -> int:
        """Level of them that it reads; 0 is the finest."""
        return 0

    @property
    def acceptance(self) -> tuple[float, float] | None:
        """Shares of samples accepted at the start and end of training, if clusters mask by them."""
        return None

    @property
    def wants_thresholds(self) -> bool:
        """Whether the miner reads calibrated thresholds of its graphs."""
        return False

    @property
    def threshold_names(self) -> Sequence[str]:
        """Graphs, or scores over views of them, whose calibrated thresholds the miner reads."""
        return self.graph_names if self.wants_thresholds else ()

    @property
    def needs_truth(self) -> bool:
        """Whether a graph that nothing can calibrate (no labels, no captions) is an error."""
        return False

    @property
    def is_scheduled(self) -> bool:
        """Whether its edges hold from a training progress of their own (`valid_from`)."""
        return False

    @property
    def edge_space(self) -> str:
        """What stands in column `space` of the miner's edges: its graph, or ""."""
        return self.graph_names[0] if self.graph_names else ""

    @property
    def capacity(self) -> int:
        """The number of places that its edges may need in a row; 0 if it only fills empty ones."""
        return 1

    @property
    def positive_capacity(self) -> int:
        """The number of places that it may need among the positives of a row."""
        return self.capacity if self.role is Role.POSITIVE else 0

    def documents(self) -> Mapping[str, str]:
        """Return texts that are published beside the tables, by suffix of their name.

        What people said is part of the result: without it nobody can check the edges.
        """
        return {}

    @abc.abstractmethod
    def mine(self, block: Block) -> Decisions:
        """Decide about every candidate of the block's anchors."""


def column_of(name: str) -> str:
    """Return the column of `samples` that a setting means: `camera` is attr_camera.

    `label`, `uid` and a column's own name (attr_camera) stay; "taxon/2" is attr_taxon/2.
    """
    known = name.partition("/")[0] in ("label", "uid") or name.startswith(ATTRIBUTE_PREFIX)
    return name if known else ATTRIBUTE_PREFIX + name


def refuse(reasons: np.ndarray, where: np.ndarray, reason: Reason) -> None:
    """Give a reason to the candidates of `where` that have none yet; in place."""
    reasons[where & (reasons == TAKEN)] = REASON_CODE[reason]


def keep_first(ids: np.ndarray, reasons: np.ndarray, count: int) -> np.ndarray:
    """Return `ids` with -1 after the `count`-th taken candidate of each row.

    What stands behind was never looked at, so it is neither taken nor refused.
    """
    taken = (reasons == TAKEN) & (ids != NO_ID)
    before = np.cumsum(taken, axis=1) - taken
    return np.where(before < count, ids, NO_ID)


def is_mutual(graph: Graph, anchors: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """Say for each of others [A, K] whether the anchor is among its k nearest; -1 never.

    Returns:
        bool [A, K].
    """
    rows, columns = np.nonzero(others != NO_ID)
    flat = others[rows, columns]
    found = np.zeros(others.shape, bool)
    for start in range(0, len(flat), _LOOKUPS):
        step = slice(start, start + _LOOKUPS)
        theirs = graph.rows(flat[step], k)[0]
        hit = (theirs == anchors[rows[step], None]).any(axis=1)
        found[rows[step], columns[step]] = hit
    return found


def measured(block: Block, space: str | None, ids: np.ndarray) -> np.ndarray:
    """Return the similarities of anchors and others, float32 [A, K], NaN where not measured.

    Args:
        block: with the vectors of both spaces.
        space: "QUERY>BANK", or None: nothing is measured.
        ids: int64 [A, K], -1 fill.
    """
    similarities = np.full(ids.shape, np.nan, np.float32)
    if space:
        query, bank = space.split(">")
        anchors = block.vectors[query].rows(block.anchors)
        for place in range(ids.shape[1]):
            there = np.flatnonzero(ids[:, place] != NO_ID)
            others = block.vectors[bank].rows(ids[there, place])
            similarities[there, place] = pair_similarity(anchors[there], others)
    return similarities


def by_similarity(ids: np.ndarray, similarities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows of [A, K] by falling similarity, ties by id, empty places last."""
    order = np.lexsort((ids, -similarities, ids == NO_ID))
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarities, order, axis=1)

"""The rule of `cluster`: a positive is of the anchor's cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Role
from ..clusters import clusters_at
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors: equal clusters, and as many as the cluster has (Caron 2018)."""
    del edges
    settings = described["settings"]
    own, other = of_edges(context, mine, settings["clusters"], settings["level"])
    taken = mine.is_role(Role.POSITIVE)
    wrong = taken & ((own == NO_ID) | (own != other))
    note(context, mine, "other-cluster", wrong, f"taken out of cluster {settings['clusters']}")
    _check_count(context, block, mine, settings)


def of_edges(
    context: Context, edges: Edges, name: str, level: int, column: str = "cluster_ids"
) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of a set of clusters for the anchors and the others of edges."""
    values = clusters_at(context, name, level, column)
    inside = context.in_range(edges.anchor) & context.in_range(edges.other)
    anchor, other = np.where(inside, edges.anchor, 0), np.where(inside, edges.other, 0)
    return np.where(inside, values[anchor], NO_ID), np.where(inside, values[other], NO_ID)


def _check_count(
    context: Context, block: PairBlock, mine: Edges, settings: Mapping[str, Any]
) -> None:
    """An anchor draws `count` of its cluster and split, or all that are not its duplicates."""
    ids = clusters_at(context, settings["clusters"], settings["level"])
    _, split = context.splits
    group = context.group_id
    key = f"cluster offers/{settings['clusters']}/{settings['level']}"
    if key not in context.held:
        home = ids * (int(split.max(initial=0)) + 1) + split
        twins = home * context.samples + group
        sizes = [np.unique(x, return_inverse=True, return_counts=True)[1:] for x in (home, twins)]
        left = sizes[0][1][sizes[0][0]] - sizes[1][1][sizes[1][0]]
        context.held[key] = np.where(ids == NO_ID, 0, left)
    anchors = block.anchor[context.in_range(block.anchor)]
    wanted = np.minimum(context.held[key][anchors], settings["count"])
    taken = mine.anchor[mine.is_role(Role.POSITIVE)]
    order = np.sort(taken)
    found = np.searchsorted(order, anchors, "right") - np.searchsorted(order, anchors, "left")
    text = f"not as many positives as cluster {settings['clusters']} offers"
    wrong = found != wanted
    context.notes.rows(
        "cluster-count", "edges", wrong, anchors, lambda at: f"anchor {anchors[at]}: {text}"
    )

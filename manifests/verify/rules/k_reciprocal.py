"""The rule of both miners named `k_reciprocal`: bounds for all, the whole algorithm for some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Reason, Role
from ..context import TOLERANCE, Context, drawn
from ..join import Edges
from ..lists import NeighborLists
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, note

_PROBES = 2
"""Anchors of a block that are re-ranked again; each reads some hundred lists."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Zhong et al. (2017): a distance up to the bound, as their sets give it."""
    del block, edges
    settings = described["settings"]
    distance = 1 - mine.corrected_similarity.astype(np.float64)
    blend = settings.get("blend", 0.0)
    most = (1 - blend) + blend * 4 / settings["farthest"]
    outside = ~((distance > -ROUNDING) & (distance < most + ROUNDING))
    note(context, mine, "distance", outside, f"a re-ranked distance is between 0 and {most:g}")
    bound = np.inf if settings["max_distance"] is None else settings["max_distance"]
    taken = mine.is_role(Role.POSITIVE) | mine.is_role(Role.FALSE_NEGATIVE)
    far = taken & (distance > bound + ROUNDING)
    note(context, mine, "distance", far, f"taken, though max_distance is {bound}")
    wrong = is_refused(mine, Reason.DISTANCE) & (distance < bound - ROUNDING)
    note(context, mine, "refusal", wrong, f"refused beyond {bound}, which it is not")
    _check_some(context, mine, distance, described)


def _check_some(
    context: Context, mine: Edges, distance: np.ndarray, described: Mapping[str, Any]
) -> None:
    settings, graph = described["settings"], described["space"]
    lists = context.lists(graph)
    anchors = np.unique(mine.anchor[context.in_range(mine.anchor) & context.in_range(mine.other)])
    if lists is None or context.vectors(graph.partition(">")[0]) is None or not len(anchors):
        return
    blend = settings.get("blend", 0.0)
    wrong = np.zeros(len(mine), bool)
    for anchor in anchors[drawn(len(anchors), _PROBES, f"k_reciprocal/{anchors[0]}")].tolist():
        sets = _Sets(context, lists, graph, settings)
        at = np.flatnonzero(mine.anchor == anchor)
        for row in at.tolist():
            jaccard = sets.distance(anchor, int(mine.other[row]))
            plain = max(2 - 2 * float(mine.similarity[row]), 0) / settings["farthest"]
            expected = (1 - blend) * jaccard + blend * plain
            wrong[row] = abs(expected - distance[row]) > TOLERANCE
        context.notes.looked_at("re-ranked pairs", len(at))
    note(context, mine, "distance", wrong, "k-reciprocal sets give another distance")


class _Sets:
    """The paper's sets, one sample at a time."""

    def __init__(
        self, context: Context, lists: NeighborLists, graph: str, settings: Mapping[str, Any]
    ) -> None:
        self._context, self._lists, self._graph = context, lists, graph
        self._k1, self._k2 = settings["k1"], settings["k2"]
        self._farthest = settings["farthest"]
        self._near: dict[int, list[int]] = {}
        self._encoded: dict[int, dict[int, float]] = {}

    def distance(self, one: int, other: int) -> float:
        """Return the Jaccard distance of two samples."""
        first, second = self._mean(one), self._mean(other)
        low = sum(min(first[j], second[j]) for j in first.keys() & second.keys())
        high = sum(first.values()) + sum(second.values()) - low
        return 1 - low / high

    def _list(self, sample: int) -> list[int]:
        if sample not in self._near:
            row = self._lists.rows(np.array([sample]))[0][0]
            self._near[sample] = [sample, *row[row != NO_ID].tolist()]
        return self._near[sample]

    def _mutual(self, sample: int, k: int) -> set[int]:
        return {j for j in self._list(sample)[: k + 1] if sample in self._list(j)[: k + 1]}

    def _encode(self, sample: int) -> dict[int, float]:
        if sample not in self._encoded:
            core = self._mutual(sample, self._k1)
            whole = set(core)
            for other in core:
                joining = self._mutual(other, round(self._k1 / 2))
                if 3 * len(joining & core) > 2 * len(joining):
                    whole |= joining
            members = np.array(sorted(whole))
            cosines = self._context.dots(self._graph, np.full(len(members), sample), members)
            exact = np.where(members == sample, 1, np.asarray(cosines, np.float64))
            weights = np.exp(-np.maximum(2 - 2 * exact, 0) / self._farthest)
            shares = (weights / weights.sum()).tolist()
            self._encoded[sample] = dict(zip(members.tolist(), shares, strict=True))
        return self._encoded[sample]

    def _mean(self, sample: int) -> dict[int, float]:
        near = self._list(sample)[: self._k2]
        total: dict[int, float] = {}
        for other in near:
            for member, weight in self._encode(other).items():
                total[member] = total.get(member, 0) + weight / len(near)
        return total

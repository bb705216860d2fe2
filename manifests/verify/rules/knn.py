"""The rule of `knn`: the first k of the list, mutual where asked, within bounds and clusters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Reason, Role
from ..context import Context, matrix
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, listed_at, note
from .base_templates import of_templates
from .cluster import of_edges

_PROBED = 256
"""Edges of a block whose other ends are looked up: their lists stand anywhere in the table."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Dwibedi et al. (2021), with the bounds of Banani et al. (2023)."""
    del block, edges
    settings = described["settings"]
    taken = mine.is_role(Role.POSITIVE)
    for name, reason, sign in (
        ("min_similarity", Reason.MIN_SIMILARITY, 1),
        ("max_similarity", Reason.MAX_SIMILARITY, -1),
    ):
        bound = settings.get(name)
        beyond = np.zeros(len(mine), bool)
        if bound is not None:
            beyond = sign * mine.similarity < sign * bound - ROUNDING
        text = f"taken, though {name} is {bound}"
        note(context, mine, name.replace("_", "-"), taken & beyond, text)
        clear = np.ones(len(mine), bool)
        if bound is not None:
            clear = sign * mine.similarity > sign * bound + ROUNDING
        wrong = is_refused(mine, reason) & clear
        note(context, mine, "refusal", wrong, f"refused by {name}, which it passes")
    if settings.get("within") is None:
        far = mine.rank >= settings["k"]
        note(context, mine, "rank-window", far, f"looked at behind the {settings['k']} nearest")
    else:
        _check_clusters(context, mine, settings)
    if settings.get("templates") is not None:
        _check_templates(context, mine, settings["templates"])
    else:
        refused = is_refused(mine, Reason.TEMPLATE)
        note(context, mine, "refusal", refused, "templates may be shared here")
    if settings.get("mutual"):
        _check_mutual(context, mine, settings["k"], described["space"])
    if settings.get("hub_cap") is not None:
        _check_hubs(context, mine, described)
    else:
        note(context, mine, "refusal", is_refused(mine, Reason.HUB_CAP), "there is no cap on hubs")


def _check_clusters(context: Context, mine: Edges, settings: Mapping[str, Any]) -> None:
    """The members of a constrained set share the anchor's cluster (Tejankar et al. 2022)."""
    own, other = of_edges(context, mine, settings["within"], settings["level"])
    same = (own == other) & (own != NO_ID)
    taken = mine.is_role(Role.POSITIVE) & ~same
    note(context, mine, "other-cluster", taken, f"taken out of cluster {settings['within']}")
    wrong = is_refused(mine, Reason.OTHER_CLUSTER) & same
    note(context, mine, "refusal", wrong, "refused as of another cluster, which is the anchor's")


def _check_mutual(context: Context, mine: Edges, k: int, graph: str) -> None:
    decided = mine.is_role(Role.POSITIVE) | is_refused(mine, Reason.MUTUALITY)
    decided &= context.in_range(mine.anchor) & context.in_range(mine.other)
    some = mine.where(np.flatnonzero(decided)[:_PROBED])
    found = listed_at(
        context, graph, dataclasses.replace(some, anchor=some.other, other=some.anchor)
    )
    if found is None:
        return
    mutual = (found[0] >= 0) & (found[0] < k)
    wrong = some.is_role(Role.POSITIVE) & ~mutual
    note(context, some, "mutual", wrong, f"taken, though the anchor is not among its {k} nearest")
    wrong = is_refused(some, Reason.MUTUALITY) & mutual
    note(context, some, "refusal", wrong, "refused as not mutual, which it is")


def _check_templates(context: Context, mine: Edges, limit: int) -> None:
    """Nothing is taken by a caption of a template that more than `limit` samples share."""
    shared = of_templates(context, limit)
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    either = shared[mine.anchor] | shared[mine.other]
    text = f"taken, though more than {limit} samples share a template of captions"
    note(context, mine, "template", mine.is_role(Role.POSITIVE) & either, text)
    wrong = is_refused(mine, Reason.TEMPLATE) & ~either
    note(context, mine, "refusal", wrong, "refused as of a template, which it is not")


def _check_hubs(context: Context, mine: Edges, described: Mapping[str, Any]) -> None:
    """Count by how many anchors each sample is taken, over all blocks, and how many list it."""
    name, settings = described["id"], described["settings"]
    counts = context.counted.setdefault(name, np.zeros(context.samples, np.int64))
    mine = mine.where(context.in_range(mine.other))
    inside = mine.is_role(Role.POSITIVE)
    np.add.at(counts, mine.other[inside], 1)
    cap = settings["hub_cap"]
    over = inside & (counts[mine.other] > cap)
    note(context, mine, "hub-cap", over, f"taken by more than {cap} anchors")
    listed = f"{name}/listed"
    if listed not in context.counted:
        context.counted[listed] = _listed(context, described["space"], settings["k"])
    few = is_refused(mine, Reason.HUB_CAP) & (context.counted[listed][mine.other] <= cap)
    note(context, mine, "refusal", few, f"refused as a hub, but at most {cap} anchors list it")


def _listed(context: Context, graph: str, k: int) -> np.ndarray:
    """Count by how many samples each is listed among their first k, int64 [N]."""
    counts = np.zeros(context.samples, np.int64)
    lists = context.lists(graph)
    width = lists.width if lists else 0
    for _, table in context.blocks(f"neighbors/{graph}", ["neighbor_ids"]) if lists else ():
        ids = matrix(table, "neighbor_ids", width)[:, :k]
        counts += np.bincount(ids[context.in_range(ids)], minlength=context.samples)
    return counts

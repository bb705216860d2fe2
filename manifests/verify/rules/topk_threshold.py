"""The rule of `topk_threshold`: the k nearest, by one view or several, above the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Reason, Role
from ...views import score_name, view_graphs
from ..context import TOLERANCE, Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, listed_at, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """False negative cancellation (Huynh et al. 2022, §3.2-3.3)."""
    del block, edges
    settings, graph = described["settings"], described["settings"]["space"]
    views = settings.get("views", 0)
    threshold = settings["threshold"]
    if threshold == "calibrated":
        score = score_name(graph, views, settings.get("aggregate", "max"))
        found = context.pairset.manifest["thresholds"].get(score, {})
        kind = "attract" if settings["action"] == "attract" else "eliminate"
        threshold = found.get(kind)
    taken = mine.is_role(Role.FALSE_NEGATIVE)
    if threshold is None:
        note(context, mine, "threshold", taken, "taken, though nothing was calibrated")
        return
    judged = mine.corrected_similarity if views else mine.similarity
    below = ~(judged >= threshold - ROUNDING)
    note(context, mine, "threshold", taken & below, f"taken below the threshold {threshold}")
    above = judged >= threshold + ROUNDING
    wrong = is_refused(mine, Reason.THRESHOLD) & above
    note(context, mine, "refusal", wrong, f"refused below {threshold}, which it is not")
    far = mine.rank >= settings["k"]
    note(context, mine, "rank-window", far, f"looked at behind the {settings['k']} nearest")
    if views:
        _check_views(context, mine, described, (graph, *view_graphs(graph, views)))


def _check_views(
    context: Context, mine: Edges, described: Mapping[str, Any], graphs: tuple[str, ...]
) -> None:
    """The score joins the similarities to all views; nothing better that one lists is missing."""
    settings = described["settings"]
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    found, near = [], np.zeros(len(mine), bool)
    for graph in graphs:
        dots, listed = context.dots(graph, mine.anchor, mine.other), listed_at(context, graph, mine)
        query = context.vectors(graph.split(">")[0])
        if dots is None or listed is None or query is None:
            context.notes.skipped[f"views of {described['id']}"] = f"{graph} is not readable"
            return
        there = query.rows(mine.anchor).any(axis=1)
        found.append(np.where(there, dots, np.nan))
        near |= (listed[0] >= 0) & (listed[0] < settings["k"])
    join = np.nanmax if settings["aggregate"] == "max" else np.nanmean
    score = join(np.stack(found), axis=0) if len(mine) else np.zeros(0)
    off = np.abs(score - mine.corrected_similarity) > TOLERANCE
    note(context, mine, "score", off, "the views give another score")
    note(context, mine, "score", ~near, f"none of the views lists it among its {settings['k']}")
    if settings["aggregate"] == "max":
        _check_best(context, mine, settings["k"], graphs)


def _check_best(context: Context, mine: Edges, k: int, graphs: tuple[str, ...]) -> None:
    """Nothing that a view lists beats the last of the k that were looked at."""
    anchors, first, counts = np.unique(mine.anchor, return_index=True, return_counts=True)
    lowest = np.full(len(anchors), np.inf)
    np.minimum.at(lowest, np.searchsorted(anchors, mine.anchor), mine.corrected_similarity)
    step = np.int64(context.samples + 1)
    known = np.sort(mine.anchor * step + mine.other)
    for graph in graphs:
        lists = context.lists(graph)
        if lists is None:
            return
        ids, similarities = (part[:, :k] for part in lists.rows(anchors))
        names = anchors[:, None] * step + ids
        missed = (ids != NO_ID) & ~np.isin(names, known)
        missed &= (similarities > lowest[:, None] + ROUNDING) | (counts < k)[:, None]
        at = first[missed.any(axis=1)]
        wrong = np.zeros(len(mine), bool)
        wrong[at] = True
        note(context, mine, "passed-over", wrong, f"{graph} lists something more similar")

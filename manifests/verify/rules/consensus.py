"""The rule of `consensus`: agreement recomputed from each space's vectors and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...fingerprint import draw_uint64
from ...schema import Reason, Role
from ..context import TOLERANCE, Context
from ..join import Edges
from ..pairs import PairBlock
from .base import is_refused, listed_at, note

_PROBES = 4096


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Morgado et al. (2021, §4.1): rho is the least (largest) of comparable similarities."""
    del block, edges
    settings = described["settings"]
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    near = np.zeros(len(mine), np.int64)
    scores, slack = [], TOLERANCE
    for graph in settings["spaces"]:
        listed = listed_at(context, graph, mine)
        found = context.dots(graph, mine.anchor, mine.other)
        if listed is None or found is None:
            context.notes.skipped[f"agreement of {described['id']}"] = f"{graph} is not readable"
            return
        rank, k = listed
        near += (rank >= 0) & (rank < settings["k"])
        if settings["normalise"] == "rank":
            scores.append(np.where(rank < 0, 0, 1 - rank / k))
        elif settings["normalise"] == "z":
            mean, deviation = _background(context, graph)
            scores.append((found - mean) / deviation)
            slack = max(slack, TOLERANCE / deviation)
        else:
            scores.append(found)
    rho = np.min(scores, axis=0) if settings["agree"] == "min" else np.max(scores, axis=0)
    known = mine.is_role(Role.POSITIVE)
    off = known & (np.abs(rho - mine.corrected_similarity) > slack)
    note(context, mine, "agreement", off, "the spaces give another agreement")
    few = known & (near < settings["votes"])
    text = f"near in fewer than {settings['votes']} spaces"
    note(context, mine, "agreement", few, text)
    wrong = is_refused(mine, Reason.AGREEMENT) & (near >= settings["votes"])
    note(context, mine, "refusal", wrong, "refused by votes, which it has")


def _background(context: Context, graph: str) -> tuple[float, float]:
    """Return mean and deviation over the declared random pairs."""
    drawn = draw_uint64(0, np.arange(_PROBES), "background", 2) % np.uint64(context.samples)
    left, right = drawn.astype(np.int64).T
    different = left != right
    left, right = left[different], right[different]
    found = context.dots(graph, left, right)
    query, _, bank = graph.partition(">")
    first, second = context.vectors(query), context.vectors(bank)
    if found is None or first is None or second is None:
        return 0.0, 1.0
    there = first.rows(left).any(axis=1) & second.rows(right).any(axis=1)
    values = found[there].astype(np.float64)
    deviation = float(values.std()) if len(values) else 0.0
    return (float(values.mean()) if len(values) else 0.0), deviation or 1.0

"""The rule of `hard`: positive-aware cuts, a window of ranks, the least similar positive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, attribute, check_least_positive, is_refused, note

_RATIO_FLOOR = 0.1
"""Below this similarity of the positive, a ratio is held as a margin (Moreira et al. 2024)."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors."""
    _check_cuts(context, mine, described)
    _check_attributes(context, mine, described["settings"].get("exclude_attributes") or ())
    check_least_positive(context, block, edges, mine, described)


def _check_cuts(context: Context, edges: Edges, described: Mapping[str, Any]) -> None:
    """Positive-aware cuts of Moreira et al. (2024, §3), in float64 as the miner applies them."""
    settings = described["settings"]
    similarity = edges.similarity.astype(np.float64)
    positive = edges.positive_similarity.astype(np.float64)
    taken = edges.is_role(Role.NEGATIVE)
    cuts: dict[Reason, np.ndarray] = {}
    if settings.get("max_ratio") is not None:
        below = (1 - settings["max_ratio"]) * np.maximum(positive, _RATIO_FLOOR)
        cuts[Reason.RATIO] = positive - below
    if settings.get("min_margin") is not None:
        cuts[Reason.MARGIN] = positive - settings["min_margin"]
    if settings.get("max_similarity") is not None:
        cuts[Reason.MAX_SIMILARITY] = np.full(len(edges), float(settings["max_similarity"]))
    for reason, cut in cuts.items():
        text = f"taken, though the rule {reason} of {described['id']} refuses it"
        note(context, edges, reason, taken & ~(similarity <= cut + ROUNDING), text)
    for reason in (Reason.RATIO, Reason.MARGIN, Reason.MAX_SIMILARITY):
        cut = cuts.get(reason, np.full(len(edges), np.inf))
        wrong = is_refused(edges, reason) & ~(similarity > cut - ROUNDING)
        note(context, edges, "refusal", wrong, f"refused by {reason}, which it passes")
    first, behind = settings["ranks"]
    outside = (edges.rank < first) | (edges.rank >= behind)
    note(context, edges, "rank-window", taken & outside, f"taken outside ranks {first}..{behind}")
    note(context, edges, "refusal", is_refused(edges, Reason.RANK) & ~outside, "refused by rank")


def _check_attributes(context: Context, edges: Edges, names: Sequence[str]) -> None:
    """What shares the anchor's value of an excluded attribute is refused, and nothing else is."""
    shared = np.zeros(len(edges), bool)
    inside = context.in_range(edges.anchor) & context.in_range(edges.other)
    anchor, other = np.where(inside, edges.anchor, 0), np.where(inside, edges.other, 0)
    for name in names:
        values = attribute(context, name)
        shared |= inside & (values[anchor] == values[other])
    taken = edges.is_role(Role.NEGATIVE)
    note(context, edges, "attribute", taken & shared, "taken, though an attribute is shared")
    wrong = is_refused(edges, Reason.SAME_ATTRIBUTE) & ~shared
    note(context, edges, "refusal", wrong, "refused for an attribute that it does not share")

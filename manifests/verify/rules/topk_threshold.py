"""The rule of `topk_threshold`: among the k nearest and above the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """False negative cancellation (Huynh et al. 2022, §3.2)."""
    del block, edges
    settings = described["settings"]
    threshold = settings["threshold"]
    if threshold == "calibrated":
        found = context.pairset.manifest["thresholds"].get(described["space"], {})
        kind = "attract" if settings["action"] == "attract" else "eliminate"
        threshold = found.get(kind)
    taken = mine.is_role(Role.FALSE_NEGATIVE)
    if threshold is None:
        note(context, mine, "threshold", taken, "taken, though nothing was calibrated")
        return
    below = mine.similarity < threshold - ROUNDING
    note(context, mine, "threshold", taken & below, f"taken below the threshold {threshold}")
    above = mine.similarity >= threshold + ROUNDING
    wrong = is_refused(mine, Reason.THRESHOLD) & above
    note(context, mine, "refusal", wrong, f"refused below {threshold}, which it is not")
    far = mine.rank >= settings["k"]
    note(context, mine, "rank-window", far, f"looked at behind the {settings['k']} nearest")

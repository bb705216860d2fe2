"""The rule of `zones`: the action of each candidate follows from its similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges, Names
from ..pairs import PairBlock
from .base import ROUNDING, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Byun et al. (2024, §3), with cosines for the matching score."""
    del edges
    settings = described["settings"]
    low, high = _bounds(context, described)
    taken = mine.is_role(Role.FALSE_NEGATIVE)
    wrong = taken & ~(mine.similarity >= low - ROUNDING)
    note(context, mine, "threshold", wrong, f"taken below the zone from {low}")
    wrong = is_refused(mine, Reason.THRESHOLD) & ~(mine.similarity < low + ROUNDING)
    note(context, mine, "refusal", wrong, f"refused below {low}, which it is not")
    names = Names(context, block)
    pair = names.pair(names.row(mine.anchor), mine.other)
    attracted = np.isin(pair, pair[mine.is_positive])
    above, below = mine.similarity >= high + ROUNDING, mine.similarity < high - ROUNDING
    wrong = taken & ((above & ~attracted) | (below & attracted))
    note(context, mine, "zone", wrong, f"attracted are those from {high} on, and no others")
    masks = settings["between"] == "eliminate"
    wrong = taken & below & ((mine.action > 0) != masks)
    note(context, mine, "zone", wrong, f"between the bounds the action is {settings['between']}")


def _bounds(context: Context, described: Mapping[str, Any]) -> tuple[float, float]:
    settings = described["settings"]
    found = context.pairset.manifest["thresholds"].get(described["space"], {})
    calibrated = {"low": found.get("eliminate"), "high": found.get("attract")}
    bounds = {
        name: calibrated[name] if settings[name] == "calibrated" else settings[name]
        for name in calibrated
    }
    high = np.inf if bounds["high"] is None else bounds["high"]
    low = high if bounds["low"] is None else bounds["low"]
    return low, max(low, high)

"""The rule of `attribute`: equal, near, weighed by how frequent a value is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges, Names
from ..pairs import PairBlock
from .base import SECONDS, attribute, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (algorithms.md §2.11)."""
    del edges
    settings = described["settings"]
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    taken = mine.is_role(Role.POSITIVE)
    for name in settings["equal"]:
        values = attribute(context, name)
        wrong = taken & ~(values[mine.anchor] == values[mine.other])
        note(context, mine, "attribute", wrong, f"taken, though {name} differs")
    if settings["near"] is not None:
        values = attribute(context, settings["near"])
        gap = np.abs(values[mine.anchor] - values[mine.other])
        wrong = taken & ~(gap <= settings["within"] + SECONDS)
        note(context, mine, "attribute", wrong, f"taken, though {settings['near']} is not near")
    if settings["balance"] is not None:
        _check_balance(context, block, mine, settings)


def _check_balance(
    context: Context, block: PairBlock, mine: Edges, settings: Mapping[str, Any]
) -> None:
    values = attribute(context, settings["balance"])
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    value = values[mine.other]
    missing = np.isnan(value)
    at = np.searchsorted(known, np.where(missing, known[0] if len(known) else 0, value))
    often = np.where(missing, 1, counts[at] if len(counts) else 1)
    taken = mine.is_role(Role.POSITIVE)
    wrong = taken & (np.abs(mine.weight - often ** -float(settings["gamma"])) > 1e-6)
    note(context, mine, "weight", wrong, "the weight is not count(value)^-gamma")
    most = settings["max_per_value"]
    if most is None or not len(known):
        return
    cell = Names(context, block).row(mine.anchor) * len(known) + at
    full = np.bincount(cell[taken & ~missing], minlength=int(cell.max(initial=0)) + 1)[cell]
    wrong = taken & ~missing & (full > most)
    note(context, mine, "value-cap", wrong, f"more than {most} positives of one value")
    wrong = is_refused(mine, Reason.VALUE_CAP) & (full < most)
    note(context, mine, "refusal", wrong, "refused as one too many of its value, which it is not")

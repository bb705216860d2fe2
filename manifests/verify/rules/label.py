"""The rule of both miners named `label`: positives of one label, false negatives of one label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Khosla et al. (2020), eq. 2: P(i) is what has the label of i."""
    del block, edges
    inside = context.in_range(mine.anchor) & context.in_range(mine.other)
    mine = mine.where(inside)
    first = described["settings"].get("by") == "label"
    same = context.labels.shares(mine.anchor, mine.other, first_only=first)
    taken = mine.is_role(Role.POSITIVE) | mine.is_role(Role.FALSE_NEGATIVE)
    note(context, mine, "label", taken & ~same, "taken, but they share no label")
    wrong = is_refused(mine, Reason.OTHER_LABEL) & same
    note(context, mine, "refusal", np.asarray(wrong), "refused by label, but they share one")

"""The rule of `guide`: nearer to the anchor than its least similar positive less the margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, check_least_positive, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Solatorio (2024, §3)."""
    settings = described["settings"]
    # Attracted false negatives became positives after the cut was made.
    roles = {item["id"]: item["role"] for item in context.pairset.manifest["miners"]}
    givers = [c for c, name in enumerate(context.kinds) if roles[name] == str(Role.POSITIVE)]
    given = edges.where(np.isin(edges.miner, givers))
    check_least_positive(context, block, given, mine, described)
    cut = mine.positive_similarity.astype(np.float64) - settings["margin"]
    wrong = mine.is_role(Role.FALSE_NEGATIVE) & ~(mine.similarity > cut - ROUNDING)
    note(context, mine, "guide", wrong, "taken, though it is not nearer than the positive")
    wrong = is_refused(mine, Reason.BELOW_POSITIVE) & ~(mine.similarity <= cut + ROUNDING)
    note(context, mine, "refusal", wrong, "refused below the positive, which it is not")
    far = mine.rank >= settings["k"]
    note(context, mine, "rank-window", far, f"looked at behind the {settings['k']} nearest")

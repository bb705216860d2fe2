"""The rule of `itm`: a window of ranks, and the draws repeated from the stored similarities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import check_draws, check_least_positive, check_window


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Li et al. (2021, §3.2), drawn without replacement by Gumbel's trick."""
    settings = described["settings"]
    check_window(context, mine, settings["ranks"], described)
    check_least_positive(context, block, edges, mine, described)
    scores = mine.similarity.astype(np.float64) / settings["t"]
    check_draws(context, mine, described, "itm", scores)

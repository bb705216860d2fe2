"""The rule of `simans`: a window of ranks, and the draws repeated from the stored similarities."""

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
    """Zhou et al. (2022, eq. 5), drawn without replacement by Gumbel's trick."""
    settings = described["settings"]
    check_window(context, mine, settings["ranks"], described)
    check_least_positive(context, block, edges, mine, described)
    off = mine.similarity.astype(np.float64) - mine.positive_similarity - settings["offset"]
    check_draws(context, mine, described, "simans", -settings["a"] * off**2)

"""The rule of `bcl`: weights follow from the place among the drawn negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import Grid, note

_CLOSE = 1e-4


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Liu and Wang (2024); the quadratic is solved here in its other form, 2u / (b + root)."""
    del block, edges
    settings = described["settings"]
    alpha, beta, plus = settings["alpha"], settings["beta"], settings["tau_plus"]
    grid = Grid.of(mine)
    count = grid.lay(np.ones(len(mine)), 0).sum(axis=1)[grid.row]
    u = (count - mine.rank - 0.5) / np.maximum(count, 1)
    a = (1 - 2 * alpha) * (1 - 2 * plus) + 1e-3
    b = 2 * (alpha * (1 - plus) + (1 - alpha) * plus)
    true = 2 * u / (b + np.sqrt(b * b + 4 * a * u))
    easier, harder = 2 * (1 - true), 2 * true
    weight = alpha * (1 - beta) * easier + (1 - alpha) * beta * harder
    weight /= alpha * (1 - beta) + (1 - alpha) * beta
    weight /= (1 - plus) * (alpha * easier + (1 - alpha) * harder) + plus * (
        (1 - alpha) * easier + alpha * harder
    )
    off = np.abs(mine.weight - weight) > _CLOSE * np.maximum(weight, 1)
    note(context, mine, "weight", off, "the place among the drawn gives another weight")
    many = (mine.reason == 0) & (mine.rank >= settings["count"])
    note(context, mine, "count", many, f"more than {settings['count']} were drawn")

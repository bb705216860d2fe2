"""The rule of `quantile`: each taken candidate stands at a quantile, from its time on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, Grid, check_window, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Places round((1 - q)(n - 1)) of the n allowed candidates, hardest first."""
    del block, edges
    settings = described["settings"]
    check_window(context, mine, settings["ranks"], described)
    grid = Grid.of(mine)
    taken = mine.reason == 0
    allowed = grid.lay(taken | is_refused(mine, Reason.NOT_CHOSEN), False)
    total = allowed.sum(axis=1)
    begins = np.full(grid.shape, np.inf)
    order = np.argsort(~allowed, axis=1, kind="stable")  # allowed ones first, in their order
    quantiles = settings["quantiles"]
    for step, quantile in enumerate(quantiles):
        later = {"none": 0, "rising": step, "falling": len(quantiles) - 1 - step}
        place = np.rint((1 - quantile) * (total - 1)).astype(np.int64)
        rows = np.flatnonzero(total > 0)
        at = order[rows, place[rows]]
        time = later[settings["schedule"]] / len(quantiles)
        begins[rows, at] = np.minimum(begins[rows, at], time)
    expected = grid.pick(begins)
    wrong = taken != np.isfinite(expected)
    wrong &= taken | is_refused(mine, Reason.NOT_CHOSEN)
    note(context, mine, "quantile", wrong, f"quantiles are {quantiles}")
    early = taken & ~wrong & (np.abs(mine.valid_from - expected) > ROUNDING)
    note(context, mine, "valid-from", early, f"schedule is {settings['schedule']}")

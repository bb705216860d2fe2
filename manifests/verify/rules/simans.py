"""The rule of `simans`: a window of ranks, and the draws repeated from the stored similarities."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...fingerprint import draw_uniform
from ...schema import Reason
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, Grid, check_least_positive, check_window, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Zhou et al. (2022, eq. 5), drawn without replacement by Gumbel's trick."""
    settings = described["settings"]
    check_window(context, mine, settings["ranks"], described)
    check_least_positive(context, block, edges, mine, described)
    if not len(mine):
        return
    grid = Grid.of(mine)
    uniform = _uniform(context, mine, described, int(mine.rank.max()) + 1)
    off = mine.similarity.astype(np.float64) - mine.positive_similarity - settings["offset"]
    key = -settings["a"] * off**2 - np.log(-np.log(np.maximum(uniform, 2.0**-60)))
    taken, left = mine.reason == 0, is_refused(mine, Reason.NOT_DRAWN)
    lowest = grid.lay(np.where(taken, key, np.inf), np.inf).min(axis=1)
    counts = grid.lay(taken, False).sum(axis=1)
    text = f"drawn before a candidate with a larger draw, or not {settings['count']} of them"
    wrong = left & ((key > lowest[grid.row] + ROUNDING) | (counts[grid.row] < settings["count"]))
    note(context, mine, "draw", wrong, text)


def _uniform(context: Context, mine: Edges, described: Mapping[str, Any], width: int) -> np.ndarray:
    """Repeat the uniform numbers of the run: keyed by seed, miner, round 0, anchor and rank."""
    text = f"{context.pairset.manifest['config']['seed']}/{described['id']}/0"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    anchors, which = np.unique(mine.anchor, return_inverse=True)
    return draw_uniform(seed, anchors, "simans", width)[which, mine.rank]

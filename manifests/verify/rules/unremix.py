"""The rule of `unremix`: three components from stored similarities and vectors, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import Grid, check_least_positive, check_window, is_refused, note

_CLOSE = 2e-3
"""How far importance may be off: the representativeness comes from sums in another order."""
_LEAST = 1e-3
_ANCHORS = 64


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Tabassum et al. (2022): importance, what it puts first, and weights of mean 1."""
    settings = described["settings"]
    check_window(context, mine, settings["ranks"], described)
    check_least_positive(context, block, edges, mine, described)
    grid = Grid.of(mine)
    taken = mine.reason == 0
    allowed = grid.lay(taken | is_refused(mine, Reason.NOT_CHOSEN), False)
    far = _far(context, settings["space"], grid.lay(mine.other, -1), allowed)
    if far is None or not len(mine):
        return
    similarity = grid.lay(mine.similarity, 0).astype(np.float64)
    positive = grid.lay(mine.positive_similarity, 0).astype(np.float64)
    power = np.where(allowed, np.exp((similarity - 1) / settings["t"]), 0)
    total = power.sum(axis=1, keepdims=True) + np.exp((positive - 1) / settings["t"])
    gradient = power / np.maximum(total, 1e-300) / settings["t"]
    parts = {"similarity": similarity, "uncertainty": gradient, "representativeness": far}
    importance = sum(settings[name] * _spread(part, allowed) for name, part in parts.items())
    chosen = grid.lay(taken, False)
    lowest = np.where(chosen, importance, np.inf).min(axis=1, keepdims=True)
    short = (chosen.sum(axis=1) < settings["count"])[:, None]
    wrong = allowed & ~chosen & ((importance > lowest + _CLOSE) | short)
    note(context, mine, "importance", grid.pick(wrong), "left out for something less important")
    raw = np.where(chosen, np.maximum(importance, _LEAST), 0)
    mean = raw.sum(axis=1, keepdims=True) / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    expected = raw / np.maximum(mean, _LEAST)
    off = np.abs(grid.lay(mine.weight, 1) - expected) > _CLOSE / np.maximum(mean, _LEAST) + _CLOSE
    note(context, mine, "weight", grid.pick(chosen & off), "the components give another weight")


def _spread(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    low = np.min(values, axis=1, keepdims=True, where=allowed, initial=np.inf)
    high = np.max(values, axis=1, keepdims=True, where=allowed, initial=-np.inf)
    span = high - low
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(allowed & (span > 0), (values - low) / span, 0)


def _far(
    context: Context, graph: str, others: np.ndarray, allowed: np.ndarray
) -> np.ndarray | None:
    """Return 1 - mean cosine to the other allowed candidates, float64; None without vectors."""
    vectors = context.vectors(graph.partition(">")[2])
    if vectors is None or not context.in_range(others[allowed]).all():
        return None
    out = np.zeros(others.shape)
    for start in range(0, len(others), _ANCHORS):
        step = slice(start, start + _ANCHORS)
        there = allowed[step]
        rows = vectors.rows(np.where(there, others[step], 0).reshape(-1)).astype(np.float64)
        each = rows.reshape(*there.shape, -1) * there[:, :, None]
        cosines = np.einsum("akd,ald->akl", each, each)
        own = np.einsum("akk->ak", cosines)
        count = np.maximum(there.sum(axis=1, keepdims=True) - 1, 1)
        out[step] = 1 - (cosines.sum(axis=2) - own) / count
    return out

"""The rule of `helip`: the pool drawn again, and the largest agreements of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...fingerprint import draw_uniform
from ..context import TOLERANCE, Context
from ..join import Edges
from ..pairs import PairBlock
from .base import note, seed_of

_PROBED = 24
"""Anchors of a block whose pool is drawn again."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Wang et al. (2025, §3.2): the hardest of a random pool, never the easiest."""
    settings = described["settings"]
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    agreed = _agreement(context, mine.anchor, mine.other, settings)
    if agreed is None:
        text = "its spaces are not readable"
        context.notes.skipped[f"agreement of {described['id']}"] = text
        return
    off = np.abs(agreed - mine.corrected_similarity) > TOLERANCE
    note(context, mine, "agreement", off, "the two spaces give another agreement")
    note(context, mine, "agreement", ~(mine.corrected_similarity > 0), "no agreement")
    many = mine.rank >= settings["count"]
    note(context, mine, "count", many, f"more than {settings['count']} were taken")
    step = max(len(block.anchor) // _PROBED, 1)
    for anchor in block.anchor[::step].tolist():
        own = mine.anchor == anchor
        best = _pool(context, edges, anchor, described)
        have = np.full(settings["count"], 0.0)
        have[: int(own.sum())] = mine.corrected_similarity[own][: settings["count"]]
        short = np.zeros(len(mine), bool)
        if (best[: settings["count"]] > have[: len(best)] + TOLERANCE).any():
            at = np.flatnonzero(own)[:1]
            short[at] = True
            if not len(at):
                message = f"anchor {anchor} has no hard pairs, though its pool holds some"
                context.notes.add("agreement", "edges", None, message)
        note(context, mine, "agreement", short, "its pool holds pairs that agree more")
        context.notes.looked_at("pools of hard pairs", 1)


def _agreement(
    context: Context, left: np.ndarray, right: np.ndarray, settings: Mapping[str, Any]
) -> np.ndarray | None:
    parts = [
        context.dots(f"{space}>{space}", left, right)
        for space in (settings["image"], settings["caption"])
    ]
    if parts[0] is None or parts[1] is None:
        return None
    return np.maximum(parts[0], 0) * np.maximum(parts[1], 0)


def _pool(context: Context, edges: Edges, anchor: int, described: Mapping[str, Any]) -> np.ndarray:
    """Return the largest agreements of the anchor's pool, falling, each sample once."""
    settings, group = described["settings"], context.group_id
    rows = _split_by_group(context, int(context.splits[1][anchor]))
    low = int(np.searchsorted(group[rows], group[anchor], side="left"))
    cut = int(np.searchsorted(group[rows], group[anchor], side="right")) - low
    if len(rows) == cut:
        return np.zeros(0)
    seed = seed_of(context, described)
    uniform = draw_uniform(seed, np.array([anchor]), "helip", settings["pool"])[0]
    at = (uniform * (len(rows) - cut)).astype(np.int64)
    drawn = np.unique(rows[at + np.where(at >= low, cut, 0)])
    own = edges.anchor == anchor
    never = edges.other[own & (edges.is_positive | edges.is_masked)]
    drawn = drawn[~np.isin(drawn, never)]
    agreed = _agreement(context, np.full(len(drawn), anchor), drawn, settings)
    return np.sort(np.zeros(0) if agreed is None else agreed[agreed > 0])[::-1]


def _split_by_group(context: Context, split: int) -> np.ndarray:
    """Return the samples of a split that were kept, by group and then by id, int64."""
    name = f"split {split} by group"
    if name not in context.held:
        rows = np.flatnonzero(context.kept & (context.splits[1] == split))
        context.held[name] = rows[np.lexsort((rows, context.group_id[rows]))]
    return context.held[name]

"""The rule of `sequence`: the nearest frames of the same camera within the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context, drawn
from ..join import Edges
from ..pairs import PairBlock
from .base import SECONDS, attribute, is_refused, note, place_of

_LOOKED_AT = 4
"""Anchors of a block for which the whole corpus is looked through."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Sequence positives (Pantazis et al. 2021): one location, |dt| <= window."""
    del edges
    settings = described["settings"]
    place, time = place_of(context, settings), attribute(context, settings["time"])
    inside = context.in_range(mine.anchor) & context.in_range(mine.other)
    anchor, other = np.where(inside, mine.anchor, 0), np.where(inside, mine.other, 0)
    taken, window = mine.is_role(Role.POSITIVE), settings["window_s"]
    gap = np.abs(time[other] - time[anchor])
    note(context, mine, "place", taken & ~(place[anchor] == place[other]), "another location")
    note(context, mine, "time", taken & ~(gap <= window + SECONDS), f"more than {window:g} s away")
    wrong = is_refused(mine, Reason.TIME_GAP) & ~(gap > window - SECONDS)
    note(context, mine, "refusal", wrong, f"refused beyond {window:g} s, within which it lies")
    _, split = context.splits
    for row in drawn(len(block.anchor), _LOOKED_AT, f"sequence/{block.first}"):
        own = int(block.anchor[row])
        here = mine.anchor == own
        if int((here & is_refused(mine, Reason.DUPLICATE)).sum()) >= settings["reach"]:
            continue
        mates = (place == place[own]) & (split == split[own])
        mates &= context.group_id != context.group_id[own]
        least = np.abs(time[mates] - time[own])
        nearest = float(np.nanmin(np.append(least, np.inf)))
        ours = float(np.min(np.append(gap[here & taken], np.inf)))
        if nearest <= window - SECONDS and ours > nearest + SECONDS:
            context.notes.add(
                "not-taken",
                "edges",
                None,
                f"anchor {own}: a frame {nearest:g} s away is not taken by {described['id']}",
            )

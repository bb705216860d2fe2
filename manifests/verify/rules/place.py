"""The rule of `place`: one place, another time (Ayush et al. 2021), and none left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Role
from ..context import Context, drawn
from ..join import Edges
from ..pairs import PairBlock
from .base import SECONDS, attribute, note

_EARTH = 6_371_008.8
_LOOKED_AT = 4
"""Anchors of a block for which the whole corpus is looked through."""
_DRAWS = 200
"""A list may be short behind so many refused near-duplicates."""


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors."""
    del edges
    settings = described["settings"]
    taken = mine.is_role(Role.POSITIVE)
    inside = context.in_range(mine.anchor) & context.in_range(mine.other)
    anchor, other = np.where(inside, mine.anchor, 0), np.where(inside, mine.other, 0)
    wrong = taken & ~_together(context, settings, anchor, other)
    note(context, mine, "place", wrong, "taken, but not of the anchor's place")
    wrong = taken & ~_other_time(context, settings, anchor, other, SECONDS)
    note(context, mine, "time", wrong, "taken, but not at another time that the settings allow")
    for row in drawn(len(block.anchor), _LOOKED_AT, f"place/{block.first}"):
        _check_whole(context, mine, settings, int(block.anchor[row]))


def _check_whole(context: Context, mine: Edges, settings: Mapping[str, Any], anchor: int) -> None:
    every = np.arange(context.samples)
    one = np.full(len(every), anchor)
    _, split = context.splits
    allowed = (split == split[anchor]) & (context.group_id != context.group_id[anchor])
    rows = every[allowed]
    one = one[: len(rows)]
    found = _together(context, settings, one, rows, -1e-6)
    found &= _other_time(context, settings, one, rows, -SECONDS)
    here = mine.anchor == anchor
    taken = int((here & mine.is_role(Role.POSITIVE)).sum())
    refused = int((here & mine.is_role(Role.REFUSED)).sum())
    if taken < min(int(settings["count"]), int(found.sum())) and refused < _DRAWS:
        context.notes.add(
            "not-taken",
            "edges",
            None,
            f"anchor {anchor} has {taken} positives of its place, but {int(found.sum())} are there",
        )


def _together(
    context: Context,
    settings: Mapping[str, Any],
    anchor: np.ndarray,
    other: np.ndarray,
    slack: float = 1e-6,
) -> np.ndarray:
    if not settings["coordinates"]:
        place = attribute(context, settings["location"])
        return place[anchor] == place[other]
    lat, lon = (np.radians(attribute(context, name)) for name in settings["coordinates"])
    half = np.sin((lat[other] - lat[anchor]) / 2) ** 2
    half += np.cos(lat[anchor]) * np.cos(lat[other]) * np.sin((lon[other] - lon[anchor]) / 2) ** 2
    metres = 2 * _EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return metres <= settings["metres"] * (1 + slack) + np.sign(slack) * 1e-3


def _other_time(
    context: Context,
    settings: Mapping[str, Any],
    anchor: np.ndarray,
    other: np.ndarray,
    slack: float,
) -> np.ndarray:
    if settings["time"] is None:
        return np.ones(len(anchor), bool)
    time = attribute(context, settings["time"])
    gap = np.abs(time[other] - time[anchor])
    most = np.inf if settings["max_gap_s"] is None else settings["max_gap_s"]
    return (gap > 0) & (gap >= settings["min_gap_s"] - slack) & (gap <= most + slack)

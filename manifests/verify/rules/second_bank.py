"""The rule of `second_bank`: the second bank's nearest, the most similar in the first taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import NO_ID, Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from .base import ROUNDING, Grid, is_refused, listed_at, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Navaneet et al. (2022, §3.2), CMSF-2Q."""
    del edges
    settings = described["settings"]
    mine = mine.where(context.in_range(mine.anchor) & context.in_range(mine.other))
    found = listed_at(context, settings["second"], mine)
    lists = context.lists(settings["second"])
    if found is None or lists is None or not len(mine):
        if len(mine):
            text = f"{settings['second']} is not readable"
            context.notes.skipped[f"second bank of {described['id']}"] = text
        return
    near = (found[0] >= 0) & (found[0] < settings["k2"])
    text = f"not among the {settings['k2']} nearest of {settings['second']}"
    note(context, mine, "second-bank", ~near, text)
    anchors, first, counts = np.unique(mine.anchor, return_index=True, return_counts=True)
    listed = lists.rows(anchors)[0][:, : settings["k2"]]
    wrong = np.zeros(len(mine), bool)
    wrong[first[counts < (listed != NO_ID).sum(axis=1)]] = True
    note(context, mine, "second-bank", wrong, "a neighbour of the second bank was not looked at")
    grid, taken = Grid.of(mine), mine.is_role(Role.POSITIVE)
    lowest = grid.lay(np.where(taken, mine.similarity, np.inf), np.inf).min(axis=1)[grid.row]
    many = grid.lay(taken, False).sum(axis=1)[grid.row]
    note(context, mine, "count", taken & (many > settings["k"]), f"more than {settings['k']} taken")
    wrong = is_refused(mine, Reason.NOT_CHOSEN) & (mine.similarity > lowest + ROUNDING)
    wrong |= is_refused(mine, Reason.NOT_CHOSEN) & (many < settings["k"])
    note(context, mine, "refusal", wrong, "not chosen, though it is as similar as one that is")

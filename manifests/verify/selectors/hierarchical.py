"""The rule of `hierarchical`: the total, and that each division is as even as sizes allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..clusters import clusters_at
from ..context import Context
from ._clusters import (
    SLACK,
    Members,
    check_first,
    check_nearness,
    check_total,
    kept_and_sizes,
    members_of,
)
from .base import Verdicts


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """Balanced sampling from hierarchical k-means (Vo et al. 2024, §3.4)."""
    settings = described["settings"]
    found = members_of(context, described, verdicts)
    if found is None:
        return
    members, store = found
    check_total(context, described, verdicts, members, settings["count"])
    levels = len(context.pairset.manifest["clusters"][settings["clusters"]]["levels"])
    for level in range(settings["level"], levels):
        _check_level(context, described, verdicts, members, (level, levels))
    if settings["pick"] == "closest":
        check_nearness(context, described, verdicts, members, store)
        check_first(context, described, verdicts, members, -verdicts.scores[members.ids])
        return
    kept, sizes = kept_and_sizes(verdicts, members)
    chance = (kept / np.maximum(sizes, 1))[members.clusters]
    wrong = ~(np.abs(verdicts.scores[members.ids] - chance) <= SLACK)
    text = "the chance is not the share of its cluster that is kept"
    verdicts.note(context, described, "selection-score", wrong, text, members.ids)


def _check_level(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    members: Members,
    of: tuple[int, int],
) -> None:
    """A cluster that could give more gives no less than its siblings' largest share but one."""
    level, levels = of
    name = described["settings"]["clusters"]
    ids = members.ids
    mine = clusters_at(context, name, level)[ids]
    above = clusters_at(context, name, level + 1)[ids] if level + 1 < levels else 0 * mine
    kept, sizes = kept_and_sizes(verdicts, Members(ids, mine))
    parents = np.zeros(len(sizes), np.int64)
    parents[mine] = above
    largest = np.zeros(int(parents.max(initial=0)) + 1, np.int64)
    np.maximum.at(largest, parents, kept)
    uneven = (kept < sizes) & (kept < largest[parents] - 1)
    for cluster in np.flatnonzero(uneven)[:1]:
        message = (
            f"{described['id']}: cluster {cluster} of level {level} has {sizes[cluster]} and gives "
            f"{kept[cluster]}, another one of its cluster above gives {largest[parents[cluster]]}"
        )
        context.notes.add("balance", "selection", None, message)

"""The rule of `cupid`: mean or largest cosine to the targets, quotas, the cut at the fraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...selection import Drop
from ..context import TOLERANCE, Context
from .base import Verdicts, check_scores, check_top, cosines, looked_at


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """CUPID (Zhou et al. 2021, §3.2)."""
    settings = described["settings"]
    over = verdicts.is_drop(Drop.OVER_QUOTA)
    if settings["quota"] is None:
        check_top(context, described, verdicts, settings["fraction"])
        verdicts.note(context, described, "quota", over, "over a quota, and there is none")
    else:
        # Those over a quota have had their chance: the cut is among the others.
        inside = Verdicts(
            verdicts.drops, np.where(over, np.nan, verdicts.scores), verdicts.witnesses
        )
        check_top(context, described, inside, settings["fraction"])
    taken: np.ndarray | None = None
    for ids in looked_at(context, described["id"]):
        found = cosines(context, described, ids)
        if found is None:
            return
        expected = found.mean(axis=1) if settings["by"] == "mean" else found.max(axis=1)
        check_scores(context, described, verdicts, ids, expected)
        # Where two targets are equally near, either may be the one whose place was taken.
        kept = np.flatnonzero(verdicts.kept[ids])
        clear = _margin(found[kept]) > 2 * TOLERANCE
        counts = np.bincount(found[kept][clear].argmax(axis=1), minlength=found.shape[1])
        taken = counts if taken is None else taken + counts
    if settings["quota"] is not None and taken is not None and (taken > settings["quota"]).any():
        message = f"{described['id']}: target {taken.argmax()} has {taken.max()} samples"
        context.notes.add("quota", "selection", None, message)


def _margin(found: np.ndarray) -> np.ndarray:
    """Return by how much the nearest target is nearer than the second, float32 [n]."""
    if found.shape[1] < 2:
        return np.full(len(found), np.inf)
    ranked = np.sort(found, axis=1)
    return ranked[:, -1] - ranked[:, -2]

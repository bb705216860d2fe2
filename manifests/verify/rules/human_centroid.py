"""The rule of `human_centroid`: unlabelled, and as near to the mean as the set's own members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from ..people import said
from .base import ROUNDING, is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors: the mean over all members at once (Ghose et al. 2023)."""
    del block, edges
    store = context.vectors(described["space"].split(">")[0])
    if store is None or not len(mine):
        return
    members: dict[str, set[int]] = {}
    sets: dict[int, set[str]] = {}
    for row in said(context, f"{described['id']}.jsonl", "key"):
        if row["key_id"] >= 0:
            members.setdefault(row["set"], set()).add(row["key_id"])
            sets.setdefault(row["key_id"], set()).add(row["set"])
    centroids, least = {}, {}
    for name, ids in members.items():
        vectors = store.rows(np.array(sorted(ids), np.int64)).astype(np.float64)
        centroids[name] = vectors.mean(axis=0) / max(np.linalg.norm(vectors.mean(axis=0)), 1e-30)
        least[name] = (vectors[vectors.any(axis=1)] @ centroids[name]).min(initial=2)
    others = store.rows(np.clip(mine.other, 0, context.samples - 1)).astype(np.float64)
    nearest = np.full(len(mine), -np.inf)
    selected = np.zeros(len(mine), bool)
    for at, (anchor, other) in enumerate(
        zip(mine.anchor.tolist(), mine.other.tolist(), strict=True)
    ):
        selected[at] = other in sets
        for name in sets.get(anchor, ()):
            nearest[at] = max(nearest[at], others[at] @ centroids[name] - least[name])
    taken = mine.is_role(Role.FALSE_NEGATIVE)
    note(context, mine, "selection", taken & selected, "people selected it: it is not unlabelled")
    far = taken & (nearest < -ROUNDING)
    note(context, mine, "centroid", far, "further from its set's centroid than all members")
    wrong = is_refused(mine, Reason.FAR_FROM_SET) & (nearest >= ROUNDING)
    note(context, mine, "refusal", wrong, "refused as far from the set, which it is not")
    wrong = is_refused(mine, Reason.SELECTED) & ~selected
    note(context, mine, "refusal", wrong, "refused as selected, which it is not")

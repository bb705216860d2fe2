"""The rule of `human`: members of one set, and none of them another's negative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from ..people import said
from .base import note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (Ghose et al. 2023)."""
    settings = described["settings"]
    sets: dict[int, set[str]] = {}
    sizes: dict[str, set[int]] = {}
    for row in said(context, f"{described['id']}.jsonl", "key"):
        if row["key_id"] >= 0:
            sets.setdefault(row["key_id"], set()).add(row["set"])
            sizes.setdefault(row["set"], set()).add(row["key_id"])
    empty: set[str] = set()
    own = mine.anchor == mine.other
    shared = _shared(sets, mine)
    labelled = np.array([anchor in sets for anchor in mine.anchor.tolist()], bool)
    taken = mine.is_role(Role.POSITIVE)
    wrong = taken & labelled & ~shared
    note(context, mine, "selection", wrong, "taken, though people put them into no common set")
    if settings["prior"] is None:
        note(context, mine, "selection", taken & ~labelled, "an unlabelled anchor")
    else:
        unknown = np.array([other not in sets for other in mine.other.tolist()], bool)
        wrong = taken & ~labelled & unknown & ~own
        note(context, mine, "selection", wrong, "taken, though people did not select it")
    small = {name for name, ids in sizes.items() if len(ids) <= settings["count"]}
    close = {key: names & small for key, names in sets.items()}
    contrasted = np.zeros(len(block.anchor), bool)
    listed = block.lists["negative"]["ids"]
    for at, (anchor, row) in enumerate(zip(block.anchor.tolist(), listed.tolist(), strict=True)):
        mine_too = close.get(anchor, empty)
        contrasted[at] = bool(mine_too) and any(mine_too & close.get(o, empty) for o in row)
    block.note(context, "selected-contrasted", contrasted, None, "a negative of the anchor's set")


def _shared(sets: Mapping[int, set[str]], edges: Edges) -> np.ndarray:
    none: set[str] = set()
    pairs = zip(edges.anchor.tolist(), edges.other.tolist(), strict=True)
    return np.array([bool(sets.get(a, none) & sets.get(b, none)) for a, b in pairs], bool)

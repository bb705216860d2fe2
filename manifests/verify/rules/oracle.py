"""The rules of the two `oracle` miners: the closure of yes, no as it was said, no contradiction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges
from ..pairs import PairBlock
from ..people import said
from .base import is_refused, note


def check(
    context: Context, block: PairBlock, edges: Edges, mine: Edges, described: Mapping[str, Any]
) -> None:
    """Re-check a block of anchors (Wang et al. 2022; algorithms.md §2.8)."""
    del block, edges
    positive = described["role"] == str(Role.POSITIVE)
    rows = said(context, f"{described['id']}.jsonl", "key_a", "key_b")
    rows = [row for row in rows if row["key_a_id"] >= 0 and row["key_b_id"] >= 0]
    parent: dict[int, int] = {}
    for row in rows:
        if row["answer"] == "yes":
            one, two = _root(parent, row["key_a_id"]), _root(parent, row["key_b_id"])
            parent[two] = one
    no = {frozenset((r["key_a_id"], r["key_b_id"])) for r in rows if r["answer"] == "no"}
    bad = set()
    for pair in no:
        one, *more = pair
        two = more[0] if more else one
        if one in parent and two in parent and _root(parent, one) == _root(parent, two):
            bad.add(_root(parent, one))
    pairs = list(zip(mine.anchor.tolist(), mine.other.tolist(), strict=True))
    joined = np.array(
        [a in parent and b in parent and _root(parent, a) == _root(parent, b) for a, b in pairs],
        bool,
    )
    torn = np.array([a in parent and _root(parent, a) in bad for a, _ in pairs], bool)
    taken = ~mine.is_role(Role.REFUSED)
    if positive:
        note(context, mine, "oracle", taken & ~joined, "taken, but no chain of yes joins them")
        wrong = taken & torn
    else:
        denied = np.array([frozenset(pair) in no for pair in pairs], bool)
        note(context, mine, "oracle", taken & ~denied, "a negative that nobody called different")
        wrong = taken & joined
    note(context, mine, "oracle", wrong, "taken, though answers contradict each other")
    refused = is_refused(mine, Reason.ORACLE_CONFLICT)
    note(context, mine, "refusal", refused & ~(torn & joined), "no answers contradict each other")


def _root(parent: dict[int, int], item: int) -> int:
    parent.setdefault(item, item)
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item

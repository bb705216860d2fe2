"""The rules of miners, re-checked: what was taken passes them, what was refused breaks them.

Written from the tables' columns and the settings in the manifest, not from the miners' code. The
rule of a miner stands in the module of its name and is found by that name:

    check(context, block, edges, mine, described)

with a block of anchors, all their edges, those of this miner, and its entry in the manifest. A
miner whose edges need no rule of its own beyond the common ones has no module.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ...schema import Reason, Role
from ..context import Context
from ..join import Edges, Names
from ..pairs import PairBlock
from .base import is_refused, note

Rule = Callable[[Context, PairBlock, Edges, Edges, Mapping[str, Any]], None]


def check_rules(context: Context, block: PairBlock, edges: Edges) -> None:
    """Re-check one block of anchors."""
    _check_membership(context, block, edges)
    _check_samples(context, edges)
    known = rules()
    for code, described in enumerate(context.pairset.manifest["miners"]):
        rule = known.get(described["miner"])
        if rule is not None:
            rule(context, block, edges, edges.where(edges.miner == code), described)


@cache
def rules() -> dict[str, Rule]:
    """Return the rule of each miner that has one, by the miner's name."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("base")]
    return {name: importlib.import_module(f"{__name__}.{name}").check for name in names}


def _check_membership(context: Context, block: PairBlock, edges: Edges) -> None:
    """What was refused as a positive (a false negative) has an edge that says so."""
    names = Names(context, block)
    pair = names.pair(names.row(edges.anchor), edges.other)
    positives, masked = pair[edges.is_positive], pair[edges.is_masked]
    for reason, known in ((Reason.POSITIVE, positives), (Reason.FALSE_NEGATIVE, masked)):
        wrong = is_refused(edges, reason) & ~np.isin(pair, known)
        note(context, edges, "refusal", wrong, f"refused as {reason}, but no edge says that it is")


def _check_samples(context: Context, edges: Edges) -> None:
    """What is taken stands in the anchor's split; negatives are no duplicates of the anchor."""
    inside = context.in_range(edges.anchor) & context.in_range(edges.other)
    anchor, other = np.where(inside, edges.anchor, 0), np.where(inside, edges.other, 0)
    _, split = context.splits
    taken = inside & ~edges.is_role(Role.REFUSED)
    mixed = taken & (split[anchor] != split[other])
    note(context, edges, "split-mixed", mixed, "another split")
    same = context.group_id[anchor] == context.group_id[other]
    wrong = taken & edges.is_role(Role.NEGATIVE) & same
    note(context, edges, "group-contrasted", wrong, "a negative that is a near-duplicate")
    for reason, true in (
        (Reason.SELF, anchor == other),
        (Reason.DUPLICATE, same),
        (Reason.SPLIT, split[anchor] != split[other]),
    ):
        wrong = inside & is_refused(edges, reason) & ~true
        note(context, edges, "refusal", wrong, f"refused as {reason}, which is not so")

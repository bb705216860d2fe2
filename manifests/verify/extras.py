"""Columns of `pairs` that not every pairset has: schedules, soft targets, captions, mixes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from ..schema import NO_ID, Role
from .assets import check_asset_places
from .context import Context, matrix
from .join import Edges, Names
from .pairs import PairBlock

_TOLERANCE = 1e-4
_RANGES = {
    ("mochi", 1): (0.0, 1.0),
    ("mochi", 2): (0.0, 0.5),
    ("sscl", 1): (0.0, 1.0),
    ("synco", 1): (0.0, 0.5),
    ("synco", 2): (1.0, 1.5),
    ("synco", 3): (0.0, 1.0),
    ("synco", 4): (0.0, 1.0),
    ("synco", 5): (0.0, 1.0),
    ("synco", 6): (0.0, 1.0),
}
"""Range of the coefficient of each type: Kalantidis 2020, Dong 2024, Giakoumoglou 2024."""
_TWO_PARENTS = frozenset({("mochi", 1), ("sscl", 1), ("synco", 3)})


def check_extras(context: Context, block: PairBlock, edges: Edges) -> None:
    """Check one block of pairs with all edges of its anchors."""
    counts = context.pairset.counts
    names = Names(context, block)
    if counts.get("V"):
        _check_schedules(context, block, names, edges)
    if counts.get("S"):
        _check_soft(context, block, names, edges, counts["S"])
    if counts.get("T"):
        _check_texts(context, block, names, edges)
    if counts.get("A"):
        check_asset_places(context, block, names, edges)
    if counts.get("Y"):
        _check_mixes(context, block, counts["Y"])


def _check_schedules(context: Context, block: PairBlock, names: Names, edges: Edges) -> None:
    """`*_valid_from` is that of the first edge to the same sample with that role."""
    lists = {role: block.lists[role]["ids"] for role in ("positive", "negative")}
    lists["false_negative"] = block.false_negatives
    for role, ids in lists.items():
        said = matrix(block.table, f"{role}_valid_from", ids.shape[1])
        wrong = (ids == NO_ID) & (said != 0)
        mine = edges.where(edges.is_role(Role(role)))
        known = names.pair(names.row(mine.anchor), mine.other)
        known, first = np.unique(known, return_index=True)
        rows, places = np.nonzero(ids != NO_ID)
        wanted = names.pair(rows, ids[rows, places])
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        found = known[at] == wanted if len(known) else np.zeros(len(rows), bool)
        value = np.where(found, mine.valid_from[first][at] if len(known) else 0, said[rows, places])
        wrong[rows, places] |= value != said[rows, places]
        block.note(context, "valid-from", wrong, ids, f"{role}_valid_from is not the edge's")


def _check_soft(context: Context, block: PairBlock, names: Names, edges: Edges, width: int) -> None:
    """Targets are positive, sum to at most 1, and each has its edge with this weight."""
    ids, shares = (matrix(block.table, f"soft_{what}", width) for what in ("ids", "targets"))
    empty = ids == NO_ID
    wrong = ~np.isfinite(shares) | (shares < 0) | (empty != (shares == 0))
    block.note(context, "weight", wrong, ids, "a soft target must be positive, 0 where empty")
    over = shares.sum(axis=1) > 1 + _TOLERANCE
    block.note(context, "weight-sum", over, None, "soft targets sum to more than 1")
    mine = edges.where(edges.is_role(Role.SOFT))
    known = names.pair(names.row(mine.anchor), mine.other)
    order = np.argsort(known, kind="stable")
    rows, places = np.nonzero(~empty)
    wanted = names.pair(rows, ids[rows, places])
    at = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
    missing = np.ones(len(rows), bool)
    if len(known):
        weight = mine.weight[order][at]
        missing = (known[order][at] != wanted) | (np.abs(weight - shares[rows, places]) > 1e-6)
    flagged = np.zeros(ids.shape, bool)
    flagged[rows, places] = missing
    block.note(context, "unexplained", flagged, ids, "a soft target without its edge")


def _check_texts(context: Context, block: PairBlock, names: Names, edges: Edges) -> None:
    """Every negative caption has its edge."""
    taken = edges.where(edges.is_role(Role.NEGATIVE) & (edges.other == NO_ID))
    known = set(zip(names.row(taken.anchor).tolist(), taken.text.tolist(), strict=True))
    column = block.table["negative_texts"].to_pylist()
    missing = np.array(
        [
            any(text and (row, text) not in known for text in texts)
            for row, texts in enumerate(column)
        ],
        bool,
    )
    block.note(context, "unexplained", missing, None, "a negative caption without an edge")
    gaps = np.array([any(b and not a for a, b in pairwise(texts)) for texts in column], bool)
    block.note(context, "padding", gaps, None, "an empty negative caption before a full one")


def _check_mixes(context: Context, block: PairBlock, width: int) -> None:
    """Parents may be contrasted with the anchor; coefficients are in the range of their type."""
    column = block.table["synthetic"]
    flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks])

    def field(name: str) -> np.ndarray:
        return flat.field(name).to_numpy(zero_copy_only=False).reshape(-1, width)

    a, b, kind, coef = (field(name) for name in ("a_id", "b_id", "type", "coef"))
    method = flat.field("method").dictionary_encode()
    words = method.dictionary.to_pylist()
    code = method.indices.to_numpy().reshape(-1, width)
    empty = a == NO_ID
    none = empty & ((b != NO_ID) | (coef != 0) | (kind != 0))
    block.note(context, "padding", none, a, "an empty recipe must hold nothing")
    for ids in (a, b):
        _check_parent(context, block, ids)
    low, high = np.zeros(a.shape), np.zeros(a.shape)
    known = np.zeros(a.shape, bool)
    for (name, number), bounds in _RANGES.items():
        mine = (kind == number) & (code == words.index(name)) if name in words else known & False
        low[mine], high[mine] = bounds
        known |= mine
        pair = (name, number) in _TWO_PARENTS
        wrong = mine & ~empty & ((b == NO_ID) == pair)
        block.note(context, "recipe", wrong, a, f"{name} {number}: number of parents")
        same = mine & ~empty & (a == b)
        block.note(context, "recipe", same, a, f"{name} {number}: both parents are one")
    block.note(context, "recipe", ~empty & ~known, a, "an unknown type of recipe")
    outside = ~empty & known & ((coef < low) | (coef > high))
    block.note(context, "recipe", outside, a, "a coefficient outside the range of its type")


def _check_parent(context: Context, block: PairBlock, ids: np.ndarray) -> None:
    there = ids != NO_ID
    outside = there & ~context.in_range(ids)
    block.note(context, "id-range", outside, ids, "a parent that is no sample")
    safe = np.where(there & ~outside, ids, 0)
    anchors = np.clip(block.anchor, 0, context.samples - 1)[:, None]
    _, split = context.splits
    group = context.group_id
    mixed = there & (split[safe] != split[anchors])
    block.note(context, "split-mixed", mixed, ids, "a parent of another split")
    same = there & (group[safe] == group[anchors])
    block.note(context, "group-contrasted", same, ids, "a parent that is a near-duplicate")
    never = np.concatenate([block.lists["positive"]["ids"], block.false_negatives], axis=1)
    listed = np.zeros(ids.shape, bool)
    for column in range(never.shape[1]):
        listed |= ids == never[:, column, None]
    text = "a parent that is a positive or false negative"
    block.note(context, "false-negative-contrasted", listed & there, ids, text)

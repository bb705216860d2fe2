"""`pairs`: dense ids, padding, weights, and who may never stand in a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..schema import NO_ID, PADDING_KIND
from .context import Context, matrix

_WEIGHT_TOLERANCE = 1e-4

ROLES = ("positive", "negative")


@dataclass(frozen=True)
class PairBlock:
    """Some rows of `pairs` as arrays; `lists["positive"]` holds ids, scores, weights, kinds.

    `table` is what they were read from, for the columns that not every pairset has.
    """

    first: int
    pair_id: np.ndarray
    anchor: np.ndarray
    lists: dict[str, dict[str, np.ndarray]]
    false_negatives: np.ndarray
    table: pa.Table

    @classmethod
    def of(cls, context: Context, first: int, table: pa.Table) -> PairBlock:
        """Read a block of the table."""
        counts = context.pairset.counts
        widths = {"positive": counts["P"], "negative": counts["K"]}
        lists = {
            role: {
                what: matrix(table, f"{role}_{what}", widths[role])
                for what in ("ids", "scores", "weights", "kinds")
            }
            for role in ROLES
        }
        return cls(
            first,
            table["pair_id"].to_numpy(),
            table["anchor_id"].to_numpy(),
            lists,
            matrix(table, "false_negative_ids", counts["F"]),
            table,
        )

    def note(
        self, context: Context, check: str, wrong: np.ndarray, ids: np.ndarray | None, text: str
    ) -> None:
        """Note wrong rows; `ids` shaped like `wrong` names the first wrong place."""

        def message(row: int) -> str:
            name = f"anchor {self.anchor[row]}"
            if ids is not None:
                name += f", id {ids[row, int(wrong[row].argmax())]}"
            return f"{name}: {text}"

        context.notes.rows(check, "pairs", wrong, self.first, message)


def check_pairs(context: Context) -> None:
    """Check every row of `pairs` against itself and against `samples`."""
    for first, table in context.blocks("pairs", pair_columns()):
        block = PairBlock.of(context, first, table)
        _check_ids(context, block)
        for role in ROLES:
            _check_places(context, block, role)
            _check_members(context, block, role)
        _check_false_negatives(context, block)
        _check_disjoint(context, block)
        _check_copies(context, block, table)


def pair_columns() -> list[str]:
    """Return the columns that a PairBlock and its checks read."""
    lists = [f"{role}_{what}" for role in ROLES for what in ("ids", "scores", "weights", "kinds")]
    tail = ["false_negative_ids", "weight", "group_id", "cluster_id", "split"]
    return ["pair_id", "anchor_id", *lists, *tail]


def _check_ids(context: Context, block: PairBlock) -> None:
    expected = np.arange(block.first, block.first + len(block.pair_id))
    context.notes.rows(
        "dense-ids",
        "pairs",
        block.pair_id != expected,
        block.first,
        lambda row: f"pair_id {block.pair_id[row]}, expected {block.first + row}",
    )
    falling = np.r_[False, block.anchor[1:] <= block.anchor[:-1]]
    block.note(context, "anchor-order", falling, None, "rows stand in anchor order, one an anchor")
    outside = ~context.in_range(block.anchor)
    block.note(context, "id-range", outside, None, "no such sample")


def _check_places(context: Context, block: PairBlock, role: str) -> None:
    """Padding last, -1 exactly where weight is 0 and the kind is -1; weights add up."""
    part = block.lists[role]
    ids, weights, kinds = part["ids"], part["weights"], part["kinds"]
    empty = ids == NO_ID
    block.note(
        context,
        "padding",
        empty[:, :-1] & ~empty[:, 1:],
        None,
        f"an empty {role} before a full one",
    )
    block.note(context, "id-range", ~empty & ~context.in_range(ids), ids, f"{role}: no such sample")
    wrong = ~np.isfinite(weights) | (weights < 0) | (empty != (weights == 0))
    block.note(context, "weight", wrong, ids, f"{role} weight must be positive, 0 where empty")
    wrong = (empty != (kinds == PADDING_KIND)) | (kinds >= len(context.kinds))
    block.note(context, "kind", wrong, ids, f"{role} kind is no position in kinds, or not -1")
    block.note(
        context,
        "score",
        ~np.isfinite(part["scores"]) | (empty & (part["scores"] != 0)),
        ids,
        f"{role} score must be finite, 0 where empty",
    )
    if role == "positive":
        off = np.abs(weights.sum(axis=1) - 1) > _WEIGHT_TOLERANCE
        block.note(
            context, "weight-sum", off & ~empty.all(axis=1), None, "positive weights must sum to 1"
        )


def _check_members(context: Context, block: PairBlock, role: str) -> None:
    """Never itself (but as another view), never a duplicate contrasted, never another split."""
    part = block.lists[role]
    ids, kinds = part["ids"], part["kinds"]
    there, anchors = _there(context, block, ids)
    own = there & (ids == anchors)
    if role == "positive":
        views = [code for code, name in enumerate(context.kinds) if _is_view(context, name)]
        block.note(context, "self-positive", own & ~np.isin(kinds, views), ids, "its own positive")
    else:
        block.note(context, "self-negative", own, ids, "its own negative")
        group = context.group_id
        same = there & ~own & (group[np.where(there, ids, 0)] == group[anchors])
        block.note(context, "group-contrasted", same, ids, "a near-duplicate is a negative")
    _check_split(context, block, role, ids)
    _check_once(context, block, role, ids)


def _there(context: Context, block: PairBlock, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which places can be looked up, and the anchors as a column (clipped into range)."""
    there = context.in_range(ids) & context.in_range(block.anchor)[:, None]
    return there, np.clip(block.anchor, 0, context.samples - 1)[:, None]


def _is_view(context: Context, miner: str) -> bool:
    described = next(m for m in context.pairset.manifest["miners"] if m["id"] == miner)
    return described["miner"] == "self_aug" or described.get("allows_self", False)


def _check_split(context: Context, block: PairBlock, role: str, ids: np.ndarray) -> None:
    there, anchors = _there(context, block, ids)
    _, split = context.splits
    wrong = there & (split[np.where(there, ids, 0)] != split[anchors])
    block.note(context, "split-mixed", wrong, ids, f"{role} of another split")


def _check_once(context: Context, block: PairBlock, role: str, ids: np.ndarray) -> None:
    ranked = np.sort(ids, axis=1)
    twice = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] != NO_ID)
    block.note(context, "twice", twice, ranked, f"stands twice among the {role}s")


def _check_false_negatives(context: Context, block: PairBlock) -> None:
    ids = block.false_negatives
    there = ids != NO_ID
    gap = ~there[:, :-1] & there[:, 1:]
    block.note(context, "padding", gap, None, "an empty false negative before a full one")
    outside = there & ~context.in_range(ids)
    block.note(context, "id-range", outside, ids, "false negative: no such sample")
    falling = there[:, 1:] & there[:, :-1] & (ids[:, 1:] <= ids[:, :-1])
    block.note(context, "ascending", falling, ids[:, 1:], "false_negative_ids must ascend")
    own = there & (ids == block.anchor[:, None])
    block.note(context, "self-false-negative", own, ids, "its own false negative")
    _check_split(context, block, "false negative", ids)


def _check_disjoint(context: Context, block: PairBlock) -> None:
    positives, negatives = (block.lists[role]["ids"] for role in ROLES)
    block.note(
        context,
        "positive-contrasted",
        _shared(negatives, positives),
        negatives,
        "a positive and a negative of one anchor",
    )
    block.note(
        context,
        "false-negative-contrasted",
        _shared(negatives, block.false_negatives),
        negatives,
        "a false negative and a negative of one anchor",
    )


def _shared(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    found = np.zeros(ids.shape, bool)
    for column in range(others.shape[1]):
        found |= ids == others[:, column, None]
    return found & (ids != NO_ID)


def _check_copies(context: Context, block: PairBlock, table: pa.Table) -> None:
    inside = context.in_range(block.anchor)
    anchors = np.where(inside, block.anchor, 0)
    group = table["group_id"].to_numpy()
    block.note(
        context,
        "group-copy",
        inside & (group != context.group_id[anchors]),
        None,
        "group_id is not that of the anchor",
    )
    names, split = context.splits
    said = np.array(table["split"].to_pylist(), object)
    own = np.array([*names, ""], object)[split[anchors]]
    block.note(context, "split-copy", inside & (said != own), None, "split is not the anchor's")
    weight = table["weight"].to_numpy()
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    block.note(context, "weight", wrong, None, "the weight of a pair must not be negative")

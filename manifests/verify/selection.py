"""`selection`: one verdict a sample and selector, and nothing that was dropped in any pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..codes import codes_of
from ..schema import NO_ID, Role
from ..selection import DROP_CODE, Drop
from .context import Context
from .edges import floats
from .pairs import ROLES, PairBlock, pair_columns
from .selectors import Verdicts, rules

TABLE = "selection"
_COLUMNS = ["sample_id", "selector", "score", "kept", "reason", "witness"]


def check_selection(context: Context) -> None:
    """Check the table and the rule of each selector, then that only kept samples are used.

    Holds 18 bytes a sample, the verdicts of one selector at a time, and what its rule says.
    """
    described = context.pairset.manifest.get(TABLE, [])
    if not described:
        return
    _check_rows(context, [item["id"] for item in described])
    dropped = np.zeros(context.samples, bool)
    known = rules()
    for place, item in enumerate(described):
        verdicts = _verdicts(context, place, len(described))
        _check_counts(context, item, verdicts, dropped)
        rule = known.get(item["selector"])
        if rule is not None:
            rule(context, item, verdicts)
        dropped |= ~verdicts.kept
    _check_pairs(context)
    _check_edges(context)


def _check_rows(context: Context, ids: list[str]) -> None:
    codes = {name: code for code, name in enumerate(ids)}
    words = {str(drop): code for drop, code in DROP_CODE.items()}
    total = 0
    for first, table in context.blocks(TABLE, _COLUMNS):
        rows = np.arange(first, first + table.num_rows)
        sample, selector = table["sample_id"].to_numpy(), codes_of(table["selector"], codes)
        wrong = (sample != rows // len(ids)) | (selector != rows % len(ids))
        _note(context, "order", wrong, first, "one row a sample and selector, in their order")
        drop = codes_of(table["reason"], words)
        _note(context, "word", drop < 0, first, "the reason is unknown")
        wrong = table["kept"].to_numpy() != (drop == 0)
        _note(context, "refusal", wrong, first, "kept with a reason, or dropped without one")
        score, witness = floats(table["score"]), _witness(table)
        _note(context, "score", np.isinf(score), first, "the score is not finite")
        wrong = (witness != NO_ID) & (~context.in_range(witness) | (witness == sample))
        _note(context, "id-range", wrong, first, "the witness is no other sample")
        total += table.num_rows
    if total != context.samples * len(ids):
        message = f"{total} rows, {context.samples} samples and {len(ids)} selectors"
        context.notes.add("selection-rows", TABLE, None, message)


def _note(context: Context, check: str, wrong: np.ndarray, first: int, text: str) -> None:
    context.notes.rows(check, TABLE, wrong, first, lambda _: text)


def _witness(table: pa.Table) -> np.ndarray:
    return pc.fill_null(table["witness"], NO_ID).to_numpy()


def _verdicts(context: Context, place: int, many: int) -> Verdicts:
    """Read the rows of one selector; they stand `many` apart."""
    parts = []
    words = {str(drop): code for drop, code in DROP_CODE.items()}
    for first, table in context.blocks(TABLE, _COLUMNS):
        at = pa.array(np.arange((place - first) % many, table.num_rows, many))
        rows = table.take(at)
        parts.append(
            (
                codes_of(rows["reason"], words).astype(np.int8),
                floats(rows["score"]).astype(np.float32),
                _witness(rows),
            )
        )
    drops, scores, witnesses = (np.concatenate(item) for item in zip(*parts, strict=True))
    return Verdicts(drops, scores, witnesses)


def _check_counts(
    context: Context, item: Mapping[str, Any], verdicts: Verdicts, dropped: np.ndarray
) -> None:
    kept = int(verdicts.kept.sum())
    said = (int(item["kept"]), int(item["dropped"]))
    if said != (kept, len(verdicts.kept) - kept):
        message = f"{item['id']} keeps {kept}, the manifest says {said[0]} kept, {said[1]} dropped"
        context.notes.add("count", TABLE, None, message)
    late = item["settings"]["among"] == "kept"
    wrong = verdicts.is_drop(Drop.EARLIER) != (dropped & late)
    verdicts.note(context, item, "earlier", wrong, "dropped before, or not, against the table")


def _check_pairs(context: Context) -> None:
    """No anchor, positive, negative or false negative was dropped."""
    kept = context.kept
    for first, table in context.blocks("pairs", pair_columns()):
        block = PairBlock.of(context, first, table)
        inside = context.in_range(block.anchor)
        anchor = np.where(inside, block.anchor, 0)
        block.note(context, "not-selected", inside & ~kept[anchor], None, "it was dropped")
        lists = [block.lists[role]["ids"] for role in ROLES]
        for ids in (*lists, block.false_negatives):
            there = context.in_range(ids)
            wrong = there & ~kept[np.where(there, ids, 0)]
            block.note(context, "not-selected", wrong, ids, "a dropped sample stands in the row")


def _check_edges(context: Context) -> None:
    """Dropped samples have no edges, and stand in those of others as refused only."""
    kept = context.kept
    for first, table in context.blocks("edges", ["anchor_id", "other_id", "role", "reason"]):
        anchor = table["anchor_id"].to_numpy()
        other = pc.fill_null(table["other_id"], NO_ID).to_numpy()
        inside = context.in_range(anchor)
        asks = inside & ~kept[np.where(inside, anchor, 0)]
        there = context.in_range(other)
        gone = there & ~kept[np.where(there, other, 0)]
        taken = codes_of(table["role"], {str(Role.REFUSED): 1}) != 1
        refused = codes_of(table["reason"], {"not_selected": 1}) == 1
        for wrong, text in (
            (asks, "the anchor was dropped"),
            (gone & taken, "a dropped sample is taken"),
            (refused & ~gone, "refused as not_selected, which is not so"),
        ):
            context.notes.rows(
                "not-selected",
                "edges",
                wrong,
                first,
                lambda row, text=text, anchor=anchor, other=other: (
                    f"anchor {anchor[row]}, other {other[row]}: {text}"
                ),
            )

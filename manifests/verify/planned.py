"""Negatives that plans drew: whose they are, what they never are, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ..schema import NO_ID, list_matrix
from .context import Context, drawn

_JUDGED = 16
"""Batches of which the graph is looked up."""

Plan = Mapping[str, Any]


def check_negatives(context: Context, name: str, entry: Plan, batches: np.ndarray) -> None:
    """Check the drawn negatives of a plan whose own ids are sound.

    Held: 16 bytes a pair.
    """
    if "negatives" not in entry:
        return
    negatives = context.pairset.plan_negatives(entry["name"])
    shape = (*batches.shape, entry["negatives"]["count"])
    if negatives is None or negatives.dtype != np.int64 or negatives.shape != shape:
        found = "nothing" if negatives is None else f"{negatives.dtype} {list(negatives.shape)}"
        message = f"int64 {list(shape)} is listed, {found} is there"
        context.notes.add("plan-negatives-shape", name, None, message)
        return
    if entry["repeats"]:
        message = "a plan that repeats pairs cannot say whose negatives they are"
        context.notes.add("plan-negatives-shape", name, None, message)
        return
    anchors = _check_rows(context, name, batches, negatives)
    if entry["planner"] == "b3":
        _check_hard(context, name, entry, anchors[batches], negatives)
    context.notes.looked_at("planned negatives", int((negatives != NO_ID).sum()))


def _check_rows(
    context: Context, name: str, batches: np.ndarray, negatives: np.ndarray
) -> np.ndarray:
    """Hold the negatives of each pair against the pair; return int64 [pairs], the anchors."""
    pairs, size = int(context.pairset.counts["pairs"]), batches.shape[1]
    slot = np.full(pairs, NO_ID, np.int64)
    slot[batches.reshape(-1)] = np.arange(batches.size)
    anchors = np.full(pairs, NO_ID, np.int64)
    columns = ["anchor_id", "positive_ids", "false_negative_ids"]
    for first, table in context.blocks("pairs", columns):
        rows = slice(first, first + table.num_rows)
        anchors[rows] = table["anchor_id"].to_numpy()
        here = np.flatnonzero(slot[rows] != NO_ID)
        ids = negatives.reshape(-1, negatives.shape[2])[slot[rows][here]]
        _check_block(context, name, table.take(pa.array(here)), ids, first + here)
    ids = negatives.reshape(len(negatives), -1)
    for number, batch in enumerate(batches):
        wrong = np.isin(ids[number], anchors[batch])
        text = "a drawn negative is of the batch itself"
        where = np.full(len(wrong), number * size)
        context.notes.rows("plan-negatives", name, wrong, where, lambda _, text=text: text)
    return anchors


def _check_block(
    context: Context, name: str, table: pa.Table, ids: np.ndarray, rows: np.ndarray
) -> None:
    there = ids != NO_ID
    outside = there & ~context.in_range(ids)
    own = table["anchor_id"].to_numpy()
    safe = np.where(there & ~outside, ids, own[:, None])
    known = [list_matrix(table[c]) for c in ("positive_ids", "false_negative_ids")]
    never = np.concatenate([*known, own[:, None]], axis=1)
    split, group = context.splits[1], context.group_id
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_ID)
    for wrong, text in (
        (outside, "an id that no sample has"),
        (there & (ids[:, :, None] == never[:, None, :]).any(axis=2), "no negative of this pair"),
        (there & (split[safe] != split[own][:, None]), "a sample of another split"),
        (there & ~outside & (group[safe] == group[own][:, None]), "a near-duplicate"),
        (twice, "a sample stands twice"),
    ):
        text = f"among the drawn negatives: {text}"
        context.notes.rows(
            "plan-negatives", name, wrong.any(axis=1), rows, lambda _, text=text: text
        )


def _check_hard(
    context: Context, name: str, entry: Plan, anchors: np.ndarray, negatives: np.ndarray
) -> None:
    """Each is in the window of ranks of a row of its batch, and has that row in its own."""
    settings = entry["settings"]
    lists = context.lists(settings["graph"])
    if lists is None:
        context.notes.skipped[f"negatives of {name}"] = f"{settings['graph']} is not readable"
        return
    low, high = settings["skip"], settings["skip"] + settings["window"]
    for number in drawn(len(anchors), _JUDGED, f"{name}/negatives").tolist():
        batch = np.sort(anchors[number])
        window = lists.rows(batch)[0][:, low:high]
        found = np.unique(negatives[number])
        found = found[context.in_range(found)]
        back = lists.rows(found)[0][:, low:high]
        # j is hard for a row of the batch only if both have each other in their windows.
        row, place = np.nonzero(np.isin(back, batch))
        theirs = window[np.searchsorted(batch, back[row, place])]
        mutual = (theirs == found[row][:, None]).any(axis=1)
        wrong = ~np.isin(np.arange(len(found)), row[mutual])
        where = np.full(len(found), number)
        text = "a drawn negative is hard for no row of its batch"
        context.notes.rows("plan-negatives", name, wrong, where, lambda _, text=text: text)

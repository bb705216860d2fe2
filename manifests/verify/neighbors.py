"""The neighbour graphs: who stands in a list, in which order, with which similarity, and recall."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..schema import NO_ID
from ..statistics import wilson_interval
from ..vectors import VectorStore
from .context import TOLERANCE, Context, drawn, matrix
from .hubs import check_means, corrected, penalties

_TIE = 1e-5
"""A neighbour this near to the last exact one counts as found: BLAS rounds differently."""
_QUICK_ROWS = 256
_PROBES = 256


def check_neighbors(context: Context) -> None:
    """Check every list of every graph; then measure recall on drawn rows."""
    for table in context.pairset.manifest["tables"]:
        if not table.startswith("neighbors/") or table in context.broken:
            continue
        graph = table.removeprefix("neighbors/")
        width = int(context.pairset.manifest["neighbors"][graph]["k"])
        expected, penalty = 0, penalties(context, graph)
        for first, block in context.blocks(table, ["sample_id", "neighbor_ids", "similarities"]):
            _check_block(context, table, first, block, width, penalty)
            expected += block.num_rows
        if expected != context.samples:
            message = f"{expected} rows, there are {context.samples} samples"
            context.notes.add("neighbor-rows", table, None, message)
        else:
            _check_recall(context, table, graph, width, penalty)
            check_means(context, table, graph)


def _check_block(
    context: Context,
    table: str,
    first: int,
    block: pa.Table,
    width: int,
    penalty: np.ndarray | None,
) -> None:
    rows = np.arange(first, first + block.num_rows)
    sample = block["sample_id"].to_numpy()
    ids = matrix(block, "neighbor_ids", width)
    similarities = matrix(block, "similarities", width)
    context.notes.rows(
        "dense-ids",
        table,
        sample != rows,
        first,
        lambda row: f"sample_id {sample[row]}, expected {first + row}",
    )
    there = context.in_range(ids)
    _note(context, table, first, "id-range", ~there & (ids != NO_ID), ids, "no such sample")
    there &= context.in_range(rows)[:, None]
    _check_members(context, table, first, rows, np.where(there, ids, NO_ID))
    _check_order(context, table, first, ids, corrected(similarities, ids, penalty))
    filled = (ids == NO_ID) & (similarities != 0)
    context.notes.rows("padding", table, filled, first, lambda _: "a similarity in an empty place")
    _check_similarity(context, table, first, np.where(there, ids, NO_ID), similarities)


def _note(
    context: Context,
    table: str,
    first: int,
    check: str,
    wrong: np.ndarray,
    ids: np.ndarray,
    text: str,
) -> None:
    """Note rows of lists with a wrong place; the text names the first such id."""
    context.notes.rows(
        check,
        table,
        wrong,
        first,
        lambda row: f"neighbor {ids[row, int(wrong[row].argmax())]}: {text}",
    )


def _check_members(
    context: Context, table: str, first: int, rows: np.ndarray, ids: np.ndarray
) -> None:
    there = ids != NO_ID
    safe, anchors = np.where(there, ids, 0), np.minimum(rows, context.samples - 1)
    group, (_, split) = context.group_id, context.splits
    own = there & (ids == rows[:, None])
    _note(context, table, first, "self-neighbor", own, ids, "the sample itself")
    same = there & ~own & (group[safe] == group[anchors][:, None])
    _note(context, table, first, "group-neighbor", same, ids, "a near-duplicate")
    other = there & (split[safe] != split[anchors][:, None])
    _note(context, table, first, "split-neighbor", other, ids, "in another split")
    gone = there & ~(context.kept[safe] & context.kept[anchors][:, None])
    _note(context, table, first, "not-selected", gone, ids, "the selection dropped one of the two")
    ranked = np.sort(ids, axis=1)
    twice = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] != NO_ID)
    _note(context, table, first, "twice", twice, ranked, "listed twice")


def _check_order(
    context: Context, table: str, first: int, ids: np.ndarray, similarities: np.ndarray
) -> None:
    notes, there = context.notes, ids != NO_ID
    gap = there[:, 1:] & ~there[:, :-1]
    notes.rows("padding", table, gap, first, lambda _: "an empty place before a neighbor")
    before, after = similarities[:, :-1], similarities[:, 1:]
    rising = there[:, 1:] & (after > before)
    _note(context, table, first, "order", rising, ids[:, 1:], "more similar than the one before")
    tie = there[:, 1:] & (after == before) & (ids[:, 1:] < ids[:, :-1])
    _note(context, table, first, "tie", tie, ids[:, 1:], "ties break by sample_id")


def _check_similarity(
    context: Context, table: str, first: int, ids: np.ndarray, similarities: np.ndarray
) -> None:
    chosen = np.arange(len(ids))
    if not context.deep:
        chosen = drawn(len(ids), _QUICK_ROWS, f"{table}/{first}")
    rows, places = np.nonzero(ids[chosen] != NO_ID)
    rows = chosen[rows]
    found = context.dots(table.removeprefix("neighbors/"), rows + first, ids[rows, places])
    if found is None:
        context.notes.skipped[f"similarity in {table}"] = "the embeddings are not readable"
        return
    off = ~(np.abs(found - similarities[rows, places]) <= TOLERANCE)
    wrong, exact = np.zeros(ids.shape, bool), np.zeros(ids.shape, np.float32)
    wrong[rows[off], places[off]], exact[rows, places] = True, found

    def message(row: int) -> str:
        at = int(wrong[row].argmax())
        return (
            f"neighbor {ids[row, at]}: stored similarity {similarities[row, at]:.4f}, the stored "
            f"embeddings give {exact[row, at]:.4f}"
        )

    context.notes.rows("similarity", table, wrong, first, message)
    context.notes.looked_at("neighbor similarities", len(found))


def _check_recall(
    context: Context, table: str, graph: str, width: int, penalty: np.ndarray | None
) -> None:
    """Compare drawn lists with exact search; fail if the 95 % interval lies below what was asked.

    The interval takes each row's share as one draw, which is on the wide side (Wilson 1927).
    Holds one block of vectors at a time and the probes' best so far.
    """
    entry = context.pairset.manifest["neighbors"][graph]
    query, bank = context.vectors(entry["query"]), context.vectors(entry["bank"])
    asked = entry.get("min_recall")
    if asked is None or query is None or bank is None or not context.samples:
        return
    k = min(int((entry.get("recall") or {}).get("k", width)), width)
    probes = drawn(context.samples, _PROBES, table)
    best = _exact(context, query, bank, probes, k, penalty)
    listed = _listed(context, table, probes, width)[:, :k]
    found = context.dots(graph, np.repeat(probes, k), np.maximum(listed, 0).reshape(-1))
    if found is None:
        return
    scores = corrected(found.reshape(listed.shape), listed, penalty)
    scores = np.where(listed != NO_ID, scores, -np.inf)
    reached = np.isfinite(best)
    last = np.where(reached, best, np.inf).min(axis=1, initial=np.inf)
    exact = reached.sum(axis=1)
    hits = np.minimum((scores >= last[:, None] - _TIE).sum(axis=1), exact)
    shares = hits[exact > 0] / exact[exact > 0]
    context.notes.looked_at("recall probes", len(shares))
    high = wilson_interval(int(np.ceil(shares.sum())), len(shares))[1]
    if high < asked:
        message = (
            f"recall@{k} is {shares.mean():.4f} on {len(shares)} drawn rows (95 % interval up to "
            f"{high:.4f}), asked was {asked}"
        )
        context.notes.add("recall", table, None, message)


def _exact(
    context: Context,
    query: VectorStore,
    bank: VectorStore,
    probes: np.ndarray,
    k: int,
    penalty: np.ndarray | None,
) -> np.ndarray:
    """Return float32 [probes, k]: the largest similarities of allowed samples, -inf where fewer."""
    group, (_, split) = context.group_id, context.splits
    asked = query.rows(probes)
    best = np.full((len(probes), k), -np.inf, np.float32)
    for start, block in bank.blocks():
        ids = np.arange(start, start + len(block))
        scores = asked @ block.T - (0 if penalty is None else penalty[ids])
        allowed = (group[ids] != group[probes][:, None]) & (split[ids] == split[probes][:, None])
        allowed &= np.outer(asked.any(axis=1), block.any(axis=1))
        allowed &= np.outer(context.kept[probes], context.kept[ids])
        both = np.concatenate([best, np.where(allowed, scores, -np.inf)], axis=1)
        best = -np.partition(-both, k - 1, axis=1)[:, :k]
    return best


def _listed(context: Context, table: str, probes: np.ndarray, width: int) -> np.ndarray:
    out = np.full((len(probes), width), NO_ID, np.int64)
    for first, block in context.blocks(table, ["neighbor_ids"]):
        low, high = np.searchsorted(probes, [first, first + block.num_rows])
        if low < high:
            out[low:high] = matrix(block, "neighbor_ids", width)[probes[low:high] - first]
    return out

"""`edges`: known words, ids in range, order of rows and ranks, similarities as the vectors say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..codes import codes_of, encode
from ..schema import Action, Reason, Role
from .context import TOLERANCE, Context, drawn

COLUMNS = [
    *("anchor_id", "other_id", "role", "miner", "space", "rank", "similarity"),
    *("corrected_similarity", "weight", "action", "valid_from", "reason"),
]
_QUICK_ROWS = 512


@dataclass(frozen=True)
class EdgeBlock:
    """Some rows of `edges` as arrays; texts as lists."""

    first: int
    anchor: np.ndarray
    other: np.ndarray
    miner: np.ndarray
    rank: np.ndarray
    similarity: np.ndarray
    ranked_by: np.ndarray
    twin: np.ndarray

    def name(self, row: int) -> str:
        """Name an edge for people."""
        return f"anchor {self.anchor[row]}, other {self.other[row]}"


def check_edges(context: Context) -> None:
    """Check every edge; the last edge of a row group is held against the first of the next."""
    last: EdgeBlock | None = None
    for first, table in context.blocks("edges", COLUMNS):
        if not table.num_rows:
            continue
        _check_words(context, first, table)
        block = _arrays(context, first, table)
        _check_ids(context, block, table)
        _check_numbers(context, block, table)
        _check_order(context, _joined(last, block))
        _check_similarity(context, block, table["space"])
        last = block


def _check_words(context: Context, first: int, table: pa.Table) -> None:
    spaces = {"", *context.pairset.manifest["neighbors"], *_space_pairs(context)}
    allowed = {
        "role": {str(role) for role in Role},
        "miner": set(context.kinds),
        "space": spaces,
        "reason": {str(reason) for reason in Reason},
        "action": {None, *(str(action) for action in Action)},
    }
    for column, words in allowed.items():
        known = encode(table[column], lambda word, words=words: int(word in words))
        context.notes.rows(
            "word",
            "edges",
            known == 0,
            first,
            lambda row, column=column: f"{column} {table[column][row].as_py()!r} is unknown",
        )
    refused = codes_of(table["role"], {str(Role.REFUSED): 1}) == 1
    reasoned = codes_of(table["reason"], {"": 1}) != 1
    context.notes.rows(
        "refusal",
        "edges",
        refused != reasoned,
        first,
        lambda row: "refused without a reason" if refused[row] else "taken, but with a reason",
    )


def _space_pairs(context: Context) -> set[str]:
    spaces = list(context.pairset.manifest["embeddings"])
    return {f"{query}>{bank}" for query in spaces for bank in spaces}


def _arrays(context: Context, first: int, table: pa.Table) -> EdgeBlock:
    codes = {name: code for code, name in enumerate(context.kinds)}
    similarity = floats(table["similarity"])
    corrected = floats(table["corrected_similarity"])
    return EdgeBlock(
        first,
        table["anchor_id"].to_numpy(),
        pc.fill_null(table["other_id"], -1).to_numpy(),
        codes_of(table["miner"], codes),
        table["rank"].to_numpy(),
        similarity,
        np.where(np.isnan(corrected), similarity, corrected),
        _twins(context, table),
    )


def _twins(context: Context, table: pa.Table) -> np.ndarray:
    """Say which edges are the second ones of false negatives that attract."""
    miners = context.pairset.manifest["miners"]
    finders = {m["id"]: 1 for m in miners if m["role"] == str(Role.FALSE_NEGATIVE)}
    positive = codes_of(table["role"], {str(Role.POSITIVE): 1}) == 1
    return positive & (codes_of(table["miner"], finders) == 1)


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of floats with NaN for null."""
    return pc.fill_null(column, float("nan")).to_numpy()


def _check_ids(context: Context, block: EdgeBlock, table: pa.Table) -> None:
    missing = table["other_id"].is_null().to_numpy()
    wrong = ~context.in_range(block.anchor) | (~missing & ~context.in_range(block.other))
    context.notes.rows(
        "id-range",
        "edges",
        wrong,
        block.first,
        lambda row: f"{block.name(row)}: ids go from 0 to {context.samples - 1}",
    )


def _check_numbers(context: Context, block: EdgeBlock, table: pa.Table) -> None:
    weight, valid = table["weight"].to_numpy(), table["valid_from"].to_numpy()
    context.notes.rows(
        "weight",
        "edges",
        ~(np.isfinite(weight) & (weight >= 0)),
        block.first,
        lambda row: f"{block.name(row)}: weight {weight[row]}",
    )
    context.notes.rows(
        "valid-from",
        "edges",
        ~((valid >= 0) & (valid <= 1)),
        block.first,
        lambda row: f"{block.name(row)}: valid_from {valid[row]}, training progress is 0..1",
    )


def _joined(last: EdgeBlock | None, block: EdgeBlock) -> EdgeBlock:
    """Put the last edge of the block before in front, so that every step is seen once."""
    if last is None:
        return block
    names = ("anchor", "other", "miner", "rank", "similarity", "ranked_by", "twin")
    parts = (np.concatenate([getattr(last, n)[-1:], getattr(block, n)]) for n in names)
    return EdgeBlock(block.first - 1, *parts)


def _check_order(context: Context, block: EdgeBlock) -> None:
    """Anchors rise, then miners in their order; a miner's ranks are 0, 1, 2, by similarity.

    The second edges of attracted false negatives stand behind the others and repeat their ranks.
    """
    anchor, miner, rank = block.anchor, block.miner, block.rank
    same_anchor = anchor[1:] == anchor[:-1]
    same = same_anchor & (miner[1:] == miner[:-1]) & ~block.twin[1:]
    falling = (anchor[1:] < anchor[:-1]) | (same_anchor & (miner[1:] < miner[:-1]))
    gap = np.where(same, rank[1:] != rank[:-1] + 1, rank[1:] != 0) & ~block.twin[1:]
    start = np.zeros(1, bool)
    if block.first == 0:
        start = rank[:1] != 0
    _note(context, block, "edge-order", np.r_[False, falling], "anchors, then miners, must rise")
    _note(context, block, "rank", np.r_[start, gap & ~falling], "ranks must be 0, 1, 2, ...")
    before, after = block.ranked_by[:-1], block.ranked_by[1:]
    _note(
        context,
        block,
        "order",
        np.r_[False, same & (after > before)],
        "more similar than the rank before",
    )
    # Corrected similarities that differ by less than a float32 can say are no ties.
    tie = same & (after == before) & (block.other[1:] < block.other[:-1])
    tie &= ~(block.similarity[1:] != block.similarity[:-1]) | np.isnan(block.similarity[1:])
    _note(context, block, "tie", np.r_[False, tie], "ties break by id")


def _note(context: Context, block: EdgeBlock, check: str, wrong: np.ndarray, text: str) -> None:
    def message(row: int) -> str:
        miner = context.kinds[block.miner[row]] if block.miner[row] >= 0 else "?"
        return f"{block.name(row)}, miner {miner}, rank {block.rank[row]}: {text}"

    context.notes.rows(check, "edges", wrong, block.first, message)


def _check_similarity(context: Context, block: EdgeBlock, space: pa.ChunkedArray) -> None:
    spaces = np.array(space.to_pylist(), object)
    usable = ~np.isnan(block.similarity) & context.in_range(block.anchor)
    usable &= context.in_range(block.other)
    if not context.deep:
        chosen = np.zeros(len(usable), bool)
        chosen[drawn(len(usable), _QUICK_ROWS, f"edges/{block.first}")] = True
        usable &= chosen
    for graph in sorted(set(spaces[usable]) - {""}):
        rows = np.flatnonzero(usable & (spaces == graph))
        found = context.dots(graph, block.anchor[rows], block.other[rows])
        if found is None:
            context.notes.skipped[f"similarity in edges of {graph}"] = "no readable embeddings"
            continue
        wrong, exact = np.zeros(len(usable), bool), np.zeros(len(usable), np.float32)
        wrong[rows] = ~(np.abs(found - block.similarity[rows]) <= TOLERANCE)
        exact[rows] = found
        context.notes.rows(
            "similarity",
            "edges",
            wrong,
            block.first,
            lambda row, exact=exact: (
                f"{block.name(row)}: stored similarity {block.similarity[row]:.4f}, the stored "
                f"embeddings give {exact[row]:.4f}"
            ),
        )
        context.notes.looked_at("edge similarities", len(rows))

"""Rows of `pairs` together with all edges of their anchors, a few thousand anchors at a time.

Both tables are sorted by anchor, so neither is held: only the edges of the anchors at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..codes import codes_of
from ..schema import PAIR_EXTRAS, REASON_CODE, Action, Role
from .context import Context
from .edges import floats
from .pairs import PairBlock, pair_columns

_ANCHORS = 2048
_COLUMNS = [
    *("anchor_id", "other_id", "role", "miner", "rank", "similarity", "positive_similarity"),
    *("action", "reason", "weight", "valid_from", "text", "asset", "corrected_similarity"),
]
ROLE_CODE = {str(role): code for code, role in enumerate(Role)}
_MASKING = {str(Action.ELIMINATE): 1, str(Action.ATTRACT): 1}


@dataclass(frozen=True)
class Edges:
    """Edges of consecutive anchors as arrays of one length; `row` is the row number in `edges`.

    `role` is a position in Role, `miner` one in the manifest's kinds, `reason` one in REASONS
    (-1: an unknown word), `action` 1 for eliminate and attract, else 0, `text` and `asset` object
    arrays of str, "" for edges to a sample.
    """

    row: np.ndarray
    anchor: np.ndarray
    other: np.ndarray
    role: np.ndarray
    miner: np.ndarray
    rank: np.ndarray
    similarity: np.ndarray
    positive_similarity: np.ndarray
    action: np.ndarray
    reason: np.ndarray
    weight: np.ndarray
    valid_from: np.ndarray
    text: np.ndarray
    asset: np.ndarray
    corrected_similarity: np.ndarray

    @classmethod
    def of(cls, context: Context, first: int, table: pa.Table) -> Edges:
        """Read a block of the table."""
        miners = {name: code for code, name in enumerate(context.kinds)}
        reasons = {str(reason): code for reason, code in REASON_CODE.items()}
        return cls(
            np.arange(first, first + table.num_rows),
            table["anchor_id"].to_numpy(),
            pc.fill_null(table["other_id"], -1).to_numpy(),
            codes_of(table["role"], ROLE_CODE),
            codes_of(table["miner"], miners),
            table["rank"].to_numpy(),
            floats(table["similarity"]),
            floats(table["positive_similarity"]),
            np.maximum(codes_of(table["action"], _MASKING), 0),
            codes_of(table["reason"], reasons),
            table["weight"].to_numpy(),
            table["valid_from"].to_numpy(),
            _texts(table["text"]),
            _texts(table["asset"]),
            floats(table["corrected_similarity"]),
        )

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: np.ndarray | slice) -> Edges:
        """Return some of the edges."""
        return Edges(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list[Edges]) -> Edges:
        """Put edges one below the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def is_role(self, role: Role) -> np.ndarray:
        """Say which edges have a role."""
        return self.role == ROLE_CODE[str(role)]

    @property
    def is_positive(self) -> np.ndarray:
        """Taken positives; an attracted false negative has a second edge as one."""
        return self.is_role(Role.POSITIVE)

    @property
    def is_masked(self) -> np.ndarray:
        """False negatives that are never to be contrasted."""
        return self.is_role(Role.FALSE_NEGATIVE) & (self.action > 0)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count == len(column):
        return np.full(len(column), "", object)
    return pc.fill_null(column, "").to_numpy().astype(object)


def anchors_with_edges(context: Context) -> Iterator[tuple[PairBlock, Edges]]:
    """Yield blocks of `pairs` with all edges of their anchors.

    An anchor without a positive has no row; its edges are passed over.
    """
    cursor = _Cursor(context)
    extras = [item.name for item in PAIR_EXTRAS if context.pairset.counts.get(item.present)]
    for first, table in context.blocks("pairs", [*pair_columns(), *extras]):
        for start in range(0, table.num_rows, _ANCHORS):
            block = PairBlock.of(context, first + start, table.slice(start, _ANCHORS))
            edges = cursor.take(int(block.anchor.max(initial=-1)))
            yield block, _with_row(context, block, edges)
    _with_row(context, None, cursor.take(None))


def _with_row(context: Context, block: PairBlock | None, edges: Edges) -> Edges:
    anchors = block.anchor if block else np.zeros(0, np.int64)
    known = np.isin(edges.anchor, anchors)
    context.notes.rows(
        "no-pair",
        "edges",
        ~known & edges.is_positive,
        edges.row,
        lambda at: f"anchor {edges.anchor[at]} has a positive, but no row in pairs",
    )
    return edges.where(known)


class _Cursor:
    """Reads `edges` once, as far as it is asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blocks = context.blocks("edges", _COLUMNS)
        self._held: Edges | None = None

    def take(self, last: int | None) -> Edges:
        """Return the edges that follow, up to those of anchor `last`; None for all."""
        parts = [self._held] if self._held else []
        while not parts or last is None or int(parts[-1].anchor.max(initial=-1)) <= last:
            following = next(self._blocks, None)
            if following is None:
                break
            parts.append(Edges.of(self._context, *following))
        if not parts:
            return Edges(*(np.zeros(0, np.int64) for _ in fields(Edges)))
        whole = Edges.joined(parts)
        cut = len(whole)
        if last is not None:
            cut = int(np.searchsorted(np.maximum.accumulate(whole.anchor), last, side="right"))
        self._held = whole.where(slice(cut, None))
        return whole.where(slice(0, cut))


class Names:
    """One int64 for (anchor, other) or (anchor, other, miner), within a block of pairs."""

    def __init__(self, context: Context, block: PairBlock) -> None:
        self._anchors = block.anchor
        self._order = np.argsort(block.anchor, kind="stable")
        self._others = context.samples + 2
        self._miners = len(context.kinds) + 2

    def row(self, anchors: np.ndarray) -> np.ndarray:
        """Return the position in the block of each anchor; all of them stand there."""
        ranked = self._anchors[self._order]
        return self._order[np.searchsorted(ranked, anchors)]

    def pair(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Name (row of the block, other)."""
        return rows * self._others + np.clip(others, -1, self._others - 2) + 1

    def edge(self, rows: np.ndarray, others: np.ndarray, miners: np.ndarray) -> np.ndarray:
        """Name (row of the block, other, miner)."""
        return self.pair(rows, others) * self._miners + np.clip(miners, -1, self._miners - 2) + 1

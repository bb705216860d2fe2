"""Samples that agree in attributes are positives: equal, near, or of one branch of a hierarchy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import NO_ID, Reason, Role
from ..base import (
    TAKEN,
    Block,
    Decisions,
    Miner,
    Pool,
    RowIndex,
    bisect,
    column_of,
    draw_on,
    keep_first,
    refuse,
)

_DRAWS = 256
"""Draws of an anchor; one that meets so many refused candidates stays short."""


class Attribute(Miner):
    """Attribute positives: a few samples with the anchor's values, drawn evenly.

    Contrastive pairs from metadata (Panambur et al. 2022; the survey's attribute branch), as one
    general rule (algorithms.md §2.11): all of `equal` are equal, and, if `near` is given, that
    number or time lies within `within` of the anchor's. A name such as "taxon/2" in `equal`
    compares the first two steps of texts like "animal/bird/owl": the deepest common ancestor lies
    at depth 2 or deeper.

    Against skew, with `balance` another attribute of the candidate: `max_per_value` positives of
    one value at most, and weight count(value)^-gamma, where count is over the whole corpus. A
    candidate without that value counts as a value of its own, of count 1.

    Fidelity: exact.

    Traps: a missing value equals nothing, itself included. An attribute that is nearly constant
    pairs everything with everything: look at the fact `gini` (of how many samples each combined
    value of `equal` has; 0 is even) and at anchors_with_edges. Draws stop at 256 an anchor.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = (
        "Panambur et al., Self-Supervised Learning to Guide Categorization of Martian Terrain, 2022"
    )

    equal: tuple[str, ...] = ("location",)
    """Attributes that must be equal; NAME/DEPTH compares steps of a hierarchy."""
    near: str | None = None
    """Attribute of numbers or times that must be near."""
    within: float = Field(default=0.0, ge=0)
    """Largest distance in `near`; seconds for times."""
    count: int = Field(default=4, ge=1, le=64)
    """Positives an anchor."""
    balance: str | None = None
    """Attribute whose frequent values are held back."""
    gamma: float = Field(default=0.0, ge=0, le=1)
    """Exponent of the weight count(value)^-gamma."""
    max_per_value: int | None = Field(default=None, ge=1)
    """Positives of an anchor that share one value of `balance`."""

    @model_validator(mode="after")
    def _check(self) -> Attribute:
        if not self.equal and self.near is None:
            raise ValueError("name at least one attribute in `equal` or `near`")
        if self.near is None and self.within:
            raise ValueError("within needs `near`, the attribute that it measures")
        if self.balance is None and (self.gamma or self.max_per_value is not None):
            raise ValueError("gamma and max_per_value need `balance`, the attribute they balance")
        if self.balance is not None and not self.gamma and self.max_per_value is None:
            raise ValueError("balance does nothing without gamma or max_per_value")
        return self

    @property
    def columns(self) -> Sequence[str]:
        """What must be equal, what is balanced, and what keeps splits and duplicates apart."""
        balance = (column_of(self.balance),) if self.balance else ()
        return (*self._equal, *balance, "split", "group_id")

    @property
    def number_columns(self) -> Sequence[str]:
        """What must be near."""
        return (column_of(self.near),) if self.near else ()

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    @property
    def _equal(self) -> tuple[str, ...]:
        return tuple(column_of(name) for name in self.equal)

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of those that agree with each anchor."""
        pool = self._window(block) if self.near else self._same(block)
        counts = block.samples.once("counts", lambda: self._counts(block))
        group = block.samples.take("group_id", block.anchors)[:, None]

        def uniform(rows: np.ndarray, width: int) -> np.ndarray:
            return draw_uniform(block.seed, block.anchors[rows], "attribute", width)

        def judge(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
            reasons = np.full(ids.shape, TAKEN)
            same = block.samples.take("group_id", ids) == group[rows]
            refuse(reasons, same & (ids != NO_ID), Reason.DUPLICATE)
            if self.max_per_value is not None:
                self._cap(block, ids, reasons)
            return reasons

        ids, reasons = draw_on(pool, uniform, judge, self.count, _DRAWS)
        ids = keep_first(ids, reasons, self.count)
        weights = None
        if self.balance and self.gamma:
            values = block.samples.take(column_of(self.balance), ids)
            found = np.where(values == NO_ID, 1, np.append(counts, 1)[values])
            weights = (found.astype(np.float64) ** -self.gamma).astype(np.float32)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        similarities = np.full(ids.shape, np.nan, np.float32)
        facts = block.samples.once("facts", lambda: self._facts(block))
        return Decisions(ids, reasons, similarities, ranks, weights, facts=facts)

    def _index(self, block: Block, *more: str) -> RowIndex:
        """Return rows by all that must be equal; whoever asks sees to missing values."""
        return block.samples.rows_with(*self._equal, "split", *more)

    def _complete(self, block: Block, ids: np.ndarray) -> np.ndarray:
        found = np.ones(len(ids), bool)
        for column in self._equal:
            found &= block.samples.take(column, ids) != NO_ID
        return found

    def _same(self, block: Block) -> Pool:
        index = self._index(block, "group_id")
        depth = len(self._equal) + 1
        entries = np.where(self._complete(block, block.anchors), block.anchors, NO_ID)
        return Pool.around(index, entries[:, None], depth)

    def _window(self, block: Block) -> Pool:
        column = column_of(str(self.near))
        index = self._index(block, column)
        values = block.samples.once("values", lambda: _sorted_values(block, index, column))
        now = block.samples.numbers(column, block.anchors)
        first, stop = index.run(block.anchors, len(self._equal) + 1)
        known = ~np.isnan(now) & self._complete(block, block.anchors)
        stop = np.where(known, stop, first)
        outer = (
            bisect(values, first, stop, now - self.within),
            bisect(values, first, stop, now + self.within, after=True),
        )
        at = np.where(known, index.position[block.anchors], outer[0])
        return Pool.between(index, outer, (at, at + known))

    def _cap(self, block: Block, ids: np.ndarray, reasons: np.ndarray) -> None:
        """Refuse what comes after `max_per_value` taken ones of its value; in place."""
        values = block.samples.take(column_of(str(self.balance)), ids)
        for place in range(1, ids.shape[1]):
            earlier = (values[:, :place] == values[:, place, None]) & (reasons[:, :place] == TAKEN)
            full = earlier.sum(axis=1) >= (self.max_per_value or 1)
            full &= (values[:, place] != NO_ID) & (ids[:, place] != NO_ID)
            refuse(reasons[:, place], full, Reason.VALUE_CAP)

    def _counts(self, block: Block) -> np.ndarray:
        """Count the samples of each value of `balance`, int64 [values]."""
        if self.balance is None:
            return np.zeros(0, np.int64)
        every = block.samples.take(column_of(self.balance), np.arange(block.samples.count))
        return np.bincount(every[every != NO_ID])

    def _facts(self, block: Block) -> dict[str, float]:
        """Return the share of samples with all values, and the Gini index of their numbers."""
        every = np.arange(block.samples.count)
        known = every[self._complete(block, every)]
        columns = np.stack([block.samples.take(c, known) for c in self._equal or ("split",)])
        sizes = np.sort(np.unique(columns, axis=1, return_counts=True)[1])
        return {
            "coverage": round(len(known) / max(len(every), 1), 6),
            "values": len(sizes),
            "gini": round(gini(sizes), 6),
        }


def gini(sizes: np.ndarray) -> float:
    """Return the Gini index of counts [n], ascending: 0 when all are equal, towards 1 with skew.

    (2 sum_i i x_i / (n sum x)) - (n + 1) / n, with i from 1 (Gini 1912, sorted form).
    """
    n, total = len(sizes), int(sizes.sum())
    if not total:
        return 0.0
    return float(2 * (np.arange(1, n + 1) * sizes).sum() / (n * total) - (n + 1) / n)


def _sorted_values(block: Block, index: RowIndex, column: str) -> np.ndarray:
    values = block.samples.numbers(column, index.order)
    return np.where(np.isnan(values), -np.inf, values)

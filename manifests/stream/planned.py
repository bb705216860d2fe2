"""Negatives that a plan of batches drew for each of its pairs, beside those of the pair itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pairset import Pairset
from ..schema import NO_ID


@dataclass(frozen=True)
class PlannedNegatives:
    """The drawn negatives of a plan that uses each pair at most once.

    Attributes:
        slot: int64 [pairs], the place of each pair in the plan laid end to end; -1 for none.
        ids: int64 [places, h], sample ids, mapped from the file; -1 padding.
    """

    slot: np.ndarray
    ids: np.ndarray

    @classmethod
    def of(cls, pairset: Pairset, plan: str) -> PlannedNegatives | None:
        """Open those of a plan: 8 bytes a pair; None where it has drawn none."""
        ids = pairset.plan_negatives(plan)
        if ids is None:
            return None
        slot = np.full(int(pairset.counts["pairs"]), NO_ID, np.int64)
        slot[pairset.plan(plan).reshape(-1)] = np.arange(ids.shape[0] * ids.shape[1])
        return cls(slot, ids.reshape(-1, ids.shape[2]))

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return sample ids int64 [B, h] of rows [B] of `pairs`; -1 for a pair without."""
        slot = self.slot[rows]
        return np.where((slot != NO_ID)[:, None], self.ids[np.maximum(slot, 0)], NO_ID)

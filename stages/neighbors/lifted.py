"""A bank with one more dimension: what is taken off a similarity with each of its rows.

The inner product of [x, -1] and [y, p] is s - p, so every search that finds the largest inner
products finds the best corrected ones too. What decides an order is always the float32 difference
of the pair's own cosine and p, so that any reader of both numbers can repeat it.
"""

from __future__ import annotations

import numpy as np

from ...manifests.artifact import Artifact
from ...manifests.schema import NO_ID
from ...manifests.vectors import Rows, pair_similarity, widen
from ..base import Inputs
from .ranking import RowSource, similarities

CSLS_WEIGHT = 0.5


class Lifted:
    """Rows of a bank as [y, penalty].

    Attributes:
        rows: the bank as it is.
        penalty: float32 [N].
    """

    def __init__(self, rows: RowSource, penalty: np.ndarray) -> None:
        self.rows, self.penalty = rows, penalty

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 [n, d + 1]."""
        return self.lift(widen(self.rows.take(ids)), ids)

    def lift(self, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return rows `ids`, whose vectors are known, as float32 [n, d + 1]."""
        return np.concatenate([vectors, self.penalty[ids][:, None]], axis=1)

    def compare(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return cosine minus penalty, float32 [n], of lifted queries and rows."""
        return pair_similarity(left[:, :-1], right[:, :-1]) - right[:, -1]


def lift_queries(queries: np.ndarray, bank: RowSource) -> np.ndarray:
    """Return the queries as the bank wants them: float32 [n, d], or [n, d + 1] for a lifted one."""
    if not isinstance(bank, Lifted):
        return queries
    return np.concatenate([queries, np.full((len(queries), 1), -1, np.float32)], axis=1)


def cosines(
    queries: np.ndarray, ids: np.ndarray, scores: np.ndarray, bank: RowSource
) -> np.ndarray:
    """Return what the graph stores, float32 [n, k], 0 where the id is -1.

    Args:
        queries: float32 [n, d], not lifted.
        ids: int64 [n, k], -1 fill.
        scores: float32 [n, k], what the search ranked by.
        bank: what was searched; the scores of one that is not lifted are the cosines.
    """
    if not isinstance(bank, Lifted):
        return scores
    out = np.zeros(ids.shape, np.float32)
    rows, places = np.nonzero(ids != NO_ID)
    out[rows, places] = similarities(queries, rows, ids[rows, places], bank.rows)
    return out


def open_bank(inputs: Inputs) -> RowSource:
    """Open the bank of a graph, lifted where the graph has `hubs`."""
    rows, hubs = Rows.of(inputs["bank"]), inputs.get("hubs")
    return rows if hubs is None else Lifted(rows, penalties(hubs))


def penalties(hubs: Artifact) -> np.ndarray:
    """Return float32 [N]: the weighted r of every sample as a candidate."""
    means = [np.zeros(0, np.float32), *(hubs.array(part, "bank.npy") for part in hubs.parts)]
    weight = hubs.receipts[0].facts["weight"] if hubs.receipts else 0.0
    return np.float32(weight) * np.concatenate(means)

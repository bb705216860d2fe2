"""The rule of `negcliploss`: the cut at the fraction, and scores within what any batches allow.

Which samples met in a batch is not stored, so a score is held between bounds: in any batch the sums
hold the pair itself, and no more than the nearest samples of the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...vectors import VectorStore
from ..context import TOLERANCE, Context, drawn
from .base import Verdicts, check_top

_PROBES = 128
_BLOCK = 8192


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """NegCLIPLoss (Wang et al. 2024, eq. 4)."""
    settings = described["settings"]
    check_top(context, described, verdicts, settings["fraction"])
    query, _, bank = settings["spaces"].partition(">")
    first, second = context.vectors(query), context.vectors(bank)
    if first is None or second is None:
        context.notes.skipped[f"scores of {described['id']}"] = "the embeddings are not readable"
        return
    pool = np.flatnonzero(verdicts.judged)
    ids = pool[drawn(len(pool), _PROBES, described["id"])]
    left, right = first.rows(ids), second.rows(ids)
    there = left.any(axis=1) & right.any(axis=1)
    rows = _sums(second, first, left, pool, settings["t"])
    columns = _sums(first, second, right, pool, settings["t"])
    own = (left * right).sum(axis=1, dtype=np.float64)
    highest = np.zeros(len(ids))
    lowest = own - settings["t"] / 2 * (rows + columns)
    found = verdicts.scores[ids].astype(np.float64)
    # With one batch for all, the sums are known and so is the score.
    whole = len(pool) <= settings["batch"]
    allowed = 2 * TOLERANCE
    wrong = there & (np.isnan(found) | (found < lowest - allowed) | (found > highest + allowed))
    wrong |= there & whole & (np.abs(found - lowest) > allowed)
    wrong |= ~there & ~np.isnan(found)
    text = "the score is not one that batches of the stored embeddings can give"
    verdicts.note(context, described, "selection-score", wrong, text, ids)
    context.notes.looked_at("selection scores", len(ids))


def _sums(
    bank: VectorStore, other: VectorStore, asked: np.ndarray, pool: np.ndarray, t: float
) -> np.ndarray:
    """Return log sum_j e^(s_j / t) over all samples of the pool that have both vectors."""
    total = np.full(len(asked), -np.inf)
    for start in range(0, len(pool), _BLOCK):
        ids = pool[start : start + _BLOCK]
        rows = bank.rows(ids)
        rows = rows[rows.any(axis=1) & other.rows(ids).any(axis=1)].astype(np.float64)
        here = asked.astype(np.float64) @ rows.T / t
        if not len(rows):
            continue
        high = here.max(axis=1)
        summed = high + np.log(np.exp(here - high[:, None]).sum(axis=1))
        total = np.logaddexp(total, summed)
    return total

"""How hard the planned batches are, and how many false negatives meet in them, beside random."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...manifests.fingerprint import draw_uint64
from .base import Pool

JUDGED = 16
"""Batches, and random batches, that are looked at."""
LABEL = "label"


def judge(pool: Pool, places: np.ndarray, space: str | None) -> dict[str, Any]:
    """Measure some batches and as many random ones of the same size.

    Args:
        pool: the rows; its column "label" holds labels, -1 for none.
        places: int64 [batches, size].
        space: where hardness is measured; None for nowhere.

    Returns:
        judged (batches); hardest and hardest_random: mean cosine of a row and the most similar
        other of its batch, near-duplicates left out; false_negative_rate and
        false_negative_rate_random: share of ordered pairs of labelled rows in a batch, no
        near-duplicates, that have one label; masked_rate: share of ordered pairs that are
        near-duplicates. None where it cannot be known.
    """
    count, size = places.shape
    lots = draw_uint64(pool.seed, np.arange(count), "batches/judged")[:, 0]
    chosen = places[np.argsort(lots, kind="stable")[:JUDGED]]
    shuffled = pool.shuffled("batches/judge")
    many = min(len(chosen), len(pool) // size)
    random = shuffled[: many * size].reshape(many, size)
    mine, other = _measure(pool, chosen, space), _measure(pool, random, space)
    return {
        "judged": len(chosen),
        "hardest": mine["hardest"],
        "hardest_random": other["hardest"],
        "false_negative_rate": mine["same_label"],
        "false_negative_rate_random": other["same_label"],
        "masked_rate": mine["masked"],
    }


def _measure(pool: Pool, batches: np.ndarray, space: str | None) -> dict[str, float | None]:
    hardest: list[np.ndarray] = []
    same = known = masked = pairs = 0
    labels = pool.columns[LABEL]
    for rows in batches:
        group = pool.groups[rows]
        barred = group[:, None] == group
        masked += int(barred.sum()) - len(rows)
        pairs += len(rows) * (len(rows) - 1)
        label = labels[rows]
        judged = ~barred & (label >= 0)[:, None] & (label >= 0)
        known += int(judged.sum())
        same += int((judged & (label[:, None] == label)).sum())
        if space is not None:
            vectors = pool.exact(space, rows)
            similarity = np.where(barred, -np.inf, vectors @ vectors.T)
            best = similarity.max(axis=1)
            hardest.append(best[vectors.any(axis=1) & np.isfinite(best)])
    values = np.concatenate([np.zeros(0), *hardest])
    return {
        "hardest": round(float(values.mean()), 6) if len(values) else None,
        "same_label": round(same / known, 6) if known else None,
        "masked": round(masked / pairs, 6) if pairs else None,
    }

"""The rule of `dbp`: the total, the numbers of clusters, and that the hardest are kept.

Numbers are not solved for again: they are right if they meet the condition of optimality. With
q = T p, some x makes each continuous number q - x, cut at its bounds, and rounding moves it by less
than one: so n - 1 < q - x < n + 1 between the bounds, and one side of it at a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...vectors import VectorStore
from ..context import Context
from ._clusters import (
    Members,
    centre_of,
    check_first,
    check_nearness,
    check_total,
    kept_and_sizes,
    looks_at_all,
    members_of,
)
from .base import Verdicts

_ROWS = 256


def check(context: Context, described: Mapping[str, Any], verdicts: Verdicts) -> None:
    """Density-based pruning (Abbas et al. 2024, §3); holds the centres of all clusters."""
    found = members_of(context, described, verdicts)
    if found is None:
        return
    members, store = found
    total = check_total(context, described, verdicts, members)
    check_nearness(context, described, verdicts, members, store)
    check_first(context, described, verdicts, members, verdicts.scores[members.ids])
    if looks_at_all(context) and len(members.ids):
        _check_numbers(context, described, verdicts, (members, store), total)


def _check_numbers(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    of: tuple[Members, VectorStore],
    total: int,
) -> None:
    members, store = of
    settings = described["settings"]
    kept, sizes = kept_and_sizes(verdicts, members)
    there = np.flatnonzero(sizes)
    kept, sizes = kept[there], sizes[there]
    intra = 1 - np.bincount(members.clusters, weights=verdicts.scores[members.ids])[there] / sizes
    complexity = _between(context, members, store, settings["nearest"]) * intra
    power = np.exp((complexity - complexity.max()) / settings["t"])
    wanted = total * power / power.sum()
    low = np.minimum(settings["least"], sizes)
    low = low if low.sum() <= total else np.zeros_like(low)
    outside = (kept < low) | (kept > sizes)
    # Scores are rounded to float32, so the shares are not exactly those of the run.
    slack = 1 + 1e-3 + 1e-6 * wanted.max()
    lowest = np.where(kept < sizes, wanted - kept - slack, -np.inf).max()
    highest = np.where(kept > low, wanted - kept + slack, np.inf).min()
    if outside.any() or lowest > highest:
        message = (
            f"{described['id']}: the numbers of the clusters are not nearest to their shares: "
            f"{int(outside.sum())} beyond their bounds, shift {lowest:.4g} to {highest:.4g}"
        )
        context.notes.add("shares", "selection", None, message)


def _between(context: Context, members: Members, store: VectorStore, nearest: int) -> np.ndarray:
    """Return float64 [clusters], the mean distance of each centre to its nearest others."""
    centres = np.stack([centre_of(store, ids) for ids in members.each(context)])
    count = min(nearest, len(centres) - 1)
    found = np.ones(len(centres))
    for start in range(0, len(centres) if count else 0, _ROWS):
        cosines = np.sort(centres[start : start + _ROWS] @ centres.T, axis=1)
        # The largest is the centre itself, or one that is the same.
        found[start : start + _ROWS] = 1 - cosines[:, -count - 1 : -1].mean(axis=1)
    return found

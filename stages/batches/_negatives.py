"""Negatives drawn for each row of a batch from what is hard for the batch as a whole (B3++)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...manifests.fingerprint import draw_uniform
from ...manifests.schema import NO_ID
from ._links import Links
from .base import Batches, Pool

_TRIES = 16
"""Draws a wanted negative after which a row stays short."""


def with_negatives(made: Batches, pool: Pool, links: Links, count: int) -> Batches:
    """Draw `count` negatives for each row of each batch; none stands in the batch itself.

    Thirukovalluru et al. (B3, 2025), B3++: Pr(j) is proportional to how many rows of the batch
    have j in their row of S, the graph of hard pairs. Each row draws without replacement and
    passes over its own near-duplicates and `Pool.never`, by drawing again.

    Args:
        made: the batches.
        pool: with `never`.
        links: S.
        count: h.
    """
    drawn = np.full((*made.places.shape, count), NO_ID, np.int64)
    for number, batch in enumerate(made.places):
        ends = np.concatenate([links[place] for place in batch])
        known, counts = np.unique(ends[~np.isin(ends, batch)], return_counts=True)
        if len(known):
            drawn[number] = _draw(pool, batch, known, counts, count)
    short = int((drawn == NO_ID).any(axis=2).sum())
    facts: dict[str, Any] = {**made.facts, "negatives": count, "rows_short_of_negatives": short}
    return replace(made, negatives=drawn, facts=facts)


def _draw(
    pool: Pool, batch: np.ndarray, known: np.ndarray, counts: np.ndarray, count: int
) -> np.ndarray:
    """Return int64 [size, count] places of `known`, each as likely as its count; -1 fill."""
    out = np.full((len(batch), count), NO_ID, np.int64)
    found = np.zeros(len(batch), np.int64)
    upto = np.cumsum(counts)
    anchors = pool.anchors[batch]
    uniform = draw_uniform(pool.seed, anchors, "batches/negatives", _TRIES * count)
    for column in uniform.T:
        at = np.searchsorted(upto, (column * upto[-1]).astype(np.int64), side="right")
        new = known[at].astype(np.int64)
        allowed = (found < count) & (pool.groups[new] != pool.groups[batch])
        allowed &= ~(out == new[:, None]).any(axis=1)
        if pool.never is not None:
            allowed &= ~(pool.never[batch] == pool.anchors[new][:, None]).any(axis=1)
        rows = np.flatnonzero(allowed)
        out[rows, found[rows]] = new[rows]
        found[rows] += 1
        if (found == count).all():
            break
    return out

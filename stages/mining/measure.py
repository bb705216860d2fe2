"""Measurements that several miners share: similarities of listed pairs, s_pos, weighted draws.

Miners reach them through `mining.base_lists`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ...manifests.schema import NO_ID
from ...manifests.vectors import pair_similarity

_PAIRS = 16384
_SMALLEST = 2.0**-60


class VectorRows(Protocol):
    """The part of `mining.base.Vectors` that is needed here."""

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 [n, dim]."""
        ...


def similarities_to(
    query: VectorRows, bank: VectorRows, anchors: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Measure anchors against others.

    Args:
        query: vectors of the anchors' space.
        bank: vectors of the others' space.
        anchors: int64 [A].
        others: int64 [A, K], -1 fill.

    Returns:
        float32 [A, K]; NaN for -1 and where either has no vector.
    """
    out = np.full(others.shape, np.nan, np.float32)
    rows, places = np.nonzero(others != NO_ID)
    for start in range(0, len(rows), _PAIRS):
        row, place = rows[start : start + _PAIRS], places[start : start + _PAIRS]
        first, which = np.unique(row, return_inverse=True)
        left = query.rows(anchors[first])[which]
        right = bank.rows(others[row, place])
        found = pair_similarity(left, right)
        # A row without a vector is zero, and so is its product: only zeros need a closer look.
        zero = np.flatnonzero(found == 0)
        found[zero[~(left[zero].any(axis=1) & right[zero].any(axis=1))]] = np.nan
        out[row, place] = found
    return out


def fill_similarities(
    ids: np.ndarray, listed: np.ndarray, similarities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Look up ids in the lists of their rows.

    Args:
        ids: int64 [A, C], -1 fill, each at most once in a row.
        listed: int64 [A, K], -1 fill, each at most once in a row.
        similarities: float32 [A, K].

    Returns:
        float32 [A, C], NaN where an id is not listed; and its rank int64 [A, C], -1 there.
    """
    rank = np.full(ids.shape, NO_ID, np.int64)
    if ids.size and listed.size:
        # Id and place in one integer: a plain sort is far faster than one that moves places.
        bits = int(listed.shape[1]).bit_length()
        packed = np.sort(listed << bits | np.arange(listed.shape[1]), axis=1)
        step = np.int64(max(ids.max(), listed.max()) + 2)
        row = np.arange(len(ids), dtype=np.int64)[:, None] * step + 1
        names = (row + (packed >> bits)).reshape(-1)
        wanted = (row + ids).reshape(-1)
        at = np.minimum(np.searchsorted(names, wanted), names.size - 1)
        hit = (names[at] == wanted) & (ids.reshape(-1) != NO_ID)
        rank.reshape(-1)[hit] = packed.reshape(-1)[at[hit]] & ((1 << bits) - 1)
    known = rank != NO_ID
    found = np.full(ids.shape, np.nan, np.float32)
    if listed.size:
        row_of = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
        found[known] = similarities[row_of[known], rank[known]]
    return found, rank


def union_of_lists(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Return the ids of some lists [A, K] in one, each once in a row, ascending; -1 last."""
    ids = np.sort(np.concatenate(lists, axis=1), axis=1)
    ids[:, 1:][ids[:, 1:] == ids[:, :-1]] = NO_ID
    high = np.iinfo(np.int64).max
    ids = np.sort(np.where(ids == NO_ID, high, ids), axis=1)
    return np.where(ids == high, NO_ID, ids)


def joined_scores(scores: Sequence[np.ndarray], aggregate: str) -> np.ndarray:
    """Join similarities of several views of an anchor into one score.

    Args:
        scores: float32 of one shape each; NaN where a view has no vector.
        aggregate: "max" or "mean", over the views that have one.

    Returns:
        float32 of that shape; NaN where no view has a vector.
    """
    stacked = np.stack(scores).astype(np.float64)
    known = ~np.isnan(stacked)
    if aggregate == "max":
        found = np.where(known, stacked, -np.inf).max(axis=0)
    else:
        found = np.where(known, stacked, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), found, np.nan).astype(np.float32)


def found_or_measured(
    graph: str,
    vectors: Mapping[str, VectorRows],
    anchors: np.ndarray,
    ids: np.ndarray,
    lists: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the similarities of ids: those of the lists, and what no list holds measured.

    Args:
        graph: QUERY>BANK.
        vectors: both spaces.
        anchors: int64 [A].
        ids: int64 [A, C], -1 fill, each at most once in a row.
        lists: the graph's ids int64 [A, K] and similarities float32 [A, K] of the anchors.

    Returns:
        float32 [A, C]; NaN for -1 and where either has no vector.
    """
    query, bank = graph.split(">")
    known, _ = fill_similarities(ids, *lists)
    asked = np.where(np.isnan(known), ids, np.int64(NO_ID))
    outside = similarities_to(vectors[query], vectors[bank], anchors, asked)
    return np.where(np.isnan(known), outside, known)


def least_positive(
    graph: str,
    vectors: Mapping[str, VectorRows],
    anchors: np.ndarray,
    positives: np.ndarray,
    lists: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return s_pos float32 [A], the similarity of each anchor's LEAST similar positive.

    In a graph of two spaces (image>caption) the anchor's own vector in the bank is a positive; in
    one space it is not. 1 where an anchor has no positive with a vector.

    Args:
        graph: QUERY>BANK.
        vectors: both spaces, for positives outside the lists.
        anchors: int64 [A].
        positives: int64 [A, P], -1 fill.
        lists: the graph's ids int64 [A, K] and similarities float32 [A, K] of the anchors.
    """
    query, bank = graph.split(">")
    listed, similarities = lists
    if query == bank:
        positives = np.where(positives == anchors[:, None], NO_ID, positives)
    else:
        positives = np.concatenate([anchors[:, None], positives], axis=1)
    least = np.full(len(anchors), np.inf, np.float32)
    outside = positives != NO_ID
    for place in range(positives.shape[1]):
        row, at = np.nonzero((listed == positives[:, place, None]) & outside[:, place, None])
        least[row] = np.minimum(least[row], similarities[row, at])
        outside[row, place] = False
    asked = np.where(outside, positives, NO_ID)
    if outside.any():
        found = similarities_to(vectors[query], vectors[bank], anchors, asked)
        least = np.fmin(least, np.fmin.reduce(found, axis=1, initial=np.inf))
    return np.where(np.isinf(least), np.float32(1), least)


def draw_weighted(log_weights: np.ndarray, uniform: np.ndarray, count: int) -> np.ndarray:
    """Draw up to `count` places of each row without replacement, by weight.

    Gumbel top-k (Vieira 2014; Kool, van Hoof, Welling 2019, §2): the `count` largest of
    log w - log(-log u) are distributed as draws one by one without replacement.

    Args:
        log_weights: float64 [A, K], -inf where nothing may be drawn.
        uniform: float64 [A, K] in [0, 1).
        count: draws a row.

    Returns:
        bool [A, K].
    """
    noise = -np.log(-np.log(np.maximum(uniform, _SMALLEST)))
    return best_places(log_weights + noise, count)


def best_places(scores: np.ndarray, count: int) -> np.ndarray:
    """Say which are the `count` largest finite scores of each row [A, K]; ties to the first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, order, True, axis=1)
    return chosen & np.isfinite(scores)

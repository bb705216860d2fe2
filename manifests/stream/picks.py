"""Which of its positives and negatives a pair shows in an epoch: draws that no topology changes."""

from __future__ import annotations

import numpy as np

from ..fingerprint import draw_uniform
from ..sampling import draw_distinct
from ..schema import NO_ID


def pick_positives(
    ids: np.ndarray, weights: np.ndarray, count: int, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pick at most `count` members of each row in proportion to their weights.

    A member's new weight is its share of the points of `drawn_shares` times the row's total, so a
    weighted mean of losses keeps its expectation.

    Args:
        ids: int64 [B, P], -1 for an empty place.
        weights: float32 [B, P] >= 0; members of weight 0 are never picked.
        count: points of a row, at least 1.
        start: float64 [B] in [0, 1).

    Returns:
        int64 [B, count] ids, -1 behind the picked ones, and their float32 weights.
    """
    if not ids.shape[1]:
        return _wide(ids, count, NO_ID), _wide(weights, count, 0)
    known = np.where(ids == NO_ID, 0, weights)
    shares = drawn_shares(known, count, start)
    places = np.argsort(shares == 0, axis=1, kind="stable")[:, :count]
    hits = np.take_along_axis(shares, places, axis=1)
    picked = np.where(hits > 0, np.take_along_axis(ids, places, axis=1), NO_ID)
    each = hits * known.sum(axis=1, dtype=np.float64, keepdims=True)
    return _wide(picked, count, NO_ID), _wide(each.astype(np.float32), count, 0)


def drawn_shares(weights: np.ndarray, count: int, start: np.ndarray) -> np.ndarray:
    """Draw `count` points of each row in proportion to its weights: systematic sampling.

    The points (start + i) / count fall into the weights laid end to end (Madow 1949); a member's
    share is that of the points which it got. Its mean over `start` is its share of the weights.

    Args:
        weights: float [B, P] >= 0, P at least 1.
        count: points a row, at least 1.
        start: float64 [B] in [0, 1).

    Returns:
        float64 [B, P]; rows sum to 1, to 0 where all weights are 0.
    """
    laid = weights.astype(np.float64)
    total = laid.sum(axis=1, keepdims=True)
    ends = np.cumsum(laid, axis=1) / np.where(total > 0, total, 1)
    # The sum may miss 1 by a rounding: the last member with a weight ends at 1.
    last = laid.shape[1] - 1 - np.argmax(laid[:, ::-1] > 0, axis=1)
    ends[np.arange(laid.shape[1]) >= last[:, None]] = 1
    points = np.ceil(count * ends - start[:, None])
    return np.diff(points, axis=1, prepend=0.0) * (total > 0) / count


def pick_negatives(
    ids: np.ndarray, weights: np.ndarray, uniform: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pick members of each row evenly, none twice; they keep their weights.

    Args:
        ids: int64 [B, K], -1 for an empty place.
        weights: float32 [B, K].
        uniform: float64 [B, count] in [0, 1).

    Returns:
        int64 [B, count] ids, -1 where there are no more, and their float32 weights.
    """
    count = uniform.shape[1]
    if not ids.shape[1]:
        return _wide(ids, count, NO_ID), _wide(weights, count, 0)
    places = pick_places(ids != NO_ID, uniform)
    there, at = places != NO_ID, np.maximum(places, 0)
    picked = np.where(there, np.take_along_axis(ids, at, axis=1), NO_ID)
    return picked, np.where(there, np.take_along_axis(weights, at, axis=1), 0).astype(np.float32)


def pick_places(holds: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Pick places of each row where `holds` [B, L] is true, evenly, none twice; -1 for no more.

    Returns:
        int64 [B, count] for `uniform` float64 [B, count] in [0, 1).
    """
    order = np.argsort(~holds, axis=1, kind="stable")
    drawn = draw_distinct(uniform, holds.sum(axis=1))
    there = drawn != NO_ID
    if not order.shape[1]:
        return drawn
    return np.where(there, np.take_along_axis(order, np.where(there, drawn, 0), axis=1), NO_ID)


def draw_start(seed: int, rows: np.ndarray, epoch: int) -> np.ndarray:
    """Draw float64 [B]: where the points of `pick_positives` start for rows of `pairs`."""
    return draw_uniform(seed, rows, f"positive/{epoch}")[:, 0]


def _wide(values: np.ndarray, count: int, fill: int) -> np.ndarray:
    missing = count - values.shape[1]
    return np.pad(values, ((0, 0), (0, missing)), constant_values=fill) if missing > 0 else values

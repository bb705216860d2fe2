"""Draws without replacement that depend on content only, many rows at once."""

from __future__ import annotations

import numpy as np

from .fingerprint import draw_uint64
from .schema import NO_ID

_GONE = np.iinfo(np.int64).max // 2


def draw_distinct(
    uniform: np.ndarray, sizes: np.ndarray, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Draw distinct places from 0..size-1 for each row, each remaining place equally likely.

    Exact, without rejection: the t-th draw picks the r-th of the places that are left, found by
    counting the places below it that are gone (selection sampling over a sorted list of holes).
    A row whose places run out gets -1 for the rest. The first draws do not depend on how many
    follow, so a row may be drawn again with more.

    Args:
        uniform: float64 [n, count] in [0, 1), from `fingerprint.draw_uniform`.
        sizes: int64 [n], how many places a row has.
        excluded: int64 [n, E], places of 0..size-1 that must not be drawn; -1 is none, and a
            place may stand there twice.

    Returns:
        int64 [n, count].
    """
    rows, count = uniform.shape
    gone = np.full((rows, 0), _GONE) if excluded is None else _holes(excluded)
    left = sizes - (gone < _GONE).sum(axis=1)
    out = np.full((rows, count), NO_ID, np.int64)
    for turn in range(count):
        place = np.minimum((uniform[:, turn] * left).astype(np.int64), left - 1)
        # The i-th smallest hole lies below the place exactly if hole - i <= place.
        place += (gone - np.arange(gone.shape[1]) <= place[:, None]).sum(axis=1)
        there = left > 0
        out[there, turn] = place[there]
        added = np.where(there, place, _GONE)
        gone = np.sort(np.concatenate([gone, added[:, None]], axis=1), axis=1)
        left = left - there
    return out


def draw_rows(valid: np.ndarray, count: int, seed: int, purpose: str) -> np.ndarray:
    """Draw `count` of the rows `valid` (int64, ascending) without a generator; ascending."""
    if len(valid) <= count:
        return valid
    draws = draw_uint64(seed, valid, purpose)[:, 0]
    return np.sort(valid[np.lexsort((valid, draws))[:count]])


def _holes(excluded: np.ndarray) -> np.ndarray:
    holes = np.sort(np.where(excluded == NO_ID, _GONE, excluded), axis=1)
    holes[:, 1:][holes[:, 1:] == holes[:, :-1]] = _GONE
    return np.sort(holes, axis=1)

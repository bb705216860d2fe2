"""Vectors of length 1, in float32, rounded to the float16 that is stored."""

from __future__ import annotations

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return float32 [n, d] of length 1; rows that are zero or not finite become zero.

    Lengths are taken of rows scaled by their largest value, so that no square overflows.
    """
    values = np.asarray(vectors, np.float32)
    finite = np.isfinite(values).all(axis=1, keepdims=True)
    values = np.where(finite, values, np.float32(0))
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0)
    values = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    lengths = np.sqrt((values * values).sum(axis=1, keepdims=True, dtype=np.float32))
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)


def mean_of_runs(vectors: np.ndarray, owners: np.ndarray, count: int) -> np.ndarray:
    """Return for each of `count` samples the mean of its unit vectors, made a unit vector.

    Args:
        vectors: float32 [m, d], unit rows.
        owners: int64 [m], the sample of each row, ascending.
        count: samples; one without rows gets zeros.

    Returns:
        float32 [count, d].
    """
    total = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(total, owners, vectors)
    return unit(total)

"""The mean of several unit vectors of one sample."""

from __future__ import annotations

import numpy as np

from ...manifests.vectors import unit


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

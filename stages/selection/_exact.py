"""Cosines of stored vectors without rounding, so that no bit moves with threads or batches.

A stored vector is float16 of length 1: each value is a multiple of 2^-24, each product one of
2^-48, and by Cauchy-Schwarz every partial sum stays near 1 at most. All of them fit the 53 bits of
a float64, so a float64 product of such matrices is exact in whatever order BLAS adds.
"""

from __future__ import annotations

import numpy as np

from ...manifests.arrays import open_vectors
from ...manifests.errors import DataError
from ...manifests.vectors import check_comparable, unit

ROWS = 2048
"""Rows of a block of products."""


def dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the exact cosines of stored vectors, pair by pair.

    Args:
        left: float32 [n, d], rows of a VectorStore.
        right: float32 [n, d], likewise.

    Returns:
        float64 [n].

    Raises:
        DataError: the spaces are of different width.
    """
    check_comparable(left.shape[1], right.shape[1])
    return np.einsum("ij,ij->i", left.astype(np.float64), right.astype(np.float64))


def targets(path: str, dim: int, setting: str = "targets") -> np.ndarray:
    """Read vectors from outside as a space would store them: unit rows, rounded to float16.

    Args:
        path: .npy or Parquet; see `open_vectors`.
        dim: width of the space that they are compared with.
        setting: name of the setting, for messages.

    Returns:
        float64 [T, dim]; whole in memory.

    Raises:
        DataError: another width, no row, or a row that is zero or not finite.
    """
    table = open_vectors(path)
    if table.dim != dim:
        raise DataError(
            f"{setting}: {path} has vectors of width {table.dim}, the space has {dim}. Embed both "
            "with one encoder."
        )
    blocks = [unit(block).astype(np.float16) for _, block in table.blocks()]
    rows = np.concatenate([np.zeros((0, dim), np.float16), *blocks]).astype(np.float64)
    empty = np.flatnonzero(~rows.any(axis=1))
    if not len(rows) or len(empty):
        what = f"row {empty[0]} is zero or not finite" if len(rows) else "it has no rows"
        raise DataError(f"{setting}: {path}: {what}; every target needs a vector.")
    return rows

"""Numbers on a grid of 2^-24, whose products and sums round nothing.

Stored float16 vectors of length 1 are multiples of 2^-24 already. A product of two such coordinates
is a multiple of 2^-48, and by Cauchy-Schwarz no partial sum of a dot product leaves [-2, 2]: 50
bits, which float64 holds. So a matrix product is exact, whatever the order of its additions, and so
is a sum of up to 2^28 vectors.
"""

from __future__ import annotations

import numpy as np

_STEPS = 2.0**24


def to_grid(values: np.ndarray) -> np.ndarray:
    """Return float64 multiples of 2^-24."""
    return np.rint(values * _STEPS) / _STEPS


def unit_on_grid(rows: np.ndarray) -> np.ndarray:
    """Return float64 [n, d]: rows of norm 1 on the grid; zero rows stay zero."""
    norm = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return to_grid(np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0))

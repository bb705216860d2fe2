"""Generated pictures as a miner sees them: those of each anchor, measured in the frozen space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AssetLists:
    """The assets of the anchors of a block; row i is anchor i, in the order of their making.

    Attributes:
        keys: object [A, C] of str, None in an empty place.
        similarities: float32 [A, C], cosine to the anchor; NaN without a vector.
        nearest_ids: int64 [A, C], the nearest sample outside the anchor's group, -1 for none.
        nearest: float32 [A, C], its cosine to the asset.
        random: float32 [1001], similarities of random pairs of samples at equal steps of their
            order, ascending; empty where there are none.
    """

    keys: np.ndarray
    similarities: np.ndarray
    nearest_ids: np.ndarray
    nearest: np.ndarray
    random: np.ndarray

    def quantile(self, share: float) -> float:
        """Return the similarity below which this share of random pairs lies; -1 without any."""
        if not len(self.random):
            return -1.0
        return float(self.random[round(share * (len(self.random) - 1))])


class AssetReader:
    """The part of a miner that says which generated pictures it takes: none, where it is silent."""

    @property
    def asset_names(self) -> Sequence[str]:
        """Sections of `generate`."""
        return ()

"""Opens the assets that a miner names: from artifacts to lists of the anchors of a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...manifests.schema import NO_ID
from ..base import Inputs
from .base_assets import AssetLists

Opened = Callable[[str, np.ndarray], Mapping[str, AssetLists]]
"""(part, anchors int64 [A], consecutive) -> lists by name."""


def open_assets(inputs: Inputs, names: Sequence[str]) -> Opened:
    """Return what gives the assets of a part; `assets:<name>` and `measured:<name>` are inputs."""

    def of_part(part: str, anchors: np.ndarray) -> Mapping[str, AssetLists]:
        return {name: _lists(inputs, name, part, anchors) for name in names}

    return of_part


def _lists(inputs: Inputs, name: str, part: str, anchors: np.ndarray) -> AssetLists:
    table = inputs[f"assets:{name}"].table(part, ["key", "anchor_id"])
    measured = inputs[f"measured:{name}"]
    owners = table["anchor_id"].to_numpy()
    # Those of samples that a selector dropped are passed over.
    known = np.flatnonzero(np.isin(owners, anchors))
    rows = np.searchsorted(anchors, owners[known])
    counts = np.bincount(rows, minlength=len(anchors))
    at = (rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts))
    shape = (len(anchors), int(counts.max(initial=0)))
    keys = np.full(shape, None, object)
    keys[at] = table["key"].to_numpy()[known]
    similarities = np.full(shape, np.nan, np.float32)
    nearest_ids, nearest = np.full(shape, NO_ID, np.int64), np.zeros(shape, np.float32)
    similarities[at] = measured.array(part, "sims.npy")[known]
    nearest_ids[at] = measured.array(part, "nearest.npy")[known]
    nearest[at] = measured.array(part, "nearest_sims.npy")[known]
    random = np.array(measured.receipt(part).facts["random"], np.float32)
    return AssetLists(keys, similarities, nearest_ids, nearest, random)

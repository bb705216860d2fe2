"""Generated pictures of the anchors on a page: their rows and thumbnails, read once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..assets import assets_between, has_assets
from ..human import settings_line
from ..pairset import Pairset
from .thumbs import NO_IMAGE, Thumbnail, thumbnails

BYTES = 600_000
"""Bytes of all generated pictures of a page."""


class AssetPictures:
    """Assets of some anchors by key; empty where nothing was generated.

    Args:
        pairset: where they belong.
        anchors: whose assets are read, one row group of `assets` at a time.
    """

    def __init__(self, pairset: Pairset, anchors: Sequence[int]) -> None:
        self._pairset = pairset
        self._of: dict[int, list[dict[str, Any]]] = {}
        for anchor in dict.fromkeys(anchors) if has_assets(pairset) else ():
            rows = assets_between(pairset, anchor, anchor).to_pylist()
            if rows:
                self._of[anchor] = rows
        self._rows = {row["key"]: row for rows in self._of.values() for row in rows}
        self._made: Mapping[int, Thumbnail] = {}

    def draw(self, keys: Sequence[str]) -> None:
        """Make thumbnails, one for each place on the page, most important first."""
        known = [self._rows[key] for key in keys if key in self._rows]
        uses = Counter(row["asset_id"] for row in known)
        unique = {row["asset_id"]: {**row, "sample_id": row["asset_id"]} for row in known}
        self._made = thumbnails(self._pairset, [*unique.values()], frozenset(), uses, BYTES)

    @property
    def anchors(self) -> list[int]:
        """The anchors that have any, in the order that was asked for."""
        return list(self._of)

    def of(self, anchor: int) -> list[dict[str, Any]]:
        """Return the rows of `assets` of an anchor."""
        return self._of.get(anchor, [])

    def thumbnail(self, key: str) -> Thumbnail:
        """Return the picture of an asset."""
        return self._made.get(self._rows.get(key, {}).get("asset_id", -1), NO_IMAGE)

    def provenance(self, key: str) -> str:
        """Say how a picture was made: its generator and its recipe; "" where that is unknown."""
        row = self._rows.get(key)
        return f"{row['generator']}: {_recipe(row['recipe'])}" if row else ""


def _recipe(text: str) -> str:
    try:
        recipe = json.loads(text)
    except ValueError:
        return text
    return settings_line(recipe) if isinstance(recipe, dict) else text


def asset_keys(edges: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of the assets among some edges."""
    return [edge["asset"] for edge in edges if edge.get("asset")]

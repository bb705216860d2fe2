"""Anchors with their positives, negatives, masked and refused candidates, as cards of tiles."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..pairset import Pairset
from ..reasons import short
from ..schema import Role
from .asset_pictures import AssetPictures, asset_keys
from .choice import Chosen, resemblance, shares_label
from .rows import rows_with
from .thumbs import NO_IMAGE, Thumbnail, thumbnails

EDGE_COLUMNS = ("anchor_id", "other_id", "text", "role", "miner", "space", "rank", "similarity")
EDGE_COLUMNS = (*EDGE_COLUMNS, "positive_similarity", "action", "reason", "asset")
SAMPLE_COLUMNS = ("sample_id", "key", "shard", "offset", "size", "captions", "labels", "group_id")
SHOWN = {Role.POSITIVE: 5, Role.NEGATIVE: 8, Role.FALSE_NEGATIVE: 8, Role.SOFT: 5, Role.REFUSED: 6}
"""Tiles of a row at most; the rest is counted."""
TITLES = {
    Role.POSITIVE: "Positives",
    Role.NEGATIVE: "Hard negatives",
    Role.FALSE_NEGATIVE: "Masked false negatives",
    Role.SOFT: "Soft target",
    Role.REFUSED: "Refused",
}


@dataclass(frozen=True)
class Tile:
    """One candidate of an anchor.

    Attributes:
        similarity: cosine, or None.
        said: ("hard #12", why) for each miner that had it in this role; why it was refused or
            masked, for people, or "".
        label: True same label, False another, None unknown.
        alarm: why a negative looks false, or "".
    """

    key: str
    thumbnail: Thumbnail
    caption: str
    labels: str
    similarity: float | None
    said: list[tuple[str, str]]
    label: bool | None
    alarm: str = ""
    sample: int | None = None


@dataclass(frozen=True)
class TileRow:
    """The tiles of one role, and how many more there are."""

    role: str
    title: str
    tiles: list[Tile]
    more: int


@dataclass(frozen=True)
class Card:
    """One anchor. `flags` are what the filter buttons ask for."""

    key: str
    thumbnail: Thumbnail
    captions: list[str]
    labels: str
    why: str
    positive_similarity: float | None
    rows: list[TileRow]
    flags: list[str]


@dataclass(frozen=True)
class Portrait:
    """A sample that stands for itself: a hub, or a member of a group."""

    key: str
    thumbnail: Thumbnail
    caption: str
    labels: str
    note: str = ""


@dataclass
class _Candidate:
    edge: Mapping[str, Any]
    said: list[tuple[str, str]] = field(default_factory=list)


class Album:
    """The samples that a page shows and their pictures, read once."""

    def __init__(
        self,
        pairset: Pairset,
        ids: Sequence[int],
        large: frozenset[int],
        budget: int,
        assets: AssetPictures | None = None,
    ) -> None:
        """Read rows and pictures.

        Args:
            pairset: where the samples belong.
            ids: sample ids, one for each place on the page, most important first: the last go
                without a picture if need be.
            large: ids of anchors.
            budget: bytes of all pictures.
            assets: generated pictures of the anchors; none by default.
        """
        self.assets = assets or AssetPictures(pairset, [])
        unique = list(dict.fromkeys(ids))
        table = rows_with(pairset, "samples", "sample_id", np.array(unique), SAMPLE_COLUMNS)
        self._rows: dict[int, dict[str, Any]] = {row["sample_id"]: row for row in table.to_pylist()}
        known = [self._rows[row] for row in unique if row in self._rows]
        self._pictures = thumbnails(pairset, known, large, Counter(ids), budget)

    def row(self, sample: int) -> Mapping[str, Any]:
        """Return the columns of a sample that a page shows."""
        return self._rows[sample]

    def thumbnail(self, sample: int) -> Thumbnail:
        """Return the picture of a sample."""
        return self._pictures.get(sample, NO_IMAGE)

    def portrait(self, sample: int, note: str = "") -> Portrait:
        """Return a sample for a row of portraits."""
        row = self._rows[sample]
        caption = row["captions"][0] if row["captions"] else ""
        return Portrait(row["key"], self.thumbnail(sample), caption, ", ".join(row["labels"]), note)


Edges = dict[int, dict[str, list[_Candidate]]]


def read_edges(pairset: Pairset, anchors: Sequence[int]) -> Edges:
    """Return the candidates of some anchors by role.

    A candidate that several miners have in one role is one candidate; one that a miner refused
    and another took stands with what it was taken for only.
    """
    table = rows_with(pairset, "edges", "anchor_id", np.array(anchors, np.int64), EDGE_COLUMNS)
    found: dict[int, dict[str, dict[Any, _Candidate]]] = defaultdict(lambda: defaultdict(dict))
    for edge in table.to_pylist():
        name = edge["other_id"]
        if name is None:
            name = edge["text"] if edge["text"] is not None else edge["asset"]
        roles = found[edge["anchor_id"]][edge["role"]]
        candidate = roles.setdefault(name, _Candidate(edge))
        rank = f" #{edge['rank']}" if edge["space"] else ""
        candidate.said.append((f"{edge['miner']}{rank}", _why(edge)))
    return {anchor: _roles(roles) for anchor, roles in found.items()}


def _roles(roles: Mapping[str, Mapping[Any, _Candidate]]) -> dict[str, list[_Candidate]]:
    taken = {name for role, items in roles.items() if role != Role.REFUSED for name in items}
    lists = {role: list(items.values()) for role, items in roles.items() if role != Role.REFUSED}
    refused = roles.get(Role.REFUSED, {})
    lists[Role.REFUSED] = _varied([item for name, item in refused.items() if name not in taken])
    return lists


def _varied(candidates: list[_Candidate]) -> list[_Candidate]:
    # Most refusals of an anchor share one reason; the page shows one of each before a second.
    turns: dict[str, int] = defaultdict(int)
    keyed = []
    for candidate in candidates:
        reason = candidate.edge["reason"]
        keyed.append((turns[reason], -_similarity(candidate.edge, -1.0), len(keyed), candidate))
        turns[reason] += 1
    return [item[-1] for item in sorted(keyed, key=lambda item: item[:3])]


def shown_ids(edges: Edges, anchors: Sequence[int]) -> list[int]:
    """Return the ids of the samples on the cards: anchors first, then row by row."""
    ids = list(anchors)
    for role in TITLES:
        for anchor in anchors:
            shown = edges.get(anchor, {}).get(role, [])[: SHOWN[role]]
            ids += [c.edge["other_id"] for c in shown if c.edge["other_id"] is not None]
    return ids


def shown_assets(edges: Edges, anchors: Sequence[int]) -> list[str]:
    """Return the keys of the generated pictures on the cards, row by row."""
    return asset_keys(
        candidate.edge
        for role in TITLES
        for anchor in anchors
        for candidate in edges.get(anchor, {}).get(role, [])[: SHOWN[role]]
    )


def make_cards(
    album: Album, chosen: Iterable[Chosen], edges: Edges, labels_tell: bool
) -> list[Card]:
    """Return the cards of the chosen anchors, in their order.

    Args:
        album: the samples.
        chosen: the anchors.
        edges: their candidates.
        labels_tell: whether labels can tell samples apart (there is more than one).
    """
    return [_card(album, item, edges.get(item.anchor, {}), labels_tell) for item in chosen]


def _card(
    album: Album, item: Chosen, roles: Mapping[str, list[_Candidate]], labels_tell: bool
) -> Card:
    anchor = album.row(item.anchor)
    rows, flags = [], []
    for role, title in TITLES.items():
        candidates = roles.get(role, [])
        tiles = [_tile(album, item.anchor, c) for c in candidates[: SHOWN[role]]]
        if role == Role.NEGATIVE:
            tiles = [_alarmed(album, anchor, tile, labels_tell) for tile in tiles]
        if tiles:
            rows.append(TileRow(role, title, tiles, len(candidates) - len(tiles)))
            flags += {Role.FALSE_NEGATIVE: ["masked"], Role.REFUSED: ["refused"]}.get(role, [])
        if any(tile.alarm for tile in tiles):
            flags.append("suspicious")
    held = [c.edge["positive_similarity"] for c in roles.get(Role.NEGATIVE, [])]
    known = [value for value in held if value is not None and not math.isnan(value)]
    return Card(
        anchor["key"],
        album.thumbnail(item.anchor),
        list(anchor["captions"]),
        ", ".join(anchor["labels"]),
        item.why,
        known[0] if known else None,
        rows,
        flags,
    )


def _alarmed(album: Album, anchor: Mapping[str, Any], tile: Tile, labels_tell: bool) -> Tile:
    if tile.sample is None:
        return tile
    return replace(tile, alarm=resemblance(anchor, album.row(tile.sample), labels_tell))


def _tile(album: Album, anchor: int, candidate: _Candidate) -> Tile:
    edge, other = candidate.edge, candidate.edge["other_id"]
    similarity = _similarity(edge, math.nan)
    shown = None if math.isnan(similarity) else similarity
    if other is None:
        key = edge.get("asset") or ""
        text = edge["text"] or album.assets.provenance(key) or key
        return Tile(key, album.assets.thumbnail(key), text, "", shown, candidate.said, None)
    mine, row = album.row(anchor), album.row(other)
    if other == anchor:
        note = Thumbnail("", 0, 0, "two views of the anchor itself")
        return Tile(row["key"], note, "", "", shown, candidate.said, None)
    return Tile(
        row["key"],
        album.thumbnail(other),
        row["captions"][0] if row["captions"] else "",
        ", ".join(row["labels"]),
        shown,
        candidate.said,
        shares_label(mine, row),
        sample=other,
    )


def _why(edge: Mapping[str, Any]) -> str:
    if edge["role"] == Role.FALSE_NEGATIVE:
        return str(edge["action"] or "")
    return short(str(edge["reason"]))


def _similarity(edge: Mapping[str, Any], missing: float) -> float:
    value = edge["similarity"]
    return missing if value is None or math.isnan(value) else float(value)

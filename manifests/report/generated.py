"""What each generator made, and some anchors with their pictures: taken or refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..assets import section_of
from ..schema import Role
from .asset_pictures import AssetPictures
from .gallery import Album, Edges, Portrait
from .thumbs import Thumbnail

ANCHORS = 6
"""Anchors that are shown with their pictures."""
PICTURES = 8
"""Pictures of an anchor at most; the rest is counted."""


@dataclass(frozen=True)
class Section:
    """A section of `generate`: what made it, how many, and how many miners took."""

    name: str
    generator: str
    fidelity: str
    paper: str
    made: int
    taken: int | None


@dataclass(frozen=True)
class Made:
    """A generated picture.

    Attributes:
        key: of the asset.
        thumbnail: its picture.
        similarity: cosine to its anchor, or None.
        provenance: generator and recipe.
        verdicts: (miner, "taken" or why it was refused), one for each miner that looked at it.
        taken: whether one took it.
    """

    key: str
    thumbnail: Thumbnail
    similarity: float | None
    provenance: str
    verdicts: list[tuple[str, str]]
    taken: bool


@dataclass(frozen=True)
class MadeRow:
    """An anchor, its generated pictures, and how many more there are."""

    anchor: Portrait
    pictures: list[Made]
    more: int


def sections(manifest: Mapping[str, Any]) -> list[Section]:
    """Return what the manifest says of each section."""
    return [
        Section(
            name,
            str(entry["generator"].get("class", "")).rsplit(":", 1)[-1],
            str(entry.get("fidelity", "")),
            str(entry.get("paper", "")),
            int(entry.get("assets", 0)),
            _taken(manifest, name),
        )
        for name, entry in (manifest.get("assets") or {}).items()
    ]


def _taken(manifest: Mapping[str, Any], section: str) -> int | None:
    mine = [item for item in manifest["miners"] if item["settings"].get("assets") == section]
    counts = [item.get("facts", {}).get("taken") for item in mine]
    return sum(counts) if counts and None not in counts else None


def shown_keys(pictures: AssetPictures) -> list[str]:
    """Return the keys of the pictures that the rows show."""
    return [row["key"] for anchor in pictures.anchors[:ANCHORS] for row in _first(pictures, anchor)]


def _first(pictures: AssetPictures, anchor: int) -> list[dict[str, Any]]:
    """Return the first pictures of an anchor, those of each section in turn."""
    by_section: dict[str, int] = {}
    turns = []
    for at, row in enumerate(pictures.of(anchor)):
        section = section_of(row["key"])
        turns.append((by_section.get(section, 0), at, row))
        by_section[section] = turns[-1][0] + 1
    return [row for *_, row in sorted(turns, key=lambda item: item[:2])][:PICTURES]


def made_rows(album: Album, pictures: AssetPictures, edges: Edges) -> list[MadeRow]:
    """Return some anchors with their generated pictures."""
    found = []
    for anchor in pictures.anchors[:ANCHORS]:
        said: dict[str, list[tuple[str, str]]] = {}
        taken = set()
        for role, candidates in edges.get(anchor, {}).items():
            for candidate in candidates:
                key = candidate.edge.get("asset")
                if key:
                    says = [(miner, why or "taken") for miner, why in candidate.said]
                    said.setdefault(key, []).extend(says)
                    taken |= {key} if role == Role.POSITIVE else set()
        rows = _first(pictures, anchor)
        found.append(
            MadeRow(
                album.portrait(anchor),
                [_made(pictures, row, said.get(row["key"], []), taken) for row in rows],
                len(pictures.of(anchor)) - len(rows),
            )
        )
    return found


def _made(
    pictures: AssetPictures, row: Mapping[str, Any], said: list[tuple[str, str]], taken: set[str]
) -> Made:
    key = row["key"]
    return Made(
        key,
        pictures.thumbnail(key),
        row["similarity"],
        pictures.provenance(key),
        said,
        key in taken,
    )

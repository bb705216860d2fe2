"""One anchor with all its candidates, in the words and the order of the report's gallery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..explain import explain
from ..lookup import SampleRows
from ..pairset import Pairset
from ..report.choice import resemblance, shares_label
from ..report.gallery import TITLES, read_edges
from ..schema import CLUSTERS_PREFIX, NO_ID, Role

_ABOUT = ("key", "labels", "captions")


def anchor_page(pairset: Pairset, sample: int, labels_tell: bool) -> dict[str, Any]:
    """Return an anchor's sample, its rows of tiles by role, and what became of it.

    Args:
        pairset: whose.
        sample: id of the anchor.
        labels_tell: whether labels can tell samples apart (there is more than one).

    Returns:
        JSON: sample (as `explain` has it), duplicates, selection, clusters (name -> ids by level),
        pair (whether it has a row), rows: role, title and tiles; a tile has id or text, similarity,
        said ([miner and rank, short reason], ...), why (sentences), in_row, same_label, alarm.

    Raises:
        DataError: there is no such sample.
    """
    SampleRows(pairset, ["sample_id"]).row(sample)
    facts = explain(pairset, sample)
    sentences: dict[tuple[str, Any], list[str]] = defaultdict(list)
    placed: set[tuple[str, Any]] = set()
    for edge in facts["edges"]:
        name = (edge["role"], _name(edge))
        sentences[name].append(edge["why"])
        if edge["in_row"]:
            placed.add(name)
    roles = read_edges(pairset, [sample]).get(sample, {})
    named = {c.edge["other_id"] for items in roles.values() for c in items} - {None}
    about = SampleRows(pairset, ["sample_id", *_ABOUT]).rows([sample, *named])
    rows = []
    for role, title in TITLES.items():
        tiles = []
        for candidate in roles.get(role, ()):
            edge, name = candidate.edge, (str(role), _name(candidate.edge))
            tile = {
                **_tile(edge, about, sample),
                "said": candidate.said,
                "why": sentences[name],
                "in_row": name in placed,
            }
            if role == Role.NEGATIVE and tile["id"] is not None:
                tile["alarm"] = resemblance(about[sample], about[tile["id"]], labels_tell)
            tiles.append(tile)
        if tiles:
            rows.append({"role": str(role), "title": title, "tiles": tiles})
    return {
        "id": sample,
        **{name: facts[name] for name in ("key", "sample", "duplicates", "selection")},
        "clusters": _clusters(pairset, sample),
        "pair": facts["pair"] is not None,
        "synthetic": len(facts["synthetic"]),
        "rows": rows,
    }


def shown_on(page: Mapping[str, Any]) -> list[int]:
    """Return the ids of the samples on an anchor's page."""
    tiles = (tile for row in page["rows"] for tile in row["tiles"])
    return [tile["id"] for tile in tiles if tile["id"] is not None]


def _tile(edge: Mapping[str, Any], about: Mapping[int, Any], sample: int) -> dict[str, Any]:
    other = edge["other_id"]
    same = None if other is None else shares_label(about[sample], about[other])
    return {
        "id": other,
        "text": None if other is not None else _name(edge),
        "similarity": edge["similarity"],
        "same_label": same,
        "alarm": "",
    }


def _name(edge: Mapping[str, Any]) -> Any:
    if edge["other_id"] is not None and edge["other_id"] != NO_ID:
        return edge["other_id"]
    return edge["text"] or edge.get("asset") or ""


def _clusters(pairset: Pairset, sample: int) -> dict[str, list[int]]:
    tables = [name for name in pairset.manifest["tables"] if name.startswith(CLUSTERS_PREFIX)]
    columns = ["sample_id", "cluster_ids"]
    return {
        name.removeprefix(CLUSTERS_PREFIX): SampleRows(pairset, columns, name).row(sample)[
            "cluster_ids"
        ]
        for name in tables
    }

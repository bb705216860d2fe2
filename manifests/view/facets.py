"""What there is to filter by: splits, labels, clusters, miners, reasons."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from ..pairset import Pairset
from ..reasons import WORDS, short
from ..report.gallery import TITLES

LABELS = 1000
"""Labels that are offered, the most frequent first; any other can be typed."""
_COUNTED = 100_000
"""Different labels that are counted; those met later are not."""


def facets(pairset: Pairset) -> dict[str, Any]:
    """Return JSON: name, root, counts, splits, labels, clusters, roles, miners, reasons, spaces.

    One pass over `samples`. Held: a counter of at most 100,000 labels.
    """
    manifest = pairset.manifest
    splits: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    pictures = 0
    for block in pairset.tables("samples", ["split", "labels", "size"]):
        _count(splits, block["split"], _COUNTED)
        _count(labels, pc.call_function("list_flatten", [block["labels"]]), _COUNTED)
        pictures += int((block["size"].to_numpy() > 0).sum())
    refused: Counter[str] = Counter()
    for miner in manifest["miners"]:
        refused.update(miner.get("facts", {}).get("refused", {}))
    reasons = sorted(refused, key=lambda name: (-refused[name], name)) or list(WORDS)
    return {
        "name": _name(manifest["corpus"]["source"]),
        "root": str(pairset.root),
        "manifest_id": manifest["manifest_id"],
        "counts": dict(manifest["counts"]),
        "pictures": pictures,
        "splits": sorted(splits.items()),
        "labels": labels.most_common(LABELS),
        "more_labels": max(len(labels) - LABELS, 0),
        "clusters": {
            name: int(entry["levels"][0]["clusters"])
            for name, entry in (manifest.get("clusters") or {}).items()
        },
        "roles": [[str(role), title] for role, title in TITLES.items()],
        "miners": [[item["id"], item["role"]] for item in manifest["miners"]],
        "reasons": [[name, short(name)] for name in reasons],
        "spaces": sorted(manifest["embeddings"]),
        "can_ask": any(item["query"] == item["bank"] for item in manifest["neighbors"].values()),
    }


def _count(counter: Counter[str], column: Any, most: int) -> None:
    for item in pc.call_function("value_counts", [column]).to_pylist():
        if item["values"] in counter or len(counter) < most:
            counter[item["values"]] += item["counts"]


def _name(source: Any) -> str:
    text = str(source).rstrip("/")
    return text.rsplit("/", 1)[-1] or text or "corpus"

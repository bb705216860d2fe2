"""An explanation of one anchor as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .schema import Role
from .verdicts import ending

_TITLES = {
    Role.POSITIVE: "Positives",
    Role.NEGATIVE: "Negatives",
    Role.FALSE_NEGATIVE: "False negatives",
    Role.SOFT: "Soft target",
    Role.REFUSED: "Refused",
}


def render(facts: Mapping[str, Any]) -> str:
    """Return an explanation as plain text: the anchor, then its edges by role."""
    sample = facts["sample"]
    lines = [
        f"{facts['key']} (sample {facts['sample_id']}, split {sample['split']})",
        f"  caption: {sample['caption'] or '-'}",
        f"  label: {sample['label'] or '-'}",
        f"  near-duplicates: {', '.join(facts['duplicates']) or 'none'}",
    ]
    lines += [f"  selection: {item['why']}" for item in facts["selection"]]
    for role, title in _TITLES.items():
        edges = [edge for edge in facts["edges"] if edge["role"] == role]
        if role is Role.SOFT and not edges:
            continue
        lines += ["", f"{title} ({len(edges)})", *_edge_lines(edges)]
    if facts["synthetic"]:
        lines += ["", f"Synthetic negatives ({len(facts['synthetic'])} recipes)"]
        lines += [_recipe_line(item) for item in facts["synthetic"]]
    return "\n".join([*lines, *ending(facts)])


def _recipe_line(item: Mapping[str, Any]) -> str:
    parents = " and ".join(key for key in (item["a_key"], item["b_key"]) if key)
    return f"  {item['method']:<14} type {item['type']}: {parents}, coefficient {item['coef']:.3f}"


def _edge_lines(edges: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for edge in edges:
        name = edge["other_key"] or edge["text"] or edge["asset"] or "?"
        about = edge["other_caption"] or edge["other_label"]
        lines.append(f"  {edge['miner']:<14} {name}" + (f'  "{about}"' if about else ""))
        lines.append(f"  {'':<14} {edge['why']}")
    return lines

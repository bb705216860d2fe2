"""What changed between two pairsets: config, samples, pairs, miners, neighbours.

Ids differ when corpora differ, so samples are matched by key. overlap@k of two lists is the share
of the first k places that name the same sample, of the longer list; the mean over anchors that
have an entry in either pairset and a row in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .codes import combinations
from .inspect import grid
from .overlap import Match, Overlap, shared, spilled
from .pairset import Pairset
from .schema import NEIGHBORS_PREFIX, NO_ID, Role, list_matrix

KEYS = 10
"""Keys of added, removed and changed samples that are named."""
_ROLES = (Role.POSITIVE, Role.NEGATIVE, Role.FALSE_NEGATIVE)
_NAMES = {Role.POSITIVE: "positives", Role.NEGATIVE: "negatives"}


def diff(a: str | Path, b: str | Path, keys: int = KEYS) -> dict[str, Any]:
    """Compare two pairsets.

    Args:
        a: the older one.
        b: the newer one.
        keys: how many keys of added, removed and changed samples are named.

    Returns:
        JSON: a, b (root, manifest_id, counts, false_negative_rate), same (whether nothing differs),
        config (changed {key: [a, b]}, only_a, only_b), samples (common, added, removed, changed,
        each with count and keys), pairs (anchors in both, only_a, only_b, and by role k, anchors,
        overlap_at_1, overlap_at_k, equal_lists), miners (by id: taken and refused edges of both,
        and of the places that it fills in rows: of a, of b, in both), neighbors (by graph).

    Raises:
        PairsetError: one of them is no pairset.
    """
    left, right = Pairset.open(a), Pairset.open(b)
    match = Match.of(left, right)
    pairs, places = _pairs(left, right, match)
    return {
        "a": _about(left),
        "b": _about(right),
        "same": left.manifest_id == right.manifest_id,
        "config": _config(left.manifest["config"], right.manifest["config"]),
        "samples": _samples(left, right, match, keys),
        "pairs": pairs,
        "miners": _miners(left, right, places),
        "neighbors": {graph: _graph(left, right, match, graph) for graph in _graphs(left, right)},
    }


def _about(pairset: Pairset) -> dict[str, Any]:
    rate = pairset.manifest["quality"]["false_negative_rate"]
    return {
        "root": str(pairset.root),
        "manifest_id": pairset.manifest_id,
        "counts": dict(pairset.counts),
        "false_negative_rate": rate["value"],
    }


def _config(a: Any, b: Any) -> dict[str, Any]:
    left, right = dict(_leaves(a, "")), dict(_leaves(b, ""))
    both = [key for key in left if key in right]
    return {
        "changed": {key: [left[key], right[key]] for key in both if left[key] != right[key]},
        "only_a": {key: value for key, value in left.items() if key not in right},
        "only_b": {key: value for key, value in right.items() if key not in left},
    }


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value, as `--set` writes them; empty mappings and lists as they are."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    else:
        yield path, value


def _samples(a: Pairset, b: Pairset, match: Match, keys: int) -> dict[str, Any]:
    before, after = _image_names(a), _image_names(b)
    common = np.flatnonzero(match.there >= 0)
    other = before[common] != after[match.there[common]]
    return {
        "common": match.common,
        "added": _named(b, np.flatnonzero(match.back < 0), keys),
        "removed": _named(a, np.flatnonzero(match.there < 0), keys),
        "changed": _named(a, common[other], keys),
    }


def _image_names(pairset: Pairset) -> np.ndarray:
    """Return uint64 [N]: the first 64 bits of each image's hash; 0 without an image."""
    blocks = [np.zeros(0, np.uint64)]
    for table in pairset.tables("samples", ["sha256"]):
        texts = table["sha256"].to_pylist()
        blocks.append(np.array([int(text[:16], 16) if text else 0 for text in texts], np.uint64))
    return np.concatenate(blocks)


def _named(pairset: Pairset, ids: np.ndarray, keys: int) -> dict[str, Any]:
    wanted, found, first = ids[:keys], list[str](), 0
    for table in pairset.tables("samples", ["key"]):
        here = wanted[(wanted >= first) & (wanted < first + table.num_rows)] - first
        found += table["key"].take(here).to_pylist()
        first += table.num_rows
        if len(found) == len(wanted):
            break
    return {"count": len(ids), "keys": found}


def _pairs(a: Pairset, b: Pairset, match: Match) -> tuple[dict[str, Any], dict[str, Counter[str]]]:
    """Return overlaps by role, and by miner how many places of rows it fills in a, b and both."""
    columns = [f"{role}_ids" for role in _ROLES] + [f"{role}_kinds" for role in _NAMES]
    overlaps = {role: Overlap(_places(a, b, role)) for role in _ROLES}
    places = {name: Counter[str]() for name in ("a", "b", "both")}
    anchors = 0
    with spilled(b, "pairs", "anchor_id", columns) as other:
        for table in a.tables("pairs", ["anchor_id", *columns]):
            own = match.named(table["anchor_id"].to_numpy())
            rows = np.flatnonzero(own >= 0)
            rows = rows[other.row_of[own[rows]] != NO_ID]
            anchors += len(rows)
            for role, overlap in overlaps.items():
                whole = match.named(list_matrix(table[f"{role}_ids"]))
                left, right = whole[rows], other.at(f"{role}_ids", own[rows])
                overlap.add(left, right)
                if role not in _NAMES:
                    continue
                kinds = list_matrix(table[f"{role}_kinds"])
                _count(places["a"], a, kinds[whole != NO_ID])
                theirs = other.at(f"{role}_kinds", own[rows])
                mine = _translated(a, b)[kinds[rows]]
                for kind in np.unique(mine[mine >= 0]):
                    same = np.where(theirs == kind, right, NO_ID)
                    hits = shared(np.where(mine == kind, left, NO_ID), same)
                    places["both"][b.manifest["kinds"][kind]] += int(hits.sum())
        for role in _NAMES:
            for kinds in _blocks(other.lists.get(f"{role}_kinds", np.zeros((0, 0), np.int8))):
                _count(places["b"], b, kinds[kinds >= 0])
    facts = {_NAMES.get(role, "false_negatives"): item.facts() for role, item in overlaps.items()}
    only = {f"only_{name}": int(p.counts["pairs"]) - anchors for name, p in (("a", a), ("b", b))}
    return {"anchors": anchors, **only, **facts}, places


def _places(a: Pairset, b: Pairset, role: Role) -> int:
    name = {Role.POSITIVE: "P", Role.NEGATIVE: "K"}.get(role, "F")
    return min(int(a.counts[name]), int(b.counts[name]))


def _translated(a: Pairset, b: Pairset) -> np.ndarray:
    """Return int64 [kinds of a + 1]: the code in b of each kind of a, -1 where b has none."""
    names = list(b.manifest["kinds"])
    return np.array([names.index(n) if n in names else -1 for n in a.manifest["kinds"]] + [-1])


def _blocks(lists: np.ndarray, rows: int = 8192) -> Iterator[np.ndarray]:
    return (lists[start : start + rows] for start in range(0, len(lists), rows))


def _count(places: Counter[str], pairset: Pairset, kinds: np.ndarray) -> None:
    names = pairset.manifest["kinds"]
    for kind, count in enumerate(np.bincount(kinds.astype(np.int64), minlength=len(names))):
        places[names[kind]] += int(count)


def _miners(
    a: Pairset, b: Pairset, places: Mapping[str, Counter[str]]
) -> dict[str, dict[str, Any]]:
    edges = {"a": _edges(a), "b": _edges(b)}
    found = {}
    for name in dict.fromkeys([*a.manifest["kinds"], *b.manifest["kinds"]]):
        found[name] = {
            what: {side: counts.get((name, taken), 0) for side, counts in edges.items()}
            for what, taken in (("taken", True), ("refused", False))
        }
        found[name]["places"] = {side: counts[name] for side, counts in places.items()}
    return found


def _edges(pairset: Pairset) -> Counter[tuple[str, bool]]:
    """Count edges by miner, taken ones and refused ones."""
    counts: Counter[tuple[str, bool]] = Counter()
    for table in pairset.tables("edges", ["miner", "role"]):
        names, codes = combinations(table, ("miner", "role"))
        for (miner, role), count in zip(
            names, np.bincount(codes, minlength=len(names)), strict=True
        ):
            counts[miner, role != str(Role.REFUSED)] += int(count)
    return counts


def _graphs(a: Pairset, b: Pairset) -> list[str]:
    return [
        name.removeprefix(NEIGHBORS_PREFIX)
        for name in a.manifest["tables"]
        if name.startswith(NEIGHBORS_PREFIX) and name in b.manifest["tables"]
    ]


def _graph(a: Pairset, b: Pairset, match: Match, graph: str) -> dict[str, Any]:
    table = f"{NEIGHBORS_PREFIX}{graph}"
    overlap = Overlap(min(int(p.manifest["neighbors"][graph]["k"]) for p in (a, b)))
    with spilled(b, table, "sample_id", ["neighbor_ids"]) as other:
        for block in a.tables(table, ["sample_id", "neighbor_ids"]):
            own = match.named(block["sample_id"].to_numpy())
            rows = np.flatnonzero(own >= 0)
            left = match.named(list_matrix(block["neighbor_ids"])[rows])
            overlap.add(left, other.at("neighbor_ids", own[rows]))
    return overlap.facts()


def render(facts: Mapping[str, Any]) -> str:
    """Return the facts as plain text tables."""
    a, b = facts["a"], facts["b"]
    parts = [f"A {a['root']}\nB {b['root']}"]
    if facts["same"]:
        parts.append("The two are the same: one manifest_id.")
    counts = [
        (n, a["counts"].get(n, 0), b["counts"].get(n, 0)) for n in {**a["counts"], **b["counts"]}
    ]
    rates = ("false-negative rate", a["false_negative_rate"], b["false_negative_rate"])
    parts.append(grid(["", "A", "B"], [*counts, rates]))
    parts += ["Config", _config_grid(facts["config"]), "Samples, by key"]
    samples = [("in both", facts["samples"]["common"], "")]
    samples += [
        (name, facts["samples"][name]["count"], ", ".join(facts["samples"][name]["keys"]))
        for name in ("added", "removed", "changed")
    ]
    parts.append(grid(["samples", "count", "keys"], samples))
    pairs = facts["pairs"]
    only = ", ".join(f"{pairs[f'only_{side}']:,} in {side.upper()} only" for side in ("a", "b"))
    parts.append(f"Pairs: {pairs['anchors']:,} anchors in both, {only}")
    lists = [(n, p) for n, p in pairs.items() if isinstance(p, Mapping)]
    lists += [(f"neighbours {n}", p) for n, p in facts["neighbors"].items()]
    names = ("k", "anchors", "overlap_at_1", "overlap_at_k", "equal_lists")
    parts.append(grid(["lists", *names], [(n, *(p[key] for key in names)) for n, p in lists]))
    miners = [
        (name, *(entry["taken"][s] for s in "ab"), *(entry["refused"][s] for s in "ab"),
         *entry["places"].values())
        for name, entry in facts["miners"].items()
    ]  # fmt: skip
    header = ["miner", "taken A", "taken B", "refused A", "refused B"]
    parts.append(grid([*header, "places A", "places B", "in both"], miners))
    return "\n\n".join(parts)


def _config_grid(config: Mapping[str, Any]) -> str:
    rows = [(key, str(old), str(new)) for key, (old, new) in config["changed"].items()]
    rows += [(key, str(value), "") for key, value in config["only_a"].items()]
    rows += [(key, "", str(value)) for key, value in config["only_b"].items()]
    return grid(["key", "A", "B"], sorted(rows)) if rows else "no difference"

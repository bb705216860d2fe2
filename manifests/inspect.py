"""The numbers of a pairset, counted from its tables: what `curate inspect` prints.

Read row group by row group. Held: 8 bytes a sample and graph (who is listed how often), and one
histogram of 2000 bins for each role and miner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .codes import combinations
from .hubness import hubness
from .pairset import Pairset
from .schema import NO_ID, list_matrix
from .tradeoffs import tradeoffs
from .verdicts import kept_samples

BINS = 2000
"""Bins of a histogram of similarities over [-1, 1]: quantiles are exact to 0.001."""
QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def inspect(root: str | Path) -> dict[str, Any]:
    """Count a pairset.

    Returns:
        JSON: counts, similarities (by role, miner and space), refused, coverage,
        false_negative_rate, tradeoffs (see `tradeoffs.tradeoffs`), hubness (by graph, and of what
        pairs use), rejects, samples, selection (by selector), splits, groups, clusters (by set and
        level), spaces, neighbors, thresholds, plans.

    Raises:
        PairsetError: there is no pairset.
    """
    pairset = Pairset.open(root)
    manifest = pairset.manifest
    similarities, refused = _edges(pairset)
    coverage, use = _pairs(pairset)
    graphs = [n.removeprefix("neighbors/") for n in manifest["tables"] if "neighbors/" in n]
    return {
        "root": str(pairset.root),
        "manifest_id": pairset.manifest_id,
        "counts": dict(pairset.counts),
        "similarities": similarities,
        "refused": refused,
        "coverage": coverage,
        "false_negative_rate": dict(manifest["quality"]["false_negative_rate"]),
        "tradeoffs": tradeoffs(pairset),
        "hubness": {graph: _graph_hubness(pairset, graph) for graph in graphs} | use,
        "rejects": _words(pairset, "rejects", "code"),
        "samples": _samples(pairset),
        "selection": {
            item["id"]: {key: item[key] for key in ("kept", "dropped", "facts")}
            for item in manifest.get("selection", [])
        },
        "splits": _words(pairset, "samples", "split"),
        "groups": dict(manifest["groups"]),
        "clusters": _clusters(manifest.get("clusters", {})),
        "spaces": {
            name: {key: space[key] for key in ("of", "dim", "missing")}
            for name, space in manifest["embeddings"].items()
        },
        "neighbors": {graph: _graph_facts(manifest["neighbors"][graph]) for graph in graphs},
        "thresholds": {
            graph: {key: found.get(key) for key in ("attract", "eliminate", "truth")}
            for graph, found in manifest["thresholds"].items()
        },
        "plans": {entry["name"]: plan_facts(entry) for entry in manifest.get("plans", ())},
    }


def _clusters(sets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the sizes of every level, by "NAME.LEVEL"."""
    return {
        f"{name}.{level}": {**sizes, "without": found["without_cluster"]}
        for name, found in sets.items()
        for level, sizes in enumerate(found["levels"])
    }


def plan_facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan of batches is, and how its batches compare with random ones.

    `hardest`: mean cosine of a row and the most similar other of its batch;
    `false_negative_rate`: share of ordered pairs of a batch with one label. None where unknown.
    """
    known = ("planner", "fidelity", "split", "batches", "size", "pairs_left_out")
    judged = ("hardest", "hardest_random", "false_negative_rate", "false_negative_rate_random")
    facts = entry["facts"]
    return {key: entry[key] for key in known} | {key: facts.get(key) for key in judged}


def _graph_facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: entry.get(key) for key in ("k", "exact", "recall", "min_recall", "short_rows")}
    correction = entry.get("correction") or {}
    return {
        **facts,
        "correct": correction.get("by"),
        "skewness_before": (correction.get("before") or {}).get("skewness"),
        "skewness_after": (correction.get("after") or {}).get("skewness"),
    }


def _edges(pairset: Pairset) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """Return quantiles by (role, miner, space), and refused candidates by miner and reason."""
    histograms: dict[tuple[str, ...], np.ndarray] = {}
    unmeasured: Counter[tuple[str, ...]] = Counter()
    refused: dict[str, Counter[str]] = {}
    columns = ["role", "miner", "space", "reason", "similarity"]
    for table in pairset.tables("edges", columns):
        names, codes = combinations(table, ("role", "miner", "space"))
        values = np.asarray(table["similarity"].to_numpy(), np.float64)
        for code, name in enumerate(names):
            mine = values[codes == code]
            known = mine[~np.isnan(mine)]
            unmeasured[name] += len(mine) - len(known)
            counts = histograms.setdefault(name, np.zeros(BINS, np.int64))
            counts += _binned(known)
        names, codes = combinations(table, ("miner", "reason"))
        for (miner, reason), count in zip(
            names, np.bincount(codes, minlength=len(names)), strict=True
        ):
            if reason:
                refused.setdefault(miner, Counter())[reason] += int(count)
    order = {name: place for place, name in enumerate(pairset.manifest["kinds"])}
    ranked = sorted(histograms, key=lambda name: (name[0], order.get(name[1], -1), name[2]))
    rows = [_similarity_row(name, histograms[name], unmeasured[name]) for name in ranked]
    return rows, {miner: dict(counts.most_common()) for miner, counts in refused.items()}


def _binned(similarities: np.ndarray) -> np.ndarray:
    places = np.clip(((similarities + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
    return np.bincount(places, minlength=BINS)


def _similarity_row(name: tuple[str, ...], counts: np.ndarray, without: int) -> dict[str, Any]:
    total = int(counts.sum())
    reached = np.cumsum(counts)
    quantiles = {}
    if total:
        for share in QUANTILES:
            place = int(np.searchsorted(reached, share * (total - 1), side="right"))
            quantiles[f"p{round(share * 100):02d}"] = round((place + 0.5) * 2 / BINS - 1, 4)
    role, miner, space = name
    return {
        "role": role,
        "miner": miner,
        "space": space,
        "edges": total + without,
        "measured": total,
        "quantiles": quantiles,
    }


def _pairs(pairset: Pairset) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how well rows are filled, and how often samples are used as others."""
    miners = pairset.manifest["miners"]
    fills = {
        "positive": [c for c, miner in enumerate(miners) if miner["miner"] == "self_aug"],
        "negative": [c for c, miner in enumerate(miners) if miner["miner"] == "random"],
    }
    samples, pairs = pairset.counts["samples"], pairset.counts["pairs"]
    uses = {role: np.zeros(samples, np.int64) for role in fills}
    places: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    columns = [f"{role}_{what}" for role in fills for what in ("ids", "kinds")]
    for table in pairset.tables("pairs", [*columns, "false_negative_ids"]):
        for role, fill in fills.items():
            ids, kinds = list_matrix(table[f"{role}_ids"]), list_matrix(table[f"{role}_kinds"])
            there = ids != NO_ID
            mined = there & ~np.isin(kinds, fill)
            rows[role] += int(mined.any(axis=1).sum())
            places[role] += int(there.sum())
            places[f"mined_{role}"] += int(mined.sum())
            uses[role] += np.bincount(ids[there], minlength=samples)
        masked = list_matrix(table["false_negative_ids"]) != NO_ID
        rows["false_negative"] += int(masked.any(axis=1).sum())
        places["false_negative"] += int(masked.sum())
    coverage = {
        "samples_without_pair": samples - pairs,
        "anchors_with_mined_positive": _share(rows["positive"], pairs),
        "anchors_with_hard_negative": _share(rows["negative"], pairs),
        "anchors_with_false_negative": _share(rows["false_negative"], pairs),
        "positives_a_row": _share(places["positive"], pairs),
        "negatives_a_row": _share(places["negative"], pairs),
        "false_negatives_a_row": _share(places["false_negative"], pairs),
        "random_negatives": _share(
            places["negative"] - places["mined_negative"], places["negative"]
        ),
    }
    kept = kept_samples(pairset)
    return coverage, {f"{role}s of pairs": hubness(count[kept]) for role, count in uses.items()}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _graph_hubness(pairset: Pairset, graph: str) -> dict[str, float]:
    counts = np.zeros(pairset.counts["samples"], np.int64)
    for table in pairset.tables(f"neighbors/{graph}", ["neighbor_ids"]):
        ids = list_matrix(table["neighbor_ids"])
        counts += np.bincount(ids[ids != NO_ID], minlength=len(counts))
    return hubness(counts[kept_samples(pairset)])


def _words(pairset: Pairset, table: str, column: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for block in pairset.tables(table, [column]):
        names, codes = combinations(block, (column,))
        for (name,), count in zip(names, np.bincount(codes, minlength=len(names)), strict=True):
            counts[name] += int(count)
    return dict(counts.most_common())


def _samples(pairset: Pairset) -> dict[str, int]:
    """Count samples with an image, a caption, a label, and all captions."""
    found: Counter[str] = Counter()
    for table in pairset.tables("samples", ["size", "caption", "label", "captions"]):
        found["with_image"] += int((table["size"].to_numpy() > 0).sum())
        found["with_caption"] += table.num_rows - table["caption"].null_count
        found["with_label"] += table.num_rows - table["label"].null_count
        found["captions"] += sum(len(chunk.flatten()) for chunk in table["captions"].chunks)
    return dict(found)


def render(facts: Mapping[str, Any]) -> str:
    """Return the facts as plain text tables."""
    rate = facts["false_negative_rate"]
    guess = "unknown: no labels or captions to judge by"
    if rate["value"] is not None:
        guess = f"{rate['value']:.2%} ({rate['low']:.2%} to {rate['high']:.2%}), judged by "
        guess += f"{rate['source']} on {rate['judged']} negatives"
    parts = [
        facts["root"],
        grid(["", "count"], list(facts["counts"].items())),
        grid(["samples", "count"], list(facts["samples"].items())),
        *_selection(facts["selection"]),
        "Similarity of edges",
        _similarity_grid(facts["similarities"]),
        "Refused candidates",
        grid(["miner", "reason", "count"], _nested(facts["refused"])),
        "Coverage",
        grid(["", "share or mean"], list(facts["coverage"].items())),
        f"False negatives among mined negatives: {guess}",
        *_tradeoffs(facts["tradeoffs"]),
        "Hubs: how unevenly samples are listed",
        _table_of(facts["hubness"], "lists"),
        "Neighbour graphs",
        _table_of({name: _flat(entry) for name, entry in facts["neighbors"].items()}, "graph"),
        "Clusters: samples in one" if facts["clusters"] else "",
        _table_of(facts["clusters"], "set.level"),
        "Spaces",
        _table_of(facts["spaces"], "space"),
        "Plans of batches" if facts["plans"] else "",
        _table_of(facts["plans"], "plan"),
        "Splits, groups of near-duplicates, refused inputs",
        grid(["split", "samples"], list(facts["splits"].items())),
        grid(["groups", ""], list(facts["groups"].items())),
        grid(["reason", "inputs"], list(facts["rejects"].items()) or [("none", 0)]),
    ]
    return "\n\n".join(part for part in parts if part)


def _selection(selectors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not selectors:
        return []
    rows = [
        (name, item["kept"], item["dropped"], ", ".join(f"{n:,} {r}" for r, n in reasons.items()))
        for name, item in selectors.items()
        for reasons in [item["facts"]["reasons"]]
    ]
    return ["Selection of samples", grid(["selector", "kept", "dropped", "reasons"], rows)]


def _tradeoffs(facts: Mapping[str, Any]) -> list[str]:
    judge = {"label": "labels", "caption": "captions"}.get(facts["judge"], "nothing")
    text = f"Trade-offs on {facts['anchors']:,} anchors, relevance judged by {judge}"
    return [
        text,
        _table_of({e["miner"]: _without(e, "miner") for e in facts["positives"]}, "positives"),
        _table_of({e["miner"]: _without(e, "miner") for e in facts["negatives"]}, "negatives"),
        _table_of(facts["skew"], "skew by value of"),
    ]


def _without(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    recall = entry.get("recall") or {}
    return {**entry, "recall": recall.get("value")}


def _nested(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[Any, ...]]:
    return [(miner, reason, n) for miner, part in counts.items() for reason, n in part.items()]


def _table_of(rows: Mapping[str, Mapping[str, Any]], title: str) -> str:
    if not rows:
        return ""
    columns = list(next(iter(rows.values())))
    return grid([title, *columns], [(name, *row.values()) for name, row in rows.items()])


def _similarity_grid(rows: Sequence[Mapping[str, Any]]) -> str:
    names = [f"p{round(share * 100):02d}" for share in QUANTILES]
    body = [
        (
            *(row[key] for key in ("role", "miner", "space", "edges")),
            *(row["quantiles"].get(name, "") for name in names),
        )
        for row in rows
    ]
    return grid(["role", "miner", "space", "edges", *names], body)


def grid(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a plain text table; numbers stand right, texts left."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [
        all(isinstance(row[place], int | float) for row in rows) if rows else False
        for place in range(len(header))
    ]

    def line(values: Sequence[str]) -> str:
        parts = (
            value.rjust(width) if flush else value.ljust(width)
            for value, width, flush in zip(values, widths, right, strict=True)
        )
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, cells)])


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)

"""What the template is given: facts, sentences and bars, ready to be shown and still unescaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from ..inspect import plan_facts
from ..reasons import short
from . import plots
from .data import ReportData
from .fills import Side
from .graph import GraphFacts
from .verdict import Finding, percent


@dataclass(frozen=True)
class Fact:
    """A titled fact of one or more lines; `interval` is a small plot below them."""

    title: str
    lines: Sequence[str]
    mono: bool = False
    interval: Markup | None = None


def context(data: ReportData) -> dict[str, Any]:
    """Return the variables of the template."""
    manifest = data.manifest
    thresholds = {
        graph: known_thresholds(facts) for graph, facts in manifest.get("thresholds", {}).items()
    }
    return {
        "data": data,
        "m": manifest,
        "name": _corpus_name(manifest),
        "headline": headline(data.findings, data),
        "facts": _facts(manifest, thresholds),
        "plans": [{**entry, **plan_facts(entry)} for entry in manifest.get("plans", ())],
        "panels": plots.similarity_panels(data.edges.series, thresholds),
        "silent": [item for item in data.edges.series if item.without],
        "filled": _filled(data.pairs.positives, data.pairs.negatives),
        "refusals": _refusals(data.edges.refusals),
        "flag_counts": _flag_counts(data),
        "labelled": bool(data.samples.labels),
        "coverage": _coverage(data),
        "splits": plots.bars(
            [(name or "no split", rows) for name, rows in data.pairs.splits.items()]
        ),
        "commands": _commands(data),
        "config": json.dumps(manifest.get("config", {}), indent=1, ensure_ascii=False),
        "trainer": _trainer(manifest),
        "plots": plots,
    }


def headline(findings: Sequence[Finding], data: ReportData) -> str:
    """Return the verdict in two sentences: how full and how false, then what asks for a look."""
    if not data.pairs.rows:
        return "No pair was made."
    kept = [f for f in findings if f.title in ("Hard negatives", "False negatives")]
    kept.sort(key=lambda finding: finding.title, reverse=True)
    said = " ".join(f"{finding.title}: {finding.text}" for finding in kept)
    look = [finding.title for finding in findings if finding.level == "look"]
    if not look:
        return f"{said} Nothing on this page asks for a closer look."
    return f"{said} Worth a look: {', '.join(title.lower() for title in look)}."


def known_thresholds(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the calibrated similarities of a graph that are known."""
    values = facts.get("thresholds", facts)
    found = {name: values.get(name) for name in ("eliminate", "attract")}
    return {name: float(value) for name, value in found.items() if value is not None}


def graph_line(graph: GraphFacts) -> str:
    """Return a neighbour graph in one line: k, search, recall, skewness, lone samples."""
    entry, recall = graph.entry, graph.entry.get("recall") or {}
    parts = [f"{entry.get('k', '?')} neighbours a sample"]
    parts.append("exact search" if entry.get("exact") else "approximate search")
    if recall.get("value") is not None:
        interval = ""
        if recall.get("low") is not None and recall.get("high") is not None:
            interval = f" (95\N{NO-BREAK SPACE}%: {recall['low']:.4f} to {recall['high']:.4f})"
        parts.append(f"measured recall {recall['value']:.4f}{interval}")
    if entry.get("short_rows"):
        parts.append(f"{_samples(entry['short_rows'], 'has', 'have')} fewer")
    parts.append(f"skewness {graph.skewness:.2f}")
    parts.append(f"{_samples(graph.never, 'is', 'are')} nobody’s neighbour")
    return "; ".join(parts) + "."


def _samples(count: int, one: str, many: str) -> str:
    return (
        f"1 sample {one}"
        if count == 1
        else f"{format(count, ',') if count else 'no'} samples {many}"
    )


def interval_line(entry: Mapping[str, Any]) -> str:
    """Return the relevant share of an entry of the trade-offs with its 95 % interval."""
    if entry["relevant"] is None:
        return "unknown"
    low, high = percent(entry["low"]), percent(entry["high"])
    return f"{percent(entry['relevant'])} ({low} to {high})"


def _corpus_name(manifest: Mapping[str, Any]) -> str:
    source = str(manifest["corpus"]["source"]).rstrip("/")
    return source.rsplit("/", 1)[-1] or source or "corpus"


def _facts(manifest: Mapping[str, Any], thresholds: dict[str, dict[str, float]]) -> list[Fact]:
    found = [
        Fact("Spaces", [_space(*item) for item in sorted(manifest["embeddings"].items())]),
        Fact("Neighbour graphs", [_graph(*item) for item in sorted(manifest["neighbors"].items())]),
        _false_negatives(manifest),
        Fact("Indexes", [_index(*item) for item in sorted(manifest.get("index", {}).items())]),
        Fact("Calibrated thresholds", _threshold_lines(manifest, thresholds)),
        Fact("Seed", [str(manifest.get("config", {}).get("seed", "not stated"))]),
        Fact("Never contrasted with each other", [_masks(manifest)]),
    ]
    return [fact for fact in found if fact.lines]


def _space(name: str, entry: Mapping[str, Any]) -> str:
    encoder = entry.get("encoder") or {}
    kind = str(encoder.get("name") or encoder.get("class", "").rsplit(":", 1)[-1] or "array")
    detail = [str(encoder[key]) for key in ("model", "pretrained", "path") if encoder.get(key)]
    if encoder.get("weights"):
        detail.append(f"(weights {str(encoder['weights'])[:8]})")
    missing = f", {entry['missing']:,} without a vector" if entry.get("missing") else ""
    of = "" if name == entry["of"] else f" (of {entry['of']})"
    return f"{name}{of}: {' '.join([kind, *detail])}, {entry['dim']} dimensions{missing}"


def _graph(name: str, entry: Mapping[str, Any]) -> str:
    recall = (entry.get("recall") or {}).get("value")
    known = "recall not measured" if recall is None else f"measured recall {recall:.4f}"
    asked = f" ({entry['min_recall']:g} asked)" if entry.get("min_recall") is not None else ""
    text = f"{name}: {entry.get('k', '?')} neighbours, {known}{asked}"
    correction = entry.get("correction")
    if correction:
        skewness = [correction[when]["skewness"] for when in ("before", "after")]
        text += f"; corrected for hubs by {correction['by']}, skewness {skewness[0]:.2f} before"
        text += f" and {skewness[1]:.2f} after"
    return text


def _index(name: str, entry: Mapping[str, Any]) -> str:
    size = sum(int(file.get("bytes", 0)) for file in entry.get("files", ()))
    exact = ", exact" if entry.get("exact") else ""
    return f"{name}: {entry.get('type', 'unknown type')}{exact}, {size / 1e6:,.1f} MB"


def _false_negatives(manifest: Mapping[str, Any]) -> Fact:
    rate = manifest.get("quality", {}).get("false_negative_rate", {})
    if rate.get("value") is None:
        return Fact("Estimated false-negative rate", ["unknown: no labels or captions to judge by"])
    value, low, high = rate["value"], rate["low"], rate["high"]
    line = f"{percent(value, 2)} by {rate['source']}, {rate.get('judged', 0):,} judged"
    interval = f"95\N{NO-BREAK SPACE}% interval {percent(low, 2)} to {percent(high, 2)}"
    title = "Estimated false-negative rate"
    return Fact(title, [line, interval], interval=plots.interval(value, low, high))


def _threshold_lines(
    manifest: Mapping[str, Any], thresholds: dict[str, dict[str, float]]
) -> list[str]:
    lines = []
    for graph, values in thresholds.items():
        truth = manifest["thresholds"][graph].get("truth", "none")
        named = ", ".join(f"{name} from {value:.3f}" for name, value in values.items())
        lines.append(f"{graph}: {named or 'none could be calibrated'} (truth: {truth})")
    return lines


def _masks(manifest: Mapping[str, Any]) -> str:
    return "samples of equal " + ", ".join(manifest.get("mask_groups") or ["group_id"])


def _filled(*sides: Side) -> list[plots.Bar]:
    whole = max((side.places for side in sides), default=0)
    found = []
    for name, side in zip(("positives", "negatives"), sides, strict=True):
        made = plots.bars(list(side.by_miner.items()), whole)
        found += [
            replace(bar, label=f"{bar.label} ({name})", detail=percent(bar.count / side.places))
            for bar in made
        ]
    return found


def _refusals(refusals: Mapping[tuple[str, str], int]) -> list[plots.Bar]:
    items = sorted(refusals.items(), key=lambda item: (-item[1], item[0]))
    return plots.bars([(f"{miner}: {short(reason)}", count) for (miner, reason), count in items])


def _flag_counts(data: ReportData) -> dict[str, int]:
    counts = {"": len(data.cards)}
    for flag in ("masked", "refused", "suspicious"):
        counts[flag] = sum(flag in card.flags for card in data.cards)
    return counts


def _coverage(data: ReportData) -> list[plots.Bar]:
    rows = data.samples.rows
    made = plots.bars([(item.what, item.samples) for item in data.samples.coverage], rows)
    return [
        replace(bar, detail=" · ".join(filter(None, [percent(bar.share), item.detail])))
        for bar, item in zip(made, data.samples.coverage, strict=True)
    ]


def _commands(data: ReportData) -> dict[str, str]:
    out, key = shlex.quote(data.root), shlex.quote(data.try_key or "KEY")
    # A key that begins with a dash would be read as an option.
    dashes = "-- " if data.try_key.startswith("-") else ""
    return {
        "explain": f"curate explain {dashes}{out} {key}",
        "train": f"curate train {out} --steps 300",
        "export": f"curate export {out} --to webdataset -d packed/",
    }


def _trainer(manifest: Mapping[str, Any]) -> str:
    body = {"loss": manifest.get("loss", {}), "versions": manifest.get("versions", {})}
    return json.dumps(body, indent=1, ensure_ascii=False)

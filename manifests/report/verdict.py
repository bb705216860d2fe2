"""What the numbers of a pairset say, in sentences; and which of them ask for a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .corpus import SampleFacts
from .fills import PairFacts, Side
from .graph import GraphFacts

FULL_SHARE = 0.95
"""Rows without an empty negative below which a trainer would miss some."""
OWN_VIEW_SHARE = 0.5
"""Anchors with no positive but themselves above which the graph was of little use."""
FILLER_SHARE = 0.2
"""Negative places filled at random above which it is worth a word."""
FALSE_RATE = 0.05
"""Estimated share of false negatives above which a trainer would feel it."""
REJECT_SHARE = 0.02
SKEWNESS = 3.0
"""Skewness of k-occurrence above which hubs are worth a word: 0.7 in Flickr8k, both spaces."""
COVERAGE = 0.5


@dataclass(frozen=True)
class Finding:
    """One sentence. `level` is "good", "look" (a warning) or "note"."""

    level: str
    title: str
    text: str
    anchor: str = ""


def percent(share: float, digits: int = 1) -> str:
    """Return a share as "98.4 %"; 1 and 0 only where they are exact."""
    if share in (0, 1):
        return f"{share * 100:.0f}\N{NO-BREAK SPACE}%"
    text = f"{share * 100:.{digits}f}"
    if float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    if float(text) == 0:
        text = f"<{10**-digits:.{digits}f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def judge(
    manifest: Mapping[str, Any],
    pairs: PairFacts,
    samples: SampleFacts,
    graphs: Sequence[GraphFacts],
) -> list[Finding]:
    """Return the findings, warnings first, else in the order of the page."""
    found = [
        *_sides(pairs),
        _false_negatives(manifest),
        _masked(pairs),
        *[_recall(graph) for graph in graphs],
        *[_hubs(graph) for graph in graphs if graph.hubs],
        *_corpus(manifest, samples),
        *_encoders(manifest),
    ]
    order = {"look": 0, "good": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _sides(pairs: PairFacts) -> list[Finding]:
    if not pairs.rows:
        return [Finding("look", "Pairs", "No pair was made. See the refused candidates below.")]
    return [_positives(pairs.positives, pairs.rows), _negatives(pairs.negatives)]


def _positives(side: Side, rows: int) -> Finding:
    of = f"{side.places / rows:.1f} of {side.length} places filled on average"
    own = "the anchor’s own second view"
    if side.filler and side.filler == side.places:
        return Finding("note", "Positives", f"{of}, all with {own}.", "similarity")
    only = side.only_filler / rows
    rest = f"; {percent(only)} of anchors have only {own.replace('the anchor’s', 'their')}"
    level = "look" if only > OWN_VIEW_SHARE else "good"
    return Finding(level, "Positives", f"{of}{rest if only else ''}.", "similarity")


def _negatives(side: Side) -> Finding:
    title = "Hard negatives"
    if not side.length:
        return Finding("note", title, "The config asks for none.", "similarity")
    of = f"{side.length} of {side.length} filled for {percent(side.full_share)} of anchors"
    if side.filler and side.filler == side.places:
        return Finding("note", title, f"{of}, all with random samples.", "similarity")
    rest = f"; {percent(side.filler_share)} of the places hold random fill" if side.filler else ""
    thin = side.full_share < FULL_SHARE or side.filler_share > FILLER_SHARE
    return Finding("look" if thin else "good", title, f"{of}{rest}.", "similarity")


def _false_negatives(manifest: Mapping[str, Any]) -> Finding:
    rate = manifest.get("quality", {}).get("false_negative_rate", {})
    value = rate.get("value")
    if value is None:
        text = "Unknown: neither labels nor captions can tell here which negatives are false."
        return Finding("note", "False negatives", text, "gallery")
    how = "share the anchor’s label" if rate["source"] == "label" else "say what the anchor says"
    interval = f"95\N{NO-BREAK SPACE}%: {percent(rate['low'], 2)} to {percent(rate['high'], 2)}"
    text = f"{percent(value)} of {rate.get('judged', 0):,} judged negatives {how} ({interval})"
    text += f"{_mined(manifest['quality'], rate['source'])}."
    return Finding("look" if value > FALSE_RATE else "good", "False negatives", text, "gallery")


def _mined(quality: Mapping[str, Any], source: str) -> str:
    judged = quality.get(f"hard_judged_by_{source}", 0)
    if not judged or judged == quality.get(f"negatives_judged_by_{source}"):
        return ""
    share = quality.get(f"hard_false_by_{source}", 0) / judged
    return f"; {percent(share)} without the random fill"


def _masked(pairs: PairFacts) -> Finding:
    if not pairs.masking:
        return Finding("note", "Masked", "No anchor masks a false negative.", "gallery")
    mean = pairs.masked / pairs.masking
    share = percent(pairs.masking / pairs.rows)
    text = f"{share} of anchors mask false negatives, {mean:.1f} each."
    return Finding("note", "Masked", text, "gallery")


def _recall(graph: GraphFacts) -> Finding:
    recall = graph.entry.get("recall") or {}
    value, asked = recall.get("value"), graph.entry.get("min_recall")
    title = f"Neighbours {graph.name}"
    if value is None:
        if graph.entry.get("exact"):
            return Finding("good", title, "Exact search: nothing is missed.", "graph")
        return Finding("note", title, "Recall was not measured.", "graph")
    low = asked is not None and value < asked
    text = f"Recall {value:.4f} on {recall.get('queries', 0):,} queries"
    text += f", {'below' if low else 'at least'} the {asked:g} asked for." if asked else "."
    return Finding("look" if low else "good", title, text, "graph")


def _hubs(graph: GraphFacts) -> Finding:
    text = (
        f"The first hub is among the {graph.nearest} nearest of "
        f"{percent(graph.top_share)} of samples (skewness {graph.skewness:.1f})."
    )
    level = "look" if graph.skewness > SKEWNESS else "good"
    return Finding(level, f"Hubs of {graph.name}", text, "graph")


def _encoders(manifest: Mapping[str, Any]) -> list[Finding]:
    spaces = manifest.get("embeddings", {}).values()
    classes = [str((space.get("encoder") or {}).get("class", "")) for space in spaces]
    if not any(name.endswith(":Builtin") for name in classes):
        return []
    text = (
        "The built-in encoder knows rendered scenes only. It is for trying things out: give photos "
        "a real one, for example --encoder open_clip:ViT-B-32/laion2b_s34b_b79k."
    )
    return [Finding("note", "Encoder", text)]


def _corpus(manifest: Mapping[str, Any], samples: SampleFacts) -> list[Finding]:
    counts, found = manifest["counts"], []
    inputs = counts["samples"] + counts["rejects"]
    if counts["rejects"]:
        share = counts["rejects"] / inputs
        text = f"{counts['rejects']:,} of {inputs:,} inputs were refused ({percent(share)})."
        level = "look" if share > REJECT_SHARE else "note"
        found.append(Finding(level, "Rejects", text, "rejects"))
    else:
        found.append(Finding("good", "Rejects", "Every input became a sample.", "rejects"))
    groups = samples.groups
    if groups.groups:
        text = (
            f"{groups.grouped:,} samples stand in {groups.groups:,} groups of near-duplicates; "
            "those of one group are never contrasted."
        )
        found.append(Finding("note", "Near-duplicates", text, "duplicates"))
    thin = [c for c in samples.coverage[:3] if 0 < c.samples < COVERAGE * samples.rows]
    if thin:
        text = ", ".join(f"{c.what}s: {percent(c.samples / samples.rows)}" for c in thin)
        found.append(Finding("look", "Low coverage", f"Of all samples have {text}.", "coverage"))
    if counts["pairs"] < counts["samples"]:
        text = f"{counts['samples'] - counts['pairs']:,} samples are not the anchor of a pair."
        found.append(Finding("note", "Anchors", text))
    return found

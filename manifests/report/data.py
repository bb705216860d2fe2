"""Everything that a report shows, collected from a pairset's files into one frozen object.

Tables are read row group by row group. What is held grows with the corpus by 4 bytes a sample at a
time (how often each is a neighbour, how large its group is); everything else is counts, and the
rows of the few hundred samples on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..pairset import Pairset
from ..tradeoffs import tradeoffs
from .asset_pictures import AssetPictures
from .choice import choose
from .corpus import RejectFacts, SampleFacts, scan_rejects, scan_samples
from .fills import PairFacts, scan_pairs
from .gallery import Album, Card, Portrait, make_cards, read_edges, shown_assets, shown_ids
from .generated import MadeRow, Section, made_rows, sections, shown_keys
from .graph import GraphFacts, scan_graph
from .similarity import EdgeFacts, scan_edges
from .timing import Timing, read_timing
from .verdict import Finding, judge

GALLERY_BYTES = 2_200_000
"""Bytes of all pictures of a page with up to 24 anchors."""
_BYTES_PER_ANCHOR = GALLERY_BYTES // 24


@dataclass(frozen=True)
class GraphView:
    """A neighbour graph and the portraits of its hubs."""

    facts: GraphFacts
    hubs: list[Portrait]


@dataclass(frozen=True)
class GroupView:
    """A group of near-duplicates: its size and portraits of its first members."""

    size: int
    members: list[Portrait]


@dataclass(frozen=True)
class ReportData:
    """What the template shows.

    Attributes:
        manifest: the parsed manifest.json.
        generators: sections of `generate`; empty where nothing was generated.
        generated: some anchors of the cards with their generated pictures.
        tradeoffs: see `manifests.tradeoffs`.
        try_key: key of an anchor, for the command that explains one.
    """

    root: str
    manifest: Mapping[str, Any]
    findings: list[Finding]
    edges: EdgeFacts
    pairs: PairFacts
    samples: SampleFacts
    rejects: RejectFacts
    graphs: list[GraphView]
    groups: list[GroupView]
    cards: list[Card]
    generators: list[Section]
    generated: list[MadeRow]
    timing: Timing
    tradeoffs: Mapping[str, Any]
    try_key: str


def collect(
    pairset: Pairset,
    anchors: int,
    seed: int,
    timings: Mapping[str, Mapping[str, Any]] | None = None,
) -> ReportData:
    """Read a pairset for a report.

    Args:
        pairset: the pairset.
        anchors: cards of the gallery.
        seed: another seed shows other anchors.
        timings: see `timing.read_timing`.
    """
    edges = scan_edges(pairset, seed)
    pairs = scan_pairs(pairset, anchors, seed)
    samples, rejects = scan_samples(pairset, seed), scan_rejects(pairset)
    names = [name for name in pairset.manifest["tables"] if name.startswith("neighbors/")]
    graphs = [scan_graph(pairset, name.removeprefix("neighbors/")) for name in sorted(names)]
    labels_tell = samples.distinct_labels > 1
    chosen = choose(pairset, edges.interesting, pairs.drawn, anchors, labels_tell)
    asked = [item.anchor for item in chosen]
    candidates = read_edges(pairset, asked)
    hubs = [row for graph in graphs for row, _ in graph.hubs]
    members = [row for _, rows in samples.groups.examples for row in rows]
    shown = shown_ids(candidates, asked)
    ids = [*asked, *hubs, *members, *shown[len(asked) :]]
    budget = max(GALLERY_BYTES, anchors * _BYTES_PER_ANCHOR)
    pictures = AssetPictures(pairset, asked)
    pictures.draw([*shown_keys(pictures), *shown_assets(candidates, asked)])
    album = Album(pairset, ids, frozenset(asked), budget, pictures)
    cards = make_cards(album, chosen, candidates, labels_tell)
    return ReportData(
        root=str(pairset.root),
        manifest=pairset.manifest,
        findings=judge(pairset.manifest, pairs, samples, graphs),
        edges=edges,
        pairs=pairs,
        samples=samples,
        rejects=rejects,
        graphs=[_graph_view(album, graph) for graph in graphs],
        groups=[
            GroupView(size, [album.portrait(row) for row in rows])
            for size, rows in samples.groups.examples
        ],
        cards=cards,
        generators=sections(pairset.manifest),
        generated=made_rows(album, pictures, candidates),
        timing=read_timing(pairset.root, timings),
        tradeoffs=tradeoffs(pairset, seed=seed),
        try_key=cards[0].key if cards else "",
    )


def _graph_view(album: Album, graph: GraphFacts) -> GraphView:
    hubs = [album.portrait(row, f"{count:,} times") for row, count in graph.hubs]
    return GraphView(graph, hubs)

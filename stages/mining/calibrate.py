"""From which similarity on do two samples of this corpus show the same thing?

A threshold of another space is worth nothing (algorithms.md §0.5b). Candidate pairs of the graph
are judged by labels, else by captions; precision as a function of similarity is fitted by
isotonic regression; the thresholds are where it reaches 0.9 and 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from scipy.optimize import isotonic_regression

from ...manifests.agreement import Agreement, similarities
from ...manifests.artifact import Artifact, Output
from ...manifests.fingerprint import draw_uint64, draw_uniform
from ...manifests.schema import NO_ID
from ...manifests.vectors import GraphStore, Rows, VectorStore
from ...manifests.views import view_graphs
from ..base import Inputs, Resources, Stage, Task, Worker
from .base import Graph, LabelSets
from .columns import BYTES_A_SAMPLE, Columns
from .measure import joined_scores, similarities_to

PRECISION = {"attract": 0.9, "eliminate": 0.5}
"""Precision from which a pair is taken for the same thing."""
DECILES = 10
PROBED = 4096
"""Anchors whose lists are looked at."""
FEWEST = 200
"""Judged pairs below which nothing is calibrated."""
SUPPORT = 20
"""Judged pairs that must lie at or above a threshold; the topmost few prove nothing."""


@dataclass(frozen=True)
class Pairs:
    """Candidate pairs: ids int64 [n] twice, similarity float32 [n], same bool [n]."""

    anchors: np.ndarray
    others: np.ndarray
    similarities: np.ndarray
    same: np.ndarray

    def __len__(self) -> int:
        return len(self.anchors)

    def of(self, rows: np.ndarray) -> Pairs:
        """Return some of the pairs."""
        parts = (self.anchors, self.others, self.similarities, self.same)
        return Pairs(*(part[rows] for part in parts))


class Calibrate(Stage):
    """The calibration of one graph: one part with the judged pairs and the fitted precision.

    Inputs: samples, groups, graph, at most one `vectors:<caption space>`, and, with `views`,
    of:<space> for the spaces of the graph and for the views of its query space: a pair's similarity
    is then the score that joins those of all views of its anchor.

    Facts: attract, eliminate (similarity, or null where never precise enough), truth ("label",
    "caption" or "none"), why (text, when none), curve [[similarity, precision, pairs], ...] in
    rising steps, judged (pairs), caption_cut (cosine or null), seed.
    """

    graph: str
    views: int = Field(default=0, ge=0)
    """Views of the query space that are joined beside the graph's own."""
    aggregate: Literal["max", "mean"] = "max"
    """How they are joined."""
    pairs: int = Field(default=10_000, ge=2000)
    """Pairs that are judged."""
    seed: int = Field(default=0, ge=0)

    def plan(self, inputs: Inputs) -> list[Task]:
        """One task."""
        del inputs
        return [Task("part-00000")]

    def resources(self, inputs: Inputs) -> Resources:
        """One core; some bytes a sample for the labels."""
        return Resources(memory_bytes=(600 << 20) + BYTES_A_SAMPLE * inputs["samples"].rows)

    def open(self, inputs: Inputs) -> Worker:
        """Open the graph, the labels and the captions."""
        graph = GraphStore(
            self.graph, Rows.of(inputs["graph"], "ids.npy"), Rows.of(inputs["graph"], "sims.npy")
        )
        columns = Columns.load(inputs["samples"], inputs["groups"], ("labels",))
        captions = _captions(inputs)

        def calibrate(task: Task) -> Output:
            del task
            pool = self._scored(candidate_pairs(graph, columns.count, self.seed), inputs)
            agreement = Agreement(None, "there is no caption space")
            if captions is not None:
                agreement = Agreement.of(captions, self.seed)
            judged, truth, why = judge(pool, columns.sets("labels"), captions, agreement)
            chosen = stratified(judged, self.pairs, self.seed)
            precision = fit_precision(chosen.similarities, chosen.same)
            facts = {
                **thresholds(chosen.similarities, precision),
                "truth": truth,
                "why": why,
                "curve": curve(chosen.similarities, precision),
                "judged": len(chosen),
                "caption_cut": agreement.cut,
                "seed": self.seed,
            }
            return Output.of(_table(chosen, precision), **facts)

        return calibrate

    def _scored(self, pool: Pairs, inputs: Inputs) -> Pairs:
        """Return the pairs with the score over all views for their similarity."""
        if not self.views:
            return pool
        scores = [pool.similarities]
        for graph in view_graphs(self.graph, self.views):
            query, bank = (
                VectorStore(name, Rows.of(inputs[f"of:{name}"])) for name in graph.split(">")
            )
            found = similarities_to(query, bank, pool.anchors, pool.others[:, None])
            scores.append(found[:, 0])
        joined = joined_scores(scores, self.aggregate)
        return Pairs(pool.anchors, pool.others, joined, pool.same)


def _captions(inputs: Inputs) -> VectorStore | None:
    found: list[tuple[str, Artifact]] = [
        (key.removeprefix("vectors:"), item)
        for key, item in inputs.items()
        if key.startswith("vectors:")
    ]
    return VectorStore(found[0][0], Rows.of(found[0][1])) if found else None


def candidate_pairs(graph: Graph, count: int, seed: int) -> Pairs:
    """Return the neighbours of up to `PROBED` drawn anchors, each unordered pair once.

    Args:
        graph: any graph over the samples.
        count: number of samples.
        seed: of the draw.
    """
    uniform = draw_uniform(seed, np.arange(PROBED), "calibrate/anchors")[:, 0]
    anchors = np.unique((uniform * count).astype(np.int64)) if count > PROBED else np.arange(count)
    listed, found = graph.rows(anchors)
    row, place = np.nonzero(listed != NO_ID)
    left, right, similar = anchors[row], listed[row, place], found[row, place]
    low, high = np.minimum(left, right), np.maximum(left, right)
    query, _, bank = graph.name.partition(">")
    if query == bank:
        kept = np.unique(low * count + high, return_index=True)[1]
        left, right, similar = low[kept], high[kept], similar[kept]
    return Pairs(left, right, similar, np.zeros(len(left), bool))


def judge(
    pool: Pairs, labels: LabelSets, captions: VectorStore | None, agreement: Agreement
) -> tuple[Pairs, str, str]:
    """Say which pairs show the same thing, by the best truth that the corpus has.

    Labels judge a pair if both have one; the same thing is a label in common. Captions judge a
    pair if both have a vector; the same thing is a cosine at or above the cut of `Agreement`.

    Returns:
        judged pairs, "label", "caption" or "none", and why none ("" otherwise).
    """
    both = np.flatnonzero((labels.sizes(pool.anchors) > 0) & (labels.sizes(pool.others) > 0))
    if len(both) >= FEWEST and labels.count > 1:
        found = pool.of(both)
        same = labels.shared(found.anchors, found.others[:, None])[:, 0] > 0
        return Pairs(found.anchors, found.others, found.similarities, same), "label", ""
    why = f"labels judge {len(both)} pairs" if labels.count != 1 else "there is one label only"
    if captions is None or agreement.cut is None:
        return pool.of(np.zeros(0, np.int64)), "none", f"{why}, and {agreement.why}"
    cosines = similarities(captions, pool.anchors, pool.others)
    both = np.flatnonzero(~np.isnan(cosines))
    if len(both) < FEWEST:
        return pool.of(both[:0]), "none", f"{why}, captions {len(both)}; {FEWEST} are needed"
    found = pool.of(both)
    same = cosines[both] >= agreement.cut
    return Pairs(found.anchors, found.others, found.similarities, same), "caption", ""


def stratified(pool: Pairs, count: int, seed: int) -> Pairs:
    """Draw `count` pairs, as many from each decile of similarity; sorted by similarity, ids."""
    order = np.lexsort((pool.others, pool.anchors, pool.similarities))
    decile = np.arange(len(order)) * DECILES // max(len(order), 1)
    # Keys of both ids, so that a pair's chance does not hang on its place in the pool.
    keys = draw_uint64(seed, pool.anchors, "calibrate/a")[:, 0]
    keys = draw_uint64(seed, keys ^ pool.others.astype(np.uint64), "calibrate/b")[:, 0][order]
    by_key = np.lexsort((keys, decile))
    first = np.searchsorted(decile[by_key], np.arange(DECILES))
    place = np.arange(len(order)) - first[decile[by_key]]
    return pool.of(order[np.sort(by_key[place < -(-count // DECILES)])])


def fit_precision(similar: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Fit the share of same pairs as a rising function of similarity.

    Isotonic regression (Barlow et al. 1972; pool adjacent violators), equal similarities pooled
    first, so that ties get one value.

    Args:
        similar: float32 [n], ascending.
        same: bool [n].

    Returns:
        float64 [n].
    """
    if not len(similar):
        return np.zeros(0)
    _, first, inverse, counts = np.unique(
        similar, return_index=True, return_inverse=True, return_counts=True
    )
    means = np.add.reduceat(same.astype(np.float64), first) / counts
    return isotonic_regression(means, weights=counts.astype(np.float64)).x[inverse]


def thresholds(similar: np.ndarray, precision: np.ndarray) -> dict[str, float | None]:
    """Return the least similarity whose fitted precision suffices for each action, or None.

    At least `SUPPORT` pairs must lie at or above it.
    """
    found: dict[str, float | None] = {}
    for action, asked in PRECISION.items():
        # A mean of k of n may fall short of the ideal by a rounding error.
        enough = np.flatnonzero(precision >= asked - 1e-9)
        reached = len(enough) >= SUPPORT
        found[action] = float(similar[enough[0]]) if reached else None
    return found


def curve(similar: np.ndarray, precision: np.ndarray) -> list[list[Any]]:
    """Return the steps of the fit: [similarity at which it starts, precision, pairs]."""
    if not len(similar):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(precision) > 1e-9) + 1])
    sizes = np.diff(np.append(starts, len(similar)))
    return [
        [round(float(similar[start]), 6), round(float(precision[start]), 6), int(size)]
        for start, size in zip(starts, sizes, strict=True)
    ]


def _table(pairs: Pairs, precision: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "anchor_id": pairs.anchors,
            "other_id": pairs.others,
            "similarity": pairs.similarities,
            "same": pairs.same,
            "precision": precision,
        }
    )

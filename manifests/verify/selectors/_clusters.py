"""What the rules of selectors by clusters share: members of clusters, and centres made anew.

A centre is the direction of the sum of a cluster's judged samples. It is added up in float64 from
the stored vectors, without the rounding that the selectors do: cosines differ by less than SLACK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schema import NO_ID
from ...selection import Drop
from ...vectors import VectorStore
from ..clusters import clusters_at
from ..context import Context, drawn
from .base import Verdicts

SLACK = 1e-5
"""How far a cosine made anew may be from the stored one: scores are float32 of exact products."""
_SMALL = 8192
_QUICK_CLUSTERS = 32
_BLOCK = 2048


@dataclass(frozen=True)
class Members:
    """The judged samples of a level of a set of clusters.

    Attributes:
        ids: int64 [m], by cluster, then ascending.
        clusters: int64 [m].
    """

    ids: np.ndarray
    clusters: np.ndarray

    def each(self, context: Context) -> Iterator[np.ndarray]:
        """Yield the ids of each cluster; of some of them in a quick look at a large corpus."""
        _, starts = np.unique(self.clusters, return_index=True)
        stops = np.append(starts[1:], len(self.ids))
        looked = np.arange(len(starts))
        if not looks_at_all(context):
            looked = drawn(len(starts), _QUICK_CLUSTERS, "selection/clusters")
        for at in looked.tolist():
            yield self.ids[starts[at] : stops[at]]


def looks_at_all(context: Context) -> bool:
    """Say whether every cluster is looked at: in a deep look, and where there are few samples."""
    return context.deep or context.samples <= _SMALL


def members_of(
    context: Context, described: Mapping[str, Any], verdicts: Verdicts
) -> tuple[Members, VectorStore] | None:
    """Return the members of a selector's clusters and its vectors; None where they are broken.

    Checks on the way that exactly the judged samples without a cluster were dropped for want of a
    vector. Holds 24 bytes a sample.
    """
    settings = described["settings"]
    store = context.vectors(settings["space"])
    name = settings["clusters"]
    if store is None or f"clusters/{name}" in context.broken:
        context.notes.skipped[f"rule of {described['id']}"] = "embeddings or clusters are broken"
        return None
    codes = clusters_at(context, name, settings["level"])
    missing = verdicts.judged & (codes == NO_ID)
    wrong = missing != verdicts.is_drop(Drop.NO_VECTOR)
    verdicts.note(context, described, "no-vector", wrong, "dropped for want of a vector, or not")
    ids = np.flatnonzero(verdicts.judged & (codes != NO_ID))
    ids = ids[np.argsort(codes[ids], kind="stable")]
    return Members(ids, codes[ids]), store


def check_total(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    members: Members,
    count: int | None = None,
) -> int:
    """Kept are as many as asked, or all that are in a cluster; return that number.

    Asked are `count`, or the nearest whole number to the fraction of those judged.
    """
    if count is None:
        fraction = described["settings"]["fraction"]
        count = int(np.floor(fraction * int(verdicts.judged.sum()) + 0.5))
    total = min(count, len(members.ids))
    if int(verdicts.kept.sum()) != total:
        message = f"{described['id']} keeps {verdicts.kept.sum()}, the target is {total}"
        context.notes.add("fraction", "selection", None, message)
    return total


def blocks(store: VectorStore, ids: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield places and float64 [<= 2048, d] vectors of samples."""
    for start in range(0, len(ids), _BLOCK):
        step = slice(start, min(start + _BLOCK, len(ids)))
        yield step, store.rows(ids[step]).astype(np.float64)


def centre_of(store: VectorStore, ids: np.ndarray) -> np.ndarray:
    """Return float64 [d], the direction of the sum of vectors; 0 where they cancel."""
    total = np.zeros(store.dim)
    for _, rows in blocks(store, ids):
        total += rows.sum(axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length else total


def nearness(store: VectorStore, ids: np.ndarray) -> np.ndarray:
    """Return float64 [n], the cosine of each sample of a cluster to the cluster's centre."""
    centre = centre_of(store, ids)
    return np.concatenate([np.zeros(0), *(rows @ centre for _, rows in blocks(store, ids))])


def check_nearness(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    members: Members,
    store: VectorStore,
) -> None:
    """The scores are the cosines to the centres; samples without a cluster have none."""
    for ids in members.each(context):
        differ = ~(np.abs(verdicts.scores[ids] - nearness(store, ids)) <= SLACK)
        text = "the score is not the cosine to the centroid of its cluster"
        verdicts.note(context, described, "selection-score", differ, text, ids)
        context.notes.looked_at("selection scores", len(ids))
    outside = np.ones(context.samples, bool)
    outside[members.ids] = False
    text = "a score without a cluster"
    verdicts.note(context, described, "selection-score", outside & ~np.isnan(verdicts.scores), text)


def check_first(
    context: Context,
    described: Mapping[str, Any],
    verdicts: Verdicts,
    members: Members,
    values: np.ndarray,
) -> None:
    """Kept are the first of each cluster by rising `values` [m], ties by id."""
    order = np.lexsort((members.ids, values, members.clusters))
    ids, clusters = members.ids[order], members.clusters[order]
    kept = verdicts.kept[ids]
    # Behind the first of its cluster that was dropped, none may be kept.
    gone = np.cumsum(~kept)
    before = np.searchsorted(clusters, clusters)
    dropped = gone - np.where(before > 0, gone[before - 1], 0)
    text = "kept, though one that comes before it in its cluster was dropped"
    verdicts.note(context, described, "cut", kept & (dropped > 0), text, ids)


def kept_and_sizes(verdicts: Verdicts, members: Members) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 [clusters]: how many samples each keeps, and how many it has."""
    sizes = np.bincount(members.clusters)
    return np.bincount(members.clusters[verdicts.kept[members.ids]], minlength=len(sizes)), sizes

"""Samples that show the same as another one of their cluster, by their vectors."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.schema import NO_ID
from ...manifests.selection import DROP_CODE, Drop
from ...manifests.vectors import VectorStore
from ..base import Task
from ._clustered import Clustered, blocks, centre_of, nearness, rows_of
from .base import Corpus, Verdict, gather, without


class Semdedup(Clustered):
    """SemDeDup: drop each sample that some earlier one of its cluster is too similar to.

    Abbas et al., SemDeDup: Data-efficient learning at web-scale through semantic deduplication,
    2023, §3, and its code: in a cluster, samples stand by falling distance to the centroid, so
    that of two duplicates the one farther from it stays; ties by sample_id. Sample j is dropped if
    any earlier i has cos(i, j) > 1 - eps. The score is the largest cosine to an earlier sample
    (none for the first of a cluster), the witness is the sample that it is to. A sample without a
    vector is dropped.

    Fidelity: exact. The centroid is the mean direction of the cluster's judged samples.

    Cost: half the square of a cluster's size in products; 20 bytes a sample on the disk.

    Traps: the rule is not greedy: an earlier sample counts though it is dropped itself, so a chain
    of similar samples keeps its first one only, and a witness may be gone (fact
    `witness_dropped`). Duplicates in two clusters are not seen: take fewer clusters if that
    matters. Splits are not looked at: a test sample may go because of a training one. This is no
    near-duplicate group (`duplicates`), which is a connected component.
    1 - eps is of one encoder: the paper's values for CLIP do not hold in another space.
    """

    paper = "Abbas et al., SemDeDup, 2023"
    bytes_a_sample = 64

    eps: float = Field(default=0.07, ge=0, le=2)
    """Samples whose cosine is above 1 - eps are duplicates."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Find the most similar earlier sample of each member of a task's clusters."""
        store, found = corpus.vectors[self.space], self.members(corpus, task)
        ids = np.empty_like(found.ids)
        scores = np.empty(len(ids), np.float32)
        witnesses = np.empty(len(ids), np.int64)
        for at in found.each():
            mine = found.ids[at]
            near = nearness(store, mine, centre_of(store, mine))
            order = mine[np.lexsort((mine, near))]
            best, place = most_similar_earlier(store, order)
            ids[at], scores[at] = order, best
            witnesses[at] = np.where(place == NO_ID, NO_ID, order[place])
        files = {"ids.npy": ids, "scores.npy": scores, "witnesses.npy": witnesses}
        return Output(len(ids), files)

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Drop what is above 1 - eps."""
        ids, found = gather(measured, "ids.npy"), gather(measured, "scores.npy")
        drops = without(corpus, ids)
        gone = found.astype(np.float64) > 1 - self.eps
        drops[ids[gone]] = DROP_CODE[Drop.SEMANTIC_DUPLICATE]
        scores = np.full(corpus.count, np.nan, np.float32)
        scores[ids] = found
        witnesses = np.full(corpus.count, NO_ID)
        witnesses[ids[gone]] = gather(measured, "witnesses.npy")[gone]
        lost = drops[witnesses[ids[gone]]] == DROP_CODE[Drop.SEMANTIC_DUPLICATE]
        return Verdict(drops, scores, witnesses, {"witness_dropped": int(lost.sum())})


def most_similar_earlier(store: VectorStore, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest cosine of each sample to an earlier one, and the place of that one.

    Args:
        store: the vectors.
        order: int64 [n], samples; holds two blocks of their vectors and one of products.

    Returns:
        float64 [n], NaN for the first; int64 [n], the first place with that cosine, -1 for none.
    """
    best, at = np.full(len(order), -np.inf), np.full(len(order), NO_ID)
    for here in blocks(len(order)):
        rows = rows_of(store, order[here])
        for before in blocks(here.stop):
            same = before.start == here.start
            cosines = (rows if same else rows_of(store, order[before])) @ rows.T
            if same:
                cosines[np.tril_indices(len(rows))] = -np.inf
            place = cosines.argmax(axis=0)
            found = cosines[place, np.arange(len(place))]
            better = found > best[here]
            best[here] = np.where(better, found, best[here])
            at[here] = np.where(better, before.start + place, at[here])
    return np.where(at == NO_ID, np.nan, best), at

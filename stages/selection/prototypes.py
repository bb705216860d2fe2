"""The samples nearest to the middle of their cluster: what a model learns without them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._clustered import Clustered
from .base import Corpus, Verdict, gather, places, share_of, top, without


class Prototypes(Clustered):
    """SSL prototypes: drop the samples that are most like their cluster's centroid.

    Sorscher et al., Beyond neural scaling laws: beating power law scaling via data pruning, 2022,
    §4: a sample is as easy as it is near to its k-means centroid, and the easy ones are dropped.
    Tirumala et al., D4: Improving LLM Pretraining via Document De-Duplication and
    Diversification, 2023, §3.4 do so after SemDeDup, with clusters that are found anew among what
    is left: give the set of clusters `after: semdedup` and this selector `among: kept`, as recipe
    `d4` does. The score is the cosine to the centroid; ties break by sample_id. A sample without
    a vector is dropped.

    Fidelity: exact. The centroid is the mean direction of the cluster's judged samples.

    Cost: two passes over the vectors; 16 bytes a sample on the disk.

    Traps: without deduplication first, clusters form around duplicates and these are what is
    dropped; where little data is left, easy samples are the better ones (Sorscher et al., §3).
    """

    paper = "Tirumala et al., D4, 2023; Sorscher et al., Beyond neural scaling laws, 2022"
    bytes_a_sample = 72

    fraction: float = Field(default=0.75, ge=0, le=1)
    """Share that is kept."""
    within: Literal["cluster", "corpus"] = "cluster"
    """What the share is of: each cluster, or all clusters together."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure how near the members of a task's clusters are to their centroids."""
        return self.nearness(corpus, task)

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Keep the farthest of each cluster, or of all."""
        ids, found = gather(measured, "ids.npy"), gather(measured, "scores.npy")
        scores = np.full(corpus.count, np.nan, np.float32)
        scores[ids] = found
        drops = without(corpus, ids)
        if self.within == "corpus":
            kept = top(-scores, np.sort(ids), share_of(self.fraction, len(ids)))
            gone = np.setdiff1d(ids, kept)
        else:
            clusters = gather(measured, "clusters.npy")
            sizes = np.bincount(clusters)
            limits = np.minimum(np.floor(self.fraction * sizes + 0.5), sizes)
            gone = ids[places(clusters, found, ids) >= limits[clusters]]
        drops[gone] = DROP_CODE[Drop.PROTOTYPE]
        return Verdict(drops, scores)

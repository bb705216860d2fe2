"""The samples most like a target task's corpus, a share of them for each target if asked."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._against import TargetSelector, nearest_target, products
from ._exact import targets
from .base import Corpus, Verdict, gather, places, share_of, top
from .top_score import keep_fraction


class Cupid(TargetSelector):
    """CUPID: keep the top fraction by similarity to the target corpus.

    Zhou et al., CUPID: Adaptive Curation of Pre-training Data for Video-and-Language
    Representation Learning, 2021, §3.2: each source sample is scored by its mean or its largest
    similarity to the target corpus, and the best are kept. With `quota`, a target is given at most
    that many: a sample counts for the target that is nearest to it, so that one crowded corner of
    the target corpus cannot take all places. Ties break by sample_id.

    Fidelity: exact.

    Trap: a mean favours what is near the middle of the target corpus, whatever it shows.
    """

    paper = "Zhou et al., CUPID, 2021"
    bytes_a_sample = 48

    targets: str
    """Vectors of the target corpus, .npy or Parquet."""
    by: Literal["max", "mean"] = "max"
    """Largest or mean cosine."""
    fraction: float = Field(default=0.15, ge=0, le=1)
    """Share of the judged samples that is kept."""
    quota: int | None = Field(default=None, ge=1)
    """Samples that are kept for one target, at most."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure the similarity of a part's samples, and which target is nearest."""
        found = nearest_target(corpus, task, self.space, self.targets)
        if self.by == "max":
            return found
        wanted = targets(self.targets, corpus.vectors[self.space].dim)
        scores = np.full(found.rows, np.nan)
        for step, there, blocks in products(corpus, task, self.space, wanted):
            total = sum((cosines.sum(axis=1) for _, cosines in blocks), np.zeros(len(there)))
            scores[step] = np.where(there, total / len(wanted), np.nan)
        return Output(found.rows, {**found.files, "scores.npy": scores.astype(np.float32)})

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Cut at the quota of each target, then at the fraction."""
        scores = gather(measured, "scores.npy")
        if self.quota is None:
            return keep_fraction(corpus, scores, self.fraction)
        judged = corpus.is_judged(np.arange(corpus.count))
        scored = np.flatnonzero(judged & ~np.isnan(scores))
        over = _over_quota(scores, gather(measured, "targets.npy"), scored, self.quota)
        kept = top(scores, np.setdiff1d(scored, over), share_of(self.fraction, int(judged.sum())))
        drops = np.full(corpus.count, np.uint8(DROP_CODE[Drop.NO_VECTOR]))
        drops[scored] = DROP_CODE[Drop.BELOW_CUT]
        drops[over] = DROP_CODE[Drop.OVER_QUOTA]
        drops[kept] = DROP_CODE[Drop.KEPT]
        cut = float(scores[kept].min()) if len(kept) else None
        return Verdict(drops, scores, facts={"cut": cut})


def _over_quota(scores: np.ndarray, of: np.ndarray, ids: np.ndarray, quota: int) -> np.ndarray:
    """Return the ids behind the first `quota` of their target, by score, ties by id."""
    return np.sort(ids[places(of[ids], -scores[ids], ids) >= quota])

"""The samples that lie where a target task's pictures lie."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ..base import Task
from ._against import TargetSelector, products
from ._exact import targets
from .base import Corpus, Verdict, gather
from .top_score import keep_fraction


class Normsim(TargetSelector):
    """NormSim: keep the top fraction by the norm of the cosines to target vectors.

    Wang et al., CLIPLoss and Norm-Based Data Selection Methods for Multimodal Contrastive
    Learning, 2024, eq. 5: NormSim_p(i) = || Z_target z_i ||_p with p = 2 (on average near the
    targets) or p = inf (near any of them, or opposite). Ties break by sample_id; a sample without
    a vector is dropped.

    Fidelity: exact.

    Traps: the targets must come from the space's own encoder; p = 2 grows with the number of
    targets, so scores of two target files are not on one scale.
    """

    paper = "Wang et al., CLIPLoss and Norm-Based Data Selection Methods, 2024"

    targets: str
    """Target vectors, .npy or Parquet: the training pictures of the target tasks."""
    p: Literal[2, "inf"] = 2
    """The norm."""
    fraction: float = Field(default=0.3, ge=0, le=1)
    """Share of the judged samples that is kept."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure the norm of each sample of a part; NaN without a vector."""
        wanted = targets(self.targets, corpus.vectors[self.space].dim)
        scores = np.full(len(corpus.ids(task.part)), np.nan)
        for step, there, blocks in products(corpus, task, self.space, wanted):
            found = np.zeros(len(there))
            for _, cosines in blocks:
                if self.p == 2:
                    found += np.einsum("ij,ij->i", cosines, cosines)
                else:
                    found = np.maximum(found, np.abs(cosines).max(axis=1))
            found = np.sqrt(found) if self.p == 2 else found
            scores[step] = np.where(there, found, np.nan)
        return Output(len(scores), {"scores.npy": scores.astype(np.float32)})

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Cut at the fraction."""
        return keep_fraction(corpus, gather(measured, "scores.npy"), self.fraction)

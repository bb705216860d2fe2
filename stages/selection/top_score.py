"""The samples whose image and caption agree most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._exact import dots
from .base import Corpus, Selector, Verdict, dropped, gather, share_of, top

_BLOCK = 8192


class TopScore(Selector):
    """CLIP score filtering: keep the top fraction by the cosine of image and caption.

    Gadre et al., DataComp: In search of the next generation of multimodal datasets, 2023, §5.2
    (L/14 top 30 %); the score is Hessel et al., CLIPScore, 2021, eq. 1 without its factor. The
    fraction is of all samples that are judged; ties break by sample_id. A sample without one of
    the two vectors is dropped.

    Fidelity: exact.

    Traps: a sample with several captions has the mean of their vectors, so its score is of the
    mean; scores of two encoders are not on one scale, so a threshold does not travel, a fraction
    does.
    """

    paper = "Gadre et al., DataComp, 2023"
    bytes_a_sample = 32

    fraction: float = Field(default=0.3, ge=0, le=1)
    """Share of the judged samples that is kept."""
    spaces: str = Field(default="image>caption", pattern=r"^[^>]+>[^>]+$")
    """The two spaces whose vectors are compared; both of one encoder."""

    @property
    def space_names(self) -> Sequence[str]:
        """The two spaces of `spaces`."""
        return tuple(dict.fromkeys(self.spaces.split(">")))

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure the cosine of each sample of a part; NaN without a vector."""
        scores = np.concatenate([np.zeros(0, np.float32), *self._blocks(corpus, task)])
        return Output(len(scores), {"scores.npy": scores})

    def _blocks(self, corpus: Corpus, task: Task) -> list[np.ndarray]:
        first, second = (corpus.vectors[name] for name in self.spaces.split(">"))
        ids, found = corpus.ids(task.part), []
        for start in range(0, len(ids), _BLOCK):
            step = ids[start : start + _BLOCK]
            left, right = first.rows(step), second.rows(step)
            there = left.any(axis=1) & right.any(axis=1)
            found.append(np.where(there, dots(left, right), np.nan).astype(np.float32))
        return found

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Cut at the fraction."""
        return keep_fraction(corpus, gather(measured, "scores.npy"), self.fraction)


def keep_fraction(corpus: Corpus, scores: np.ndarray, fraction: float) -> Verdict:
    """Keep the top fraction of the judged samples by score, ties by id.

    Args:
        corpus: of the selector.
        scores: float32 [N], NaN where a sample has none: it is dropped.
        fraction: share of all judged samples, those without a score included.
    """
    judged = corpus.is_judged(np.arange(corpus.count))
    scored = np.flatnonzero(judged & ~np.isnan(scores))
    kept = top(scores, scored, share_of(fraction, int(judged.sum())))
    drops = dropped(corpus.count, np.flatnonzero(np.isnan(scores)), Drop.NO_VECTOR)
    drops[scored] = DROP_CODE[Drop.BELOW_CUT]
    drops[kept] = DROP_CODE[Drop.KEPT]
    cut = float(scores[kept].min()) if len(kept) else None
    return Verdict(drops, scores, facts={"cut": cut})

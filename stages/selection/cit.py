"""The captions that speak of a task: near enough to one of its class names."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.selection import DROP_CODE, Drop
from ..base import Task
from ._against import TargetSelector, nearest_target
from .base import Corpus, Verdict, gather, top


class Cit(TargetSelector):
    """CiT: keep a sample whose caption is near a class name, or the best few of its chunk.

    Xu et al., CiT: Curation in Training for Effective Vision-Language Data, 2023, §3.2 and
    Algorithm 2 (facebookresearch/CiT, engine.py): accepted if the largest cosine of the caption to
    any class name is above the threshold; where less than `min_ratio` of a chunk is accepted, its
    best `min_ratio` (rounded up) are instead. A chunk is a run of `chunk` sample_ids, as the
    paper's is a batch of its loader.

    Fidelity: surrogate. The paper embeds with the text encoder that is being trained, before its
    projection, round after round; this is one round of a frozen one. Mine again in the trained
    space for the next.

    Trap: 0.55 is a threshold of one sentence encoder (SimCSE) on YFCC15M; look at the scores in
    `selection` before you trust it in another space.
    """

    fidelity = "surrogate"
    paper = "Xu et al., CiT: Curation in Training for Effective Vision-Language Data, 2023"
    bytes_a_sample = 40

    targets: str
    """Vectors of the class names or task texts, .npy or Parquet, by the encoder of `space`."""
    space: str = Field(default="caption", pattern=r"^[^>]+$")
    """Space of the captions' vectors."""
    threshold: float = Field(default=0.55, ge=-1, le=1)
    """Cosine that must be exceeded."""
    min_ratio: float = Field(default=0.003, ge=0, le=1)
    """Share of a chunk that is accepted at least."""
    chunk: int = Field(default=16_384, ge=1)
    """Samples of a chunk."""

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure the largest cosine of a part's captions to any target."""
        found = nearest_target(corpus, task, self.space, self.targets)
        return Output(found.rows, {"scores.npy": found.files["scores.npy"]})

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Accept by threshold, chunk by chunk at least the smallest share."""
        scores = gather(measured, "scores.npy")
        drops = np.full(corpus.count, np.uint8(DROP_CODE[Drop.BELOW_THRESHOLD]))
        drops[np.isnan(scores)] = DROP_CODE[Drop.NO_VECTOR]
        filled = 0
        for start in range(0, corpus.count, self.chunk):
            ids = np.arange(start, min(start + self.chunk, corpus.count))
            ids = ids[corpus.is_judged(ids)]
            scored = ids[~np.isnan(scores[ids])]
            kept = scored[scores[scored] > np.float32(self.threshold)]
            least = int(np.ceil(self.min_ratio * len(ids) - 1e-9))
            if len(kept) < least:
                kept, filled = top(scores, scored, least), filled + 1
            drops[kept] = DROP_CODE[Drop.KEPT]
        return Verdict(drops, scores, facts={"chunks_filled": filled})

"""CLIP scores without the advantage of captions and pictures that fit everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ...manifests.artifact import Artifact, Output
from ...manifests.fingerprint import draw_uint64
from ...manifests.vectors import check_comparable
from ..base import Task
from .base import Corpus, Selector, Verdict
from .top_score import keep_fraction

_ROWS = 512


class Negcliploss(Selector):
    """negCLIPLoss: keep the top fraction by the negative CLIP loss within random batches.

    Wang et al., CLIPLoss and Norm-Based Data Selection Methods for Multimodal Contrastive
    Learning, 2024, eq. 4: s_ii - (T / 2) (log sum_j e^(s_ij / T) + log sum_j e^(s_ji / T)), the
    mean over random divisions of the corpus into batches. A batch of a division is a run of a
    drawn order; all batches of a division differ by one sample at most. A sample without one of
    the two vectors is dropped, and stands in no sum.

    Fidelity: exact.

    Cost: batch products a sample and division; memory of a worker: 16 bytes a value of a batch's
    vectors and 16 * 512 bytes a sample of it (0.8 GB for 32,768 of width 512); 12 bytes a sample
    and division on the disk.

    Trap: T is the temperature of the encoder that made the vectors (0.01 in every CLIP), not the
    trainer's.
    """

    paper = "Wang et al., CLIPLoss and Norm-Based Data Selection Methods, 2024"
    bytes_a_sample = 48

    fraction: float = Field(default=0.3, ge=0, le=1)
    """Share of the judged samples that is kept."""
    spaces: str = Field(default="image>caption", pattern=r"^[^>]+>[^>]+$")
    """The two spaces whose vectors are compared; both of one encoder."""
    t: float = Field(default=0.01, ge=0.003)
    """Temperature T."""
    batch: int = Field(default=32_768, ge=2)
    """Samples of a batch, at most."""
    shuffles: int = Field(default=10, ge=1)
    """Random divisions that the score is the mean of."""

    @property
    def space_names(self) -> Sequence[str]:
        """The two spaces of `spaces`."""
        return tuple(dict.fromkeys(self.spaces.split(">")))

    def tasks(self, corpus: Corpus) -> list[Task]:
        """One task a batch of a division."""
        judged = int(corpus.is_judged(np.arange(corpus.count)).sum())
        batches = -(-judged // self.batch)
        return [
            Task(f"part-{shuffle:03d}-{batch:06d}", {"shuffle": shuffle, "batch": batch})
            for shuffle in range(self.shuffles)
            for batch in range(batches)
        ]

    def measure_bytes(self, corpus: Corpus) -> int:
        """One batch of both spaces, two blocks of products, the order of a division."""
        dim = corpus.vectors[self.space_names[0]].dim
        batch = min(self.batch, max(corpus.count, 1))
        return batch * (40 * dim + 24 * _ROWS) + 32 * corpus.count

    def measure(self, corpus: Corpus, task: Task) -> Output:
        """Measure the samples of one batch; NaN without a vector."""
        ids = self._members(corpus, task)
        query, _, bank = self.spaces.partition(">")
        left = corpus.vectors[query].rows(ids).astype(np.float64)
        right = corpus.vectors[bank].rows(ids).astype(np.float64)
        check_comparable(left.shape[1], right.shape[1], self.spaces)
        there = left.any(axis=1) & right.any(axis=1)
        found = np.full(len(ids), np.nan)
        found[there] = negative_loss(left[there], right[there], self.t)
        return Output(len(ids), {"ids.npy": ids, "scores.npy": found.astype(np.float32)})

    def _members(self, corpus: Corpus, task: Task) -> np.ndarray:
        everyone = np.arange(corpus.count)
        judged = everyone[corpus.is_judged(everyone)]
        drawn = draw_uint64(corpus.seed, judged, f"negcliploss/{task.spec['shuffle']}")[:, 0]
        order = judged[np.argsort(drawn, kind="stable")]
        batches, batch = -(-len(judged) // self.batch), task.spec["batch"]
        low, high = (len(judged) * at // batches for at in (batch, batch + 1))
        return np.sort(order[low:high])

    def decide(self, corpus: Corpus, measured: Artifact) -> Verdict:
        """Take the mean over divisions and cut at the fraction."""
        total = np.full(corpus.count, np.nan)
        if measured.parts:
            total[corpus.is_judged(np.arange(corpus.count))] = 0
        for part in measured.parts:
            total[measured.array(part, "ids.npy")] += measured.array(part, "scores.npy")
        scores = (total / self.shuffles).astype(np.float32)
        return keep_fraction(corpus, scores, self.fraction)


def negative_loss(left: np.ndarray, right: np.ndarray, t: float) -> np.ndarray:
    """Return eq. 4 for the pairs of a batch, float64 [n].

    Cosines are exact (see `_exact`); exponents are taken relative to the largest cosine there can
    be, 1, so that nothing overflows and the sums do not depend on what else is in a block.

    Args:
        left: float64 [n, d], vectors of stored rows.
        right: float64 [n, d], likewise.
        t: temperature.
    """
    rows, columns, own = np.zeros(len(left)), np.zeros(len(left)), np.zeros(len(left))
    for start in range(0, len(left), _ROWS):
        step = slice(start, start + _ROWS)
        cosines = left[step] @ right.T
        own[step] = cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))]
        cosines -= 1
        cosines /= t
        np.exp(cosines, out=cosines)
        rows[step] = cosines.sum(axis=1)
        columns += cosines.sum(axis=0)
    return own - 1 - t / 2 * (np.log(rows) + np.log(columns))

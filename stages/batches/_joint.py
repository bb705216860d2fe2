"""Joint selection of a batch from a super-batch by blocked Gibbs sampling (JEST, 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...manifests.fingerprint import draw_uniform
from ._losses import Scores
from .base import Pool

_JUDGED = 8
_RANDOM = 16


def super_size(size: int, filter_ratio: float, chunks: int) -> int:
    """Return B = size / (1 - f).

    Raises:
        ValueError: B is no whole number, or size no multiple of `chunks`.
    """
    if size % chunks:
        raise ValueError(f"size {size} must be a multiple of chunks {chunks}")
    exact = size / (1 - filter_ratio)
    if abs(exact - round(exact)) > 1e-6 * exact:
        raise ValueError(
            f"size / (1 - filter_ratio) = {exact:g} must be whole: take a multiple of 5 for 0.8"
        )
    return round(exact)


def select(
    scores: Scores, rows: np.ndarray, size: int, chunks: int, noise: np.ndarray
) -> np.ndarray:
    """Choose `size` of some rows, chunk by chunk (Evans et al. 2024, appendix, algorithm 1).

    A chunk is drawn without replacement by the softmax of the scores beside the rows that are
    chosen already, by adding Gumbel noise and taking the largest (Kool et al. 2019); the first
    chunk knows S_ii alone.

    Args:
        scores: S.
        rows: int64 [B], the super-batch.
        size: rows to choose, a multiple of `chunks`.
        chunks: n.
        noise: float64 [B, chunks] uniform in [0, 1).

    Returns:
        int64 [size], positions in `rows` in the order in which they were chosen.
    """
    running = scores.running(rows)
    chosen = np.zeros(0, np.int64)
    for step in range(chunks):
        gumbel = -np.log(-np.log(np.maximum(noise[:, step], 2.0**-54)))
        keys = running.logits + gumbel
        keys[chosen] = -np.inf
        new = np.argsort(-keys, kind="stable")[: size // chunks]
        chosen = np.concatenate([chosen, new])
        running.add(new)
    return chosen


@dataclass(frozen=True)
class Joint:
    """Settings of the selection: size of a batch, of a super-batch, and number of chunks."""

    size: int
    super_size: int
    chunks: int

    def compose(self, pool: Pool, scores: Scores) -> tuple[np.ndarray, dict[str, Any]]:
        """Return int64 [batches, size] places, one batch a super-batch, and facts."""
        shuffled = pool.shuffled("batches/joint")
        batches, gains = [np.zeros((0, self.size), np.int64)], []
        for number in range(len(pool) // self.super_size):
            rows = shuffled[number * self.super_size : (number + 1) * self.super_size]
            noise = draw_uniform(pool.seed, pool.anchors[rows], "batches/gibbs", self.chunks)
            chosen = rows[select(scores, rows, self.size, self.chunks, noise)]
            batches.append(chosen[None])
            if number < _JUDGED:
                gains.append(self._gain(pool, scores, rows, chosen))
        facts: dict[str, Any] = {"super_batch": self.super_size, "chunks": self.chunks}
        if gains:
            names = ("score", "score_random", "z")
            facts |= {
                name: round(float(np.mean(column)), 6)
                for name, column in zip(names, zip(*gains, strict=True), strict=True)
            }
        return np.concatenate(batches), facts

    def _gain(
        self, pool: Pool, scores: Scores, rows: np.ndarray, chosen: np.ndarray
    ) -> tuple[float, float, float]:
        """Return the score of a batch, the mean of random ones, and their distance in sigmas."""
        lots = draw_uniform(pool.seed, pool.anchors[rows], "batches/joint/judge", _RANDOM)
        others = [
            scores.of_batch(rows[np.argsort(lot, kind="stable")[: self.size]]) for lot in lots.T
        ]
        mine, mean = scores.of_batch(chosen), float(np.mean(others))
        return mine, mean, (mine - mean) / max(float(np.std(others)), 1e-12)

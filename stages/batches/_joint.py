"""Joint selection of a batch from a super-batch by blocked Gibbs sampling (JEST, 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...manifests.fingerprint import draw_uniform
from ...manifests.vectors import check_comparable
from .base import Pool

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Scores float64 [n, m] of images (places [n]) beside texts (places [m])."""

_LOOK = 256
"""Rows whose scores against a super-batch are held at a time."""
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


@dataclass(frozen=True)
class Sigmoid:
    """The pairwise sigmoid loss (Zhai et al. 2023) of a frozen pair of spaces.

    Attributes:
        pool: where the vectors are.
        image, caption: names of the spaces.
        scale, bias: logits are scale * similarity + bias.
    """

    pool: Pool
    image: str
    caption: str
    scale: float
    bias: float

    def loss(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Return -log sigmoid(+logit) where image and text are one row, else of -logit."""
        left, right = self.pool.exact(self.image, images), self.pool.exact(self.caption, texts)
        check_comparable(left.shape[1], right.shape[1], f"{self.image}>{self.caption}")
        logits = self.scale * (left @ right.T) + self.bias
        same = images[:, None] == texts
        return np.logaddexp(0.0, np.where(same, -logits, logits))


def own_scores(score: Score, rows: np.ndarray) -> np.ndarray:
    """Return the scores of rows with themselves, float64 [n]."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _LOOK):
        part = rows[start : start + _LOOK]
        found[start : start + _LOOK] = np.diagonal(score(part, part))
    return found


def select(score: Score, rows: np.ndarray, size: int, chunks: int, noise: np.ndarray) -> np.ndarray:
    """Choose `size` of some rows, chunk by chunk (Evans et al. 2024, appendix, algorithm 1).

    A chunk is drawn without replacement with probabilities proportional to exp(S_ii + sum over
    the chosen j of (S_ij + S_ji)), by adding Gumbel noise and taking the largest (Kool et al.
    2019); the first chunk knows S_ii alone.

    Args:
        score: S.
        rows: int64 [B], the super-batch.
        size: rows to choose, a multiple of `chunks`.
        chunks: n.
        noise: float64 [B, chunks] uniform in [0, 1).

    Returns:
        int64 [size], positions in `rows` in the order in which they were chosen.
    """
    logits = own_scores(score, rows)
    chosen = np.zeros(0, np.int64)
    for step in range(chunks):
        gumbel = -np.log(-np.log(np.maximum(noise[:, step], 2.0**-54)))
        keys = logits + gumbel
        keys[chosen] = -np.inf
        new = np.argsort(-keys, kind="stable")[: size // chunks]
        chosen = np.concatenate([chosen, new])
        for start in range(0, len(new), _LOOK):
            part = rows[new[start : start + _LOOK]]
            logits += score(rows, part).sum(axis=1) + score(part, rows).sum(axis=0)
    return chosen


def batch_score(score: Score, rows: np.ndarray) -> float:
    """Return the mean over a batch of S_ii + sum over the other j of (S_ij + S_ji)."""
    table = score(rows, rows)
    own = np.diagonal(table)
    return float((table.sum(axis=0) + table.sum(axis=1) - own).mean())


@dataclass(frozen=True)
class Joint:
    """Settings of the selection: size of a batch, of a super-batch, and number of chunks."""

    size: int
    super_size: int
    chunks: int

    def compose(self, pool: Pool, score: Score) -> tuple[np.ndarray, dict[str, Any]]:
        """Return int64 [batches, size] places, one batch a super-batch, and facts."""
        shuffled = pool.shuffled("batches/joint")
        batches, gains = [np.zeros((0, self.size), np.int64)], []
        for number in range(len(pool) // self.super_size):
            rows = shuffled[number * self.super_size : (number + 1) * self.super_size]
            noise = draw_uniform(pool.seed, pool.anchors[rows], "batches/gibbs", self.chunks)
            chosen = rows[select(score, rows, self.size, self.chunks, noise)]
            batches.append(chosen[None])
            if number < _JUDGED:
                gains.append(self._gain(pool, score, rows, chosen))
        facts: dict[str, Any] = {"super_batch": self.super_size, "chunks": self.chunks}
        if gains:
            names = ("score", "score_random", "z")
            facts |= {
                name: round(float(np.mean(column)), 6)
                for name, column in zip(names, zip(*gains, strict=True), strict=True)
            }
        return np.concatenate(batches), facts

    def _gain(
        self, pool: Pool, score: Score, rows: np.ndarray, chosen: np.ndarray
    ) -> tuple[float, float, float]:
        """Return the score of a batch, the mean of random ones, and their distance in sigmas."""
        lots = draw_uniform(pool.seed, pool.anchors[rows], "batches/joint/judge", _RANDOM)
        others = [
            batch_score(score, rows[np.argsort(lot, kind="stable")[: self.size]]) for lot in lots.T
        ]
        mine, mean = batch_score(score, chosen), float(np.mean(others))
        return mine, mean, (mine - mean) / max(float(np.std(others)), 1e-12)

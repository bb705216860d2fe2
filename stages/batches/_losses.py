"""Losses of frozen pairs of spaces as scores of rows, alone and beside rows that are chosen.

S = L_learner - L_reference, or -L_reference alone (Evans et al. 2024): a score is a sum of losses
with signs. Which loss decides how a row's score depends on the rows beside it.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...manifests.vectors import check_comparable
from .base import Pool

LOOK = 256
"""Rows whose logits against a super-batch are held at a time."""


@dataclass(frozen=True)
class Encoder:
    """A frozen pair of spaces and what it counts for.

    Attributes:
        image, caption: names of the spaces.
        sign: +1 for a learner (hard is good), -1 for a reference (easy is good).
        scale, bias: logits are scale * similarity + bias.
    """

    image: str
    caption: str
    sign: int
    scale: float
    bias: float

    def logits(self, pool: Pool, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Return float64 [n, m] of images (places [n]) beside texts (places [m])."""
        left, right = pool.exact(self.image, images), pool.exact(self.caption, texts)
        check_comparable(left.shape[1], right.shape[1], f"{self.image}>{self.caption}")
        return self.scale * (left @ right.T) + self.bias


class Running(abc.ABC):
    """Scores of the rows of a super-batch while rows of it are being chosen.

    Attributes:
        logits: float64 [B], the score of each row beside those that are chosen; the caller leaves
            chosen rows out.
    """

    logits: np.ndarray

    @abc.abstractmethod
    def add(self, new: np.ndarray) -> None:
        """Take more rows, int64 positions in the super-batch, as chosen."""


class Scores(abc.ABC):
    """One kind of loss over some encoders."""

    def __init__(self, pool: Pool, encoders: Sequence[Encoder]) -> None:
        self.pool, self.encoders = pool, encoders

    def own(self, encoder: Encoder, rows: np.ndarray) -> np.ndarray:
        """Return the logits of rows with themselves, float64 [n]."""
        found = np.empty(len(rows))
        for start in range(0, len(rows), LOOK):
            part = rows[start : start + LOOK]
            logits = encoder.logits(self.pool, part, part)
            found[start : start + LOOK] = np.diagonal(logits)
        return found

    @abc.abstractmethod
    def running(self, rows: np.ndarray) -> Running:
        """Begin with no row chosen: every row has its own score S_ii."""

    @abc.abstractmethod
    def of_batch(self, rows: np.ndarray) -> float:
        """Return the mean over a batch of the score of a row beside all others."""


class Sigmoid(Scores):
    """The pairwise sigmoid loss (Zhai et al. 2023): scores add up.

    Beside chosen rows C a row has S_ii + sum over j in C of (S_ij + S_ji).
    """

    def scores(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Return S float64 [n, m]: -log sigmoid(+logit) where image and text are one row."""
        total = np.zeros((len(images), len(texts)))
        same = images[:, None] == texts
        for encoder in self.encoders:
            logits = encoder.logits(self.pool, images, texts)
            total += encoder.sign * np.logaddexp(0.0, np.where(same, -logits, logits))
        return total

    def running(self, rows: np.ndarray) -> Running:
        """Begin with S_ii."""
        return _Added(self, rows)

    def of_batch(self, rows: np.ndarray) -> float:
        """Return the mean of S_ii + sum over the other j of (S_ij + S_ji)."""
        table = self.scores(rows, rows)
        return float((table.sum(axis=0) + table.sum(axis=1) - np.diagonal(table)).mean())


class _Added(Running):
    def __init__(self, scores: Sigmoid, rows: np.ndarray) -> None:
        self._scores, self._rows = scores, rows
        self.logits = np.concatenate(
            [np.zeros(0)]
            + [
                np.diagonal(scores.scores(part, part))
                for part in np.array_split(rows, max(-(-len(rows) // LOOK), 1))
            ]
        )

    def add(self, new: np.ndarray) -> None:
        for start in range(0, len(new), LOOK):
            part = self._rows[new[start : start + LOOK]]
            self.logits += self._scores.scores(self._rows, part).sum(axis=1)
            self.logits += self._scores.scores(part, self._rows).sum(axis=0)


class Softmax(Scores):
    """The softmax contrastive loss (Radford et al. 2021): negatives compete.

    Beside chosen rows C a row's loss is -l_ii + (log sum over j in C of exp(l_ij) + log sum over j
    in C of exp(l_ji)) / 2, with l the logits: only chosen rows are negatives. With none chosen it
    is -l_ii alone. (Evans et al. 2024, appendix.)
    """

    def running(self, rows: np.ndarray) -> Running:
        """Begin with S_ii."""
        return _Competing(self, rows)

    def of_batch(self, rows: np.ndarray) -> float:
        """Return the mean over rows of the score beside all others of the batch."""
        total = np.zeros(len(rows))
        for encoder in self.encoders:
            logits = encoder.logits(self.pool, rows, rows)
            own = np.diagonal(logits).copy()
            np.fill_diagonal(logits, -np.inf)
            beside = np.zeros(len(rows))
            if len(rows) > 1:
                beside = (_log_sum(logits, 1) + _log_sum(logits, 0)) / 2
            total += encoder.sign * (beside - own)
        return float(total.mean())


class _Competing(Running):
    def __init__(self, scores: Softmax, rows: np.ndarray) -> None:
        self._scores, self._rows = scores, rows
        self._own = [scores.own(encoder, rows) for encoder in scores.encoders]
        self._sums = [np.full((2, len(rows)), -np.inf) for _ in scores.encoders]
        self.logits = np.zeros(len(rows))
        self._join()

    def add(self, new: np.ndarray) -> None:
        pool, rows = self._scores.pool, self._rows
        for encoder, sums in zip(self._scores.encoders, self._sums, strict=True):
            for start in range(0, len(new), LOOK):
                part = rows[new[start : start + LOOK]]
                forth = _log_sum(encoder.logits(pool, rows, part), 1)
                back = _log_sum(encoder.logits(pool, part, rows), 0)
                sums[:] = np.logaddexp(sums, np.stack([forth, back]))
        self._join()

    def _join(self) -> None:
        self.logits = np.zeros(len(self._rows))
        for encoder, own, sums in zip(self._scores.encoders, self._own, self._sums, strict=True):
            beside = np.where(np.isfinite(sums), sums, 0).mean(axis=0)
            self.logits += encoder.sign * (beside - own)


def _log_sum(logits: np.ndarray, axis: int) -> np.ndarray:
    """Return the log of the sum of exp over an axis, float64."""
    top = logits.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(logits - top).sum(axis=axis))


KINDS = {"sigmoid": Sigmoid, "softmax": Softmax}
"""Losses by name."""
SCALES = {"sigmoid": 10.0, "softmax": 100.0}
"""Scale of the logits where none is given: where SigLIP starts; the reference's in the paper."""

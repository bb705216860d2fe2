"""`grit`: chains of hardest images and texts, cut into small batches (GRIT-VLP, 2022)."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from .base import Batches, Planner, Pool, cut


class Grit(Planner):
    """Walk from an image to its hardest text, from that text to its hardest image, and so on.

    Byun et al., "GRIT-VLP: Grouped Mini-batch Sampling for Efficient Vision and Language
    Pre-training", ECCV 2022 (github.com/jaeseokbyun/GRIT-VLP): the walk goes without replacement
    through a search space of 1920 pairs, is cut into batches of 128, and whole batches are
    shuffled. Fidelity: frozen-detector, as the paper uses the features of the running epoch.

    A row that was reached by its text looks on with its text, one reached by its image with its
    image. Windows are random, and their chains are joined: a batch crosses two windows only
    where `window` is no multiple of `size`.

    Traps: the hardest other text is the likeliest false negative; use a miner for those. Rows
    without a vector come last in their window. Memory: 30 MB a window, 24 bytes a row.
    """

    fidelity = "frozen-detector"
    paper = "Byun et al., GRIT-VLP: Grouped Mini-batch Sampling, 2022"
    row_bytes = 48

    size: int = Field(default=128, ge=2)
    """Pairs of a batch, of all ranks together."""
    image: str = "image"
    """The space of the images."""
    caption: str = "caption"
    """The space of the texts, comparable with `image`."""
    window: int = Field(default=1920, ge=2, le=16384)
    """Rows of a search space."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window < self.size:
            raise ValueError(f"window {self.window} must not be smaller than size {self.size}")
        return self

    @property
    def space_names(self) -> tuple[str, ...]:
        """Images and texts."""
        return (self.image, self.caption)

    def compose(self, pool: Pool) -> Batches:
        """Walk through window after window and cut the walk."""
        shuffled = pool.shuffled("batches/grit/windows")
        walks = []
        for start in range(0, len(pool), self.window):
            rows = shuffled[start : start + self.window]
            images, texts = pool.exact(self.image, rows), pool.exact(self.caption, rows)
            walks.append(rows[chain(images @ texts.T)])
        batches = cut(np.concatenate([np.zeros(0, np.int64), *walks]), self.size)
        lot = np.argsort(pool.draws("batches/grit")[: len(batches), 0], kind="stable")
        return Batches(batches[lot])


def chain(similarity: np.ndarray) -> np.ndarray:
    """Return the walk from row 0 as int64 [n]: turn by turn the hardest text, the hardest image.

    Args:
        similarity: float64 [n, n], of image i and text j; ties go to the lower number.
    """
    count = len(similarity)
    left = np.zeros(count)
    directions = np.ascontiguousarray(similarity), np.ascontiguousarray(similarity.T)
    order = np.zeros(count, np.int64)
    left[0] = -np.inf
    for step in range(1, count):
        row = directions[(step - 1) % 2][order[step - 1]]
        order[step] = int((row + left).argmax())
        left[order[step]] = -np.inf
    return order

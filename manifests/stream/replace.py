"""Other pairs in the place of those whose images could not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..fingerprint import draw_uint64
from .batch import Composition, stands

TRIES = 8
"""Pairs that are tried in one place before it is left empty."""


@dataclass(frozen=True)
class Replacement:
    """Puts another pair in the place of one that lost its anchor or all its positives.

    The other pair is drawn evenly from the rows of the epoch by (seed, epoch, pair_id, try) alone,
    so every topology draws the same and no other place of the order moves. Another pair, because
    a pair without an anchor or a positive has nothing to learn from; a pair that keeps one
    positive stays, and its lost images are left out as "mask" does it: its weights say so, and
    another positive or negative would only be the same pair weighed anew. The other pair may come
    a second time in the epoch; `false_negative_mask` keeps two of one in a batch apart.

    Attributes:
        compose: makes the composition of rows.
        load: reads the images of ids.
        rows: int64 [n], the rows that the epoch walks.
        seed: of the stream.
        epoch: of the batch.
    """

    compose: Callable[[np.ndarray], Composition]
    load: Callable[[np.ndarray], list[Tensor | None]]
    rows: np.ndarray
    seed: int
    epoch: int

    def __call__(
        self, plan: Composition, images: list[Tensor | None]
    ) -> tuple[Composition, list[Tensor | None], np.ndarray]:
        """Replace what is lost.

        Args:
            plan: what the batch should hold.
            images: of `plan.sample_id`, None where unreadable.

        Returns:
            what it holds, the images of that, and bool [B], which rows stand in for others.
        """
        wanted, now = plan.rows, plan.rows.copy()
        known = dict(zip(plan.sample_id.tolist(), images, strict=True))
        lost = _lost(plan, images)
        for turn in range(TRIES):
            if not lost.any():
                break
            draws = draw_uint64(self.seed, wanted[lost], f"replace/{self.epoch}/{turn}")[:, 0]
            now[lost] = self.rows[(draws % np.uint64(len(self.rows))).astype(np.int64)]
            plan = self.compose(now)
            new = np.array([i for i in plan.sample_id.tolist() if i not in known], np.int64)
            known |= dict(zip(new.tolist(), self.load(new), strict=True))
            images = [known[i] for i in plan.sample_id.tolist()]
            lost = _lost(plan, images)
        return plan, images, now != wanted


def _lost(plan: Composition, images: list[Tensor | None]) -> np.ndarray:
    read = np.array([image is not None for image in images], bool)
    return stands(plan, np.ones_like(read)) & ~stands(plan, read)

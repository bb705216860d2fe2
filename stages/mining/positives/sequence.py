"""Frames of one camera, taken within seconds of each other, are positives."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from typing import Literal

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ..base import TAKEN, Block, Decisions, Miner, column_of, keep_first, refuse


class Sequence(Miner):
    """The nearest frames in time of the same camera or location.

    Pantazis et al., Focus on the Positives: Self-Supervised Learning for Biodiversity Monitoring,
    2021, sequence positives (code: omipan/camera_traps_self_supervised): the nearest previous and
    the nearest next image of the location within 5 s; the trainer draws uniformly from them and
    the anchor itself (the recipe adds `self_aug`).

    `take: all` takes up to `count` within the window, nearest first. Frames at the anchor's own
    time count: burst cameras stamp whole seconds. Of equal distances the smaller id comes first,
    and is the previous one.

    Fidelity: exact.

    Traps: near-duplicates of the anchor are refused as its pair, and with a static camera nearly
    every frame may be one: raise duplicates.threshold there. `reach` frames on each side are
    looked at, so a burst of more near-duplicates than that hides what follows.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Pantazis et al., Focus on the Positives, 2021"

    location: str | None = "location"
    """Attribute of the camera or place; null where the corpus is of one camera."""
    time: str = "time"
    """Attribute of the time."""
    window_s: float = Field(default=5.0, ge=0)
    """Largest distance in time, in seconds."""
    take: Literal["nearest", "all"] = "nearest"
    """The nearest on each side, or all within the window."""
    count: int = Field(default=8, ge=1, le=64)
    """With `take: all`: positives an anchor."""
    reach: int = Field(default=8, ge=1, le=512)
    """Frames that are looked at on each side."""

    @property
    def columns(self) -> ListOf[str]:
        """The location, and what keeps splits and duplicates apart."""
        return (*self._line, "group_id")

    @property
    def number_columns(self) -> ListOf[str]:
        """The time."""
        return (column_of(self.time),)

    @property
    def _line(self) -> tuple[str, ...]:
        """What frames of one line in time have in common."""
        return (*((column_of(self.location),) if self.location else ()), "split")

    @property
    def capacity(self) -> int:
        """One a side, or `count`."""
        return 2 if self.take == "nearest" else self.count

    def mine(self, block: Block) -> Decisions:
        """Walk away from each anchor in time, on both sides."""
        ids, gaps = self._around(block)
        reasons = np.full(ids.shape, TAKEN)
        anchors = block.anchors[:, None]
        take = block.samples.take
        same = (take("group_id", ids) == take("group_id", anchors)) & (ids != NO_ID)
        refuse(reasons, gaps > self.window_s, Reason.TIME_GAP)
        refuse(reasons, same, Reason.DUPLICATE)
        sides = np.split(np.arange(ids.shape[1]), 2)
        for side in sides:
            # Behind the first that is too far away, and behind the one taken, nothing is looked at.
            stop = (reasons[:, side] == TAKEN) & (self.take == "nearest")
            stop |= gaps[:, side] > self.window_s
            ids[:, side] = np.where(np.cumsum(stop, axis=1) - stop > 0, NO_ID, ids[:, side])
        order = np.lexsort((ids, np.where(ids == NO_ID, np.inf, gaps)), axis=1)
        ids, reasons = (np.take_along_axis(a, order, axis=1) for a in (ids, reasons))
        ids = keep_first(ids, reasons, self.capacity)
        ranks = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        return Decisions(ids, reasons, np.full(ids.shape, np.nan, np.float32), ranks)

    def _around(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Return the frames before and after, nearest first on each side.

        Returns:
            ids int64 [A, 2 reach], -1 fill; distances in seconds float64, infinite for -1.
        """
        time = column_of(self.time)
        index = block.samples.rows_with(*self._line, time)
        now = block.samples.numbers(time, block.anchors)
        first, stop = index.run(block.anchors, len(self._line))
        stop = np.where(np.isnan(now), first, stop)
        steps = np.arange(1, min(self.reach, max(len(index.order) - 1, 0)) + 1)
        at = index.position[block.anchors][:, None] + np.concatenate([-steps, steps])
        inside = (at >= first[:, None]) & (at < stop[:, None])
        ids = np.full(at.shape, NO_ID, np.int64)
        ids[inside] = index.order[at[inside]]
        gaps = np.abs(block.samples.numbers(time, ids) - now[:, None])
        # Frames without a time stand at the beginning of their run.
        ids[np.isnan(gaps)] = NO_ID
        return ids, np.where(np.isnan(gaps), np.inf, gaps)

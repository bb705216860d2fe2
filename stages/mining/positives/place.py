"""The same place at another time is a positive."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial import KDTree

from ....manifests.fingerprint import draw_uniform
from ....manifests.schema import NO_ID, Reason, Role
from ..base import (
    TAKEN,
    Block,
    Decisions,
    Miner,
    Pool,
    RowIndex,
    bisect,
    column_of,
    draw_on,
    keep_first,
    refuse,
)

EARTH_METRES = 6_371_008.8
"""Mean radius of the earth (IUGG)."""
_DRAWS = 256
"""Draws of an anchor; one that meets so many near-duplicates of itself stays short."""
_HELD = 1 << 21
"""Neighbours within the radius that are held at a time."""


class Place(Miner):
    """Temporal positives: images of one place, taken at another time.

    Ayush et al., Geography-Aware Self-Supervised Learning, 2021, §4.1: the positive of an image
    is drawn uniformly among the images of the same location at other times; if there is none, the
    image itself. Here `count` are drawn without replacement, and the filler `self_aug` gives the
    self edge to anchors without any.

    A place is an equal value of `location`, or, with `coordinates`, everything within `metres` on
    the sphere: haversine distance, found as chords between points of the unit sphere in a k-d
    tree, so that dateline and poles are no edges. Another time is |dt| >= `min_gap_s` (and never
    0) and <= `max_gap_s`; `time: null` for corpora whose images of a place need no time.

    Fidelity: exact.

    Traps: two rows of one place are contrasted in a batch unless `mask_groups` names the location
    column, which the recipe does; distances in degrees are not distances; being within `metres`
    is not transitive, so places by coordinates have no column to mask by. A sample without a
    place or a time has no positive and is nobody's. Draws stop at 256 an anchor.

    Memory with `coordinates`: 100 bytes a sample for the tree, in every worker.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Ayush et al., Geography-Aware Self-Supervised Learning, 2021"

    count: int = Field(default=4, ge=1, le=64)
    """Positives an anchor."""
    location: str = "location"
    """Attribute whose equal values are one place; not used with `coordinates`."""
    coordinates: tuple[str, str] | None = None
    """Attributes of latitude and longitude, in degrees."""
    metres: float = Field(default=100.0, gt=0, le=10_000_000)
    """With `coordinates`: how far apart images of one place may be."""
    time: str | None = "time"
    """Attribute of the time."""
    min_gap_s: float = Field(default=0.0, ge=0)
    """Least distance in time, in seconds; equal times are never taken."""
    max_gap_s: float | None = Field(default=None, gt=0)
    """Largest distance in time, in seconds."""

    @model_validator(mode="after")
    def _check(self) -> Place:
        if self.max_gap_s is not None and self.max_gap_s < self.min_gap_s:
            raise ValueError(f"max_gap_s {self.max_gap_s:g} is below min_gap_s {self.min_gap_s:g}")
        if self.time is None and (self.min_gap_s or self.max_gap_s is not None):
            raise ValueError("min_gap_s and max_gap_s need the attribute `time`")
        return self

    @property
    def columns(self) -> Sequence[str]:
        """The location, and what keeps splits and duplicates apart."""
        place = () if self.coordinates else (column_of(self.location),)
        return (*place, "split", "group_id")

    @property
    def number_columns(self) -> Sequence[str]:
        """Coordinates and time."""
        asked = (*(self.coordinates or ()), *((self.time,) if self.time else ()))
        return tuple(column_of(name) for name in asked)

    @property
    def memory_a_sample(self) -> int:
        """The tree."""
        return 100 if self.coordinates else 0

    @property
    def capacity(self) -> int:
        """As many as are drawn."""
        return self.count

    def mine(self, block: Block) -> Decisions:
        """Draw `count` of each anchor's place."""
        ids, reasons = self._near(block) if self.coordinates else self._equal(block)
        ids = keep_first(ids, reasons, self.count)
        shape = ids.shape
        ranks = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
        return Decisions(ids, reasons, np.full(shape, np.nan, np.float32), ranks)

    def _equal(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        place = column_of(self.location)
        if self.time is None:
            index = block.samples.rows_with(place, "split", "group_id")
            return self._draw(block, Pool.around(index, block.anchors[:, None], 2), block.anchors)
        time = column_of(self.time)
        index = block.samples.rows_with(place, "split", time)
        values = block.samples.once("times", lambda: _sorted_values(block, index, time))
        now = block.samples.numbers(time, block.anchors)
        first, stop = index.run(block.anchors, 2)
        stop = np.where(np.isnan(now), first, stop)
        far = np.inf if self.max_gap_s is None else self.max_gap_s
        # Samples without a time stand first in their run, as -infinity.
        low = np.where(np.isinf(far), -np.finfo(float).max, now - far)
        outer = (
            bisect(values, first, stop, low),
            bisect(values, first, stop, now + far, after=True),
        )
        least = self.min_gap_s
        inner = (
            bisect(values, first, stop, now - least, after=least > 0),
            bisect(values, first, stop, now + least, after=least == 0),
        )
        return self._draw(block, Pool.between(index, outer, inner), block.anchors)

    def _draw(self, block: Block, pool: Pool, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        group = block.samples.take("group_id", anchors)[:, None]

        def uniform(rows: np.ndarray, width: int) -> np.ndarray:
            return draw_uniform(block.seed, anchors[rows], "place", width)

        def judge(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
            reasons = np.full(ids.shape, TAKEN)
            there = ids != NO_ID
            same = block.samples.take("group_id", ids) == group[rows]
            refuse(reasons, there & same, Reason.DUPLICATE)
            return reasons

        return draw_on(pool, uniform, judge, self.count, _DRAWS)

    def _near(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Draw among samples within `metres`; a few thousand anchors' neighbours at a time."""
        tree, rows = block.samples.once("tree", lambda: self._tree(block))
        found = [(np.zeros((0, 0), np.int64), np.zeros((0, 0), np.uint8))]
        points = self._points(block, block.anchors)
        known = np.flatnonzero(~np.isnan(points).any(axis=1))
        reach = 2 * np.sin(min(self.metres / (2 * EARTH_METRES), np.pi / 2))
        sizes = np.zeros(len(points), np.int64)
        if len(rows):
            sizes[known] = tree.query_ball_point(points[known], reach, return_length=True)
        bounds = _pieces(sizes)
        for start, stop in itertools.pairwise(bounds):
            here = block.anchors[start:stop]
            lists = np.empty(stop - start, object)
            lists.fill([])
            listed = np.flatnonzero(sizes[start:stop])
            if len(listed):
                lists[listed] = tree.query_ball_point(
                    points[start:stop][listed], reach, return_sorted=True
                )
            owner = np.repeat(np.arange(len(here)), [len(item) for item in lists])
            flat = np.array([place for item in lists for place in item], np.int64)
            others = rows[flat] if len(flat) else flat
            kept = self._allowed(block, here[owner], others)
            found.append(self._draw(block, _listed(owner[kept], others[kept], len(here)), here))
        return _stacked(found, len(block.anchors))

    def _allowed(self, block: Block, anchors: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return positions of pairs of one split, not of one group, at another time."""
        take = block.samples.take
        allowed = take("split", anchors) == take("split", others)
        allowed &= take("group_id", anchors) != take("group_id", others)
        if self.time is not None:
            time = column_of(self.time)
            gap = np.abs(block.samples.numbers(time, anchors) - block.samples.numbers(time, others))
            allowed &= (gap > 0) & (gap >= self.min_gap_s)
            if self.max_gap_s is not None:
                allowed &= gap <= self.max_gap_s
        return np.flatnonzero(allowed)

    def _tree(self, block: Block) -> tuple[Any, np.ndarray]:
        points = self._points(block, np.arange(block.samples.count))
        rows = np.flatnonzero(~np.isnan(points).any(axis=1))
        return KDTree(points[rows]), rows

    def _points(self, block: Block, ids: np.ndarray) -> np.ndarray:
        """Return points of the unit sphere, float64 [n, 3]; NaN where a coordinate is missing."""
        lat, lon = (block.samples.numbers(column_of(n), ids) for n in self.coordinates or ())
        lat = np.where(np.abs(lat) <= 90, lat, np.nan)
        lat, lon = np.radians(lat), np.radians(lon)
        level = np.cos(lat)
        return np.stack([level * np.cos(lon), level * np.sin(lon), np.sin(lat)], axis=1)


def _sorted_values(block: Block, index: RowIndex, column: str) -> np.ndarray:
    values = block.samples.numbers(column, index.order)
    return np.where(np.isnan(values), -np.inf, values)


def _pieces(sizes: np.ndarray) -> list[int]:
    """Cut anchors into pieces with at most `_HELD` neighbours together, or one anchor each."""
    total = np.concatenate([[0], np.cumsum(sizes)])
    bounds = [0]
    while bounds[-1] < len(sizes):
        stop = int(np.searchsorted(total, total[bounds[-1]] + _HELD, side="right")) - 1
        bounds.append(max(stop, bounds[-1] + 1))
    return bounds


def _listed(owner: np.ndarray, others: np.ndarray, count: int) -> Pool:
    """Return the pool of samples listed one anchor after the other."""
    counts = np.bincount(owner, minlength=count)
    behind = np.cumsum(counts)
    index = RowIndex(others, np.full(1, NO_ID, np.int64), ())
    first = behind - counts
    return Pool.between(index, (first, behind), (first, first))


def _stacked(
    found: Sequence[tuple[np.ndarray, np.ndarray]], count: int
) -> tuple[np.ndarray, np.ndarray]:
    width = max(ids.shape[1] for ids, _ in found)
    ids = np.full((count, width), NO_ID, np.int64)
    reasons = np.zeros(ids.shape, np.uint8)
    start = 0
    for here, why in found:
        rows = slice(start, start + len(here))
        ids[rows, : here.shape[1]], reasons[rows, : here.shape[1]] = here, why
        start += len(here)
    return ids, reasons

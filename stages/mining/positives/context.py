"""Frames of one camera that were taken in a like context (season, hour) are positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from ....manifests.schema import NO_ID, Reason, Role
from ....manifests.vectors import pair_similarity
from ..base import TAKEN, Block, Decisions, Miner, column_of, refuse

_CELLS = 1 << 20
"""Distances that are held at a time."""
_COSINE_TEMPERATURE = 0.5
"""Temperature of the cosines in context x embedding (Pantazis et al. 2021)."""


class Context(Miner):
    """Context positives: drawn with P(j|i) = softmax_j(-|c_i - c_j| / t).

    Pantazis et al., Focus on the Positives, 2021, context positives (code:
    omipan/camera_traps_self_supervised, load_context). The context vector c is the year scaled to
    [0, 1] over the corpus, then the (sine, cosine) of pi (2x - 1), each moved to [0, 1], of
    x = day/366, hour/23, minute/59 and second/59, and a one-hot location. The self is in the
    softmax and is an edge as well, unless `include_self` is false. The weight of an edge is its
    probability, so that drawing by weight among a row's positives is the paper's draw, as far as
    the list goes; the trainer draws anew each epoch.

    `mode: context_embedding` multiplies by softmax_j(cos_ij / 0.5) of frozen vectors and
    normalises again, over the `pool` most probable by context.

    Fidelity: exact, but for three truncations. (1) Only frames of the anchor's location and split
    are compared: a one-hot location is sqrt(2) away, e^-28 at t = 0.05. (2) A location with more
    than `window` frames of a split is cut by time into equal windows that are compared alone, so
    time grows with N x window, never with N x N. (3) The list holds the `count` most probable.
    Facts, as means over anchors: probability of the self and of all others (`non_self_rate`), of
    the others that are listed, and of those that are not. Near-duplicates of the anchor are left
    out of its softmax.

    Traps: at t = 0.05 and times to the second, the self's probability is near 1 for a sparse
    camera: look at `non_self_rate` and raise t. Hour 0 and hour 23 are one place on the circle,
    as in the paper's code. Times are UTC; EXIF times without a zone are taken as they stand.
    """

    role = Role.POSITIVE
    fidelity = "exact"
    paper = "Pantazis et al., Focus on the Positives, 2021"
    allows_self = True

    location: str | None = "location"
    """Attribute of the camera or place; null where the corpus is of one camera."""
    time: str = "time"
    """Attribute of the time."""
    count: int = Field(default=8, ge=1, le=64)
    """Positives an anchor, the self not counted."""
    t: float = Field(default=0.05, gt=0)
    """Temperature of the softmax over contexts."""
    include_self: bool = True
    """Whether the anchor stands in its list, with its own probability."""
    min_probability: float = Field(default=1e-9, ge=1e-30, lt=1)
    """Refuse what is less probable than this."""
    window: int = Field(default=4096, ge=2, le=65536)
    """Most frames of a location that are compared with each other."""
    mode: Literal["context", "context_embedding"] = "context"
    """Contexts alone, or contexts times frozen similarity."""
    space: str = Field(default="image", pattern=r"^[^>]+$")
    """With `context_embedding`: the space of the vectors."""
    pool: int = Field(default=64, ge=1, le=1024)
    """With `context_embedding`: the most probable by context that are weighed again."""

    @property
    def columns(self) -> Sequence[str]:
        """The location, and what keeps splits and duplicates apart."""
        return (*self._line, "group_id")

    @property
    def number_columns(self) -> Sequence[str]:
        """The time."""
        return (column_of(self.time),)

    @property
    def space_names(self) -> Sequence[str]:
        """The space of the vectors, if they matter."""
        return (self.space,) if self.mode == "context_embedding" else ()

    @property
    def _line(self) -> tuple[str, ...]:
        """What frames of one line in time have in common."""
        return (*((column_of(self.location),) if self.location else ()), "split")

    @property
    def capacity(self) -> int:
        """As many as are listed."""
        return self.count + self.include_self

    def mine(self, block: Block) -> Decisions:
        """Weigh each anchor's window, and list the most probable."""
        width = self.count if self.mode == "context" else max(self.count, self.pool)
        anchors = block.anchors
        ids = np.full((len(anchors), width), NO_ID, np.int64)
        shares, own = np.zeros(ids.shape), np.zeros(len(anchors))
        first, stop = self._windows(block)
        for rows in _batches(first, stop):
            ids[rows], shares[rows], own[rows] = self._softmax(
                block, anchors[rows], (first[rows], stop[rows]), width
            )
        if self.mode == "context_embedding":
            ids, shares, own = self._weighed(block, ids, shares, own)
        ids, shares = ids[:, : self.count], shares[:, : self.count]
        reasons = np.full(ids.shape, TAKEN)
        refuse(reasons, shares < self.min_probability, Reason.IMPROBABLE)
        facts = self._facts(ids, reasons, shares, own)
        if self.include_self:
            there = own > 0
            ids = np.column_stack([np.where(there, anchors, NO_ID), ids])
            shares = np.column_stack([own, shares])
            reasons = np.column_stack([np.full(len(anchors), TAKEN), reasons])
        shape = ids.shape
        ranks = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
        weights = np.where(ids == NO_ID, 0, shares).astype(np.float32)
        similarities = np.full(shape, np.nan, np.float32)
        return Decisions(ids, reasons, similarities, ranks, weights, facts=facts)

    def _facts(
        self, ids: np.ndarray, reasons: np.ndarray, shares: np.ndarray, own: np.ndarray
    ) -> dict[str, dict[str, list[float]]]:
        taken = (ids != NO_ID) & (reasons == TAKEN)
        listed = np.where(taken, shares, 0).sum(axis=1)
        known = own > 0
        parts = {
            "self_probability": own,
            "non_self_rate": 1 - own,
            "listed_probability": listed,
            "truncated_probability": (1 - own - listed).clip(0),
        }
        count = int(known.sum())
        means = {name: [round(float(part[known].sum()), 6), count] for name, part in parts.items()}
        return {"means": means}

    def _windows(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Return the window of each anchor, positions [first, stop) in the index; empty: no time.

        A run of n frames is cut into ceil(n / window) windows whose sizes differ by one at most.
        """
        time = column_of(self.time)
        index = block.samples.rows_with(*self._line, time)
        values = block.samples.once(
            "missing", lambda: np.cumsum(np.isnan(block.samples.numbers(time, index.order)))
        )
        first, stop = index.run(block.anchors, len(self._line))
        # Frames without a time stand at the beginning of their run.
        before = np.where(first > 0, values[first - 1], 0) if len(values) else 0
        behind = np.where(stop > 0, values[stop - 1], 0) if len(values) else 0
        first = first + (behind - before) * (stop > first)
        at = index.position[block.anchors]
        size = np.maximum(stop - first, 1)
        pieces = -(-size // self.window)
        piece = np.clip((at - first) * pieces // size, 0, pieces - 1)
        low = first - (-(piece * size) // pieces)
        high = first - (-((piece + 1) * size) // pieces)
        known = (at >= first) & (stop > first) & (at != NO_ID)
        return np.where(known, low, 0), np.where(known, high, 0)

    def _softmax(
        self, block: Block, anchors: np.ndarray, span: tuple[np.ndarray, np.ndarray], width: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the `width` most probable of anchors of one window, and the self's probability."""
        time = column_of(self.time)
        index = block.samples.rows_with(*self._line, time)
        others = index.order[span[0][0] : span[1][0]]
        vectors = self._vectors(block, others)
        mine = vectors[index.position[anchors] - span[0][0]]
        distance = np.zeros((len(anchors), len(others)))
        for place in range(vectors.shape[1]):
            distance += (mine[:, place, None] - vectors[None, :, place]) ** 2
        distance = np.sqrt(distance)
        group = block.samples.take("group_id", others)
        same = group[None, :] == block.samples.take("group_id", anchors)[:, None]
        distance[same] = np.inf
        # The self is 0 away, so 1 is its term and no exponent overflows.
        terms = np.exp(-distance / self.t)
        total = 1 + terms.sum(axis=1)
        order = _nearest(distance, others, width)
        shares = np.take_along_axis(terms, order, axis=1) / total[:, None]
        far = np.isinf(np.take_along_axis(distance, order, axis=1))
        ids = np.where(far, NO_ID, others[order])
        shape = ((0, 0), (0, width - ids.shape[1]))
        return np.pad(ids, shape, constant_values=NO_ID), np.pad(shares, shape), 1 / total

    def _vectors(self, block: Block, ids: np.ndarray) -> np.ndarray:
        """Return the contexts without the location, float64 [n, 9]."""
        column = column_of(self.time)

        def years() -> tuple[int, int]:
            every = block.samples.numbers(column, np.arange(block.samples.count))
            year = _calendar(every[~np.isnan(every)])[0]
            return int(year.min(initial=9999)), int(year.max(initial=0))

        low, high = block.samples.once("years", years)
        year, *parts = _calendar(block.samples.numbers(column, ids))
        scaled = (year - low) / (high - low) if high > low else np.zeros(len(ids))
        columns = [scaled]
        for value, most in zip(parts, (366, 23, 59, 59), strict=True):
            angle = np.pi * (2 * value / most - 1)
            columns += [(np.sin(angle) + 1) / 2, (np.cos(angle) + 1) / 2]
        return np.stack(columns, axis=1)

    def _weighed(
        self, block: Block, ids: np.ndarray, shares: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Multiply by e^(cos / 0.5) and normalise over the pool and the self."""
        store = block.vectors[self.space]
        mine = store.rows(block.anchors)
        new = np.zeros(shares.shape)
        for place in range(ids.shape[1]):
            there = np.flatnonzero(ids[:, place] != NO_ID)
            found = pair_similarity(mine[there], store.rows(ids[there, place]))
            new[there, place] = shares[there, place] * _strength(found)
        self_share = own * _strength(pair_similarity(mine, mine))
        total = np.maximum(self_share + new.sum(axis=1), np.finfo(float).tiny)
        new, self_share = new / total[:, None], self_share / total
        order = np.lexsort((ids, -new, ids == NO_ID), axis=1)
        ids, new = (np.take_along_axis(a, order, axis=1) for a in (ids, new))
        return ids, new, self_share


def _strength(cosine: np.ndarray) -> np.ndarray:
    return np.exp(cosine.astype(np.float64) / _COSINE_TEMPERATURE)


def _batches(first: np.ndarray, stop: np.ndarray) -> list[np.ndarray]:
    """Return rows of anchors of one window each, few enough that distances stay small."""
    rows = np.flatnonzero(stop > first)
    rows = rows[np.argsort(first[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(first[rows])) + 1
    found = []
    for same in np.split(rows, cuts) if len(rows) else ():
        size = max(_CELLS // int(stop[same[0]] - first[same[0]]), 1)
        found += [same[at : at + size] for at in range(0, len(same), size)]
    return found


def _nearest(distance: np.ndarray, others: np.ndarray, width: int) -> np.ndarray:
    """Return the columns of the `width` nearest of each row, by distance, then by id."""
    width = min(width, distance.shape[1])
    if width < distance.shape[1]:
        # All columns up to the width-th distance, ties included, then sorted exactly.
        cut = np.partition(distance, width - 1, axis=1)[:, width - 1, None]
        widest = int((distance <= cut).sum(axis=1).max(initial=width))
        widest = min(widest, distance.shape[1])
        near = np.argpartition(distance, widest - 1, axis=1)[:, :widest]
    else:
        near = np.broadcast_to(np.arange(distance.shape[1]), distance.shape)
    order = np.lexsort((others[near], np.take_along_axis(distance, near, axis=1)), axis=1)
    return np.take_along_axis(near, order, axis=1)[:, :width]


def _calendar(seconds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return year, day of a leap year (from 0), hour, minute, second, int64 [n], in UTC."""
    moment = np.floor(seconds).astype("datetime64[s]")
    month = moment.astype("datetime64[M]")
    year = moment.astype("datetime64[Y]").astype(np.int64) + 1970
    number = month.astype(np.int64) % 12
    day = (moment.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    leap = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    left = moment.astype(np.int64) % 86400
    return year, leap[number] + day, left // 3600, left // 60 % 60, left % 60

"""Indexes over coded columns: rows by their codes, sets of codes by row, pools to draw from.

All are flat arrays (compressed sparse rows), so that a miner can look up a whole block of
anchors with a few numpy calls and no loop over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...manifests.fingerprint import draw_uniform
from ...manifests.sampling import draw_distinct
from ...manifests.schema import NO_ID

Span = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class RowIndex:
    """Rows sorted by one column, then by others, then by id: rows that agree stand in one run.

    An entry is what is sorted: a row of a coded column, or one code of one row of a column of
    sets (entries are then numbered as in `LabelSets`).

    Attributes:
        order: int64 [M], the row of each entry in sorted order.
        position: int64 [entries + 1], where each entry stands in `order`; -1 where its first
            column is missing. The last place holds -1, so that entry -1 has no position.
        starts: for each depth 1.., int64 [runs + 1]: where runs that agree in the first `depth`
            columns start, and M.
    """

    order: np.ndarray
    position: np.ndarray
    starts: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, rows: np.ndarray, columns: Sequence[np.ndarray]) -> RowIndex:
        """Sort entries.

        Args:
            rows: int64 [entries], ascending, the row of each entry.
            columns: integer codes [entries] each; entries with -1 in the first are left out.
        """
        kept = np.flatnonzero(columns[0] != NO_ID)
        kept = kept[np.lexsort([column[kept] for column in reversed(columns)])]
        position = np.full(len(rows) + 1, NO_ID, np.int64)
        position[kept] = np.arange(len(kept))
        change = np.zeros(max(len(kept) - 1, 0), bool)
        starts = []
        for column in columns:
            values = column[kept]
            change = change | (values[1:] != values[:-1])
            first = [np.zeros(min(len(kept), 1), np.int64), np.flatnonzero(change) + 1]
            starts.append(np.concatenate([*first, [len(kept)]]).astype(np.int64))
        return cls(rows[kept], position, tuple(starts))

    def run(self, entries: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the run of rows that agree with entries in the first `depth` columns.

        Args:
            entries: int64 of any shape; -1, and entries left out of the index, have an empty run.
            depth: how many columns must agree.

        Returns:
            first position in `order` and position behind the last, int64, shaped like `entries`.
        """
        where = self.position[entries]
        starts = self.starts[depth - 1]
        run = np.searchsorted(starts, where, side="right") - 1
        known = where != NO_ID
        return np.where(known, starts[run], 0), np.where(known, starts[run + 1], 0)


@dataclass(frozen=True)
class LabelSets:
    """The set of label codes of every sample.

    Attributes:
        starts: int64 [N + 1], the first entry of each sample.
        codes: int32 [entries], ascending within a sample, each once.
        count: number of different codes.
    """

    starts: np.ndarray
    codes: np.ndarray
    count: int

    @classmethod
    def of(cls, rows: np.ndarray, codes: np.ndarray, samples: int, count: int) -> LabelSets:
        """Make sets of entries in any order, repeats allowed.

        Args:
            rows: int64 [entries], the sample of each.
            codes: int64 [entries], 0..count-1.
            samples: number of samples.
            count: number of different codes.
        """
        keys = np.unique(rows * max(count, 1) + codes)
        rows, codes = np.divmod(keys, max(count, 1))
        starts = np.searchsorted(rows, np.arange(samples + 1))
        return cls(starts.astype(np.int64), codes.astype(np.int32), count)

    def sizes(self, ids: np.ndarray) -> np.ndarray:
        """Return how many labels samples have, int64; 0 for id -1."""
        sizes = np.append(np.diff(self.starts), 0)
        return sizes[ids]

    def entries(self, ids: np.ndarray) -> np.ndarray:
        """Return the numbers of the entries of samples, int64 [n, most labels of one], -1 fill."""
        sizes = self.sizes(ids)
        steps = np.arange(int(sizes.max(initial=0)))
        return np.where(steps < sizes[:, None], self.starts[ids][:, None] + steps, NO_ID)

    def shared(self, anchors: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Count the labels that anchors share with others.

        Args:
            anchors: int64 [A].
            others: int64 [A, K]; -1 shares nothing.

        Returns:
            int64 [A, K].
        """
        mine, label_of_mine = self._flat(anchors)
        keys = mine * self.count + label_of_mine
        pair, label = self._flat(others.reshape(-1))
        wanted = pair // max(others.shape[1], 1) * self.count + label
        if not len(keys):
            return np.zeros(others.shape, np.int64)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = np.bincount(pair[keys[at] == wanted], minlength=others.size)
        return found.reshape(others.shape).astype(np.int64)

    def jaccard(self, anchors: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return |A and B| / |A or B| of label sets as float32 [A, K]; 0 where both are empty."""
        shared = self.shared(anchors, others)
        either = self.sizes(anchors)[:, None] + self.sizes(others) - shared
        return (shared / np.maximum(either, 1)).astype(np.float32)

    def _flat(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return place in `ids` and code, both int64, of every label of samples, in order."""
        sizes = self.sizes(ids)
        place = np.repeat(np.arange(len(ids)), sizes)
        step = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self.codes[self.starts[ids][place] + step].astype(np.int64)


@dataclass(frozen=True)
class Pool:
    """What each anchor may draw from: runs of an index, with the anchor's own group cut out.

    The places 0..size-1 of an anchor number what is left of its runs, one run after the other.

    Attributes:
        index: where the rows stand.
        starts: int64 [A, L], first position of each run.
        holes: int64 [A, L], first position of the anchor's group within the run.
        cuts: int64 [A, L], length of that group.
        ends: int64 [A, L], running total of what is left of the runs.
    """

    index: RowIndex
    starts: np.ndarray
    holes: np.ndarray
    cuts: np.ndarray
    ends: np.ndarray

    @classmethod
    def around(cls, index: RowIndex, entries: np.ndarray, depth: int) -> Pool:
        """Return rows that agree with entries [A, L] in `depth` columns, but not in one more."""
        starts, stops = index.run(entries, depth)
        holes, behind = index.run(entries, depth + 1)
        cuts = behind - holes
        return cls(index, starts, holes, cuts, np.cumsum(stops - starts - cuts, axis=1))

    @classmethod
    def between(cls, index: RowIndex, outer: Span, inner: Span) -> Pool:
        """Return the positions `outer` [first, behind) of each anchor without those of `inner`.

        `inner` lies within `outer`; both are int64 [A] twice.
        """
        first, behind = (part[:, None] for part in outer)
        hole, after = (part[:, None] for part in inner)
        cut = after - hole
        return cls(index, first, hole, cut, behind - first - cut)

    @property
    def sizes(self) -> np.ndarray:
        """Places of each anchor, int64 [A]."""
        return self.ends[:, -1] if self.ends.shape[1] else np.zeros(len(self.ends), np.int64)

    def of(self, rows: np.ndarray) -> Pool:
        """Return the pool of some of the anchors."""
        parts = (self.starts, self.holes, self.cuts, self.ends)
        return Pool(self.index, *(part[rows] for part in parts))

    def ids(self, places: np.ndarray) -> np.ndarray:
        """Return the samples at places [A, D]; -1 for -1."""
        if not len(self.index.order) or not self.ends.shape[1]:
            return np.full(places.shape, NO_ID, np.int64)
        run = np.zeros(places.shape, np.int64)
        for end in self.ends[:, :-1].T:
            run += places >= end[:, None]
        lengths = np.diff(self.ends, axis=1, prepend=0)
        row = np.arange(len(places))[:, None]
        at = places - (self.ends - lengths)[row, run] + self.starts[row, run]
        at += np.where(at >= self.holes[row, run], self.cuts[row, run], 0)
        there = places != NO_ID
        return np.where(there, self.index.order[np.where(there, at, 0)], NO_ID)

    def places(self, ids: np.ndarray) -> np.ndarray:
        """Return the places of samples [A, E] in pools of one run; -1 for those outside."""
        at = self.index.position[ids]
        behind = at >= self.holes + self.cuts
        inside = (at >= self.starts) & (behind | (at < self.holes))
        places = at - self.starts - np.where(behind, self.cuts, 0)
        return np.where(inside & (places < self.ends) & (ids != NO_ID), places, NO_ID)


def bisect(
    values: np.ndarray, first: np.ndarray, stop: np.ndarray, wanted: np.ndarray, after: bool = False
) -> np.ndarray:
    """Return where a number would stand in a sorted stretch of `values`, many stretches at once.

    Args:
        values: float64 [M], rising within each stretch.
        first: int64 [A], where each stretch starts.
        stop: int64 [A], behind its last.
        wanted: float64 [A].
        after: behind equal ones instead of before them.

    Returns:
        int64 [A].
    """
    low, high = first.copy(), stop.copy()
    while True:
        open_rows = np.flatnonzero(low < high)
        if not len(open_rows):
            return low
        middle = (low[open_rows] + high[open_rows]) // 2
        here, sought = values[middle], wanted[open_rows]
        below = here <= sought if after else here < sought
        low[open_rows[below]] = middle[below] + 1
        high[open_rows[~below]] = middle[~below]


def draw_on(
    pool: Pool,
    uniform: Callable[[np.ndarray, int], np.ndarray],
    judge: Callable[[np.ndarray, np.ndarray], np.ndarray],
    count: int,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw from pools of one run, without replacement, until `count` of an anchor are taken.

    Every allowed sample of a pool is equally likely to be taken.

    Args:
        pool: of the anchors.
        uniform: (rows of the pool [n], width) -> float64 [n, width]; a wider call starts alike.
        judge: (rows [n], ids [n, width]) -> uint8 [n, width], 0 for what may be taken.
        count: how many are wanted.
        most: draws of an anchor after which it stays short.

    Returns:
        ids int64 [A, W] in the order of the draws, -1 fill, and their reasons uint8 [A, W]; more
        than `count` of a row may be allowed.
    """
    todo, width = np.arange(len(pool.ends)), min(count, most)
    ids = np.full((len(todo), width), NO_ID, np.int64)
    reasons = np.zeros(ids.shape, np.uint8)
    while len(todo):
        here = pool.of(todo)
        drawn = here.ids(draw_distinct(uniform(todo, width), here.sizes))
        judged = judge(todo, drawn)
        wider = ((0, 0), (0, width - ids.shape[1]))
        ids = np.pad(ids, wider, constant_values=NO_ID)
        reasons = np.pad(reasons, wider)
        ids[todo], reasons[todo] = drawn, judged
        taken = ((judged == 0) & (drawn != NO_ID)).sum(axis=1)
        todo = todo[(taken < count) & (here.sizes > width)] if width < most else todo[:0]
        width = min(2 * width, most)
    return ids, reasons


def contains(lists: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Say for each of values [A, K] whether it stands in the same row of lists [A, E]; -1 never.

    Returns:
        bool [A, K].
    """
    found = np.zeros(values.shape, bool)
    for column in range(lists.shape[1]):
        found |= values == lists[:, column : column + 1]
    return found & (values != NO_ID)


def draw_members(
    pool: Pool, seed: int, anchors: np.ndarray, purpose: str, count: int
) -> np.ndarray:
    """Draw `count` different samples of each anchor's pool, evenly over its places.

    A sample that stands in several runs of a pool is drawn once, and sooner.

    Args:
        pool: of the anchors.
        seed: of the block.
        anchors: int64 [A], what the draws are keyed by.
        purpose: what they are for.
        count: samples an anchor.

    Returns:
        int64 [A, count] in the order of the draws; -1 where the pool has no more.
    """
    ids = np.full((len(anchors), count), NO_ID, np.int64)
    todo, width = np.arange(len(ids)), count
    while len(todo):
        here = pool.of(todo)
        uniform = draw_uniform(seed, anchors[todo], purpose, width)
        drawn = here.ids(draw_distinct(uniform, here.sizes))
        ids[todo] = _first_distinct(drawn, count)
        short = (ids[todo] == NO_ID).any(axis=1) & (here.sizes > width)
        # What stands in several runs may be drawn several times: draw on.
        todo, width = todo[short], width * 2
    return ids


def _first_distinct(drawn: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` different ids of each row [A, D], in order; -1 fill."""
    out = np.full((len(drawn), count), NO_ID, np.int64)
    found = np.zeros(len(drawn), np.int64)
    for column in drawn.T:
        new = (column != NO_ID) & (found < count) & ~contains(out, column[:, None])[:, 0]
        rows = np.flatnonzero(new)
        out[rows, found[rows]] = column[rows]
        found[rows] += 1
    return out

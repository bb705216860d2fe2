"""Groups of equal size with as many links inside as possible: grown, filled up, then improved.

What METIS does not give is the equal size. So groups are grown one row after the other, each
time by the row with most links into the group (greedy graph growing: Karypis and Kumar, "A fast
and high quality multilevel scheme", 1998, §3.2), and rows then change places in pairs wherever
that wins links (Kernighan and Lin 1970). Rows that must not meet never share a group, unless
no other row is found for its last places.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ._links import Links

FREE = -1
PATIENCE = 512
"""Free rows that are tried before one joins a group in which it must not be."""


@dataclass
class Partition:
    """Groups while they are made.

    Attributes:
        links: what is to be kept inside.
        barred: pairs that must not share a group.
        twins: int64 [n]; rows of one value must not share a group either.
        size: rows of a group.
        group: int64 [n], the group of each place; -1 while it has none.
        members: places of each group.
        forced: rows that stand beside one that they must not meet.
    """

    links: Links
    barred: Links
    twins: np.ndarray
    size: int
    group: np.ndarray = field(init=False)
    members: list[list[int]] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    _twin_order: np.ndarray = field(init=False, repr=False)
    _twin_ends: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.group = np.full(len(self.twins), FREE, np.int64)
        self.twins = np.unique(self.twins, return_inverse=True)[1].reshape(-1)
        self._twin_order = np.argsort(self.twins, kind="stable")
        self._twin_ends = np.cumsum(np.bincount(self.twins))

    def grow(self, order: np.ndarray) -> None:
        """Grow groups from the free rows of an order, each as far as links lead."""
        count = len(self.group)
        gain = np.zeros(count, np.int32)
        # The number of the last group that a row, or a twin, must not join.
        stamps = np.full(count, FREE, np.int64), np.full(count, FREE, np.int64)
        for seed in order.tolist():
            if self.group[seed] == FREE and len(self.links[seed]):
                self._grow_from(seed, gain, *stamps)

    def _grow_from(
        self, seed: int, gain: np.ndarray, closed: np.ndarray, twin_closed: np.ndarray
    ) -> None:
        number = len(self.members)
        self.members.append([])
        touched: list[np.ndarray] = []
        candidates = np.zeros(0, np.int32)
        place = seed
        while True:
            self._put(place, number)
            closed[self.barred[place]] = number
            twin_closed[self.twins[place]] = number
            fresh = self.links[place]
            gain[fresh] += 1
            touched.append(fresh)
            candidates = np.concatenate([candidates, fresh])
            kept = self.group[candidates] == FREE
            kept &= closed[candidates] != number
            kept &= twin_closed[self.twins[candidates]] != number
            candidates = candidates[kept]
            if len(self.members[number]) == self.size or not len(candidates):
                break
            place = int(candidates[gain[candidates].argmax()])
        gain[np.concatenate(touched)] = 0

    def _put(self, place: int, number: int) -> None:
        self.group[place] = number
        self.members[number].append(place)

    def take(self, labels: np.ndarray) -> None:
        """Start from groups that another partitioner made; what is too much becomes free again.

        Args:
            labels: int64 [n], any numbers.
        """
        degrees = self.links.degrees()
        order = np.lexsort((np.arange(len(labels)), -degrees, labels))
        last = None
        for place in order.tolist():
            if labels[place] != last:
                last = labels[place]
                self.members.append([])
            number = len(self.members) - 1
            if len(self.members[number]) < self.size and not self._met(place, number):
                self._put(place, number)

    def _met(self, place: int, number: int) -> set[int]:
        """Return the members of a group that a row must not meet."""
        barred = self.barred[place]
        found = set(barred[self.group[barred] == number].tolist())
        twins = self._twins(place)
        if len(twins) > 1:
            found.update(twin for twin in twins if twin != place and self.group[twin] == number)
        return found

    def _twins(self, place: int) -> list[int]:
        at = self.twins[place]
        start = self._twin_ends[at - 1] if at else 0
        return self._twin_order[start : self._twin_ends[at]].tolist()

    def fill(self, order: np.ndarray) -> None:
        """Make every group full: the smallest are dissolved, and their rows and the free fill.

        Args:
            order: the places in the order in which free rows are offered.
        """
        wanted = len(self.group) // self.size
        ranked = sorted(range(len(self.members)), key=lambda number: -len(self.members[number]))
        kept = [self.members[number] for number in ranked[:wanted]]
        self.members = kept + [[] for _ in range(wanted - len(kept))]
        self.group[:] = FREE
        for number, members in enumerate(self.members):
            self.group[members] = number
        pool = deque(order[self.group[order] == FREE].tolist())
        for number in range(wanted):
            self._top_up(number, pool)
        self.forced = [place for place in self.forced if not self._rescue(place)]

    def _top_up(self, number: int, pool: deque[int]) -> None:
        passed: deque[int] = deque()
        while len(self.members[number]) < self.size:
            if pool and len(passed) < PATIENCE:
                place = pool.popleft()
                if self._met(place, number):
                    passed.append(place)
                    continue
            else:
                place = passed.popleft()
                self.forced.append(place)
            self._put(place, number)
        pool.extendleft(reversed(passed))

    def _rescue(self, place: int) -> bool:
        """Let a row that was forced into a group change places with one of another group."""
        home = int(self.group[place])
        if not self._met(place, home):
            return True
        for target in range(min(len(self.members), PATIENCE)):
            met = self._met(place, target)
            if target == home or len(met) > 1:
                continue
            for guest in met or tuple(self.members[target]):
                if self._met(guest, home) <= {place}:
                    self._exchange(place, guest, home, target)
                    return True
        return False

    def improve(self, rounds: int) -> int:
        """Swap rows of two groups wherever that brings links inside; return how many swaps."""
        swaps = 0
        for _ in range(rounds):
            before = swaps
            for place in np.flatnonzero((self.group >= 0) & (self.links.degrees() > 0)).tolist():
                swaps += self._swap(place)
            if swaps == before:
                break
        return swaps

    def _swap(self, place: int) -> bool:
        home = int(self.group[place])
        around = self.group[self.links[place]]
        around = around[around >= 0]
        if not len(around):
            return False
        groups, counts = np.unique(around, return_counts=True)
        inside = int(counts[groups == home].sum())
        target = int(groups[counts.argmax()])
        win = int(counts.max()) - inside
        if target == home or win <= 0:
            return False
        met = self._met(place, target)
        if len(met) > 1:
            return False
        guests = np.array(self.members[target])
        wins = win + self._worth(guests, target, home, place)
        for at in np.argsort(-wins, kind="stable").tolist():
            guest = int(guests[at])
            if wins[at] <= 0:
                return False
            if met <= {guest} and self._met(guest, home) <= {place}:
                self._exchange(place, guest, home, target)
                return True
        return False

    def _worth(self, guests: np.ndarray, here: int, there: int, place: int) -> np.ndarray:
        """Return the links that each guest wins by moving, int64 [K]."""
        near = [self.links[guest] for guest in guests.tolist()]
        owner = np.repeat(np.arange(len(guests)), [len(row) for row in near])
        ends = np.concatenate(near)
        groups = self.group[ends]
        gained = (groups == there).astype(np.int64) - (groups == here)
        # A link between the two who change places stays outside.
        gained -= 2 * (ends == place)
        worth = np.zeros(len(guests), np.int64)
        np.add.at(worth, owner, gained)
        return worth

    def _exchange(self, place: int, guest: int, home: int, target: int) -> None:
        self.members[home].remove(place)
        self.members[target].remove(guest)
        self._put(place, target)
        self._put(guest, home)

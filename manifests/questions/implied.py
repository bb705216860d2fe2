"""What answers already tell about pairs that nobody was asked about.

Chains of yes join samples into components; a no between two members parts their two components
(algorithms.md §2.8). So a pair inside a component is the same, and a pair across two parted ones
is different. A no inside a component contradicts it: nothing is concluded from that component.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

import numpy as np

from ..people import ANSWERS

_YES, _NO, _ = ANSWERS
Name = TypeVar("Name", int, str)


class Told(IntEnum):
    """What is known of a pair."""

    NOTHING = 0
    ASKED = 1
    SAME = 2
    DIFFERENT = 3
    CONFLICT = 4


class Closure(Generic[Name]):
    """Components of yes and what a no parts; grows answer by answer. Holds the answers' samples.

    Samples are named by key or by id, whichever the caller has.
    """

    def __init__(self, answers: Iterable[tuple[Name, Name, str]] = ()) -> None:
        """Take some answers: (sample, sample, one of `people.ANSWERS`)."""
        self._parent: dict[Name, Name] = {}
        self._denied: list[tuple[Name, Name]] = []
        for a, b, said in answers:
            self.add(a, b, said)

    def add(self, a: Name, b: Name, said: str) -> None:
        """Take one answer; "unsure" tells nothing."""
        if said == _YES:
            self._parent[self.root(b)] = self.root(a)
        elif said == _NO:
            self._denied.append((a, b))

    def root(self, name: Name) -> Name:
        """Return the sample that stands for a component; a sample alone stands for itself."""
        parent = self._parent
        top = name
        while (above := parent.get(top, top)) != top:
            top = above
        while name != top:
            parent[name], name = top, parent[name]
        return top

    def contradicted(self) -> list[tuple[Name, Name]]:
        """Return each no that stands inside of a component."""
        return [(a, b) for a, b in self._denied if self.root(a) == self.root(b)]

    def parted(self) -> set[frozenset[Name]]:
        """Return the pairs of components (by their roots) that a no stands between."""
        pairs = (frozenset((self.root(a), self.root(b))) for a, b in self._denied)
        return {pair for pair in pairs if len(pair) == 2}

    def members(self) -> list[Name]:
        """Return the samples that any yes names."""
        return list(dict.fromkeys([*self._parent, *self._parent.values()]))


@dataclass(frozen=True)
class ToldPairs:
    """What is known of any pair of samples of a corpus, looked up block by block.

    Attributes:
        count: samples of the corpus, below 3 * 10^9, so that a pair is one int64.
        asked: int64 [q], codes of the pairs that were asked about, sorted.
        rows: int64 [r], samples in components, sorted.
        roots: int64 [r], the sample that stands for each one's component.
        torn: int64 [c], roots of contradicted components, sorted.
        parted: int64 [d], codes of the pairs of roots that a no parts, sorted.
    """

    count: int
    asked: np.ndarray
    rows: np.ndarray
    roots: np.ndarray
    torn: np.ndarray
    parted: np.ndarray

    @classmethod
    def of(cls, count: int, asked: np.ndarray, closure: Closure[int]) -> ToldPairs:
        """Take what was asked, int64 [q, 2] of sample ids, and what was answered."""
        rows = np.array(sorted(closure.members()), np.int64)
        roots = np.array([closure.root(row) for row in rows.tolist()], np.int64)
        torn = np.unique(
            np.array([closure.root(a) for a, _ in closure.contradicted()], np.int64).reshape(-1)
        )
        parted = np.array([sorted(pair) for pair in closure.parted()], np.int64).reshape(-1, 2)
        codes = (np.unique(_codes(pairs[:, 0], pairs[:, 1], count)) for pairs in (asked, parted))
        return cls(count, next(codes), rows, roots, torn, next(codes))

    def tell(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Say what is known of pairs of samples, int8 [n] of `Told`; left and right int64 [n]."""
        a, b = self._root_of(left), self._root_of(right)
        found = np.zeros(len(left), np.int8)
        found[among(_codes(a, b, self.count), self.parted)] = Told.DIFFERENT
        found[a == b] = Told.SAME
        found[among(a, self.torn) | among(b, self.torn)] = Told.CONFLICT
        found[among(_codes(left, right, self.count), self.asked)] = Told.ASKED
        return found

    def _root_of(self, samples: np.ndarray) -> np.ndarray:
        if not len(self.rows):
            return samples
        at = np.minimum(np.searchsorted(self.rows, samples), len(self.rows) - 1)
        return np.where(self.rows[at] == samples, self.roots[at], samples)


def _codes(left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
    return np.minimum(left, right) * np.int64(count) + np.maximum(left, right)


def among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Say which values are among known ones, int64 and sorted; bool [n]."""
    if not len(known):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return known[at] == values

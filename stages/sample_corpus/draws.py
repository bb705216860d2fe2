"""Counter-based random draws: the same numbers for the same address, on any machine.

A generator is opened at an address (`seed`, then words and integers such as `"scene", 17`), so the
draws of one row never depend on the rows before it or on the worker that makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")
_MASK = (1 << 64) - 1
_TWO_53 = float(1 << 53)


class Draws:
    """An endless stream of draws that belongs to one address.

    The generator is splitmix64 started at a blake2b hash of the address. It is written out here,
    and not taken from numpy, because numpy may change its streams between versions and the bytes
    of a corpus must not.

    Args:
        seed: the seed of the corpus.
        address: integers and words; equal addresses give equal streams.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int, *address: int | str) -> None:
        name = repr((seed, address)).encode()
        self._state = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")

    def bits(self) -> int:
        """The next 64 random bits, as an integer in 0 .. 2**64 - 1."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def unit(self) -> float:
        """A float in [0, 1)."""
        return (self.bits() >> 11) / _TWO_53

    def between(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        """An integer in 0 .. count - 1; `count` is at least 1 and far below 2**64."""
        return self.bits() % count

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def pick(self, items: Sequence[_T]) -> _T:
        """One item of a non-empty sequence, each equally likely."""
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[_T, float]) -> _T:
        """One key of a non-empty mapping, drawn in proportion to its value."""
        point = self.unit() * sum(weights.values())
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        return next(reversed(list(weights)))  # rounding left a hair of the last weight


@lru_cache(maxsize=8)
def noise_bytes(name: str, count: int) -> bytes:
    """`count` uniform random bytes that depend on `name` alone."""
    return hashlib.shake_256(name.encode()).digest(count)

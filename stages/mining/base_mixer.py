"""What a mixer is: a pure function from a block of anchors to recipes of synthetic negatives.

A recipe says which samples are mixed and how, never what comes out (algorithms.md §0.1): the
trainer makes the vectors of every step from its own embeddings of the parents, normalises them to
unit length and stops their gradient.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ...manifests.schema import NO_ID
from ..base import Component
from .base import Block, contains


@dataclass(frozen=True)
class Mixes:
    """Recipes of synthetic negatives; row i is anchor i.

    Attributes:
        types: int8 [A, Y], the mixer's own numbering; 0 in empty places.
        a_ids: int64 [A, Y], first parent; -1 is an empty place.
        b_ids: int64 [A, Y], second parent; -1 where it is the anchor itself or there is none.
        coefs: float32 [A, Y].
        seeds: int64 [A, Y] >= 0, for recipes that add noise; 0 for the others.
        facts: small JSON facts about what was used, the same for every block.
    """

    types: np.ndarray
    a_ids: np.ndarray
    b_ids: np.ndarray
    coefs: np.ndarray
    seeds: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)


class Mixer(Component, abc.ABC):
    """Base class of all mixers. A subclass is one technique."""

    method: ClassVar[str]
    """Name in column `synthetic`."""
    fidelity: ClassVar[str] = "exact+hook"
    """exact, exact+hook, frozen-detector or surrogate (algorithms.md §0.5c)."""
    paper: ClassVar[str] = ""
    """Author, title, year."""

    space: str = Field(default="image>image", pattern=r"^[^>]+>[^>]+$")
    """The neighbour graph: QUERY>BANK."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of `samples` that the mixer asks for."""
        return ()

    @property
    def graph_names(self) -> Sequence[str]:
        """The graph whose hardest negatives are mixed."""
        return (self.space,)

    @property
    def space_names(self) -> Sequence[str]:
        """Spaces whose vectors the mixer reads."""
        return ()

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """Recipes of an anchor."""

    @abc.abstractmethod
    def mix(self, block: Block) -> Mixes:
        """Draw the recipes of every anchor of the block: `count` columns."""


@dataclass(frozen=True)
class Hardest:
    """The hardest negatives of every anchor: what recipes take their parents from.

    Attributes:
        ids: int64 [A, n] by falling similarity, empty places (-1) last.
        counts: int64 [A], filled places.
    """

    ids: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, block: Block, space: str, depth: int) -> Hardest:
        """Return the first `depth` of the graph `space` without positives and false negatives."""
        ids, _ = block.graphs[space].rows(block.anchors, depth)
        known = (block.positives.ids, block.false_negatives.ids)
        gone = (ids == NO_ID) | contains(np.concatenate(known, axis=1), ids)
        order = np.argsort(gone, axis=1, kind="stable")
        kept = np.where(gone, NO_ID, ids)
        return cls(np.take_along_axis(kept, order, axis=1), (~gone).sum(axis=1))

    def pick(self, uniform: np.ndarray) -> np.ndarray:
        """Return one of each anchor's hardest for each number, every one equally likely.

        Args:
            uniform: float64 [A, n] in [0, 1).

        Returns:
            int64 [A, n]; -1 where an anchor has none.
        """
        return self._at((uniform * self.counts[:, None]).astype(np.int64), 1)

    def pick_two(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two different ones for each pair of numbers, every ordered pair equally likely.

        Args:
            uniform: float64 [A, 2 n] in [0, 1).

        Returns:
            two int64 [A, n]; -1 where an anchor has fewer than two.
        """
        half = uniform.shape[1] // 2
        first = (uniform[:, :half] * self.counts[:, None]).astype(np.int64)
        second = (uniform[:, half:] * (self.counts[:, None] - 1)).astype(np.int64)
        # Places from the first on move up by one: the second is never the first.
        second += second >= first
        return self._at(first, 2), self._at(second, 2)

    def _at(self, places: np.ndarray, fewest: int) -> np.ndarray:
        if not self.ids.shape[1]:
            return np.full(places.shape, NO_ID, np.int64)
        places = np.clip(places, 0, self.ids.shape[1] - 1)
        found = np.take_along_axis(self.ids, places, axis=1)
        return np.where(self.counts[:, None] >= fewest, found, NO_ID)


def joined(parts: Sequence[Mixes]) -> Mixes:
    """Put recipes of one block beside each other; facts of later parts win."""
    names = ("types", "a_ids", "b_ids", "coefs", "seeds")
    columns = [np.concatenate([getattr(p, name) for p in parts], axis=1) for name in names]
    return Mixes(*columns, facts={key: value for p in parts for key, value in p.facts.items()})


def recipes(
    kind: int,
    a_ids: np.ndarray,
    coefs: np.ndarray,
    b_ids: np.ndarray | None = None,
    seeds: np.ndarray | None = None,
) -> Mixes:
    """Return recipes of one type; whatever has no first parent is an empty place.

    Args:
        kind: number of the type, 1 or more.
        a_ids: int64 [A, n].
        coefs: float64 [A, n].
        b_ids: int64 [A, n], or None.
        seeds: int64 [A, n], or None.
    """
    there = a_ids != NO_ID
    none = np.full(a_ids.shape, NO_ID, np.int64)
    return Mixes(
        np.where(there, kind, 0).astype(np.int8),
        a_ids,
        none if b_ids is None else np.where(there, b_ids, NO_ID),
        np.where(there, coefs, 0).astype(np.float32),
        np.zeros(a_ids.shape, np.int64) if seeds is None else np.where(there, seeds, 0),
    )

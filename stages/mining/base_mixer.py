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

from ..base import Component
from .base import Block


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

    @property
    def columns(self) -> Sequence[str]:
        """Columns of `samples` that the mixer asks for."""
        return ()

    @property
    def graph_names(self) -> Sequence[str]:
        """Graphs that the mixer reads."""
        return ()

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

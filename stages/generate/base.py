"""What a generator is: a picture in, new pictures of the same thing out; frozen, with a name."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from PIL import Image

from ..base import Component


@dataclass(frozen=True)
class Prompt:
    """What decides one candidate beside its anchor.

    Attributes:
        other: RGB picture of a random sample of the anchor's split; the anchor's own where its
            split has no other picture.
        seed: 0..2^63-1, drawn for (run, anchor, number of the candidate).
        step: place of the candidate among those of its anchor, 0..1: the first is 0, the last 1.
    """

    other: Image.Image
    seed: int
    step: float


@dataclass(frozen=True)
class Variation:
    """One candidate.

    Attributes:
        image: RGB.
        recipe: small JSON of numbers and texts: how it was made.
    """

    image: Image.Image
    recipe: Mapping[str, Any]


class LoadedGenerator(Protocol):
    """A generator with its weights on a device."""

    def make(self, anchor: Image.Image, prompts: Sequence[Prompt]) -> list[Variation]:
        """Return one candidate a prompt; all draws come from the prompts' seeds."""
        ...


class Generator(Component, abc.ABC):
    """Base class of all generators; `identity()` includes the hash of the weights."""

    fidelity: ClassVar[str] = "surrogate"
    """exact, exact+hook, frozen-detector or surrogate (algorithms.md §0.5c)."""
    paper: ClassVar[str] = ""
    """Author, title, year."""

    @abc.abstractmethod
    def weights_digest(self) -> str:
        """Return what names the weights, a sha256.

        Raises:
            ConfigError: the weights are not there; the text says how to get them.
        """

    @abc.abstractmethod
    def load(self, device: str) -> LoadedGenerator:
        """Load the weights on a torch device ("cpu", "cuda:0")."""

    @property
    def note(self) -> str:
        """What a person must know before trusting these pictures; "" for nothing."""
        return ""

    def identity(self) -> dict[str, Any]:
        """Return settings and weights: what decides every picture."""
        return {**super().identity(), "weights": self.weights_digest()}

"""What an encoder is: images or texts in, unit vectors out; frozen, named by its weights."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from ..base import Component


class LoadedEncoder(Protocol):
    """An encoder with its weights on a device."""

    dim: int

    def prepare_image(self, image: Image.Image) -> Any:
        """Turn one RGB picture into what `encode_images` takes; called from decode threads."""
        ...

    def encode_images(self, prepared: Sequence[Any]) -> np.ndarray:
        """Return float32 [n, dim], not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [n, dim], not normalised."""
        ...


class Encoder(Component, abc.ABC):
    """Base class of all encoders; `identity()` includes the hash of the weights."""

    modalities: ClassVar[tuple[str, ...]] = ("image", "caption")
    """What it embeds; no setting."""

    @abc.abstractmethod
    def weights_digest(self) -> str:
        """Return what names the weights and the preprocessing: a sha256, or "" for none.

        Raises:
            ConfigError: the weights are not there; the text says how to get them.
        """

    @abc.abstractmethod
    def load(self, device: str) -> LoadedEncoder:
        """Load the weights on a torch device ("cpu", "cuda:0")."""

    def batch(self, of: str, device: str) -> int:
        """Return how many images or texts ("image", "caption") go through one forward pass."""
        del of
        return 16 if device == "cpu" else 256

    @property
    def note(self) -> str:
        """What a person must know before trusting these vectors; "" for nothing."""
        return ""

    def identity(self) -> dict[str, Any]:
        """Return settings and weights: what decides every vector."""
        return {**super().identity(), "weights": self.weights_digest()}

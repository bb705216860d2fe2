"""What generators out of the small autoencoder share: its weights, and what they are called."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Annotated

from PIL import Image

from ..base import Runtime
from . import _autoencoder
from .base import Generator, LoadedGenerator, Prompt, Variation


class CodecGenerator(Generator):
    """A generator that decodes codes; a subclass says which (`vary`)."""

    path: Annotated[str, Runtime()] = ""
    """The weights, from `python -m curate.stages.generate.train`."""

    def weights_digest(self) -> str:
        """Return the sha256 of the weights file.

        Raises:
            ConfigError: there is no such file.
        """
        return _autoencoder.weights_digest(self.path, type(self).__name__.lower())

    def load(self, device: str) -> LoadedGenerator:
        """Load the weights.

        Raises:
            ConfigError: the file holds no such weights.
        """
        return _Loaded(self, _autoencoder.Codec.load(self.path, device))

    @abc.abstractmethod
    def vary(
        self, codec: _autoencoder.Codec, anchor: Image.Image, prompts: Sequence[Prompt]
    ) -> list[Variation]:
        """Return one variation of the anchor for each prompt."""


class _Loaded:
    """The autoencoder on a device."""

    def __init__(self, settings: CodecGenerator, codec: _autoencoder.Codec) -> None:
        self._settings = settings
        self._codec = codec

    def make(self, anchor: Image.Image, prompts: Sequence[Prompt]) -> list[Variation]:
        """Return one variation of the anchor for each prompt."""
        return self._settings.vary(self._codec, anchor, prompts)

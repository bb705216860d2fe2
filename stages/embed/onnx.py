"""Any image encoder that somebody exported to ONNX."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ...manifests.errors import ConfigError
from ...manifests.fingerprint import file_digest
from ..base import Runtime
from .base import Encoder, LoadedEncoder

Triple = tuple[float, float, float]


class Onnx(Encoder):
    """An ONNX graph from pixels [n, 3, size, size] float32 to vectors [n, d].

    A picture's shorter side is resized to `size` (bicubic), the middle is cut out, values are
    brought to 0..`scale`, then (value - mean) / std.

    Attributes:
        path: the .onnx file.
        input: name of the input; None for the only one.
        output: name of the output; None for the first.
        size: pixels of a side.
        scale: what white is before mean and std: 1 or 255.
        mean: subtracted from red, green and blue.
        std: what red, green and blue are divided by.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    path: Annotated[str, Runtime()]
    input: str | None = None
    output: str | None = None
    size: int = Field(default=224, ge=1)
    scale: Literal[1, 255] = 1
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def weights_digest(self) -> str:
        """Return the sha256 of the file.

        Raises:
            ConfigError: there is no such file.
        """
        if not Path(self.path).is_file():
            raise ConfigError(f"onnx: {self.path} is not a file. Set path to the exported .onnx.")
        return file_digest(Path(self.path))

    def load(self, device: str) -> LoadedEncoder:
        """Open the graph on a device.

        Raises:
            ConfigError: onnxruntime is not installed, or the graph lacks a name that was asked.
        """
        self.weights_digest()
        return _Loaded(self, device)


class _Loaded:
    """The graph in a session."""

    def __init__(self, encoder: Onnx, device: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "the onnx encoder needs onnxruntime, which is not installed: "
                'pip install "curate-pairs[onnx]".'
            ) from error
        self._encoder = encoder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or 1))
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        wanted = ["CUDAExecutionProvider"] if device != "cpu" else []
        known = onnxruntime.get_available_providers()
        providers = [name for name in wanted if name in known] + ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(encoder.path, options, providers)
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = [item.name for item in self._session.get_outputs()]
        self._input = _chosen("input", encoder.input, inputs)
        self._output = _chosen("output", encoder.output, outputs)
        blank = Image.new("RGB", (encoder.size, encoder.size))
        self.dim = int(self.encode_images([self.prepare_image(blank)]).shape[1])

    def prepare_image(self, image: Image.Image) -> np.ndarray:
        """Return float32 [3, size, size]."""
        size = self._encoder.size
        ratio = size / min(image.size)
        width, height = (max(size, round(side * ratio)) for side in image.size)
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        pixels = np.asarray(resized.crop((left, top, left + size, top + size)), np.float32)
        pixels = pixels * np.float32(self._encoder.scale / 255)
        pixels = (pixels - np.array(self._encoder.mean, np.float32)) / np.array(
            self._encoder.std, np.float32
        )
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def encode_images(self, prepared: Sequence[Any]) -> np.ndarray:
        """Return float32 [n, dim], not normalised."""
        found = self._session.run([self._output], {self._input: np.stack(list(prepared))})[0]
        vectors = np.asarray(found, np.float32)
        return vectors.reshape(len(vectors), -1)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Refuse: the graph takes pixels.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"onnx: {self._encoder.path} encodes images, not {len(texts)} texts. Use `of: image`."
        )


def _chosen(what: str, asked: str | None, known: list[str]) -> str:
    name = known[0] if asked is None else asked
    if name not in known or (asked is None and what == "input" and len(known) > 1):
        raise ConfigError(f"onnx: {what}: {asked!r}; the graph has {', '.join(known)}. Name one.")
    return name

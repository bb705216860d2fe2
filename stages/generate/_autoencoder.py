"""A small autoencoder: pictures to codes of unit variance, and back.

The encoder is closed: the whitened principal components of 8 x 8 patches. The decoder is their
inverse plus a small convolutional network that sees the neighbouring codes; it learns from noisy
codes (Ghosh et al., From Variational to Deterministic Autoencoders, 2020), so that what stands
near the code of a picture decodes to something like it. It learns one corpus in a minute on a CPU;
pictures are soft and fine detail is lost. It is no diffusion model and no GAN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ...manifests.errors import ConfigError
from ...manifests.fingerprint import canonical_json, file_digest

FORMAT = "curate-autoencoder/1"
CHANNELS = 48
"""Channels of a code, of the 192 numbers of a patch; a code has an eighth of the picture's side."""
PATCH = 8
_ABOUT = "curate"
_WIDTH = 96
_FLOOR = 1e-4
"""Least standard deviation of a component: a flat corpus must not divide by zero."""
TRAIN = "python -m curate.stages.generate.train CORPUS -o weights.safetensors"


class Autoencoder(nn.Module):
    """Pictures float32 [n, 3, px, px] in 0..1 to codes [n, 48, px / 8, px / 8], and back.

    Args:
        px: side of the pictures, a multiple of 8.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, px: int) -> None:
        super().__init__()
        self.px = px
        numbers = 3 * PATCH**2
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("basis", torch.eye(numbers)[:CHANNELS].contiguous())
        self.register_buffer("scale", torch.ones(CHANNELS))
        self.refine = nn.Sequential(
            nn.Conv2d(CHANNELS, _WIDTH, 3, 1, 1),
            nn.SiLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, 1, 1),
            nn.SiLU(),
            nn.Conv2d(_WIDTH, numbers, 1),
        )
        last = self.refine[-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def fit(self, pictures: np.ndarray) -> None:
        """Take the principal components of all patches of uint8 [n, px, px, 3]."""
        numbers = len(self.mean)
        total, square = np.zeros(numbers), np.zeros((numbers, numbers))
        patches = 0
        for start in range(0, len(pictures), 256):
            floats = torch.from_numpy(pictures[start : start + 256]).permute(0, 3, 1, 2) / 255
            rows = functional.pixel_unshuffle(floats, PATCH).permute(0, 2, 3, 1)
            block = rows.reshape(-1, numbers).double().numpy()
            total, square = total + block.sum(0), square + block.T @ block
            patches += len(block)
        mean = total / patches
        values, vectors = np.linalg.eigh(square / patches - np.outer(mean, mean))
        basis = vectors.T[::-1][:CHANNELS]
        scale = np.sqrt(np.maximum(values[::-1][:CHANNELS], _FLOOR**2))
        for name, array in (("mean", mean), ("basis", basis), ("scale", scale)):
            getattr(self, name).copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def encode(self, pictures: Tensor) -> Tensor:
        """Return codes: each channel has mean 0 and variance 1 over the training pictures."""
        patches = functional.pixel_unshuffle(pictures, PATCH) - self.mean.view(1, -1, 1, 1)
        weights = (self.basis / self.scale[:, None])[:, :, None, None]
        return functional.conv2d(patches, weights)

    def decode(self, codes: Tensor) -> Tensor:
        """Return pictures, not cut to 0..1."""
        weights = (self.basis * self.scale[:, None]).T[:, :, None, None]
        plain = functional.conv2d(codes, weights, self.mean)
        return functional.pixel_shuffle(plain + self.refine(codes), PATCH)


class Codec:
    """A trained autoencoder on a device, from Pillow pictures to Pillow pictures."""

    def __init__(self, model: Autoencoder, device: str) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._device = device

    @classmethod
    def load(cls, path: str, device: str) -> Codec:
        """Load weights that `train` wrote.

        Raises:
            ConfigError: the file is no such file.
        """
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
                state = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, ValueError, SafetensorError) as error:
            raise ConfigError(
                f"{path}: no weights of a generator ({error}). Make some: {TRAIN}"
            ) from error
        if about.get("format") != FORMAT:
            raise ConfigError(
                f"{path}: format {about.get('format')!r}; {FORMAT!r} is read. Make it: {TRAIN}"
            )
        model = Autoencoder(int(about["px"]))
        model.load_state_dict(state)
        return cls(model, device)

    def encode(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return float32 codes [n, 48, px / 8, px / 8] on the CPU."""
        batch = torch.from_numpy(np.stack([square(item, self._model.px) for item in pictures]))
        with torch.inference_mode():
            floats = batch.permute(0, 3, 1, 2).to(self._device, torch.float32) / 255
            return self._model.encode(floats).float().cpu()

    def decode(self, codes: Tensor) -> list[Image.Image]:
        """Return RGB pictures of px x px."""
        with torch.inference_mode():
            found = self._model.decode(codes.to(self._device)).clamp(0, 1)
        pixels = (found * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [Image.fromarray(item) for item in pixels]


def square(picture: Image.Image, px: int) -> np.ndarray:
    """Return uint8 [px, px, 3]: the middle square of a picture, resized."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    resized = picture.convert("RGB").resize((px, px), Image.Resampling.BICUBIC, box)
    return np.asarray(resized)


def noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Return float32 [n, *shape] of standard normal numbers, each row from its own seed."""
    rows = [
        torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(seed))
        for seed in seeds
    ]
    return torch.stack(rows)


def save(model: Autoencoder, path: Path, about: Mapping[str, str]) -> None:
    """Write the weights; equal weights give equal bytes."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # One entry: safetensors writes several in an order of its own.
    note = canonical_json({**about, "format": FORMAT, "px": model.px})
    save_file(state, path, {_ABOUT: note})


def weights_digest(path: str, name: str) -> str:
    """Return the sha256 of a weights file.

    Raises:
        ConfigError: no path, or no file there; the text says how to make one.
    """
    if not path:
        raise ConfigError(
            f"generator {name} needs `path`, a weights file. Make one: {TRAIN}; then add "
            "--set generate.NAME.path=weights.safetensors (or `path:` in the config)."
        )
    if not Path(path).is_file():
        raise ConfigError(f"generator {name}: path {path} is not a file. Make it: {TRAIN}")
    return file_digest(Path(path))

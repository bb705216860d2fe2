"""A small convolutional autoencoder: pictures to codes of unit variance, and back.

A deterministic autoencoder whose decoder sees noisy codes (Ghosh et al., From Variational to
Deterministic Autoencoders, 2020): codes near that of a picture decode to something like it. It
has 0.1 million parameters and learns one corpus in minutes on a CPU; pictures are soft and
fine detail is lost. It is no diffusion model and no GAN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...manifests.errors import ConfigError
from ...manifests.fingerprint import file_digest

FORMAT = "curate-autoencoder/1"
CHANNELS = 16
"""Channels of a code; it has an eighth of the picture's side."""
_WIDTHS = (16, 32, 48)
TRAIN = "python -m curate.stages.generate.train CORPUS -o weights.safetensors"


class Autoencoder(nn.Module):
    """Pictures float32 [n, 3, px, px] in 0..1 to codes [n, 16, px / 8, px / 8], and back.

    Args:
        px: side of the pictures, a multiple of 8.
    """

    def __init__(self, px: int) -> None:
        super().__init__()
        self.px = px
        down: list[nn.Module] = []
        width = 3
        for wide in _WIDTHS:
            down += [nn.Conv2d(width, wide, 4, 2, 1), nn.SiLU()]
            width = wide
        self.down = nn.Sequential(*down, nn.Conv2d(width, CHANNELS, 1))
        self.unit = nn.BatchNorm2d(CHANNELS, affine=False)
        up: list[nn.Module] = [nn.Conv2d(CHANNELS, width, 3, 1, 1), nn.SiLU()]
        for wide in (*_WIDTHS[-2::-1], 12):
            up += [nn.Conv2d(width, 4 * wide, 3, 1, 1), nn.PixelShuffle(2), nn.SiLU()]
            width = wide
        self.up = nn.Sequential(*up, nn.Conv2d(width, 3, 3, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Return codes: each channel has mean 0 and variance 1 over the training pictures."""
        return self.unit(self.down(pictures * 2 - 1))

    def decode(self, codes: Tensor) -> Tensor:
        """Return pictures, not cut to 0..1."""
        return self.up(codes) * 0.5 + 0.5


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
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
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
        """Return float32 codes [n, 16, px / 8, px / 8] on the CPU."""
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
    save_file(state, path, {"format": FORMAT, "px": str(model.px), **about})


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
